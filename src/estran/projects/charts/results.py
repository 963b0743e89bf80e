"""What a review comes to: per patient and per text, what was said, whether it is agreed, and what holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from estran.projects.charts.labels import Span, spans_of
from estran.state import ListedPatient, ListedText, Marked, Said


class Verdict(StrEnum):
    """What a reviewer says of a patient; in order, from no to yes."""

    EXCLUDE = "exclude"
    DOUBT = "doubt"
    INCLUDE = "include"


class Stage(StrEnum):
    """Where a patient or a text stands."""

    WAITING = "waiting"  # a reading is missing
    AGREED = "agreed"
    DISPUTED = "disputed"  # readings differ, in an answer at least, or somebody doubts: to be settled
    SETTLED = "settled"


@dataclass(frozen=True)
class Chart:
    """A patient of a list. `verdict` is what holds, None as long as nothing does."""

    patient: ListedPatient
    readers: tuple[int, ...]
    readings: tuple[Said, ...]
    final: Said | None
    stage: Stage

    @property
    def holds(self) -> Said | None:
        """What holds of this patient; None as long as nothing does."""
        if self.final is not None:
            return self.final
        return self.readings[0] if self.stage is Stage.AGREED else None


@dataclass(frozen=True)
class Text:
    """A text of a list with what was marked in it."""

    text: ListedText
    readers: tuple[int, ...]
    markings: tuple[Marked, ...]  # those that their author called done
    final: Marked | None
    stage: Stage

    @property
    def holds(self) -> tuple[Span, ...] | None:
        """The marks that hold; None as long as none do."""
        if self.final is not None:
            return spans_of(self.final.spans)
        return spans_of(self.markings[0].spans) if self.stage is Stage.AGREED else None


def charts(
    patients: Iterable[ListedPatient], shares: Mapping[int, tuple[int, ...]], said: Iterable[Said]
) -> list[Chart]:
    """Every patient of a list as it stands."""
    of: dict[int, list[Said]] = {}
    for one in said:
        of.setdefault(one.patient_id, []).append(one)
    return [_chart(patient, shares.get(patient.patient_id, ()), of.get(patient.patient_id, [])) for patient in patients]


def _chart(patient: ListedPatient, readers: tuple[int, ...], said: Sequence[Said]) -> Chart:
    readings = tuple(sorted((one for one in said if not one.final), key=lambda one: one.account_id))
    final = max((one for one in said if one.final), key=lambda one: one.id, default=None)
    said_first = [(one.verdict, one.answers) for one in readings[:1]]
    doubt = any(one.verdict == Verdict.DOUBT or (one.verdict, one.answers) not in said_first for one in readings)
    return Chart(patient, readers, readings, final, _stage(final, len(readings), len(readers), doubt))


def texts(listed: Iterable[ListedText], shares: Mapping[int, tuple[int, ...]], marked: Iterable[Marked]) -> list[Text]:
    """Every text of a list as it stands; marks that are not called done do not count yet."""
    of: dict[int, list[Marked]] = {}
    for one in marked:
        if one.done:
            of.setdefault(one.document_id, []).append(one)
    return [_text(text, shares.get(text.patient_id, ()), of.get(text.document_id, [])) for text in listed]


def _text(text: ListedText, readers: tuple[int, ...], marked: Sequence[Marked]) -> Text:
    markings = tuple(sorted((one for one in marked if not one.final), key=lambda one: one.account_id))
    final = max((one for one in marked if one.final), key=lambda one: one.id, default=None)
    differ = any(spans_of(one.spans) != spans_of(markings[0].spans) for one in markings)
    return Text(text, readers, markings, final, _stage(final, len(markings), len(readers), differ))


def _stage(final: object, read: int, readers: int, differ: bool) -> Stage:
    if final is not None:
        return Stage.SETTLED
    if read < readers or read == 0:
        return Stage.WAITING
    return Stage.DISPUTED if differ else Stage.AGREED
