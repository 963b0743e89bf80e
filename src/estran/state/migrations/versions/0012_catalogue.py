"""The catalogue: what was measured, results of the checks, notes on known problems, official monthly figures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "catalog_entry",
        sa.Column("kind", sa.String(20), primary_key=True),
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("snapshot", sa.Integer, nullable=False),
        sa.Column("patients", sa.Integer, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("catalog_entry_patients", "catalog_entry", ["kind", "patients"])
    op.create_table(
        "catalog_note",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("login", sa.String(120), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("closed", sa.DateTime),
        sa.Column("closed_by", sa.String(120), nullable=False, server_default=""),
    )
    op.create_index("catalog_note_subject", "catalog_note", ["kind", "key"])
    op.create_table(
        "quality_run",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("snapshot", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    op.create_table(
        "quality_result",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("quality_run.id"), primary_key=True),
        sa.Column("check_key", sa.String(120), primary_key=True),
        sa.Column("applicable", sa.BigInteger, nullable=False),
        sa.Column("violated", sa.BigInteger, nullable=False),
        sa.Column("patients", sa.Integer, nullable=False),
        sa.Column("threshold", sa.Float, nullable=False),
    )
    op.create_table(
        "official_figure",
        sa.Column("month", sa.String(7), primary_key=True),
        sa.Column("figure", sa.String(20), primary_key=True),
        sa.Column("code", sa.String(40), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("login", sa.String(120), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
    )


def downgrade() -> None:
    for table in ("official_figure", "quality_result", "quality_run", "catalog_note", "catalog_entry"):
        op.drop_table(table)
