"""docs/benchmarks.md keeps what was measured before when a run measures one thing only."""

from __future__ import annotations

from pathlib import Path

from benchmarks import report

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"


def test_a_run_without_new_results_leaves_the_document_as_it_is(tmp_path: Path) -> None:
    written = tmp_path / "benchmarks.md"
    written.write_text(DOCUMENT.read_text())
    report.write(tmp_path / "no results", written)
    assert written.read_text() == DOCUMENT.read_text()
    assert "## The synthetic region" in written.read_text()


def test_a_first_run_has_only_its_head_and_method(tmp_path: Path) -> None:
    report.write(tmp_path / "no results", tmp_path / "new.md")
    assert "## A datamart" not in (tmp_path / "new.md").read_text()
    assert "## Method" in (tmp_path / "new.md").read_text()
