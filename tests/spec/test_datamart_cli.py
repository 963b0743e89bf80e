"""`estran datamart`: built, listed, proved, traced and destroyed from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests import fresh
from tests.browser.small_site import _changes, _hospital

from estran.cli import main
from estran.settings import Settings

SPEC = """
project = "2026-014"
name = "heart"
cohort = "CIM10:I50"
demographics = ["sex", "age"]
shape = "tables"
formats = ["parquet", "csv"]

[[variables]]
name = "labs"
codes = ["LOINC:2160-0", "LOINC:33762-6", "LOINC:8867-4"]
aggregate = "all"
"""
REASON = ["--reason", "committee of 3 May, project 2026-014"]


def test_the_life_of_a_datamart(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = fresh.site(tmp_path / "site", Settings())
    with site.warehouse.writer() as writer:
        writer.commit(_changes(_hospital(40)))
    spec = tmp_path / "heart.toml"
    spec.write_text(SPEC)

    def run(*words: str, code: int = 0) -> Any:
        monkeypatch.setattr(sys, "argv", ["estran", "datamart", words[0], str(site.directory), *words[1:], "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code, capfd.readouterr()
        return json.loads(capfd.readouterr().out.strip().splitlines()[-1])

    assert "reason" in run("build", str(spec), "--for", "anne", code=2)["error"]
    made = run("build", str(spec), "--for", "anne", *REASON)
    folder = Path(made["folder"])
    assert made["state"] == "live" and (folder / "csv" / "facts.csv").is_file()
    again = run("build", str(folder / "manifest.json"), *REASON)
    assert again["manifest"]["reproducible"] == made["manifest"]["reproducible"] and again["for"] == "anne"
    assert [one["number"] for one in run("list")["datamarts"]] == [again["number"], made["number"]]
    assert run("verify", str(made["number"]), "--rebuild") == {"whole": True, "wrong": [], "same": True, "withdrawn": False, "own_changed": False}
    assert run("trace", str(folder / "csv" / "facts.csv"))["suspects"][0]["recipient"] == "anne"
    assert run("trace", str(folder / "csv" / "patients.csv"), code=1)["suspects"][0]["named"] is False
    assert run("refresh", "--due", *REASON) == {"datamarts": [], "destroyed": [], "problems": []}
    assert run("expire")["destroyed"] == []
    gone = run("expire", "--now", str(made["number"]), "--certificates", str(tmp_path / "kept"))["destroyed"]
    assert gone[0]["datamart"] == made["number"] and not folder.exists()
    assert json.loads((tmp_path / "kept" / f"datamart-{made['number']}.json").read_text()) == gone[0]
    (Path(again["folder"]) / "csv" / "facts.csv").unlink()
    assert run("verify", str(again["number"]), code=1)["wrong"] == ["csv/facts.csv"]
    assert run("verify", "99", code=2)["hint"] == "estran datamart list SITE"
