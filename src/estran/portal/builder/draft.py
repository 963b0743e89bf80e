"""The editable tree. Unlike a question it may be unfinished: a criterion without its code is allowed here.

It is what the browser edits and what undo keeps; `translate` makes a question of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from estran.model.codes import DocumentKind, Sex, StayKind


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str = ""
    negated: bool = False


class _Dated(_Step):
    start: dt.date | None = None
    end: dt.date | None = None


class PickedCode(BaseModel):
    """A code chosen in a picker."""

    model_config = ConfigDict(extra="forbid")

    vocabulary: str
    code: str
    descendants: bool = True


class CodeStep(_Dated):
    """Facts of one or several codes, with their value and how often."""

    kind: Literal["code"] = "code"
    family: str = "other"  # the kind of the first concept: diagnosis, laboratory...
    codes: list[PickedCode] = []
    comparison: Literal["", ">=", ">", "<=", "<", "=", ".."] = ""
    low: float | None = None
    high: float | None = None
    unit: str = ""
    times: int = 1
    apart: int | None = None
    age_low: int | None = None
    age_high: int | None = None


class TextStep(_Dated):
    """Words in the texts."""

    kind: Literal["text"] = "text"
    words: str = ""
    document_kind: DocumentKind | Literal[""] = ""


class PatientStep(_Step):
    """Age and sex."""

    kind: Literal["patient"] = "patient"
    sex: Sex | Literal[""] = ""
    age_low: int | None = None
    age_high: int | None = None
    alive: Literal["", "yes", "no"] = ""


class StayStep(_Dated):
    """Stays by kind, length and ward."""

    kind: Literal["stay"] = "stay"
    stay_kind: StayKind | Literal[""] = ""
    days_low: int | None = None
    days_high: int | None = None
    ward: str = ""


class DocumentStep(_Dated):
    """Documents by kind and ward."""

    kind: Literal["document"] = "document"
    document_kind: DocumentKind | Literal[""] = ""
    ward: str = ""


Event = Annotated[CodeStep | TextStep | StayStep | DocumentStep, Field(discriminator="kind")]


class SequenceStep(_Step):
    """One event, then another some days later."""

    kind: Literal["sequence"] = "sequence"
    first: Event
    then: Event
    low: int | None = 0
    high: int | None = 30


class OtherStep(_Step):
    """A part of a question that the builder does not draw: kept as it is, its JSON in `query`."""

    kind: Literal["other"] = "other"
    query: str


class GroupStep(_Step):
    """Several criteria: all, any, or at least `number` of them; in one and the same stay when `same_stay`."""

    kind: Literal["group"] = "group"
    mode: Literal["all", "any", "at_least"] = "all"
    number: int = 2
    same_stay: bool = False
    of: list[Step] = []


Step = Annotated[
    GroupStep | CodeStep | TextStep | PatientStep | StayStep | DocumentStep | SequenceStep | OtherStep,
    Field(discriminator="kind"),
]
GroupStep.model_rebuild()
EVENT_KINDS: dict[str, type[CodeStep | TextStep | StayStep | DocumentStep]] = {
    "code": CodeStep, "text": TextStep, "stay": StayStep, "document": DocumentStep,
}


class Draft(BaseModel):
    """The tree on the desk. `opened` is the saved version that it came from."""

    model_config = ConfigDict(extra="forbid")

    root: GroupStep = GroupStep(id="1")
    last_id: int = 1
    opened: int | None = None

    def new_id(self) -> str:
        """An id never used in this draft."""
        self.last_id += 1
        return str(self.last_id)

    def number(self) -> None:
        """Give ids to the steps that have none."""
        for step in walk(self.root):
            step.id = step.id or self.new_id()


AnyStep = GroupStep | CodeStep | TextStep | PatientStep | StayStep | DocumentStep | SequenceStep | OtherStep


def walk(step: AnyStep) -> Iterator[AnyStep]:
    """A step and everything inside it, parents first."""
    yield step
    inside = step.of if isinstance(step, GroupStep) else [step.first, step.then] if isinstance(step, SequenceStep) else []
    for child in inside:
        yield from walk(child)
