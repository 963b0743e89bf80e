"""Which project has a workspace, on which folder, for whom; and the requests to let files out of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from estran.model.errors import UsageError
from estran.state.schema_spaces import release_file, release_request, space, space_member
from estran.state.transactions import now, reading, writing


@dataclass(frozen=True)
class Space:
    """A project's workspace: the folder of its datamart ("" once its files are destroyed), and the accounts of its team.

    `project` is the project's number without its hyphen: 2026001 for 2026-001.
    """

    project: int
    name: str
    datamart: str
    team: frozenset[int]

    @property
    def number(self) -> str:
        """The number of the project, as its page has it."""
        return f"{str(self.project)[:4]}-{str(self.project)[4:]}"

    @property
    def ended(self) -> bool:
        """Whether its files are destroyed."""
        return not self.datamart


def space_key(number: str) -> int:
    """The number of a project as workspaces know it; UsageError when it is none."""
    year, _, rest = number.partition("-")
    if not (len(year) == 4 and 3 <= len(rest) <= 4 and (year + rest).isdecimal() and (year + rest).isascii()):
        raise UsageError("There is no project of this number.")
    return int(year + rest)


@dataclass(frozen=True)
class ReleaseFile:
    """A file of a request; `findings` is JSON."""

    name: str
    digest: str
    size: int
    verdict: str
    evidence: bool
    findings: str


@dataclass(frozen=True)
class ReleaseRequest:
    """A request; `state` is waiting, released or refused. `decided_by` is None when the checks alone refused."""

    id: int
    project: int
    asked_by: int
    asked: dt.datetime
    purpose: str
    profile: str
    verdict: str
    state: str
    decided_by: int | None
    decided: dt.datetime | None
    reason: str
    files: tuple[ReleaseFile, ...] = ()


class Spaces:
    """The workspaces that projects were given."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def give(self, project: int, name: str, datamart: str, team: Collection[int]) -> None:
        """Give a project a workspace, or change its name, folder and team."""
        with writing(self._engine) as connection:
            values = {"name": name, "datamart": datamart}
            if not connection.execute(space.update().where(space.c.project == project).values(**values)).rowcount:
                connection.execute(space.insert().values(project=project, made=now(), **values))
            connection.execute(space_member.delete().where(space_member.c.project == project))
            if team:
                connection.execute(
                    space_member.insert(), [{"project": project, "account_id": one} for one in sorted(set(team))]
                )

    def move(self, old: str, new: str) -> None:
        """Every workspace on the folder `old` is on `new` from now on."""
        with writing(self._engine) as connection:
            connection.execute(space.update().where(space.c.datamart == old).values(datamart=new))

    def end(self, project: int) -> None:
        """The files of a workspace are destroyed."""
        with writing(self._engine) as connection:
            connection.execute(space.update().where(space.c.project == project).values(datamart=""))

    def find(self, project: int) -> Space | None:
        """The workspace of a project, or None."""
        return next(iter(self._where(space.c.project == project)), None)

    def all(self) -> list[Space]:
        """Every workspace, by project."""
        return self._where(sa.true())

    def _where(self, condition: sa.ColumnElement[bool]) -> list[Space]:
        with reading(self._engine) as connection:
            rows = connection.execute(space.select().where(condition).order_by(space.c.project)).all()
            members = connection.execute(space_member.select()).all()
        team = {row.project: {m.account_id for m in members if m.project == row.project} for row in rows}
        return [Space(row.project, row.name, row.datamart, frozenset(team[row.project])) for row in rows]


class Releases:
    """Requests and their files. A request is decided once."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def ask(
        self, project: int, asked_by: int, purpose: str, profile: str, verdict: str, files: Sequence[ReleaseFile]
    ) -> int:
        """Keep a request; one that the checks refuse is decided at once. Returns its number."""
        moment, refused = now(), verdict == "refuse"
        values = {
            "project": project, "asked_by": asked_by, "asked": moment, "purpose": purpose, "profile": profile, "verdict": verdict,
            "state": "refused" if refused else "waiting", "decided": moment if refused else None,
        }  # fmt: skip
        with writing(self._engine) as connection:
            key = connection.execute(release_request.insert().values(**values)).inserted_primary_key
            number = int(key[0]) if key else 0
            rows = [asdict(one) | {"request_id": number, "number": place} for place, one in enumerate(files, start=1)]
            connection.execute(release_file.insert(), rows)
        return number

    def decide(self, number: int, released: bool, decided_by: int | None, reason: str) -> bool:
        """Decide a request that waits; False when none of this number does."""
        values = {
            "state": "released" if released else "refused",
            "decided_by": decided_by,
            "decided": now(),
            "reason": reason,
        }
        waits = sa.and_(release_request.c.id == number, release_request.c.state == "waiting")
        with writing(self._engine) as connection:
            return connection.execute(release_request.update().where(waits).values(**values)).rowcount == 1

    def find(self, number: int) -> ReleaseRequest | None:
        """A request with its files, or None."""
        found = self._where(release_request.c.id == number, 1)
        return found[0] if found else None

    def of(self, project: int, limit: int = 200) -> list[ReleaseRequest]:
        """The requests of a project, the newest first."""
        return self._where(release_request.c.project == project, limit)

    def all(self, limit: int = 200) -> list[ReleaseRequest]:
        """The newest requests: those that wait first."""
        return sorted(self._where(sa.true(), limit), key=lambda one: one.state != "waiting")

    def _where(self, condition: sa.ColumnElement[bool], limit: int) -> list[ReleaseRequest]:
        query = release_request.select().where(condition).order_by(release_request.c.id.desc()).limit(limit)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
            wanted = release_file.select().where(release_file.c.request_id.in_([row.id for row in rows]))
            files = connection.execute(wanted.order_by(release_file.c.number)).all()
        return [
            ReleaseRequest(**row._mapping, files=tuple(_file(f) for f in files if f.request_id == row.id))
            for row in rows
        ]


def _file(row: Any) -> ReleaseFile:
    return ReleaseFile(row.name, row.digest, row.size, row.verdict, row.evidence, row.findings)
