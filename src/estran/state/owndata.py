"""The data that projects bring: declared, accepted, handed in, ended. The row of one that ended keeps its certificate."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
import sqlalchemy as sa

from estran.state.doors import SealedDoor
from estran.state.schema_owndata import own_data, own_file
from estran.state.transactions import now, reading, writing


class OwnState(StrEnum):
    """Where a data set stands."""

    DECLARED = "declared"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    ENDED = "ended"


@dataclass(frozen=True)
class OwnDeclaration:
    """What the responsible of a project says of data that the project brings."""

    title: str
    origin: str
    formality: str
    reference: str
    information: str
    until: dt.date


@dataclass(frozen=True)
class OwnDataRow:
    """A data set. `content` and `certificate` are JSON."""

    id: int
    project: str
    title: str
    origin: str
    formality: str
    reference: str
    information: str
    until: dt.date
    declared_by: str
    declared: dt.datetime
    state: str
    answered_by: str
    answered: dt.datetime | None
    said: str
    content: str
    snapshot: int
    ended: dt.datetime | None
    certificate: str


@dataclass(frozen=True)
class OwnFileRow:
    """A file handed in. `sealed` is None once it was read; `recipe` "" until it was mapped; `outcome` is JSON."""

    id: int
    data_id: int
    form: str
    login: str
    account_id: int | None
    asked: dt.datetime
    sealed: bytes | None
    look: str
    recipe: str
    ended: dt.datetime | None
    outcome: str
    problem: str


class OwnDataBook:
    """The data sets of all projects and their files."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine, self.door = engine, SealedDoor(engine, "own-data")

    # Data sets

    def declare(self, project: str, said: OwnDeclaration, login: str) -> int:
        """A new data set; its number."""
        values = {
            **vars(said),
            "project": project,
            "declared_by": login,
            "declared": now(),
            "state": OwnState.DECLARED.value,
        }
        with writing(self._engine) as connection:
            key = connection.execute(own_data.insert().values(**values)).inserted_primary_key
        return int(key[0]) if key else 0

    def answer(self, number: int, state: OwnState, login: str, said: str) -> bool:
        """Accept or refuse one that waits; False when it does not."""
        waiting = sa.and_(own_data.c.id == number, own_data.c.state == OwnState.DECLARED.value)
        values = {"state": state.value, "answered_by": login, "answered": now(), "said": said}
        with writing(self._engine) as connection:
            return bool(connection.execute(own_data.update().where(waiting).values(**values)).rowcount)

    def keep(self, number: int, content: str, snapshot: int) -> bool:
        """What the store holds from now on, and the snapshot whose wishes it obeys; False when it was ended meanwhile."""
        live = sa.and_(own_data.c.id == number, own_data.c.state == OwnState.ACCEPTED.value)
        with writing(self._engine) as connection:
            return bool(
                connection.execute(own_data.update().where(live).values(content=content, snapshot=snapshot)).rowcount
            )

    def forgotten(self, number: int) -> None:
        """The vault has forgotten the subjects of one that ended."""
        self._set(number, snapshot=0)

    def end(self, number: int, certificate: str) -> None:
        """Its store is gone; files that wait go with it."""
        self._set(number, state=OwnState.ENDED.value, content="{}", ended=now(), certificate=certificate)
        gone = {"sealed": None, "ended": now(), "problem": "The data set was ended."}
        with writing(self._engine) as connection:
            connection.execute(own_file.update().where(own_file.c.data_id == number).values(look=""))
            connection.execute(
                own_file.update().where(own_file.c.data_id == number, own_file.c.ended.is_(None)).values(**gone)
            )

    def _set(self, number: int, **values: Any) -> None:
        with writing(self._engine) as connection:
            connection.execute(own_data.update().where(own_data.c.id == number).values(**values))

    def find(self, number: int) -> OwnDataRow | None:
        """One data set; None when there is none of this number."""
        return next(iter(self._rows(own_data.c.id == number)), None)

    def of(self, project: str) -> list[OwnDataRow]:
        """Those of a project, the newest first."""
        return self._rows(own_data.c.project == project)

    def all(self) -> list[OwnDataRow]:
        """Every data set, the newest first."""
        return self._rows(sa.true())

    def _rows(self, condition: sa.ColumnElement[bool]) -> list[OwnDataRow]:
        with reading(self._engine) as connection:
            found = connection.execute(own_data.select().where(condition).order_by(own_data.c.id.desc()))
            return [OwnDataRow(**row._mapping) for row in found]

    # Files

    def hand_in(self, data: int, form: str, login: str, account_id: int | None, sealed: bytes | None, look: str) -> int:
        """A file that waits for its mapping; its number, or 0 when the data set is not accepted, or was ended meanwhile."""
        values = {
            "data_id": data, "form": form, "login": login, "account_id": account_id, "asked": now(), "sealed": sealed, "look": look,
        }  # fmt: skip
        accepted = sa.and_(own_data.c.id == data, own_data.c.state == OwnState.ACCEPTED.value)
        with writing(self._engine) as connection:  # one writer at a time: nobody ends it between the two
            if connection.scalar(sa.select(own_data.c.id).where(accepted)) is None:
                return 0
            key = connection.execute(own_file.insert().values(**values)).inserted_primary_key
        return int(key[0]) if key else 0

    def map(self, number: int, recipe: str) -> bool:
        """Say how a file is read; False when it was read, or mapped already."""
        waiting = sa.and_(own_file.c.id == number, own_file.c.ended.is_(None), own_file.c.recipe == "")
        with writing(self._engine) as connection:
            return bool(connection.execute(own_file.update().where(waiting).values(recipe=recipe)).rowcount)

    def waiting(self) -> list[OwnFileRow]:
        """Files that are mapped and not read yet, the oldest first."""
        found = self._files(sa.and_(own_file.c.ended.is_(None), own_file.c.recipe != ""))
        return list(reversed(found))

    def finish(self, number: int, *, outcome: str = "", problem: str = "") -> None:
        """Note what became of a file; its bytes go."""
        values = {"sealed": None, "look": "", "ended": now(), "outcome": outcome, "problem": problem}
        with writing(self._engine) as connection:
            connection.execute(own_file.update().where(own_file.c.id == number).values(**values))

    def recount(self, number: int, outcome: dict[str, Any]) -> None:
        """What a decision changed in the counts of a file that was read."""
        with writing(self._engine) as connection:
            connection.execute(
                own_file.update().where(own_file.c.id == number).values(outcome=orjson.dumps(outcome).decode())
            )

    def file(self, number: int) -> OwnFileRow | None:
        """One file; None when there is none of this number."""
        return next(iter(self._files(own_file.c.id == number)), None)

    def files(self, data: int) -> list[OwnFileRow]:
        """The files of a data set, the newest first."""
        return self._files(own_file.c.data_id == data)

    def _files(self, condition: sa.ColumnElement[bool]) -> list[OwnFileRow]:
        with reading(self._engine) as connection:
            found = connection.execute(own_file.select().where(condition).order_by(own_file.c.id.desc()))
            return [OwnFileRow(**row._mapping) for row in found]
