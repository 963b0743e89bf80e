"""Chapter: patients. Demographics, permissions, lists, families; opposition hides a patient from everything."""

from __future__ import annotations

import pytest
from tests.engines.asking import Hospital, chapter


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    return Hospital(
        patients="""
            patient | sex | born    | died       | death_source | area
            1       | F   | 1920-01 |            |              | 35238
            2       | M   | 1990-01 | 2020-01-01 |              | 29019
            3       | F   |         |            | insee        |
            4       |     | 2020-01 |            |              | 35238
            5       | F   | 1990-01 |            |              |
            9       | M   | 1990-01 |            |              |
        """,
        facts="""
            patient | code
            4       | V:a
            5       | V:a
            9       | V:a
        """,
        relations="""
            patient | other | kind
            1       | 4     | child
            5       | 1     | mother
            4       | 5     | twin
            9       | 1     | mother
        """,
        permissions="""
            patient | kind       | scope    | from       | to
            1       | consent    | genetic  | 2000-01-01 |
            2       | consent    | genetic  | 2000-01-01 | 2001-01-01
            3       | consent    | genetic  | 2100-01-01 |
            5       | opposition | genetic  | 2000-01-01 |
            9       | opposition | research | 2000-01-01 |
        """,
    )


@chapter(
    ("tous()", [1, 2, 3, 4, 5]),  # patient 9 is opposed to research
    ("sexe:F", [1, 3, 5]),
    ("sexe:F|H", [1, 2, 3, 5]),
    ("sex:unknown", [4]),
    ("âge>=100", [1]),
    ("âge<20", [4]),  # an unknown birth month is in no range
    ("NON âge<20", [1, 2, 3, 5]),
    ("patient(né=1990)", [2, 5]),
    ("patient(né<=1990)", [1, 2, 5]),
    ("patient(décédé)", [2, 3]),  # a date or a source of death
    ("patient(vivant)", [1, 4, 5]),
    ("patient(zone=35238|29019, vivant)", [1, 4]),
    ("permission(type=consent, portée=genetic)", [1]),  # running today
    ("permission(type=opposition, portée=genetic)", [5]),
    ("patients(1, 5, 9, 77)", [1, 5]),  # only visible ones
    ("AU MOINS 2 DE(sexe:F, V:a, patient(zone=35238))", [1, 4, 5]),
)
def test_patients(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@chapter(
    ("MÈRE DE(V:a)", [1]),  # whichever of the two holds the record
    ("MÈRE DE(patients(5))", [1]),
    ("ENFANT DE(sexe:F)", [4, 5]),
    ("JUMEAU DE(patients(5))", [4]),
    ("JUMEAU DE(patients(4))", [5]),
    ("MÈRE DE(patients(9))", []),  # an opposed child tells nothing
    ("ENFANT DE(ENFANT DE(tous()))", []),
)
def test_families_cross_buckets(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients
