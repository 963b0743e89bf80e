"""What is built for an open project, asked for on its page: a datamart of what it was granted, a workspace."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from estran.model.errors import UsageError
from estran.portal.reasons import told
from estran.portal.visitor import Poster, Reader, Visitor, room_of
from estran.projects.datamarts import granting
from estran.projects.datamarts.granting import Chosen
from estran.projects.workspaces.spaces import provide

router = APIRouter(prefix="/projects")
Field = Annotated[str, Form()]
Many = Annotated[list[str] | None, Form()]


@router.get("/{number}/datamart")
def new(who: Reader, number: str) -> HTMLResponse:
    return _form(who, number)


@router.post("/{number}/datamart")
def ask(
    who: Poster, number: str, name: Field = "", recipient: Field = "", variable: Many = None, kind: Many = None,
    taken: Many = None, demographic: Many = None, texts: Field = "", dates: Field = "shift", form: Many = None,
    days: Field = "",
) -> Response:  # fmt: skip
    """Have it built by the process that holds the key. `variable` and `kind` go together, `taken` names those chosen."""
    try:
        offered = granting.offer(who.desk.state, who.desk.actor, number)
        kinds = dict(zip(variable or [], kind or [], strict=False))
        columns = {one: kinds.get(one, "last") for one in taken or []}
        chosen = Chosen(
            name, recipient, columns, tuple(demographic or ()), bool(texts), dates, tuple(form or ()),
            int(days) if days.isdecimal() and len(days) < 6 else 0,
        )  # fmt: skip
        who.desk.datamarts.ask(granting.spec_of(offered, chosen), recipient)
    except UsageError as error:
        return _form(who, number, f"{told(who.spoken, error)} {error.where}".strip(), 422)
    return who.go(f"/projects/{number}#data")


@router.post("/{number}/space")
def space(who: Poster, request: Request, number: str) -> Response:
    """Give the project its workspace on its newest datamart."""
    made = provide(room_of(request).site, who.desk.actor, number)
    return who.go(f"/spaces/{made.project}" if who.account.id in made.team else f"/projects/{number}#data")


def _form(who: Visitor, number: str, refusal: str = "", status: int = 200) -> HTMLResponse:
    return who.page(
        "datamart_new.html", status, offer=granting.offer(who.desk.state, who.desk.actor, number), refusal=refusal,
        aggregates=granting.AGGREGATES, dates=granting.DATES, formats=granting.FORMATS,
    )  # fmt: skip
