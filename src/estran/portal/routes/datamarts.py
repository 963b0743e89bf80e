"""The datamarts that a person may see, and what each of them holds."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from estran.portal.visitor import Reader

router = APIRouter()


@router.get("/datamarts")
def datamarts(who: Reader) -> HTMLResponse:
    """All of them, the newest first."""
    return who.page("datamarts.html", found=who.desk.datamarts.all())


@router.get("/datamarts/{number}")
def datamart(who: Reader, number: int) -> HTMLResponse:
    """One, with its manifest."""
    one = who.desk.datamarts.one(number)
    return who.page("datamart.html", one=one, manifest=one.manifest)
