"""Searching the texts of a snapshot: all its index folders as one, without what reads must not see.

A `TextIndex` is immutable and cheap to make: folders are opened once per process and shared by
snapshots. A document that stands in several folders counts in the last one (a merge of patients
indexes their texts again). Totals, sets and facets are exact; ranking is BM25 over all folders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap
from tantivy import Query

from estran.text import analysis
from estran.text.query import TextQuery, Word
from estran.text.spelling import slips
from estran.warehouse.text_build import TextIndexBuilder, TextIndexInfo, build_index
from estran.warehouse.text_facets import (
    AGE_BANDS,
    FACETS,
    Column,
    Facet,
    FacetName,
    Facets,
    KnownPeople,
    People,
    age_bands,
    coded,
)  # fmt: skip
from estran.warehouse.text_folder import Folder, Hit, Rows, as_array, as_bitmap, open_folder
from estran.warehouse.text_match import Matcher

__all__ = ["AGE_BANDS", "Facet", "Facets", "Hit", "Hits", "Suggestion", "TextFilters", "TextIndex", "TextIndexBuilder",
           "TextIndexInfo", "build_index"]  # fmt: skip

_SUGGESTIONS = 5


@dataclass(frozen=True)
class TextFilters:
    """What narrows a search; an empty field narrows nothing.

    `years` is first and last, both included; `ages` names bands by their first year (see
    `AGE_BANDS`), age being year of the document - year of birth; `excluded` are documents to leave out.
    """

    kinds: frozenset[str] = frozenset()
    years: tuple[int, int] | None = None
    units: frozenset[int] = frozenset()
    sexes: frozenset[str] = frozenset()
    ages: frozenset[int] = frozenset()
    patients: BitMap | None = None
    documents: BitMap | None = None
    excluded: BitMap = field(default_factory=BitMap)


@dataclass(frozen=True)
class Hits:
    """One page of hits, best first (equal scores in order of indexing), and the exact totals."""

    hits: list[Hit]
    documents: int
    patients: int


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A word of the index near a misspelt one, and how many documents hold it."""

    word: str
    documents: int


class TextIndex:
    """The text of a snapshot: `folders` in order of load, without the documents of `retired` and the
    patients of `hidden`.

    `people` gives patient_id, sex and birth_month (or birth_year) as they are known now; without
    it, sex and age are those of the moment of the load.
    """

    def __init__(
        self, folders: Sequence[Path], retired: BitMap | None = None, hidden: BitMap | None = None,
        *, people: People | None = None,
    ) -> None:  # fmt: skip
        self._folders = [open_folder(Path(folder)) for folder in folders]
        self._retired = retired if retired is not None else BitMap()
        self._hidden = hidden if hidden is not None else BitMap()
        self._people = people

    # Sets

    def all_documents(self) -> BitMap:
        """Every visible document that was indexed."""
        return as_bitmap(self._folders[i].documents[rows] for i, rows in enumerate(self._visible))

    def documents(self, query: TextQuery, filters: TextFilters | None = None) -> BitMap:
        """The documents that match."""
        return self._members("document_id", query, filters)

    def patients(self, query: TextQuery, filters: TextFilters | None = None) -> BitMap:
        """The patients with a document that matches."""
        return self._members("patient_id", query, filters)

    def stays(self, query: TextQuery, filters: TextFilters | None = None) -> BitMap:
        """The stays (as the documents name them) with a document that matches."""
        return self._members("stay_id", query, filters)

    def _members(self, column: str, query: TextQuery, filters: TextFilters | None) -> BitMap:
        found = self._matching(query, filters)
        return as_bitmap(self._folders[i].columns[column][rows] for i, rows in enumerate(found))

    # Ranking

    def search(self, query: TextQuery, filters: TextFilters | None = None, *, limit: int = 20, offset: int = 0) -> Hits:
        """Hits `offset` to `offset + limit` of all, best first, with the totals."""
        found = self._matching(query, filters)
        ranked = [hit for i, rows in enumerate(found) for hit in self._best(i, query, rows, offset + limit)]
        ranked.sort(key=lambda hit: -hit.score)  # stable: pages never overlap
        patients = as_bitmap(self._folders[i].columns["patient_id"][rows] for i, rows in enumerate(found))
        return Hits(ranked[offset : offset + limit], sum(map(len, found)), len(patients))

    def _best(self, number: int, query: TextQuery, rows: Rows, wanted: int) -> list[Hit]:
        """The best hits among `rows` of one folder: asks for more until enough of them are allowed."""
        folder, wanted = self._folders[number], min(wanted, len(rows))
        allowed = np.zeros(folder.size, bool)
        allowed[rows] = True
        asked = wanted
        while wanted:
            found, scores = folder.ranked(self._translated(folder, query), asked)
            kept = allowed[found]
            if kept.sum() >= wanted or len(found) < asked:
                return folder.hits(found[kept][:wanted], scores[kept][:wanted])
            asked *= 8
        return []

    def _translated(self, folder: Folder, query: TextQuery) -> Query:
        return Matcher(folder.schema, folder.frequency, self._frequency).query(query)

    def _frequency(self, name: str, term: str) -> tuple[int, int]:
        counts = [folder.frequency(name, term) for folder in self._folders]
        return sum(c[0] for c in counts), sum(c[1] for c in counts)

    # Facets

    def facets(self, query: TextQuery, filters: TextFilters | None = None) -> Facets:
        """Documents and patients per kind, year, unit, sex and age band, most documents first
        (years and ages in their own order)."""
        found = self._matching(query, filters)
        patients = self._gather(found, "patient_id")
        return {name: self._facet(name, found).counted(name, patients) for name in FACETS}

    def _facet(self, name: FacetName, found: Sequence[Rows]) -> Column:
        if name == "kind":
            return self._words(found, "kind")
        if name == "sex":
            return self._sex(found)
        if name == "age":
            return Column(age_bands(self._gather(found, "year"), self._birth_year(found)))
        return Column(self._gather(found, "year" if name == "year" else "unit_id"))

    def _gather(self, found: Sequence[Rows], column: str) -> npt.NDArray[Any]:
        parts = [self._folders[i].columns[column][rows] for i, rows in enumerate(found)]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def _words(self, found: Sequence[Rows], column: str) -> Column:
        all_words = coded(word for folder in self._folders for word in folder.words(column))
        starts = np.cumsum([0, *(len(folder.words(column)) for folder in self._folders)])
        parts = [all_words.values[starts[i] + self._folders[i].columns[column][rows]] for i, rows in enumerate(found)]
        return Column(np.concatenate(parts) if parts else np.empty(0, np.int64), all_words.names)

    def _sex(self, found: Sequence[Rows]) -> Column:
        if self._known is None:
            return self._words(found, "sex")
        at = self._known.find(self._gather(found, "patient_id"))
        return Column(self._known.sex.values[at], self._known.sex.names)

    def _birth_year(self, found: Sequence[Rows]) -> npt.NDArray[Any]:
        if self._known is None:
            return self._gather(found, "birth_year")
        at = self._known.find(self._gather(found, "patient_id"))
        return np.where(at < 0, 0, self._known.birth_year[at])

    @cached_property
    def _known(self) -> KnownPeople | None:
        table = self._people() if self._people else None
        return KnownPeople.of(table) if table else None

    # Words

    def suggest(self, word: str, filters: TextFilters | None = None) -> list[Suggestion]:
        """Words of visible documents one slip (or two, after the third letter) from `word`, nearest and
        most frequent first, folded; empty when `word` itself is found."""
        folded = " ".join(analysis.words(word))
        if not folded or self.documents(Word(word), filters):
            return []
        near = Counter[str]()
        for folder in self._folders:
            near.update(folder.near(folded))
        likely = sorted(near, key=lambda w: (slips(folded, w), -near[w], w))[: 6 * _SUGGESTIONS]
        likely = list({analysis.stem(w): w for w in reversed(likely)}.values())[::-1]  # one word of each stem
        checked = [Suggestion(w, len(self.documents(Word(w), filters))) for w in likely[: 2 * _SUGGESTIONS]]
        return [s for s in checked if s.documents][:_SUGGESTIONS]

    # What is visible, and what the filters leave

    @cached_property
    def _visible(self) -> list[Rows]:
        later, visible = BitMap(), []
        for folder in reversed(self._folders):
            hidden = np.isin(folder.documents, as_array(self._retired | later))
            hidden |= np.isin(folder.columns["patient_id"], as_array(self._hidden))
            visible.append(np.flatnonzero(~hidden))
            later |= folder.members
        return visible[::-1]

    @cached_property
    def _visible_mask(self) -> list[npt.NDArray[np.bool_]]:
        masks = [np.zeros(folder.size, bool) for folder in self._folders]
        for mask, rows in zip(masks, self._visible, strict=True):
            mask[rows] = True
        return masks

    def _matching(self, query: TextQuery, filters: TextFilters | None) -> list[Rows]:
        """Per folder, the rows of the visible documents that match."""
        found = [folder.matching(query) for folder in self._folders]
        found = [rows[mask[rows]] for rows, mask in zip(found, self._visible_mask, strict=True)]
        return found if filters is None else [self._narrowed(i, rows, filters) for i, rows in enumerate(found)]

    def _narrowed(self, number: int, rows: Rows, filters: TextFilters) -> Rows:
        folder = self._folders[number]
        for column, wanted in (("document_id", filters.documents), ("patient_id", filters.patients)):
            if wanted is not None:
                rows = rows[np.isin(folder.columns[column][rows], as_array(wanted))]
        if filters.excluded:
            rows = rows[~np.isin(folder.documents[rows], as_array(filters.excluded))]
        if filters.years:
            year = folder.columns["year"][rows]
            rows = rows[(year >= filters.years[0]) & (year <= filters.years[1])]
        facets: tuple[tuple[FacetName, Iterable[str | int]], ...] = (
            ("kind", filters.kinds), ("unit", filters.units), ("sex", filters.sexes), ("age", filters.ages),
        )  # fmt: skip
        for name, values in facets:
            if values:
                rows = rows[self._facet(name, self._alone(number, rows)).among(values)]
        return rows

    def _alone(self, number: int, rows: Rows) -> list[Rows]:
        return [rows if i == number else np.empty(0, np.int64) for i in range(len(self._folders))]
