"""Faults on a network of three hospitals, a linkage unit and a hub, each a process of its own, over real TLS:
`python -m tests.hub_faults --faults 500`.

With root on Linux each process lives in a network namespace of its own, cables can be cut, and the disks are small
enough to be filled; elsewhere those faults are left out, with a word. Proved at the end: every question is answered by
every hospital once, each count is the one the hospital gives without faults, each question has its total of distinct
patients, which is the one that it has without faults, and nothing an attacker sent was taken. Then members go for good,
one at a time: what is shown of those that are left must be right too (`tests.hub_losses`).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from estran.hub.agent.counting import TOKENS
from estran.hub.agent.link import Link
from estran.hub.book import FILE_NAME, HubBook
from estran.hub.gathering import advance, gather
from estran.hub.wire import Refused, seal, unseal
from estran.model.errors import StoreError
from tests.hub_losses import Losses
from tests.hub_process import Child, Processes, enter, free_port, ip
from tests.hub_truth import put, without_faults
from tests.network_kit import Network, add_hospital, network

SITES = ("angers", "brest", "tours")
QUESTIONS = ("CIM10:I10", "CIM10:I50", "âge>=60", "CIM10:E11 OU CIM10:I10", "sexe=F")
STAGES = ("count", "tokens", "link")  # what the jobs of a question are, in this order
TEN_MINUTES = 600.0
DISK = 96  # MiB


class Faults:
    """One run."""

    def __init__(self, folder: Path, seed: int, spaces: bool) -> None:
        self.folder, self.dice, self.spaces = folder, random.Random(seed), spaces
        self.done: Counter[str] = Counter()
        self.let_in: list[str] = []
        self.died: list[str] = []
        (folder / "wire").mkdir(parents=True)
        self.net = _network(folder)
        host, names = (
            ("10.77.0.1", {name: f"estran-{os.getpid()}-{name}" for name in ("hub", *self.net.places)})
            if spaces
            else ("127.0.0.1", {})
        )
        self.all = Processes(self.net, host, 8443 if spaces else free_port(), folder, names, drop=0.05)
        self.truth = without_faults(self.net, SITES, QUESTIONS, folder / "truth")
        self.asked: dict[str, str] = {}
        self.whole: set[str] = set()
        self.struck: Counter[str] = Counter()

    def ask(self) -> str:
        """One more question, at random. The book is opened for it alone: the hub may be killed or its disk be full."""
        text = self.dice.choice(QUESTIONS)
        with contextlib.closing(HubBook(self.net.house.folder)) as book:
            question = put(book, text, SITES)
        self.asked[question] = text
        return question

    def ask_and_watch(self) -> None:
        """One more question, until it has got to some stage: what breaks then breaks there. Somebody watches its page,
        and loses patience."""
        question, wanted = self.ask(), self.dice.choice(STAGES)
        reached, end = "count", time.monotonic() + 2
        with contextlib.closing(HubBook(self.net.house.folder)) as book:
            while reached != wanted and time.monotonic() < end:
                with contextlib.suppress(StoreError):
                    advance(book, question)
                    there = {job.kind for job in book.jobs(question)}
                    reached = next(stage for stage in reversed(STAGES) if stage in there)
                time.sleep(0.05)
        self.struck[reached] += 1

    def judge(self, patience: float) -> dict[str, object]:
        """Wait until everything was answered and every total is there, then look at each."""
        deadline, started = time.monotonic() + patience, time.monotonic()
        while (lacking := self._lacking()) and time.monotonic() < deadline:
            self.died += self.all.mend()
            time.sleep(0.5)
        waited, wrong, answers, totals = time.monotonic() - started, 0, 0, 0
        tokens = 0
        links: Counter[str] = Counter()
        with contextlib.closing(HubBook(self.net.house.folder)) as book:
            for question, text in self.asked.items():
                stands = gather(book, question)
                whole = stands.total.method == "linkage" and set(stands.total.covers) == set(SITES)
                answers += sum(site.state == "answered" for site in stands.sites)
                totals += whole
                wrong += not self.truth.right(text, stands)
                tokens += book.sizes(question, TOKENS)
                for job in book.jobs(question, "link"):
                    sites = job.body["sites"]
                    links[f"{job.state} for {len(sites)} hospitals"] += 1
                    wrong += job.state == "ok" and not self.truth.right_link(text, sites, job.answer)
            refused = {f"{member or 'nobody'}: {code}": times for member, code, times in book.refusals()}
        return {
            "faults": sum(self.done.values()), "kinds": dict(self.done), "struck": dict(self.struck), "questions": len(self.asked),
            "answers": answers, "totals": totals, "links": dict(links), "wrong": wrong + self.truth.far,
            "lost": 4 * len(self.asked) - answers - totals, "lacking": lacking[:5], "waited": round(waited, 1),
            "bytes_of_tokens_left": tokens, "let_in": len(self.let_in), "what": self.let_in[:5], "refused": refused, "died": dict(Counter(self.died)),
        }  # fmt: skip

    def _lacking(self) -> list[str]:
        """What has not come of the questions, in words: the jobs of those whose total is not there, or that have some open."""
        found = []
        with contextlib.closing(HubBook(self.net.house.folder)) as book:
            for question in set(self.asked) - self.whole:
                advance(book, question)
                total, jobs = gather(book, question).total, book.jobs(question)
                if (total.method, len(total.covers)) != ("linkage", len(SITES)) or any(
                    job.state in ("queued", "taken") for job in jobs
                ):
                    found.append(", ".join(f"{job.kind} of {job.member} {job.state}" for job in jobs))
                else:
                    self.whole.add(question)
        return found

    # Faults

    def kinds(self) -> list[Callable[[], None]]:
        every = [self.hub_killed, self.site_killed, self.clock_off, self.replayed, self.reordered, self.forged]
        every.append(self.hub_restored)
        return [*every, self.network_cut, self.disk_full] if self.spaces else every

    def one(self, number: int) -> None:
        """Fault `number`: the kinds take turns, so that each comes as often."""
        kinds = self.kinds()
        fault = kinds[number % len(kinds)]
        fault()
        self.died += self.all.mend()
        self.done[fault.__name__] += 1

    def hub_killed(self) -> None:
        self.ask_and_watch()
        time.sleep(self.dice.uniform(0, 0.2))
        self.all.start("hub")

    def hub_restored(self) -> None:
        """The hub loses its disk once answers have come, and a backup of before is put back: its members have told it
        things that it knows nothing of."""
        self.ask_and_watch()
        kept, lost = self.folder / "backup.sqlite", self.net.house.folder / FILE_NAME
        with contextlib.closing(sqlite3.connect(lost)) as now, contextlib.closing(sqlite3.connect(kept)) as then:
            now.backup(then)
        time.sleep(self.dice.uniform(0.1, 0.6))
        self.all.children["hub"].kill()
        for name in (lost, lost.with_name(f"{FILE_NAME}-wal"), lost.with_name(f"{FILE_NAME}-shm")):
            name.unlink(missing_ok=True)
        kept.rename(lost)
        self.all.start("hub")
        self._wait_for_members()

    def _wait_for_members(self) -> None:
        """Until each has come to the restored hub: before that it cannot know which of their messages it was sent."""
        with contextlib.closing(HubBook(self.net.house.folder)) as book:
            known, end = _received(book), time.monotonic() + 10
            while time.monotonic() < end and any(known[name] == number for name, number in _received(book).items()):
                time.sleep(0.05)

    def site_killed(self) -> None:
        self.ask_and_watch()
        time.sleep(self.dice.uniform(0, 0.3))
        self.all.start(self.dice.choice([*SITES, "linkage"]))

    def clock_off(self) -> None:
        name = self.dice.choice([*SITES, "hub"])
        self.all.clocks[name] = self.dice.choice([-TEN_MINUTES, 0.0, TEN_MINUTES])
        self.ask_and_watch()
        self.all.start(name)

    def network_cut(self) -> None:
        name = self.dice.choice(["hub", *SITES])
        self.ask_and_watch()
        self.all.cut(name)
        time.sleep(self.dice.uniform(0.05, 0.5))
        self.all.cut(name, again=True)

    def disk_full(self) -> None:
        """The disk on which the hub and all sites write is filled to the last byte while they work."""
        self.ask_and_watch()
        filler = self.folder / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(65_536)):
                pass
        time.sleep(self.dice.uniform(0.1, 0.5))
        filler.unlink()

    def replayed(self) -> None:
        """A message as it was sent, by somebody who has the sender's very keys on the wire."""
        self._attack("replayed", lambda data: data)

    def reordered(self) -> None:
        """A message that was held back on the way comes after later ones."""
        self._attack("reordered", lambda data: data, oldest=True)

    def forged(self) -> None:
        """A message changed on the way: the count, the text, the signature, or another's name."""
        self._attack("forged", self._changed)

    def _changed(self, data: bytes) -> bytes:
        way = self.dice.randrange(4)
        if way == 0:
            return data.replace(b'\\"count\\":', b'\\"count\\":1')
        if way == 1:
            place = self.dice.randrange(len(data) - 1)
            return data[:place] + bytes([data[place] ^ 1 << self.dice.randrange(8)]) + data[place + 1 :]
        message = unseal(data, lambda sender: self.net.places[sender].identity.public.key)
        if way == 2:  # signed by another member
            return seal(dataclasses.replace(message, nonce="00" * 16), self.net.places["linkage"].identity.key)
        own = dataclasses.replace(message, sender="tours", sequence=10**9)  # and in its name
        return seal(own, self.net.places["linkage"].identity.key)

    def _attack(self, kind: str, change: Callable[[bytes], bytes], *, oldest: bool = False) -> None:
        """Send, from a process of its own, something that went over the wire before; what is taken is a fault of ours."""
        self.ask()
        seen = sorted(path for path in (self.folder / "wire").iterdir() if path.suffix != ".part")
        if len(seen) < 20:
            time.sleep(0.5)
            seen = sorted(path for path in (self.folder / "wire").iterdir() if path.suffix != ".part")
        chosen = seen[self.dice.randrange(len(seen) // 2)] if oldest else self.dice.choice(seen[:-8] or seen)
        path, _, data = chosen.read_bytes().partition(b"\n")
        for old in seen[:-400]:
            old.unlink(missing_ok=True)
        sender = unseal(data, lambda sender: self.net.places[sender].identity.public.key).sender
        sent = change(data)
        if sent == data and kind == "forged":
            sent = data[:-1]
        told = self.folder / "attack"
        told.unlink(missing_ok=True)

        def send() -> None:
            enter(self.all.spaces.get(sender))
            told.write_text(_sent(self.all, sender, path.decode(), sent))

        child = Child(send)
        child.start()
        os.waitpid(child.pid, 0)
        said = told.read_text() if told.is_file() else "no answer"
        if said not in ("refusal", "no answer"):
            self.let_in.append(f"{kind}: {said}")


def _received(book: HubBook) -> dict[str, int]:
    return {str(row[0]): int(row[1]) for row in book.db.rows("SELECT id, received FROM member")}


def _sent(every: Processes, sender: str, path: str, data: bytes) -> str:
    """What the hub replied to an attacker: the kind of its reply, or that there was none."""
    place = every.net.places[sender]
    link = Link(f"https://{every.host}:{every.port}", place.membership.certificate, place.identity, patience=5.0)
    try:
        reply = link.carry(path, data)
        return unseal(reply, lambda _: place.membership.hub_key.key).kind
    except (OSError, Refused):
        return "no answer"


def _network(folder: Path) -> Network:
    made = network(folder)
    for name in SITES:
        add_hospital(made, folder, name, first=300)
        site = made.places[name].site
        assert site is not None
        site.state.close()
    made.house.close()
    return made


# Namespaces, cables, disks


def may_have_namespaces() -> bool:
    """Whether network namespaces and mounts can be made here."""
    probe = f"estran-{os.getpid()}-probe"
    made = shutil.which("ip") is not None and os.geteuid() == 0 and ip("netns", "add", probe, check=False) == 0
    if made:
        ip("netns", "del", probe)
    return made


@contextlib.contextmanager
def cables(names: dict[str, str]) -> Iterator[None]:
    """A bridge in the hub's namespace, and a cable from each member to it."""
    hub = names.get("hub", "")
    try:
        for number, (member, space) in enumerate(names.items(), 1):
            ip("netns", "add", space)
            ip("-n", space, "link", "set", "lo", "up")
            if member == "hub":
                ip("-n", hub, "link", "add", "eth0", "type", "bridge")
                ip("-n", hub, "addr", "add", "10.77.0.1/24", "dev", "eth0")
                ip("-n", hub, "link", "set", "eth0", "up")
                continue
            port = f"port{number}"
            ip("-n", hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("-n", hub, "link", "set", port, "master", "eth0", "up")
            ip("-n", space, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
        yield
    finally:
        for space in names.values():
            ip("netns", "del", space, check=False)


@contextlib.contextmanager
def small_disk(folder: Path, wanted: bool) -> Iterator[None]:
    """A disk of its own for the run, small enough to be filled."""
    if wanted:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        if wanted:
            subprocess.run(["umount", "-l", folder], check=False)


def run(faults: int, losses: int, seed: int, spaces: bool, patience: float) -> dict[str, object]:
    """The whole run; what it found."""
    folder = Path(tempfile.mkdtemp(prefix="estran-faults-"))
    try:
        with small_disk(folder, spaces):
            at_work = Faults(folder / "run", seed, spaces)
            with cables(at_work.all.spaces):
                try:
                    at_work.all.start()
                    started = time.monotonic()
                    for number in range(faults):
                        at_work.one(number)
                    found = at_work.judge(patience) | {"seconds_of_faults": round(time.monotonic() - started)}
                    gone = Losses(at_work.all, at_work.truth, SITES, QUESTIONS[:losses]).run(patience)
                    return found | {
                        "losses": gone,
                        "wrong": found["wrong"] + gone["wrong"],
                        "lost": found["lost"] + gone["lost"],
                    }
                finally:
                    at_work.all.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument(
        "--losses", type=int, default=5, help="Questions put while somebody is gone for good, at most 5."
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--patience", type=float, default=300.0, help="Seconds in which all must be answered at the end."
    )
    parser.add_argument("--plain", action="store_true", help="Without namespaces: no cable is cut, no disk filled.")
    asked = parser.parse_args()
    spaces = not asked.plain and may_have_namespaces()
    if not spaces and not asked.plain:
        print(
            "Network namespaces cannot be made here (root and iproute2 are needed): no cable is cut, no disk filled.",
            file=sys.stderr,
        )
    started = time.monotonic()
    found = run(asked.faults, asked.losses, asked.seed, spaces, asked.patience)
    print(json.dumps(found | {"namespaces": spaces, "seconds": round(time.monotonic() - started, 1)}))
    return 1 if any(found[name] for name in ("wrong", "lost", "let_in", "bytes_of_tokens_left")) else 0


if __name__ == "__main__":
    sys.exit(main())
