"""A search as one person may see it: facets and totals through the gate, documents only to readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from estran.cohort.search import FoundDocument, SearchPage, UnknownWord, search
from estran.model.errors import UsageError
from estran.projects.gate import Answer, ResultGate, Shown
from estran.projects.patients import PatientLine, read_patients
from estran.text.parse import parse
from estran.text.snippet import marks
from estran.warehouse import Snapshot
from estran.warehouse.text_index import AGE_BANDS, TextFilters

__all__ = ["AGE_BANDS", "FacetShown", "Found", "HitShown", "Piece", "find", "pieces"]

_FACETS = ("kind", "year", "unit", "sex", "age")


@dataclass(frozen=True)
class FacetShown:
    """One value of a facet; `label` is set for wards."""

    value: str
    documents: Shown | None
    patients: Shown
    label: str = ""


@dataclass(frozen=True)
class HitShown:
    """A document found, with its patient."""

    document: FoundDocument
    patient: PatientLine | None


@dataclass(frozen=True)
class Found:
    """A page of results. `hits` is empty for those who may only count; `readable` says so.

    Documents are counted for those who may read them only: one patient may have hundreds, which no noise hides.
    """

    hits: tuple[HitShown, ...]
    readable: bool
    documents: Shown | None
    patients: Shown
    pages: int
    facets: Mapping[str, tuple[FacetShown, ...]]
    unknown: tuple[UnknownWord, ...]
    seconds: float


@dataclass(frozen=True)
class Piece:
    """A stretch of text; `marked` when it answers the search, `tag` when it replaces what was removed."""

    text: str
    marked: bool = False


def find(
    snapshot: Snapshot, gate: ResultGate, text: str, filters: Mapping[str, str], limit: int, offset: int, readable: bool
) -> Found:
    """Search; UsageError when the text or a filter cannot be read."""
    chosen = _filters(filters)
    page = search(snapshot, text, chosen, limit, offset if readable else 0)
    answer = gate.answers({"": snapshot.text.patients(page.query, chosen)})[""]
    people = {p.patient_id: p for p in read_patients(snapshot, [h.patient_id for h in page.hits])} if readable else {}
    return Found(
        hits=tuple(HitShown(h, people.get(h.patient_id)) for h in page.hits) if readable else (), readable=readable,
        documents=Shown(page.documents) if readable else None, patients=answer.shown,
        pages=-(-page.documents // limit) if readable else 0, facets=_facets(page, answer, gate, readable), unknown=page.unknown,
        seconds=page.elapsed,
    )


def pieces(text: str, words: str) -> tuple[Piece, ...]:
    """The text cut at what answers the words; in one piece when they cannot be read as a search."""
    try:
        spans = marks(parse(words), text) if words.strip() else []
    except UsageError:
        spans = []
    found, at = [], 0
    for start, end in spans:
        found += [Piece(text[at:start]), Piece(text[start:end], marked=True)]
        at = end
    return tuple(piece for piece in [*found, Piece(text[at:])] if piece.text)


def _filters(given: Mapping[str, str]) -> TextFilters:
    try:
        year = int(given["year"]) if "year" in given else None
        return TextFilters(
            kinds=frozenset({given["kind"]} if "kind" in given else ()),
            years=None if year is None else (year, year),
            units=frozenset({int(given["unit"])} if "unit" in given else ()),
            sexes=frozenset({given["sex"]} if "sex" in given else ()),
            ages=frozenset({int(given["age"])} if "age" in given else ()),
        )
    except ValueError:
        raise UsageError("A filter of this search cannot be read.", hint="remove the filters and search again") from None


def _facets(page: SearchPage, answer: Answer, gate: ResultGate, readable: bool) -> dict[str, tuple[FacetShown, ...]]:
    return {name: _facet(name, page, answer, gate, readable) for name in _FACETS}


def _facet(name: str, page: SearchPage, answer: Answer, gate: ResultGate, readable: bool) -> tuple[FacetShown, ...]:
    found = {str(f.value): f for f in page.facets[name] if f.value is not None}  # type: ignore[index]
    patients = gate.cells(answer, name, {value: f.patients for value, f in found.items()})
    return tuple(
        FacetShown(
            value, Shown(f.documents) if readable else None, patients[value],
            page.units.get(f.value, "") if isinstance(f.value, int) and name == "unit" else "",
        )
        for value, f in found.items()
        if value in patients
    )  # fmt: skip
