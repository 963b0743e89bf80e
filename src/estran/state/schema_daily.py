"""The tables of every day's work: stars and shares of saved cohorts, questions that the clock asks again, notices, lists of
patient numbers to be read where the key is, lists of names for a treating team."""

from __future__ import annotations

import sqlalchemy as sa

from estran.state.schema import Utc, metadata

favourite = sa.Table(
    "favourite",
    metadata,
    sa.Column("account_id", sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("cohort_id", sa.ForeignKey("saved_cohort.id"), primary_key=True),
)

share = sa.Table(
    "share",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("cohort_id", sa.ForeignKey("saved_cohort.id"), nullable=False),
    sa.Column("account_id", sa.ForeignKey("account.id")),  # with one person
    sa.Column("role", sa.String(30), nullable=False, server_default=""),  # or with a role
    sa.Column("at", Utc, nullable=False),
)
sa.Index("share_cohort", share.c.cohort_id)

followed = sa.Table(
    "followed",
    metadata,
    sa.Column("cohort_id", sa.ForeignKey("saved_cohort.id"), primary_key=True),
    sa.Column("every", sa.String(10), nullable=False),  # daily, weekly
    sa.Column("began", Utc, nullable=False),
    sa.Column("next", Utc, nullable=False),
    sa.Column("last", Utc),  # null until it ran once
    sa.Column("version_id", sa.Integer, nullable=False),  # that `members` answer; 0 before the first run
    sa.Column("members", sa.LargeBinary, nullable=False),  # patients already told of: a bitmap, never shown
    sa.Column("problem", sa.Text, nullable=False, server_default=""),  # why the last run could not be
)

news = sa.Table(
    "news",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("cohort_id", sa.ForeignKey("saved_cohort.id")),
    sa.Column("kind", sa.String(20), nullable=False),  # new, stopped, shared
    sa.Column("said", sa.Text, nullable=False),  # name of the cohort, or a sentence
    sa.Column("value", sa.Integer, nullable=False, server_default="0"),  # as the gate lets it be shown
    sa.Column("below", sa.Integer, nullable=False, server_default="0"),
    sa.Column("margin", sa.Integer, nullable=False, server_default="0"),
    sa.Column("at", Utc, nullable=False),
    sa.Column("seen", Utc),
)
sa.Index("news_account", news.c.account_id, news.c.seen)

patient_list = sa.Table(
    "patient_list",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),  # number, ins
    sa.Column("authority", sa.String(200), nullable=False),
    sa.Column("sealed", sa.LargeBinary),  # the file, for the holder of the key alone; null once read
    sa.Column("asked", Utc, nullable=False),
    sa.Column("ended", Utc),
    sa.Column("outcome", sa.Text, nullable=False, server_default=""),  # JSON of counts as shown
    sa.Column("problem", sa.Text, nullable=False, server_default=""),
    sa.Column("cohort_id", sa.ForeignKey("saved_cohort.id")),
)

screening = sa.Table(
    "screening",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False),  # of the treating team
    sa.Column("ward", sa.String(120), nullable=False),  # code of the unit
    sa.Column("sealed", sa.LargeBinary),  # the list, sealed with the site's key; null once expired
    sa.Column("made", Utc, nullable=False),
    sa.Column("expires", Utc, nullable=False),
    sa.Column("handed", Utc),
)
