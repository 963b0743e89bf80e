"""Stars, shares and followed questions on the page of saved cohorts, and what I was told."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response

from estran.portal.visitor import Poster, Reader

router = APIRouter()
Field = Annotated[str, Form()]


@router.post("/cohorts/{cohort_id}/star")
def star(who: Poster, cohort_id: int, on: Field = "") -> Response:
    who.desk.every_day.star(cohort_id, bool(on))
    return who.go(f"/cohorts#c-{cohort_id}")


@router.post("/cohorts/{cohort_id}/share")
def share(who: Poster, cohort_id: int, login: Field = "", role: Field = "") -> Response:
    who.desk.every_day.share(cohort_id, login[:120], role)
    return who.go(f"/cohorts#c-{cohort_id}")


@router.post("/cohorts/{cohort_id}/unshare")
def unshare(who: Poster, cohort_id: int, share: Annotated[int, Form()]) -> Response:
    who.desk.every_day.unshare(cohort_id, share)
    return who.go(f"/cohorts#c-{cohort_id}")


@router.post("/cohorts/{cohort_id}/follow")
def follow(who: Poster, cohort_id: int, every: Field = "") -> Response:
    who.desk.every_day.follow(cohort_id, every)
    return who.go(f"/cohorts#c-{cohort_id}")


@router.get("/notices")
def notices(who: Reader) -> HTMLResponse:
    return who.page("notices.html", notices=who.desk.every_day.notices())


@router.post("/notices/seen")
def seen(who: Poster) -> Response:
    who.desk.every_day.see()
    return who.go("/notices")
