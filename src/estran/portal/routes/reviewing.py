"""Reviewing: the patients of a list one after the other, their form, their texts to mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import FormData

from estran.portal.routes.patients import events_answer
from estran.portal.visitor import Poster, Reader, Visitor
from estran.projects.charts.forms import Form as Asked
from estran.projects.charts.labels import Mark, Span
from estran.projects.charts.reading import OpenedText
from estran.projects.charts.reviewer import Line
from estran.projects.patients import LANES

router = APIRouter()
Field = Annotated[str, Form()]


@router.get("/reviews/{list_id}")
def listed(who: Reader, list_id: int) -> HTMLResponse:
    record, lines = who.desk.reviewer.lines(list_id)
    following = next((line.patient_id for line in lines if line.said is None), None)
    return who.page("review_list.html", record=record, lines=lines, following=following)


@router.get("/reviews/{list_id}/patients/{patient}")
def patient(who: Reader, list_id: int, patient: int, document: int | None = None) -> HTMLResponse:
    return _patient(who, list_id, patient, document)


def _patient(
    who: Visitor, list_id: int, patient: int, document: int | None = None, given: Mapping[str, Sequence[str]] | None = None,
    wrong: Mapping[str, str] | None = None, comment: str | None = None,
) -> HTMLResponse:  # fmt: skip
    reviewer = who.desk.reviewer
    opened = reviewer.open(list_id, patient)
    _, lines = reviewer.lines(list_id)
    said = reviewer.own(opened.chart)
    shown = opened.texts[-1].document_id if document is None and opened.texts else document
    others = [] if opened.record.blind else [one for one in opened.chart.readings if one is not said]
    before = said.comment if said and comment is None else comment or ""
    values = _texts(said.answers if said else {name: one.value for name, one in opened.filled.items()}) if given is None else given
    return who.page(
        "review_patient.html", 422 if wrong else 200, opened=opened, said=said, others=others, lanes=LANES, values=values,
        wrong=wrong or {}, comment=before, document=reviewer.document(list_id, patient, shown) if shown is not None else None,
        base=f"/reviews/{list_id}/patients/{patient}", **_around(lines, patient),
    )  # fmt: skip


def _around(lines: Sequence[Line], patient: int) -> dict[str, Any]:
    numbers = [line.patient_id for line in lines]
    place = numbers.index(patient)
    return {
        "place": place + 1, "many": len(numbers), "read": sum(line.said is not None for line in lines),
        "previous": numbers[place - 1] if place else None,
        "following": numbers[place + 1] if place + 1 < len(numbers) else None,
    }  # fmt: skip


def _texts(answers: Mapping[str, Any]) -> dict[str, list[str]]:
    """Answers as the fields of a page hold them."""
    return {name: value if isinstance(value, list) else [_plain(value)] for name, value in answers.items()}


def _plain(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@router.get("/reviews/{list_id}/patients/{patient}/events")
def events(who: Reader, list_id: int, patient: int) -> Response:
    found = who.desk.reviewer.timeline(list_id, patient)
    if found is None:
        raise HTTPException(404)
    return events_answer(found, who.spoken)


@router.post("/reviews/{list_id}/patients/{patient}")
async def say(who: Poster, list_id: int, patient: int, request: Request) -> Response:
    return _said(who, list_id, patient, await request.form())


def _said(who: Visitor, list_id: int, patient: int, form: FormData) -> Response:
    given, comment = answers_of(form), str(form.get("comment", ""))
    wrong = who.desk.reviewer.decide(list_id, patient, str(form.get("verdict", "")), comment, given)
    if wrong:
        return _patient(who, list_id, patient, None, given, wrong, comment)
    _, lines = who.desk.reviewer.lines(list_id)
    numbers = [line.patient_id for line in lines]
    place = numbers.index(patient) if patient in numbers else 0
    following = next((line.patient_id for line in (*lines[place:], *lines[:place]) if line.said is None), None)
    return who.go(f"/reviews/{list_id}" if following is None else f"/reviews/{list_id}/patients/{following}")


def answers_of(form: FormData) -> dict[str, list[str]]:
    """What was given to each item."""
    found: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if name.startswith("item-"):
            found.setdefault(name.removeprefix("item-"), []).append(str(value))
    return found


@router.post("/reviews/{list_id}/undo")
def undo(who: Poster, list_id: int) -> Response:
    patient = who.desk.reviewer.undo(list_id)
    return who.go(f"/reviews/{list_id}" if patient is None else f"/reviews/{list_id}/patients/{patient}")


@router.get("/reviews/{list_id}/documents/{document}")
def text(who: Reader, list_id: int, document: int) -> HTMLResponse:
    reviewer = who.desk.reviewer
    opened = reviewer.open_text(list_id, document)
    draft = reviewer.draft(list_id, document)
    spans = draft.spans if draft else []
    return who.page(
        "review_text.html", opened=opened, done=draft is not None and draft.done, rows=[], readers=[],
        back=f"/reviews/{list_id}/patients/{opened.state.text.patient_id}", settles=False, **annotated(who, opened, spans),
    )  # fmt: skip


def annotated(who: Visitor, opened: OpenedText, spans: Sequence[Any]) -> dict[str, Any]:
    """What the element that marks texts is given, as JSON."""

    def names(marks: Sequence[Mark]) -> str:
        return orjson.dumps([{"id": m.id, "label": m.said(who.spoken.code), "key": m.key} for m in marks]).decode()

    form: Asked = opened.form
    text = opened.document.text if opened.document else ""
    return {
        "labels": names(form.labels), "attributes": names(form.attributes), "text": orjson.dumps(text).decode(),
        "spans": orjson.dumps([span.as_row() if isinstance(span, Span) else span for span in spans]).decode(),
    }  # fmt: skip


@router.post("/reviews/{list_id}/documents/{document}")
def mark(who: Poster, list_id: int, document: int, spans: Field = "[]", done: Field = "") -> Response:
    reviewer = who.desk.reviewer
    reviewer.mark(list_id, document, spans, done == "1")
    if done != "1":
        return who.go(f"/reviews/{list_id}/documents/{document}")
    opened = reviewer.open_text(list_id, document)
    return who.go(f"/reviews/{list_id}/patients/{opened.state.text.patient_id}")

