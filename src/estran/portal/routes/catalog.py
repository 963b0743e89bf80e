"""The catalogue, the quality of the data, and the official figures."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, HTTPException, UploadFile
from fastapi.responses import HTMLResponse, Response

from estran.catalog.official import parse_figures
from estran.model.errors import InputRefused, UsageError
from estran.portal.visitor import Poster, Reader
from estran.projects.operations import JobKind

router = APIRouter()
_ROWS = 100


@router.get("/catalogue")
def catalogue(who: Reader, q: str = "") -> HTMLResponse:
    steward = who.desk.steward
    return who.page("catalogue.html", seen=steward.overview(), found=steward.find(q[:100]), asked=q)


@router.get("/catalogue/{kind}/{key:path}")
def card(who: Reader, kind: str, key: str) -> HTMLResponse:
    steward = who.desk.steward
    found = steward.card(kind, key)
    if found is None:
        raise HTTPException(404)
    return who.page("catalogue_card.html", card=found, notes=steward.notes(kind, key))


@router.post("/catalogue/notes")
def note(
    who: Poster, kind: Annotated[str, Form()], key: Annotated[str, Form()], text: Annotated[str, Form()]
) -> Response:
    who.desk.steward.add_note(kind, key, text)
    return who.go(_address(kind, key))


@router.post("/catalogue/notes/{number}")
def close(who: Poster, number: int, kind: Annotated[str, Form()], key: Annotated[str, Form()]) -> Response:
    who.desk.steward.close_note(number)
    return who.go(_address(kind, key))


def _address(kind: str, key: str) -> str:
    return f"/catalogue/{quote(kind, safe='')}/{quote(key, safe='')}#notes"


@router.post("/catalogue/measure")
def measure(who: Poster) -> Response:
    who.desk.ask_for(JobKind.MEASURE, "")
    return who.go("/catalogue")


@router.get("/quality")
def quality(who: Reader, all: str = "") -> HTMLResponse:
    steward = who.desk.steward
    runs = steward.runs()
    results = steward.results(runs[0].id) if runs else []
    return who.page(
        "quality.html", runs=runs, results=results, every=bool(all), failed=[one for one in results if one.failed]
    )


@router.get("/quality/curves")
def curves(who: Reader) -> HTMLResponse:
    steward = who.desk.steward
    return who.page("curves.html", groups=[("source", steward.curves("source")), ("ward", steward.curves("ward"))])


@router.get("/quality/checks/{key}")
def check(who: Reader, key: str, rows: str = "") -> HTMLResponse:
    steward = who.desk.steward
    history = steward.history(key)
    if not history:
        raise HTTPException(404)
    behind = steward.behind(key, _ROWS) if rows else None
    return who.page("check.html", history=history, last=history[-1][1], behind=behind, most=_ROWS)


@router.get("/official")
def official(who: Reader, rows: str = "") -> HTMLResponse:
    steward = who.desk.steward
    month, figure, code = [*rows.split(":"), "", ""][:3]
    behind = steward.behind_figure(month, figure, code) if rows else None
    return who.page("official.html", found=steward.reconcile(), behind=behind, asked=(month, figure, code), refusal="")


@router.post("/official")
async def send(who: Poster, file: UploadFile) -> Response:
    data = await file.read()
    steward = who.desk.steward
    try:
        steward.keep_figures(parse_figures(_text(data), (file.filename or "")[:80]))
    except InputRefused as refused:
        return who.page(
            "official.html",
            422,
            found=steward.reconcile(),
            behind=None,
            asked=("", "", ""),
            refusal=refused.what,
            where=refused.where,
        )
    return who.go("/official")


def _text(data: bytes) -> str:
    if len(data) > 5_000_000:
        raise UsageError("The file is too large for monthly figures.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")
