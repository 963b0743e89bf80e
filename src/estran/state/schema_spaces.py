"""The tables of workspaces and of the airlock. They hold no value of any patient: files lie sealed, beside."""

from __future__ import annotations

import sqlalchemy as sa

from estran.state.schema import Utc, metadata

space = sa.Table(
    "space",
    metadata,
    sa.Column("project", sa.Integer, primary_key=True, autoincrement=False),  # the number of the project, without its hyphen
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("datamart", sa.Text, nullable=False),  # folder of its files; "" once the workspace is destroyed
    sa.Column("made", Utc, nullable=False),
)

space_member = sa.Table(
    "space_member",
    metadata,
    sa.Column("project", sa.ForeignKey("space.project"), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), primary_key=True),
)

release_request = sa.Table(
    "release_request",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("project", sa.ForeignKey("space.project"), nullable=False),
    sa.Column("asked_by", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("asked", Utc, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("profile", sa.String(40), nullable=False),
    sa.Column("verdict", sa.String(10), nullable=False),  # of the automatic checks: pass, human, refuse
    sa.Column("state", sa.String(10), nullable=False),  # waiting, released, refused
    sa.Column("decided_by", sa.ForeignKey("account.id")),  # None: by the checks alone, or by the key holder
    sa.Column("decided", Utc),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
)
sa.Index("release_request_project", release_request.c.project, release_request.c.id)

release_file = sa.Table(
    "release_file",
    metadata,
    sa.Column("request_id", sa.ForeignKey("release_request.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(120), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),  # SHA-256 of the bytes, which lie under this name
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("verdict", sa.String(10), nullable=False),
    sa.Column("evidence", sa.Boolean, nullable=False),
    sa.Column("findings", sa.Text, nullable=False),  # JSON
)
