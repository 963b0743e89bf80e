"""How long somebody waits at a hub: `python -m tests.browser.network_times DIR`.

Starts `estran demo DIR --hub` as anybody would (it builds the region first, once), kills the agent of one hospital that
has just been given a question, stops that of another, and asks ten questions in a browser, the first as soon as the
agents have come. Prints the seconds from click to what the page shows; asserts no time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from tests.browser.serving import ARGUMENTS, chromium

from estran.hub.house import open_book

TEXTS = ("âge>=60", "sexe=F", "CIM10:I10", "âge>=40 ET sexe=M", "ATC:N02BE01", "CIM10:I10 OU CIM10:A09.0", "CCAM:DEQP003",
         "LOINC:787-2 SAUF ATC:C09AA05", "CIM10:I10 ET âge>=50", "ATC:B01AB05")  # fmt: skip
_PASSWORD = "marée haute à minuit"
_SEEN = {
    "four answered": "document.querySelectorAll('#answers tbody .badge.good').length >= 4",
    "down is shown": "document.querySelectorAll('#answers tbody .badge.bad').length >= 1",
    "total of linkage": "/≈|</.test(document.querySelector('#answers .total .big')?.textContent ?? '')",
    # one that has said nothing for long is no longer late but not to be reached, as the other is
    "late is shown": "[...document.querySelectorAll('#answers tbody .badge.some')].some(b => /retard|late/.test(b.textContent))"
    " || document.querySelectorAll('#answers tbody .badge.bad').length == 2",
}


@dataclass
class Demo:
    """A demo that runs; `agents` are processes by the name of their folder."""

    base: str
    agents: dict[str, int]


@contextlib.contextmanager
def running(folder: Path, patients: int, port: int, hub_port: int) -> Iterator[Demo]:
    """The command in a process of its own, until all agents have come to the hub."""
    command = [sys.executable, "-m", "estran", "demo", str(folder), "--hub", "--patients", str(patients), "--port", str(port),
               "--hub-port", str(hub_port)]  # fmt: skip
    started = time.time()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"ESTRAN_PASSWORD": _PASSWORD, "COLUMNS": "200"}
    )
    try:
        assert process.stdout is not None
        agents: dict[str, int] = {}
        for line in process.stdout:
            if found := re.match(r"Agent of (\S+): process (\d+)", line):
                agents[found[1]] = int(found[2])
            if line.startswith("Portal:"):
                break
        _come(folder / "hub", started)
        yield Demo(f"http://127.0.0.1:{port}", agents)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _come(hub: Path, since: float) -> None:
    open_jobs = "SELECT 1 FROM job WHERE state IN ('queued', 'taken')"
    with contextlib.closing(open_book(hub)) as book:
        while any(one.seen is None or one.seen < since for one in book.members(active=True)):
            time.sleep(0.05)
        time.sleep(3)  # the hub asks for their catalogues now
        while book.db.one(open_jobs) is not None:
            time.sleep(0.05)
    print(f"all agents have come, and have told what they hold, {time.time() - since:.1f} s after the start", flush=True)


def put(page: Page, base: str, text: str) -> float:
    """Put a question, until its page is there; the moment of the click."""
    page.goto(f"{base}/network")
    page.fill("#text", text)
    page.fill("#title", text)
    clicked = time.monotonic()
    page.click("main form button.main")
    page.wait_for_selector("#answers")
    return clicked


def kill_at_work(page: Page, base: str, agent: int) -> None:
    """Stopped, it is given a job and does not get to do it; then it is killed. Prints when the page of this question says
    that it cannot be reached."""
    os.kill(agent, signal.SIGSTOP)
    put(page, base, "âge>=18")
    while not page.evaluate(_SEEN["late is shown"]):
        page.wait_for_timeout(15)
    os.kill(agent, signal.SIGKILL)
    killed = time.monotonic()
    while not page.evaluate(_SEEN["down is shown"]):
        page.wait_for_timeout(15)
    print(f"the page says so {time.monotonic() - killed:.1f} s after a site was killed at work", flush=True)


def ask(page: Page, base: str, text: str) -> dict[str, float]:
    """Put a question; seconds until the page shows each of `_SEEN`."""
    started, found = put(page, base, text), {}
    found["page"] = time.monotonic() - started
    while len(found) <= len(_SEEN) and time.monotonic() < started + 20:
        for name, script in _SEEN.items():
            if name not in found and page.evaluate(script):
                found[name] = time.monotonic() - started
        page.wait_for_timeout(15)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patients", type=int, default=600)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--hub-port", type=int, default=8443)
    parser.add_argument("--picture", type=Path, help="where the last page is kept")
    asked = parser.parse_args()
    with running(asked.folder, asked.patients, asked.port, asked.hub_port) as demo, sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 1150})
        page.goto(f"{demo.base}/sign-in")
        page.fill("#login", "demo")
        page.fill("#password", _PASSWORD)
        page.click("main form button")
        page.wait_for_url(f"{demo.base}/")
        down, slow = list(demo.agents.values())[:2]
        kill_at_work(page, demo.base, down)
        os.kill(slow, signal.SIGSTOP)
        every = []
        for text in TEXTS:
            found = ask(page, demo.base, text)
            every.append(found)
            print(
                {name: round(seconds, 2) for name, seconds in found.items()},
                text,
                f"load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
        if asked.picture:
            page.screenshot(path=asked.picture)
        os.kill(slow, signal.SIGCONT)
        browser.close()
    for name in ("page", *_SEEN):
        times = [one[name] for one in every if name in one] or [float("nan")]
        print(
            json.dumps(
                {
                    "what": name,
                    "shown": len(times),
                    "first": round(times[0], 2),
                    "median": round(statistics.median(times), 2),
                    "worst": round(max(times), 2),
                }
            )
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
