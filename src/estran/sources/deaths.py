"""The file of deaths that INSEE publishes: fixed width (`deces-2024.txt`) or CSV with a header line.

Fixed places, from 1: names 1–80 as `NAME*GIVEN NAMES/`, sex 81 (1 male, 2 female), birth 82–89, commune of birth
90–94, its name 95–124, country 125–154, death 155–162, commune of death 163–167, act 168–176. Unknown parts of a
date are zeros: a birth not known to the day matches nobody, a death not known to the day is taken on the first.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from estran.identity.deaths import Death
from estran.model.errors import InputRefused

_SEXES = {"1": "male", "2": "female"}
_LONGEST = 4_000  # characters of a line


def read_deaths(path: Path) -> Iterator[tuple[int, Death | None]]:
    """Line number and death; None for a line that cannot be read. Text is UTF-8, else Latin-1."""
    try:
        yield from _lines(path)
    except (EOFError, OSError, zlib.error):
        raise InputRefused("The file cannot be unpacked.", where=path.name, hint="fetch it again") from None


def _lines(path: Path) -> Iterator[tuple[int, Death | None]]:
    with _opened(path) as stream:
        first = stream.readline(_LONGEST)
        if b";" in first or first.lower().startswith((b'"nomprenom', b"nomprenom")):
            yield from _from_csv(first, stream)
            return
        number, line = 1, first
        while line:
            yield number, _fixed(_text(line))
            number, line = number + 1, stream.readline(_LONGEST)


def _opened(path: Path) -> BinaryIO:
    with path.open("rb") as head:
        zipped = head.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path, "rb") if zipped else path.open("rb"))


def _from_csv(first: bytes, stream: BinaryIO) -> Iterator[tuple[int, Death | None]]:
    names = next(csv.reader([_text(first).removeprefix("\ufeff")], delimiter=";"))
    places = {name.strip().lower(): place for place, name in enumerate(names)}
    wanted = [places.get(name, -1) for name in ("nomprenom", "sexe", "datenaiss", "lieunaiss", "datedeces")]
    number = 1
    while line := stream.readline(_LONGEST):
        number += 1
        row = next(csv.reader(io.StringIO(_text(line)), delimiter=";"), [])
        cells = [row[place].strip() if 0 <= place < len(row) else "" for place in wanted]
        yield number, _death(*cells)


def _fixed(line: str) -> Death | None:
    return _death(line[:80], line[80:81], line[81:89], line[89:94], line[154:162])


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        return line.decode("latin-1").rstrip("\r\n")


def _death(names: str, sex: str, birth: str, commune: str, died: str) -> Death | None:
    family, star, given = names.partition("*")
    day = _day(died, first=True)
    if not star or sex not in _SEXES or day is None:
        return None
    names_given = tuple(given.partition("/")[0].split())
    return Death(family.strip(), names_given, _SEXES[sex], _day(birth, first=False), commune.strip(), day)


def _day(written: str, *, first: bool) -> dt.date | None:
    """YYYYMMDD; with zeros for month or day the first one when `first`, else None."""
    if len(written) != 8 or not written.isdecimal() or not written.isascii():
        return None
    year, month, day = int(written[:4]), int(written[4:6]), int(written[6:])
    if first:
        month, day = month or 1, day or 1
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None
