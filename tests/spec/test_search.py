"""Full-text search finds exactly what a plain reading of the texts finds."""

from __future__ import annotations

import gzip
import importlib.resources
import json
import random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap
from tests.spec import plain_scan

from estran.model.errors import UsageError
from estran.text.parse import parse
from estran.text.query import And, Filtered, Near, Not, Or, Phrase, Prefix, TextQuery, Word
from estran.warehouse.text_index import TextIndex, build_index

CASES = importlib.resources.files("estran") / "samples" / "e3c_fr" / "cases.jsonl.gz"


@pytest.fixture(scope="module")
def cases() -> list[dict[str, str]]:
    with CASES.open("rb") as file, gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def documents(cases: list[dict[str, str]]) -> list[plain_scan.Document]:
    """Each case with its first words as a title and a kind by turns."""
    kinds = ("case", "imaging", "discharge")
    return [plain_scan.Document(c["text"], c["text"][:60], kinds[i % 3]) for i, c in enumerate(cases)]


@pytest.fixture(scope="module")
def index(documents: list[plain_scan.Document], tmp_path_factory: pytest.TempPathFactory) -> TextIndex:
    """The cases in two folders, as two loads would leave them."""
    folder = tmp_path_factory.mktemp("text")
    table = _table(documents)
    build_index(folder / "1", table.slice(0, 1000))
    build_index(folder / "2", table.slice(1000))
    return TextIndex([folder / "1", folder / "2"])


def _table(documents: list[plain_scan.Document]) -> pa.Table:
    return pa.table(
        {
            "document_id": range(len(documents)),
            "patient_id": [i // 2 for i in range(len(documents))],
            "kind": [d.kind for d in documents],
            "title": [d.title for d in documents],
            "text": [d.text for d in documents],
        }
    )


# What a person types, and how many of the 1,436 cases (most of them twice under two ids) hold it.
QUERIES = {
    "insuffisance cardiaque": 56,
    '"insuffisance cardiaque"': 30,
    "INSUFFISANCES CARDIAQUES": 56,
    "oedeme": 102,
    "œdèmes": 102,
    "fievre": 180,
    "Fièvres": 180,
    "hopitaux": 128,
    "opérée": 232,
    "rénaux": 250,
    "cardi*": 256,
    "hypertens* SAUF grossesse": 86,
    "fièvre AND NOT toux": 156,
    "fièvre -toux -dyspnée": 148,
    '(fièvre OU "douleur abdominale") ET scanner': 64,
    '"douleur thoracique"~5': 60,
    '"tuberculose antécédent"~10': 22,
    '"masse foie droit"~6': 2,
    "l’abdomen pseudo-kyste": 2,
    '"1,8"': 8,
    '"pas d’antécédent"': 52,
    "titre:patiente kind:imaging": 229,
    "type:imagerie SAUF (femme OU patiente)": 57,
    "5µg OU ug": 24,
}


@pytest.mark.parametrize("text", QUERIES)
def test_a_query_finds_what_the_plain_scan_finds(
    text: str, index: TextIndex, documents: list[plain_scan.Document]
) -> None:
    query = parse(text)
    expected = BitMap(i for i, document in enumerate(documents) if plain_scan.matches(query, document))
    assert len(expected) == QUERIES[text]
    assert index.documents(query) == expected
    hits = index.search(query, limit=2000)
    assert BitMap(hit.document_id for hit in hits.hits) == expected
    assert (hits.documents, hits.patients) == (len(expected), len({i // 2 for i in expected}))
    assert index.patients(query) == BitMap(i // 2 for i in expected)


@pytest.mark.parametrize(
    ("typo", "meant"), [("cardiqaue", "cardiaque"), ("fievrre", "fievre"), ("insufisanse", "insuffisance"),
                        ("xardiaque", "cardiaque"), ("diarhee", "diarrhee")],
)  # fmt: skip
def test_a_misspelt_word_finds_nothing_and_is_told(typo: str, meant: str, index: TextIndex) -> None:
    assert not index.documents(parse(typo))
    suggestions = index.suggest(typo)
    assert meant in [suggestion.word for suggestion in suggestions]
    assert all(suggestion.documents == len(index.documents(Word(suggestion.word))) for suggestion in suggestions)


def test_a_known_word_needs_no_suggestion(index: TextIndex) -> None:
    assert index.suggest("fièvre") == []
    assert index.suggest("???") == []


@pytest.mark.parametrize(
    ("text", "place"),
    [("", 1), ('fièvre "toux', 8), ("fièvre (toux", 8), ("fièvre toux)", 12), ("NOT fièvre", 1), ("-fièvre", 1),
     ("toux c*", 6), ("toux patient:12", 6), ("toux OU", 8), ('toux "a b"~', 11), ("type:poème", 1)],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_at_its_place(text: str, place: int) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text)
    assert refused.value.where == f"character {place}"
    assert refused.value.hint


def test_every_case_keeps_its_source(cases: list[dict[str, str]]) -> None:
    assert len(cases) == 1436
    assert all(case["url"].startswith("http") and case["licence"] == "CC BY 4.0" for case in cases)


# Random queries over a small vocabulary, where everything meets everything

VOCABULARY = ["Fièvre", "fievres", "toux", "rénal", "rénaux", "l’œdème", "oedemes", "opérée", "opéré", "b27", "1,8",
              "pseudo-kyste", "[NOM]", "nom", "Doliprane™", "genoux", "tissus", "5µg", "cre\u0301e\u0301"]  # fmt: skip
LEAVES = ["fièvre", "toux", "rénale", "oedème", "opere", "B27", "1.8", "pseudo", "kystes", "nom", "doliprane", "genou",
          "tissu", "absent", "créés"]  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[plain_scan.Document], TextIndex]:
    chance = random.Random(20261121)
    found = [
        plain_scan.Document(
            " ".join(chance.choices(VOCABULARY, k=chance.randint(0, 14))),
            " ".join(chance.choices(VOCABULARY, k=chance.randint(0, 3))),
            chance.choice(["case", "imaging"]),
        )
        for _ in range(900)
    ]
    folder = tmp_path_factory.mktemp("small")
    table = _table(found)
    folders = [folder / str(first) for first in (0, 300, 600)]
    for first, path in zip((0, 300, 600), folders, strict=True):
        build_index(path, table.slice(first, 300))
    return found, TextIndex(folders)


leaves = st.one_of(
    st.sampled_from(LEAVES).map(Word),
    st.lists(st.sampled_from(LEAVES), min_size=1, max_size=3).map(lambda words: Phrase(tuple(words))),
    st.sampled_from(["fi", "fièvr", "re", "rena", "oede", "ope", "operee", "ki", "ky", "no", "dolip", "b2", "ti"]).map(
        Prefix
    ),
    st.builds(Near, st.lists(st.sampled_from(LEAVES), min_size=1, max_size=4).map(tuple), st.integers(1, 8)),
)
queries: st.SearchStrategy[TextQuery] = st.recursive(
    st.one_of(leaves, leaves.map(lambda leaf: Filtered("title", leaf)), st.just(Filtered("kind", Word("imaging")))),
    lambda parts: st.one_of(
        st.lists(parts, min_size=1, max_size=3).map(lambda found: And(tuple(found))),
        st.lists(parts, min_size=1, max_size=3).map(lambda found: Or(tuple(found))),
        parts.map(Not),
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(query=queries)
def test_any_query_finds_what_the_plain_scan_finds(
    query: TextQuery, small: tuple[list[plain_scan.Document], TextIndex]
) -> None:
    documents, index = small
    expected = BitMap(i for i, document in enumerate(documents) if plain_scan.matches(query, document))
    assert index.documents(query) == expected
    hits = index.search(query, limit=len(documents))
    assert hits.documents == len(hits.hits) == len(expected)
