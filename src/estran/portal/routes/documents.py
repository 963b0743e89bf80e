"""One document."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from estran.portal.visitor import Reader

router = APIRouter()


@router.get("/documents/{document_id}")
def read(who: Reader, document_id: int, q: str = "") -> HTMLResponse:
    found = who.desk.document(document_id, q)
    if found is None:
        raise HTTPException(404)
    document, pieces = found
    marked = sum(piece.marked for piece in pieces)
    return who.page("document.html", doc=document, pieces=pieces, marked=marked, q=q)
