"""Linkages of records over the network: asked for, followed from hospital to unit and back, counted."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from estran.cohort.language import json as question_json
from estran.hub.linkage_desk import LONGEST_NAME, Seen
from estran.identity.matching import RECORD
from estran.model.errors import UsageError
from estran.portal.builder.wording import explanation
from estran.portal.reasons import told
from estran.portal.routes.cohorts import load
from estran.portal.routes.network import TEXT, asked_question
from estran.portal.visitor import Poster, Reader, Visitor
from estran.release.matching.linking import SURE

router = APIRouter(prefix="/network/linkages")
_SOON, _LATER = 1_000, 5_000  # milliseconds between two looks: while a member works, and while one is waited for


@router.get("")
def linkages(who: Reader) -> HTMLResponse:
    return _page(who)


def _page(who: Visitor, status: int = 200, said: str = "", given: dict[str, Any] | None = None) -> HTMLResponse:
    desk = who.linkages
    members, unit = desk.members()
    usual = {
        "project": "",
        "source": TEXT,
        "text": "",
        "sure": who.spoken.number(SURE),
        "ins": "",
        "sites": [one.id for one in members],
    }
    return who.page(
        "network_linkages.html", status, said=said, given=usual | (given or {}), members=members, unit=unit, runs=desk.all(),
        cohorts=who.desk.cohorts(), built=bool(load(who).root.of), longest=LONGEST_NAME, record_bytes=RECORD.itemsize,
    )  # fmt: skip


@router.post("")
async def ask(who: Poster, request: Request) -> Response:
    form = await request.form()
    given: dict[str, Any] = {name: str(form.get(name, "")) for name in ("project", "source", "text", "sure", "ins")}
    given["sites"] = [str(one) for one in form.getlist("sites")]
    try:
        query, _ = asked_question(who, given["source"], given["text"])
        run = who.linkages.ask(given["project"], query, given["sites"], _threshold(given["sure"]), given["ins"])
    except UsageError as error:
        return _page(who, 422, told(who.spoken, error), given)
    return who.go(f"/network/linkages/{run}")


def _threshold(text: str) -> float:
    """What was written, with a comma or a point; UsageError when it is no number."""
    try:
        return float(text.replace(",", ".") or SURE)
    except ValueError:
        raise UsageError("This is no number.", where="threshold") from None


@router.get("/{run}")
def linkage(who: Reader, run: str) -> HTMLResponse:
    return _drawn(who, "network_linkage.html", who.linkages.look(run))


@router.get("/{run}/now")
def linkage_now(who: Reader, run: str) -> HTMLResponse:
    return _drawn(who, "parts/network_linkage.html", who.linkages.again(run))


@router.post("/{run}/go-on")
def go_on(who: Poster, run: str) -> Response:
    who.linkages.go_on(run)
    return who.go(f"/network/linkages/{run}")


def _drawn(who: Visitor, template: str, seen: Seen | None) -> HTMLResponse:
    if seen is None:
        raise HTTPException(404)
    whole = template == "network_linkage.html"
    works = any(part.state == "taken" for part in (*seen.sites, *([seen.unit] if seen.unit else [])))
    return who.page(
        template, one=seen, explanation=explanation(who, question_json.loads(seen.asked.query)) if whole else "",
        steps=("asked", "linking", "telling", "done"), record_bytes=RECORD.itemsize,
        next=None if not seen.open else _SOON if works or seen.run.state == "telling" else _LATER,
    )  # fmt: skip
