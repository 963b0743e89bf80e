"""The editable tree: edits, its question, and the way back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estran.cohort.language.text import parse
from estran.cohort.query import And, Everyone, IdList, Node, Not, Or, Same, Unit, walk
from estran.model.errors import UsageError
from estran.portal.builder import edit
from estran.portal.builder.draft import CodeStep, Draft, GroupStep, OtherStep, SequenceStep
from estran.portal.builder.draft import walk as steps
from estran.portal.builder.translate import build, unbuild


def family(vocabulary: str, code: str) -> str:
    return "diagnosis"


def made(draft: Draft, op: str, step: str, **form: str) -> str:
    return edit.apply(draft, op, step, {name: [value] for name, value in form.items()})


def with_code(draft: Draft, parent: str = "1", code: str = "I50") -> str:
    step = made(draft, "add", parent, kind="code")
    made(draft, "pick", step, vocabulary="CIM10", code=code, family="diagnosis")
    return step


def test_an_empty_tree_asks_for_everybody() -> None:
    assert build(Draft()).query == Everyone()


def test_an_unfinished_criterion_is_left_out() -> None:
    draft = Draft()
    step = made(draft, "add", "1", kind="code")
    assert build(draft).empty
    assert step not in build(draft).paths


def test_edits_make_the_question() -> None:
    draft = Draft()
    first = with_code(draft)
    second = with_code(draft, code="E11")
    made(draft, "negate", second)
    made(draft, "set", first, times="2")
    assert build(draft).query == parse("CIM10:I50[2x] sauf CIM10:E11")


def test_paths_say_where_each_step_stands() -> None:
    draft = Draft()
    made(draft, "add", "1", kind="code")
    heart = with_code(draft)
    group = made(draft, "add", "1", kind="group")
    inner = with_code(draft, group, "E11")
    with_code(draft, group, "E85")
    built = build(draft)
    found = dict(walk(built.query))
    assert built.paths[heart] == "0.0"
    assert built.paths[group] == "0.1"
    assert found[built.paths[inner]] == parse("CIM10:E11")


def test_moving_copying_and_removing() -> None:
    draft = Draft()
    a, b = with_code(draft), with_code(draft, code="E11")
    made(draft, "move", b, to="up")
    assert [s.id for s in draft.root.of] == [b, a]
    made(draft, "move", b, to="up")
    copied = made(draft, "copy", a)
    assert len({s.id for s in steps(draft.root)}) == 4
    assert made(draft, "remove", copied) == a
    made(draft, "remove", a)
    assert made(draft, "remove", b) == "1"
    assert build(draft).empty


def test_same_stay_and_at_least() -> None:
    draft = Draft()
    for code in ("I50", "E11", "E85"):
        with_code(draft, code=code)
    made(draft, "set", "1", mode="at_least", number="2", same_stay="yes")
    query = build(draft).query
    assert isinstance(query, Same)
    assert query.unit is Unit.STAY
    assert query.child.TAG == "at_least"
    made(draft, "set", "1", same_stay="no")
    assert build(draft).query == query.child


def test_a_sequence_takes_other_kinds_of_events() -> None:
    draft = Draft()
    first = made(draft, "add", "1", kind="sequence")
    made(draft, "pick", first, vocabulary="CIM10", code="I50", family="diagnosis")
    sequence = draft.root.of[0]
    assert isinstance(sequence, SequenceStep)
    made(draft, "event", sequence.then.id, event_kind="text")
    made(draft, "set", sequence.then.id, words="dyspnée")
    made(draft, "set", sequence.id, low="1", high="90")
    assert build(draft).query.TAG == "sequence"
    assert set(build(draft).paths) >= {sequence.id, sequence.first.id, sequence.then.id}


def test_nonsense_is_a_problem_of_its_criterion_and_spoils_no_other() -> None:
    draft = Draft()
    heart = with_code(draft)
    person = made(draft, "add", "1", kind="patient")
    made(draft, "set", person, age_low="80", age_high="20")
    built = build(draft)
    assert "upside down" in built.problems[person]
    assert set(built.paths) >= {heart}


def test_what_cannot_be_read_leaves_the_field_as_it_was() -> None:
    draft = Draft()
    step = with_code(draft)
    made(draft, "set", step, comparison=">=", low="6,5", times="x")
    made(draft, "set", step, low="six", comparison="~")
    found = edit.find(draft, step)
    assert isinstance(found, CodeStep)
    assert (found.comparison, found.low, found.times) == (">=", 6.5, 1)


@pytest.mark.parametrize("op", ["", "set", "move", "explode"])
def test_an_edit_of_nothing_is_refused(op: str) -> None:
    with pytest.raises(UsageError):
        made(Draft(), op, "99")


def test_ids_and_kinds_are_not_set_by_forms() -> None:
    draft = Draft()
    step = with_code(draft)
    made(draft, "set", step, id="1", kind="group", negated="yes", codes="[]")
    found = edit.find(draft, step)
    assert isinstance(found, CodeStep)
    assert found.codes
    assert not found.negated


def test_the_tree_does_not_grow_without_end() -> None:
    draft = Draft()
    draft.root.of = [CodeStep(id=str(n + 2)) for n in range(edit.MOST_STEPS)]
    with pytest.raises(UsageError, match="may have"):
        made(draft, "add", "1", kind="code")


def test_what_the_builder_cannot_draw_is_kept_whole() -> None:
    query = And((IdList((1, 2)), parse("CIM10:I50")))
    draft = unbuild(query, family)
    assert isinstance(draft.root.of[0], OtherStep)
    assert build(draft).query == query


QUESTIONS = [
    "CIM10:I50", "CIM10:I50 sauf CIM10:E11", "CIM10:I50 ou CIM10:E11", "LOINC:2160-0>=130", "LOINC:2160-0<30[2x]",
    '"insuffisance cardiaque"', "CIM10:I50 PUIS LOINC:2160-0>150 [1..90 jours]",
]  # fmt: skip


@pytest.mark.parametrize("text", QUESTIONS)
def test_text_to_tree_and_back(text: str) -> None:
    query = parse(text)
    draft = Draft.model_validate_json(unbuild(query, family).model_dump_json())
    assert build(draft).query == query
    assert not any(isinstance(step, OtherStep) for step in steps(draft.root))


leaves = st.sampled_from([parse("CIM10:I50"), parse("CIM10:E11"), parse('"dyspnée"'), IdList((4,)), Everyone()])
trees: st.SearchStrategy[Node] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda of: And(tuple(of))),
        st.lists(inner, min_size=2, max_size=3).map(lambda of: Or(tuple(of))),
        inner.map(Not), inner.map(lambda child: Same(Unit.STAY, child)),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(trees)
def test_any_question_survives_the_builder(query: Node) -> None:
    draft = unbuild(query, family)
    assert isinstance(draft.root, GroupStep)
    assert build(draft).query == query
