"""Tables of the catalogue: what was measured of a snapshot, results of the checks, notes, official figures.

Counts are exact here and reach nobody but through the result gate. No value of one patient is kept: a quantile
is written down only where enough patients stand on both sides of it (see `catalog.variables`).
"""

from __future__ import annotations

import sqlalchemy as sa

from estran.state.schema import Utc, metadata

catalog_entry = sa.Table(
    "catalog_entry",
    metadata,
    sa.Column("kind", sa.String(20), primary_key=True),  # table, document, variable, source, curve, steering
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("snapshot", sa.Integer, nullable=False),
    sa.Column("patients", sa.Integer, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("words", sa.Text, nullable=False),  # code and labels, without case or accents, for looking up
    sa.Column("body", sa.Text, nullable=False),  # JSON
)
sa.Index("catalog_entry_patients", catalog_entry.c.kind, catalog_entry.c.patients)

catalog_note = sa.Table(
    "catalog_note",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("key", sa.String(200), nullable=False),
    sa.Column("login", sa.String(120), nullable=False),
    sa.Column("at", Utc, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("closed", Utc),
    sa.Column("closed_by", sa.String(120), nullable=False, server_default=""),
)
sa.Index("catalog_note_subject", catalog_note.c.kind, catalog_note.c.key)

quality_run = sa.Table(
    "quality_run",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("snapshot", sa.Integer, nullable=False),
    sa.Column("at", Utc, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
)

quality_result = sa.Table(
    "quality_result",
    metadata,
    sa.Column("run_id", sa.ForeignKey("quality_run.id"), primary_key=True),
    sa.Column("check_key", sa.String(120), primary_key=True),
    sa.Column("applicable", sa.BigInteger, nullable=False),
    sa.Column("violated", sa.BigInteger, nullable=False),
    sa.Column("patients", sa.Integer, nullable=False),  # of the rows that violate it
    sa.Column("threshold", sa.Float, nullable=False),  # percent of the applicable rows
)

official_figure = sa.Table(
    "official_figure",
    metadata,
    sa.Column("month", sa.String(7), primary_key=True),  # YYYY-MM
    sa.Column("figure", sa.String(20), primary_key=True),
    sa.Column("code", sa.String(40), primary_key=True),  # of a GHM; "" otherwise
    sa.Column("value", sa.BigInteger, nullable=False),
    sa.Column("login", sa.String(120), nullable=False),
    sa.Column("at", Utc, nullable=False),
)
