"""Lists of patient numbers, handed in here and read where the key is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, UploadFile
from fastapi.responses import HTMLResponse, Response

from estran.portal.visitor import Poster, Reader
from estran.projects.lists import MOST

router = APIRouter()
Field = Annotated[str, Form()]


@router.get("/lists")
def lists(who: Reader) -> HTMLResponse:
    return who.page("lists.html", lists=who.desk.lists.mine(), most=MOST)


@router.post("/lists")
async def hand_in(who: Poster, file: UploadFile, name: Field = "", kind: Field = "", authority: Field = "") -> Response:
    """The file stays in memory (bodies are limited) until it is closed for the holder of the key."""
    who.desk.lists.hand_in(name, kind, authority, await file.read())
    return who.go("/lists#asked")
