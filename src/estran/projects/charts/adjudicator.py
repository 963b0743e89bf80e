"""The desk of an adjudicator: what two reviewers said differently, side by side, and what holds in the end.

Whoever read a patient does not settle it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.charts.labels import Span, spans_of
from estran.projects.charts.reading import Opened, OpenedText, Room
from estran.projects.charts.results import Chart, Stage, Text
from estran.projects.charts.reviewer import LONGEST, judged, marks
from estran.projects.documents import Document
from estran.projects.patients import Timeline
from estran.projects.policy import Action
from estran.state import ListRecord

if TYPE_CHECKING:
    from estran.projects.desk import ReadingRoom


@dataclass(frozen=True)
class Difference:
    """One thing as each reader said it, in the order of the readers; `same` when they all say the same."""

    name: str
    said: tuple[Any, ...]

    @property
    def same(self) -> bool:
        return all(one == self.said[0] for one in self.said)


class Adjudicator:
    """One person and what they were named to settle."""

    def __init__(self, room: ReadingRoom, actor: Actor) -> None:
        self._room = Room(room, actor)
        self._book = room.site.state.charts
        self._me = actor.account_id

    def disputes(self, list_id: int) -> tuple[ListRecord, list[Chart], list[Text]]:
        """The patients and the texts of a list that wait to be settled, without those that I read."""
        record = self._room.record(list_id)
        self._permit(list_id, "disputes")
        waiting = [one for one in self._room.charts(list_id) if self._mine(one)]
        return record, waiting, [one for one in self._room.texts(list_id) if self._mine(one)]

    def _mine(self, one: Chart | Text) -> bool:
        return one.stage is Stage.DISPUTED and self._me not in one.readers

    def open(self, list_id: int, patient: int) -> tuple[Opened, list[Difference]]:
        """A patient with what each reader said, the differences first."""
        chart = self._chart(list_id, patient)
        opened = self._room.open(self._room.record(list_id), chart)
        said = chart.readings
        found = [
            Difference("verdict", tuple(one.verdict for one in said)),
            Difference("comment", tuple(one.comment for one in said)),
        ]
        found += [Difference(item.id, tuple(one.answers.get(item.id) for one in said)) for item in opened.form.items]
        asked = [one for one in found if any(value not in (None, "") for value in one.said)]
        return opened, sorted(asked, key=lambda one: one.same)

    def timeline(self, list_id: int, patient: int) -> Timeline | None:
        """The events of a patient to settle."""
        self._chart(list_id, patient)
        return self._room.timeline(patient)

    def document(self, list_id: int, patient: int, document: int) -> Document | None:
        """A document of a patient to settle; None when it is not theirs."""
        self._chart(list_id, patient, f" document:{document}")
        return self._room.plain_document(document, patient)

    def settle(
        self,
        list_id: int,
        patient: int,
        verdict: str,
        comment: str = "",
        given: Mapping[str, Sequence[str]] | None = None,
    ) -> dict[str, str]:
        """Say what holds of a patient; what is wrong with it, and then nothing is kept."""
        chart = self._chart(list_id, patient, " settle")
        opened = self._room.open(self._room.record(list_id), chart)
        answers, evidence, wrong = judged(opened, verdict, given or {})
        if not wrong and self._me is not None:
            self._book.decide(
                list_id, patient, self._me, verdict, comment.strip()[:LONGEST], answers, evidence, final=True
            )
        return wrong

    def _chart(self, list_id: int, patient: int, more: str = "") -> Chart:
        self._room.record(list_id)
        readers = self._book.shares(list_id).get(patient, ())
        self._permit(list_id, f"patient:{patient}{more}", readers, (patient,))
        return _to_settle(self._room.chart(list_id, patient))

    def open_text(self, list_id: int, document: int) -> tuple[OpenedText, list[tuple[Span, tuple[bool, ...]]]]:
        """A text, and each span with who marked it, in the order of the readers; those marked by some only come first."""
        text = self._text(list_id, document)
        marked = [set(spans_of(one.spans)) for one in text.markings]
        spans = [(span, tuple(span in one for one in marked)) for span in sorted(set().union(*marked))]
        opened = self._room.open_text(self._room.record(list_id), text)
        return opened, sorted(spans, key=lambda one: (all(one[1]), one[0]))

    def settle_text(self, list_id: int, document: int, spans: str) -> None:
        """Say which marks hold; UsageError when they do not fit the text, or when it has changed."""
        text = self._text(list_id, document, " settle")
        opened = self._room.open_text(self._room.record(list_id), text)
        if self._me is not None:
            self._book.mark(list_id, text.text, self._me, marks(opened, spans), done=True, final=True)

    def _text(self, list_id: int, document: int, more: str = "") -> Text:
        self._room.record(list_id)
        listed = next((one for one in self._book.texts(list_id) if one.document_id == document), None)
        readers = self._book.shares(list_id).get(listed.patient_id, ()) if listed else ()
        self._permit(list_id, f"document:{document}{more}", readers, (listed.patient_id,) if listed else ())
        return _to_settle(self._room.text(list_id, document))

    def _permit(self, list_id: int, what: str, readers: tuple[int, ...] = (), patients: tuple[int, ...] = ()) -> None:
        named = self._me is not None and self._me in self._book.adjudicators(list_id) and self._me not in readers
        self._room.permit(Action.ADJUDICATE, f"list:{list_id} {what}", self._me if named else None, patients)


Read = TypeVar("Read", Chart, Text)


def _to_settle(one: Read) -> Read:
    """The thing itself once its readings are there: before, an adjudicator would see one reader's alone."""
    if one.stage is Stage.WAITING:
        raise UsageError("This was not read by everybody yet.")
    return one
