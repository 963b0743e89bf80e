"""What everybody may read without an account, and the form by which they ask. It says nothing of any person."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from estran.model.errors import UsageError
from estran.portal import security
from estran.portal.limits import RateLimit
from estran.portal.pages import render
from estran.portal.visitor import FORM_COOKIE, Forged, address_of, room_of, spoken_by
from estran.projects.gate import Shown
from estran.projects.rights_desk import FIELDS, PUBLIC_KINDS, ask_publicly
from estran.projects.transparency import PublicCounts, public_projects

router = APIRouter(prefix="/transparency")
Field = Annotated[str, Form()]
SCOPES = ("warehouse", "industry", "teaching", "genetic", "texts", "hub")  # that a citizen may choose
_HOUR, _DAY = 3600.0, 86_400.0


class Doorkeeper:
    """How often the form may be sent: by one address within an hour, by everybody within a day."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)
        self._each, self._all = RateLimit(5, _HOUR), RateLimit(500, _DAY)

    def wait(self, address: str) -> int:
        """Seconds to wait; 0 when this one may come in."""
        caller = int.from_bytes(hashlib.blake2b(address.encode(), key=self._salt, digest_size=8).digest())
        return self._each.wait(caller) or self._all.wait(0)


@router.get("")
def page(request: Request, lang: str = "") -> Response:
    return _page(request, lang)


@router.get("/data.json")
def data(request: Request) -> Response:
    """The same for programs."""
    held, settings = _counts(request).held(), room_of(request).site.settings
    body = {
        "site": settings.name, "controller": settings.controller, "data_protection_officer": settings.dpo_contact,
        "retention_years": settings.retention_years, "snapshot": held.version,
        "held": {name: _shown(getattr(held, name)) for name in ("patients", "stays", "documents")}, "years": held.years,
        "projects": [
            {name: str(value) if value is not None else None for name, value in asdict(one).items()}
            for one in public_projects(room_of(request).site)
        ],
    }  # fmt: skip
    return JSONResponse(body, headers={"Content-Disposition": 'attachment; filename="transparency.json"'})


@router.post("")
def ask(
    request: Request, csrf: Field = "", kind: Field = "", scope: Field = "warehouse", name: Field = "", birth: Field = "",
    contact: Field = "", message: Field = "", lang: Field = "",
) -> Response:  # fmt: skip
    """Enter a request. The answer is the same whoever asks."""
    if not security.from_here(request) or not security.same(csrf, request.cookies.get(FORM_COOKIE, "")):
        raise Forged
    said = {"name": name, "birth": birth, "contact": contact, "message": message}
    if scope not in SCOPES or kind not in PUBLIC_KINDS or not name.strip() or not contact.strip():
        return _page(request, lang, 422, refusal="missing", said=said, kind=kind, scope=scope)
    doorkeeper: Doorkeeper = request.app.state.doorkeeper
    wait = doorkeeper.wait(address_of(request))
    if wait:
        answer = _page(request, lang, 429, refusal="often", said=said, kind=kind, scope=scope)
        answer.headers["Retry-After"] = str(wait)
        return answer
    try:
        number = ask_publicly(room_of(request).site.state, kind, scope, said)
    except UsageError:
        raise HTTPException(422) from None
    return _page(request, lang, number=number)


def _page(request: Request, lang: str, status: int = 200, **context: object) -> HTMLResponse:
    site = room_of(request).site
    token = request.cookies.get(FORM_COOKIE) or security.new_token()
    text = render(
        "transparency.html", spoken_by(request, lang), csrf=token, theme="auto", site=site.settings.name, settings=site.settings,
        held=_counts(request).held(), projects=public_projects(site), kinds=PUBLIC_KINDS, scopes=SCOPES, fields=FIELDS,
        **{"number": "", "refusal": "", "said": dict.fromkeys(FIELDS, ""), "kind": "opposition", "scope": "warehouse", **context},
    )  # fmt: skip
    answer = HTMLResponse(text, status)
    secure = (site.settings.public_url or str(request.url)).startswith("https:")
    answer.set_cookie(FORM_COOKIE, token, httponly=True, samesite="strict", secure=secure)
    return answer


def _counts(request: Request) -> PublicCounts:
    counts: PublicCounts = request.app.state.public_counts
    return counts


def _shown(count: Shown) -> dict[str, int]:
    return {"value": count.value, "below": count.below, "margin": count.margin}
