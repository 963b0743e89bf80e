"""Pictures of a cohort: where its patients live, and the words that set them apart."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response

from estran.model.errors import UsageError
from estran.portal.area_map import area_map
from estran.portal.builder import edit
from estran.portal.builder.translate import build
from estran.portal.builder.wording import explanation
from estran.portal.routes.cohorts import keep, load
from estran.portal.visitor import Poster, Reader
from estran.projects.cloud import WORDS
from estran.projects.policy import Action, decide
from estran.terminology.departments import departments

router = APIRouter()
Field = Annotated[str, Form()]


@router.get("/cohort/portrait")
def portrait(who: Reader, words: str = "") -> HTMLResponse:
    """The cohort being built. Whose questions are counted asks for the words: each uses one of them."""
    query = build(load(who)).query
    counted = not decide(who.desk.actor, Action.PATIENTS).allowed
    found = who.desk.explorer.portrait(query, words=bool(words) or not counted)
    return who.page(
        "portrait.html", found=found, map=area_map(found.areas.parts), names=departments(), most=WORDS,
        explanation=explanation(who, query),
    )


@router.post("/cohort/word")
def add_word(who: Poster, word: Field = "") -> Response:
    """Add the concept of a word to the cohort being built, as a criterion of its own."""
    vocabulary, _, code = word.partition("|")
    known = who.desk.labels([(vocabulary, code)]).get((vocabulary, code))
    if known is None:
        raise UsageError("This site does not know this code.")
    draft = load(who)
    step = edit.apply(draft, "add", draft.root.id, {"kind": ["code"]})
    edit.apply(draft, "pick", step, {"vocabulary": [vocabulary], "code": [code], "family": [known.kind or "other"]})
    keep(who, draft)
    return who.go("/cohort")
