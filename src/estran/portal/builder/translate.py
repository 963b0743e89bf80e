"""From the editable tree to a question, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from estran.cohort.language import json as question_json
from estran.cohort.query import (
    And,
    AtLeast,
    Code,
    CodeCriterion,
    DateRange,
    Demographic,
    DocumentCriterion,
    Everyone,
    IntRange,
    Node,
    Not,
    Or,
    Same,
    Sequence,
    StayCriterion,
    TextCriterion,
    TimeUnit,
    Unit,
    ValueRange,
    all_of,
    any_of,
    walk,
)
from estran.model.errors import UsageError
from estran.portal.builder.draft import (
    AnyStep,
    CodeStep,
    DocumentStep,
    Draft,
    GroupStep,
    OtherStep,
    PatientStep,
    PickedCode,
    SequenceStep,
    StayStep,
    TextStep,
)


@dataclass(frozen=True)
class Built:
    """A question; `paths` says where each step of the draft stands in it, `problems` why one is left out."""

    query: Node
    paths: dict[str, str]
    problems: dict[str, str]

    @property
    def empty(self) -> bool:
        """Whether nothing is asked yet: every visible patient answers."""
        return isinstance(self.query, Everyone)


@dataclass
class _Maker:
    """Builds nodes and remembers which step each one came from."""

    nodes: dict[str, Node] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def make(self, step: AnyStep) -> Node | None:
        """The node of a step, None when it is unfinished."""
        try:
            node = _MAKERS[type(step)](self, step)
            if node is not None and step.negated:
                node = Not(node)
        except UsageError as error:
            self.problems[step.id] = error.what
            return None
        if node is not None:
            self.nodes[step.id] = node
        return node


def build(draft: Draft) -> Built:
    """The question of a draft; unfinished criteria are left out of it."""
    maker = _Maker()
    query = maker.make(draft.root) or Everyone()
    places = {id(node): path for path, node in reversed(list(walk(query)))}
    paths = {step: places[id(node)] for step, node in maker.nodes.items() if id(node) in places}
    return Built(query, paths, maker.problems)


def _group(maker: _Maker, step: GroupStep) -> Node | None:
    made = [node for node in (maker.make(child) for child in step.of) if node is not None]
    if not made:
        return None
    if step.mode == "at_least" and len(made) >= step.number:
        node: Node = AtLeast(step.number, tuple(made))
    elif step.mode == "any":
        node = any_of(*made)
    else:
        node = all_of(*made)
    return Same(Unit.STAY, node) if step.same_stay else node


def _code(maker: _Maker, step: CodeStep) -> Node | None:
    if not step.codes:
        return None
    return CodeCriterion(
        tuple(Code(c.vocabulary, c.code, c.descendants) for c in step.codes), value=_value(step),
        dates=_dates(step), age=_range(step.age_low, step.age_high), times=step.times,
        apart=step.apart if step.times > 1 else None,
    )


def _value(step: CodeStep) -> ValueRange | None:
    unit = step.unit or None
    if step.comparison == ".." and not (step.low is None and step.high is None):
        return ValueRange(step.low, step.high, unit=unit)
    if not step.comparison or step.low is None:
        return None
    if step.comparison == "=":
        return ValueRange(step.low, step.low, unit=unit)
    if step.comparison in (">", ">="):
        return ValueRange(low=step.low, low_open=step.comparison == ">", unit=unit)
    return ValueRange(high=step.low, high_open=step.comparison == "<", unit=unit)


def _text(maker: _Maker, step: TextStep) -> Node | None:
    kinds = (step.document_kind,) if step.document_kind else ()
    return TextCriterion(step.words, kinds, _dates(step)) if step.words else None


def _patient(maker: _Maker, step: PatientStep) -> Node | None:
    sexes, age = (step.sex,) if step.sex else (), _range(step.age_low, step.age_high)
    alive = {"yes": True, "no": False}.get(step.alive)
    return Demographic(sexes, age, alive) if sexes or age or alive is not None else None


def _stay(maker: _Maker, step: StayStep) -> Node | None:
    return StayCriterion(
        kinds=(step.stay_kind,) if step.stay_kind else (), days=_range(step.days_low, step.days_high),
        units=(step.ward,) if step.ward else (), dates=_dates(step),
    )


def _document(maker: _Maker, step: DocumentStep) -> Node | None:
    kinds = (step.document_kind,) if step.document_kind else ()
    return DocumentCriterion(kinds, (step.ward,) if step.ward else (), _dates(step))


def _sequence(maker: _Maker, step: SequenceStep) -> Node | None:
    first, then = maker.make(step.first), maker.make(step.then)
    if first is None or then is None:
        return None
    return Sequence(first, then, _range(step.low, step.high) or IntRange(0))


def _other(maker: _Maker, step: OtherStep) -> Node | None:
    return question_json.loads(step.query)


_MAKERS: dict[type[Any], Callable[[_Maker, Any], Node | None]] = {
    GroupStep: _group, CodeStep: _code, TextStep: _text, PatientStep: _patient, StayStep: _stay,
    DocumentStep: _document, SequenceStep: _sequence, OtherStep: _other,
}


def _range(low: int | None, high: int | None) -> IntRange | None:
    return None if low is None and high is None else IntRange(low, high)


def _dates(step: CodeStep | TextStep | StayStep | DocumentStep) -> DateRange | None:
    return None if step.start is None and step.end is None else DateRange(step.start, step.end)


def unbuild(query: Node, family: Callable[[str, str], str], opened: int | None = None) -> Draft:
    """The draft of a question. `family` gives the kind of a (vocabulary, code).

    A part that the builder cannot draw exactly is kept whole, as an OtherStep.
    """
    step = GroupStep() if isinstance(query, Everyone) else _step(query, family)
    root = step if isinstance(step, GroupStep) and not step.negated else GroupStep(of=[step])
    draft = Draft(root=root, last_id=0, opened=opened)
    draft.number()
    return draft


def _step(node: Node, family: Callable[[str, str], str]) -> AnyStep:
    """The step that builds exactly this node."""
    step = _drawn(node, family)
    if step is not None:
        made = _Maker().make(step)
        if made == node:
            return step
    return OtherStep(query=question_json.dumps(node))


def _drawn(node: Node, family: Callable[[str, str], str]) -> AnyStep | None:
    if isinstance(node, Not):
        return _negated(_drawn(node.child, family))
    if isinstance(node, Same):
        return _same_stay(_drawn(node.child, family)) if node.unit is Unit.STAY else None
    if isinstance(node, And | Or | AtLeast):
        inside = [_step(child, family) for child in node.of]
        if isinstance(node, AtLeast):
            return GroupStep(mode="at_least", number=node.number, of=inside)
        return GroupStep(mode="all" if isinstance(node, And) else "any", of=inside)
    return _leaf(node, family)


def _negated(step: AnyStep | None) -> AnyStep | None:
    if step is None or step.negated:
        return None
    step.negated = True
    return step


def _same_stay(inner: AnyStep | None) -> AnyStep | None:
    if isinstance(inner, GroupStep) and not inner.same_stay and not inner.negated:
        inner.same_stay = True
        return inner
    return None if inner is None else GroupStep(same_stay=True, of=[inner])


def _leaf(node: Node, family: Callable[[str, str], str]) -> AnyStep | None:
    if isinstance(node, Sequence) and node.unit is TimeUnit.DAY:
        first, then = _leaf(node.first, family), _leaf(node.then, family)
        events = (CodeStep, TextStep, StayStep, DocumentStep)
        if isinstance(first, events) and isinstance(then, events):
            return SequenceStep(first=first, then=then, low=node.delay.low, high=node.delay.high)
        return None
    if isinstance(node, CodeCriterion):
        return _code_step(node, family)
    if isinstance(node, Demographic):
        return PatientStep(
            sex=node.sexes[0] if node.sexes else "", alive="" if node.alive is None else "yes" if node.alive else "no",
            **_ends("age", node.age),
        )
    return _dated_step(node)


def _dated_step(node: Node) -> AnyStep | None:
    if not isinstance(node, TextCriterion | StayCriterion | DocumentCriterion):
        return None
    dates: dict[str, Any] = {"start": node.dates.start, "end": node.dates.end} if node.dates else {}
    kind: Any = node.kinds[0] if node.kinds else ""
    if isinstance(node, TextCriterion):
        return TextStep(words=node.query, document_kind=kind, **dates)
    ward = node.units[0] if node.units else ""
    if isinstance(node, StayCriterion):
        return StayStep(stay_kind=kind, ward=ward, **_ends("days", node.days), **dates)
    return DocumentStep(document_kind=kind, ward=ward, **dates)


def _code_step(node: CodeCriterion, family: Callable[[str, str], str]) -> CodeStep:
    dates: dict[str, Any] = {"start": node.dates.start, "end": node.dates.end} if node.dates else {}
    codes = [PickedCode(vocabulary=c.vocabulary, code=c.code, descendants=c.descendants) for c in node.codes]
    return CodeStep(
        codes=codes, family=family(codes[0].vocabulary, codes[0].code), times=node.times, apart=node.apart,
        **_ends("age", node.age), **dates, **_comparison(node.value),
    )


def _comparison(value: ValueRange | None) -> dict[str, Any]:
    if value is None:
        return {}
    unit = value.unit or ""
    if value.low is not None and value.high is not None:
        if value.low == value.high:
            return {"comparison": "=", "low": value.low, "unit": unit}
        return {"comparison": "..", "low": value.low, "high": value.high, "unit": unit}
    if value.low is not None:
        return {"comparison": ">" if value.low_open else ">=", "low": value.low, "unit": unit}
    return {"comparison": "<" if value.high_open else "<=", "low": value.high, "unit": unit}


def _ends(name: str, bounds: IntRange | None) -> dict[str, Any]:
    return {} if bounds is None else {f"{name}_low": bounds.low, f"{name}_high": bounds.high}
