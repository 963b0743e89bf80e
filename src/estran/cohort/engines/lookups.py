"""What the fast engine looks up once for all buckets: code sets, units, texts, permissions, relations."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from estran.cohort.engines.events import Ints, key_array, key_set
from estran.cohort.query import Code, Kin, PermissionCriterion, Unit
from estran.model.codes import DocumentKind
from estran.text.parse import parse
from estran.warehouse.text_index import TextFilters

if TYPE_CHECKING:
    from estran.warehouse import Snapshot


class Lookups:
    """Answers kept for the life of an engine. `within`: the only patients that are answered for."""

    def __init__(self, snapshot: Snapshot, within: BitMap | None) -> None:
        self.snapshot = snapshot
        self.within = within
        self.population = snapshot.population() if within is None else snapshot.population() & within
        self._codes: dict[tuple[Code, ...], Ints] = {}
        self._targets: dict[bytes, Ints] = {}
        self._texts: dict[tuple[str, tuple[DocumentKind, ...]], tuple[Ints, BitMap]] = {}
        self._lock = threading.Lock()

    def sql(self, query: str, values: list[Any] | None = None) -> pa.Table:
        """Rows of a query with bound values."""
        with self.snapshot.connect() as connection:
            return connection.sql(query, params=values or []).to_arrow_table()

    def code_set(self, codes: tuple[Code, ...]) -> Ints:
        """The sorted concepts of a code set: those included minus those excluded, each with its descendants."""
        if codes not in self._codes:
            gone = [one for one in codes if one.excluded]
            found = self._opened([one for one in codes if not one.excluded])
            self._codes[codes] = np.setdiff1d(found, self._opened(gone)) if gone else found
        return self._codes[codes]

    def _opened(self, codes: list[Code]) -> Ints:
        whole, alone = (
            [i for c in codes if c.descendants is below for i in self.snapshot.concept_ids(c.vocabulary, c.code)]
            for below in (True, False)
        )
        found = self.snapshot.descendants(whole).tolist() if whole else []
        return np.array(sorted({*found, *alone}), np.int64)

    @cached_property
    def _maps(self) -> tuple[Ints, Ints]:
        rows = self.sql("SELECT source_id, target_id FROM concept_map ORDER BY source_id")
        return rows.column("source_id").to_numpy().astype(np.int64), rows.column("target_id").to_numpy().astype(np.int64)

    def with_targets(self, ids: Ints) -> Ints:
        """The concepts, and those that facts of them are stored under when they are mapped local codes."""
        sources, targets = self._maps
        if not len(sources):
            return ids
        key = ids.tobytes()
        if key not in self._targets:
            self._targets[key] = np.union1d(ids, targets[np.isin(sources, ids)])
        return self._targets[key]

    @cached_property
    def _units(self) -> list[tuple[int, str, int | None]]:
        rows = self.sql("SELECT unit_id, code, parent FROM unit").to_pylist()
        return [(row["unit_id"], row["code"], row["parent"]) for row in rows]

    def units(self, codes: tuple[str, ...]) -> Ints:
        """The sorted units of the codes and everything below them."""
        found = {unit for unit, code, _ in self._units if code in codes}
        while more := {unit for unit, _, parent in self._units if parent in found} - found:
            found |= more
        return np.array(sorted(found), np.int64)

    def _text(self, query: str, kinds: tuple[DocumentKind, ...]) -> tuple[Ints, BitMap]:
        with self._lock:
            if (query, kinds) not in self._texts:
                asked, filters = parse(query), TextFilters(kinds=frozenset(kinds))
                documents = self.snapshot.text.documents(asked, filters)
                self._texts[query, kinds] = key_array(documents), self.snapshot.text.patients(asked, filters)
            return self._texts[query, kinds]

    def text_documents(self, query: str, kinds: tuple[DocumentKind, ...]) -> Ints:
        """The sorted documents that answer a text question."""
        return self._text(query, kinds)[0]

    def text_patients(self, query: str, kinds: tuple[DocumentKind, ...]) -> BitMap:
        """The patients of those documents."""
        return self._text(query, kinds)[1]

    def permitted(self, node: PermissionCriterion) -> BitMap:
        """Patients with a permission that runs on the snapshot's date."""
        today = self.snapshot.date
        rows = self.sql(
            """SELECT patient_id FROM permission WHERE kind = ? AND scope = ?
               AND from_date <= ? AND (to_date IS NULL OR to_date >= ?)""",
            [node.kind, node.scope, today, today],
        )
        return key_set(rows.column("patient_id").to_numpy(), Unit.PATIENT) & self.population

    def relatives(self, kin: Kin, met: BitMap) -> BitMap:
        """Patients who are the mother (child, twin) of one of `met`; either of the two may hold the record."""
        opposite = {Kin.MOTHER: Kin.CHILD, Kin.CHILD: Kin.MOTHER, Kin.TWIN: Kin.TWIN}[kin]
        rows = self.sql("SELECT patient_id, other_id, kind FROM relation")
        patient, other = (rows.column(name).to_numpy() for name in ("patient_id", "other_id"))
        kinds, known = np.array(rows.column("kind").to_pylist(), object), key_array(met)
        found = other[(kinds == kin.value) & np.isin(patient, known)]
        found_too = patient[(kinds == opposite.value) & np.isin(other, known)]
        return key_set(np.concatenate([found, found_too]), Unit.PATIENT) & self.population
