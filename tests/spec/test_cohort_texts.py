"""Chapter: texts. Words of documents beside codes."""

from __future__ import annotations

import pytest
from tests.engines.asking import Hospital, chapter


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    return Hospital(
        documents="""
            doc | patient | kind      | start      | title   | text
            1   | 1       | letter    | 2020-01-01 | Sortie  | Insuffisance cardiaque droite, sans fièvre.
            2   | 1       | letter    | 2020-02-01 |         | Pas d'amylose.
            3   | 2       | discharge | 2020-01-01 |         | Insuffisances rénale et cardiaque
            4   | 4       | discharge |            | Scanner | Amylose cardiaque
        """,
        facts="""
            patient | doc | no | code | start
            4       | 4   | 1  | V:a  | 2020-03-01
        """,
    )


@chapter(
    ("cardiaques", [1, 2, 4]),  # plural, accents and case make no difference
    ('"insuffisance cardiaque"', [1]),
    ("insuffisance cardiaque", [1, 2]),  # words that follow each other stand in the same document
    ("insuffisance ET amylose", [1]),  # criteria joined by ET may be met by two documents
    ("insuffisance amylose", []),
    ("MÊME DOCUMENT(insuffisance ET amylose)", []),
    ('"insuffisance cardiaque" SAUF amylose', []),
    ("cardiaque[type=discharge]", [2, 4]),
    ("cardiaque[..2020-12-31]", [1, 2]),
    ("titre:scanner", [4]),
    ('texte:(card* SAUF "insuffisance")', [4]),
    ("MÊME DOCUMENT(amylose ET V:a)", [4]),
    ("insuffisance PUIS amylose [31 jours]", [1]),
)
def test_texts(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients
