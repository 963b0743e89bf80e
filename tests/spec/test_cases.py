"""The 1,436 published French cases, loaded as reports, found exactly as a plain reading finds them.

Here end to end: `estran ingest report`, masks, commit, index, search bar. What single words, stems and
operators mean is the business of `test_search`, whose plain scan is used again.
"""

from __future__ import annotations

import gzip
import json

import pytest
from pyroaring import BitMap
from tests.spec import plain_scan
from tests.spec import site_kit as kit
from tests.spec.conftest import Everything

from estran.cohort.search import search
from estran.model.errors import UsageError
from estran.text.parse import parse
from estran.warehouse.text_index import TextFilters

# What a person types, and how many of the cases answer.
QUERIES = {
    "paludisme": 4,
    "drépanocytose": 4,
    "DREPANOCYTAIRES": 10,
    '"insuffisance rénale aiguë"': 12,
    '"insuffisance renale" SAUF dialyse': 62,
    "accouchement césarienne": 46,
    "accouchements ET (césariennes OU forceps)": 48,
    "tuberculose -pulmonaire": 44,
    '"pas de fièvre"': 16,
    '"sans fièvre"': 20,
    "métastas*": 102,
    "hépat* ET NON hépatite": 196,
    '"nodule sein"~4': 20,
    "œsophage OU oesophagien": 32,
    "l'œil gauche": 66,
    "VIH ET (candidose OU cryptococcose)": 4,
    "titre:cas kyste": 0,
    "type:cas fracture fémur": 18,
    "yeux": 100,
    "chimiothérapie SAUF (radiothérapie OU chirurgie)": 98,
    "IRM cérébrale ET épilepsie": 4,
    '"Klebsiella pneumoniae"': 6,
}


@pytest.fixture(scope="module")
def documents(everything: Everything) -> dict[int, plain_scan.Document]:
    """Every stored text of the site, with title and kind."""
    rows = kit.rows(everything.site, "select document_id, text, title, kind from text join document using (document_id)")
    return {row[0]: plain_scan.Document(row[1], row[2] or "", row[3]) for row in rows}


@pytest.fixture(scope="module")
def cases(everything: Everything) -> BitMap:
    return BitMap(r[0] for r in kit.rows(everything.site, "select document_id from document where source = 'report/cases'"))


def test_every_case_is_there_once(everything: Everything, cases: BitMap) -> None:
    """Some of the published cases have the very same text; each keeps its own id, its own patient."""
    assert len(cases) == 1436
    assert everything.reports["cases"].total("loaded") == 1436
    counts = "select count(distinct patient_id), count(distinct record_key), min(kind), max(kind) from document where source = 'report/cases'"
    assert kit.rows(everything.site, counts) == [(1436, 1436, "case", "case")]


def test_masking_leaves_published_cases_almost_untouched(everything: Everything) -> None:
    """They hold no identity: what masking takes from them is counted, and small."""
    with gzip.open(kit.SAMPLES / "e3c_fr" / "cases.jsonl.gz", "rt", encoding="utf-8") as lines:
        given = sorted(json.loads(line)["text"] for line in lines)
    stored = sorted(r[0] for r in kit.rows(everything.site, "select text from text join document using (document_id) where source = 'report/cases'"))
    assert sum(len(text) for text in stored) / sum(len(text) for text in given) > 0.999
    assert len(set(stored) & set(given)) / len(set(given)) > 0.95


@pytest.mark.parametrize("text", QUERIES)
def test_the_search_bar_finds_what_a_plain_scan_finds(
    text: str, everything: Everything, documents: dict[int, plain_scan.Document], cases: BitMap
) -> None:
    query, snapshot = parse(text), everything.site.snapshot()
    expected = BitMap(number for number, document in documents.items() if plain_scan.matches(query, document))
    assert snapshot.text.documents(query) == expected
    page = search(snapshot, text, limit=200)
    assert page.documents == len(expected)
    assert {hit.document_id for hit in page.hits} <= set(expected)
    assert all(hit.snippets or "titre:" in text or "type:" in text for hit in page.hits)
    assert len(expected & cases) == QUERIES[text]


def test_pages_put_end_to_end_are_the_whole_answer(everything: Everything, documents: dict[int, plain_scan.Document]) -> None:
    snapshot, query = everything.site.snapshot(), parse("douleur")
    pages = [search(snapshot, "douleur", limit=100, offset=start) for start in range(0, 1200, 100)]
    hits = [hit.document_id for page in pages for hit in page.hits]
    assert len(hits) == len(set(hits)) == pages[0].documents
    assert set(hits) == {n for n, d in documents.items() if plain_scan.matches(query, d)}


def test_facets_add_up(everything: Everything) -> None:
    page = search(everything.site.snapshot(), "fièvre")
    for name in ("kind", "year", "unit", "sex", "age"):
        assert sum(facet.documents for facet in page.facets[name]) == page.documents, name
    only = search(everything.site.snapshot(), "fièvre", TextFilters(kinds=frozenset({"case"})))
    assert only.documents == next(facet.documents for facet in page.facets["kind"] if facet.value == "case")


@pytest.mark.parametrize(("typo", "meant"), [("paludysme", "paludisme"), ("tuberculsoe", "tuberculose"), ("chimiotherapy", "chimiothérapie")])
def test_a_typo_is_told_with_what_was_meant(typo: str, meant: str, everything: Everything) -> None:
    page = search(everything.site.snapshot(), typo)
    assert page.documents == 0
    assert meant in [s.word for word in page.unknown for s in word.suggestions]
    assert typo in page.notice() and meant in page.notice()


@pytest.mark.parametrize("text", ['"fièvre', "(toux", "NON toux", "toux ET", "type:roman toux"])
def test_what_cannot_be_read_is_refused_with_its_place(text: str, everything: Everything) -> None:
    with pytest.raises(UsageError) as refused:
        search(everything.site.snapshot(), text)
    assert refused.value.where.startswith("character") and refused.value.hint
