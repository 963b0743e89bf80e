"""What this site holds."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from estran.portal.visitor import Reader

router = APIRouter()


@router.get("/")
def home(who: Reader) -> HTMLResponse:
    return who.page("home.html", held=who.desk.holdings())
