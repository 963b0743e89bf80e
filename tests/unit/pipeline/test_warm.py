"""Loads that follow each other in one process keep what they read, and end as if they had not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.spec import site_kit as kit

from estran.app import Site, open_site
from estran.sources.pipeline.run import ingest
from estran.sources.pipeline.warm import Warm


def _report(number: int, code: str) -> str:
    patient = kit.pid(f"{number:04d}", "DUPRATELLE", f"Yseult{number}", "19610704", "F")
    return kit.oru(f"2024030112{number:02d}00", patient, f"F{number}", f"OBX|1|NM|{code}^Dosage {code}^L||{number}|g/L|||||F")


_FILES = [[_report(n, code) for n, code in part] for part in (
    [(1, "NA"), (2, "K")], [(3, "CL"), (4, "NA")], [(5, "CL"), (6, "CA")], [(7, "CA"), (8, "K"), (9, "MG")],
)]  # fmt: skip


def _load(site: Site, warm: Warm, path: Path) -> None:
    with open_site(site.directory).loading() as parts:
        ingest(replace(parts, warm=warm), "hl7v2", [path], name="labo")


def _paths(folder: Path) -> list[Path]:
    return [kit.write_messages(folder / f"{n}.hl7", *messages) for n, messages in enumerate(_FILES)]


def test_warm_loads_with_another_in_between_end_as_one_plain_load(tmp_path: Path) -> None:
    """The second file comes by another process, that numbers codes the warm book has never seen."""
    site, plain, warm = kit.make(tmp_path / "site"), kit.make(tmp_path / "plain"), Warm()
    for number, path in enumerate(_paths(tmp_path)):
        _load(site, Warm() if number == 1 else warm, path)
    kit.load(plain, "hl7v2", kit.write_messages(tmp_path / "all.hl7", *(m for part in _FILES for m in part)))
    assert kit.findings(site) == []
    assert kit.rows(site, "select count(*), count(distinct (vocabulary, code)) from raw_concept where code in ('NA','K','CL','CA','MG')") == [(5, 5)]
    assert kit.digest(site) == kit.digest(plain)


def test_a_failed_load_leaves_no_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its numbers were never stored: the next load reads the concepts anew."""
    site, plain, warm = kit.make(tmp_path / "site"), kit.make(tmp_path / "plain"), Warm()
    first, second, third, fourth = _paths(tmp_path)
    _load(site, warm, first)
    snapshot = open_site(site.directory).snapshot()
    with monkeypatch.context() as broken:
        broken.setattr("estran.warehouse.writer.Writer.commit", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            _load(site, warm, second)
    assert warm.take(snapshot) is None
    for path in (second, third, fourth):
        _load(site, warm, path)
    kit.load(plain, "hl7v2", kit.write_messages(tmp_path / "all.hl7", *(m for part in _FILES for m in part)))
    assert kit.findings(site) == []
    assert kit.digest(site) == kit.digest(plain)
