"""The text form, its errors, JSON, and explanations, by examples."""

from __future__ import annotations

import pytest

from estran.cohort.language import json
from estran.cohort.language.explain import explain
from estran.cohort.language.text import parse, to_text
from estran.model.errors import UsageError

TEXTS = [
    (
        '"insuffisance cardiaque" SAUF amylose dx:I50 LOINC:1751-7<30 age>=65 sexe:F',
        '"insuffisance cardiaque" SAUF amylose ET CIM10:I50 ET LOINC:1751-7<30 ET âge>=65 ET sexe:F',
        '"insuffisance cardiaque" EXCEPT amylose AND CIM10:I50 AND LOINC:1751-7<30 AND age>=65 AND sex:F',
    ),
    (
        "diag:CIM10:E11[2 fois, 2019..2020, age 18..65, role=DP, sans descendants]",
        "CIM10:E11[sans descendants, 2x, 2019-01-01..2020-12-31, âge=18..65, role=DP]",
        "CIM10:E11[no descendants, 2x, 2019-01-01..2020-12-31, age=18..65, role=DP]",
    ),
    (
        "meme sejour(A:1 or not a)",
        "MÊME SÉJOUR(A:1 OU texte:(not a))",
        "SAME STAY(A:1 OR text:(not a))",
    ),
    (
        "A:1 PUIS [..6 h] B:2 OU NON PREMIER(C:3)",
        "A:1 PUIS B:2 [..6 heures] OU NON PREMIER(C:3)",
        "A:1 THEN B:2 [..6 hours] OR NOT FIRST(C:3)",
    ),
    (
        "at least 2 of(LOCAL/x:'a b'>7,5mg, mother of(A:1), stay(kind=emergency, duration<3))",
        "AU MOINS 2 DE(LOCAL/x:'a b'>7.5mg, MÈRE DE(A:1), séjour(type=emergency, durée<=2))",
        "AT LEAST 2 OF(LOCAL/x:'a b'>7.5mg, MOTHER OF(A:1), stay(kind=emergency, duration<=2))",
    ),
    ("type:lettre|imagerie", "document(type=letter|imaging)", "document(kind=letter|imaging)"),
]


@pytest.mark.parametrize(("typed", "french", "english"), TEXTS)
def test_text_form(typed: str, french: str, english: str) -> None:
    question = parse(typed)
    assert (to_text(question, "fr"), to_text(question, "en")) == (french, english)
    assert parse(french) == parse(english) == question


@pytest.mark.parametrize(
    ("typed", "character"),
    [
        ("", 1),
        ("age>=65)", 8),
        ("(age>=65", 9),
        ("A:1 ET", 7),
        ("sexe:Z", 6),
        ("A:1[role=]", 10),
        ("A:1[rolé=DP, foo=2]", 14),
        ("A:1>5>6", 8),
        ("A:1[2019-02-30..]", 5),
        ('"jamais fermé', 1),
        ("texte:(a", 7),
        ("LOCAL:'x", 7),
        ("âge 65..18", 1),
        ("âge>=65 PUIS A:1", 17),
        ("AU MOINS 3 DE(A:1, B:2)", 1),
        ("PREMIER(A:1, B:2)", 1),
        ("permission(type=consent)", 25),
    ],
)
def test_errors_say_where_and_what_to_do(typed: str, character: int) -> None:
    with pytest.raises(UsageError) as refusal:
        parse(typed)
    assert refusal.value.where.startswith(f"character {character},")
    assert refusal.value.hint


def test_depth_is_bounded() -> None:
    for deep in ("(" * 300 + "A:1" + ")" * 300, "NON " * 300 + "A:1", "A:1 PUIS " * 300 + "A:1"):
        with pytest.raises(UsageError, match="nested too deeply"):
            parse(deep)
    nested = "{" + '"type":"not","child":{' * 300 + '"type":"everyone"' + "}" * 301
    with pytest.raises(UsageError, match="nested too deeply"):
        json.loads('{"version":1,"query":' + nested + "}")


def test_json_is_small_and_readable() -> None:
    assert json.to_object(parse("CIM10:I50<3[statut=given] OU sexe:F")) == {
        "version": 1,
        "query": {
            "type": "or",
            "of": [
                {
                    "type": "code", "codes": [{"vocabulary": "CIM10", "code": "I50"}],
                    "value": {"high": 3.0, "high_open": True}, "statuses": ["given"],
                },
                {"type": "patient", "sexes": ["female"]},
            ],
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "where"),
    [
        ("[]", ""),
        ('{"version": 2, "query": {"type": "everyone"}}', "version"),
        ('{"version": true, "query": {"type": "everyone"}}', "version"),
        ('{"version": 1, "query": {"type": "evry"}}', "query.type"),
        ('{"version": 1, "query": {"type": "everyone", "x": 1}}', "query"),
        ('{"version": 1, "query": {"type": "not"}}', "query"),
        ('{"version": 1, "query": {"type": "and", "of": [{"type": "everyone"}, 3]}}', "query.of[1]"),
        ('{"version": 1, "query": {"type": "patient", "age": {"low": "3"}}}', "query.age.low"),
        ('{"version": 1, "query": {"type": "patient", "age": {"low": 3, "high": 2}}}', "query.age"),
        ('{"version": 1, "query": {"type": "patient", "sexes": ["F"]}}', "query.sexes[0]"),
        ('{"version": 1, "query": {"type": "text", "query": "a ("}}', "query character"),
        ('{"version": 1, "query": {"type": "text", "query": "a", "dates": {"start": "2020"}}}', "query.dates.start"),
    ],
)
def test_json_errors_give_the_path(written: str, where: str) -> None:
    with pytest.raises(UsageError) as refusal:
        json.loads(written)
    assert refusal.value.where.startswith(where)


def test_broken_json_says_where() -> None:
    with pytest.raises(UsageError, match="valid JSON"):
        json.loads("{")


def test_explanations_read_as_sentences() -> None:
    names = {"CIM10:I50": ("Insuffisance cardiaque", "Heart failure")}

    def told(text: str, lang: str) -> str:
        return explain(parse(text), lambda c: names.get(str(c), (None, None))[lang == "en"], lang)

    assert told("CIM10:I50[2x, 2019]", "fr") == (
        "Patients avec au moins 2 faits « Insuffisance cardiaque » (CIM10:I50), du 1er janvier 2019 au 31 décembre 2019."
    )
    assert told("CIM10:I50 PUIS A:1<3[statut=given] [1..30 jours]", "fr") == (
        "Patients avec un fait « Insuffisance cardiaque » (CIM10:I50), suivi 1 à 30 jours après d'un fait A:1, "
        "de valeur inférieure à 3, de statut administré."
    )
    assert told("CIM10:I50 SAUF âge<18", "en") == (
        "Patients who meet all of these conditions:\n"
        "  - with a fact “Heart failure” (CIM10:I50)\n"
        "  - for whom it is not true: aged 17 or under"
    )
