"""Tables of what bounds an account, and of records opened for care."""

from __future__ import annotations

import sqlalchemy as sa

from estran.state.schema import Utc, metadata

perimeter = sa.Table(
    "perimeter",
    metadata,
    sa.Column("account_id", sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),  # JSON of model.perimeter
    sa.Column("set_by", sa.String(120), nullable=False),
    sa.Column("at", Utc, nullable=False),
)

opening = sa.Table(
    "care_opening",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("patient_id", sa.Integer, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("opened", Utc, nullable=False),
    sa.Column("until", Utc, nullable=False),  # brought forward when it is closed before
    sa.Column("acknowledged", Utc),
    sa.Column("acknowledged_by", sa.String(120), nullable=False, server_default=""),
)
sa.Index("care_opening_account", opening.c.account_id, opening.c.until)
