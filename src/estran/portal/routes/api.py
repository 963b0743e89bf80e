"""The API for programs: the same desk, policy and audit as the pages, with an API token in place of a session.

Cookies open nothing here, so no form token is needed; a token opens nothing on the pages.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from estran import __version__
from estran.cohort.language import json as question_json
from estran.cohort.language.text import parse
from estran.model.errors import UsageError
from estran.portal.limits import RateLimit
from estran.portal.visitor import Reader, room_of
from estran.projects import tokens
from estran.projects.desk import Desk
from estran.projects.gate import Shown

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body is no JSON text."}, 401: {"description": "No live API token."}, 403: {"description": "Not allowed, with the reason."},
    413: {"description": "Too large."}, 422: {"description": "The question or a filter cannot be read."},
    429: {"description": "Asked too often; see Retry-After."},
}  # fmt: skip
router = APIRouter(prefix="/api", tags=["api"], responses=REFUSALS)
PAGE = 10
_Filter = Annotated[str, Query(max_length=100)]
_Number = Annotated[str, Query(pattern=r"^[0-9]{0,9}$")]


class Count(BaseModel):
    """A count as the person behind the token may see it. `below` is the floor when only "fewer than" may be said, else
    0; `margin` is how far from the truth `value` is at most, 19 times out of 20, 0 when it is exact."""

    value: int
    below: int = 0
    margin: int = 0

    @classmethod
    def of(cls, shown: Shown) -> Count:
        return cls(value=shown.value, below=shown.below, margin=shown.margin)


class Question(BaseModel):
    """A question, as text (`question`) or as its canonical JSON (`query`)."""

    model_config = ConfigDict(extra="forbid")
    question: str = Field("", max_length=20_000, examples=["CIM10:I50 age>=65"])
    query: dict[str, Any] | None = None


class Step(BaseModel):
    path: str
    left: Count
    gone: Count


class Answer(BaseModel):
    patients: Count
    population: Count
    steps: list[Step]
    unknown: list[str]
    snapshot: int


class Hit(BaseModel):
    document_id: int
    title: str
    kind: str
    date: dt.date | None


class SearchAnswer(BaseModel):
    """`hits` is empty unless the token includes "snippets"."""

    documents: Count | None  # of those who may read them
    patients: Count
    hits: list[Hit]
    pages: int


class Status(BaseModel):
    snapshot: int
    created: dt.datetime
    patients: Count
    stays: Count
    documents: Count
    facts: Count


def _bearer(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
) -> Desk:
    """The desk of whoever the token belongs to; 401 without a live token, 429 when it asks too often."""
    room = room_of(request)
    found = tokens.bearer(room.site.state, given.credentials) if given else None
    if found is None:
        raise HTTPException(401, "Send a live API token: Authorization: Bearer …", {"WWW-Authenticate": "Bearer"})
    actor, token = found
    limit: RateLimit = request.app.state.limit
    wait = limit.wait(token.id)
    if wait:
        raise HTTPException(429, "This token asks too often.", {"Retry-After": str(wait)})
    return Desk(room, actor)


Caller = Annotated[Desk, Depends(_bearer)]


@router.post("/cohort/count")
def count(desk: Caller, asked: Question) -> Answer:
    """How many patients a question selects, with its steps."""
    if bool(asked.question.strip()) == (asked.query is not None):
        raise UsageError("Give either `question` or `query`.")
    node = parse(asked.question) if asked.query is None else question_json.loads(json.dumps(asked.query))
    counted = desk.count(node)
    return Answer(
        patients=Count.of(counted.total), population=Count.of(counted.population),
        steps=[Step(path=s.path, left=Count.of(s.left), gone=Count.of(s.gone)) for s in counted.steps],
        unknown=list(counted.unknown), snapshot=counted.version,
    )  # fmt: skip


@router.get("/search")
def search(
    desk: Caller, q: Annotated[str, Query(min_length=1, max_length=1000)], kind: _Filter = "", year: _Number = "",
    unit: _Number = "", sex: _Filter = "", age: _Number = "", page: Annotated[int, Query(ge=1, le=1000)] = 1,
) -> SearchAnswer:
    """Documents that hold the words: how many, and which ones for those who may read them."""
    filters = {"kind": kind, "year": year, "unit": unit, "sex": sex, "age": age}
    found = desk.search(q.strip(), {k: v for k, v in filters.items() if v}, PAGE, (page - 1) * PAGE)
    hits = [
        Hit(document_id=h.document.document_id, title=h.document.title or "", kind=h.document.kind, date=h.document.date)
        for h in found.hits
    ]
    return SearchAnswer(
        documents=Count.of(found.documents) if found.documents else None, patients=Count.of(found.patients), hits=hits, pages=found.pages
    )


@router.get("/status")
def status(desk: Caller) -> Status:
    """What the site holds."""
    held = desk.holdings()
    return Status(
        snapshot=held.version, created=held.created, patients=Count.of(held.patients), stays=Count.of(held.stays),
        documents=Count.of(held.documents), facts=Count.of(held.facts),
    )


@router.get("/openapi.json", include_in_schema=False)
def description(who: Reader, request: Request) -> JSONResponse:
    """The description of this API, for people signed in to the portal."""
    return JSONResponse(get_openapi(title="Estran", version=__version__, routes=router.routes))
