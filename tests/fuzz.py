"""Mutated real files against every reader: `python -m tests.fuzz hl7v2 fhir --minutes 10`.

Each input is a real file, cut, spliced, repeated and bitten. A reader may refuse it (InputRefused) or any record
of it; it must not raise anything else, take longer than the limit, or grow without bound, and every batch must add
up. What it did wrong is written to a folder, one input and one traceback per distinct place in the code.

A reader runs in a process of its own with a limit on its memory, so a crash of a library is a finding too.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from estran.app import readers
from estran.model.errors import InputRefused
from estran.settings import Settings
from estran.sources.records import Batch, Reader
from tests import corpus

SECONDS, PATIENCE, MEMORY = 20, 300, 3 << 30  # of processor and of clock, for one input; of address space beyond the start's
TOKENS = (
    b"\0", b"\r", b"\n", b"\r\n", b"\x1c", b"\x0b", b"|", b"^", b"~", b"&", b"\\", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"{", b"[",
    b"<!DOCTYPE x [<!ENTITY a 'b'>]>", b"&a;", b"]]>", b"-1", b"0", b"99999999999999999999", b"1e999", b"NaN", b"null", b"../../x",
    b"\xf0\x9f\x92\x8a", b"\xed\xa0\x80", b"2024-02-30", b"00010101", b"99991231", b"\x1f\x8b", b"PK\x03\x04", b"%PDF-1.7",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """Something a reader did wrong with an input."""

    format: str
    place: str
    what: str


class TooLong(Exception):
    """The limit of time for one input."""


def mutated(seeds: list[tuple[str, bytes]], dice: random.Random) -> tuple[str, bytes]:
    """A name and a changed copy of a seed."""
    name, data = dice.choice(seeds)
    body = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 3, 8))):
        _bite(body, seeds, dice)
    return name, bytes(body)


def _bite(body: bytearray, seeds: list[tuple[str, bytes]], dice: random.Random) -> None:
    at, more = dice.randrange(len(body) + 1), dice.randrange(1, 64)
    kind = dice.randrange(8)
    if kind == 0 and body:
        body[at % len(body)] ^= 1 << dice.randrange(8)
    elif kind == 1:
        body[at:at] = dice.choice(TOKENS)
    elif kind == 2:
        del body[at : at + more]
    elif kind == 3:
        del body[at:]
    elif kind == 4:
        body[at:at] = body[at : at + more] * dice.choice((1, 2, 50))
    elif kind == 5:
        other = dice.choice(seeds)[1]
        start = dice.randrange(len(other) + 1)
        body[at : at + more] = other[start : start + dice.randrange(1, 2000)]
    elif kind == 6:
        body[at : at + more] = dice.randbytes(more)
    else:
        body[at : at + more] = bytes(dice.choice(b"0123456789") for _ in range(more))


def account(batch: Batch) -> None:
    """Whatever a batch points at is there."""
    count = batch.records.num_rows
    for refusal in batch.refusals:
        assert 0 <= refusal.record < count and refusal.reason.endswith("."), "a refusal of no record, or without its sentence"
    for name, table, target in (
        ("documents", batch.documents, count), ("stay_events", batch.stay_events, count), ("movements", batch.movements, count),
    ):  # fmt: skip
        if table.num_rows:
            rows = table["record"].to_numpy()
            assert rows.min() >= 0 and rows.max() < target, f"{name} of no record"
    if batch.facts.num_rows:
        assert batch.facts["document"].to_numpy().max() < batch.documents.num_rows, "facts of no document"
        assert batch.facts["code"].to_numpy().max() < len(batch.codes), "facts of no code"
    batch.facts.validate(full=True)
    batch.documents.validate(full=True)


def try_one(reader: Reader, name: str, data: bytes) -> None:
    """Read an input whole; raises whatever the reader should not have."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            for file in reader.files([path]):
                for batch in reader.read(file, file.name):
                    account(batch)
        except InputRefused:
            pass


def _ring(_signal: int, _frame: FrameType | None) -> None:
    raise TooLong


def _allow(seconds: int, patience: int) -> None:
    """Ring after so many seconds of processor (other work on the machine does not count), or of clock; 0 never."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(patience)


def _worker(format_name: str, seed: int, seconds: float, folder: Path, told: multiprocessing.Queue[Finding | int]) -> None:
    signal.signal(signal.SIGALRM, _ring)
    signal.signal(signal.SIGPROF, _ring)
    reader = corpus.reader(format_name) or readers(Settings())[format_name](format_name)
    seeds, dice = corpus.seeds(format_name), random.Random(seed)
    last, tried, end = folder / f"{format_name}-{seed}.last", 0, time.monotonic() + seconds
    for name, data in seeds:  # the seeds as they are, and a warm start
        try_one(reader, name, data)
    here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (here + MEMORY, here + MEMORY))
    while time.monotonic() < end:
        name, data = mutated(seeds, dice)
        last.write_bytes(data)
        _allow(SECONDS, PATIENCE)
        try:
            try_one(reader, name, data)
        except BaseException as error:  # noqa: BLE001 (whatever it is, it is a finding)
            _allow(0, 0)
            told.put(_keep(format_name, name, data, error, folder))
        _allow(0, 0)
        tried += 1
    last.unlink()
    told.put(tried)


def _keep(format_name: str, name: str, data: bytes, error: BaseException, folder: Path) -> Finding:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "estran" in f.filename] or traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    mark = hashlib.sha256(f"{place}{type(error).__name__}".encode()).hexdigest()[:8]
    target = folder / f"{format_name}-{mark}-{name}"
    if not target.exists():
        target.write_bytes(data)
        target.with_name(target.name + ".txt").write_text("".join(traceback.format_exception(error)))
    return Finding(format_name, place, f"{type(error).__name__}: {target}")


def fuzz(format_name: str, seconds: float, seed: int, folder: Path) -> tuple[int, list[Finding]]:
    """Try inputs for so long; returns how many, and the distinct findings."""
    context = multiprocessing.get_context("spawn")
    found: dict[str, Finding] = {}
    tried, end = 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 1:
        told: multiprocessing.Queue[Finding | int] = context.Queue()
        process = context.Process(target=_worker, args=(format_name, seed, left, folder, told))
        process.start()
        process.join(left + 2 * PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()
        for item in _drained(told):
            if isinstance(item, int):
                tried += item
            else:
                found.setdefault(item.place, item)
        if process.exitcode:
            kept = folder / f"{format_name}-{seed}.last"
            found.setdefault(f"exit {process.exitcode}", Finding(format_name, f"exit {process.exitcode}", str(kept.rename(f"{kept}-{seed}"))))
        seed += 1000
    return tried, list(found.values())


def _drained(told: multiprocessing.Queue[Finding | int]) -> Iterator[Finding | int]:
    while not told.empty():
        yield told.get()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("formats", nargs="*", default=[], help="all without")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each format")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "estran-fuzz")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for format_name in asked.formats or corpus.FORMATS:
        tried, findings = fuzz(format_name, asked.minutes * 60, asked.seed, asked.folder)
        sys.stdout.write(f"{format_name}: {tried} inputs in {asked.minutes:g} minutes, {len(findings)} findings\n")
        for finding in findings:
            sys.stdout.write(f"  {finding.place}  {finding.what}\n")
        sys.stdout.flush()
        wrong += len(findings)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
