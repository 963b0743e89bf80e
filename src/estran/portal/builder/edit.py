"""The edits: each click posts `{op, step, ...}` and the tree answers with its new self."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from estran.model.errors import UsageError
from estran.portal.builder.draft import (
    EVENT_KINDS,
    AnyStep,
    CodeStep,
    DocumentStep,
    Draft,
    GroupStep,
    PatientStep,
    PickedCode,
    SequenceStep,
    StayStep,
    TextStep,
    walk,
)

Form = Mapping[str, Sequence[str]]
MOST_STEPS = 200
_NEW: dict[str, type[CodeStep | TextStep | PatientStep | StayStep | DocumentStep]] = {
    "code": CodeStep, "text": TextStep, "patient": PatientStep, "stay": StayStep, "document": DocumentStep,
}


def apply(draft: Draft, op: str, step_id: str, form: Form) -> str:
    """Change the draft in place; returns the id that should have the focus afterwards, or "".

    UsageError when the step is gone (another window changed it) or the edit makes no sense.
    """
    edit = _EDITS.get(op)
    if edit is None:
        raise UsageError(f"No edit is called '{op}'.")
    return edit(draft, step_id, form)


def find(draft: Draft, step_id: str) -> AnyStep:
    """The step of this id; UsageError when there is none."""
    for step in walk(draft.root):
        if step.id == step_id:
            return step
    raise UsageError("This criterion is no longer there.", hint="it was removed in another window; go on from here")


def _parent(draft: Draft, step_id: str) -> tuple[GroupStep, int]:
    for group in walk(draft.root):
        if isinstance(group, GroupStep):
            for place, child in enumerate(group.of):
                if child.id == step_id:
                    return group, place
    raise UsageError("This criterion cannot be moved or removed.")


def _group(draft: Draft, step_id: str) -> GroupStep:
    step = find(draft, step_id)
    if not isinstance(step, GroupStep):
        raise UsageError("Criteria are added to groups.")
    return step


def _add(draft: Draft, step_id: str, form: Form) -> str:
    group, kind = _group(draft, step_id), _first(form, "kind")
    if sum(1 for _ in walk(draft.root)) >= MOST_STEPS:
        raise UsageError(f"A cohort may have {MOST_STEPS} criteria.", hint="save this one and refer to it")
    step: AnyStep
    if kind == "sequence":
        step = SequenceStep(first=CodeStep(id=draft.new_id()), then=CodeStep(id=draft.new_id()))
    elif kind == "group":
        step = GroupStep(mode="any" if group.mode == "all" else "all")
    elif kind in _NEW:
        step = _NEW[kind]()
    else:
        raise UsageError(f"No criterion is called '{kind}'.")
    step.id = draft.new_id()
    group.of.append(step)
    return step.first.id if isinstance(step, SequenceStep) else step.id


def _remove(draft: Draft, step_id: str, form: Form) -> str:
    group, place = _parent(draft, step_id)
    del group.of[place]
    return group.of[min(place, len(group.of) - 1)].id if group.of else group.id


def _move(draft: Draft, step_id: str, form: Form) -> str:
    group, place = _parent(draft, step_id)
    target = place + (-1 if _first(form, "to") == "up" else 1)
    if 0 <= target < len(group.of):
        group.of.insert(target, group.of.pop(place))
    return ""


def _negate(draft: Draft, step_id: str, form: Form) -> str:
    step = find(draft, step_id)
    step.negated = not step.negated
    return ""


def _copy(draft: Draft, step_id: str, form: Form) -> str:
    group, place = _parent(draft, step_id)
    copied = group.of[place].model_copy(deep=True)
    for step in walk(copied):
        step.id = draft.new_id()
    group.of.insert(place + 1, copied)
    return copied.id


def _pick(draft: Draft, step_id: str, form: Form) -> str:
    step = find(draft, step_id)
    if not isinstance(step, CodeStep):
        raise UsageError("Only a coded criterion has codes.")
    picked = PickedCode(vocabulary=_first(form, "vocabulary"), code=_first(form, "code"))
    if not step.codes:
        step.family = _first(form, "family") or "other"
    if all((c.vocabulary, c.code) != (picked.vocabulary, picked.code) for c in step.codes):
        step.codes.append(picked)
    return ""


def _drop(draft: Draft, step_id: str, form: Form) -> str:
    step = find(draft, step_id)
    if isinstance(step, CodeStep):
        gone = (_first(form, "vocabulary"), _first(form, "code"))
        step.codes = [c for c in step.codes if (c.vocabulary, c.code) != gone]
    return step.id


def _event(draft: Draft, step_id: str, form: Form) -> str:
    """Make the first or second event of a sequence another kind of criterion."""
    kind = _first(form, "event_kind")
    for step in walk(draft.root):
        if isinstance(step, SequenceStep) and step_id in (step.first.id, step.then.id) and kind in EVENT_KINDS:
            fresh = EVENT_KINDS[kind](id=step_id)
            if step.first.id == step_id:
                step.first = fresh
            else:
                step.then = fresh
            return step_id
    raise UsageError("This event cannot be changed.")


def _set(draft: Draft, step_id: str, form: Form) -> str:
    """Take the fields of the form over, as far as they can be read."""
    step = find(draft, step_id)
    for name, info in type(step).model_fields.items():
        if name in _FIXED or (name not in form and name not in _BOXES):
            continue
        value = _first(form, name)
        try:
            setattr(step, name, _read(value, info.annotation, getattr(step, name)))
        except (ValueError, ValidationError):
            continue  # what cannot be read leaves the field as it was; the page shows it again
    return ""


_FIXED = frozenset({"id", "kind", "negated", "codes", "family", "of", "first", "then", "query"})
_BOXES = frozenset({"same_stay"})


def _read(text: str, annotation: Any, before: Any) -> Any:
    """A form's text as the type of its field; ValueError when it does not fit."""
    if annotation is bool:
        return text == "yes"
    if annotation is int:
        return max(1, int(text)) if text else before
    if annotation == int | None:
        return int(text) if text else None
    if annotation == float | None:
        return float(text.replace(",", ".").replace("\u202f", "").replace(" ", "")) if text else None
    if annotation == dt.date | None:
        return dt.date.fromisoformat(text) if text else None
    return _checked(text.strip(), annotation)


def _checked(text: str, annotation: Any) -> Any:
    return TypeAdapter(annotation).validate_python(text)


def apply_dates(step: TextStep, start: str, end: str) -> None:
    """Set the period of a criterion from ISO dates."""
    step.start, step.end = dt.date.fromisoformat(start), dt.date.fromisoformat(end)


def _first(form: Form, name: str) -> str:
    values = form.get(name) or [""]
    return values[-1].strip()


_EDITS = {
    "add": _add, "remove": _remove, "move": _move, "negate": _negate, "copy": _copy, "pick": _pick, "drop": _drop,
    "event": _event, "set": _set,
}
