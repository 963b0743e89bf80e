"""The tables of the data that projects bring: what was declared, and the files that were handed in."""

from __future__ import annotations

import sqlalchemy as sa

from estran.state.schema import Utc, metadata

own_data = sa.Table(
    "own_data",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("project", sa.String(20), nullable=False),
    sa.Column("title", sa.String(200), nullable=False),
    sa.Column("origin", sa.String(300), nullable=False),
    sa.Column("formality", sa.String(20), nullable=False),
    sa.Column("reference", sa.String(200), nullable=False),
    sa.Column("information", sa.Text, nullable=False),  # how patients were told
    sa.Column("until", sa.Date, nullable=False),  # last day on which it is kept
    sa.Column("declared_by", sa.String(120), nullable=False),
    sa.Column("declared", Utc, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),  # declared, accepted, refused, ended
    sa.Column("answered_by", sa.String(120), nullable=False, server_default=""),
    sa.Column("answered", Utc),
    sa.Column("said", sa.Text, nullable=False, server_default=""),
    sa.Column("content", sa.Text, nullable=False, server_default="{}"),  # JSON: its tables, columns and files
    sa.Column("snapshot", sa.Integer, nullable=False, server_default="0"),  # whose wishes of patients the store obeys
    sa.Column("ended", Utc),
    sa.Column("certificate", sa.Text, nullable=False, server_default=""),  # JSON
)
sa.Index("own_data_project", own_data.c.project)

own_file = sa.Table(
    "own_file",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("data_id", sa.ForeignKey("own_data.id"), nullable=False),
    sa.Column("form", sa.String(10), nullable=False),  # csv, ecrf, odm
    sa.Column("login", sa.String(120), nullable=False),
    sa.Column("account_id", sa.ForeignKey("account.id")),  # null: the key holder at the command line
    sa.Column("asked", Utc, nullable=False),
    sa.Column("sealed", sa.LargeBinary),  # the file, for the holder of the key alone; null once read
    sa.Column("look", sa.Text, nullable=False, server_default=""),  # JSON: its columns, without a value
    sa.Column("recipe", sa.Text, nullable=False, server_default=""),  # JSON; "" until it was mapped
    sa.Column("ended", Utc),
    sa.Column("outcome", sa.Text, nullable=False, server_default=""),  # JSON: counts and lines set aside
    sa.Column("problem", sa.Text, nullable=False, server_default=""),
)
sa.Index("own_file_data", own_file.c.data_id)
