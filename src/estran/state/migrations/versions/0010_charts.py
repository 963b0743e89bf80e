"""Chart review: forms, lists, decisions, marks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "chart_form",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("author", sa.String(120), nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.UniqueConstraint("name", "version", name="chart_form_name_version"),
    )
    op.create_table(
        "chart_list",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("owner_id", sa.Integer, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("version_id", sa.Integer, sa.ForeignKey("saved_cohort_version.id"), nullable=False),
        sa.Column("snapshot", sa.Integer, nullable=False),
        sa.Column("form_id", sa.Integer, sa.ForeignKey("chart_form.id")),
        sa.Column("blind", sa.Boolean, nullable=False),
        sa.Column("readings", sa.Integer, nullable=False),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("sampled", sa.Boolean, nullable=False),
        sa.Column("selected", sa.Integer, nullable=False),
        sa.Column("others", sa.Integer, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("closed", sa.DateTime),
    )
    _of_list(
        "chart_patient",
        sa.Column("patient_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("selected", sa.Boolean, nullable=False),
        sa.Column("index_date", sa.Date),
    )
    _of_list(
        "chart_share",
        sa.Column("patient_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), primary_key=True),
    )
    op.create_index("chart_share_account", "chart_share", ["account_id", "list_id"])
    _of_list("chart_adjudicator", sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), primary_key=True))
    _of_list(
        "chart_document",
        sa.Column("document_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("patient_id", sa.Integer, nullable=False),
        sa.Column("text_hash", sa.String(64), nullable=False),
    )
    _readings()


def _of_list(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(name, sa.Column("list_id", sa.Integer, sa.ForeignKey("chart_list.id"), primary_key=True), *columns)


def _readings() -> None:
    op.create_table(
        "chart_decision",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("list_id", sa.Integer, sa.ForeignKey("chart_list.id"), nullable=False),
        sa.Column("patient_id", sa.Integer, nullable=False),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("final", sa.Boolean, nullable=False),
        sa.Column("verdict", sa.String(10), nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("answers", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("undone", sa.Boolean, nullable=False),
    )
    op.create_index("chart_decision_list", "chart_decision", ["list_id", "patient_id"])
    op.create_table(
        "chart_marking",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("list_id", sa.Integer, sa.ForeignKey("chart_list.id"), nullable=False),
        sa.Column("document_id", sa.Integer, nullable=False),
        sa.Column("patient_id", sa.Integer, nullable=False),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("final", sa.Boolean, nullable=False),
        sa.Column("spans", sa.Text, nullable=False),
        sa.Column("done", sa.Boolean, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
    )
    op.create_index("chart_marking_list", "chart_marking", ["list_id", "document_id"])


def downgrade() -> None:
    for table in (
        "chart_marking", "chart_decision", "chart_document", "chart_adjudicator", "chart_share", "chart_patient", "chart_list",
        "chart_form",
    ):  # fmt: skip
        op.drop_table(table)
