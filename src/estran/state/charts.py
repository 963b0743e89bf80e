"""Chart review as it is kept: forms and lists never change, what a person decided or marked is added, never written over."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from estran.model.errors import UsageError
from estran.state.schema import account
from estran.state.schema_charts import (
    chart_adjudicator,
    chart_decision,
    chart_document,
    chart_form,
    chart_list,
    chart_marking,
    chart_patient,
    chart_share,
)
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class FormRecord:
    """A version of a form, as its author wrote it."""

    id: int
    name: str
    version: int
    body: str
    author: str
    created: dt.datetime


@dataclass(frozen=True)
class ListRecord:
    """A review list. `selected` and `others` count the patients in the cohort and outside it as they were shown."""

    id: int
    name: str
    owner_id: int
    version_id: int
    snapshot: int
    form_id: int | None
    blind: bool
    readings: int
    seed: int
    sampled: bool
    selected: int
    others: int
    created: dt.datetime
    closed: dt.datetime | None


@dataclass(frozen=True)
class ListDraft:
    """What a new list is made of: `documents` are (document, patient, hash of the text)."""

    name: str
    owner_id: int
    version_id: int
    snapshot: int
    form_id: int | None
    blind: bool
    readings: int
    seed: int
    sampled: bool
    selected: int
    others: int


@dataclass(frozen=True)
class ListedPatient:
    """A patient of a list, in the order of reading."""

    patient_id: int
    place: int
    selected: bool
    index_date: dt.date | None


@dataclass(frozen=True)
class ListedText:
    """A text to mark, as it was when the list was made."""

    document_id: int
    patient_id: int
    text_hash: str


@dataclass(frozen=True)
class Said:
    """What a person decided of a patient; `final` when it was an adjudicator."""

    id: int
    patient_id: int
    account_id: int
    login: str
    final: bool
    verdict: str
    comment: str
    answers: dict[str, Any]
    evidence: dict[str, Any]
    at: dt.datetime


@dataclass(frozen=True)
class Marked:
    """The marks of a person in a text, as rows of start, end, label, attributes."""

    id: int
    document_id: int
    patient_id: int
    account_id: int
    login: str
    final: bool
    spans: list[dict[str, Any]]
    done: bool
    at: dt.datetime


class ChartBook:
    """Forms, lists and what was read."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add_form(self, name: str, body: str, author: str) -> FormRecord:
        """The next version of the form `name`; the newest one again when nothing changed."""
        with writing(self._engine) as connection:
            newest = connection.execute(_forms().where(chart_form.c.name == name)).first()
            if newest is not None and newest.body == body:
                return FormRecord(**newest._mapping)
            values: dict[str, Any] = {
                "name": name,
                "version": 1 if newest is None else newest.version + 1,
                "body": body,
                "author": author,
                "created": now(),
            }
            key = connection.execute(chart_form.insert().values(**values)).inserted_primary_key
            return FormRecord(key[0] if key else 0, **values)

    def form(self, form_id: int) -> FormRecord | None:
        """One version of a form."""
        with reading(self._engine) as connection:
            row = connection.execute(_forms().where(chart_form.c.id == form_id)).one_or_none()
        return None if row is None else FormRecord(**row._mapping)

    def forms(self) -> list[FormRecord]:
        """Every version of every form, by name, the newest first."""
        with reading(self._engine) as connection:
            return [FormRecord(**row._mapping) for row in connection.execute(_forms())]

    def make(
        self, draft: ListDraft, patients: Sequence[ListedPatient], shares: Mapping[int, Sequence[int]],
        adjudicators: Iterable[int], documents: Iterable[ListedText],
    ) -> ListRecord:  # fmt: skip
        """A list with its patients, who reads each, and its texts; UsageError when the name is taken."""
        values = asdict(draft) | {"created": now()}
        with writing(self._engine) as connection:
            if connection.scalar(sa.select(chart_list.c.id).where(chart_list.c.name == draft.name)) is not None:
                raise UsageError("A review list of this name is there already.")
            key = connection.execute(chart_list.insert().values(**values)).inserted_primary_key
            number = int(key[0]) if key else 0
            given = [{"patient_id": p, "account_id": a} for p, people in shares.items() for a in people]
            for table, rows in (
                (chart_patient, [asdict(one) for one in patients]), (chart_share, given),
                (chart_adjudicator, [{"account_id": one} for one in adjudicators]),
                (chart_document, [asdict(one) for one in documents]),
            ):  # fmt: skip
                if rows:
                    connection.execute(table.insert(), [row | {"list_id": number} for row in rows])
        return ListRecord(id=number, closed=None, **values)

    def record(self, list_id: int) -> ListRecord | None:
        """One list."""
        return next(iter(self._lists(chart_list.c.id == list_id)), None)

    def lists(self) -> list[ListRecord]:
        """Every list, the newest first."""
        return self._lists(sa.true())

    def given_to(self, account_id: int) -> list[ListRecord]:
        """The lists in which a person reads or settles, the newest first."""
        mine = [sa.select(t.c.list_id).where(t.c.account_id == account_id) for t in (chart_share, chart_adjudicator)]
        return self._lists(chart_list.c.id.in_(sa.union(*mine)))

    def _lists(self, which: sa.ColumnElement[bool]) -> list[ListRecord]:
        with reading(self._engine) as connection:
            rows = connection.execute(chart_list.select().where(which).order_by(chart_list.c.id.desc())).all()
        return [ListRecord(**row._mapping) for row in rows]

    def close(self, list_id: int) -> None:
        """Nothing more is decided in this list."""
        with writing(self._engine) as connection:
            connection.execute(chart_list.update().where(chart_list.c.id == list_id).values(closed=now()))

    def patients(self, list_id: int) -> list[ListedPatient]:
        """The patients of a list, in order."""
        columns = (chart_patient.c[name] for name in ("patient_id", "place", "selected", "index_date"))
        query = sa.select(*columns).where(chart_patient.c.list_id == list_id).order_by(chart_patient.c.place)
        with reading(self._engine) as connection:
            return [ListedPatient(**row._mapping) for row in connection.execute(query)]

    def shares(self, list_id: int) -> dict[int, tuple[int, ...]]:
        """Who reads each patient of a list."""
        query = chart_share.select().where(chart_share.c.list_id == list_id).order_by(chart_share.c.account_id)
        found: dict[int, tuple[int, ...]] = {}
        with reading(self._engine) as connection:
            for row in connection.execute(query):
                found[row.patient_id] = (*found.get(row.patient_id, ()), row.account_id)
        return found

    def adjudicators(self, list_id: int) -> tuple[int, ...]:
        """Who settles in a list."""
        query = sa.select(chart_adjudicator.c.account_id).where(chart_adjudicator.c.list_id == list_id)
        with reading(self._engine) as connection:
            return tuple(connection.scalars(query.order_by(chart_adjudicator.c.account_id)))

    def texts(self, list_id: int) -> list[ListedText]:
        """The texts to mark of a list."""
        columns = (chart_document.c[name] for name in ("document_id", "patient_id", "text_hash"))
        query = sa.select(*columns).where(chart_document.c.list_id == list_id).order_by(chart_document.c.document_id)
        with reading(self._engine) as connection:
            return [ListedText(**row._mapping) for row in connection.execute(query)]

    def decide(
        self, list_id: int, patient_id: int, account_id: int, verdict: str, comment: str, answers: Mapping[str, Any],
        evidence: Mapping[str, Any], final: bool = False,
    ) -> None:  # fmt: skip
        """What a person says of a patient from now on."""
        values = {
            "list_id": list_id, "patient_id": patient_id, "account_id": account_id, "final": final, "verdict": verdict,
            "comment": comment, "answers": orjson.dumps(answers).decode(), "evidence": orjson.dumps(evidence).decode(),
            "at": now(), "undone": False,
        }  # fmt: skip
        with writing(self._engine) as connection:
            connection.execute(chart_decision.insert().values(**values))

    def undo(self, list_id: int, account_id: int, final: bool = False) -> int | None:
        """Take a person's last decision in a list back; the patient whom it was about, None when there is none."""
        d = chart_decision.c
        mine = sa.and_(d.list_id == list_id, d.account_id == account_id, d.final == final, d.undone.is_(sa.false()))
        with writing(self._engine) as connection:
            last = connection.execute(
                sa.select(d.id, d.patient_id).where(mine).order_by(d.id.desc()).limit(1)
            ).one_or_none()
            if last is None:
                return None
            connection.execute(chart_decision.update().where(d.id == last.id).values(undone=True))
        return int(last.patient_id)

    def said(self, list_id: int) -> list[Said]:
        """What each person says of each patient of a list now."""
        d = chart_decision.c
        newest = sa.select(sa.func.max(d.id)).where(d.list_id == list_id, d.undone.is_(sa.false()))
        newest = newest.group_by(d.patient_id, d.account_id, d.final)
        return [
            Said(**row | {name: orjson.loads(row[name]) for name in ("answers", "evidence")})
            for row in self._with_login(chart_decision, newest, ("list_id", "undone"))
        ]

    def mark(
        self, list_id: int, text: ListedText, account_id: int, spans: Sequence[Mapping[str, Any]], done: bool,
        final: bool = False,
    ) -> None:  # fmt: skip
        """The marks of a person in a text from now on."""
        values = {
            "list_id": list_id, "document_id": text.document_id, "patient_id": text.patient_id, "account_id": account_id,
            "final": final, "spans": orjson.dumps(list(spans)).decode(), "done": done, "at": now(),
        }  # fmt: skip
        with writing(self._engine) as connection:
            connection.execute(chart_marking.insert().values(**values))

    def marked(self, list_id: int) -> list[Marked]:
        """The marks of each person in each text of a list now."""
        m = chart_marking.c
        newest = sa.select(sa.func.max(m.id)).where(m.list_id == list_id).group_by(m.document_id, m.account_id, m.final)
        return [
            Marked(**row | {"spans": orjson.loads(row["spans"])})
            for row in self._with_login(chart_marking, newest, ("list_id",))
        ]

    def _with_login(self, table: sa.Table, ids: sa.Select[Any], left_out: Sequence[str]) -> list[dict[str, Any]]:
        columns = [column for column in table.c if column.name not in left_out]
        query = sa.select(*columns, account.c.login).join(account, account.c.id == table.c.account_id)
        with reading(self._engine) as connection:
            rows = connection.execute(query.where(table.c.id.in_(ids)).order_by(table.c.id)).all()
        return [dict(row._mapping) for row in rows]

    def forget(self, patient_id: int) -> None:
        """Remove all that was said and marked of a patient, who is on no list any more: the patient was erased."""
        with writing(self._engine) as connection:
            for table in (chart_decision, chart_marking, chart_document, chart_share, chart_patient):
                connection.execute(table.delete().where(table.c.patient_id == patient_id))


def _forms() -> sa.Select[Any]:
    return sa.select(chart_form).order_by(chart_form.c.name, chart_form.c.version.desc())
