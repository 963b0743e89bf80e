"""What is held here, as HealthDCAT-AP for programs: of the site, or of all sites of the network that it keeps.

Open to everybody where the setting `catalogue_public` says so, and the rules of the network show each site's numbers to
every role; else to those who may see the catalogue.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from estran.hub.governance import beside
from estran.hub.harvest import CatalogueDesk
from estran.model.errors import UsageError
from estran.portal.visitor import room_of, visitor
from estran.projects.actors import Actor
from estran.projects.holdings_file import Syntax, described, held, written
from estran.projects.policy import Action
from estran.projects.transparency import PUBLIC

router = APIRouter()
_TYPES = {Syntax.TURTLE: "text/turtle; charset=utf-8", Syntax.JSON_LD: "application/ld+json"}


class Published:
    """What everybody may read, made once for each state of what is held: it must cost nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[Hashable, Any]] = {}

    def file(self, name: str, state: Hashable, make: Callable[[], Any]) -> Any:
        """What is told under a name in this state."""
        with self._lock:
            known = self._kept.get(name)
            if known is None or known[0] != state:
                self._kept[name] = known = (state, make())
            return known[1]


@router.get("/catalogue.ttl")
def turtle(request: Request) -> Response:
    return _answer(request, Syntax.TURTLE)


@router.get("/catalogue.jsonld")
def json_ld(request: Request) -> Response:
    return _answer(request, Syntax.JSON_LD)


def _answer(request: Request, syntax: Syntax) -> Response:
    room, hub = room_of(request), request.app.state.hub
    try:
        if room.site.settings.catalogue_public and (hub is None or beside(hub).sees_all()):
            published: Published = request.app.state.public_catalogue
            data = published.file(syntax, _state(request), lambda: _made(request, PUBLIC, Action.CONCEPTS, syntax))
        else:
            who = visitor(request)
            data = _made(request, who.desk.actor, Action.CATALOGUE, syntax)
    except UsageError:  # nothing was measured, or a setting is missing
        raise HTTPException(404) from None
    return Response(data, media_type=_TYPES[syntax])


def _state(request: Request) -> Hashable:
    """Changes when what is told does."""
    site, shelf = room_of(request).site, request.app.state.catalogues
    return site.state.catalogue.snapshot() if shelf is None else shelf.digest()


def _made(request: Request, actor: Actor, action: Action, syntax: Syntax) -> bytes:
    site, app = room_of(request).site, request.app.state
    if app.hub is not None:
        desk = CatalogueDesk(site.state, app.hub, app.catalogues, actor)
        return desk.public_file(str(syntax)) if actor is PUBLIC else desk.file(str(syntax))
    return written(described(site, held(site, actor, action)), syntax)
