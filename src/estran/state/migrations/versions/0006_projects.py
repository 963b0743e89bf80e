"""Projects: their steps, calls for projects, notices by e-mail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_REFUSAL = "the steps of a project are never changed"


def upgrade() -> None:
    op.create_table(
        "project",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("number", sa.String(12), nullable=False, unique=True),
        sa.Column("created", sa.DateTime, nullable=False),
    )
    op.create_table(
        "project_event",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project_id", sa.Integer, sa.ForeignKey("project.id"), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id")),
        sa.Column("login", sa.String(120), nullable=False),
        sa.Column("role", sa.String(30), nullable=False),
        sa.Column("step", sa.String(20), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("audit_line", sa.Integer, nullable=False),
        sa.Column("chain", sa.String(64), nullable=False),
        sa.UniqueConstraint("project_id", "place", name="project_event_place"),
    )
    op.create_table(
        "project_call",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("title", sa.String(200), nullable=False, unique=True),
        sa.Column("deadline", sa.Date, nullable=False),
        sa.Column("sites", sa.Integer, nullable=False),
        sa.Column("experts", sa.Integer, nullable=False),
        sa.Column("grid", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
    )
    _notices()
    _guard()


def _notices() -> None:
    op.create_table(
        "mail_address",
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), primary_key=True),
        sa.Column("address", sa.String(254), nullable=False),
    )
    op.create_table(
        "notice",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(120), nullable=False, unique=True),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime, nullable=False),
        sa.Column("next_try", sa.DateTime, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("sent", sa.DateTime),
        sa.Column("problem", sa.String(200), nullable=False, server_default=""),
    )
    op.create_index("notice_waiting", "notice", ["sent", "next_try"])


def _guard() -> None:
    """The database itself refuses that a step is changed or removed."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER project_event_no_{verb.lower()} BEFORE {verb} ON project_event "
                f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION project_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER project_event_no_change BEFORE UPDATE OR DELETE ON project_event "
        "FOR EACH ROW EXECUTE FUNCTION project_refuse()"
    )
    op.execute(
        "CREATE TRIGGER project_event_no_truncate BEFORE TRUNCATE ON project_event EXECUTE FUNCTION project_refuse()"
    )
