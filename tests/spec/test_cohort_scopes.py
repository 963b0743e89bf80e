"""Chapter: scopes. Same stay, same document, same movement, same group of facts; stays and movements themselves."""

from __future__ import annotations

import pytest
from tests.engines.asking import Hospital, chapter, each_engine


@pytest.fixture(scope="module")
def hospital() -> Hospital:
    return Hospital(
        units="""
            unit | code | parent
            0    | POLE |
            1    | REA  | 0
            2    | CHIR | 0
            3    | SAS  | 1
        """,
        patients="""
            patient | born
            1       | 1980-01
            2       | 2000-01
            3       |
            4       | 1950-01
        """,
        stays="""
            stay | patient | kind      | start            | end              | entry | exit | unit | status
            10   | 1       | venue     | 2020-01-01 08:00 | 2020-01-10 12:00 | 8     | 8    | 2    |
            11   | 1       | emergency | 2020-02-01       | 2020-02-01       | 8     | 9    |      |
            20   | 2       | venue     | 2020-01-01       |                  |       |      | 3    |
            30   | 3       | venue     | 2020-01-01       | 2020-01-03       |       |      |      |
            40   | 4       | venue     | 2020-01-01       | 2020-01-03       |       |      |      | cancelled
        """,
        movements="""
            movement | stay | patient | unit | start            | end              | responsibility | status
            100      | 10   | 1       | 1    | 2020-01-01 08:00 | 2020-01-03 10:00 | medical        |
            101      | 10   | 1       | 2    | 2020-01-03 10:00 | 2020-01-10 12:00 | medical        |
            200      | 20   | 2       | 3    | 2020-01-01       |                  | care           |
            300      | 30   | 3       | 1    | 2020-01-01       | 2020-01-03       | medical        | cancelled
            400      | 40   | 4       | 1    | 2020-01-01       | 2020-01-03       | medical        |
        """,
        documents="""
            doc | patient | stay | kind       | start            | unit
            1   | 1       | 10   | laboratory | 2020-01-03 09:00 | 1
            2   | 1       | 11   | letter     | 2020-02-01       | 2
            3   | 2       | 20   | laboratory | 2020-01-05       | 3
            4   | 3       | 99   | laboratory | 2020-01-02       |
            5   | 4       |      | laboratory | 2020-01-02       |
        """,
        facts="""
            patient | doc | no | parent | stay | code | start
            1       | 1   | 1  |        | 10   | G:coli  | 2020-01-03 09:00
            1       | 1   | 2  | 1      | 10   | G:amox  | 2020-01-03 09:00
            1       | 1   | 3  |        | 10   | G:staph | 2020-01-03 11:00
            1       | 1   | 4  | 3      | 10   | G:pen   | 2020-01-03 11:00
            1       | 1   | 5  | 4      | 10   | G:note  | 2020-01-03 11:00
            1       | 2   | 1  |        | 11   | G:coli  | 2020-02-01
            2       | 3   | 1  |        | 20   | G:coli  | 2020-01-05
            2       | 3   | 2  | 1      | 20   | G:pen   | 2020-01-05
            3       | 4   | 1  |        | 99   | G:coli  | 2020-01-02
            3       | 4   | 2  |        | 99   | G:pen   | 2020-01-02
            4       | 5   | 1  | 7      |      | G:coli  | 2020-01-02
        """,
        media="""
            doc | patient | modality
            1   | 1       | CT
            3   | 2       |
        """,
        variants="""
            doc | patient | chrom | pos | gene    | impact
            1   | 1       | 13    | 100 | BRCA2   | HIGH
            1   | 1       | 13    | 200 | C9orf72 | LOW
            2   | 1       | 13    | 300 |         |
            3   | 2       | 13    | 200 | BRCA2   | LOW
            5   | 4       | MT    | 7   | MT-ND1  | MODERATE
        """,
    )


@chapter(
    ("G:coli ET G:pen", [1, 2, 3]),
    ("MÊME SÉJOUR(G:coli ET G:pen)", [1, 2]),  # stay 99 was never introduced: it is no stay
    ("MÊME SÉJOUR(G:coli ET NON G:pen)", [1]),  # stay 11
    ("MÊME SÉJOUR(G:coli[2x])", []),  # twice in the same stay
    ("MÊME SÉJOUR(séjour(type=emergency) ET G:coli)", [1]),
    ("MÊME SÉJOUR(séjour(type=emergency) ET MÊME PATIENT(G:pen))", [1]),  # anywhere
    ("MÊME SÉJOUR(NON G:coli)", [3]),  # stay 30 has no fact; cancelled stay 40 is no stay
    ("MÊME SÉJOUR(MÊME DOCUMENT(G:coli ET G:staph) ET âge>=18)", [1]),
    ("MÊME DOCUMENT(G:coli ET G:pen)", [1, 2, 3]),
    ("MÊME DOCUMENT(type:letter ET G:coli)", [1]),
    ("MÊME DOCUMENT(séjour(type=venue) ET type:laboratory)", [1, 2]),
    ("MÊME DOCUMENT(mouvement(unité=REA) ET G:pen)", [1, 2]),  # a unit with everything below it
)
def test_same_stay_and_document(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@chapter(
    ("MÊME GROUPE(G:coli ET G:pen)", [2]),  # in patient 1 the penicillin hangs from another germ
    ("MÊME GROUPE(G:staph ET G:note)", [1]),  # through the fact between them
    ("MÊME GROUPE(G:coli ET NON G:amox)", [1, 2, 3, 4]),  # document 2 of patient 1
    ("G:pen[parent=G:coli]", [2]),  # directly
    ("G:note[parent=G:staph]", []),
    ("MÊME GROUPE(type:letter ET G:coli)", [1]),  # a document is in every group of it
)
def test_same_group(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@chapter(
    ("MÊME MOUVEMENT(mouvement(unité=REA) ET G:amox)", [1]),  # 09:00 is before the transfer
    ("MÊME MOUVEMENT(mouvement(unité=REA) ET G:pen)", [2]),  # 11:00 is after it; what has not ended goes on
    ("MÊME MOUVEMENT(G:coli ET G:staph)", []),
    ("mouvement(unité=POLE)", [1, 2]),  # a cancelled movement, or one of a cancelled stay, is none
    ("mouvement(unité=SAS)", [2]),
    ("mouvement(responsabilité=care)", [2]),
    ("mouvement(2020-01-02..)", [1]),
)
def test_movements(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@chapter(
    ("séjour()", [1, 2, 3]),
    ("séjour(durée=9)", [1]),  # end date minus start date
    ("séjour(durée>=0)", [1, 3]),  # an open stay has no duration
    ("séjour(entrée=8, sortie=9)", [1]),
    ("séjour(unité=POLE, type=venue)", [1, 2]),
    ("séjour(2020-02)", [1]),
    ("séjour(âge=20)", [2]),
    ("document(type=laboratory, unité=REA)", [1, 2]),
    ("média()", [1, 2]),
    ("média(modalité=CT)", [1]),
)
def test_stays_documents_and_media(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@chapter(
    ("gène:BRCA2", [1, 2]),
    ("gene:brca2|c9orf72", [1, 2]),  # in any case
    ("gène:BRCA2 impact:HIGH", [1]),
    ("gène:C9orf72[impact=HIGH|MODERATE]", []),  # of one and the same variant
    ("variant:13:101-300", [1, 2]),
    ("variant:chr13:300", [1]),
    ("variant:13:200[gène=BRCA2]", [2]),
    ("variant:M", [4]),
    ("gène:BRCA2[2020-01-05]", [2]),  # the date of the document
    ("MÊME DOCUMENT(variant:13:300 ET type:letter)", [1]),
    ("MÊME SÉJOUR(gène:BRCA2 ET NON variant:13:200)", []),
    ("MÊME SÉJOUR(NON gène:BRCA2)", [1, 3]),
    ("tous() SAUF gène:BRCA2", [3, 4]),
)
def test_variants(hospital: Hospital, engine: str, question: str, patients: list[int]) -> None:
    assert hospital.patients(engine, question) == patients


@each_engine
def test_stays_and_documents_found_are_told(hospital: Hospital, engine: str) -> None:
    found = hospital.ask(engine, "MÊME SÉJOUR(G:coli ET NON séjour(type=emergency))")
    assert (list(found.stays or ()), found.documents) == ([10, 20], None)
    assert dict(found.counts) == {"0": 2, "0.0": 2, "0.0.0": 2, "0.0.1": 3, "0.0.1.0": 1}
    assert list(hospital.ask(engine, "séjour(type=venue)").stays or ()) == [10, 20, 30]
    assert list(hospital.ask(engine, "MÊME DOCUMENT(G:coli)").documents or ()) == [1, 2, 3, 4, 5]
    assert hospital.ask(engine, "G:coli").stays is None
