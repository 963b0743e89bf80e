"""One pseudonymous patient's timeline."""

from __future__ import annotations

import datetime as dt
import gzip

import orjson
from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, Response

from estran.model.errors import NotAllowed
from estran.portal.language import Language
from estran.portal.pedigree import pedigree
from estran.portal.reasons import reason
from estran.portal.routes import care
from estran.portal.visitor import Reader
from estran.portal.words import unit, word
from estran.projects.patients import LANES, Event, Timeline
from estran.projects.policy import Action, decide
from estran.projects.rows import When

router = APIRouter()
TABLE_ROWS = 300
_EPOCH = dt.date(1970, 1, 1)


@router.get("/patients/{patient_id}")
def timeline(who: Reader, patient_id: int) -> HTMLResponse:
    try:
        found = _timeline(who, patient_id)
    except NotAllowed as error:
        if not decide(who.desk.actor, Action.CARE).allowed:
            raise
        return care.form(who, f"P{patient_id}", said=reason(who.spoken, error.what), status=403)
    counts = [sum(e.lane == lane for e in found.events) for lane in range(len(LANES))]
    family = who.desk.explorer.family(patient_id)
    return who.page(
        "timeline.html", opened=who.desk.opened_for_care(patient_id), words=who.desk.explorer.words(found), family=family,
        tree=pedigree(family) if family else None, patient=found.patient, lanes=LANES, counts=counts, total=len(found.events),
        latest=found.events[: -TABLE_ROWS - 1 : -1], most=TABLE_ROWS,
        event_label=lambda e: event_label(e, who.spoken), event_detail=lambda e: event_detail(e, who.spoken),
    )


@router.get("/patients/{patient_id}/events")
def events(who: Reader, patient_id: int) -> Response:
    """The events as columns; times are minutes since 1970 on the patient's own clock."""
    return events_answer(_timeline(who, patient_id), who.spoken)


def events_answer(found: Timeline, spoken: Language) -> Response:
    """A timeline as the element that draws it reads it."""
    body = orjson.dumps(_columns(found, spoken))
    headers = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(gzip.compress(body, 5), media_type="application/json", headers=headers)


def _timeline(who: Reader, patient_id: int) -> Timeline:
    found = who.desk.timeline(patient_id)
    if found is None:
        raise HTTPException(404)
    return found


def _columns(found: Timeline, spoken: Language) -> dict[str, object]:
    labels: dict[str, int] = {}
    columns: dict[str, list[object]] = {"start": [], "end": [], "lane": [], "label": [], "detail": [], "document": []}
    for event in found.events:
        columns["start"].append(_minutes(event.start))
        columns["end"].append(_minutes(event.end, last=True))
        columns["lane"].append(event.lane)
        columns["label"].append(labels.setdefault(event_label(event, spoken), len(labels)))
        columns["detail"].append(event_detail(event, spoken))
        columns["document"].append(event.document_id)
    return {"lanes": [word(spoken, "lane", lane) for lane in LANES], "labels": list(labels), **columns}


def _minutes(when: When, last: bool = False) -> int | None:
    if when.date is None:
        return None
    known = when.minute is not None
    return (when.date - _EPOCH).days * 1440 + (when.minute if known and when.minute is not None else 1439 if last else 0)


def event_label(event: Event, spoken: Language) -> str:
    """What the event is, in words."""
    kind = LANES[event.lane]
    if kind in ("stay", "document"):
        return word(spoken, kind, event.label[0])
    return event.label[1 if spoken.code == "en" else 0]


def event_detail(event: Event, spoken: Language) -> str:
    """Its value, ward or title."""
    if event.value is not None:
        return f"{spoken.number(event.value)} {unit(event.unit)}".strip()
    return event.value_text
