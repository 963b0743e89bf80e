"""Workspaces of projects, and what asks to leave them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "space",
        sa.Column("project", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("datamart", sa.Text, nullable=False),
        sa.Column("made", sa.DateTime, nullable=False),
    )
    op.create_table(
        "space_member",
        sa.Column("project", sa.Integer, sa.ForeignKey("space.project"), primary_key=True),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), primary_key=True),
    )
    op.create_table(
        "release_request",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project", sa.Integer, sa.ForeignKey("space.project"), nullable=False),
        sa.Column("asked_by", sa.Integer, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("asked", sa.DateTime, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("profile", sa.String(40), nullable=False),
        sa.Column("verdict", sa.String(10), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("decided_by", sa.Integer, sa.ForeignKey("account.id")),
        sa.Column("decided", sa.DateTime),
        sa.Column("reason", sa.Text, nullable=False, server_default=""),
    )
    op.create_index("release_request_project", "release_request", ["project", "id"])
    op.create_table(
        "release_file",
        sa.Column("request_id", sa.Integer, sa.ForeignKey("release_request.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("verdict", sa.String(10), nullable=False),
        sa.Column("evidence", sa.Boolean, nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
    )


def downgrade() -> None:
    for table in ("release_file", "release_request", "space_member", "space"):
        op.drop_table(table)
