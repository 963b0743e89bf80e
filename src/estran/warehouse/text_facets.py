"""Counting what a search found by kind, year, unit, sex and age."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from estran.warehouse.text_folder import Rows

FacetName: TypeAlias = Literal["kind", "year", "unit", "sex", "age"]
FACETS: Final[tuple[FacetName, ...]] = ("kind", "year", "unit", "sex", "age")
AGE_BANDS: Final = ((0, 17), (18, 29), (30, 44), (45, 64), (65, 74), (75, 84), (85, 130))
NO_AGE: Final = -1
_LARGEST_TABLE = 100_000_000
People: TypeAlias = Callable[[], pa.Table]


@dataclass(frozen=True, slots=True)
class Facet:
    """How many documents and patients have `value`; None: not known. Ages are the band's first year."""

    value: str | int | None
    documents: int
    patients: int


Facets: TypeAlias = dict[FacetName, list[Facet]]


_UNKNOWN: Final[dict[FacetName, int]] = {"year": 0, "unit": -1, "age": NO_AGE}


@dataclass(frozen=True)
class Column:
    """A value per row: numbers, or codes of `names`."""

    values: npt.NDArray[Any]
    names: tuple[str, ...] = ()

    def among(self, wanted: Iterable[str | int]) -> npt.NDArray[np.bool_]:
        """Rows whose value is wanted."""
        known = [self.names.index(str(w)) for w in wanted if w in self.names] if self.names else list(wanted)
        return np.isin(self.values, np.array(known, np.int64))

    def counted(self, name: FacetName, patients: Rows) -> list[Facet]:
        """Documents and patients per value; years and ages in order, the others by count."""
        if not len(self.values):
            return []
        first = int(self.values.min())
        codes = self.values.astype(np.int64) - first
        documents = np.bincount(codes)
        people = _distinct(codes, len(documents), patients)
        facets = [
            Facet(self._shown(name, int(code) + first), int(documents[code]), int(people[code]))
            for code in np.flatnonzero(documents)
        ]
        return facets if name in ("year", "age") else sorted(facets, key=lambda f: (-f.documents, str(f.value)))

    def _shown(self, name: FacetName, value: int) -> str | int | None:
        if self.names:
            return self.names[value]
        return None if value == _UNKNOWN.get(name) else value


def _distinct(codes: Rows, count: int, patients: Rows) -> Rows:
    """How many different patients each code has: by a table of (code, patient) while it is small."""
    first = int(patients.min())
    width = int(patients.max()) - first + 1
    if count * width > _LARGEST_TABLE:
        return np.bincount(np.unique(codes << 32 | patients) >> 32, minlength=count)
    seen = np.zeros(count * width, bool)
    seen[codes * width + (patients - first)] = True
    people: Rows = np.count_nonzero(seen.reshape(count, width), axis=1)
    return people


def coded(words: Iterable[str]) -> Column:
    """Words as codes of their sorted names."""
    listed = list(words)
    names = tuple(sorted(set(listed)))
    code = {name: i for i, name in enumerate(names)}
    return Column(np.array([code[word] for word in listed], np.int64), names)


@dataclass(frozen=True)
class KnownPeople:
    """Sex and birth year by patient, sorted by patient; `sex` has one more value, for the unknown."""

    patients: Rows
    sex: Column
    birth_year: npt.NDArray[Any]

    @staticmethod
    def of(table: pa.Table) -> KnownPeople:
        table = table.sort_by("patient_id")
        year = (table.column("birth_year") if "birth_year" in table.column_names
                else pc.year(table.column("birth_month")))  # fmt: skip
        return KnownPeople(
            table.column("patient_id").to_numpy(), coded([*table.column("sex").to_pylist(), "unknown"]),
            pc.fill_null(year, 0).to_numpy(),
        )  # fmt: skip

    def find(self, patients: Rows) -> Rows:
        """Index of each patient, -1 when not known."""
        if not len(self.patients):
            return np.full(len(patients), -1)
        at = np.minimum(np.searchsorted(self.patients, patients), len(self.patients) - 1)
        return np.where(self.patients[at] == patients, at, -1)


def age_bands(year: npt.NDArray[Any], birth: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The first year of each age's band, `NO_AGE` when the age is not known."""
    age = year.astype(np.int64) - birth
    starts = np.array([first for first, _ in AGE_BANDS])
    band = starts[np.clip(np.searchsorted(starts, age, side="right") - 1, 0, None)]
    return np.where((year == 0) | (birth == 0) | (age < 0), NO_AGE, band)
