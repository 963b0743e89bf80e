"""Stars and shares of saved cohorts, questions that the clock asks again, notices, lists of
patient numbers, lists of names for a treating team."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    _cohorts_shared()
    _cohorts_followed()
    _lists_of_patients()


def _cohorts_shared() -> None:
    op.create_table(
        "favourite",
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), primary_key=True),
        sa.Column("cohort_id", sa.Integer, sa.ForeignKey("saved_cohort.id"), primary_key=True),
    )
    op.create_table(
        "share",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("cohort_id", sa.Integer, sa.ForeignKey("saved_cohort.id"), nullable=False),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id")),
        sa.Column("role", sa.String(30), nullable=False, server_default=""),
        sa.Column("at", sa.DateTime, nullable=False),
    )
    op.create_index("share_cohort", "share", ["cohort_id"])


def _cohorts_followed() -> None:
    op.create_table(
        "followed",
        sa.Column("cohort_id", sa.Integer, sa.ForeignKey("saved_cohort.id"), primary_key=True),
        sa.Column("every", sa.String(10), nullable=False),
        sa.Column("began", sa.DateTime, nullable=False),
        sa.Column("next", sa.DateTime, nullable=False),
        sa.Column("last", sa.DateTime),
        sa.Column("version_id", sa.Integer, nullable=False),
        sa.Column("members", sa.LargeBinary, nullable=False),
        sa.Column("problem", sa.Text, nullable=False, server_default=""),
    )
    op.create_table(
        "news",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("cohort_id", sa.Integer, sa.ForeignKey("saved_cohort.id")),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("said", sa.Text, nullable=False),
        sa.Column("value", sa.Integer, nullable=False, server_default="0"),
        sa.Column("below", sa.Integer, nullable=False, server_default="0"),
        sa.Column("margin", sa.Integer, nullable=False, server_default="0"),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("seen", sa.DateTime),
    )
    op.create_index("news_account", "news", ["account_id", "seen"])


def _lists_of_patients() -> None:
    op.create_table(
        "patient_list",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("authority", sa.String(200), nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("asked", sa.DateTime, nullable=False),
        sa.Column("ended", sa.DateTime),
        sa.Column("outcome", sa.Text, nullable=False, server_default=""),
        sa.Column("problem", sa.Text, nullable=False, server_default=""),
        sa.Column("cohort_id", sa.Integer, sa.ForeignKey("saved_cohort.id")),
    )
    op.create_table(
        "screening",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("ward", sa.String(120), nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("made", sa.DateTime, nullable=False),
        sa.Column("expires", sa.DateTime, nullable=False),
        sa.Column("handed", sa.DateTime),
    )


def downgrade() -> None:
    for table in ("screening", "patient_list", "news", "followed", "share", "favourite"):
        op.drop_table(table)
