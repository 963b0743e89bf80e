"""Sets of patients that were answered, what was shown of them, and to whom."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "secret",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "answered_set",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("members", sa.LargeBinary, nullable=False),
        sa.Column("value", sa.Integer, nullable=False),
        sa.Column("below", sa.Boolean, nullable=False),
        sa.Column("margin", sa.Integer, nullable=False),
        sa.Column("cells", sa.Text, nullable=False),
    )
    op.create_index("answered_set_size", "answered_set", ["size"])
    op.create_table(
        "answered_to",
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), primary_key=True),
        sa.Column("set_id", sa.Integer, sa.ForeignKey("answered_set.id"), primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False),
    )
    op.create_index("answered_to_at", "answered_to", ["account_id", "at"])


def downgrade() -> None:
    for table in ("answered_to", "answered_set", "secret"):
        op.drop_table(table)
