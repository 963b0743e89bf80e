"""What patients refused after data of theirs had come to the hub: noted at once, obeyed within the day, told back.

A site that hears of a refusal says which of the numbers that it had sent it concerns; the hub knows nobody behind them.
Whatever holds such data at the hub asks `waiting`, does it, and says `done`; the site's next visit brings it the word.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Row
from typing import Any
from weakref import WeakKeyDictionary

import orjson

from estran.hub.book import HubBook
from estran.hub.database import Database
from estran.hub.wire import Refused
from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target
from estran.state import StateDatabase

KIND = "opposition"  # of the message
FILE_NAME = "oppositions.sqlite"
WHAT = ("hide", "restore", "erase")
_VERSION = 1
_SCHEMA = """
CREATE TABLE notice (
  member TEXT, number INTEGER, what TEXT NOT NULL, due REAL NOT NULL, came REAL NOT NULL, subjects TEXT NOT NULL,
  done REAL, outcome TEXT NOT NULL DEFAULT '', login TEXT NOT NULL DEFAULT '', PRIMARY KEY (member, number)) WITHOUT ROWID
"""
_MOST, _MOST_SUBJECTS, _LONGEST = 1_000, 1_000, 120
_LATEST = 4_102_444_800.0  # seconds: no deadline lies after 2099, and one that is no moment would close the whole list
NOTHING = "Nothing of this patient was sent."


@dataclass(frozen=True)
class Subject:
    """A number under which a patient's data were sent for a project."""

    project: str
    id: str


@dataclass(frozen=True)
class Notice:
    """One refusal, its end or an erasure; `number` is the site's own. `done` is None until the hub has obeyed."""

    member: str
    number: int
    what: str
    due: dt.datetime
    came: dt.datetime
    subjects: tuple[Subject, ...]
    done: dt.datetime | None
    outcome: str
    login: str

    def late(self, now: dt.datetime) -> bool:
        """Whether its time is over and nothing was done."""
        return self.done is None and self.due < now


class OppositionBook:
    """The file of what the hub was told."""

    def __init__(self, folder: Path) -> None:
        self.db = Database(folder / FILE_NAME, _SCHEMA, _VERSION)

    def close(self) -> None:
        """Give the file back."""
        self.db.close()

    def take(self, member: str, body: dict[str, Any], now: float) -> list[dict[str, Any]]:
        """Note what a site says, and tell it where each notice stands; Refused when it cannot be read."""
        with self.db.writing():
            given = [_read(one) for one in _listed(body.get("notices"), _MOST)]
            for number, what, due, subjects in given:
                done = now if not subjects else None
                self.db.write(
                    "INSERT OR IGNORE INTO notice VALUES (?, ?, ?, ?, ?, ?, ?, ?, '')",
                    (member, number, what, due, now, _json(subjects), done, "" if subjects else NOTHING),
                )
            return [self._state(member, number) for number, *_ in given]

    def _state(self, member: str, number: int) -> dict[str, Any]:
        row = self.db.one("SELECT done, outcome FROM notice WHERE member = ? AND number = ?", (member, number))
        done = row is not None and row["done"] is not None
        return {
            "number": number,
            "state": "done" if done else "noted",
            "outcome": "" if row is None else row["outcome"],
        }

    def waiting(self, project: str = "") -> list[Notice]:
        """What is still to be done, the most urgent first; of one project, or of all."""
        rows = map(_notice, self.db.rows("SELECT * FROM notice WHERE done IS NULL ORDER BY due, member, number"))
        return [one for one in rows if not project or any(subject.project == project for subject in one.subjects)]

    def done(self, notices: Iterable[Notice], outcome: str, login: str = "hub") -> int:
        """What these ask was done, with what came of it; how many were waiting."""
        with self.db.writing():
            return sum(
                self.db.write(
                    "UPDATE notice SET done = ?, outcome = ?, login = ? WHERE member = ? AND number = ? AND done IS NULL",
                    (time.time(), outcome[:500], login, one.member, one.number),
                )
                for one in notices
            )

    def recent(self, limit: int = 100) -> list[Notice]:
        """The last notices, those that wait first."""
        rows = self.db.rows(
            "SELECT * FROM notice ORDER BY done IS NOT NULL, CASE WHEN done IS NULL THEN due ELSE -done END LIMIT ?",
            (limit,),
        )
        return [_notice(row) for row in rows]


class Oppositions:
    """One person before what patients refused. NotAllowed when the policy says no; each look is recorded."""

    def __init__(self, state: StateDatabase, book: HubBook, actor: Actor) -> None:
        self._state, self.actor, self.shelf = state, actor, beside(book)

    def recent(self) -> list[Notice]:
        """The last notices, those that wait first."""
        permit(self._state, self.actor, Action.RIGHTS, Target("network oppositions"))
        return self.shelf.recent()

    def done(self, member: str, number: int, outcome: str) -> None:
        """Say that one was obeyed; UsageError without words for what was done, or when none of this number waits."""
        permit(self._state, self.actor, Action.RIGHTS, Target(f"network opposition:{member[:60]} {number} done"))
        found = [one for one in self.shelf.waiting() if (one.member, one.number) == (member, number)]
        if not outcome.strip() or not found:
            raise UsageError("Say which opposition that waits was obeyed, and what was done.")
        self.shelf.done(found, outcome.strip(), self.actor.login)


_open: WeakKeyDictionary[HubBook, OppositionBook] = WeakKeyDictionary()


def beside(book: HubBook) -> OppositionBook:
    """The file of a hub, opened once with its book."""
    found = _open.get(book)
    if found is None:
        _open[book] = found = OppositionBook(Path(book.db.path).parent)
    return found


def _read(one: Any) -> tuple[int, str, float, list[list[str]]]:
    try:
        number, what, due = one["number"], one["what"], float(one["due"])
        subjects = [[_short(each["project"]), _short(each["id"])] for each in _listed(one["subjects"], _MOST_SUBJECTS)]
    except (KeyError, OverflowError, TypeError, ValueError):
        raise Refused("malformed", "This opposition cannot be read.") from None
    if type(number) is not int or not 0 <= number < 2**53 or what not in WHAT or not 0 <= due < _LATEST:
        raise Refused("malformed", "This opposition cannot be read.")
    return number, what, due, subjects


def _listed(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise Refused("malformed", "This opposition cannot be read.")
    return value


def _short(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST:
        raise ValueError
    return value


def _notice(row: Row) -> Notice:
    subjects = tuple(Subject(*one) for one in orjson.loads(row["subjects"]))
    done = None if row["done"] is None else _moment(row["done"])
    return Notice(
        row["member"], row["number"], row["what"], _moment(row["due"]), _moment(row["came"]), subjects, done, row["outcome"],
        row["login"],
    )  # fmt: skip


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
