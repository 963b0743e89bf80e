"""What reviewers and adjudicators share: a list opened, a patient and a text as they are read, through the same door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.charts.form_file import read_form
from estran.projects.charts.forms import Form
from estran.projects.charts.labels import fingerprint
from estran.projects.charts.prefill import Filled, prefill
from estran.projects.charts.results import Chart, Text, charts, texts
from estran.projects.documents import Document, read_document
from estran.projects.patients import Timeline
from estran.projects.policy import Action, Target
from estran.projects.rows import fetch
from estran.state import ListedText, ListRecord

if TYPE_CHECKING:
    from estran.projects.desk import ReadingRoom

NO_FORM = Form("")


@dataclass(frozen=True)
class TextLine:
    """A text of a patient in a list of texts. `mark` says whether it is one of those to be marked."""

    document_id: int
    kind: str
    title: str
    date: object
    mark: bool


@dataclass(frozen=True)
class Opened:
    """A patient as a reviewer sees it. `timeline` is None when nobody may be seen under this number any more."""

    record: ListRecord
    form: Form
    chart: Chart
    timeline: Timeline | None
    texts: tuple[TextLine, ...]
    filled: dict[str, Filled]


@dataclass(frozen=True)
class OpenedText:
    """A text to mark. `document` is None when the text is no longer the one that the list was made of."""

    record: ListRecord
    form: Form
    state: Text
    document: Document | None


class Room:
    """A review list open before somebody; what they may see of it was decided before."""

    def __init__(self, room: ReadingRoom, actor: Actor) -> None:
        self._view, self._site = room.view_of(actor), room.site
        self._book = room.site.state.charts
        self.actor = actor

    def permit(self, action: Action, what: str, owner: int | None, patients: tuple[int, ...] = ()) -> None:
        """Decide and record; `owner` is the person's own account when the thing was given to them."""
        outside = not self.actor.perimeter.whole and not all(map(self._view.snapshot.sees, patients))
        target = Target(what, owner, patients=patients, outside=outside)
        permit(self._site.state, self.actor, action, target, snapshot=self._view.snapshot.version)

    def record(self, list_id: int) -> ListRecord:
        """A list; NotAllowed when there is none of this number, as when it is somebody else's."""
        found = self._book.record(list_id)
        if found is None:
            raise NotAllowed("This was not given to you to review.")
        return found

    def form(self, record: ListRecord) -> Form:
        """The form of a list; an empty one when it has none."""
        kept = self._book.form(record.form_id) if record.form_id is not None else None
        return NO_FORM if kept is None else read_form(kept.body)

    def charts(self, list_id: int) -> list[Chart]:
        """The patients of a list who may be seen today."""
        visible = self._view.snapshot.population()
        patients = [one for one in self._book.patients(list_id) if one.patient_id in visible]
        return charts(patients, self._book.shares(list_id), self._book.said(list_id))

    def texts(self, list_id: int) -> list[Text]:
        """The texts to mark of the patients who may be seen today."""
        visible = self._view.snapshot.population()
        listed = [one for one in self._book.texts(list_id) if one.patient_id in visible]
        return texts(listed, self._book.shares(list_id), self._book.marked(list_id))

    def chart(self, list_id: int, patient: int) -> Chart:
        """One patient of a list; UsageError when the patient is not on it, or may not be seen any more."""
        found = next((one for one in self.charts(list_id) if one.patient.patient_id == patient), None)
        if found is None:
            raise UsageError("This patient is not on the list, or may not be seen any more.")
        return found

    def text(self, list_id: int, document: int) -> Text:
        """One text of a list; UsageError when it is not one of its texts to mark."""
        found = next((one for one in self.texts(list_id) if one.text.document_id == document), None)
        if found is None:
            raise UsageError("This text is not one to mark, or may not be seen any more.")
        return found

    def open(self, record: ListRecord, chart: Chart) -> Opened:
        """Read a patient; it was permitted."""
        form, patient = self.form(record), chart.patient
        filled = prefill(self._view.snapshot, form, patient.patient_id, patient.index_date)
        to_mark = {one.text.document_id for one in self.texts(record.id) if one.text.patient_id == patient.patient_id}
        rows = fetch(
            self._view.snapshot,
            "SELECT d.document_id, d.kind, coalesce(d.title, '') AS title, d.start_date AS date FROM document d "
            "SEMI JOIN text t ON t.document_id = d.document_id AND t.patient_id = d.patient_id "
            "WHERE d.patient_id = ? ORDER BY d.start_date NULLS LAST, d.document_id",
            [patient.patient_id],
        )
        lines = tuple(TextLine(**row, mark=row["document_id"] in to_mark) for row in rows)
        return Opened(record, form, chart, self._view.timeline(patient.patient_id), lines, filled)

    def timeline(self, patient: int) -> Timeline | None:
        """Everything of a patient; it was permitted."""
        return self._view.timeline(patient)

    def open_text(self, record: ListRecord, state: Text) -> OpenedText:
        """Read a text to mark; it was permitted. Marks are true of the text that they were made on, and of no other."""
        return OpenedText(record, self.form(record), state, self.document(state.text))

    def document(self, listed: ListedText) -> Document | None:
        """The text as it was when the list was made; None when it has changed since, or may not be seen."""
        found = read_document(self._view.snapshot, self._view.concepts, listed.document_id)
        same = found is not None and fingerprint(found.text) == listed.text_hash
        return found if same else None

    def plain_document(self, document: int, patient: int) -> Document | None:
        """Another document of a patient being read; it was permitted."""
        found = read_document(self._view.snapshot, self._view.concepts, document)
        return found if found is not None and found.patient_id == patient else None
