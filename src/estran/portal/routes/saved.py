"""Saved cohorts: list, open, compare, take off the list."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Query
from fastapi.responses import HTMLResponse, Response

from estran.cohort.language import json as question_json
from estran.model.errors import UsageError
from estran.portal.builder.wording import as_text, explanation
from estran.portal.routes.cohorts import put
from estran.portal.visitor import Poster, Reader
from estran.projects.following import sharable
from estran.projects.gate import Shown
from estran.projects.questions import Counted
from estran.state import CohortVersion, SavedCohort

router = APIRouter()


@dataclass(frozen=True)
class Side:
    """One version of a comparison. `words` are pieces of its text form, True where the other one differs."""

    cohort: SavedCohort
    version: CohortVersion
    then: Shown | None
    now: Counted
    explanation: str
    words: tuple[tuple[bool, str], ...]


@router.get("/cohorts")
def listed(who: Reader, saved: int = 0) -> HTMLResponse:
    daily = who.desk.every_day
    return who.page(
        "saved.html", cards=daily.mine(), shared=daily.shared_with_me(), saved_total=who.desk.saved_total, saved=saved,
        roles=list(sharable()),
    )  # fmt: skip


@router.post("/cohorts/open")
def open_version(who: Poster, version: Annotated[int, Form()]) -> Response:
    cohort, found = _version(who, version)
    mine = cohort.owner_id == who.account.id  # of a colleague's, one opens a copy
    put(who, question_json.loads(found.query), found.id if mine else None)
    return who.go("/cohort")


@router.post("/cohorts/{cohort_id}/archive")
def archive(who: Poster, cohort_id: int) -> Response:
    who.desk.archive(cohort_id)
    return who.go("/cohorts")


@router.get("/cohorts/compare")
def compare(who: Reader, v: Annotated[list[int] | None, Query()] = None) -> HTMLResponse:
    if v is None or len(v) != 2:
        raise UsageError("Choose exactly two versions to compare.")
    found = [_version(who, number) for number in sorted(v)]
    questions = [question_json.loads(version.query) for _, version in found]
    texts = [as_text(who, question) for question in questions]
    sides = [
        Side(cohort, version, who.desk.saved_total(version), who.desk.count(question), explanation(who, question), words)
        for (cohort, version), question, words in zip(found, questions, differences(*texts), strict=True)
    ]
    return who.page("compare.html", sides=sides)


def differences(first: str, second: str) -> tuple[tuple[tuple[bool, str], ...], tuple[tuple[bool, str], ...]]:
    """Both texts in pieces, word by word; True marks what the other one does not have."""
    a, b = first.split(" "), second.split(" ")
    left: list[tuple[bool, str]] = []
    right: list[tuple[bool, str]] = []
    for kind, a1, a2, b1, b2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        left += [(kind != "equal", " ".join(a[a1:a2])), (False, " ")] if a2 > a1 else []
        right += [(kind != "equal", " ".join(b[b1:b2])), (False, " ")] if b2 > b1 else []
    return tuple(left[:-1]), tuple(right[:-1])


def _version(who: Reader, number: int) -> tuple[SavedCohort, CohortVersion]:
    found = who.desk.version(number)
    if found is None:
        raise HTTPException(404)
    return found
