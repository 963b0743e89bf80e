"""Of which site of a network an account of its hub is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "seat",
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), primary_key=True),
        sa.Column("site", sa.String(60), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("seat")
