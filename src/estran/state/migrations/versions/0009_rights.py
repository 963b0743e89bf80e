"""Rights of the patient: acts, recipients and their tombstones, requests, letters; projects told to the public."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_KEPT = ("right_act", "right_applied")  # nothing of these is ever changed or removed
_TABLES = ("public_project", "letter", "right_request", "tombstone", "recipient", "right_applied", "right_act")


def upgrade() -> None:
    _register()
    _requests()
    op.create_table(
        "public_project",
        sa.Column("code", sa.String(60), primary_key=True),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("legal_basis", sa.String(300), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("responsible", sa.String(300), nullable=False),
        sa.Column("begun", sa.Date),
        sa.Column("ended", sa.Date),
        sa.Column("results", sa.Text, nullable=False),
        sa.Column("outputs", sa.Text, nullable=False),
        sa.Column("changed", sa.DateTime, nullable=False),
    )
    for statement in _guards(op.get_bind().dialect.name):
        op.execute(statement)


def _register() -> None:
    op.create_table(
        "right_act",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("number", sa.String(20), nullable=False, unique=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("patient_id", sa.Integer, nullable=False),
        sa.Column("scope", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("ends", sa.Boolean, nullable=False),
        sa.Column("from_date", sa.Date, nullable=False),
        sa.Column("asked_by", sa.String(20), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("proof_date", sa.Date),
        sa.Column("proof", sa.String(120), nullable=False),
        sa.Column("login", sa.String(120), nullable=False),
        sa.Column("request_id", sa.Integer),
    )
    op.create_index("right_act_patient", "right_act", ["patient_id", "id"])
    op.create_table(
        "right_applied",
        sa.Column("act_id", sa.Integer, sa.ForeignKey("right_act.id"), primary_key=True),
        sa.Column("snapshot", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "recipient",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(120), nullable=False, unique=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("purposes", sa.Text, nullable=False),
        sa.Column("snapshot", sa.Integer, nullable=False),
        sa.Column("registered", sa.DateTime, nullable=False),
        sa.Column("ended", sa.DateTime),
    )
    op.create_table(
        "tombstone",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("act_id", sa.Integer, sa.ForeignKey("right_act.id"), nullable=False),
        sa.Column("recipient_id", sa.Integer, sa.ForeignKey("recipient.id"), nullable=False),
        sa.Column("what", sa.String(10), nullable=False),
        sa.Column("made", sa.DateTime, nullable=False),
        sa.Column("deadline", sa.DateTime, nullable=False),
        sa.Column("acknowledged", sa.DateTime),
        sa.Column("outcome", sa.String(200), nullable=False),
        sa.UniqueConstraint("act_id", "recipient_id", name="tombstone_act_recipient"),
    )
    op.create_index("tombstone_recipient", "tombstone", ["recipient_id", "acknowledged"])


def _requests() -> None:
    op.create_table(
        "right_request",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("number", sa.String(20), nullable=False, unique=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("scope", sa.String(80), nullable=False),
        sa.Column("origin", sa.String(10), nullable=False),
        sa.Column("asked", sa.DateTime, nullable=False),
        sa.Column("due", sa.DateTime, nullable=False),
        sa.Column("asked_by", sa.String(20), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("proof_date", sa.Date),
        sa.Column("proof", sa.String(120), nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("wanted", sa.LargeBinary),
        sa.Column("found", sa.Boolean),
        sa.Column("patient_id", sa.Integer),
        sa.Column("login", sa.String(120), nullable=False),
        sa.Column("closed", sa.DateTime),
        sa.Column("closed_by", sa.String(120), nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
    )
    op.create_index("right_request_open", "right_request", ["closed", "due"])
    op.create_table(
        "letter",
        sa.Column("list_no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("patient_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("notice", sa.String(80), nullable=False),
        sa.Column("channel", sa.String(20), nullable=False),
        sa.Column("listed", sa.DateTime, nullable=False),
        sa.Column("sent", sa.Date),
    )
    op.create_index("letter_notice", "letter", ["notice", "patient_id"])


def _guards(dialect: str) -> list[str]:
    """The register of rights only grows."""
    refusal = "the register of rights is append-only"
    doings = [(table, verb) for table in _KEPT for verb in ("UPDATE", "DELETE")]
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{refusal}'); END"
            for table, verb in doings
        ]
    function = (
        "CREATE OR REPLACE FUNCTION rights_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{refusal}'; END $$"
    )
    triggers = [
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION rights_refuse()"
        for table, verb in doings
    ]
    return [function, *triggers]


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION rights_refuse()")
