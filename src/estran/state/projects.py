"""Projects as they are kept: a number, and steps that are only ever added."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from estran.model.errors import StoreError
from estran.state.schema_life import project, project_call, project_event
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class Written:
    """A step about to be kept: who takes it, and the line of the audit trail that allowed it."""

    account_id: int | None
    login: str
    role: str
    step: str
    body: dict[str, Any]
    audit_line: int


@dataclass(frozen=True)
class Event(Written):
    """A step taken. `chain` is the SHA-256 of the step before and of this one."""

    id: int
    place: int
    at: dt.datetime
    chain: str


@dataclass(frozen=True)
class Call:
    """A call for projects. `grid` lists what experts score, each with its most points."""

    id: int
    title: str
    deadline: dt.date
    sites: int
    experts: int
    grid: tuple[tuple[str, int], ...]


class ProjectBook:
    """The projects of the site. StoreError when a step that was kept is not what it was."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def begin(self, first: Written) -> str:
        """A new project with its first step; returns its number, of the year now running."""
        moment = now()
        with writing(self._engine) as connection:
            number = _next_number(connection, moment.year)
            values = {"number": number, "created": moment}
            key = connection.execute(project.insert().values(**values)).inserted_primary_key
            _append(connection, int(key[0]) if key else 0, number, None, first, moment)
        return number

    def append(self, number: str, after: int, step: Written) -> bool:
        """Keep a step after step `after`; False when another one was kept there in the meantime."""
        with writing(self._engine) as connection:
            key = connection.scalar(sa.select(project.c.id).where(project.c.number == number))
            rows = connection.execute(_events().where(project.c.number == number)).all()
            if key is None or not rows or rows[-1].place != after:
                return False
            _append(connection, key, number, _proved(number, rows)[-1], step, now())
        return True

    def events(self, number: str) -> list[Event]:
        """The steps of a project, the first first; none when there is no such project."""
        with reading(self._engine) as connection:
            rows = connection.execute(_events().where(project.c.number == number)).all()
        return _proved(number, rows)

    def all(self) -> dict[str, list[Event]]:
        """The steps of every project, by number, the newest project first."""
        found: dict[str, list[Any]] = defaultdict(list)
        with reading(self._engine) as connection:
            for row in connection.execute(_events()):
                found[row.number].append(row)
        return {number: _proved(number, found[number]) for number in sorted(found, reverse=True)}

    def add_call(
        self, title: str, deadline: dt.date, sites: int, experts: int, grid: tuple[tuple[str, int], ...]
    ) -> int:
        """Publish a call for projects; returns its number."""
        values = {
            "title": title, "deadline": deadline, "sites": sites, "experts": experts,
            "grid": orjson.dumps(grid).decode(), "created": now(),
        }  # fmt: skip
        with writing(self._engine) as connection:
            key = connection.execute(project_call.insert().values(**values)).inserted_primary_key
        return int(key[0]) if key else 0

    def calls(self) -> list[Call]:
        """Every call, the newest first."""
        columns = (
            project_call.c.id,
            project_call.c.title,
            project_call.c.deadline,
            project_call.c.sites,
            project_call.c.experts,
            project_call.c.grid,
        )
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(*columns).order_by(project_call.c.id.desc())).all()
        return [Call(*row[:5], tuple((name, most) for name, most in orjson.loads(row.grid))) for row in rows]


def _next_number(connection: sa.Connection, year: int) -> str:
    last = connection.scalar(sa.select(sa.func.max(project.c.number)).where(project.c.number.like(f"{year}-%")))
    return f"{year}-{int(last[5:]) + 1 if last else 1:03}"


def _events() -> sa.Select[Any]:
    joined = project_event.join(project, project.c.id == project_event.c.project_id)
    return (
        sa.select(project.c.number, project_event)
        .select_from(joined)
        .order_by(project_event.c.project_id, project_event.c.place)
    )


def _append(
    connection: sa.Connection, project_id: int, number: str, last: Event | None, step: Written, at: dt.datetime
) -> None:
    values = {
        "account_id": step.account_id, "login": step.login, "role": step.role, "step": step.step,
        "body": orjson.dumps(step.body, option=orjson.OPT_SORT_KEYS).decode(), "audit_line": step.audit_line,
        "place": last.place + 1 if last else 1, "at": at,
    }  # fmt: skip
    chain = _link(number, last.chain if last else "", values)
    connection.execute(project_event.insert().values(project_id=project_id, chain=chain, **values))


def _link(number: str, before: str, values: dict[str, Any]) -> str:
    said = [values[name] for name in ("place", "account_id", "login", "role", "step", "body", "audit_line")]
    return hashlib.sha256(orjson.dumps([before, number, values["at"].isoformat(), *said])).hexdigest()


def _proved(number: str, rows: Iterable[Any]) -> list[Event]:
    found: list[Event] = []
    for row in rows:
        values = dict(row._mapping)
        before = found[-1] if found else None
        right = row.place == len(found) + 1 and row.chain == _link(number, before.chain if before else "", values)
        if not right:
            raise StoreError(
                "A step of this project is not what it was when it was taken.", where=f"{number}, step {row.place}",
                hint="keep a copy of the site as it is, and restore the database from a backup",
            )  # fmt: skip
        del values["number"], values["project_id"]
        found.append(Event(**values | {"body": orjson.loads(row.body)}))
    return found
