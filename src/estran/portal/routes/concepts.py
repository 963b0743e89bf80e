"""The list under a concept picker."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from estran.portal.visitor import Reader

router = APIRouter()


@router.get("/concepts")
def look_up(who: Reader, q: str = "", kind: str = "") -> HTMLResponse:
    return who.page("parts/concepts.html", found=who.desk.concepts(q[:100], kind), asked=q)


@router.get("/concepts/tree")
def tree(who: Reader, vocabulary: str = "", code: str = "") -> HTMLResponse:
    """A level of the tree of codes: the vocabularies, the top of one, or what is below a code."""
    if not vocabulary:
        return who.page("parts/branches.html", vocabularies=who.desk.vocabularies(), nodes=[], more=0)
    nodes, total = who.desk.branches(vocabulary[:100], code[:100])
    return who.page("parts/branches.html", vocabularies=(), nodes=nodes, more=total - len(nodes))
