"""The tables of projects: their steps, the calls for projects, and notices that wait to be sent.

A project has no row that changes: what it is now is what its steps add up to (`projects.life.project`).
"""

from __future__ import annotations

import sqlalchemy as sa

from estran.state.schema import Utc, metadata

project = sa.Table(
    "project",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("number", sa.String(12), nullable=False, unique=True),  # 2026-001
    sa.Column("created", Utc, nullable=False),
)

project_event = sa.Table(
    "project_event",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("project_id", sa.ForeignKey("project.id"), nullable=False),
    sa.Column("place", sa.Integer, nullable=False),  # 1, 2, 3 within the project
    sa.Column("at", Utc, nullable=False),
    sa.Column("account_id", sa.ForeignKey("account.id")),  # null for the key holder
    sa.Column("login", sa.String(120), nullable=False),
    sa.Column("role", sa.String(30), nullable=False),
    sa.Column("step", sa.String(20), nullable=False),
    sa.Column("body", sa.Text, nullable=False),  # JSON
    sa.Column("audit_line", sa.Integer, nullable=False),  # the line of the audit trail that allowed it
    sa.Column("chain", sa.String(64), nullable=False),  # SHA-256 of the step before and of this one
    sa.UniqueConstraint("project_id", "place", name="project_event_place"),
)

project_call = sa.Table(
    "project_call",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("title", sa.String(200), nullable=False, unique=True),
    sa.Column("deadline", sa.Date, nullable=False),  # last day for letters of intent
    sa.Column("sites", sa.Integer, nullable=False),  # fewest sites
    sa.Column("experts", sa.Integer, nullable=False),  # fewest opinions
    sa.Column("grid", sa.Text, nullable=False),  # JSON list of [criterion, most points]
    sa.Column("created", Utc, nullable=False),
)

mail_address = sa.Table(
    "mail_address",
    metadata,
    sa.Column("account_id", sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("address", sa.String(254), nullable=False),
)

notice = sa.Table(
    "notice",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String(120), nullable=False, unique=True),  # what it tells to whom: told once
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("created", Utc, nullable=False),
    sa.Column("next_try", Utc, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("sent", Utc),
    sa.Column("problem", sa.String(200), nullable=False, server_default=""),
)
sa.Index("notice_waiting", notice.c.sent, notice.c.next_try)
