"""Codes to concept ids; vocabularies that travel with the data."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest

from estran.model.tables import CONCEPT, CONCEPT_ANCESTOR, CONCEPT_MAP
from estran.sources.records import Code, Vocabulary
from estran.terminology.book import ConceptBook
from estran.terminology.hierarchy import Hierarchy, close


def empty() -> ConceptBook:
    return ConceptBook(CONCEPT.empty_table())


def names(book_rows: pa.Table) -> list[tuple[int, str, str]]:
    return [(r["concept_id"], r["vocabulary"], r["code"]) for r in book_rows.to_pylist()]


def test_a_local_code_alone_stands_for_itself() -> None:
    book = empty()
    got = book.resolve([Code("LOCAL/LABO", "NA", "Sodium", kind="laboratory")], 0)
    assert (got.concept_ids.tolist(), got.local_ids.tolist(), got.next_id) == ([0], [-1], 1)
    row = got.new_concepts.to_pylist()[0]
    assert (row["label_fr"], row["kind"], row["standard"]) == ("Sodium", "laboratory", False)
    again = book.resolve([Code("LOCAL/LABO", "NA", "Sodium", kind="laboratory")], got.next_id)
    assert again.concept_ids.tolist() == [0] and len(again.new_concepts) == 0 and again.next_id == 1


def test_the_standard_coding_wins_and_the_local_is_kept() -> None:
    code = Code("LOCAL/LABO", "NA", "Sodium", also=(("LOINC", "2951-2", "Sodium [Moles/volume]"),))
    got = empty().resolve([code], 10)
    assert names(got.new_concepts) == [(10, "LOCAL/LABO", "NA"), (11, "LOINC", "2951-2")]
    assert (got.concept_ids.tolist(), got.local_ids.tolist()) == ([11], [10])
    assert got.new_maps.to_pylist() == [
        {"source_id": 10, "target_id": 11, "relation": "equivalent", "method": "source"}
    ]


def test_a_standard_code_with_a_local_translation() -> None:
    got = empty().resolve([Code("LOINC", "2951-2", also=(("LOCAL/LABO", "NA", ""),))], 0)
    assert (got.concept_ids.tolist(), got.local_ids.tolist()) == ([0], [1])


def test_two_codes_of_the_best_vocabulary_keep_their_order() -> None:
    """OMOP: the concept is the standard one, the source concept the local one."""
    got = empty().resolve([Code("OMOP", "192671", also=(("OMOP", "35208414", ""),))], 0)
    assert names(got.new_concepts) == [(0, "OMOP", "192671"), (1, "OMOP", "35208414")]
    assert (got.concept_ids.tolist(), got.local_ids.tolist()) == ([0], [1])


def test_a_map_of_the_site_applies_but_one_learnt_from_a_message_does_not() -> None:
    """Otherwise what a code means would depend on which message came first."""
    rows = [(0, "LOCAL/A", "X"), (1, "LOINC", "1-1"), (2, "LOCAL/A", "Y"), (3, "LOINC", "2-2")]
    concepts = pa.Table.from_pylist(
        [dict.fromkeys(CONCEPT.names) | {"concept_id": i, "vocabulary": v, "code": c, "standard": False} for i, v, c in rows],
        CONCEPT,
    )
    maps = pa.table([[0, 2], [1, 3], ["equivalent"] * 2, ["person", "source"]], schema=CONCEPT_MAP)
    got = ConceptBook(concepts, maps=maps).resolve([Code("LOCAL/A", "X"), Code("LOCAL/A", "Y")], 4)
    assert (got.concept_ids.tolist(), got.local_ids.tolist()) == ([1, 2], [0, -1])
    assert len(got.new_concepts) == 0


def test_an_empty_label_is_filled_once() -> None:
    book = empty()
    book.resolve([Code("LOINC", "1-1")], 0)
    named = book.resolve([Code("LOINC", "1-1", "Albumine")], 1)
    assert named.new_concepts["label_fr"].to_pylist() == ["Albumine"] and named.next_id == 1
    assert len(book.resolve([Code("LOINC", "1-1", "Autre nom")], 1).new_concepts) == 0
    english = book.resolve([Code("LOINC", "1-1", "Albumin", lang="en")], 1)
    assert english.new_concepts.select(["label_fr", "label_en"]).to_pylist() == [
        {"label_fr": "Albumine", "label_en": "Albumin"}
    ]


def vocabulary() -> Vocabulary:
    return Vocabulary(
        concepts=pa.table({
            "vocabulary": ["OMOP", "SNOMED"], "code": ["192671", "74474003"],
            "label": ["Gastrointestinal hemorrhage"] * 2, "lang": ["en"] * 2, "kind": ["diagnosis"] * 2,
            "valid_from": pa.nulls(2, pa.date32()), "valid_to": pa.nulls(2, pa.date32()), "standard": [True, True],
        }),
        ancestors=pa.table({
            "ancestor_vocabulary": ["SNOMED", "OMOP"], "ancestor_code": ["74474003", "192671"],
            "descendant_vocabulary": ["OMOP", "OMOP"], "descendant_code": ["192671", "4338544"],
            "distance": pa.array([0, 2], pa.int16()),
        }),
        synonyms=pa.table({"vocabulary": ["OMOP"], "code": ["192671"], "synonym": ["GI bleed"], "lang": ["en"]}),
        maps=pa.table({
            "source_vocabulary": ["ICD10CM"], "source_code": ["K92.2"], "target_vocabulary": ["OMOP"],
            "target_code": ["192671"], "relation": ["equivalent"], "method": ["vocabulary"],
        }),
    )  # fmt: skip


def test_a_vocabulary_is_added_once() -> None:
    book = empty()
    first = book.add_vocabulary(vocabulary(), 0)
    assert names(first.concepts) == [
        (0, "OMOP", "192671"), (1, "SNOMED", "74474003"), (2, "OMOP", "4338544"), (3, "ICD10CM", "K92.2"),
    ]  # fmt: skip
    assert first.next_id == 4
    assert first.synonyms.to_pylist() == [{"concept_id": 0, "synonym": "GI bleed", "lang": "en"}]
    assert first.maps.select(["source_id", "target_id"]).to_pylist() == [{"source_id": 3, "target_id": 0}]
    edges = {(e["ancestor_id"], e["descendant_id"]): e["distance"] for e in first.ancestors.to_pylist()}
    assert edges == {(1, 0): 0, (0, 2): 2, (1, 2): 2}, "SNOMED inherits the descendants of its OMOP twin"
    again = book.add_vocabulary(vocabulary(), 4)
    assert [len(t) for t in (again.concepts, again.ancestors, again.synonyms, again.maps)] == [0, 0, 0, 0]
    stored = ConceptBook(first.concepts, first.ancestors, first.maps, first.synonyms).add_vocabulary(vocabulary(), 4)
    assert [len(t) for t in (stored.concepts, stored.ancestors, stored.synonyms, stored.maps)] == [0, 0, 0, 0]


def test_a_vocabulary_names_concepts_that_facts_brought() -> None:
    book = empty()
    assert book.resolve([Code("OMOP", "192671")], 0).concept_ids.tolist() == [0]
    rows = book.add_vocabulary(vocabulary(), 1).concepts.to_pylist()
    assert (rows[0]["concept_id"], rows[0]["label_en"], rows[0]["kind"]) == (0, "Gastrointestinal hemorrhage", "diagnosis")
    assert book.resolve([Code("OMOP", "4338544"), Code("OMOP", "192671")], 4).concept_ids.tolist() == [2, 0]


def test_the_closure_does_not_depend_on_the_order_of_edges() -> None:
    edges = [(9, 0, 0), (0, 1, 1), (0, 2, 2), (1, 2, 1), (8, 1, 0)]
    results = set()
    for order in permutations(edges):
        hierarchy, found = Hierarchy(CONCEPT_ANCESTOR.empty_table()), {}
        for a, d, n in order:
            table = hierarchy.add(np.array([a], np.int32), np.array([d], np.int32), np.array([n], np.int16))
            found |= {(r["ancestor_id"], r["descendant_id"]): r["distance"] for r in table.to_pylist()}
        results.add(frozenset(found.items()))
    assert results == {frozenset({(9, 0): 0, (0, 1): 1, (0, 2): 2, (1, 2): 1, (8, 1): 0, (9, 1): 1, (9, 2): 2, (8, 2): 1}.items())}


def test_closing_is_a_edges() -> None:
    children, parents = np.array([1, 2, 3, 3, 0], np.int32), np.array([0, 1, 1, 0, 3], np.int32)  # 0 → 3 → 0: a cycle
    above, below, distance = close(children, parents)
    got = dict(zip(zip(above.tolist(), below.tolist(), strict=True), distance.tolist(), strict=True))
    assert got[(0, 1)] == 1 and got[(0, 2)] == 2 and got[(0, 3)] == 1 and got[(3, 2)] == 3
    assert all(a != d for a, d in got)


@pytest.mark.parametrize("count", [200_000])
def test_a_large_vocabulary_loads_without_a_loop_over_rows(count: int) -> None:
    codes = pa.array(np.arange(count)).cast(pa.string())
    concepts = pa.table({
        "vocabulary": pa.repeat("OMOP", count), "code": codes, "label": codes, "lang": pa.repeat("en", count),
        "kind": pa.repeat("drug", count), "valid_from": pa.nulls(count, pa.date32()),
        "valid_to": pa.nulls(count, pa.date32()), "standard": pa.repeat(pa.scalar(True), count),
    })  # fmt: skip
    book, start = empty(), time.process_time()
    rows = book.add_vocabulary(Vocabulary(concepts=concepts), 0)
    assert rows.next_id == count and time.process_time() - start < 3
    assert book.resolve([Code("OMOP", "199999"), Code("OMOP", "200000")], count).concept_ids.tolist() == [199_999, count]


@dataclass(frozen=True)
class Bare:
    """Anything with the right attributes is a code."""

    vocabulary: str = "ATC"
    code: str = "M01AH01"
    label: str = ""
    lang: str = "fr"
    kind: str = "drug"
    also: tuple[tuple[str, str, str], ...] = ()


def test_codes_need_no_class_of_this_room() -> None:
    assert empty().resolve([Bare(), Bare()], 7).concept_ids.tolist() == [7, 7]
    assert empty().resolve([], 3).concept_ids.tolist() == []


def test_a_diagnosis_is_one_concept_with_or_without_its_dot() -> None:
    """PMSI writes I500, most others I50.0."""
    book = empty()
    codes = [Code("CIM10", "I500"), Code("CIM10", "I50.0"), Code("CIM10", "I50"), Code("LOCAL/x", "I500")]
    ids = book.resolve(codes, 0).concept_ids.tolist()
    assert ids == [0, 0, 1, 2]
    day = pa.nulls(3, pa.date32())
    concepts = pa.table({
        "vocabulary": ["CIM10"] * 3, "code": ["I500", "I50", "I30-I52"], "label": ["a", "b", "c"], "lang": ["fr"] * 3,
        "kind": ["diagnosis"] * 3, "valid_from": day, "valid_to": day, "standard": [True] * 3,
    })  # fmt: skip
    ancestors = pa.table({"ancestor_vocabulary": ["CIM10"], "ancestor_code": ["I50"], "descendant_vocabulary": ["CIM10"], "descendant_code": ["I500"], "distance": [1]})
    rows = book.add_vocabulary(Vocabulary(concepts, ancestors), 3)
    assert rows.next_id == 4  # the block is the only new one
    assert (rows.ancestors["ancestor_id"].to_pylist(), rows.ancestors["descendant_id"].to_pylist()) == ([1], [0])
