"""kill -9 at random instants of a load: the site must open at its last snapshot, and the rerun must
end at the digest of a load that nobody disturbed.

    python -m tests.crash --instants 200
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SAMPLES = Path(__file__).resolve().parent.parent / "src" / "estran" / "samples"
LINES = 100  # of each FHIR file: enough for a dozen commits, few enough for hundreds of kills
KINDS = ("Condition", "DocumentReference", "Encounter", "Patient", "Procedure")


@dataclass(frozen=True)
class Outcome:
    """One kill: when it fell (0 to 1 of the load's time), the snapshot found, whether all was well."""

    instant: float
    snapshot: int
    digest: str
    finished: bool  # the load ended before the kill fell


def make_feeds(folder: Path) -> None:
    """The samples cut short: encounters before patients, so that records wait and come back."""
    (folder / "fhir").mkdir(parents=True)
    for number, kind in enumerate(KINDS):
        path = SAMPLES / "fhir_bulk" / f"{kind}.000.ndjson.gz"
        with gzip.open(path, "rb") as source:
            lines = list(itertools.islice(source, LINES))
        (folder / "fhir" / f"{number:02d}-{path.name.removesuffix('.gz')}").write_bytes(b"".join(lines))
    shutil.copytree(SAMPLES / "hl7v2", folder / "hl7v2")


def load(site: Path) -> None:
    """The whole load, in several commits; each FHIR file by itself, in the order of its name."""
    from estran.app import open_site
    from estran.sources.pipeline.run import ingest

    feeds = site.parent / "feeds"
    for path in sorted((feeds / "fhir").iterdir()):
        with open_site(site).loading() as parts:
            ingest(parts, "fhir", [path])
    with open_site(site).loading() as parts:
        ingest(parts, "hl7v2", [feeds / "hl7v2"])


def create(site: Path) -> None:
    from estran.app import create_site
    from estran.settings import Settings

    create_site(site, Settings(commit_records=60, bucket_patients=4))


def open_after(site: Path, answer: multiprocessing.Queue) -> None:
    """Open the site as a reader would and count; any error reaches the caller."""
    from estran.app import open_site
    from estran.projects.operations import status

    try:
        opened = open_site(site)
        held = status(opened.warehouse.snapshot())
        findings = opened.warehouse.check()
        answer.put((held["snapshot"], [str(f) for f in findings]))
    except Exception as error:  # noqa: BLE001  (the parent process judges)
        answer.put((-1, [repr(error)]))


def digest(site: Path, answer: multiprocessing.Queue) -> None:
    from estran.app import open_site

    try:
        opened = open_site(site)
        with opened.vault() as vault:
            keys = vault.natural_keys()
        findings = [str(f) for f in opened.warehouse.check()]
        answer.put((opened.warehouse.digest(keys.patients, keys.stays), findings))
    except Exception as error:  # noqa: BLE001  (the parent process judges)
        answer.put((repr(error), []))


class Runner:
    """Runs each step in a process of its own, started from one that has imported everything."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["estran.app", "estran.sources.pipeline.run", "estran.projects.operations"])

    def do(self, step, *arguments) -> None:
        process = self._context.Process(target=step, args=arguments)
        process.start()
        process.join()
        if process.exitcode:
            raise AssertionError(f"{step.__name__} ended with {process.exitcode}")

    def ask(self, step, *arguments):
        answer = self._context.Queue()
        process = self._context.Process(target=step, args=(*arguments, answer))
        process.start()
        value = answer.get(timeout=120)
        process.join()
        return value

    def kill(self, step, argument, after: float) -> bool:
        """Run `step` and kill it `after` seconds; True when it had already ended."""
        process = self._context.Process(target=step, args=(argument,))
        process.start()
        process.join(after)
        finished = process.exitcode is not None
        if not finished:
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        return finished


def run(instants: int, seed: int = 20240229, say=lambda _: None) -> list[Outcome]:
    """Outcomes of `instants` kills; AssertionError at the first that is not as it must be."""
    runner, chance = Runner(), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="estran-crash-") as folder:
        make_feeds(Path(folder) / "feeds")
        whole = Path(folder) / "whole"
        create(whole)
        started = time.perf_counter()
        runner.do(load, whole)
        seconds = time.perf_counter() - started
        expected, findings = runner.ask(digest, whole)
        assert len(expected) == 64, expected
        assert not findings, findings
        outcomes = []
        for number in range(instants):
            outcomes.append(_once(runner, Path(folder) / f"site{number}", chance.random(), seconds))
            assert outcomes[-1].digest == expected, f"kill {number}: {outcomes[-1]} instead of {expected}"
            say(f"{number + 1}/{instants} {outcomes[-1]}")
        return outcomes


def _once(runner: Runner, site: Path, instant: float, seconds: float) -> Outcome:
    create(site)
    finished = runner.kill(load, site, instant * seconds)
    snapshot, findings = runner.ask(open_after, site)
    assert snapshot >= 0 and not findings, f"after the kill at {instant:.3f}: {findings}"
    runner.do(load, site)
    value, findings = runner.ask(digest, site)
    assert not findings, f"after the rerun of {instant:.3f}: {findings}"
    shutil.rmtree(site)
    return Outcome(instant, snapshot, value, finished)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instants", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20240229)
    chosen = parser.parse_args()
    started = time.perf_counter()
    outcomes = run(chosen.instants, chosen.seed, print)
    early = sum(not o.finished for o in outcomes)
    print(f"{len(outcomes)} kills, {early} of them in the middle of the load; every rerun ended at the same digest;")
    print(f"snapshots found: {min(o.snapshot for o in outcomes)} to {max(o.snapshot for o in outcomes)}; "
          f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
