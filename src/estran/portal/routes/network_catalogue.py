"""The catalogues of the network's sites: searched, compared, harvested."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, HTTPException
from fastapi.responses import HTMLResponse, Response

from estran.hub.catalogues import Standing
from estran.hub.harvest import PAGE
from estran.model.errors import UsageError
from estran.portal.reasons import told
from estran.portal.visitor import Poster, Reader, Visitor

router = APIRouter()
KINDS = ("", "document", "code")


@router.get("/network/catalogue")
def catalogue(who: Reader, q: str = "", kind: str = "", site: str = "", page: int = 0) -> HTMLResponse:
    return _page(who, q[:200], kind if kind in KINDS else "", site[:60], max(0, min(page, 1_000)))


def _page(
    who: Visitor, q: str = "", kind: str = "", site: str = "", page: int = 0, status: int = 200, said: str = ""
) -> HTMLResponse:
    desk = who.catalogues
    standing, view = desk.standing(), desk.view
    found = desk.search(q, kind, site, page)
    asked = {"q": q, "kind": kind, "site": site}
    further = {
        name: urlencode(asked | {"page": to})
        for name, to, there in (("before", page - 1, page > 0), ("after", page + 1, (page + 1) * PAGE < found.total))
        if there
    }
    natures, coverage = _coverage(desk.coverage())
    return who.page(
        "network_catalogue.html", status, standing=standing, holders=_holders([one for one in standing if view.sees(one.member.id)]), found=found, asked=asked, page=page,
        size=PAGE, further=further, natures=natures, coverage=coverage, said=said, days=desk.days, view=view,
    )  # fmt: skip


def _holders(standing: list[Standing]) -> list[tuple[str, str]]:
    """(member, site) of every catalogue, in the order of the columns."""
    return [(one.member.id, site.name) for one in standing if one.edition for site in one.edition.sites]


def _coverage(rows: list[tuple[str, str, str, int]]) -> tuple[list[str], dict[tuple[str, str], dict[str, int]]]:
    natures = sorted({nature for _, _, nature, _ in rows if nature != "document"})
    found: dict[tuple[str, str], dict[str, int]] = {}
    for member, site, nature, count in rows:
        found.setdefault((member, site), {})[nature] = count
    return natures, found


@router.get("/network/catalogue/{kind}/{key:path}")
def thing(who: Reader, kind: str, key: str) -> HTMLResponse:
    desk = who.catalogues
    found = desk.thing(kind, key)
    if found is None:
        raise HTTPException(404)
    years = sorted({year for cell in found.cells for year, _ in cell.years})
    return who.page("network_thing.html", thing=found, holders=_holders(desk.compared()), years=years, view=desk.view)


@router.get("/network/sites/{member}")
def site(who: Reader, member: str) -> HTMLResponse:
    desk = who.catalogues
    history, found = desk.history(member), desk.site(member)
    if found is None:
        raise HTTPException(404)
    return who.page("network_site.html", one=found, history=history, shown=desk.view.sees(member))


@router.post("/network/catalogue/harvest")
def harvest(who: Poster, member: Annotated[str, Form()] = "") -> Response:
    who.catalogues.harvest([member] if member else ())
    return who.go(f"/network/sites/{member}" if member else "/network/catalogue")


@router.post("/network/catalogue/period")
def period(who: Poster, days: Annotated[float, Form()]) -> Response:
    try:
        who.catalogues.every(days)
    except UsageError as error:
        return _page(who, status=422, said=told(who.spoken, error))
    return who.go("/network/catalogue")
