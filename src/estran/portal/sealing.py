"""Checkpoints of the audit trail by the portal's own key, while the portal runs."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable

from fastapi import FastAPI

from estran.model.errors import EstranError
from estran.projects.sealing import Sealing
from estran.projects.site import SiteServices

log = logging.getLogger(__name__)
LOOK = 30.0  # seconds between two looks


def lifespan(site: SiteServices) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    """Looks every half minute, from the start of the server to its end."""

    @contextlib.asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=_keep_sealing, args=(site, stop), name="audit checkpoints", daemon=True)
        thread.start()
        yield
        app.state.door.close()
        app.state.workspaces.close()
        stop.set()
        thread.join(LOOK)

    return running


def _keep_sealing(site: SiteServices, stop: threading.Event) -> None:
    while not stop.wait(LOOK):
        seal_if_due(site)


def seal_if_due(site: SiteServices) -> None:
    """One look. A broken trail goes to the log, by its line: it is never signed."""
    try:
        sealing = Sealing.of_portal(site)
        if sealing is not None and sealing.due():
            sealing.seal()
    except EstranError as error:
        log.error("audit: %s %s", error.what, error.where)
    except Exception as error:  # noqa: BLE001 (a database that is locked or away: the next look tries again)
        log.error("audit: no checkpoint (%s)", type(error).__name__)
