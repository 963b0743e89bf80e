"""A load that was interrupted goes on where it stopped, however its batches are cut the second time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.spec.site_kit import digest, findings, load, make, oru, pid, rows, write_messages

from estran.sources.hl7v2 import reader
from estran.sources.pipeline.run import Load


class Interrupted(Exception):
    """The power is cut."""


def _messages(count: int) -> list[str]:
    return [
        oru(f"202501{1 + n // 24:02}{n % 24:02}00", pid(f"7{n % 9}", "KERGUELEN", "Armelle"), f"L{n}", f"OBX|1|NM|2345-7^Glucose^LN||{n}|mmol/L|||||F")
        for n in range(count)
    ]


@pytest.mark.parametrize(("count", "second"), [(23, 8), (28, 10), (21, 3), (28, 5)])
def test_every_record_is_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, second: int) -> None:
    file = write_messages(tmp_path / "labo.hl7", *_messages(count))
    whole = make(tmp_path / "whole", commit_records=10)
    load(whole, "hl7v2", file)
    site = make(tmp_path / "site", commit_records=10)
    commit, commits = Load.commit, 0

    def interrupted(self: Load) -> Any:
        nonlocal commits
        commits += 1
        if commits == 2:
            raise Interrupted
        commit(self)

    monkeypatch.setattr(reader, "_BATCH_RECORDS", 5)
    monkeypatch.setattr(Load, "commit", interrupted)
    with pytest.raises(Interrupted):
        load(site, "hl7v2", file)
    monkeypatch.setattr(Load, "commit", commit)
    monkeypatch.setattr(reader, "_BATCH_RECORDS", second)
    load(site, "hl7v2", file)
    account = "select sum(read), sum(loaded + superseded + quarantined), bool_and(complete) from raw_load"
    assert rows(site, account) == [(count, count, True)]
    assert rows(site, "select count(*) from document") == [(count,)]
    assert (digest(site), findings(site)) == (digest(whole), [])
