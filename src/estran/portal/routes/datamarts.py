"""The datamarts that a person may see, and what each of them holds."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from estran.portal.visitor import Poster, Reader
from estran.projects.datamarts.shelf import DatamartJob

router = APIRouter()


@router.get("/datamarts")
def datamarts(who: Reader) -> HTMLResponse:
    """All of them, the newest first."""
    return who.page("datamarts.html", found=who.desk.datamarts.all())


@router.get("/datamarts/{number}")
def datamart(who: Reader, number: int) -> HTMLResponse:
    """One, with its manifest."""
    one = who.desk.datamarts.one(number)
    known = bool(who.desk.state.projects.events(one.row.project))
    job = who.desk.state.jobs.last(DatamartJob.REFRESH, str(number))
    return who.page("datamart.html", one=one, manifest=one.manifest, known=known, job=job)


@router.post("/datamarts/{number}/refresh")
def refresh(who: Poster, number: int) -> Response:
    """Have it replaced by a build of the newest snapshot, by the process that holds the key."""
    who.desk.datamarts.ask_refresh(number)
    return who.go(f"/datamarts/{number}")
