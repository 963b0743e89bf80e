"""The benchmark of linkage keeps each figure as soon as it is measured, and tells what the peer did not come to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks import linkage

EXACT = {"ins", "five", "any", "any traits"}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linkage, "PEOPLE", 400)
    monkeypatch.setattr(linkage, "_installed", lambda folder: None)


def kept(work: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((work / linkage.RESULT).read_text())
    return found


def judge(folder: Path, does: str) -> Path:
    """A program that stands where splink's Python would."""
    program = folder / "judge"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o700)
    return program


def test_every_method_is_measured_on_every_seed(tmp_path: Path) -> None:
    linkage.run(tmp_path, lambda: None)
    found = kept(tmp_path)
    assert list(found["seeds"]) == [str(seed) for seed in linkage.MEASURED]
    for one in found["seeds"].values():
        assert set(one["methods"]) == EXACT | {name for name in linkage._TITLES if name.startswith(("ours", "traits"))}
        assert one["methods"]["ins"]["precision"] == 1 and one["methods"]["ours 0.9"]["recall"] > 0.9
    assert " alone)" not in "".join(linkage.tell(found))


def test_a_run_that_is_ended_keeps_what_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(trial: linkage.Trial) -> Iterator[tuple[str, dict[str, Any]]]:
        yield "ours 0.9", linkage._linked(trial.written, trial.made, 0.9, with_ins=True)
        raise KeyboardInterrupt

    monkeypatch.setattr(linkage, "_ours", ended)
    with pytest.raises(KeyboardInterrupt):
        linkage.run(tmp_path, lambda: None)
    first, second = kept(tmp_path)["seeds"].values()
    assert set(first["methods"]) == EXACT | {"ours 0.9"}
    assert set(second["methods"]) == EXACT
    assert f"(seed {linkage.MEASURED[0]} alone)" in linkage.tell(kept(tmp_path))[1]


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("exec sleep 600", "not within 1 s"),
        ("echo 'Out of Memory Error: failed to offload' >&2; exit 1", "more than 4 GB"),
        ("echo 'no such column' >&2; exit 1", "ended with an error"),
    ],
)
def test_a_peer_that_does_not_end_is_told_in_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, told: str
) -> None:
    monkeypatch.setattr(linkage, "PEER_S", 1)
    monkeypatch.setattr(linkage, "_installed", lambda folder: judge(tmp_path, does))
    linkage.run(tmp_path, lambda: None)
    rows = [line for line in linkage.tell(kept(tmp_path))[1].splitlines() if "splink" in line]
    assert len(rows) == 24
    assert all(f"(seed {seed}: {told})" in row for row in rows for seed in linkage.MEASURED)
    assert not (tmp_path / "splink-run").exists()


def test_what_the_peer_wrote_before_it_was_stopped_is_measured(tmp_path: Path) -> None:
    """Pairs and one clustering; a file that its note does not name is taken for half written."""
    trial = linkage._trial(1)
    same = np.unique(trial.who, return_index=True, return_inverse=True)
    firsts = same[1][same[2]]
    two = np.flatnonzero(firsts != np.arange(len(firsts)))
    chances = np.full(len(two), 0.95)
    pq.write_table(
        pa.table({"record_l": firsts[two], "record_r": two, "match_probability": chances}), tmp_path / "pairs.parquet"
    )
    clusters = pa.table({"record": np.arange(len(firsts)), "cluster_id": trial.who.astype(str)})
    for name in ("joined-0.9", "best-0.9"):
        pq.write_table(clusters, tmp_path / f"{name}.parquet")
    (tmp_path / "cpu.json").write_text(json.dumps({"pairs": 2.0, "joined-0.9": 0.5}))
    found = dict(linkage._answers(tmp_path, trial, np.full(len(firsts), "")))
    assert found["joined 0.9"] == {"precision": 1, "recall": 1, "f1": 1, "cpu_s": 2.5}
    assert found["best 0.9"] is None and found["joined 0.98"] is None
    assert found["ours 0.9"] and found["ours 0.9"]["recall"] == 1 and found["ours 0.9"]["cpu_s"] >= 2
    assert found["ours 0.98"] and found["ours 0.98"]["recall"] == 0
