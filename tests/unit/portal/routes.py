"""Every route of the portal, with an address that fits it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

FILLED = {
    "login": "viewer",
    "document_id": "0",
    "patient_id": "0",
    "cohort_id": "1",
    "number": "1",
    "token_id": "1",
    "source": "x",
}


def routes(app: FastAPI) -> list[tuple[str, str, str]]:
    """Method, path as it is declared, and path with something in each of its places."""
    return [
        (method, route.path, _filled(route.path)) for route in _each(app.routes) for method in sorted(route.methods)
    ]


def _each(found: list[Any]) -> Iterator[APIRoute]:
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        elif (included := getattr(route, "original_router", None)) is not None:
            yield from _each(included.routes)


def _filled(path: str) -> str:
    return re.sub(r"\{(\w+)[^}]*\}", lambda m: FILLED.get(m[1], "1"), path)
