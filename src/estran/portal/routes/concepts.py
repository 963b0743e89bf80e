"""The list under a concept picker."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from estran.portal.visitor import Reader

router = APIRouter()


@router.get("/concepts")
def look_up(who: Reader, q: str = "", kind: str = "") -> HTMLResponse:
    return who.page("parts/concepts.html", found=who.desk.concepts(q[:100], kind), asked=q)
