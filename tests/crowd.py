"""Many people at once on one portal: each signs in, then searches, reads, counts and builds, with pauses as people make.

    python -m tests.crowd --users 100 --minutes 10

They come within a minute; then the minutes are counted.

The site is the demo's, made anew; the server is `estran serve`, a process of its own. Every answer must be the
expected one, and the 95th percentile of the time to the whole answer must stay under `--p95` milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from estran.projects.actors import KEY_HOLDER, Role
from estran.projects.sign_in import create_account
from estran.state import StateDatabase

WORDS = ("insuffisance rénale", "douleur", "fièvre", "diabète", '"scanner thoracique"', "amylose", "toux", "fractur*", "hypertension SAUF diabète", "anémie")  # fmt: skip
QUESTIONS = ("OMOP:192671", "OMOP:1118084 OU OMOP:1124300", "âge>=65 sexe:F", '"insuffisance rénale" âge>=40', "OMOP:192671 SAUF OMOP:4329847")  # fmt: skip
ROLES = (Role.DATA_ENGINEER, Role.METHODOLOGIST, Role.DIM_PHYSICIAN, Role.RESEARCHER, Role.CLINICIAN)
READERS = {Role.DATA_ENGINEER, Role.METHODOLOGIST, Role.DIM_PHYSICIAN}
_ARRIVING = 60.0  # seconds in which all come, before the minutes that are asked for
_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass
class Times:
    """Milliseconds per kind of request, and what went wrong."""

    taken: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)

    def told(self) -> dict[str, dict[str, float]]:
        """Counts and percentiles, of each kind and of all."""
        every = [ms for kind in self.taken.values() for ms in kind]
        return {"all": _spread(every)} | {kind: _spread(ms) for kind, ms in sorted(self.taken.items())}


def _spread(times: list[float]) -> dict[str, float]:
    ranked = sorted(times)

    def at(share: float) -> float:
        return round(ranked[min(len(ranked) - 1, int(share * len(ranked)))], 1)

    return {"requests": len(ranked), "median": at(0.5), "p95": at(0.95), "longest": at(1.0)}


class Person:
    """Somebody at a browser."""

    def __init__(self, client: httpx.AsyncClient, login: str, role: Role, times: Times, dice: random.Random) -> None:
        self._client, self.login, self.role, self._times, self._dice = client, login, role, times, dice
        self._csrf = ""

    async def _ask(
        self, kind: str, expected: int, send: Callable[[], Awaitable[httpx.Response]]
    ) -> httpx.Response | None:
        started = time.perf_counter()
        try:
            answer = await send()
        except httpx.HTTPError as error:
            self._times.wrong.append(f"{kind}: {type(error).__name__}")
            return None
        self._times.taken[kind].append((time.perf_counter() - started) * 1000)
        if answer.status_code != expected:
            self._times.wrong.append(f"{kind}: status {answer.status_code}")
        return answer

    async def get(self, kind: str, path: str, **query: str) -> httpx.Response | None:
        """A page."""
        return await self._ask(kind, 200, lambda: self._client.get(path, params=query))

    async def sign_in(self, password: str) -> None:
        """Through the door, as everybody."""
        page = await self.get("door", "/sign-in")
        form = {"csrf": _TOKEN.findall(page.text)[0] if page else "", "login": self.login, "password": password}
        await self._ask("sign in", 303, lambda: self._client.post("/sign-in", data=form))
        home = await self.get("home", "/")
        found = _TOKEN.findall(home.text) if home else []
        self._csrf = found[0] if found else ""

    async def step(self) -> None:
        """One thing that a person does."""
        does = [self._search, self._search, self._count, self._count, self._look_around, self._codes]
        await self._dice.choice(does + ([self._read, self._read] if self.role in READERS else []))()

    async def _search(self) -> None:
        await self.get("search", "/search", q=self._dice.choice(WORDS))

    async def _codes(self) -> None:
        await self.get("codes", "/concepts", q=self._dice.choice(("insuf", "hémor", "aspir", "diab", "gluc")))

    async def _look_around(self) -> None:
        await self.get("pages", self._dice.choice(("/", "/cohort", "/cohorts")))

    async def _count(self) -> None:
        form = {"csrf": self._csrf, "text": self._dice.choice(QUESTIONS)}
        await self._ask("question", 303, lambda: self._client.post("/cohort/text", data=form))
        await self.get("counts", "/cohort/counts")

    async def _read(self) -> None:
        if self._dice.random() < 0.5:
            await self.get("document", f"/documents/{self._dice.randrange(1000)}")
        else:
            patient = self._dice.randrange(1500)
            await self.get("patient", f"/patients/{patient}")
            await self.get("events", f"/patients/{patient}/events")


def _people(site: Path, users: int, password: str) -> list[tuple[str, Role]]:
    state = StateDatabase.open(site / "state.sqlite")
    named = [(f"p{number:03d}", ROLES[number % len(ROLES)]) for number in range(users)]
    for login, role in named:
        create_account(state, KEY_HOLDER, login, password, role, "fr")
    state.close()
    return named


async def _day(base: str, named: list[tuple[str, Role]], password: str, seconds: float, pause: float) -> Times:
    times, until = Times(), time.monotonic() + _ARRIVING + seconds

    async def life(number: int, login: str, role: Role) -> None:
        dice = random.Random(number)
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=60) as client:
            person = Person(client, login, role, times, dice)
            await asyncio.sleep(dice.random() * _ARRIVING)
            await person.sign_in(password)
            while time.monotonic() < until:
                await asyncio.sleep(dice.expovariate(1 / pause))
                await person.step()

    await asyncio.gather(*(life(number, login, role) for number, (login, role) in enumerate(named)))
    return times


def main() -> int:
    """0 when no answer was wrong and the 95th percentile is under the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--pause", type=float, default=5.0, help="mean seconds between two things that a person does")
    parser.add_argument("--p95", type=float, default=800.0, help="milliseconds")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site, password, port = Path(folder) / "demo", secrets.token_urlsafe(12), _free_port()
        estran = [sys.executable, "-m", "estran"]
        subprocess.run([*estran, "demo", site, "--no-serve"], check=True, stdout=subprocess.DEVNULL)
        named = _people(site, asked.users, password)
        server = subprocess.Popen(
            [*estran, "serve", site, "--port", str(port)], stdout=subprocess.DEVNULL, env=os.environ
        )
        try:
            _wait(port)
            times = asyncio.run(_day(f"http://127.0.0.1:{port}", named, password, asked.minutes * 60, asked.pause))
        finally:
            server.terminate()
            server.wait(30)
    told = times.told()
    print(json.dumps(told, indent=1))
    print(
        f"{asked.users} people, {asked.minutes:g} minutes: {len(times.wrong)} wrong answers {sorted(set(times.wrong))[:5]}"
    )
    return int(bool(times.wrong) or told["all"]["p95"] >= asked.p95)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _wait(port: int) -> None:
    for _ in range(600):
        try:
            httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the portal does not answer")


if __name__ == "__main__":
    sys.exit(main())
