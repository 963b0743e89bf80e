"""What the portal does by itself while it runs: checkpoints of the audit trail by its own key, notices by e-mail."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable

from anyio import to_thread
from fastapi import FastAPI

from estran.model.errors import EstranError
from estran.projects.life.mail import send_waiting
from estran.projects.life.notices import remind
from estran.projects.sealing import Sealing
from estran.projects.site import SiteServices
from estran.state.transactions import now

log = logging.getLogger(__name__)
LOOK = 30.0  # seconds between two looks


def lifespan(site: SiteServices) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    """Looks every half minute, from the start of the server to its end."""

    @contextlib.asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        # With the forty that are usual, threads take the interpreter from one another: a hundred people waited 4 times as long.
        to_thread.current_default_thread_limiter().total_tokens = max(4, 2 * (os.cpu_count() or 1))
        stop = threading.Event()
        thread = threading.Thread(target=_keep_looking, args=(site, stop), name="checkpoints and notices", daemon=True)
        thread.start()
        yield
        app.state.door.close()
        app.state.workspaces.close()
        stop.set()
        thread.join(LOOK)

    return running


def _keep_looking(site: SiteServices, stop: threading.Event) -> None:
    while not stop.wait(LOOK):
        seal_if_due(site)
        post_waiting(site)


def post_waiting(site: SiteServices) -> None:
    """Send the notices that are due, when the site names a mail server; what fails waits and is tried again."""
    if not site.settings.smtp_host:
        return
    try:
        remind(site.state, site.settings, site.settings.day(now()))
        _, failed = send_waiting(site.state, site.settings)
        if failed:
            log.warning("notices: %d could not be sent", failed)
    except Exception as error:  # noqa: BLE001 (a database that is locked or away: the next look tries again)
        log.error("notices: none sent (%s)", type(error).__name__)


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
