"""A document as it came, for care: the reason, the wait, the document."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException
from fastapi.responses import HTMLResponse, Response

from estran.model.errors import UsageError
from estran.portal.reasons import reason as in_words
from estran.portal.visitor import Poster, Reader, Visitor, origin_of
from estran.projects.originals import LASTS
from estran.state import Original

router = APIRouter()
_COOKIE = "estran_original"


@router.get("/documents/{document_id}/original")
def ask_why(who: Reader, document_id: int) -> HTMLResponse:
    if not who.desk.originals.form(document_id):
        raise HTTPException(404)
    return _form(who, document_id)


@router.post("/documents/{document_id}/original")
def ask(who: Poster, document_id: int, reason: Annotated[str, Form()] = "") -> Response:
    """What opens the original goes to this browser, and nowhere else."""
    try:
        asked = who.desk.originals.ask(document_id, reason)
    except UsageError as error:
        return _form(who, document_id, in_words(who.spoken, error.what), reason[:1000], 422)
    if asked is None:
        raise HTTPException(404)
    number, secret = asked
    answer = who.go(f"/originals/{number}")
    answer.set_cookie(
        _COOKIE, base64.urlsafe_b64encode(secret).decode(), max_age=int(LASTS.total_seconds()), path=f"/originals/{number}",
        httponly=True, samesite="strict", secure=origin_of(who.request).startswith("https:"),
    )  # fmt: skip
    return answer


@router.get("/originals/{number}")
def wait(who: Reader, number: int) -> HTMLResponse:
    return who.page("original.html", asked=_mine(who, number))


@router.get("/originals/{number}/state")
def state(who: Reader, number: int) -> HTMLResponse:
    return who.page("parts/original.html", asked=_mine(who, number))


@router.get("/originals/{number}/document.pdf")
def document(who: Reader, number: int) -> Response:
    try:
        secret = base64.urlsafe_b64decode(who.request.cookies.get(_COOKIE, ""))
    except (binascii.Error, ValueError):
        secret = b""
    body = who.desk.originals.read(number, secret)
    if body is None:
        raise HTTPException(404)
    return Response(body, media_type="application/pdf", headers={"Content-Disposition": 'inline; filename="original.pdf"'})


def _mine(who: Visitor, number: int) -> Original:
    found = who.desk.originals.mine(number)
    if found is None:
        raise HTTPException(404)
    return found


def _form(who: Visitor, document_id: int, said: str = "", given: str = "", status: int = 200) -> HTMLResponse:
    return who.page("original_ask.html", status, document_id=document_id, said=said, given=given, minutes=LASTS.seconds // 60)
