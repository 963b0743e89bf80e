"""The search bar's use case: what a person typed → a page of ranked documents, marked and counted.

Only the texts of the page's hits are read, and they are the de-identified ones. Totals and facets
are exact. What may be found is what the snapshot shows: its scope opens confidential data or not.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from estran.model.errors import StoreError, UsageError
from estran.text import analysis
from estran.text.parse import parse
from estran.text.query import Near, Phrase, TextQuery, Word, wanted
from estran.text.snippet import Snippet, snippets
from estran.warehouse.snapshot import Snapshot
from estran.warehouse.text_index import Facets, Hit, Suggestion, TextFilters

LARGEST_PAGE: Final = 200
_SHOWN = ("document_id", "kind", "title", "start_date", "unit_id")


@dataclass(frozen=True)
class FoundDocument:
    """A document of the page. `date` is its local date, `unit` the ward's label (or its code)."""

    document_id: int
    patient_id: int
    score: float
    kind: str
    title: str | None
    date: dt.date | None
    unit: str | None
    snippets: tuple[Snippet, ...]


@dataclass(frozen=True)
class UnknownWord:
    """A word that no visible document holds, with words that some do hold."""

    word: str
    suggestions: tuple[Suggestion, ...]


@dataclass(frozen=True)
class SearchPage:
    """Hits `offset` and following, totals of all hits, facets of all hits; `elapsed` is in seconds.

    `units` gives the label of each unit that `facets` names. `unknown` is filled when nothing was
    found: the words to spell otherwise.
    """

    query: TextQuery
    hits: tuple[FoundDocument, ...]
    offset: int
    documents: int
    patients: int
    facets: Facets
    units: dict[int, str]
    unknown: tuple[UnknownWord, ...]
    elapsed: float

    def notice(self, language: str = "fr") -> str:
        """Why there is nothing to show, in a sentence or two; empty when there is something."""
        if self.documents:
            return ""
        if not self.unknown:
            return "Aucun document ne répond." if language == "fr" else "No document matches."
        return " ".join(_about(word, language) for word in self.unknown)


def search(
    snapshot: Snapshot, text: str | TextQuery, filters: TextFilters | None = None,
    limit: int = 20, offset: int = 0,
) -> SearchPage:  # fmt: skip
    """The page of documents that match `text` and `filters`, best first.

    Raises UsageError when the text cannot be read as a question (with the place), or when the page
    asked for is out of range.
    """
    started = time.perf_counter()
    if not 1 <= limit <= LARGEST_PAGE or offset < 0:
        raise UsageError("This page of results does not exist.", hint=f"ask for 1 to {LARGEST_PAGE} results from 0 on")
    query = parse(text) if isinstance(text, str) else text
    filters = filters or TextFilters()
    found = snapshot.text.search(query, filters, limit=limit, offset=offset)
    facets = snapshot.text.facets(query, filters)
    hits, units = _shown(snapshot, query, found.hits, facets)
    unknown = () if found.documents else _unknown(snapshot, query, filters)
    elapsed = time.perf_counter() - started
    return SearchPage(query, hits, offset, found.documents, found.patients, facets, units, unknown, elapsed)


def _shown(
    snapshot: Snapshot, query: TextQuery, hits: Sequence[Hit], facets: Facets
) -> tuple[tuple[FoundDocument, ...], dict[int, str]]:
    rows = _documents(snapshot, hits)
    with snapshot.connect() as connection:
        units = dict(connection.execute("SELECT unit_id, coalesce(label, code) FROM unit").fetchall())
    if missing := [hit for hit in hits if hit.document_id not in rows]:
        raise StoreError(f"The text index names {len(missing)} documents that the tables do not hold.",
                         hint="estran check, then estran compact")  # fmt: skip
    shown = tuple(_found(query, hit, rows[hit.document_id], units) for hit in hits)
    named = {facet.value for facet in facets["unit"]}
    return shown, {unit: label for unit, label in units.items() if unit in named}


def _documents(snapshot: Snapshot, hits: Sequence[Hit]) -> dict[int, tuple[Any, ...]]:
    """Kind, title, date, unit and text of each hit."""
    wanted: dict[int, list[int]] = {}
    for hit in hits:
        wanted.setdefault(hit.patient_id, []).append(hit.document_id)
    found: dict[int, tuple[Any, ...]] = {}
    for patient, numbers in wanted.items():
        said = dict(_rows(snapshot, "text", patient, ("document_id", "text"), numbers))
        for number, *told in _rows(snapshot, "document", patient, _SHOWN, numbers):
            found[number] = (*told, said.get(number))
    return found


def _rows(snapshot: Snapshot, table: str, patient: int, columns: tuple[str, ...], numbers: list[int]) -> Iterable[Any]:
    rows = snapshot.patient_rows(table, patient, columns)
    kept = rows.filter(pc.is_in(rows.column("document_id"), pa.array(numbers, pa.int32())))
    return zip(*kept.to_pydict().values(), strict=True)


def _found(query: TextQuery, hit: Hit, row: tuple[Any, ...], units: dict[int, str]) -> FoundDocument:
    kind, title, date, unit, text = row
    pieces = tuple(snippets(query, text or ""))
    return FoundDocument(hit.document_id, hit.patient_id, hit.score, kind, title, date, units.get(unit), pieces)


def _unknown(snapshot: Snapshot, query: TextQuery, filters: TextFilters) -> tuple[UnknownWord, ...]:
    typed = dict.fromkeys(word for leaf in wanted(query) for word in _words(leaf))
    absent = [word for word in typed if not snapshot.text.documents(Word(word), filters)]
    return tuple(UnknownWord(word, _suggestions(snapshot, word, filters)) for word in absent)


def _words(leaf: TextQuery) -> list[str]:
    """The words of a leaf, as they were typed."""
    text = " ".join(leaf.words) if isinstance(leaf, Phrase | Near) else leaf.text if isinstance(leaf, Word) else ""
    return [text[token.start : token.end] for token in analysis.tokens(text) if token.word]


def _suggestions(snapshot: Snapshot, word: str, filters: TextFilters) -> tuple[Suggestion, ...]:
    """The index knows words without their accents: a document that holds one says how it is spelt."""
    found = snapshot.text.suggest(word, filters)
    hits = [hit for s in found for hit in snapshot.text.search(Word(s.word), filters, limit=1).hits]
    texts = [row[-1] or "" for row in _documents(snapshot, hits).values()]
    spelt = {t.word: text[t.start : t.end].lower() for text in texts for t in analysis.tokens(text)}
    return tuple(replace(s, word=spelt.get(s.word, s.word)) for s in found)


def _about(unknown: UnknownWord, language: str) -> str:
    listed = ", ".join(suggestion.word for suggestion in unknown.suggestions)
    if language == "fr":
        hint = f" Vouliez-vous dire : {listed} ?" if listed else ""
        return f"Aucun document ne contient « {unknown.word} ».{hint}"
    hint = f" Did you mean: {listed}?" if listed else ""
    return f"No document holds “{unknown.word}”.{hint}"
