"""Tables of chart review. Patients are pseudonymous numbers; texts stay in the warehouse, marks are offsets in them."""

from __future__ import annotations

import sqlalchemy as sa

from estran.state.schema import Utc, metadata

chart_form = sa.Table(
    "chart_form",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(120), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),  # 1, 2, 3 of the name
    sa.Column("body", sa.Text, nullable=False),  # as its author wrote it
    sa.Column("author", sa.String(120), nullable=False),
    sa.Column("created", Utc, nullable=False),
    sa.UniqueConstraint("name", "version", name="chart_form_name_version"),
)

chart_list = sa.Table(
    "chart_list",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, unique=True),
    sa.Column("owner_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("version_id", sa.ForeignKey("saved_cohort_version.id"), nullable=False),
    sa.Column("snapshot", sa.Integer, nullable=False),
    sa.Column("form_id", sa.ForeignKey("chart_form.id")),
    sa.Column("blind", sa.Boolean, nullable=False),
    sa.Column("readings", sa.Integer, nullable=False),  # reviewers of each patient
    sa.Column("seed", sa.Integer, nullable=False),  # of the random samples
    sa.Column("sampled", sa.Boolean, nullable=False),  # whether those of the cohort are a random sample of it
    sa.Column("selected", sa.Integer, nullable=False),  # patients of the cohort, as shown; 0 for "fewer than"
    sa.Column("others", sa.Integer, nullable=False),  # patients outside it, as shown
    sa.Column("created", Utc, nullable=False),
    sa.Column("closed", Utc),
)

chart_patient = sa.Table(
    "chart_patient",
    metadata,
    sa.Column("list_id", sa.ForeignKey("chart_list.id"), primary_key=True),
    sa.Column("patient_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("selected", sa.Boolean, nullable=False),  # by the cohort; the others check what it misses
    sa.Column("index_date", sa.Date),
)

chart_share = sa.Table(
    "chart_share",
    metadata,
    sa.Column("list_id", sa.ForeignKey("chart_list.id"), primary_key=True),
    sa.Column("patient_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("account_id", sa.ForeignKey("account.id"), primary_key=True),
)
sa.Index("chart_share_account", chart_share.c.account_id, chart_share.c.list_id)

chart_adjudicator = sa.Table(
    "chart_adjudicator",
    metadata,
    sa.Column("list_id", sa.ForeignKey("chart_list.id"), primary_key=True),
    sa.Column("account_id", sa.ForeignKey("account.id"), primary_key=True),
)

chart_document = sa.Table(
    "chart_document",
    metadata,
    sa.Column("list_id", sa.ForeignKey("chart_list.id"), primary_key=True),
    sa.Column("document_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("patient_id", sa.Integer, nullable=False),
    sa.Column("text_hash", sa.String(64), nullable=False),  # SHA-256 of the text that the offsets are true of
)

chart_decision = sa.Table(
    "chart_decision",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("list_id", sa.ForeignKey("chart_list.id"), nullable=False),
    sa.Column("patient_id", sa.Integer, nullable=False),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("final", sa.Boolean, nullable=False),  # an adjudicator's
    sa.Column("verdict", sa.String(10), nullable=False),  # include, exclude, doubt
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("answers", sa.Text, nullable=False),  # JSON: item -> value
    sa.Column("evidence", sa.Text, nullable=False),  # JSON: item -> the fact whose value was kept
    sa.Column("at", Utc, nullable=False),
    sa.Column("undone", sa.Boolean, nullable=False),
)
sa.Index("chart_decision_list", chart_decision.c.list_id, chart_decision.c.patient_id)

chart_marking = sa.Table(
    "chart_marking",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("list_id", sa.ForeignKey("chart_list.id"), nullable=False),
    sa.Column("document_id", sa.Integer, nullable=False),
    sa.Column("patient_id", sa.Integer, nullable=False),
    sa.Column("account_id", sa.ForeignKey("account.id"), nullable=False),
    sa.Column("final", sa.Boolean, nullable=False),
    sa.Column("spans", sa.Text, nullable=False),  # JSON list: start, end, label, attributes
    sa.Column("done", sa.Boolean, nullable=False),
    sa.Column("at", Utc, nullable=False),
)
sa.Index("chart_marking_list", chart_marking.c.list_id, chart_marking.c.document_id)
