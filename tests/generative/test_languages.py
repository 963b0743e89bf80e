"""Every question survives being written down: as text in either language, as JSON, and it can be explained."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.generative.strategies import queries

from estran.cohort.language import json
from estran.cohort.language.explain import explain
from estran.cohort.language.text import parse, to_text
from estran.cohort.query import (
    And,
    Code,
    CodeCriterion,
    CohortRef,
    Demographic,
    DocumentCriterion,
    Node,
    Not,
    Or,
    PermissionCriterion,
    Sequence,
    StayCriterion,
    TextCriterion,
    ValueRange,
)
from estran.model.errors import UsageError

EXAMPLES = 20_000 if "ESTRAN_SLOW" in os.environ else 250
RELAXED = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)  # fmt: skip

odd = st.one_of(
    st.sampled_from(["age", "dx", "sexe", "a b", "x'y", "\\", "1,8", "it's", "é/è", "..", "a..b", "-", "[", "ET", "tous"]),
    st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=6).filter(
        lambda text: text.isprintable() and text == text.strip()
    ),
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
values = st.one_of(
    st.builds(lambda low, unit: ValueRange(low, low, unit=unit), numbers, odd),
    st.builds(lambda low, unit: ValueRange(low=low, low_open=True, unit=unit), numbers, odd),
    st.builds(lambda high, unit: ValueRange(high=high, unit=unit), numbers, st.one_of(st.none(), odd)),
)


def searchable(text: str) -> bool:
    try:
        TextCriterion(text)
    except UsageError:
        return False
    return True


texts = st.one_of(
    st.sampled_from(['"a (b"', "a (b OU c)", "l'abdomen", "non", "ET a", '"douleur thorax"~5', "cardi*", "x -toux", "puis"]),
    odd,
    st.lists(st.sampled_from(["fièvre", "NON", "(", ")", '"', "toux", "sauf", "1,8", "-", ":"]), max_size=5).map(" ".join),
).filter(searchable)
strange = st.one_of(
    st.builds(
        CodeCriterion, st.builds(Code, odd, odd, st.booleans()).map(lambda c: (c,)), st.one_of(st.none(), values),
        roles=st.one_of(st.just(()), odd.map(lambda role: (role,))),
    ),
    st.builds(TextCriterion, texts),
    st.builds(CohortRef, odd),
    st.builds(PermissionCriterion, odd, odd),
    st.builds(lambda area: Demographic(areas=(area,)), odd),
    st.builds(lambda unit, entry: StayCriterion(units=(unit,), entries=(entry,)), odd, odd),
    st.builds(lambda unit: DocumentCriterion(units=(unit,)), odd),
)  # fmt: skip


def _strange_tree(parts: list[Node], shape: int) -> Node:
    if len(parts) == 1:
        return Not(parts[0]) if shape % 2 else parts[0]
    if shape == 2 and parts[0].dated and parts[1].dated:
        return Sequence(parts[0], parts[1])
    return And(tuple(parts)) if shape % 2 else Or((Not(And(tuple(parts))), parts[0]))


strange_queries = st.builds(_strange_tree, st.lists(strange, min_size=1, max_size=3), st.integers(0, 3))


def survives(query: Node) -> None:
    for lang in ("fr", "en"):
        assert parse(to_text(query, lang)) == query
        assert explain(query, lambda code: None, lang)
    assert json.loads(json.dumps(query)) == query


@RELAXED
@given(queries)
def test_a_question_survives(query: Node) -> None:
    survives(query)


@RELAXED
@given(strange_queries)
def test_odd_words_survive(query: Node) -> None:
    survives(query)


@RELAXED
@given(st.one_of(st.text(max_size=30), strange_queries.map(to_text).flatmap(
    lambda text: st.integers(0, len(text)).map(lambda at: text[:at] + text[at + 1 :])
)))  # fmt: skip
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        query = parse(text)
    except UsageError as error:
        assert error.where.startswith("character ")
        assert error.hint
    else:
        assert parse(to_text(query)) == query
