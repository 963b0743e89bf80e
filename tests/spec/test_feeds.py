"""Continuous operation, by the command line: feeds described once, loaded, watched, taken back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.spec import site_kit as kit
from tests.spec.test_cli import Command, estran  # noqa: F401  (a fixture)
from tests.unit.pipeline.test_promises import admission, person, result

TOML = """name = "CHU"

[[feed]]
name = "adt"
format = "hl7v2"
path = "feeds/adt"
every = "1s"
expected = "24h"

[[feed]]
name = "lab"
format = "hl7v2"
path = "feeds/lab"
every = "1s"
"""


@pytest.fixture
def described(tmp_path: Path) -> Path:
    """A folder with a description and files, not yet a site."""
    site = tmp_path / "site"
    for name, text in (("adt", admission("20250101080000", "1")), ("lab", result("20250102090000", person("1"), "5"))):
        (site / "feeds" / name).mkdir(parents=True)
        (site / "feeds" / name / "1.hl7").write_text(text + "\r", newline="")
    (site / "estran.toml").write_text(TOML)
    return site


def test_all_feeds_of_a_description_load_in_one_command(described: Path, estran: Command) -> None:  # noqa: F811
    ran = estran("ingest", described, "--all", "--json")
    assert (ran.code, ran.json["read"], ran.json["loaded"]) == (0, 2, 2)
    assert ran.json["feeds"]["hl7v2/lab"]["loaded"] == 1
    again = estran("ingest", described, "--all", "--json")
    assert (again.json["superseded"], again.json["loaded"]) == (2, 0)
    assert (described / "estran.toml").read_text() == TOML
    listed = estran("feeds", described, "--json", "--check")
    assert (listed.code, [feed["alerts"] for feed in listed.json["feeds"]]) == (0, [[], []])
    assert "hl7v2/adt" in estran("feeds", described).out


def test_a_load_is_listed_and_taken_back(described: Path, estran: Command) -> None:  # noqa: F811
    estran("ingest", described, "--all", "--json")
    newest = estran("loads", described, "--json").json["loads"][0]
    assert newest["source"] == "hl7v2/lab"
    taken = estran("unload", described, newest["load"], "--json")
    assert taken.json["taken_back"]["documents"] == 1
    assert estran("status", described, "--json").json["facts"] == 0
    assert estran("unload", described, 99).code == 2
    assert estran("ingest", described, "--all", "--json").json["loaded"] == 1
    assert estran("reload", described, "hl7v2/lab", "--json").json["read_again"]["loaded"] == 1
    assert estran("retry", described, "--json").json == {"replayed": 0, "quarantined": 0}
    assert estran("check", described).code == 0


def test_new_files_are_loaded_while_it_runs(described: Path, estran: Command) -> None:  # noqa: F811
    """A real process, as a service would be; a file that still grows is left until it is whole."""
    command = [sys.executable, "-m", "estran", "run", str(described)]
    with subprocess.Popen(command, env=os.environ | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE) as process:
        try:
            _wait(described, 1)
            late = described / "feeds" / "lab" / "2.hl7"
            late.write_text(result("20250103090000", person("1"), "6").replace("||F1|", "||F2|") + "\r", newline="")
            _wait(described, 2)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    loads = estran("loads", described, "--json").json["loads"]
    assert [(row["source"], row["read"]) for row in loads] == [("hl7v2/lab", 1), ("hl7v2/lab", 1), ("hl7v2/adt", 1)]
    assert estran("run", described, "--once").code == 0  # nothing is read twice
    assert len(estran("loads", described, "--json").json["loads"]) == 3


def _wait(site: Path, facts: int) -> None:
    for _ in range(900):
        if (site / "warehouse" / "snapshots").exists() and kit.count_facts(site) >= facts:
            return
        time.sleep(0.1)
    raise AssertionError(json.dumps({"facts": facts}))


def test_backup_and_restore_by_the_command_line(described: Path, estran: Command, tmp_path: Path) -> None:  # noqa: F811
    estran("ingest", described, "--all", "--json")
    key = described.parent / "site.key"
    digest = estran("check", described, "--digest", "--json").json["digest"]
    assert estran("backup", described, tmp_path / "safe", "--json").json["digest"] == digest
    assert estran("backups", tmp_path / "safe", "--key", key, "--check", "--json").json["bad"] == []
    assert estran("restore", tmp_path / "safe", tmp_path / "anew", "--key", key).code == 0
    assert estran("check", tmp_path / "anew", "--key", key, "--digest", "--json").json["digest"] == digest
    assert estran("rotate-key", described).code == 0
    assert estran("check", described, "--digest", "--json").json["digest"] == digest
