"""Datamarts: each build, its manifest and the certificate of its destruction."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "datamart",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project", sa.String(40), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("recipient", sa.String(120), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("snapshot", sa.Integer, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("asked_by", sa.String(120), nullable=False),
        sa.Column("asked", sa.DateTime, nullable=False),
        sa.Column("expires", sa.DateTime, nullable=False),
        sa.Column("members", sa.LargeBinary, nullable=False),
        sa.Column("manifest", sa.Text, nullable=False),
        sa.Column("deleted", sa.DateTime),
        sa.Column("certificate", sa.Text, nullable=False),
        sa.UniqueConstraint("project", "name", "recipient", "number", name="datamart_number"),
    )


def downgrade() -> None:
    op.drop_table("datamart")
