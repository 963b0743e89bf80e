"""kill -9 of `estran listen` at random instants while senders go on sending: every acknowledged message
must be in the warehouse exactly once, soon.

    python -m tests.mllp_crash --messages 10000 --connections 20 --kills 20 --rate 40

Messages come at `rate` per second, all connections together, whatever the listener does: a university
hospital sends 5 to 20 on average, 40 are a rush. What could not be sent while the listener was down is sent
as fast as it is acknowledged. One kill falls into each equal share of the messages, at a random place of it.
Times of a restart are in the delays.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.ports import free_port
from tests.spec import site_kit as kit

CODE = "2160-0^Créatinine^LN"


def message(number: int) -> bytes:
    """Report `number`: its own order, the number as its value; three messages per patient."""
    patient = kit.pid(f"{number // 3:06d}", "DUPRATELLE", f"Yseult{number // 3}", "19610704", "F")
    when = f"20240301{number // 3600 % 24:02d}{number // 60 % 60:02d}{number % 60:02d}"
    obx = (f"OBX|1|NM|{CODE}||{number}|umol/L|||||F", f"OBX|2|TX|CR^Note^L||Compte rendu numéro {number}||||||F")
    return kit.oru(when, patient, f"F{number}", *obx, visit=kit.pv1(f"V{number // 3}")).encode()


def frame(body: bytes) -> bytes:
    return b"\x0b" + body + b"\x1c\r"


class Connection:
    """A sender: one message at a time, sent again until it is acknowledged."""

    def __init__(self, port: int) -> None:
        self._port, self._socket = port, None
        self.sent = 0

    def deliver(self, body: bytes, patience: float = 120.0) -> bytes:
        """The acknowledgement of `body`, whatever happens in between."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            try:
                if self._socket is None:
                    self._socket = socket.create_connection(("127.0.0.1", self._port), 5.0)
                self._socket.settimeout(20.0)
                self._socket.sendall(frame(body))
                self.sent += 1
                answer = self._answer()
                if answer:
                    return answer
            except OSError:
                pass
            self.close()
            time.sleep(0.05)
        raise AssertionError("a message was never acknowledged")

    def _answer(self) -> bytes:
        answer = b""
        while not answer.endswith(b"\x1c\r"):
            chunk = self._socket.recv(65536)
            if not chunk:
                return b""
            answer += chunk
        return answer

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Service:
    """The listener's process, restarted at once when it is killed: a new interpreter each time, or (`warm`)
    one that has imported everything."""

    def __init__(self, site: Path, port: int, every: float, *, warm: bool = False) -> None:
        self._arguments = ["listen", str(site), "--port", str(port), "--every", str(every), "--json"]
        self._port, self._warm, self.log_file = port, warm, site.parent / "listener.log"
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["estran.cli", "tests.mllp_crash"])
        # An installed program is compiled; here it may lie in sources that nothing may be written to.
        self._environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(site.parent / "compiled")}

    def start(self) -> None:
        if self._warm:
            self._process = self._context.Process(target=_listen, args=(self._arguments, str(self.log_file)))
            self._process.start()
        else:
            with self.log_file.open("ab") as log:
                command = [sys.executable, "-m", "estran", *self._arguments]
                self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)
        until = time.monotonic() + 60
        while time.monotonic() < until and self._running():
            try:
                socket.create_connection(("127.0.0.1", self._port), 0.5).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"the listener does not start: {self.log()}")

    def log(self) -> str:
        return self.log_file.read_text("utf-8")

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._wait()

    def stop(self) -> int:
        os.kill(self._process.pid, signal.SIGTERM)
        return self._wait()

    def _running(self) -> bool:
        return self._process.is_alive() if self._warm else self._process.poll() is None

    def _wait(self) -> int:
        if not self._warm:
            return self._process.wait(60)
        self._process.join(60)
        return self._process.exitcode


def _listen(arguments: list[str], log: str) -> None:
    """`estran` with these arguments, its lines going to a file."""
    from estran import cli

    for number in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    sys.argv = ["estran", *arguments]
    cli.main()


@dataclass
class Outcome:
    """What was measured; times in seconds."""

    messages: int
    kills: int
    resent: int
    superseded: int
    delays: np.ndarray = field(repr=False)  # from acknowledgement to searchable, per message
    seconds: float  # from the first message sent to the last acknowledged
    restarts: list[float] = field(repr=False)  # until the port was open again
    batches: list[tuple[int, float]] = field(repr=False)  # messages and seconds of each, as the listener tells

    def delay(self, percentile: float) -> float:
        return float(np.percentile(self.delays, percentile))


class Watch(threading.Thread):
    """Notes when each message can first be found, as any reader of the site sees it."""

    def __init__(self, site: kit.Site, messages: int) -> None:
        super().__init__(daemon=True)
        self._site, self.seen = site, np.full(messages, np.nan)
        self.stopping = threading.Event()

    def run(self) -> None:
        version = -1
        while not self.stopping.wait(0.1):
            if (latest := self._site.warehouse.latest()) == version:
                continue
            version = latest
            found = [int(row[0]) for row in kit.rows(self._site, "select value from fact where value is not null")]
            fresh = [number for number in found if np.isnan(self.seen[number])]
            self.seen[fresh] = time.monotonic()


def run(
    messages: int, connections: int, kills: int, every: float = 2.0, rate: float = 40.0, seed: int = 20240229,
    warm: bool = False, say=lambda _: None,
) -> Outcome:  # fmt: skip
    """Send, kill, and prove; AssertionError when anything is lost, doubled, or differs from a plain load."""
    with tempfile.TemporaryDirectory(prefix="estran-mllp-") as name:
        folder = Path(name)
        site = kit.make(folder / "site")
        port = free_port()
        service, watch = Service(site.directory, port, every, warm=warm), Watch(site, messages)
        service.start()
        watch.start()
        acknowledged = np.full(messages, np.nan)
        started = time.monotonic()
        killed = threading.Event()
        senders = [
            _Sender(port, range(n, messages, connections), acknowledged, (started, rate), killed)
            for n in range(connections)
        ]
        for sender in senders:
            sender.start()
        restarts = list(_killings(service, acknowledged, senders, kills, random.Random(seed), say))
        killed.set()
        for sender in senders:
            sender.join()
            assert sender.error is None, sender.error
        _wait_for(watch)
        assert service.stop() == 0, service.log()
        watch.stopping.set()
        watch.join()
        superseded = prove(site, folder, messages)
        resent = sum(s.connection.sent for s in senders) - messages
        seconds = float(acknowledged.max()) - started
        delays = watch.seen - acknowledged
        return Outcome(messages, kills, resent, superseded, delays, seconds, restarts, _batches(service))


def _killings(service: Service, acknowledged: np.ndarray, senders: list[_Sender], kills: int, chance: random.Random, say):
    """Kill and restart once in each share of the messages; yields the seconds until the port was open again."""
    for number in range(kills):
        place = (number + chance.uniform(0.05, 0.9)) / kills * (len(acknowledged) - len(senders))
        while (done := np.count_nonzero(~np.isnan(acknowledged))) < place:
            assert all(sender.error is None for sender in senders), [sender.error for sender in senders]
            time.sleep(0.005)
        service.kill()
        down = time.monotonic()
        service.start()
        yield time.monotonic() - down
        say(f"kill {number + 1}/{kills}: {done} acknowledged")


def _batches(service: Service) -> list[tuple[int, float]]:
    told = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    return [(item["read"], item["seconds"]) for item in told if "read" in item]


class _Sender(threading.Thread):
    """Sends message n of all when its time has come: n / rate seconds after `begun`; the last once the kills are over, so
    that each falls among the messages however long a restart takes."""

    def __init__(
        self, port: int, numbers: range, acknowledged: np.ndarray, pace: tuple[float, float], killed: threading.Event
    ) -> None:
        super().__init__(daemon=True)
        self.connection, self._numbers, self._acknowledged = Connection(port), numbers, acknowledged
        self._begun, self._rate = pace
        self._killed = killed
        self.error: str | None = None

    def run(self) -> None:
        try:
            for number in self._numbers:
                time.sleep(max(self._begun + number / self._rate - time.monotonic(), 0.0))
                if number == self._numbers[-1]:
                    self._killed.wait()
                answer = self.connection.deliver(message(number))
                self._acknowledged[number] = time.monotonic()
                assert f"MSA|AA|F{number}\r".encode() in answer, answer
        except AssertionError as error:
            self.error = str(error)
        self.connection.close()


def _wait_for(watch: Watch) -> None:
    until = time.monotonic() + 60
    while np.isnan(watch.seen).any():
        assert time.monotonic() < until, f"{np.isnan(watch.seen).sum()} acknowledged messages are not searchable"
        time.sleep(0.1)


def prove(site: kit.Site, folder: Path, messages: int) -> int:
    """Every message once, nothing else, the same content as one plain load; returns the records superseded."""
    assert kit.findings(site) == []
    counted = "select count(*), count(distinct value), min(value), max(value) from fact where value is not null"
    assert kit.rows(site, counted) == [(messages, messages, 0.0, messages - 1.0)]
    assert kit.value(site, "select count(*) from document") == messages
    account = "select sum(read)::int, sum(loaded)::int, sum(superseded)::int, sum(quarantined)::int from raw_load"
    read, loaded, superseded, quarantined = kit.rows(site, account)[0]
    assert (read, loaded, quarantined) == (messages + superseded, messages, 0), (read, loaded, superseded, quarantined)
    assert not [p for p in (site.directory / "spool").rglob("*") if p.suffix not in ("", ".lock")], "the spool is empty at the end"
    plain = kit.make(folder / "plain")
    path = folder / "all.hl7"
    path.write_bytes(b"".join(message(number) for number in range(messages)))
    kit.load(plain, "hl7v2", path)
    assert kit.digest(site) == kit.digest(plain)
    return superseded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--every", type=float, default=2.0, help="seconds of a micro-batch")
    parser.add_argument("--rate", type=float, default=40.0, help="messages per second, all connections together")
    parser.add_argument("--seed", type=int, default=20240229)
    chosen = parser.parse_args()
    found = run(chosen.messages, chosen.connections, chosen.kills, chosen.every, chosen.rate, chosen.seed, say=print)
    print(f"{found.messages} messages over {chosen.connections} connections, {found.kills} kills, {found.seconds:.0f} s "
          f"({found.messages / found.seconds:.0f}/s): every message once; {found.resent} sent again, "
          f"{found.superseded} of them kept twice and superseded")
    print(f"from acknowledgement to searchable: median {found.delay(50):.1f} s, p95 {found.delay(95):.1f} s, "
          f"longest {found.delay(100):.1f} s; a restart took {np.median(found.restarts):.1f} s")
    sizes, seconds = np.array(found.batches).T
    print(f"{len(sizes)} micro-batches, of {np.median(sizes):.0f} messages in {np.median(seconds):.2f} s (medians), "
          f"{sizes.sum() / seconds.sum():.0f} messages per second of loading")


if __name__ == "__main__":
    main()
