"""Tables of a house that several sites share: of which site each account is."""

from __future__ import annotations

import sqlalchemy as sa

from estran.state.schema import metadata

seat = sa.Table(
    "seat",
    metadata,
    sa.Column("account_id", sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("site", sa.String(60), nullable=False),  # id of a member of the network
)
