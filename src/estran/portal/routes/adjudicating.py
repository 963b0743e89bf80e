"""Settling what two reviewers said differently, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import FormData

from estran.portal.routes.patients import events_answer
from estran.portal.routes.reviewing import annotated, answers_of
from estran.portal.visitor import Poster, Reader, Visitor
from estran.projects.patients import LANES

router = APIRouter()
Field = Annotated[str, Form()]


@router.get("/reviews/{list_id}/settle")
def disputes(who: Reader, list_id: int) -> HTMLResponse:
    record, charts, texts = who.desk.adjudicator.disputes(list_id)
    return who.page("review_settle.html", record=record, charts=charts, texts=texts)


@router.get("/reviews/{list_id}/settle/{patient}")
def patient(who: Reader, list_id: int, patient: int, document: int | None = None) -> HTMLResponse:
    return _patient(who, list_id, patient, document)


def _patient(
    who: Visitor, list_id: int, patient: int, document: int | None = None, given: Mapping[str, Sequence[str]] | None = None,
    wrong: Mapping[str, str] | None = None, comment: str = "",
) -> HTMLResponse:  # fmt: skip
    adjudicator = who.desk.adjudicator
    opened, differences = adjudicator.open(list_id, patient)
    shown = opened.texts[-1].document_id if document is None and opened.texts else document
    agreed = {one.name: one.said[0] for one in differences if one.same}
    values = {n: v if isinstance(v, list) else [str(v)] for n, v in agreed.items()} if given is None else given
    return who.page(
        "review_settle_patient.html", 422 if wrong else 200, opened=opened, differences=differences, lanes=LANES,
        readers=[one.login for one in opened.chart.readings], values=values, wrong=wrong or {}, comment=comment,
        base=f"/reviews/{list_id}/settle/{patient}", said=None,
        document=adjudicator.document(list_id, patient, shown) if shown is not None else None,
    )  # fmt: skip


@router.get("/reviews/{list_id}/settle/{patient}/events")
def events(who: Reader, list_id: int, patient: int) -> Response:
    found = who.desk.adjudicator.timeline(list_id, patient)
    if found is None:
        raise HTTPException(404)
    return events_answer(found, who.spoken)


@router.post("/reviews/{list_id}/settle/{patient}")
async def settle(who: Poster, list_id: int, patient: int, request: Request) -> Response:
    return _settled(who, list_id, patient, await request.form())


def _settled(who: Visitor, list_id: int, patient: int, form: FormData) -> Response:
    given, comment = answers_of(form), str(form.get("comment", ""))
    wrong = who.desk.adjudicator.settle(list_id, patient, str(form.get("verdict", "")), comment, given)
    return _patient(who, list_id, patient, None, given, wrong, comment) if wrong else who.go(f"/reviews/{list_id}/settle")


@router.get("/reviews/{list_id}/settle-text/{document}")
def text(who: Reader, list_id: int, document: int) -> HTMLResponse:
    opened, spans = who.desk.adjudicator.open_text(list_id, document)
    body = opened.document.text if opened.document else ""
    rows: list[dict[str, Any]] = [{"span": s.as_row(), "said": body[s.start : s.end], "who": by} for s, by in spans]
    return who.page(
        "review_text.html", opened=opened, done=False, rows=rows, readers=[one.login for one in opened.state.markings],
        back=f"/reviews/{list_id}/settle", settles=True, **annotated(who, opened, [s for s, by in spans if all(by)]),
    )  # fmt: skip


@router.post("/reviews/{list_id}/settle-text/{document}")
def settle_text(who: Poster, list_id: int, document: int, spans: Field = "[]") -> Response:
    who.desk.adjudicator.settle_text(list_id, document, spans)
    return who.go(f"/reviews/{list_id}/settle")
