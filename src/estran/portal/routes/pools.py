"""The pools of a hub: who sent, how the sites differ, what was destroyed."""

from __future__ import annotations

import datetime as dt

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from estran.portal.pool_chart import WIDTH, marks
from estran.portal.visitor import Reader

router = APIRouter()


@router.get("/pools")
def pools(who: Reader) -> HTMLResponse:
    """All that the person may see, the newest first."""
    desk = who.pools
    found = desk.all()
    return who.page("pools.html", found=found, silent=desk.silent(found))


@router.get("/pools/{pool}")
def pool(who: Reader, pool: str) -> HTMLResponse:
    """One of them."""
    sheet = who.pools.one(pool)
    if sheet is None:
        raise HTTPException(404)
    drawn = [(one, marks(one)) for one in sheet.compared]
    people = {cell.site: cell.patients for one in sheet.compared[:1] for cell in one.cells}
    names = {one.member: one.name for one in sheet.sites}
    return who.page(
        "pool.html", sheet=sheet, drawn=drawn, width=WIDTH, people=people, names=names, when=dt.datetime.fromisoformat
    )
