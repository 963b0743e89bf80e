"""The data that a project brings: declared, accepted, handed in and mapped here; read where the key is."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import UploadFile

from estran.model.errors import UsageError
from estran.portal.visitor import Poster, Reader
from estran.projects.owndata.desk import Ground
from estran.projects.owndata.handing import MOST_BYTES, columns_of
from estran.projects.owndata.recipe import Form as FileForm
from estran.projects.owndata.recipe import Link, Use, read_recipe
from estran.state import OwnDeclaration

router = APIRouter(prefix="/projects/{number}/data")
Text = Annotated[str, Form()]
_NUMBERS = {"ipp", "nip", "numero_ipp", "patient_id"}  # what hospitals call their own number


@router.get("")
def brought(who: Reader, number: str) -> HTMLResponse:
    project, found = who.desk.own_data.of(number)
    return who.page(
        "own_data.html", project=project, found=found, may_declare=who.desk.own_data.may_declare(project), grounds=list(Ground),
        forms=list(FileForm), most=MOST_BYTES // 1_000_000, today=who.desk.projects.today,
    )  # fmt: skip


@router.post("")
def declare(
    who: Poster, number: str, title: Text = "", origin: Text = "", formality: Text = "", reference: Text = "",
    information: Text = "", until: Text = "",
) -> Response:  # fmt: skip
    try:
        day = dt.date.fromisoformat(until)
    except ValueError:
        raise UsageError("A day is written YYYY-MM-DD.") from None
    who.desk.own_data.declare(number, OwnDeclaration(title, origin, formality, reference, information, day))
    return who.go(f"/projects/{number}/data")


@router.post("/{data:int}/answer")
def answer(who: Poster, number: str, data: int, decision: Text = "", said: Text = "") -> Response:
    if decision not in ("accept", "refuse"):
        raise HTTPException(404)
    who.desk.own_data.answer(data, said, accepted=decision == "accept")
    return who.go(f"/projects/{number}/data")


@router.post("/{data:int}/files")
async def hand_in(who: Poster, request: Request, number: str, data: int) -> Response:
    """The files stay with this request until they are closed for the holder of the key."""
    given = await request.form()
    parts = []
    for name in ("file", "dictionary", "links"):
        part = given.get(name)
        parts.append(await part.read() if isinstance(part, UploadFile) else b"")
    made = await run_in_threadpool(who.desk.own_data.hand_in, data, str(given.get("form", "")), *parts)
    return who.go(f"/projects/{number}/data/files/{made}")


@router.post("/{data:int}/end")
def end(who: Poster, number: str, data: int, why: Text = "") -> Response:
    who.desk.own_data.end(data, why)
    return who.go(f"/projects/{number}/data")


@router.get("/files/{file}")
def mapping(who: Reader, number: str, file: int) -> HTMLResponse:
    project, row, found = who.desk.own_data.file(file)
    columns = [
        (one, _guess(one["column"], one["kind"], identifies=one["identifies"])) for one in columns_of(found.look)
    ]
    return who.page(
        "own_file.html", project=project, row=row, file=found, columns=columns, uses=list(Use), links=list(Link),
        by_table='"links":true' in found.look,
    )  # fmt: skip


@router.post("/files/{file}")
async def map_file(who: Poster, request: Request, number: str, file: int) -> Response:
    given = await request.form()
    _, _, found = await run_in_threadpool(who.desk.own_data.file, file)
    names = [one["column"] for one in columns_of(found.look)]
    uses = {name: str(given.get(f"use_{place}", Use.DROP)) for place, name in enumerate(names)}
    said = {name: str(given.get(name, "")) for name in ("link", "authority", "dates")}
    await run_in_threadpool(who.desk.own_data.map, file, read_recipe({**said, "uses": uses}))
    return who.go(f"/projects/{number}/data")


@router.get("/files/{file}/lines.csv")
def lines(who: Reader, number: str, file: int) -> Response:
    """Lines, fields and reasons; no value of any row."""
    headers = {
        "Content-Disposition": f'attachment; filename="project-{number}-file-{file}-set-aside.csv"'.replace("/", "")
    }
    return Response(who.desk.own_data.lines(file), media_type="text/csv; charset=utf-8", headers=headers)


def _guess(column: str, kind: str, *, identifies: bool) -> Use:
    """What a column may be: proposed, for the person to say."""
    if column in _NUMBERS:
        return Use.PATIENT
    return Use.DROP if identifies or kind == "words" else Use(kind)
