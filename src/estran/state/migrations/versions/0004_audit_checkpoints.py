"""Signed checkpoints of the audit trail, patients that each line reads, weekly reviews."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from estran.state.guards import statements

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "patient_read",
        sa.Column("line_id", sa.Integer, sa.ForeignKey("audit.id"), primary_key=True),
        sa.Column("patient_id", sa.Integer, primary_key=True),
    )
    op.create_index("patient_read_patient", "patient_read", ["patient_id", "line_id"])
    op.create_table(
        "audit_checkpoint",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("line", sa.Integer, nullable=False),
        sa.Column("chain", sa.String(64), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("signer", sa.String(64), nullable=False),
        sa.Column("signature", sa.String(128), nullable=False, unique=True),
    )
    op.create_table(
        "audit_review",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("since", sa.DateTime, nullable=False),
        sa.Column("until", sa.DateTime, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("acknowledged", sa.DateTime),
        sa.Column("acknowledged_by", sa.String(120), nullable=False, server_default=""),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
    )
    op.create_index("audit_login", "audit", ["login", "id"])
    _guards()


def _guards() -> None:
    dialect = op.get_bind().dialect.name
    old = ("audit_no_UPDATE", "audit_no_DELETE") if dialect == "sqlite" else ("audit_no_change ON audit",)
    for name in old:
        op.execute(f"DROP TRIGGER {name}")
    for statement in statements(dialect):
        op.execute(statement)
