"""Proving the audit trail: every line follows from the one before, and every checkpoint still holds.

The chain alone proves nothing against somebody who owns the database: it has no secret, and can be
computed anew from any line on. What such a person cannot do is sign a checkpoint.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from estran.state import guards
from estran.state.audit import FIRST, chain_of, patients_of
from estran.state.checkpoints import Checkpoint, Kind
from estran.state.schema import audit, patient_read
from estran.state.transactions import reading

_AT_ONCE = 2_000
_STORED = "%Y-%m-%d %H:%M:%S.%f"


class Wrong(StrEnum):
    """What can be wrong with the trail."""

    ALTERED = "altered"  # this line, or a line just before it that is gone
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    REWRITTEN = "rewritten"  # a whole stretch, hashes computed anew
    TRUNCATED = "truncated"
    FORGED = "forged"  # a checkpoint that nobody signed who may
    UNGUARDED = "unguarded"  # triggers are gone


@dataclass(frozen=True)
class Fault:
    """`line` is the number of the first bad line."""

    line: int
    wrong: Wrong
    said: str


@dataclass(frozen=True)
class Verdict:
    """`first` and `last` are the lines there are (0 without any); `cut` the checkpoint behind which older
    lines were removed by rule; `sealed` the last checkpoint that the trail was proved against."""

    faults: tuple[Fault, ...]
    lines: int
    first: int
    last: int
    begins: dt.datetime | None
    cut: Checkpoint | None
    sealed: Checkpoint | None

    @property
    def whole(self) -> bool:
        """Nothing is wrong."""
        return not self.faults


@dataclass(frozen=True)
class _Row:
    """A line as it lies in the database, whatever lies there."""

    id: int
    raw: dict[str, Any]
    patients: tuple[int, ...]

    @property
    def chain(self) -> Any:
        return self.raw["chain"]

    def after(self, before: Any) -> str | None:
        """The hash it should bear behind `before`; None when its values are not of their kinds."""
        try:
            return chain_of(
                before,
                self.raw | {"at": _moment(self.raw["at"]), "allowed": _truth(self.raw["allowed"])},
                self.patients,
            )
        except (TypeError, ValueError):
            return None


def _moment(value: Any) -> dt.datetime:
    """As the program stores it; ValueError when it is written in another way."""
    if isinstance(value, str):
        found = dt.datetime.strptime(value, _STORED).replace(tzinfo=dt.UTC)
        if found.strftime(_STORED) != value:
            raise ValueError
        return found
    if not isinstance(value, dt.datetime):
        raise TypeError
    return value.replace(tzinfo=dt.UTC)


def _truth(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError
    return bool(value)


@dataclass(frozen=True)
class _Place:
    """Where the walk stands: the line before, its hash, and how many lines there ever were up to it."""

    line: int = 0
    chain: str = FIRST
    count: int = 0


def verify(engine: sa.Engine, believed: Sequence[Checkpoint], forged: Sequence[Checkpoint] = ()) -> Verdict:
    """Look at every line. `believed` and `forged` come from `signing.sift`."""
    with reading(engine) as connection:
        return _Walk(connection, believed).verdict(forged)


def verify_since(engine: sa.Engine, known: Checkpoint | None) -> Fault | None:
    """Look at the lines from a checkpoint on; what is wrong first, or None."""
    with reading(engine) as connection:
        if known is None or known.line == 0:
            return _Walk(connection, []).fault(_Place())
        there = connection.scalar(sa.select(audit.c.chain).where(audit.c.id == known.line))
        gone = connection.scalar(sa.select(sa.func.min(audit.c.id))) in (None, known.line + 1)
        if there != known.chain and not (there is None and gone and known.kind is Kind.CUT):
            return Fault(known.line, Wrong.REWRITTEN, "The line of the last checkpoint is not what it was.")
        return _Walk(connection, [known]).fault(_Place(known.line, known.chain, known.count))


class _Walk:
    """One pass over the lines, a few in memory at a time."""

    def __init__(self, connection: sa.Connection, believed: Sequence[Checkpoint]) -> None:
        self._connection = connection
        self._believed = believed
        self._at: dict[int, list[Checkpoint]] = {}
        for one in believed:
            self._at.setdefault(one.line, []).append(one)
        self._sealed: Checkpoint | None = None
        self._end = _Place()
        self._lines = 0

    def verdict(self, forged: Sequence[Checkpoint]) -> Verdict:
        first = next(self._rows(None, 1), None)
        start, cut = self._start(first)
        self._sealed = cut
        found = self.fault(start)
        faults = [found] if found else []
        faults += [
            Fault(one.line, Wrong.FORGED, "A checkpoint bears no signature of a key of this site.") for one in forged
        ]
        faults += self._strays()
        off = guards.missing(self._connection)
        if off:
            faults.append(Fault(0, Wrong.UNGUARDED, f"Triggers that protect the trail are gone: {', '.join(off)}."))
        begins = _moment_or_none(first.raw["at"]) if first else None
        last = self._end.line if first else 0
        return Verdict(tuple(faults), self._lines, first.id if first else 0, last, begins, cut, self._sealed)

    def _start(self, first: _Row | None) -> tuple[_Place, Checkpoint | None]:
        """Where the trail may begin: at its first line ever, or behind a cut."""
        cuts = [one for one in self._believed if one.kind is Kind.CUT and (first is None or one.line < first.id)]
        if not cuts:
            return _Place(), None
        cut = max(cuts, key=lambda one: one.line)
        return _Place(cut.line, cut.chain, cut.count), cut

    def fault(self, place: _Place) -> Fault | None:
        """Walk to the end, or to what is wrong first."""
        known = place.line  # the last line that a checkpoint vouches for
        for row in self._rows(place.line or None):
            wrong = self._wrong(place, row)
            if wrong:
                return wrong
            place = _Place(row.id, row.chain, place.count + 1)
            self._lines += 1
            for one in self._at.get(row.id, ()):
                if (one.chain, one.count) != (place.chain, place.count):
                    return Fault(
                        known + 1,
                        Wrong.REWRITTEN,
                        f"Lines up to {row.id} are not those of the checkpoint of {one.at:%Y-%m-%d %H:%M} UTC.",
                    )
                self._sealed = one
            known = row.id if row.id in self._at else known
        self._end = place
        beyond = max(self._at, default=0)
        if beyond > place.line:
            return Fault(place.line + 1, Wrong.TRUNCATED, f"Lines up to {beyond} were written and are gone.")
        return None

    def _wrong(self, before: _Place, row: _Row) -> Fault | None:
        if row.id > before.line + 1:
            return Fault(before.line + 1, Wrong.REMOVED, f"Lines {before.line + 1} to {row.id - 1} are gone.")
        if row.id <= before.line:
            return Fault(row.id, Wrong.INSERTED, "No line of this number was ever written.")
        if row.chain is None or row.after(before.chain) != row.chain:
            return self._explained(before, row)
        return None

    def _explained(self, before: _Place, row: _Row) -> Fault:
        """What happened at a line that does not follow from the one before."""
        here, elsewhere = False, False
        for other in self._rows(row.id):
            here = here or other.after(before.chain) == other.chain
        for other in self._rows(None):
            elsewhere = elsewhere or (other.id != row.id and row.after(other.chain) == row.chain)
        if here:
            if elsewhere:
                return Fault(row.id, Wrong.REORDERED, "This line stands where another one stood.")
            return Fault(row.id, Wrong.INSERTED, "This line was put between two that follow each other.")
        moved = self._moved(row.id)
        if moved:
            return Fault(row.id, moved, f"A line was {moved} here, and those behind it renumbered.")
        return Fault(row.id, Wrong.ALTERED, "This line is not what was written, or a line just before it is gone.")

    def _moved(self, line: int) -> Wrong | None:
        """Whether the lines of later checkpoints are still there under other numbers."""
        later = {one.chain: one.line for one in self._believed if one.line >= line}
        for other in self._rows(line - 1):
            if other.chain in later and other.id != later[other.chain]:
                return Wrong.REMOVED if other.id < later[other.chain] else Wrong.INSERTED
        return None

    def _strays(self) -> list[Fault]:
        """Patients noted for lines that are not there."""
        query = sa.select(sa.type_coerce(patient_read.c.line_id, sa.types.NullType())).where(
            patient_read.c.line_id.not_in(sa.select(audit.c.id))
        )
        found = self._connection.scalar(query.limit(1))
        if found is None:
            return []
        number = found if isinstance(found, int) else 0
        return [Fault(number, Wrong.INSERTED, "A patient is noted for a line that is not there.")]

    def _rows(self, after: int | None, at_once: int = _AT_ONCE) -> Iterator[_Row]:
        columns = [sa.type_coerce(column, sa.types.NullType()).label(column.name) for column in audit.columns]
        while True:
            query = sa.select(*columns).order_by(audit.c.id).limit(at_once)
            rows = self._connection.execute(query if after is None else query.where(audit.c.id > after)).all()
            of = patients_of(self._connection, [row.id for row in rows])
            for row in rows:
                yield _Row(row.id, dict(row._mapping), tuple(of.get(row.id, ())))
            if len(rows) < at_once:
                return
            after = rows[-1].id


def _moment_or_none(value: Any) -> dt.datetime | None:
    try:
        return _moment(value)
    except (TypeError, ValueError):
        return None
