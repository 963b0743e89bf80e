"""Criteria in words: short names for buttons and steps, the explanation, the text form."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from estran.cohort.language.explain import explain
from estran.cohort.language.text import to_text
from estran.cohort.query import Code, Node, codes_of
from estran.portal.builder.draft import (
    AnyStep,
    CodeStep,
    DocumentStep,
    Draft,
    GroupStep,
    PatientStep,
    SequenceStep,
    StayStep,
    TextStep,
    walk,
)
from estran.portal.builder.translate import Built
from estran.portal.language import Language
from estran.portal.words import _, unit, word

if TYPE_CHECKING:
    from estran.portal.visitor import Visitor

Labels = dict[tuple[str, str], str]


def names(who: Visitor, draft: Draft) -> dict[str, str]:
    """A short name for every step of a draft."""
    from estran.portal.builder.board import labels

    known = labels(who, draft)
    return {step.id: name(step, known, who.spoken) for step in walk(draft.root)}


def path_names(who: Visitor, draft: Draft, built: Built) -> dict[str, str]:
    """The name of the step at each path of the question, the innermost when several share it."""
    from estran.portal.builder.board import labels

    known = labels(who, draft)
    return {built.paths[s.id]: _telling(s, known, who.spoken) for s in walk(draft.root) if s.id in built.paths}


def _telling(step: AnyStep, labels: Labels, spoken: Language) -> str:
    """The name of a step; a group of a few criteria is told by them."""
    if not isinstance(step, GroupStep) or step.mode == "at_least" or not 1 <= len(step.of) <= 3:
        return name(step, labels, spoken)
    word_between = spoken.text(" or ") if step.mode == "any" else spoken.text(" and ")
    said = word_between.join(name(child, labels, spoken) for child in step.of)
    said = f"{said} ({spoken.text('in the same stay')})" if step.same_stay else said
    return spoken.text("not %(what)s", what=f"({said})") if step.negated else said


def name(step: AnyStep, labels: Labels, spoken: Language) -> str:
    """A few words that tell the step from its neighbours."""
    said = _name(step, labels, spoken)
    return spoken.text("not %(what)s", what=said) if step.negated else said


def _name(step: AnyStep, labels: Labels, spoken: Language) -> str:
    if isinstance(step, CodeStep):
        return _code(step, labels, spoken)
    if isinstance(step, SequenceStep):
        return f"{_name(step.first, labels, spoken)} → {_name(step.then, labels, spoken)}"
    make = _PLAIN.get(type(step))
    return make(step, spoken) if make else spoken.text("As written")


def _text(step: TextStep, spoken: Language) -> str:
    return spoken.text("text: %(words)s", words=step.words) if step.words else spoken.text("unfinished text")


def _stay(step: StayStep, spoken: Language) -> str:
    kind = word(spoken, "stay", step.stay_kind) if step.stay_kind else spoken.text("Stay")
    return kind + _span(step.days_low, step.days_high, spoken, _("%(span)s days"))


def _document(step: DocumentStep, spoken: Language) -> str:
    return word(spoken, "document", step.document_kind) if step.document_kind else spoken.text("Document")


def _code(step: CodeStep, labels: Labels, spoken: Language) -> str:
    if not step.codes:
        return spoken.text("unfinished code")
    first = step.codes[0]
    said = labels.get((first.vocabulary, first.code), first.code)
    if len(step.codes) > 1:
        said += spoken.text(" and %(count)s more", count=len(step.codes) - 1)
    if step.comparison and step.low is not None:
        sign = {">=": "≥", "<=": "≤"}.get(step.comparison, step.comparison)
        bounds = f"{spoken.number(step.low)}–{spoken.number(step.high)}" if sign == ".." else f"{sign} {spoken.number(step.low)}"
        said += f" {bounds} {unit(step.unit)}".rstrip()
    return said


def _patient(step: PatientStep, spoken: Language) -> str:
    said = word(spoken, "sex", step.sex) if step.sex else spoken.text("Patient")
    alive = {"yes": spoken.text(", alive"), "no": spoken.text(", deceased")}.get(step.alive, "")
    return said + _span(step.age_low, step.age_high, spoken, _("%(span)s years")) + alive


def _span(low: int | None, high: int | None, spoken: Language, message: str) -> str:
    if low is None and high is None:
        return ""
    span = f"≥ {low}" if high is None else f"≤ {high}" if low is None else f"{low}–{high}"
    return ", " + spoken.text(message, span=span)


def _group(step: GroupStep, spoken: Language) -> str:
    said = {
        "all": spoken.text("Group: all"), "any": spoken.text("Group: any"),
        "at_least": spoken.text("Group: at least %(number)s", number=step.number),
    }[step.mode]
    return f"{said} ({spoken.text('in the same stay')})" if step.same_stay else said


_PLAIN: dict[type[Any], Callable[[Any, Language], str]] = {
    TextStep: _text, PatientStep: _patient, StayStep: _stay, DocumentStep: _document, GroupStep: _group,
}


def explanation(who: Visitor, query: Node) -> str:
    """The question in plain words of the person's language."""
    known = who.desk.labels([(code.vocabulary, code.code) for code in codes_of(query)])

    def label(code: Code) -> str | None:
        concept = known.get((code.vocabulary, code.code))
        return concept.label(who.spoken.code) if concept else None

    return explain(query, label, _lang(who))


def as_text(who: Visitor, query: Node) -> str:
    """The question in its text form, with the words of the person's language."""
    return to_text(query, _lang(who))


def _lang(who: Visitor) -> Literal["fr", "en"]:
    return "en" if who.spoken.code == "en" else "fr"
