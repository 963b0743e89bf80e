"""Serving a real portal, and watching what its pages do."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import uvicorn
from playwright.sync_api import Page
from tests.browser.small_site import PASSWORD, Site

if TYPE_CHECKING:
    from playwright.sync_api import Page

from estran.hub.book import HubBook
from estran.portal.server import create_app
from estran.projects.site import SiteServices

CANDIDATES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
PATIENCE = 30_000  # ms until a page must show what a test looks at: what Playwright gives an action, for expectations too


def chromium() -> str:
    """Where Chromium is; a failure that says what to install when it is nowhere."""
    found = next((path for name in CANDIDATES if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("Chromium is missing: install Debian's package chromium-headless-shell.", pytrace=False)
    return found


@dataclass
class Portal:
    """A portal being served."""

    base: str
    site: Site


class served:
    """Serve a site on a free port of the loopback, in a thread."""

    def __init__(self, site: SiteServices, hub: HubBook | None = None) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(site, hub), log_level="warning", server_header=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.02)
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()


@dataclass
class Watch:
    """What a page said and asked while it was open."""

    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    statuses: list[tuple[int, str]] = field(default_factory=list)

    def on(self, page: Page, base: str) -> None:
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda r: self.foreign.append(r.url) if not r.url.startswith(base) else None)
        page.on("response", lambda r: self.statuses.append((r.status, r.url)))


Opener = Callable[..., "Page"]


def sign_in(page: Page, base: str, login: str, password: str = PASSWORD) -> None:
    page.goto(base + "/sign-in")
    page.fill("#login", login)
    page.fill("#password", password)
    page.click("main form button")
    page.wait_for_url(base + "/")
