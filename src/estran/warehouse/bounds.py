"""A snapshot kept within a perimeter: what lies outside is closed, as what is confidential is.

Inside are the documents of the kinds, units and period given, with every fact that hangs from them; the stays of
these units and of this period; the patients who have one of either. A document without a unit is of its stay's
unit. What has no date is outside of any period, and what has no unit outside of any unit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyroaring import BitMap

from estran.model.perimeter import Perimeter
from estran.warehouse.confidential import Closed
from estran.warehouse.encoding import numbers, read_files
from estran.warehouse.presence import Pair, Presence, bitmap, members
from estran.warehouse.presence_update import LIVE, added
from estran.warehouse.record import Record
from estran.warehouse.scratch import scratch
from estran.warehouse.views import source

_BATCH = 1_000_000  # facts looked at at a time


class Bounded(Closed):
    """What a scope keeps closed (`base`), and all that lies outside the perimeter.

    `hidden` gives the retired and cancelled documents of a bucket.
    """

    def __init__(
        self, directory: Path, record: Record, perimeter: Perimeter, base: Closed, hidden: Mapping[int, BitMap]
    ) -> None:
        super().__init__(directory, (record,))
        self.perimeter = perimeter
        self._base, self._hidden = base, hidden

    @cached_property
    def patients(self) -> BitMap:
        """Patients whom the scope keeps closed, and those who have nothing inside."""
        return (self._known("patient") | self._known("document")) - self._people | self._base.patients

    def _known(self, table: str) -> BitMap:
        """Patients whom a table names."""
        found = BitMap()
        for path in self._paths(0, table):
            found |= bitmap(numbers(read_files(table, [path], ["patient_id"]), "patient_id"))
        return found

    @cached_property
    def stays(self) -> BitMap:
        """Stays that the scope keeps closed, and those outside, whatever their status."""
        return self._stays[0] | self._base.stays

    @cached_property
    def documents(self) -> Mapping[int, BitMap]:
        """Per bucket, the documents that are not inside, of whomever; buckets without any are left out."""
        found = {bucket: ids.copy() for bucket, ids in self._base.documents.items()}
        for bucket, (outside, _) in self._documents.items():
            found[bucket] = found.get(bucket, BitMap()) | outside
        return {bucket: ids for bucket, ids in found.items() if ids}

    def inside(self, bucket: int) -> BitMap:
        """Documents of a bucket that may be seen."""
        _, inside = self._documents.get(bucket, (BitMap(), BitMap()))
        return inside - self._hidden.get(bucket, BitMap()) - self._base.documents.get(bucket, BitMap())

    @property
    def movement_condition(self) -> str:
        """Which movements are inside, as SQL."""
        return " AND ".join([*self._of_units("unit_id"), *self._of_period("start_date")])

    def movements(self, rows: pa.Table) -> pa.Table:
        """The movements that are inside, of rows of that table with unit_id and start_date."""
        bounds, days = self.perimeter, rows.column("start_date")
        keep = pa.array(np.ones(len(rows), np.bool_))
        if self._units is not None:
            keep = pc.and_(keep, pc.is_in(rows.column("unit_id"), pa.array(sorted(self._units), pa.int32())))
        if bounds.since:
            keep = pc.and_(keep, pc.fill_null(pc.greater_equal(days, pa.scalar(bounds.since)), False))
        if bounds.until:
            keep = pc.and_(keep, pc.fill_null(pc.less_equal(days, pa.scalar(bounds.until)), False))
        return rows.filter(keep)

    @cached_property
    def _people(self) -> BitMap:
        """Patients with a document that may be seen or, when no kind of document is asked for, a stay."""
        bounds = self.perimeter
        if self._units is None and not (bounds.dated or bounds.kinds):
            return BitMap(bounds.patients or ())
        found = BitMap() if bounds.kinds else self._stays[1].copy()
        for bucket in self._documents:
            rows = read_files("document", self._paths(0, "document", bucket), ["document_id", "patient_id"])
            seen = np.isin(numbers(rows, "document_id"), members(self.inside(bucket)))
            found |= bitmap(numbers(rows, "patient_id")[seen])
        return found

    @cached_property
    def _stays(self) -> tuple[BitMap, BitMap]:
        """Stays outside, and the patients of those inside that may be seen."""
        paths = self._paths(0, "stay")
        if not paths:
            return BitMap(), BitMap()
        conditions = [
            *self._of_units(self._unit_of_stay()),
            *self._of_period("s.start_date"),
            *self._of_list("s.patient_id"),
        ]
        with self._connected() as connection:
            connection.register("closed_stay", pa.table({"stay_id": members(self._base.stays).astype(np.int32)}))
            rows = connection.sql(
                f"""SELECT s.stay_id, s.patient_id, {_all(conditions)} AS inside,
                           s.status <> 'cancelled' AND c.stay_id IS NULL AS seen
                    FROM ({source("stay", paths)}) s LEFT JOIN closed_stay c USING (stay_id)"""
            ).to_arrow_table()
        inside = rows.column("inside").to_numpy(zero_copy_only=False).astype(bool)
        seen = inside & rows.column("seen").to_numpy(zero_copy_only=False).astype(bool)
        return bitmap(numbers(rows, "stay_id")[~inside]), bitmap(numbers(rows, "patient_id")[seen])

    def _unit_of_stay(self) -> str:
        """The unit of a stay `s`: its own, else the one of a movement that is inside."""
        if self._units is None:
            return ""
        moved = source("movement", self._paths(0, "movement"))
        inside = " AND ".join(self._of_units("m.unit_id"))
        return f"""coalesce(s.unit_id, (SELECT min(m.unit_id) FROM ({moved}) m
                   WHERE m.stay_id = s.stay_id AND m.status <> 'cancelled' AND {inside}))"""

    @cached_property
    def _documents(self) -> Mapping[int, tuple[BitMap, BitMap]]:
        """Per bucket, the documents outside and inside, hidden ones included."""
        with self._connected() as connection:
            return dict(self._of_buckets(connection))

    def _of_buckets(self, connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[int, tuple[BitMap, BitMap]]]:
        conditions = [*self._of_units("coalesce(d.unit_id, s.unit_id)"), *self._of_period("d.start_date")]
        conditions += [*self._of_list("d.patient_id"), *self._of_kinds("d.kind")]
        for bucket in self._records[0].tables["document"].files:
            stays = source("stay", self._paths(0, "stay", bucket)) if self._units is not None else "SELECT 0 AS stay_id"
            rows = connection.sql(
                f"""SELECT d.document_id, {_all(conditions)} AS inside
                    FROM ({source("document", self._paths(0, "document", bucket))}) d
                    LEFT JOIN ({stays}) s ON s.stay_id = d.stay_id"""
            ).to_arrow_table()
            inside = rows.column("inside").to_numpy(zero_copy_only=False).astype(bool)
            documents = numbers(rows, "document_id")
            yield bucket, (bitmap(documents[~inside]), bitmap(documents[inside]))

    def _connected(self) -> duckdb.DuckDBPyConnection:
        connection = scratch()
        listed = np.array(self.perimeter.patients or (), np.int32)
        connection.register("listed_patient", pa.table({"patient_id": listed}))
        return connection

    @cached_property
    def _units(self) -> frozenset[int] | None:
        """Units inside; None when none is asked for."""
        asked = [codes for codes in (self.perimeter.facilities, self.perimeter.wards) if codes]
        if not asked:
            return None
        rows = read_files("unit", self._paths(0, "unit"), ["unit_id", "code", "parent"]).to_pylist()
        return frozenset.intersection(*(units_below(rows, codes) for codes in asked))

    def _of_units(self, column: str) -> list[str]:
        if self._units is None:
            return []
        return [f"{column} IN ({', '.join(map(str, sorted(self._units)))})"] if self._units else ["false"]

    def _of_period(self, column: str) -> list[str]:
        bounds = self.perimeter
        days = ((">=", bounds.since), ("<=", bounds.until))
        return [f"{column} {sign} DATE '{day.isoformat()}'" for sign, day in days if day]

    def _of_list(self, column: str) -> list[str]:
        return [] if self.perimeter.patients is None else [f"{column} IN (SELECT patient_id FROM listed_patient)"]

    def _of_kinds(self, column: str) -> list[str]:
        kinds = ", ".join(f"'{kind}'" for kind in self.perimeter.kinds)  # of a closed list
        return [f"{column} IN ({kinds})"] if kinds else []


class BoundedPresence(Presence):
    """The presence bitmaps of one bucket, of the facts of some documents only: made anew from the facts."""

    def __init__(self, facts: list[str], documents: BitMap) -> None:
        super().__init__(None)
        pairs = _pairs(facts, documents)
        kept = sorted(concept for concept, (patients, _) in pairs.items() if patients)
        self.concepts = np.array(kept, np.int64)
        self._cache = (
            {n: pairs[concept][0] for n, concept in enumerate(kept)},
            {n: pairs[concept][1] for n, concept in enumerate(kept)},
        )

    def pair(self, concept: int) -> Pair:
        """Copies of the two bitmaps of one concept, empty when it is absent."""
        found = self._indices([concept])
        return (self.at(found[0], 0).copy(), self.at(found[0], 1).copy()) if found else (BitMap(), BitMap())


def _pairs(facts: list[str], documents: BitMap) -> dict[int, Pair]:
    found: dict[int, Pair] = {}
    if not facts or not documents:
        return found
    with scratch() as connection:
        connection.register("inside_document", pa.table({"document_id": members(documents).astype(np.int32)}))
        reader = connection.sql(
            f"""SELECT concept_id, local_concept_id, patient_id, stay_id, status, context, origin
                FROM ({source("fact_by_concept", facts)}) SEMI JOIN inside_document USING (document_id) WHERE {LIVE}"""
        ).to_arrow_reader(_BATCH)
        for batch in reader:
            rows = pa.Table.from_batches([batch]).sort_by("concept_id")
            for concept, (patients, stays) in added(rows, BitMap()).items():
                known = found.setdefault(concept, (BitMap(), BitMap()))
                known[0].update(patients)
                known[1].update(stays)
    return found


def _all(conditions: list[str]) -> str:
    """All of them; what is unknown does not hold."""
    return f"coalesce({' AND '.join(conditions)}, false)" if conditions else "true"


def units_below(units: list[dict[str, Any]], codes: Collection[str]) -> frozenset[int]:
    """The units of these codes, and everything below them."""
    found = {int(unit["unit_id"]) for unit in units if unit["code"] in codes}
    while more := {int(unit["unit_id"]) for unit in units if unit["parent"] in found} - found:
        found |= more
    return frozenset(found)
