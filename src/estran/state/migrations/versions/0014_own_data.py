"""Data that projects bring: what was declared, and the files that were handed in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "own_data",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project", sa.String(20), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("origin", sa.String(300), nullable=False),
        sa.Column("formality", sa.String(20), nullable=False),
        sa.Column("reference", sa.String(200), nullable=False),
        sa.Column("information", sa.Text, nullable=False),
        sa.Column("until", sa.Date, nullable=False),
        sa.Column("declared_by", sa.String(120), nullable=False),
        sa.Column("declared", sa.DateTime, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("answered_by", sa.String(120), nullable=False, server_default=""),
        sa.Column("answered", sa.DateTime),
        sa.Column("said", sa.Text, nullable=False, server_default=""),
        sa.Column("content", sa.Text, nullable=False, server_default="{}"),
        sa.Column("snapshot", sa.Integer, nullable=False, server_default="0"),
        sa.Column("ended", sa.DateTime),
        sa.Column("certificate", sa.Text, nullable=False, server_default=""),
    )
    op.create_index("own_data_project", "own_data", ["project"])
    op.create_table(
        "own_file",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("data_id", sa.Integer, sa.ForeignKey("own_data.id"), nullable=False),
        sa.Column("form", sa.String(10), nullable=False),
        sa.Column("login", sa.String(120), nullable=False),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id")),
        sa.Column("asked", sa.DateTime, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("look", sa.Text, nullable=False, server_default=""),
        sa.Column("recipe", sa.Text, nullable=False, server_default=""),
        sa.Column("ended", sa.DateTime),
        sa.Column("outcome", sa.Text, nullable=False, server_default=""),
        sa.Column("problem", sa.Text, nullable=False, server_default=""),
    )
    op.create_index("own_file_data", "own_file", ["data_id"])


def downgrade() -> None:
    for table in ("own_file", "own_data"):
        op.drop_table(table)
