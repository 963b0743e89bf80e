"""Counting what a search found by kind, year, unit, sex and age."""

from __future__ import annotations

from collections.abc import Callable
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
NO_AGE: Final = 2**31 - 1
People: TypeAlias = Callable[[], pa.Table]


@dataclass(frozen=True, slots=True)
class Facet:
    """How many documents and patients have `value`; None: not known. Ages are the band's first year."""

    value: str | int | None
    documents: int
    patients: int


Facets: TypeAlias = dict[FacetName, list[Facet]]


@dataclass(frozen=True)
class KnownPeople:
    """Sex and birth year by patient, sorted by patient."""

    patients: Rows
    sex: npt.NDArray[Any]
    birth_year: npt.NDArray[Any]

    @staticmethod
    def of(table: pa.Table) -> KnownPeople:
        table = table.sort_by("patient_id")
        year = (table.column("birth_year") if "birth_year" in table.column_names
                else pc.year(table.column("birth_month")))  # fmt: skip
        return KnownPeople(
            table.column("patient_id").to_numpy(), np.array(table.column("sex").to_pylist(), object),
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


_UNKNOWN: Final[dict[FacetName, int]] = {"year": 0, "unit": -1, "age": NO_AGE}


def counted(name: FacetName, values: npt.NDArray[Any], patients: Rows) -> list[Facet]:
    if not len(values):
        return []
    found, codes = np.unique(values.astype(str) if values.dtype == object else values, return_inverse=True)
    documents = np.bincount(codes)
    pairs = np.unique(codes.astype(np.int64) << 32 | patients)
    people = np.bincount(pairs >> 32)
    facets = [
        Facet(None if value == _UNKNOWN.get(name) else value, int(d), int(p))
        for value, d, p in zip(found.tolist(), documents, people, strict=True)
    ]
    return facets if name in ("year", "age") else sorted(facets, key=lambda f: (-f.documents, str(f.value)))
