"""Chapter: codes. What a criterion like `LOINC:1751-7<30[2x]` finds."""

from __future__ import annotations

import pytest
from tests.engines.asking import Hospital, chapter


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    return Hospital(
        concepts="""
            code        | under   | maps_to
            CIM10:E10   |         |
            CIM10:E10.1 | CIM10:E10 |
            CIM10:E11   |         |
            LOINC:1751-7 |        |
            LAB:ALB     |         | LOINC:1751-7
            LAB:???     |         |
        """,
        patients="""
            patient | sex | born
            1       | F   | 1950-06
            2       | M   | 2000-01
            3       | F   |
            4       | M   | 1980-01
            5       | F   | 1980-01
        """,
        facts="""
            patient | code         | start      | value | unit  | status    | context | role | origin | result
            1       | CIM10:E10.1  | 2020-05-31 |       |       |           |         | DP   |        |
            1       | CIM10:E11    | 2020-06-01 |       |       |           |         | DAS  |        |
            2       | CIM10:E11    | 2020-02-01 |       |       |           | negated |      |        |
            3       | CIM10:E11    |            |       |       |           | family  |      |        |
            4       | CIM10:E11    | 2020-02-01 |       |       | cancelled |         |      |        |
            5       | CIM10:E11    | 2020-02-01 |       |       |           |         |      | derived |
            1       | LAB:ALB      | 2020-01-10 | 28    | g/L   |           |         |      |        |
            1       | LAB:ALB      | 2020-01-11 | 30    | g/L   |           |         |      |        |
            1       | LAB:ALB      | 2020-01-20 | 31    | g/L   |           |         |      |        |
            2       | LOINC:1751-7 | 2020-01-10 | <30   | g/L   |           |         |      |        |
            3       | LOINC:1751-7 | 2020-01    | >30   | g/L   |           |         |      |        |
            4       | LOINC:1751-7 | 2020-01-10 | 30    | g/dL  |           |         |      |        |
            4       | LOINC:1751-7 | 2020-01-10 | 40    |       |           |         |      |        |
            5       | LOINC:1751-7 | 2020-01-10 12:00 |   | g/L  |           |         |      |        | SCT:pos
            5       | LAB:???      | 2020-01-10 | 1     |       |           |         |      |        |
        """,
    )


@chapter(
    ("CIM10:E10", [1]),  # with everything below
    ("CIM10:E10[sans descendants]", []),
    ("CIM10:E10.1", [1]),
    ("{CIM10:E10, -CIM10:E10.1}", []),  # but not what is excluded
    ("{CIM10:E10, CIM10:E11}", [1]),
    ("CIM10:ZZZ", []),  # a code that the site does not have finds nothing
    ("LOINC:1751-7", [1, 2, 3, 4, 5]),  # a mapped local code is found under its standard one
    ("LAB:ALB", [1]),  # and under its own
    ("LAB:'???'", [5]),
)
def test_code_sets(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@chapter(
    ("CIM10:E11", [1]),  # live and affirmed: not negated, not of the family, not cancelled, not derived
    ("CIM10:E11[contexte=negated]", [2]),
    ("CIM10:E11[contexte=affirmed|family]", [1, 3]),
    ("CIM10:E11[contexte=tous]", [1, 2, 3]),
    ("CIM10:E11[statut=cancelled]", [4]),
    ("CIM10:E11[origine=derived]", [5]),
    ("CIM10:E11[role=DP]", []),
    ("CIM10:E11[role=DP|DAS]", [1]),
)
def test_circumstances(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@chapter(
    ("LOINC:1751-7<30", [1, 2]),  # `<30` surely is below 30
    ("LOINC:1751-7<29", [1]),  # but maybe not below 29
    ("LOINC:1751-7<=30", [1, 2, 4]),
    ("LOINC:1751-7>30", [1, 3, 4]),  # `>30` surely is above 30
    ("LOINC:1751-7>=30", [1, 3, 4]),
    ("LOINC:1751-7>31", [4]),  # maybe not above 31
    ("LOINC:1751-7=28..30", [1, 4]),  # bounds included; `<30` has no lower end
    ("LOINC:1751-7>28<30", []),
    ("LOINC:1751-7=30", [1, 4]),
    ("LOINC:1751-7=30 g/L", [1]),  # the fact's own unit
    ("LOINC:1751-7>=0g/L", [1, 3]),  # an unknown unit is not it
    ("LOINC:1751-7[valeur=SCT:pos]", [5]),  # a coded result
)
def test_values(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@chapter(
    ("LOINC:1751-7[2020-01-11..2020-01-20]", [1]),  # both days included
    ("LOINC:1751-7[2020-01-12..]", [1]),
    ("LOINC:1751-7[..2020-01-10]", [1, 2, 3, 4, 5]),  # a month is compared by its first day
    ("LOINC:1751-7[..2020-01-10, précision=day]", [1, 2, 4, 5]),
    ("LOINC:1751-7[précision=hour]", [5]),
    ("LOINC:1751-7[2019]", []),
    ("CIM10:E11[contexte=family, ..2030]", []),  # an unknown date is in no range
    ("CIM10:E10[âge>=70]", []),  # 69 on 31 May 2020, born in June 1950
    ("CIM10:E10[âge=69]", [1]),
    ("CIM10:E11[âge=70]", [1]),  # 70 from the first of June
    ("CIM10:E11[contexte=family, âge>=0]", []),  # an unknown age is in no range
    ("LOINC:1751-7[âge 18..21]", [2]),
)
def test_dates_and_ages(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@chapter(
    ("LOINC:1751-7[2x]", [1, 4]),  # distinct facts
    ("LOINC:1751-7[3x]", [1]),
    ("LOINC:1751-7[2x, écart=1]", [1]),  # facts of the same day are not apart
    ("LOINC:1751-7[2x, écart=10]", [1]),
    ("LOINC:1751-7[2x, écart=11]", []),
    ("LOINC:1751-7[3x, écart=5]", []),  # 10, 11 and 20 January hold only two that are
    ("LOINC:1751-7<=30[2x]", [1]),  # the facts that count meet every other condition
)
def test_repetition(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@chapter(
    ("NON CIM10:E11", [2, 3, 4, 5]),  # what is not known to hold does not hold
    ("NON LOINC:1751-7<30", [3, 4, 5]),
    ("LOINC:1751-7 SAUF LOINC:1751-7<30", [3, 4, 5]),
)
def test_not(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


def test_codes_that_the_site_lacks_are_named(hospital: Hospital) -> None:
    for engine in ("memory", "duckdb"):
        assert hospital.ask(engine, "CIM10:ZZZ OU CIM10:E10").unknown == ("CIM10:ZZZ",)
