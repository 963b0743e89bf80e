"""The command line ends with the exit code that it documents, and never with a value on the screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import fresh

from estran import cli
from estran.settings import Settings

UNREAD = "MSH|^~\\&|APP|CHU|||20250101||ADT^A99|1|P|2.5\rPID|||1^^^CHU||KERGUELEN^Armelle\r"


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["estran", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    fresh.site(tmp_path / "site", Settings())
    return tmp_path / "site"


def test_a_load_with_quarantine_ends_with_4_and_a_clean_check_with_0(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unread.hl7").write_text(UNREAD, newline="")
    assert run(monkeypatch, "ingest", site, "hl7v2", tmp_path / "unread.hl7") == 4
    assert run(monkeypatch, "check", site) == 0


def test_a_lost_file_of_the_warehouse_is_found_by_check_with_1_and_ends_other_commands_with_6(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unread.hl7").write_text(UNREAD, newline="")
    run(monkeypatch, "ingest", site, "hl7v2", tmp_path / "unread.hl7")
    for path in site.glob("warehouse/tables/quarantine/**/*.parquet"):
        path.unlink()
    assert run(monkeypatch, "check", site) == 1
    assert run(monkeypatch, "quarantine", site) == 6


def test_an_error_of_the_program_shows_no_value(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("KERGUELEN Armelle")

    monkeypatch.setattr("estran.projects.operations.status", fail)
    assert run(monkeypatch, "status", site, "--json") == 6
    shown = capsys.readouterr()
    assert "KERGUELEN" not in shown.out + shown.err
    assert "ValueError" in shown.out
