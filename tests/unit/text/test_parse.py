"""What a person types in the search bar, and the question it asks."""

from __future__ import annotations

import pytest

from estran.model.errors import UsageError
from estran.text.parse import parse
from estran.text.query import And, Filtered, Near, Not, Or, Phrase, Prefix, TextQuery, Word, is_bounded, walk, wanted

A, B, C = Word("a1"), Word("b1"), Word("c1")


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("a1", A),
        ("a1 b1", And((A, B))),
        ("a1 ET b1 AND c1", And((A, B, C))),
        ("a1 OU b1 c1", Or((A, And((B, C))))),
        ("(a1 OR b1) c1", And((Or((A, B)), C))),
        ("a1 SAUF b1", And((A, Not(B)))),
        ("a1 sauf (b1 OU c1)", And((A, Not(Or((B, C)))))),
        ("a1 -b1", And((A, Not(B)))),
        ("a1 - b1", And((A, B))),
        ("a1 NON NON b1", And((A, Not(Not(B))))),
        ('"a1 b1"', Phrase(("a1", "b1"))),
        ("«a1 b1» “c1 a1”", And((Phrase(("a1", "b1")), Phrase(("c1", "a1"))))),
        ('"a1 b1"~5 c1', And((Near(("a1", "b1"), 5), C))),
        ("cardi*", Prefix("cardi")),
        ("l’abdo*", Prefix("abdo")),
        ("l'abdomen qu’opéré aujourd'hui", And((Word("abdomen"), Word("opéré"), Word("aujourd'hui")))),
        ("titre:a1 b1", And((Filtered("title", A), B))),
        ('title:(a1 OU "b1 c1")', Filtered("title", Or((A, Phrase(("b1", "c1")))))),
        ("type:imagerie", Filtered("kind", Word("imaging"))),
        ("kind:pathology TYPE:courrier", And((Filtered("kind", Word("pathology")), Filtered("kind", Word("letter"))))),
        ("et ou", And((Word("et"), Word("ou")))),
        ("12:30", Word("12:30")),
    ],
)
def test_reading(text: str, query: TextQuery) -> None:
    assert parse(text) == query


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("   ", 1), ('a1 "b1', 4), ("a1 ” b1", 4), ("(a1", 1), ("a1)", 3), ("()", 1), ("NOT a1", 1), ("-a1 -b1", 1),
        ("a1 OU -b1", 1), ("OU a1", 1), ("a1 ET", 6), ("a1 x*", 4), ("a1 1a*", 4), ("a*b", 1), ("*", 1), ("a1**", 1),
        ("a1~2", 1), ('"a1 b1"~', 8), ('"a1 b1"~0', 1), ('"a1 b1"~51', 1), ('"a1 b*"', 1), ("nom:a1", 1),
        ("type:a1", 1), ("type:(a1 b1)", 1), ("titre:", 7), ("titre:titre:a1", 1), ("a1 ???", 4), ("(" * 60 + "a1", 52),
    ],
)  # fmt: skip
def test_refusing(text: str, place: int) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text)
    assert refused.value.where == f"character {place}"
    assert refused.value.hint


@pytest.mark.parametrize("make", [
    lambda: Word("?"), lambda: Phrase(()), lambda: Prefix("a"), lambda: Prefix("a b"), lambda: Near(("a",), 0),
    lambda: Near(tuple("abcdefghi"), 20), lambda: And(()), lambda: Or(()), lambda: Filtered("kind", Word("poem")),
    lambda: Filtered("unit", Word("a")),
])  # fmt: skip
def test_nodes_refuse_nonsense_at_birth(make: object) -> None:
    with pytest.raises(UsageError):
        make()  # type: ignore[operator]


def test_what_is_bounded_and_what_is_wanted() -> None:
    query = And((A, Not(B), Or((Phrase(("b1", "c1")), Filtered("title", C)))))
    assert is_bounded(query)
    assert not is_bounded(Or((A, Not(B))))
    assert wanted(query) == [A, Phrase(("b1", "c1"))]
    assert len(walk(query)) == 8
