"""The reader of PMSI files; see docs/reference/sources/pmsi.md for what maps where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from estran.model.errors import InputRefused
from estran.sources.pmsi.cutting import NO_DAY, Ints, Lines, days
from estran.sources.pmsi.layout import load_kinds
from estran.sources.pmsi.members import Member, chunks, members
from estran.sources.pmsi.page import Page, Sending, unknown_lines, unread_member
from estran.sources.pmsi.recognise import Recogniser, instant_of, sent_of, transmission_of
from estran.sources.pmsi.rpu import is_rpu, read_rpu
from estran.sources.pmsi.wholes import Wholes, wholes_of
from estran.sources.records import Batch
from estran.sources.searching import files_under

_LOOKED_AT = 200  # first lines of a file, one of which must be known
# Files that introduce patients and stays first, then what ties numbers, then the rest.
_ORDER = (("vid", "hosp", "ano", "ium"), ("tra",))


@lru_cache(maxsize=8)
def _recogniser(folder: str) -> Recogniser:
    return Recogniser(load_kinds(Path(folder) if folder else None))


@dataclass
class PmsiReader:
    """Reads PMSI files. `zone` is the site's; `author_system` is the authority of the hospital's patient and
    stay numbers, which PMSI files leave unsaid; `layouts` is a folder of further layout tables."""

    zone: str = "Europe/Paris"
    author_system: str = ""
    layouts: str = ""
    batch_records: int = 10_000
    format: str = field(default="pmsi", init=False)

    def files(self, paths: list[Path]) -> list[Path]:
        """Files among `paths` and in those of them that are folders, those that introduce stays first."""
        found = files_under(paths, lambda path: not path.name.startswith("."))
        return sorted(found, key=lambda path: _rank(path.name))

    def size(self, path: Path) -> int:
        """Bytes of the file as it lies on the disk."""
        return path.stat().st_size

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        """Batches of the file at `path`, called `name`: one per kind of record in each stretch of lines.

        Raises InputRefused when the file cannot be unpacked, or when none of its first lines is of a known
        layout; inside an archive such a member is one refused record.
        """
        number = 0
        for member in members(path, name):
            reading = _Reading(self, member, number, wanted)
            yield from reading.batches()
            number = reading.next_number


def _rank(name: str) -> int:
    lowered = name.lower()
    return next((place for place, words in enumerate(_ORDER) if any(w in lowered for w in words)), len(_ORDER))


@dataclass
class _Reading:
    """One member being read."""

    reader: PmsiReader
    member: Member
    next_number: int
    wanted: frozenset[int] | None

    def batches(self) -> Iterator[Batch]:
        recogniser = _recogniser(self.reader.layouts)
        first = self._first()
        if first is None:
            return
        if is_rpu(first.bytes_of(0)):
            yield from self._rpu()
            return
        if not (recogniser.find(first.take(np.arange(min(len(first), _LOOKED_AT)))) >= 0).any():
            yield from self._unread()
            return
        sending = Sending(
            self.reader.zone, self.reader.author_system, self._sent(recogniser), self._transmission(), self._wholes(recogniser)
        )
        counts: dict[str, int] = {}
        for lines in self._chunks():
            self.next_number += len(lines)
            found = recogniser.find(lines)
            yield from self._of_chunk(recogniser, lines, found, sending, counts)

    def _of_chunk(
        self, recogniser: Recogniser, lines: Lines, found: Ints, sending: Sending, counts: dict[str, int]
    ) -> Iterator[Batch]:
        """Batches of one stretch of lines: of each kind, in the order in which the tables name them."""
        unknown = lines.take(found < 0)
        if len(unknown):
            yield from unknown_lines(unknown, sending, self.wanted)
        by_kind: dict[str, list[int]] = {}
        for number in np.unique(found[found >= 0]).tolist():
            by_kind.setdefault(recogniser.layouts[number][0].kind, []).append(number)
        for numbers in by_kind.values():
            page = Page(sending, self.wanted, counts)
            for number in numbers:
                kind, layout = recogniser.layouts[number]
                page.add(kind, layout, lines.take(found == number))
            yield from page.batches()

    def _chunks(self) -> Iterator[Lines]:
        with self.member.open() as stream:
            yield from chunks(stream, self.reader.batch_records, self.next_number)

    def _first(self) -> Lines | None:
        """The first stretch of lines, None when there is none."""
        with self.member.open() as stream:
            return next((lines for lines in chunks(stream, self.reader.batch_records, 0) if len(lines)), None)

    def _unread(self) -> Iterator[Batch]:
        if not self.member.name:
            raise InputRefused(
                "None of the first lines is of a known PMSI layout.", where=self.member.archive,
                hint="add a table for its version (docs/reference/sources/pmsi.md)",
            )  # fmt: skip
        number, self.next_number = self.next_number, self.next_number + 1
        if self.wanted is None or number in self.wanted:
            with self.member.open() as stream:
                yield unread_member(number, stream)

    def _rpu(self) -> Iterator[Batch]:
        with self.member.open() as stream:
            for batch, count in read_rpu(stream, self.reader.zone, self.reader.author_system, self.next_number, self.wanted):
                self.next_number = max(self.next_number, count)
                if batch is not None:
                    yield batch

    def _wholes(self, recogniser: Recogniser) -> Wholes | None:
        """The wholes of the file, None when no line of its first stretch is part of one."""
        first = self._first()
        found = recogniser.find(first) if first is not None else np.empty(0, np.int64)
        if not any(recogniser.layouts[number][0].whole for number in np.unique(found[found >= 0]).tolist()):
            return None
        return wholes_of(recogniser, self._chunks())

    def _transmission(self) -> str:
        return transmission_of(*self.member.names)

    def _sent(self, recogniser: Recogniser) -> int:
        """When the file was sent: its name says so, else the latest date of the stays it tells of (the
        monthly files of a year hold everything since January)."""
        said = sent_of(self.reader.zone, *self.member.names)
        if said is not None:
            return said
        latest = NO_DAY
        for lines in self._chunks():
            found = recogniser.find(lines)
            for number in np.unique(found[found >= 0]).tolist():
                kind, layout = recogniser.layouts[number]
                told = layout.fields.get(kind.sent or kind.end or kind.start)
                if told is not None and told.type in "dmw":
                    day, _ = days(lines.take(found == number).head(told), told.type)
                    latest = max(latest, int(day.max(initial=NO_DAY)))
        return 0 if latest == NO_DAY else instant_of(latest, 0, self.reader.zone)
