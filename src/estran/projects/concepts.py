"""Looking a code up by its label or its code, with the number of patients who have it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from estran.projects.rows import fetch
from estran.warehouse import Snapshot

OFFERED = 20
_COUNTED = 80
_KEPT = 50_000  # concepts that patients have are all kept in memory up to here
_FOLD = "strip_accents(lower({}))"


@dataclass(frozen=True)
class Concept:
    """A code with its labels; `patients` counts those who have it or anything below it."""

    concept_id: int
    vocabulary: str
    code: str
    label_fr: str
    label_en: str
    kind: str
    unit: str
    patients: int = 0

    def label(self, lang: str) -> str:
        """The label in a language, or in the other one, or the code."""
        first, second = (self.label_en, self.label_fr) if lang == "en" else (self.label_fr, self.label_en)
        return first or second or self.code


class ConceptShelf:
    """The concepts of one snapshot. May be shared between threads."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._lock = threading.Lock()
        self._counts: dict[int, int] = {}
        self._looked_up: dict[int, Concept | None] = {}
        self._of_codes: dict[tuple[str, str], Concept | None] = {}

    @cached_property
    def _held(self) -> set[int]:
        """Concepts that somebody has, or something below which somebody has."""
        found = [self._snapshot.presence(bucket).held() for bucket in self._snapshot.buckets]
        own = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
        with self._snapshot.connect() as connection:
            connection.register("own", pa.table({"descendant_id": own.astype(np.int32)}))
            rows = connection.execute(
                "SELECT DISTINCT ancestor_id FROM concept_ancestor SEMI JOIN own USING (descendant_id)"
            ).fetchall()
        return {int(c) for c in own} | {row[0] for row in rows}

    def patients(self, concept_id: int) -> int:
        """Visible patients with a live fact of the concept or of one below it."""
        known = self._counts.get(concept_id)
        if known is None:
            below, snapshot = self._snapshot.descendants([concept_id]), self._snapshot
            found = [snapshot.presence(bucket).patients(below) for bucket in snapshot.buckets]
            visible = snapshot.population()
            known = sum(len(part & visible) for part in found)
            with self._lock:
                self._counts[concept_id] = known
        return known

    def look_up(self, words: str, kind: str = "", limit: int = OFFERED) -> list[Concept]:
        """The concepts whose label, synonym or code hold every word; those that patients have first.

        No word at all gives the most frequent ones among what patients have.
        """
        rows = self._matching(words, kind)
        held = self._held
        rows.sort(key=lambda r: (r["concept_id"] not in held, r["rank"], r["length"]))
        known = self.of_ids(r["concept_id"] for r in rows[:_COUNTED])
        found = [replace(known[r["concept_id"]], patients=self.patients(r["concept_id"])) for r in rows[:_COUNTED]]
        exact = {r["concept_id"] for r in rows[:_COUNTED] if r["rank"] == 0}
        found.sort(key=lambda c: (c.concept_id not in exact, -c.patients))
        return found[:limit]

    @cached_property
    def _folded(self) -> pa.Table:
        """Every concept with its code, and with its labels and synonyms in one line, both folded: made once per snapshot."""
        said = _FOLD.format("concat_ws(' ', c.label_fr, c.label_en, s.said)")
        with self._snapshot.connect() as connection:
            return connection.sql(
                f"""SELECT c.concept_id, c.kind, {_FOLD.format("c.code")} AS code, {said} AS said,
                           length(coalesce(c.label_fr, c.label_en, c.code)) AS length
                    FROM concept c LEFT JOIN (SELECT concept_id, string_agg(synonym, ' ') AS said
                                              FROM concept_synonym GROUP BY concept_id) s USING (concept_id)"""
            ).to_arrow_table()

    def _matching(self, words: str, kind: str) -> list[dict[str, Any]]:
        """Number, rank and length of the label of what holds every word, the best two thousand."""
        tokens = words.split()
        folded = _FOLD.format("?")
        conditions = [f"(code LIKE {folded} || '%' OR said LIKE '%' || {folded} || '%')" for _ in tokens]
        values: list[object] = [token for token in tokens for _ in range(2)]
        if kind:
            conditions.append("kind = ?")
            values.append(kind)
        if not tokens:
            with_data = pa.table({"concept_id": pa.array(sorted(self._held), pa.int32())})
        sql = f"""
            SELECT concept_id, length, CASE WHEN code = {folded} THEN 0 WHEN code LIKE {folded} || '%' THEN 1
                                            WHEN said LIKE {folded} || '%' THEN 2 ELSE 3 END AS rank
            FROM folded {"" if tokens else "SEMI JOIN with_data USING (concept_id)"}
            WHERE {" AND ".join(conditions) or "true"}
            ORDER BY rank, length, concept_id LIMIT 2000
        """
        with self._snapshot.connect() as connection:
            connection.register("folded", self._folded)
            if not tokens:
                connection.register("with_data", with_data)
            found = connection.execute(sql, [words.strip()] * 3 + values)
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def of_codes(self, codes: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Concept]:
        """What is known of these (vocabulary, code) pairs."""
        asked, known = set(codes), self._of_codes
        if wanted := sorted(asked - known.keys()):
            marks = ", ".join("(?, ?)" for _ in wanted)
            values = [part for pair in wanted for part in pair]
            rows = fetch(self._snapshot, f"SELECT * FROM concept WHERE (vocabulary, code) IN ({marks})", values)
            read: dict[tuple[str, str], Concept | None] = {(r["vocabulary"], r["code"]): _concept(r) for r in rows}
            known = known | dict.fromkeys(wanted) | read
            with self._lock:
                self._of_codes = known if len(known) < _KEPT else {}
        return {pair: found for pair in asked if (found := known.get(pair)) is not None}

    def of_ids(self, ids: Iterable[int]) -> dict[int, Concept]:
        """What is known of these concept ids. Answers are kept: timelines ask for the same few thousand."""
        asked = set(ids)
        missing = sorted(asked - self._looked_up.keys())
        if missing and not self._looked_up and len(self._held) <= _KEPT:
            missing = sorted(asked | self._held)  # one question now rather than one for each timeline to come
        if missing:
            fresh: dict[int, Concept | None] = {**dict.fromkeys(missing), **self._read(missing)}
            with self._lock:
                self._looked_up |= fresh
        return {number: found for number in asked if (found := self._looked_up[number]) is not None}

    def _read(self, ids: list[int]) -> dict[int, Concept]:
        wanted = pa.table({"concept_id": pa.array(ids, pa.int32())})
        with self._snapshot.connect() as connection:
            connection.register("wanted", wanted)
            found = connection.execute("SELECT concept.* FROM concept SEMI JOIN wanted USING (concept_id)")
            names = [column[0] for column in found.description]
            rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        return {r["concept_id"]: _concept(r) for r in rows}


def _concept(row: dict[str, Any], patients: int = 0) -> Concept:
    def text(name: str) -> str:
        return str(row[name] or "")

    return Concept(
        row["concept_id"], text("vocabulary"), text("code"), text("label_fr"), text("label_en"), text("kind"),
        text("unit"), patients,
    )
