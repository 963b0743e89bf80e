"""Language and theme."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from estran.portal.language import LANGUAGES
from estran.portal.visitor import LANGUAGE_COOKIE, Poster, local_path, over_tls

router = APIRouter()
THEMES = ("auto", "light", "dark")


@router.post("/account")
def choose(
    who: Poster, request: Request, language: Annotated[str, Form()] = "", theme: Annotated[str, Form()] = "",
    back: Annotated[str, Form()] = "/",
) -> Response:
    who.desk.state.accounts.change(
        who.account.id, language=language if language in LANGUAGES else None, theme=theme if theme in THEMES else None
    )
    answer = who.go(local_path(back))
    if language in LANGUAGES:
        answer.set_cookie(LANGUAGE_COOKIE, language, max_age=31_536_000, httponly=True, samesite="lax", secure=over_tls(request))
    return answer
