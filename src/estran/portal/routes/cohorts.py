"""The cohort builder."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import FormData

from estran.cohort.language.text import parse
from estran.cohort.query import Node
from estran.model.codes import DocumentKind
from estran.model.errors import UsageError
from estran.portal.builder import board, edit
from estran.portal.builder.draft import Draft, TextStep
from estran.portal.builder.translate import build, unbuild
from estran.portal.builder.wording import as_text, explanation, path_names
from estran.portal.reasons import reason, told
from estran.portal.visitor import Poster, Reader, Visitor

router = APIRouter()
PAGE = 50
Field = Annotated[str, Form()]
RECOUNT = {"HX-Trigger": "recount"}


@router.get("/cohort")
def builder(who: Reader) -> HTMLResponse:
    return who.page("cohort.html", said="", **board.drawn(who, load(who)))


@router.post("/cohort/edit")
async def change(who: Poster, request: Request) -> Response:
    form = _lists(await request.form())
    return _edit(who, form)


def _edit(who: Visitor, form: dict[str, list[str]]) -> Response:
    draft, refusal, focus = load(who), "", ""
    try:
        focus = edit.apply(draft, (form.get("op") or [""])[-1], (form.get("step") or [""])[-1], form)
        keep(who, draft)
    except UsageError as error:
        refusal = reason(who.spoken, error.what)
        draft = load(who)
    return _tree(who, draft, refusal, focus)


@router.post("/cohort/undo")
def undo(who: Poster) -> Response:
    return _stepped(who, -1)


@router.post("/cohort/redo")
def redo(who: Poster) -> Response:
    return _stepped(who, 1)


@router.post("/cohort/reset")
def reset(who: Poster) -> Response:
    draft = Draft()
    keep(who, draft)
    return _tree(who, draft)


@router.get("/cohort/counts")
def counts(who: Reader) -> HTMLResponse:
    draft = load(who)
    built = build(draft)
    counted = who.desk.count(built.query)
    names = path_names(who, draft, built)
    negated = {built.paths[s.id] for s in draft.root.of if s.negated and s.id in built.paths}
    unready = [i for i in board.ids(draft) if i not in built.paths]
    steps = [step for step in counted.steps if not step.path or step.path in names]
    return who.page(
        "parts/counts.html", counted=counted, steps=steps, paths=built.paths, unready=unready, step_names=names, negated=negated,
        explanation=explanation(who, built.query), text_form=as_text(who, built.query),
    )


@router.post("/cohort/text")
def from_text(who: Poster, text: Field = "") -> Response:
    """Replace the tree by a question written as text; a mistake leaves the tree as it was."""
    try:
        put(who, parse(text))
    except UsageError as error:
        draft = load(who)
        return who.page("cohort.html", 422, said=told(who.spoken, error), **board.drawn(who, draft))
    return who.go("/cohort")


@router.post("/cohort/from-search")
def from_search(who: Poster, q: Field = "", kind: Field = "", year: Field = "") -> Response:
    """Add the words of a search as a criterion of the cohort being built."""
    draft = load(who)
    step = TextStep(id=draft.new_id(), words=" ".join(q.split()))
    if kind in set(DocumentKind):
        step.document_kind = DocumentKind(kind)
    if year.isdigit():
        edit.apply_dates(step, f"{year}-01-01", f"{year}-12-31")
    draft.root.of.append(step)
    keep(who, draft)
    return who.go("/cohort")


@router.post("/cohort/save")
def save(who: Poster, name: Field = "", note: Field = "") -> Response:
    draft = load(who)
    try:
        version = who.desk.save(name, build(draft).query, note)
    except UsageError as error:
        return who.page("cohort.html", 422, said=told(who.spoken, error), **board.drawn(who, draft))
    draft.opened = version.id
    keep(who, draft)
    return who.go(f"/cohorts?saved={quote(str(version.id))}")


@router.get("/cohort/patients")
def patients(who: Reader, page: int = 1) -> HTMLResponse:
    page = min(max(page, 1), 100_000)
    query = build(load(who)).query
    found = who.desk.patients(query, PAGE, (page - 1) * PAGE)
    last = max(1, -(-found.total // PAGE))
    return who.page("patients.html", page=found, number=page, last=last, explanation=explanation(who, query))


@router.get("/cohort/patients/{patient_id}/why")
def why(who: Reader, patient_id: int) -> HTMLResponse:
    draft = load(who)
    built = build(draft)
    found = who.desk.evidence(built.query, patient_id)
    names = path_names(who, draft, built)
    reasons = [(names[path], lines) for path, lines in found.items() if lines and path in names]
    return who.page("parts/why.html", reasons=reasons)


def load(who: Visitor) -> Draft:
    """The tree on the person's desk; an empty one at first, or when it was kept by another version."""
    text = who.desk.draft()
    try:
        return Draft.model_validate_json(text) if text else Draft()
    except ValueError:
        return Draft()


def keep(who: Visitor, draft: Draft) -> None:
    """Put the tree on the desk, one undo step further."""
    who.desk.keep_draft(draft.model_dump_json())


def put(who: Visitor, query: Node, opened: int | None = None) -> None:
    """Put a question on the desk as a tree."""
    known: dict[tuple[str, str], Any] = who.desk.labels(board.codes(query))

    def family(vocabulary: str, code: str) -> str:
        concept = known.get((vocabulary, code))
        return concept.kind if concept and concept.kind else "other"

    keep(who, unbuild(query, family, opened))


def _stepped(who: Visitor, steps: int) -> Response:
    who.desk.step_draft(steps)
    return _tree(who, load(who))


def _tree(who: Visitor, draft: Draft, refusal: str = "", focus: str = "") -> Response:
    if "hx-request" not in who.request.headers:
        return who.go("/cohort")
    answer = who.page("parts/edited.html", refusal=refusal, **board.drawn(who, draft))
    answer.headers.update(RECOUNT)
    if focus:
        answer.headers["X-Focus"] = f"s-{focus}"
    return answer


def _lists(form: FormData) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if not isinstance(value, str) or len(value) > 10_000:
            raise HTTPException(422)
        found.setdefault(name, []).append(value)
    return found
