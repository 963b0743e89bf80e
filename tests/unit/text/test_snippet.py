"""Marks and pieces of a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estran.text.parse import parse
from estran.text.snippet import marks, snippets
from estran.text.spelling import one_slip, slips

TEXT = "Fièvre depuis l’opération. Pas de toux. Le patient opéré à l’hôpital a de la fièvre et des œdèmes."


def _marked(query: str, text: str = TEXT) -> list[str]:
    return [text[a:b] for a, b in marks(parse(query), text)]


def test_marks_are_spans_of_the_original() -> None:
    assert _marked("fievres oedeme") == ["Fièvre", "fièvre", "œdèmes"]
    assert _marked('"pas de"') == ["Pas", "de"]
    assert _marked("opera*") == ["opération"]
    assert _marked('"hopital fievre"~6') == ["hôpital", "fièvre"]
    assert _marked("fièvre SAUF toux") == ["Fièvre", "fièvre"]
    assert _marked("titre:fièvre") == []


def test_pieces_are_the_densest_places_in_order() -> None:
    text = f"{'mot ' * 100}fièvre {'mot ' * 100}fièvre avec toux et œdème {'mot ' * 100}"
    pieces = snippets(parse("fièvre OU toux OU oedème"), text, count=1, length=120)
    assert len(pieces) == 1
    piece = pieces[0]
    assert [piece.text[a:b] for a, b in piece.marks] == ["fièvre", "toux", "œdème"]
    assert text[piece.start :].startswith(piece.text) and piece.before and piece.after
    assert len(snippets(parse("fièvre"), text, count=5)) == 2


def test_nothing_to_mark_shows_the_beginning() -> None:
    (piece,) = snippets(parse("titre:scanner"), TEXT, length=20)
    assert (piece.text, piece.marks, piece.before, piece.after) == (TEXT[:20], (), False, True)
    assert snippets(parse("fièvre"), "  ") == []


@given(
    st.text(alphabet="fièvre œ’\u0301 .toux", max_size=400),
    st.sampled_from(["fievre", "toux OU fi*", '"toux fièvre"~3']),
)
def test_pieces_hold_their_marks(text: str, query: str) -> None:
    spans = marks(parse(query), text)
    for piece in snippets(parse(query), text, length=150):
        assert text[piece.start : piece.start + len(piece.text)] == piece.text
        assert all((a + piece.start, b + piece.start) in spans for a, b in piece.marks)
        assert piece.marks or not spans


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("fievre", "fievre", 0),
        ("fievrre", "fievre", 1),
        ("feivre", "fievre", 1),
        ("fivre", "fievre", 1),
        ("toux", "rhume", 4),
    ],
)
def test_slips(first: str, second: str, distance: int) -> None:
    assert slips(first, second) == slips(second, first) == distance
    assert (second in one_slip(first)) == (distance == 1)
