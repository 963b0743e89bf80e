"""The desk of a reviewer: the lists that they were given, one patient at a time, their marks. Never what others said,
as long as the list is blind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.charts.forms import Form, Value, read_answers
from estran.projects.charts.labels import read_spans
from estran.projects.charts.prefill import Filled
from estran.projects.charts.reading import Opened, OpenedText, Room
from estran.projects.charts.results import Chart, Stage, Text, Verdict
from estran.projects.documents import Document
from estran.projects.patients import Timeline
from estran.projects.policy import Action
from estran.state import ListRecord, Marked, Said

if TYPE_CHECKING:
    from estran.projects.desk import ReadingRoom

LONGEST = 4000


@dataclass(frozen=True)
class Mine:
    """A list as one reviewer has it. `verdicts` are their own; `texts` and `marked` count the texts given to them;
    `disputes` are what waits for them as an adjudicator."""

    record: ListRecord
    given: int
    read: int
    verdicts: Mapping[str, int]
    texts: int
    marked: int
    adjudicates: bool
    disputes: int


@dataclass(frozen=True)
class Line:
    """A patient given to a reviewer: what they said, and their texts to mark with whether that is done."""

    patient_id: int
    said: Said | None
    texts: int
    marked: int


class Reviewer:
    """One person and the lists that they were given. NotAllowed outside them; each look is recorded."""

    def __init__(self, room: ReadingRoom, actor: Actor) -> None:
        self._room = Room(room, actor)
        self._book = room.site.state.charts
        self._me = actor.account_id

    def lists(self) -> list[Mine]:
        """The lists in which I read or settle."""
        self._room.permit(Action.REVIEW, "lists given", self._me)
        return [] if self._me is None else [self._mine(record) for record in self._book.given_to(self._me)]

    def _mine(self, record: ListRecord) -> Mine:
        charts = self._room.charts(record.id)
        texts = self._room.texts(record.id)
        own = [one for chart in charts if self._me in chart.readers for one in [self.own(chart)]]
        given = [one for one in texts if self._me in one.readers]
        settles = self._me in self._book.adjudicators(record.id)
        everything: list[Chart | Text] = [*charts, *texts]
        open_ones = [one for one in everything if one.stage is Stage.DISPUTED and self._me not in one.readers]
        return Mine(
            record, len(own), sum(one is not None for one in own), Counter(one.verdict for one in own if one),
            len(given), sum(self.own_marks(one) is not None for one in given), settles, len(open_ones) if settles else 0,
        )  # fmt: skip

    def own(self, chart: Chart) -> Said | None:
        """What I said of a patient."""
        return next((one for one in chart.readings if one.account_id == self._me), None)

    def own_marks(self, text: Text) -> Marked | None:
        """What I marked in a text and called done."""
        return next((one for one in text.markings if one.account_id == self._me), None)

    def lines(self, list_id: int) -> tuple[ListRecord, list[Line]]:
        """The patients of a list that were given to me."""
        record = self._room.record(list_id)
        charts = [one for one in self._room.charts(list_id) if self._me is not None and self._me in one.readers]
        self._room.permit(Action.REVIEW, f"list:{list_id}", self._me if charts else None)
        given = [one for one in self._room.texts(list_id) if self._me in one.readers]
        texts = Counter(one.text.patient_id for one in given)
        marked = Counter(one.text.patient_id for one in given if self.own_marks(one))
        numbers = [(one.patient.patient_id, self.own(one)) for one in charts]
        return record, [Line(number, said, texts[number], marked[number]) for number, said in numbers]

    def open(self, list_id: int, patient: int) -> Opened:
        """A patient that I was given."""
        record, chart = self._given(list_id, patient)
        return self._room.open(record, chart)

    def timeline(self, list_id: int, patient: int) -> Timeline | None:
        """The events of a patient that I was given."""
        self._given(list_id, patient)
        return self._room.timeline(patient)

    def document(self, list_id: int, patient: int, document: int) -> Document | None:
        """A document of a patient that I was given; None when it is not theirs."""
        self._given(list_id, patient, f" document:{document}")
        return self._room.plain_document(document, patient)

    def _given(self, list_id: int, patient: int, more: str = "") -> tuple[ListRecord, Chart]:
        record = self._room.record(list_id)
        mine = self._me is not None and self._me in self._book.shares(list_id).get(patient, ())
        what = f"list:{list_id} patient:{patient}{more}"
        self._room.permit(Action.REVIEW, what, self._me if mine else None, (patient,))
        return record, self._room.chart(list_id, patient)

    def decide(
        self,
        list_id: int,
        patient: int,
        verdict: str,
        comment: str = "",
        given: Mapping[str, Sequence[str]] | None = None,
    ) -> dict[str, str]:
        """Say what I think of a patient, with the form as texts per item; what is wrong with it, and then nothing is kept.

        Items are not asked of a patient who is excluded. UsageError when the list is closed or the patient settled.
        """
        record, chart = self._given(list_id, patient, " decide")
        if chart.stage is Stage.SETTLED:
            raise UsageError("This patient was settled: nothing changes any more.")
        opened = self._room.open(record, chart)
        answers, evidence, wrong = judged(opened, verdict, given or {})
        if not wrong and self._me is not None:
            self._book.decide(list_id, patient, self._me, verdict, comment.strip()[:LONGEST], answers, evidence)
        return wrong

    def undo(self, list_id: int) -> int | None:
        """Take my last decision in a list back; the patient it was about, None when there is none to take back.

        UsageError when the list is closed.
        """
        record = self._room.record(list_id)
        charts = [one for one in self._room.charts(list_id) if self._me in one.readers]
        self._room.permit(Action.REVIEW, f"list:{list_id} undo", self._me if charts else None)
        still_open(record)
        last = max((said for one in charts if (said := self.own(one))), key=lambda said: said.id, default=None)
        settled = {one.patient.patient_id for one in charts if one.stage is Stage.SETTLED}
        if last is None or last.patient_id in settled or self._me is None:
            return None
        return self._book.undo(list_id, self._me)

    def open_text(self, list_id: int, document: int) -> OpenedText:
        """A text to mark of a patient that I was given."""
        state = self._text(list_id, document)
        return self._room.open_text(self._room.record(list_id), state)

    def draft(self, list_id: int, document: int) -> Marked | None:
        """My marks in a text as I last kept them, done or not."""
        found = self._book.marked(list_id)
        mine = (one for one in found if one.document_id == document and one.account_id == self._me and not one.final)
        return next(mine, None)

    def mark(self, list_id: int, document: int, spans: str, done: bool) -> None:
        """Keep my marks in a text; UsageError when they do not fit it, or when it was settled or has changed."""
        state = self._text(list_id, document, " mark")
        opened = self._room.open_text(self._room.record(list_id), state)
        if state.stage is Stage.SETTLED:
            raise UsageError("This text was settled: nothing changes any more.")
        if self._me is not None:
            self._book.mark(list_id, state.text, self._me, marks(opened, spans), done)

    def _text(self, list_id: int, document: int, more: str = "") -> Text:
        listed = next((one for one in self._book.texts(list_id) if one.document_id == document), None)
        readers = self._book.shares(list_id).get(listed.patient_id, ()) if listed else ()
        mine = self._me is not None and self._me in readers
        patients = (listed.patient_id,) if listed else ()
        self._room.permit(
            Action.ANNOTATE, f"list:{list_id} document:{document}{more}", self._me if mine else None, patients
        )
        return self._room.text(list_id, document)


def still_open(record: ListRecord) -> None:
    """UsageError when the list is closed."""
    if record.closed is not None:
        raise UsageError("This review list is closed.")


def marks(opened: OpenedText, spans: str) -> list[dict[str, object]]:
    """The rows of marks that somebody made in a text; UsageError when they do not fit it."""
    still_open(opened.record)
    if opened.document is None:
        raise UsageError("The text has changed since the list was made: marks would be beside it.")
    form = opened.form
    found = read_spans(spans, form.labels, form.attributes, len(opened.document.text))
    return [span.as_row() for span in found]


def judged(
    opened: Opened, verdict: str, given: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Value], dict[str, object], dict[str, str]]:
    """The answers of a decision, the facts behind those that were kept as they were filled, and what is wrong."""
    still_open(opened.record)
    if verdict not in set(Verdict):
        raise UsageError("Include, exclude or doubt.")
    if verdict == Verdict.EXCLUDE:
        return {}, {}, {}
    answers, wrong = read_answers(opened.form, given)
    return answers, evidence_of(opened.form, answers, opened.filled), wrong


def evidence_of(form: Form, answers: Mapping[str, Value], filled: Mapping[str, Filled]) -> dict[str, object]:
    """The fact of each answer that is still the value that a fact gave."""
    return {name: one.as_row() for name, one in filled.items() if answers.get(name) == one.value}
