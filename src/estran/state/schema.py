"""The tables of the application's database. Migrations build them; this file is what code reads and writes.

Times are aware UTC. `query` columns hold the canonical JSON of a cohort question.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator

metadata = sa.MetaData()


class Utc(TypeDecorator[dt.datetime]):
    """An aware UTC datetime; SQLite, which has no time zones, stores it without one."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Any) -> dt.datetime | None:
        return None if value is None else value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: Any) -> dt.datetime | None:
        return None if value is None else value.replace(tzinfo=dt.UTC)


account = sa.Table(
    "account",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("login", sa.String(120), nullable=False, unique=True),  # lower case
    sa.Column("password_hash", sa.String(200), nullable=False),  # argon2id, parameters included
    sa.Column("role", sa.String(30), nullable=False),
    sa.Column("language", sa.String(5), nullable=False, server_default=""),  # "" = the site's
    sa.Column("theme", sa.String(10), nullable=False, server_default="auto"),  # auto, light, dark
    sa.Column("created", Utc, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()),
)

session = sa.Table(
    "session",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),  # SHA-256 of the cookie's value
    sa.Column("csrf", sa.String(64), nullable=False),
    sa.Column("created", Utc, nullable=False),
    sa.Column("seen", Utc, nullable=False),
    sa.Column("expires", Utc, nullable=False),
    sa.Column("revoked", Utc),
    sa.Column("address", sa.String(64), nullable=False, server_default=""),
    sa.Column("agent", sa.String(200), nullable=False, server_default=""),  # what the browser calls itself
    sa.Column("method", sa.String(20), nullable=False, server_default="password"),  # how the person signed in
)

totp = sa.Table(
    "totp",
    metadata,
    sa.Column("account_id", sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),  # the shared secret, sealed with the portal's key
    sa.Column("created", Utc, nullable=False),
    sa.Column("confirmed", Utc),  # null until a first code was given
    sa.Column("last_step", sa.Integer, nullable=False, server_default="0"),  # of the last code accepted
)

recovery_code = sa.Table(
    "recovery_code",
    metadata,
    sa.Column("account_id", sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("code_hash", sa.String(200), nullable=False),  # argon2id
    sa.Column("used", Utc),
)

passkey = sa.Table(
    "passkey",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("credential", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("public_key", sa.LargeBinary, nullable=False),  # COSE
    sa.Column("signs", sa.BigInteger, nullable=False),  # the authenticator's counter
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("created", Utc, nullable=False),
    sa.Column("used", Utc),
)

api_token = sa.Table(
    "api_token",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),  # SHA-256
    sa.Column("scope", sa.Text, nullable=False),  # actions, parted by spaces
    sa.Column("created", Utc, nullable=False),
    sa.Column("expires", Utc, nullable=False),
    sa.Column("used", Utc),
    sa.Column("revoked", Utc),
)

pending = sa.Table(
    "pending",
    metadata,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("account_id", sa.ForeignKey("account.id")),
    sa.Column("value", sa.Text, nullable=False),  # JSON
    sa.Column("expires", Utc, nullable=False),
)

federated = sa.Table(
    "federated",
    metadata,
    sa.Column("issuer", sa.String(200), primary_key=True),
    sa.Column("subject", sa.String(200), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("created", Utc, nullable=False),
)

lockout = sa.Table(
    "lockout",
    metadata,
    sa.Column("subject", sa.String(160), primary_key=True),  # login:<login> or address:<ip>
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("first", Utc, nullable=False),
    sa.Column("until", Utc),
)

saved_cohort = sa.Table(
    "saved_cohort",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("owner_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("created", Utc, nullable=False),
    sa.Column("archived", Utc),
    sa.UniqueConstraint("owner_id", "name", name="saved_cohort_owner_name"),
)

saved_cohort_version = sa.Table(
    "saved_cohort_version",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("cohort_id", sa.ForeignKey("saved_cohort.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),  # 1, 2, 3 within the cohort
    sa.Column("author_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("query", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("snapshot", sa.Integer, nullable=False),  # the warehouse snapshot it was counted on
    sa.Column("total", sa.Integer, nullable=False),  # patients on that snapshot, as shown; 0 for "fewer than"
    sa.Column("created", Utc, nullable=False),
    sa.UniqueConstraint("cohort_id", "number", name="saved_cohort_version_number"),
)

draft = sa.Table(
    "draft",
    metadata,
    sa.Column("account_id", sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("history", sa.Text, nullable=False),  # JSON list of builder states, oldest first
    sa.Column("changed", Utc, nullable=False),
)

job = sa.Table(
    "job",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("argument", sa.String(200), nullable=False),
    sa.Column("asked_by", sa.String(120), nullable=False),
    sa.Column("asked", Utc, nullable=False),
    sa.Column("started", Utc),
    sa.Column("ended", Utc),
    sa.Column("failed", sa.Boolean),
    sa.Column("outcome", sa.Text, nullable=False),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Utc, nullable=False),
    sa.Column("login", sa.String(120), nullable=False),
    sa.Column("role", sa.String(30), nullable=False),
    sa.Column("action", sa.String(40), nullable=False),
    sa.Column("allowed", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False, server_default=""),
    sa.Column("query", sa.Text, nullable=False, server_default=""),
    sa.Column("snapshot", sa.Integer),
    sa.Column("chain", sa.String(64), nullable=False),  # SHA-256 of the line before and of this one
)
sa.Index("audit_at", audit.c.at)
sa.Index("audit_login", audit.c.login, audit.c.id)

patient_read = sa.Table(
    "patient_read",
    metadata,
    sa.Column("line_id", sa.ForeignKey("audit.id"), primary_key=True),
    sa.Column("patient_id", sa.Integer, primary_key=True, autoincrement=False),
)
sa.Index("patient_read_patient", patient_read.c.patient_id, patient_read.c.line_id)

audit_checkpoint = sa.Table(
    "audit_checkpoint",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(10), nullable=False),  # seal, key, cut: see checkpoints.py
    sa.Column("line", sa.Integer, nullable=False),
    sa.Column("chain", sa.String(64), nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("at", Utc, nullable=False),
    sa.Column("subject", sa.String(64), nullable=False),
    sa.Column("signer", sa.String(64), nullable=False),  # Ed25519 public key, hexadecimal
    sa.Column("signature", sa.String(128), nullable=False, unique=True),
)

audit_review = sa.Table(
    "audit_review",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("since", Utc, nullable=False),
    sa.Column("until", Utc, nullable=False),
    sa.Column("at", Utc, nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # JSON; its SHA-256 is in the trail
    sa.Column("acknowledged", Utc),
    sa.Column("acknowledged_by", sa.String(120), nullable=False, server_default=""),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
)

secret = sa.Table(
    "secret",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)

answered_set = sa.Table(
    "answered_set",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("members", sa.LargeBinary, nullable=False),
    sa.Column("value", sa.Integer, nullable=False),  # as shown
    sa.Column("below", sa.Integer, nullable=False),
    sa.Column("margin", sa.Integer, nullable=False),
    sa.Column("cells", sa.Text, nullable=False),  # JSON: breakdown -> cell -> [value, below]
)
sa.Index("answered_set_size", answered_set.c.size)

answered_to = sa.Table(
    "answered_to",
    metadata,
    sa.Column("account_id", sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("set_id", sa.ForeignKey("answered_set.id"), primary_key=True),
    sa.Column("at", Utc, nullable=False),
)
sa.Index("answered_to_at", answered_to.c.account_id, answered_to.c.at)
