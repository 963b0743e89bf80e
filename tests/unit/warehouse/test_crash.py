"""A process that dies between any two durable steps of a commit leaves the last snapshot whole."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests import fresh
from tests.unit.warehouse.warehouse_rows import SMALL, Hospital, first_load, keys, one

from estran.warehouse import Warehouse, digest

ROOT = Path(__file__).resolve().parents[3]

# For each folder, forks a process that runs the second load there and dies at its n-th durable step.
CHILD = """
import os, pathlib, sys
sys.path.insert(0, sys.argv[1])
from tests.unit.warehouse import test_crash
for given in sys.argv[2:]:
    directory, _, step = given.rpartition("@")
    child = os.fork()
    if child == 0:
        test_crash.die_at(int(step))
        test_crash.second_load(pathlib.Path(directory))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
DIED, FINISHED = 42, 0


def seams() -> list[tuple[object, str]]:
    """Every function through which something becomes durable, as its caller sees it."""
    from estran.warehouse import delta, draft, files, hidden, presence, record, texts, writer

    return [
        (draft, "write_file"),
        (presence, "write_durable"),
        (hidden, "write_durable"),
        (texts, "TextIndexBuilder"),
        (delta, "publish"),
        (writer, "write_record"),
        (record, "publish"),
        (files, "rename"),
    ]


def die_at(step: int) -> None:
    """Make the process end at once when it comes to its `step`-th seam."""
    import os

    passed = [0]

    def guarded(original):  # type: ignore[no-untyped-def]
        def call(*args, **kwargs):  # type: ignore[no-untyped-def]
            passed[0] += 1
            if passed[0] == step:
                os._exit(42)
            return original(*args, **kwargs)

        return call

    for owner, name in seams():
        setattr(owner, name, guarded(getattr(owner, name)))


def second(hospital: Hospital):  # type: ignore[no-untyped-def]
    """New versions for two patients of different buckets, a new patient, a stay that moves."""
    changes = hospital.documents(
        {"patient": 3, "key": 1, "facts": [{"concept_id": 2}], "text": "nouveau"},
        {"patient": 14, "key": 2, "status": 2, "facts": []},
        {"patient": 26, "key": 1, "facts": [{"concept_id": 1}], "text": "arrivé"},
    )
    changes.upsert["patient"] = hospital.patients(26)
    changes.upsert["stay"] = hospital.stays((2, 26))
    return changes


def second_load(directory: Path) -> None:
    hospital = Hospital()
    first_load(hospital)
    with Warehouse.open(directory, SMALL).writer() as writer:
        writer.commit(second(hospital))


def fingerprint(warehouse: Warehouse) -> str:
    return digest(warehouse.snapshot(), keys("p"), keys("s"))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A folder with the first load, its digest, and the digest after the second."""
    base = tmp_path_factory.mktemp("crash") / "base"
    warehouse = fresh.warehouse(base, SMALL)
    with warehouse.writer() as writer:
        writer.commit(first_load(Hospital()))
    after = base.with_name("after")
    shutil.copytree(base, after)
    second_load(after)
    return base, fingerprint(warehouse), fingerprint(Warehouse.open(after, SMALL))


def crash(places: dict[int, Path]) -> list[int]:
    """Exit codes of the processes that die at each step in its folder."""
    given = [f"{directory}@{step}" for step, directory in places.items()]
    run = subprocess.run([sys.executable, "-c", CHILD, str(ROOT), *given], check=True, capture_output=True, text=True)
    return [int(line) for line in run.stdout.split()]


def test_every_stage_of_a_commit_may_be_the_last(history: tuple[Path, str, str], tmp_path: Path) -> None:
    base, before, after = history
    places = {step: tmp_path / f"at{step}" for step in (1, 15, 24, 30, *range(35, 39), 60)}
    for directory in places.values():
        shutil.copytree(base, directory)
    outcomes = dict(zip(places, crash(places), strict=True))
    assert list(outcomes.values()).count(DIED) == 8 and outcomes[60] == FINISHED, outcomes
    for step, directory in places.items():
        warehouse = Warehouse.open(directory, SMALL)
        finished = outcomes[step] == FINISHED
        assert fingerprint(warehouse) == (after if finished else before), step
        if not finished:
            assert_goes_on(directory, after)


def assert_goes_on(directory: Path, after: str) -> None:
    """The load can be run again over the litter, and the litter can be swept."""
    second_load(directory)
    warehouse = Warehouse.open(directory, SMALL)
    warehouse.vacuum(keep=1)
    assert fingerprint(warehouse) == after and warehouse.check() == []
    assert one(warehouse.snapshot(), "SELECT count(*) FROM document") == 50
