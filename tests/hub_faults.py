"""Faults on a network of three hospitals, a linkage unit and a hub, each a process of its own, over real TLS:
`python -m tests.hub_faults --faults 500`.

With root on Linux each process lives in a network namespace of its own, cables can be cut, and the disks are small
enough to be filled; elsewhere those faults are left out, with a word. Proved at the end: every question is answered by
every hospital once, each count is the one the hospital gives without faults, and nothing an attacker sent was taken.
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

from estran.cohort.language import json as question_json
from estran.cohort.language.text import parse
from estran.hub.agent.link import Link
from estran.hub.book import FILE_NAME, HubBook, Question
from estran.hub.gathering import advance, gather
from estran.hub.wire import Refused, seal, unseal
from tests.hub_process import Child, Processes, enter, free_port
from tests.network_kit import Network, add_hospital, network

SITES = ("angers", "brest", "tours")
QUESTIONS = ("CIM10:I10", "CIM10:I50", "âge>=60", "CIM10:E11 OU CIM10:I10", "sexe=F")
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
        self.truth = self._without_faults()
        self.asked: dict[str, str] = {}

    # What is right

    def _without_faults(self) -> dict[tuple[str, str], int]:
        """What each hospital answers when nothing goes wrong, in a process that ends: what SQLite and DuckDB open must
        not be shared with those to come."""
        told = self.folder / "truth"

        def answer() -> None:
            book = HubBook(self.net.house.folder)
            net = dataclasses.replace(self.net, house=dataclasses.replace(self.net.house, book=book))
            found = {}
            for text in QUESTIONS:
                question = _put(book, text)
                net.run(*SITES)
                found.update({f"{job.member} {text}": job.answer["count"] for job in book.jobs(question, "count")})
            told.write_text(json.dumps(found))

        child = Child(answer)
        child.start()
        os.waitpid(child.pid, 0)
        return {
            (key.split(" ", 1)[0], key.split(" ", 1)[1]): value for key, value in json.loads(told.read_text()).items()
        }

    def ask(self) -> None:
        """One more question, at random. The book is opened for it alone: the hub may be killed or its disk be full."""
        text = self.dice.choice(QUESTIONS)
        with contextlib.closing(HubBook(self.net.house.folder)) as book:
            self.asked[_put(book, text)] = text

    def judge(self, patience: float) -> dict[str, object]:
        """Wait until everything was answered, then look at each answer."""
        deadline = time.monotonic() + patience
        while (open_jobs := self._open()) and time.monotonic() < deadline:
            self.died += self.all.mend()
            time.sleep(0.5)
        wrong, answers = 0, 0
        with contextlib.closing(HubBook(self.net.house.folder)) as book:
            for question, text in self.asked.items():
                for job in book.jobs(question, "count"):
                    answers += job.state == "ok"
                    wrong += job.state != "ok" or job.answer.get("count") != self.truth[job.member, text]
            refused = {f"{member or 'nobody'}: {code}": times for member, code, times in book.refusals()}
            told = {(text, gather(book, question).total) for question, text in self.asked.items()}
        totals = len(told)  # the same question has the same total, whatever happened on the way
        wrong += totals != len(set(self.asked.values())) or any(one.method != "linkage" for _, one in told)
        return {
            "faults": sum(self.done.values()), "kinds": dict(self.done), "questions": len(self.asked), "answers": answers,
            "totals": totals, "wrong": wrong, "lost": open_jobs, "let_in": len(self.let_in), "what": self.let_in[:5], "refused": refused, "died": dict(Counter(self.died)),
        }  # fmt: skip

    def _open(self) -> int:
        with contextlib.closing(HubBook(self.net.house.folder)) as book:
            for question in self.asked:
                advance(book, question)
            return sum(job.state in ("queued", "taken") for question in self.asked for job in book.jobs(question))

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
        self.ask()
        time.sleep(self.dice.uniform(0, 0.2))
        self.all.start("hub")

    def hub_restored(self) -> None:
        """The hub loses its disk once answers have come, and a backup of before is put back: its members have told it
        things that it knows nothing of."""
        self.ask()
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
        self.ask()
        time.sleep(self.dice.uniform(0, 0.3))
        self.all.start(self.dice.choice([*SITES, "linkage"]))

    def clock_off(self) -> None:
        name = self.dice.choice([*SITES, "hub"])
        self.all.clocks[name] = self.dice.choice([-TEN_MINUTES, 0.0, TEN_MINUTES])
        self.all.start(name)
        self.ask()

    def network_cut(self) -> None:
        space = self.all.spaces[self.dice.choice(["hub", *SITES])]
        self.ask()
        _ip("-n", space, "link", "set", "eth0", "down")
        time.sleep(self.dice.uniform(0.05, 0.5))
        _ip("-n", space, "link", "set", "eth0", "up")

    def disk_full(self) -> None:
        """The disk on which the hub and all sites write is filled to the last byte while they work."""
        self.ask()
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


def _put(book: HubBook, text: str) -> str:
    """A question as a desk puts it; again when the disk is full for a moment."""
    query = parse(text)
    question = Question(os.urandom(8).hex(), time.time(), "test", text, question_json.dumps(query), {"distinct": True})
    body = {"cohort": question_json.to_object(query), "distinct": True}
    for _ in range(100):
        try:
            book.ask(question, [(name, "count", body) for name in SITES], time.time() + 86_400)
            return question.id
        except Exception:  # noqa: BLE001
            time.sleep(0.05)
    raise TimeoutError("the question could not be put")


# Namespaces, cables, disks


def may_have_namespaces() -> bool:
    """Whether network namespaces and mounts can be made here."""
    probe = f"estran-{os.getpid()}-probe"
    made = shutil.which("ip") is not None and os.geteuid() == 0 and _ip("netns", "add", probe, check=False) == 0
    if made:
        _ip("netns", "del", probe)
    return made


@contextlib.contextmanager
def cables(names: dict[str, str]) -> Iterator[None]:
    """A bridge in the hub's namespace, and a cable from each member to it."""
    hub = names.get("hub", "")
    try:
        for number, (member, space) in enumerate(names.items(), 1):
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
            if member == "hub":
                _ip("-n", hub, "link", "add", "eth0", "type", "bridge")
                _ip("-n", hub, "addr", "add", "10.77.0.1/24", "dev", "eth0")
                _ip("-n", hub, "link", "set", "eth0", "up")
                continue
            port = f"port{number}"
            _ip("-n", hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("-n", hub, "link", "set", port, "master", "eth0", "up")
            _ip("-n", space, "addr", "add", f"10.77.0.{number}/24", "dev", "eth0")
            _ip("-n", space, "link", "set", "eth0", "up")
        yield
    finally:
        for space in names.values():
            _ip("netns", "del", space, check=False)


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


def _ip(*words: str, check: bool = True) -> int:
    return subprocess.run(["ip", *words], check=check, capture_output=True).returncode


def run(faults: int, seed: int, spaces: bool, patience: float) -> dict[str, object]:
    """The whole run; what it found."""
    folder = Path(tempfile.mkdtemp(prefix="estran-faults-"))
    try:
        with small_disk(folder, spaces):
            at_work = Faults(folder / "run", seed, spaces)
            with cables(at_work.all.spaces):
                try:
                    at_work.all.start()
                    for number in range(faults):
                        at_work.one(number)
                    return at_work.judge(patience)
                finally:
                    at_work.all.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=500)
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
    found = run(asked.faults, asked.seed, spaces, asked.patience)
    print(json.dumps(found | {"namespaces": spaces, "seconds": round(time.monotonic() - started, 1)}))
    return 1 if found["wrong"] or found["lost"] or found["let_in"] else 0


if __name__ == "__main__":
    sys.exit(main())
