"""The tables of the rights of the patient, and of what the public is told.

What a person typed on the public form is sealed, and forgotten when the request is closed. Otherwise a patient is a
pseudonymous number here, as everywhere in this database.
"""

from __future__ import annotations

import sqlalchemy as sa

from estran.state.schema import Utc, metadata

right_act = sa.Table(
    "right_act",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("number", sa.String(20), nullable=False, unique=True),  # the acknowledgement given to the person
    sa.Column("at", Utc, nullable=False),
    sa.Column("patient_id", sa.Integer, nullable=False),
    sa.Column("scope", sa.String(80), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),  # opposition, consent, erasure
    sa.Column("ends", sa.Boolean, nullable=False),  # whether this ends what an earlier act began
    sa.Column("from_date", sa.Date, nullable=False),
    sa.Column("asked_by", sa.String(20), nullable=False),
    sa.Column("channel", sa.String(20), nullable=False),
    sa.Column("proof_date", sa.Date),
    sa.Column("proof", sa.String(120), nullable=False),  # where the paper is kept; never a name
    sa.Column("login", sa.String(120), nullable=False),
    sa.Column("request_id", sa.Integer),
)
sa.Index("right_act_patient", right_act.c.patient_id, right_act.c.id)

right_applied = sa.Table(
    "right_applied",
    metadata,
    sa.Column("act_id", sa.ForeignKey("right_act.id"), primary_key=True),
    sa.Column("snapshot", sa.Integer, nullable=False),  # from which on the warehouse obeys
    sa.Column("at", Utc, nullable=False),
)

recipient = sa.Table(
    "recipient",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(120), nullable=False, unique=True),
    sa.Column("kind", sa.String(20), nullable=False),  # datamart, hub
    sa.Column("purposes", sa.Text, nullable=False),  # scopes that it serves, parted by spaces
    sa.Column("snapshot", sa.Integer, nullable=False),  # of which its data are
    sa.Column("registered", Utc, nullable=False),
    sa.Column("ended", Utc),
)

tombstone = sa.Table(
    "tombstone",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("act_id", sa.ForeignKey("right_act.id"), nullable=False),
    sa.Column("recipient_id", sa.ForeignKey("recipient.id"), nullable=False),
    sa.Column("what", sa.String(10), nullable=False),  # hide, restore, erase
    sa.Column("made", Utc, nullable=False),
    sa.Column("deadline", Utc, nullable=False),
    sa.Column("acknowledged", Utc),
    sa.Column("outcome", sa.String(200), nullable=False),
    sa.UniqueConstraint("act_id", "recipient_id", name="tombstone_act_recipient"),
)
sa.Index("tombstone_recipient", tombstone.c.recipient_id, tombstone.c.acknowledged)

right_request = sa.Table(
    "right_request",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("number", sa.String(20), nullable=False, unique=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("scope", sa.String(80), nullable=False),
    sa.Column("origin", sa.String(10), nullable=False),  # desk, public
    sa.Column("asked", Utc, nullable=False),
    sa.Column("due", Utc, nullable=False),
    sa.Column("asked_by", sa.String(20), nullable=False),
    sa.Column("channel", sa.String(20), nullable=False),
    sa.Column("proof_date", sa.Date),
    sa.Column("proof", sa.String(120), nullable=False),
    sa.Column("sealed", sa.LargeBinary),  # what the person wrote; null once closed
    sa.Column("wanted", sa.LargeBinary),  # the hospital number to be found, sealed; null once looked for
    sa.Column("found", sa.Boolean),  # null until somebody was looked for
    sa.Column("patient_id", sa.Integer),
    sa.Column("login", sa.String(120), nullable=False),
    sa.Column("closed", Utc),
    sa.Column("closed_by", sa.String(120), nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
)
sa.Index("right_request_open", right_request.c.closed, right_request.c.due)

letter = sa.Table(
    "letter",
    metadata,
    sa.Column("list_no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("patient_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("notice", sa.String(80), nullable=False),  # what the letter tells: warehouse, majority, project:<id>
    sa.Column("channel", sa.String(20), nullable=False),
    sa.Column("listed", Utc, nullable=False),
    sa.Column("sent", sa.Date),
)
sa.Index("letter_notice", letter.c.notice, letter.c.patient_id)

public_project = sa.Table(
    "public_project",
    metadata,
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
    sa.Column("changed", Utc, nullable=False),
)
