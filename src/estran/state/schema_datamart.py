"""The table of the datamarts: each build of each, for whom, until when, and what became of it."""

from __future__ import annotations

import sqlalchemy as sa

from estran.state.schema import Utc, metadata

datamart = sa.Table(
    "datamart",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("project", sa.String(40), nullable=False),
    sa.Column("name", sa.String(40), nullable=False),
    sa.Column("recipient", sa.String(120), nullable=False),  # a login or an organisation
    sa.Column("number", sa.Integer, nullable=False),  # 1, 2, 3 of this project, name and recipient
    sa.Column("state", sa.String(10), nullable=False),  # asked, building, live, deleted
    sa.Column("snapshot", sa.Integer, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),  # JSON
    sa.Column("asked_by", sa.String(120), nullable=False),
    sa.Column("asked", Utc, nullable=False),
    sa.Column("expires", Utc, nullable=False),
    sa.Column("members", sa.LargeBinary, nullable=False),  # bytes of a set of patients; emptied with the files
    sa.Column("manifest", sa.Text, nullable=False),  # JSON; "" until it is built
    sa.Column("deleted", Utc),
    sa.Column("certificate", sa.Text, nullable=False),  # JSON; "" until its files are destroyed
    sa.UniqueConstraint("project", "name", "recipient", "number", name="datamart_number"),
)
