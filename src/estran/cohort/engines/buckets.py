"""One bucket of patients, its tables read once as columns of numbers."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyroaring import BitMap

from estran.cohort.engines.events import NO_DAY, NUMBER_BIT, Bools, Ints, contained, distinct, key_set, places
from estran.cohort.query import Code, Unit

if TYPE_CHECKING:
    from estran.warehouse import Snapshot

DEEPEST = 16  # how many parents of a fact are followed
_KEPT_SETS = 4096


def numbers(column: pa.ChunkedArray, null: int = -1) -> Ints:
    """An integer, date or Boolean column, unknown values replaced."""
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    if column.null_count:
        column = pc.fill_null(column, pa.scalar(null, column.type))
    found: Ints = column.to_numpy().astype(np.int64, copy=False)
    return found


def days(column: pa.ChunkedArray) -> Ints:
    """A date column in days since 1970."""
    return numbers(column, NO_DAY)


class Words:
    """A text column as numbers, to be compared with a few words."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        encoded = column.combine_chunks()
        encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
        if not pa.types.is_dictionary(encoded.type):
            encoded = encoded.dictionary_encode()
        self.words: list[str] = encoded.dictionary.to_pylist()
        self.codes: Ints = pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int64)

    def among(self, words: tuple[str, ...]) -> Bools:
        """Rows that hold one of the words."""
        wanted = np.array([word in words for word in self.words] + [False])
        found: Bools = wanted[self.codes]
        return found


class Table:
    """Rows of a table of the bucket, by column."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows
        self._numbers: dict[str, Ints] = {}
        self._words: dict[str, Words] = {}

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def number(self, name: str) -> Ints:
        """An integer column, -1 where unknown."""
        if name not in self._numbers:
            self._numbers[name] = numbers(self.rows.column(name))
        return self._numbers[name]

    def day(self, name: str) -> Ints:
        """A date column in days, NO_DAY where unknown."""
        if name not in self._numbers:
            self._numbers[name] = days(self.rows.column(name))
        return self._numbers[name]

    def words(self, name: str) -> Words:
        """A text column."""
        if name not in self._words:
            self._words[name] = Words(self.rows.column(name))
        return self._words[name]


class Bucket:
    """A bucket of a snapshot. Tables are read when first needed and kept."""

    def __init__(self, snapshot: Snapshot, number: int, population: BitMap) -> None:
        self.snapshot = snapshot
        self.number = number
        size = snapshot.settings.bucket_patients
        self.base = number * size
        self.population = population & BitMap(range(self.base, self.base + size))
        self.presence = snapshot.presence(number)
        self._having: dict[tuple[tuple[Code, ...], Unit], BitMap] = {}

    def sql(self, query: str, given: pa.Table | None = None) -> pa.Table:
        """Rows of a query over the views; `$bucket` is this bucket, `given` a table of values."""
        with self.snapshot.connect() as connection:
            if given is not None:
                connection.register("given", given)
            return connection.sql(query.replace("$bucket", str(self.number))).to_arrow_table()

    def _table(self, name: str, columns: str, key: str, more: str = "") -> Table:
        rows = self.sql(f"SELECT {columns} FROM {name} WHERE bucket = $bucket {more} ORDER BY {key}")
        if "patient_id" in rows.column_names:
            rows = rows.filter(pa.array(self.visible(numbers(rows.column("patient_id")))))
        return Table(rows)

    def visible(self, patients: Ints) -> Bools:
        """Rows of patients of the population."""
        return contained(patients, self.patient_ids)

    @cached_property
    def patient_ids(self) -> Ints:
        return np.frombuffer(self.population.to_array(), dtype=np.uint32).astype(np.int64)

    @cached_property
    def patients(self) -> Table:
        """Sorted by patient."""
        columns = "patient_id, sex, birth_month, death_date, death_source, last_news, residence_area"
        return self._table("patient", columns, "patient_id")

    @cached_property
    def stays(self) -> Table:
        """Known stays, sorted by stay."""
        columns = "stay_id, patient_id, kind, start_date, start_minute, end_date, precision, entry_mode, exit_mode, unit_id"
        return self._table("stay", columns, "stay_id")

    @cached_property
    def stay_ids(self) -> Ints:
        return self.stays.number("stay_id")

    def having(self, codes: tuple[Code, ...], ids: Ints, unit: Unit) -> BitMap:
        """Patients or stays with a live fact of a code set; do not change the answer."""
        key = (codes, unit)
        if key not in self._having:
            if len(self._having) >= _KEPT_SETS:
                self._having.clear()
            if unit is Unit.PATIENT:
                self._having[key] = self.presence.patients(ids) & self.population
            else:
                self._having[key] = self.presence.stays(ids) & self.known_stays
        return self._having[key]

    @cached_property
    def known_stays(self) -> BitMap:
        return key_set(self.stay_ids, Unit.STAY)

    @cached_property
    def movements(self) -> Table:
        """Active movements of known stays, sorted by movement: the rank is their number here."""
        columns = (
            "movement_id, stay_id, patient_id, unit_id, responsibility, start_date, start_minute, end_date, end_minute, precision"
        )
        table = self._table("movement", columns, "movement_id", "AND status = 'active'")
        return Table(table.rows.filter(pa.array(contained(table.number("stay_id"), self.stay_ids))))

    @cached_property
    def movements_by_stay(self) -> tuple[Ints, Ints]:
        """Sorted stays, and the movement of each."""
        stays = self.movements.number("stay_id")
        order = np.argsort(stays, kind="stable")
        return stays[order], order

    @cached_property
    def documents(self) -> Table:
        """Sorted by document."""
        columns = "document_id, patient_id, stay_id, kind, start_date, start_minute, precision, unit_id"
        return self._table("document", columns, "document_id")

    @cached_property
    def media(self) -> Table:
        """Document and modality of each medium."""
        return self._table("media", "document_id, patient_id, modality", "document_id")

    def with_variant(self, condition: str) -> Ints:
        """Sorted documents with a variant that meets a condition (SQL); the table is too large to be kept."""
        rows = self.sql(f"SELECT DISTINCT document_id FROM variant WHERE bucket = $bucket AND {condition}")
        return np.sort(numbers(rows.column("document_id")))

    @cached_property
    def document_ids(self) -> Ints:
        return self.documents.number("document_id")

    @cached_property
    def document_stays(self) -> Ints:
        """The known stay of each document, or -1."""
        return self.settled(self.documents.number("stay_id"))

    @cached_property
    def documents_by_stay(self) -> tuple[Ints, Ints]:
        """Sorted known stays, and the place of a document of each."""
        order = np.argsort(self.document_stays, kind="stable")
        order = order[self.document_stays[order] >= 0]
        return self.document_stays[order], order

    def settled(self, stays: Ints) -> Ints:
        """Stays that are known; -1 for the others."""
        return np.where(contained(stays, self.stay_ids), stays, -1)

    @cached_property
    def parents(self) -> tuple[Ints, Ints]:
        """Facts that hang from an existing one (document and number as one key, sorted), and the key of that one."""
        rows = self.sql(
            """SELECT f.document_id, f.fact_no, f.parent_fact_no FROM fact f
               SEMI JOIN (SELECT document_id, fact_no FROM fact WHERE bucket = $bucket) above
               ON above.document_id = f.document_id AND above.fact_no = f.parent_fact_no
               WHERE f.bucket = $bucket AND f.parent_fact_no IS NOT NULL"""
        )
        document, fact, parent = (numbers(rows.column(n)) for n in ("document_id", "fact_no", "parent_fact_no"))
        key = fact_key(document, fact)
        order = np.argsort(key)
        return key[order], fact_key(document, parent)[order]

    def groups(self, facts: Ints) -> Ints:
        """The group of each fact: the key of the fact that everything hangs from."""
        known, above = self.parents
        for _ in range(DEEPEST):
            found = places(facts, known)
            if (found < 0).all():
                break
            facts = np.where(found >= 0, above[found], facts)
        return facts

    def groups_in(self, documents: Ints) -> tuple[Ints, Ints]:
        """Every group of some documents: document and group, once, sorted."""
        wanted = pa.table({"document_id": distinct(documents).astype(np.int32)})
        rows = self.sql(
            "SELECT document_id, fact_no FROM fact SEMI JOIN given USING (document_id) WHERE bucket = $bucket", wanted
        )
        found = distinct(self.groups(fact_key(numbers(rows.column("document_id")), numbers(rows.column("fact_no")))))
        return found >> NUMBER_BIT, found

    @cached_property
    def last_trace(self) -> Ints:
        """Per patient of `patient_ids`, the last day of observation, or NO_DAY."""
        rows = self.sql(
            "SELECT patient_id, max(start_date) AS day FROM fact WHERE bucket = $bucket GROUP BY patient_id"
        )
        last = np.maximum(self.patients.day("last_news"), self.patients.day("death_date"))
        at = places(numbers(rows.column("patient_id")), self.patient_ids)
        np.maximum.at(last, at[at >= 0], days(rows.column("day"))[at >= 0])
        return last

    @cached_property
    def _places(self) -> npt.NDArray[np.int32]:
        """For each number of the bucket's range, the place of its patient in the population, or -1."""
        found = np.full(self.snapshot.settings.bucket_patients, -1, np.int32)
        found[self.patient_ids - self.base] = np.arange(len(self.patient_ids))
        return found

    def of_patient(self, values: Ints, patients: Ints, otherwise: int) -> Ints:
        """The value of each patient in a column that follows `patient_ids`."""
        place = self._places[patients - self.base]
        padded = np.append(values, otherwise)
        found: Ints = padded[place]
        return found

    @cached_property
    def _births(self) -> tuple[Ints, Ints]:
        births = self.patients.day("birth_month")
        year, day = calendar(np.where(births == NO_DAY, 0, births))
        return np.where(births == NO_DAY, NO_DAY, year), day

    def ages(self, patients: Ints, at: Ints) -> tuple[Ints, Bools]:
        """Completed years of patients on days, and whether they are known."""
        born = self.of_patient(self._births[0], patients, NO_DAY)
        year, day = calendar(np.where(at == NO_DAY, 0, at))
        known = (born != NO_DAY) & (at != NO_DAY)
        return year - born - (day < self.of_patient(self._births[1], patients, 0)), known


def fact_key(document: Ints, fact: Ints) -> Ints:
    """Document and number of a fact as one number."""
    return (document << NUMBER_BIT) | fact


@lru_cache(maxsize=1)
def _calendar() -> tuple[Ints, Ints]:
    date = np.arange(_FIRST_DAY, _LAST_DAY + 1).astype("datetime64[D]")
    month = date.astype("datetime64[M]")
    year = month.astype("datetime64[Y]")
    ordered = (month - year).astype(np.int64) * 32 + (date - month).astype(np.int64)
    return year.astype(np.int64) + 1970, ordered


_FIRST_DAY, _LAST_DAY = -171_899, 365_000  # about 1499 to 2969


def calendar(day: Ints) -> tuple[Ints, Ints]:
    """Year, and month and day as one ordered number."""
    years, ordered = _calendar()
    at = np.clip(day, _FIRST_DAY, _LAST_DAY) - _FIRST_DAY
    return years[at], ordered[at]
