"""Columns of numbers and texts → indices into short lists of patients, stays and codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from estran.sources.omop.expressions import one
from estran.sources.records import Code, PatientKey, StayKey
from estran.terminology.units import ucum

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Context:
    """What reading needs to know beside the file."""

    zone: str
    authority: str  # system of patient and stay numbers
    units: Mapping[int, str]  # OMOP unit concept → UCUM
    months: bool = False  # an export of ours: an event without a datetime is known by its month only


def empty_columns(schema: pa.Schema, count: int) -> dict[str, pa.Array]:
    """Columns of nulls; those of one type share their memory."""
    by_type = {kind: pa.nulls(count, kind) for kind in set(schema.types)}
    return {field.name: by_type[field.type] for field in schema}


def encode(values: pa.Array | pa.ChunkedArray) -> tuple[Int32s, list[Any]]:
    """Indices into the list of distinct values, -1 for null."""
    array = one(values) if isinstance(values, pa.ChunkedArray) else values
    encoded = pc.dictionary_encode(array)
    return encoded.indices.fill_null(-1).to_numpy().astype(np.int32), encoded.dictionary.to_pylist()


def combine(*columns: Int32s) -> tuple[Int32s, list[tuple[int, ...]]]:
    """Indices into the list of distinct combinations of several index columns."""
    key = np.zeros(len(columns[0]), dtype=np.int64)
    sizes = [int(c.max(initial=-1)) + 2 for c in columns]
    for column, size in zip(columns, sizes, strict=True):
        key = key * size + (column + 1)
    indices, keys = encode(pa.array(key))
    combinations = []
    for value in keys:
        parts = []
        for size in reversed(sizes):
            value, rest = divmod(value, size)
            parts.append(rest - 1)
        combinations.append(tuple(reversed(parts)))
    return indices, combinations


def mapped(values: pa.Array | pa.ChunkedArray, by: Mapping[Any, Any], otherwise: Any, form: pa.DataType) -> pa.Array:
    """Each value looked up in `by`."""
    indices, distinct = encode(values)
    table = pa.array([by.get(v, otherwise) for v in distinct] + [otherwise], form)
    return table.take(pa.array(np.where(indices < 0, len(distinct), indices)))


@dataclass
class People:
    """The patients and stays that the rows of one batch name."""

    patients: list[PatientKey]
    patient: pa.Array
    stays: list[StayKey]
    stay: pa.Array


def people(rows: pa.Table, authority: str, visit: bool) -> People:
    """Intern columns `person` and, when the table has visits, `visit` (0 is no visit)."""
    persons, numbers = encode(rows["person"])
    patients = [PatientKey(authority, str(number)) for number in numbers]
    if not visit:
        return People(patients, pa.array(persons), [], pa.nulls(len(persons), pa.int32()))
    stay, stays = stays_of(persons, rows["visit"], authority)
    return People(patients, pa.array(persons), stays, stay)


def stays_of(persons: Int32s, visits: pa.ChunkedArray, authority: str) -> tuple[pa.Array, list[StayKey]]:
    """Intern (person, visit) pairs."""
    visit, values = encode(visits)
    named = visit >= 0
    if 0 in values:
        named &= visit != values.index(0)
    pair = (persons.astype(np.int64) << 32) | visit
    indices, keys = encode(pa.array(pair, mask=~named))
    key = np.array(keys, dtype=np.int64)
    written = pa.array(values, pa.int64()).cast(pa.string()).take(pa.array(key & 0xFFFFFFFF)).to_pylist()
    stays = list(map(StayKey, (key >> 32).tolist(), repeat(authority), written))
    return pa.array(indices, mask=indices < 0), stays


@dataclass
class Codes:
    """The codes of one batch, each once."""

    found: dict[Code, int] = field(default_factory=dict)

    def add(self, code: Code) -> int:
        """The index of `code`."""
        return self.found.setdefault(code, len(self.found))

    def concepts(self, column: pa.ChunkedArray, kind: str = "other") -> pa.Array:
        """Indices of OMOP concepts; null for null and 0."""
        indices, values = encode(column)
        places = [self.add(Code("OMOP", str(v), kind=kind)) if v else -1 for v in values]
        return self._taken(indices, places)

    def facts(self, concept: pa.Array, source: pa.Array, local: pa.Array, kind: str, vocabulary: str) -> pa.Array:
        """Indices of what rows are about: the concept, with the source's concept as local code.

        Without a concept (0) the source's own word is the code, of `vocabulary`.
        """
        (c, concepts), (s, sources), (w, words) = encode(concept), encode(source), encode(local)
        indices, combinations = combine(c, s, w)
        places = []
        for ci, si, wi in combinations:
            main = concepts[ci] if ci >= 0 else 0
            other = sources[si] if si >= 0 else 0
            word = words[wi] if wi >= 0 else ""
            places.append(self.add(_code(main or 0, other or 0, word, kind, vocabulary)))
        return self._taken(indices, places)

    @staticmethod
    def _taken(indices: Int32s, places: Sequence[int]) -> pa.Array:
        table = np.array([*places, -1], dtype=np.int32)
        result = table[indices]
        return pa.array(result, mask=result < 0)


def _code(concept: int, source: int, word: str, kind: str, vocabulary: str) -> Code:
    if concept:
        also = (("OMOP", str(source), ""),) if source and source != concept else ()
        return Code("OMOP", str(concept), kind=kind, also=also)
    if not word:  # OMOP's own concept 0 says "no matching concept"
        return Code("OMOP", str(source), kind=kind)
    return Code(vocabulary, word, word, kind=kind, also=(("OMOP", str(source), ""),) if source else ())


def ucum_units(concepts: pa.ChunkedArray, written: pa.ChunkedArray, units: Mapping[int, str]) -> pa.Array:
    """UCUM units: of the unit concept when it is known, else of the unit as written."""
    by_concept = mapped(concepts, units, None, pa.string())
    indices, words = encode(written)
    spelled = pa.array([*(ucum(w) for w in words), None], pa.string()).take(
        pa.array(np.where(indices < 0, len(words), indices))
    )
    return pc.coalesce(by_concept, spelled)
