"""Generated facts: millions of them, over several buckets, with the shape of a hospital's.

Patients have visits; a visit is a document or a few (a laboratory panel, diagnoses, drugs) on one
day; concepts follow a long-tailed law, so that some are everywhere and most are rare. Values have
one decimal, as a laboratory writes them. Same seed, same facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from estran.model.codes import DocumentKind
from estran.model.tables import CONCEPT, DOCUMENT, FACT, PATIENT, STAY

CONCEPTS = 5_000
LABORATORY = 600  # the first concepts carry values
FACTS_PER_DOCUMENT = 12
_FIRST_DAY, _DAYS = 14_610, 5_479  # 2010-01-01, fifteen years


@dataclass(frozen=True)
class Size:
    """How much to generate."""

    facts: int
    patients: int
    buckets: int = 4

    @property
    def bucket_patients(self) -> int:
        return -(-self.patients // self.buckets)


def concepts() -> pa.Table:
    """The concept table."""
    numbers = np.arange(CONCEPTS, dtype=np.int32)
    columns = {
        "concept_id": numbers,
        "vocabulary": pa.repeat("BENCH", CONCEPTS),
        "code": [f"C{n:05d}" for n in numbers],
        "label_en": [f"Concept {n}" for n in numbers],
        "kind": ["laboratory" if n < LABORATORY else "diagnosis" for n in numbers],
        "standard": np.ones(CONCEPTS, dtype=bool),
    }
    return _table(CONCEPT, columns, CONCEPTS)


def patients(size: Size, seed: int = 1) -> pa.Table:
    """The patient table."""
    chance = np.random.default_rng(seed)
    months = chance.integers(-480, 480, size.patients)
    births = (np.datetime64("1970-01", "M") + months).astype("datetime64[D]")
    sexes = np.where(chance.random(size.patients) < 0.52, "female", "male")
    columns = {
        "patient_id": np.arange(size.patients, dtype=np.int32),
        "sex": sexes,
        "birth_month": births.astype(np.int32),
        "staff": np.zeros(size.patients, dtype=bool),
        "confidential": np.zeros(size.patients, dtype=bool),
    }
    return _table(PATIENT, columns, size.patients)


def law(chance: np.random.Generator, count: int) -> np.ndarray:
    """Concept of each fact: a log-uniform law, dense in the common ones."""
    return np.minimum((CONCEPTS ** chance.random(count) - 1).astype(np.int32), CONCEPTS - 1)


def pieces(size: Size, commits: int = 5, seed: int = 2) -> Iterator[dict[str, pa.Table]]:
    """Tables to append, in `commits` pieces per bucket."""
    per_bucket = size.facts // size.buckets
    piece = -(-per_bucket // commits)
    document = stay = 0
    for bucket in range(size.buckets):
        low = bucket * size.bucket_patients
        high = min(low + size.bucket_patients, size.patients)
        done = 0
        while done < per_bucket:
            count = min(piece, per_bucket - done)
            tables = _piece(np.random.default_rng((seed, bucket, done)), low, high, count, document, stay)
            document += tables["document"].num_rows
            stay += tables["stay"].num_rows
            done += count
            yield tables


def _piece(
    chance: np.random.Generator, low: int, high: int, facts: int, document: int, stay: int
) -> dict[str, pa.Table]:
    documents = -(-facts // FACTS_PER_DOCUMENT)
    stays = -(-documents // 3)
    stay_patient = np.sort(chance.integers(low, high, stays).astype(np.int32))
    stay_day = chance.integers(_FIRST_DAY, _FIRST_DAY + _DAYS, stays).astype(np.int32)
    of_stay = np.minimum(np.arange(documents) // 3, stays - 1)
    day = stay_day[of_stay] + chance.integers(0, 6, documents).astype(np.int32)
    minute = chance.integers(7 * 60, 19 * 60, documents).astype(np.int16)
    of_document = np.minimum(np.arange(facts) // FACTS_PER_DOCUMENT, documents - 1)
    concept = law(chance, facts)
    measured = concept < LABORATORY
    value = np.round(chance.normal(100.0, 25.0, facts), 1)
    fact = {
        "patient_id": stay_patient[of_stay][of_document],
        "start_date": day[of_document],
        "start_minute": minute[of_document],
        "concept_id": concept,
        "document_id": (document + of_document).astype(np.int32),
        "fact_no": (np.arange(facts) % FACTS_PER_DOCUMENT).astype(np.int32),
        "stay_id": (stay + of_stay[of_document]).astype(np.int32),
        "precision": np.full(facts, 4, dtype=np.int8),
        "value": pa.array(value, mask=~measured),
        "unit": pa.DictionaryArray.from_arrays(pa.array(np.zeros(facts, dtype=np.int8), mask=~measured), ["mg/L"]).cast(
            pa.string()
        ),
        "status": np.zeros(facts, dtype=np.int8),
        "context": np.zeros(facts, dtype=np.int8),
        "origin": np.zeros(facts, dtype=np.int8),
    }
    number = np.arange(documents)
    header = {
        "document_id": (document + number).astype(np.int32),
        "patient_id": stay_patient[of_stay],
        "identity_id": stay_patient[of_stay],
        "stay_id": (stay + of_stay).astype(np.int32),
        "kind": pa.repeat(str(DocumentKind.LABORATORY), documents),
        "start_date": day,
        "start_minute": minute,
        "precision": np.full(documents, 4, dtype=np.int8),
        "source": pa.repeat("bench", documents),
        "record_key": chance.integers(-(2**63), 2**63 - 1, documents),
        "event_time": day.astype(np.int64) * 86_400_000_000,
        "content": chance.integers(-(2**63), 2**63 - 1, documents),
        "load_id": np.zeros(documents, dtype=np.int32),
        "status": np.zeros(documents, dtype=np.int8),
        "confidential": np.zeros(documents, dtype=bool),
    }
    return {
        "fact": _table(FACT, fact, facts),
        "document": _table(DOCUMENT, header, documents),
        "stay": _visits(stay, stay_patient, stay_day),
    }


def _visits(first: int, patients: npt.NDArray[np.int32], days: npt.NDArray[np.int32]) -> pa.Table:
    stays = len(patients)
    visit = {
        "stay_id": (first + np.arange(stays)).astype(np.int32),
        "patient_id": patients,
        "kind": pa.repeat("venue", stays),
        "start_date": days,
        "end_date": days + 6,
        "precision": np.full(stays, 2, dtype=np.int8),
        "confidential": np.zeros(stays, dtype=bool),
        "status": pa.repeat("finished", stays),
        "source": pa.repeat("bench", stays),
    }
    return _table(STAY, visit, stays)


def _table(schema: pa.Schema, columns: dict[str, object], rows: int) -> pa.Table:
    arrays = [_column(field, columns.get(field.name), rows) for field in schema]
    return pa.table(arrays, schema=pa.schema([f.with_nullable(True) for f in schema]))


def _column(field: pa.Field, values: object, rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(rows, field.type)
    array = values if isinstance(values, pa.Array) else pa.array(values)
    if pa.types.is_date32(field.type) and not pa.types.is_date32(array.type):
        array = array.cast(pa.int32())
    return array if array.type == field.type else array.cast(field.type)
