"""Full-text search finds exactly what a plain reading of the texts finds."""

from __future__ import annotations

import gzip
import importlib.resources
import json
from pathlib import Path

import plain_scan
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

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


# What a person types, and how many of the 1,436 cases hold it.
QUERIES = {
    "insuffisance cardiaque": None,
    '"insuffisance cardiaque"': None,
    "INSUFFISANCES CARDIAQUES": None,
    "oedeme": None,
    "œdèmes": None,
    "fievre": None,
    "Fièvres": None,
    "hopitaux": None,
    "opérée": None,
    "rénaux": None,
    "cardi*": None,
    "hypertens* SAUF grossesse": None,
    "fièvre AND NOT toux": None,
    "fièvre -toux -dyspnée": None,
    '(fièvre OU "douleur abdominale") ET scanner': None,
    '"douleur thoracique"~5': None,
    '"tuberculose antécédent"~10': None,
    '"masse foie droit"~6': None,
    "l’abdomen pseudo-kyste": None,
    '"1,8"': None,
    '"pas d’antécédent"': None,
    "titre:patiente kind:imaging": None,
    "type:imagerie SAUF (femme OU patiente)": None,
    "5µg OU ug": None,
}


@pytest.mark.parametrize("text", QUERIES)
def test_a_query_finds_what_the_plain_scan_finds(
    text: str, index: TextIndex, documents: list[plain_scan.Document]
) -> None:
    query = parse(text)
    expected = BitMap(i for i, document in enumerate(documents) if plain_scan.matches(query, document))
    assert expected, "a query of this list must find something"
    assert index.documents(query) == expected
    hits = index.search(query, limit=2000)
    assert BitMap(hit.document_id for hit in hits.hits) == expected
    assert (hits.documents, hits.patients) == (len(expected), len({i // 2 for i in expected}))
    assert index.patients(query) == BitMap(i // 2 for i in expected)
