"""What every reader of a study's data gives."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64s = npt.NDArray[np.int64]
SEPARATOR = "\x1f"  # between the parts of a subject's name or of a row's key
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")
_LONGEST = 50


class Kind(StrEnum):
    """What a variable is made of."""

    DATE = "date"
    NUMBER = "number"
    FLAG = "flag"  # yes or no
    CODE = "code"  # one of a list
    WORDS = "words"  # short free text


@dataclass(frozen=True)
class Item:
    """A variable as the study's own dictionary defines it. `low` and `high` are hard limits."""

    column: str
    kind: Kind
    label: str = ""
    codes: tuple[tuple[str, str], ...] = ()
    low: float | None = None
    high: float | None = None
    identifies: bool = False


@dataclass(frozen=True)
class Wrong:
    """A row that cannot be taken: where, in which field ("" for the whole row), and why, in one word."""

    line: int
    field: str
    why: str


@dataclass(frozen=True)
class Sheet:
    """Some rows of one table. `cells` are texts, a column per field; `wrong` are rows that are in none of the arrays.

    `removed` says which rows are taken back rather than stated.
    """

    table: str
    lines: Int64s
    subjects: pa.Array
    keys: pa.Array
    cells: pa.Table
    removed: npt.NDArray[np.bool_]
    wrong: tuple[Wrong, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def read(self) -> int:
        """Rows that were read, bad ones included."""
        return len(self.lines) + len(self.wrong)


class StudyReader(Protocol):
    """Rows of a study's file, as often as asked."""

    def sheets(self, path: Path) -> Iterator[Sheet]:
        """All rows from the first; InputRefused when the file cannot be read."""
        ...


@dataclass
class Rows:
    """Rows while they are gathered one by one."""

    table: str
    lines: list[int] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    cells: list[dict[str, str | None]] = field(default_factory=list)
    removed: list[bool] = field(default_factory=list)

    def sheet(self, wrong: tuple[Wrong, ...] = ()) -> Sheet:
        """What was gathered."""
        names = list(dict.fromkeys(name for row in self.cells for name in row))
        columns = [pa.array([row.get(name) for row in self.cells], pa.string()) for name in names]
        return Sheet(
            self.table, np.array(self.lines, np.int64), pa.array(self.subjects, pa.string()), pa.array(self.keys, pa.string()),
            pa.table(columns, names=names), np.array(self.removed, np.bool_), wrong,
        )  # fmt: skip


def plain_name(text: str) -> str:
    """A name of a column or table: small letters, digits and _, beginning with a letter."""
    folded = unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode().lower()
    name = _NOT_PLAIN.sub("_", folded).strip("_")[:_LONGEST].strip("_")
    return name if name[:1].isalpha() else f"v_{name}".rstrip("_")
