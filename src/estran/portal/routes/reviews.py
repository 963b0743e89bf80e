"""Reviews: those that I was given, those that I manage, forms, progress, agreement, results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import FormData

from estran.model.errors import UsageError
from estran.portal.reasons import told
from estran.portal.visitor import Poster, Reader, Visitor
from estran.projects.charts.figures import ORDER
from estran.projects.charts.form_file import FormFault, check_form
from estran.projects.charts.manager import Wanted
from estran.projects.charts.results import Stage, Verdict
from estran.projects.policy import Action, decide

router = APIRouter()
Field = Annotated[str, Form()]


@router.get("/reviews")
def mine(who: Reader) -> HTMLResponse:
    manages = decide(who.desk.actor, Action.REVIEW_LISTS).allowed
    return who.page("reviews.html", lists=who.desk.reviewer.lists(), managed=who.desk.reviews.lists() if manages else None)


@router.get("/reviews/new")
def new(who: Reader) -> HTMLResponse:
    return _new(who)


def _new(who: Visitor, refusal: str = "", status: int = 200) -> HTMLResponse:
    manager = who.desk.reviews
    return who.page(
        "review_new.html", status, forms=manager.forms(), people=manager.reviewers(), cohorts=who.desk.cohorts(),
        refusal=refusal,
    )  # fmt: skip


@router.post("/reviews/new")
async def make(who: Poster, request: Request) -> Response:
    form = await request.form()
    return _made(who, form)


def _made(who: Visitor, form: FormData) -> Response:
    try:
        made = who.desk.reviews.make(_wanted(form))
    except UsageError as error:
        return _new(who, told(who.spoken, error), 422)
    return who.go(f"/reviews/{made.id}/figures")


def _wanted(form: FormData) -> Wanted:
    said = {name: str(value) for name, value in form.items()}
    shares = {str(login): _number(said, f"part-{login}", 1.0) for login in form.getlist("reader")}
    return Wanted(
        said.get("name", ""), int(_number(said, "version", 0)), shares, [str(one) for one in form.getlist("adjudicator")],
        int(_number(said, "readings", 1)), "open" not in said, int(_number(said, "form", 0)) or None,
        int(_number(said, "sample", 0)), int(_number(said, "negatives", 0)), int(_number(said, "seed", 1)),
    )  # fmt: skip


def _number(said: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(said.get(name, "").replace(",", ".") or default)
    except ValueError:
        raise UsageError("A number is expected here.") from None


@router.get("/reviews/forms")
def forms(who: Reader) -> HTMLResponse:
    return who.page("review_forms.html", forms=who.desk.reviews.forms(), body="", faults=[])


@router.post("/reviews/forms")
def add_form(who: Poster, body: Field = "") -> Response:
    """Keep a form; its mistakes come back with their lines, and the text as it was."""
    body = body.replace("\r\n", "\n")
    faults: list[FormFault] = check_form(body)[1]
    if faults:
        return who.page("review_forms.html", 422, forms=who.desk.reviews.forms(), body=body, faults=faults)
    who.desk.reviews.add_form(body)
    return who.go("/reviews/forms")


@router.get("/reviews/{list_id}/figures")
def figures(who: Reader, list_id: int) -> HTMLResponse:
    manager = who.desk.reviews
    return who.page(
        "review_figures.html", progress=manager.progress(list_id), agreement=manager.agreement(list_id),
        accuracy=manager.accuracy(list_id), stages=list(Stage), verdicts=list(Verdict), order=ORDER,
        form=manager.form_of(list_id),
    )  # fmt: skip


@router.post("/reviews/{list_id}/keep")
def keep(who: Poster, list_id: int, name: Field = "", verdict: Field = "include") -> Response:
    who.desk.reviews.keep(list_id, name, verdict)
    return who.go("/cohorts")


@router.post("/reviews/{list_id}/close")
def close(who: Poster, list_id: int) -> Response:
    who.desk.reviews.close(list_id)
    return who.go(f"/reviews/{list_id}/figures")
