"""The table of original documents asked for, for care, by one person."""

from __future__ import annotations

import sqlalchemy as sa

from estran.state.schema import Utc, metadata

original = sa.Table(
    "original",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("document_id", sa.Integer, nullable=False),
    sa.Column("patient_id", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("public", sa.LargeBinary, nullable=False),  # half of a key whose other half only the asking browser has
    sa.Column("asked", Utc, nullable=False),
    sa.Column("expires", Utc, nullable=False),
    sa.Column("sealed", sa.LargeBinary),  # the document, closed for that browser; null until ready and once expired
    sa.Column("ready", Utc),
    sa.Column("problem", sa.Text, nullable=False, server_default=""),
)
