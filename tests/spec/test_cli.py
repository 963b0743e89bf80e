"""The command line: what each command answers, to people and to programs, and its exit code.

Most commands run in this process through the same `main`; a few as a real process.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
from tests.kept import once
from tests.spec import site_kit as kit

from estran.app import open_site
from estran.cli import app, main, show

COUNTS = ("read", "loaded", "superseded", "quarantined")


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code, its two streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The object on the last line."""
        return json.loads(self.out.strip().splitlines()[-1])


Command = Callable[..., Ran]


@pytest.fixture
def estran(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `estran` with these words."""

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["estran", *map(str, words)])
        monkeypatch.setattr(show.console, "_width", 200)
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as done:
            code = int(done.code or 0)
        said = capfd.readouterr()
        return Ran(code, said.out, said.err)

    return run


HELENE = kit.pid("7001", "DUPRATELLE", "Yseult", "19610704", "F")
GILDAS = kit.pid("7002", "MAUREPASSANT", "Gildas", "19550505", "M")
FEED = (
    kit.adt("A01", "20240301080000", HELENE, kit.pv1("S1", "CARDIO")),
    kit.adt("A01", "20240302080000", GILDAS, kit.pv1("S2", "CARDIO")),
    kit.oru("202403030700", HELENE, "L1", "OBX|1|NM|2160-0^Créatinine^LN||71|umol/L|||||F",
            "NTE|1||Insuffisance cardiaque connue, suivie par le Dr Tregarantec.", visit=kit.pv1("S1")),
    kit.oru("202403030800", GILDAS, "L2", "OBX|1|NM|2160-0^Créatinine^LN||140|umol/L|||||F", visit=kit.pv1("S2")),
    kit.oru("202403030900", kit.pid("9999"), "L3", "OBX|1|NM|2160-0^Créatinine^LN||90|umol/L|||||F"),
    kit.message(kit.msh("QBP^Q22", "20240301", "V1"), HELENE),
)  # fmt: skip


@pytest.fixture
def site(tmp_path: Path, estran: Command) -> Path:
    """A site made and loaded by the command line: once, each test has a copy."""

    def make(folder: Path) -> None:
        assert estran("init", folder / "site", "--name", "CHU d'essai").code == 0
        assert estran("ingest", folder / "site", "hl7v2", kit.write_messages(folder / "feed.hl7", *FEED)).code == 4

    shutil.copytree(once("made by the command line", make), tmp_path, dirs_exist_ok=True)
    return tmp_path / "site"


# Making and loading


def test_init_makes_a_site_and_its_key(tmp_path: Path, estran: Command) -> None:
    made = estran("init", tmp_path / "site", "--json")
    assert (made.code, made.json) == (0, {"site": str(tmp_path / "site"), "key": str(tmp_path / "site.key")})
    assert (tmp_path / "site.key").is_file() and not list((tmp_path / "site").rglob("*.key"))
    told = estran("init", tmp_path / "other", "--key", tmp_path / "safe.key").out
    assert "never inside the site" in " ".join(told.split())
    again = estran("init", tmp_path / "site")
    assert again.code == 2
    assert "not empty" in again.err and str(tmp_path / "site") in again.err.replace("\n", "") and "to do:" in again.err


def test_ingest_ends_with_the_four_counts(tmp_path: Path, estran: Command) -> None:
    estran("init", tmp_path / "site")
    feed = kit.write_messages(tmp_path / "feed.hl7", *FEED)
    first = estran("ingest", tmp_path / "site", "hl7v2", feed, "--source", "dpi", "--json")
    assert first.code == 4, "partly quarantined"
    assert {name: first.json[name] for name in COUNTS} == {"read": 6, "loaded": 4, "superseded": 0, "quarantined": 2}
    assert first.json["source"] == "hl7v2/dpi"
    assert {name: sum(f[name] for f in first.json["files"]) for name in COUNTS} == {n: first.json[n] for n in COUNTS}
    assert sum(first.json["reasons"].values()) == 2
    again = estran("ingest", tmp_path / "site", "hl7v2", feed, "--source", "dpi", "--json")
    assert (again.code, [again.json[name] for name in COUNTS]) == (0, [6, 0, 6, 0])


def test_ingest_shows_people_a_table_and_the_reasons(tmp_path: Path, estran: Command) -> None:
    estran("init", tmp_path / "site")
    said = estran("ingest", tmp_path / "site", "hl7v2", kit.write_messages(tmp_path / "feed.hl7", *FEED)).out
    for words in ("read", "loaded", "superseded", "quarantined", "feed.hl7", "QBP^Q22 is not read yet", "no record has introduced"):
        assert words in said, words
    people = kit.write_messages(tmp_path / "late.hl7", kit.adt("A28", "20240401", kit.pid("9999", "TARDIVEL", "Ode", "19700101", "F")))
    late = estran("ingest", tmp_path / "site", "hl7v2", people)
    assert late.code == 0 and "came back from quarantine" in late.out


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("x12", "{feed}"), 2, "not known"),  # no such format
        (("hl7v2", "{absent}"), 2, "no such file"),
        (("report", "{picture}"), 3, "Nothing of the input could be read"),
        (("omop", "{empty}"), 3, "No file of format"),
    ],
)
def test_what_ingest_refuses(words: tuple[str, ...], code: int, what: str, tmp_path: Path, estran: Command) -> None:
    estran("init", tmp_path / "site")
    (tmp_path / "empty").mkdir()
    (tmp_path / "scan.xyz").write_bytes(b"%PDF-1.7")
    places = {
        "feed": kit.write_messages(tmp_path / "feed.hl7", *FEED), "absent": tmp_path / "absent.hl7",
        "picture": tmp_path / "scan.xyz", "empty": tmp_path / "empty",
    }  # fmt: skip
    format_name, path = words
    ran = estran("ingest", tmp_path / "site", format_name, path.format(**places))
    assert (ran.code, what in ran.err) == (code, True), ran.err
    assert json.loads(estran("ingest", tmp_path / "site", format_name, path.format(**places), "--json").out)["error"]


# Looking after a site


def test_status_holds_what_programs_count_on(site: Path, estran: Command) -> None:
    said = estran("status", site, "--json").json
    assert {n: said[n] for n in ("patients", "stays", "documents", "facts")} == {"patients": 2, "stays": 2, "documents": 2, "facts": 2}
    assert isinstance(said["snapshot"], int)
    assert {n: said["sources"]["hl7v2"][n] for n in COUNTS} == {"read": 6, "loaded": 4, "superseded": 0, "quarantined": 2}
    shown = estran("status", site)
    assert shown.code == 0 and "CHU d'essai" in shown.out and "hl7v2" in shown.out


def test_check_says_that_all_is_well_and_ends_with_the_digest(site: Path, estran: Command) -> None:
    assert estran("check", site).code == 0
    told = estran("check", site, "--digest")
    digest = told.out.strip().splitlines()[-1]
    assert len(digest) == 64 and int(digest, 16)
    assert estran("check", site, "--digest", "--json").json == {"findings": [], "digest": digest}


def test_check_finds_a_lost_file(site: Path, estran: Command) -> None:
    next((site / "warehouse" / "tables" / "fact").rglob("*.parquet")).unlink()
    found = estran("check", site, "--json")
    assert found.code == 1
    assert [f["code"] for f in found.json["findings"]] == ["file"]


def test_quarantine_names_file_line_field_and_reason(site: Path, estran: Command) -> None:
    listed = estran("quarantine", site, "--json").json["quarantine"]
    assert [(q["file"], q["record"], q["field"], q["code"], q["waits for its patient"]) for q in listed] == [
        ("feed.hl7", 4, "patient", "no-patient", True), ("feed.hl7", 5, "MSH-9", "unknown-type", False),
    ]  # fmt: skip
    assert all(isinstance(q["line"], int) and q["reason"].endswith(".") for q in listed)
    assert "feed.hl7" in estran("quarantine", site).out


def test_compact_keeps_the_content(site: Path, estran: Command) -> None:
    before = estran("check", site, "--digest", "--json").json["digest"]
    done = estran("compact", site, "--json").json
    assert {"snapshot", "bytes_before", "bytes_after"} <= set(done)
    assert estran("check", site, "--digest", "--json").json == {"findings": [], "digest": before}


# Asking


def test_search(site: Path, estran: Command) -> None:
    found = estran("search", site, "insuffisance cardiaque", "--json").json
    assert (found["documents"], found["patients"], len(found["hits"])) == (1, 1, 1)
    assert set(found["facets"]) == {"kind", "year", "unit", "sex", "age"}
    assert "[NOM]" in estran("search", site, "cardiaque").out
    typo = estran("search", site, "cardiqaue")
    assert typo.code == 0 and "cardiaque" in typo.out
    wrong = estran("search", site, '"cardiaque')
    assert wrong.code == 2 and "character" in wrong.err and "to do:" in wrong.err


def test_cohort_count(site: Path, tmp_path: Path, estran: Command) -> None:
    counted = estran("cohort", "count", site, "LOINC:2160-0 ET sexe:F", "--json").json
    assert (counted["patients"], counted["population"]) == (1, 2)
    assert set(counted["counts"].values()) == {1, 2}
    shown = estran("cohort", "count", site, "LOINC:2160-0>100", "--lang", "en")
    assert shown.code == 0 and "1 patients of 2" in shown.out
    unknown = estran("cohort", "count", site, "CIM10:Z99", "--json").json
    assert (unknown["patients"], unknown["unknown"]) == (0, ["CIM10:Z99"])
    explained = estran("cohort", "explain", site, "LOINC:2160-0>100", "--json").json
    path = tmp_path / "question.json"
    path.write_text(json.dumps(explained["question"]))
    assert estran("cohort", "count", site, path, "--json").json["patients"] == 1


def test_cohort_explain_in_both_languages(site: Path, estran: Command) -> None:
    french, english = (estran("cohort", "explain", site, "LOINC:2160-0 SAUF sexe:F", "--lang", lang).out for lang in ("fr", "en"))
    assert french != english and "2160-0" in french and "2160-0" in english


def test_cohort_run_lists_patients_by_their_warehouse_number(site: Path, estran: Command) -> None:
    page = estran("cohort", "run", site, "LOINC:2160-0", "--json").json
    assert page["patients"] == 2
    assert sorted(p["patient_id"] for p in page["listed"]) == [0, 1]
    assert "DUPRATELLE" not in estran("cohort", "run", site, "LOINC:2160-0").out


@pytest.mark.parametrize("question", ["CIM10:", "LOINC:2160-0 ET", "(", "séjour(durée>=)", "absent.json"])
def test_what_cannot_be_asked_is_refused(question: str, site: Path, estran: Command) -> None:
    refused = estran("cohort", "count", site, question, "--json")
    assert refused.code == 2
    assert refused.json["error"] and refused.json["where"]


def test_patient_timeline(site: Path, estran: Command) -> None:
    who = kit.patient_of(open_site(site), "7001")
    told = estran("patient", site, who, "--json").json
    assert told["patient"]["sex"] == "female"
    assert "LOINC:2160-0" in {event["code"] for event in told["events"]}
    assert estran("patient", site, who).code == 0
    missing = estran("patient", site, 77)
    assert missing.code == 2 and "no such patient" in missing.err


def test_what_the_owner_asks_is_recorded(site: Path, estran: Command) -> None:
    """Exact counts at the command line are audited, question and snapshot included."""
    estran("cohort", "count", site, "LOINC:2160-0")
    estran("search", site, "cardiaque")
    book = open_site(site).state.audit
    lines = [(entry.action, entry.query) for entry in book.latest(10)]
    assert ("count", True) in [(action, "2160-0" in query) for action, query in lines]
    assert ("search", "cardiaque") in lines
    assert estran("audit", "verify", site).code == 0


def test_the_audit_trail_is_proved_listed_and_exported(site: Path, estran: Command) -> None:
    who = kit.patient_of(open_site(site), "7001")
    estran("patient", site, who)
    estran("cohort", "run", site, "LOINC:2160-0")
    listed = estran("audit", "list", site, "--patient", who, "--json").json
    assert [line["action"] for line in listed["lines"]] == ["patients", "timeline"]
    assert listed["lines"][0]["patients"] == "0 1"
    written = list(csv.DictReader(io.StringIO(estran("audit", "list", site, "--action", "timeline", "--since", "2020-01-01", "--csv").out)))
    assert [(row["login"], row["target"]) for row in written] == [("key-holder", f"patient:{who}")]
    assert "timeline" in estran("audit", "list", site, "--login", "KEY-HOLDER").out
    assert estran("audit", "list", site, "--refused", "--json").json == {"total": 0, "lines": []}
    assert estran("audit", "list", site, "--since", "yesterday").code == 2
    proved = estran("audit", "verify", site, "--json")
    assert (proved.code, proved.json["whole"], proved.json["first"]) == (0, True, 1)


def test_a_trail_tampered_with_is_told_with_its_first_bad_line(site: Path, estran: Command, tmp_path: Path) -> None:
    estran("cohort", "count", site, "LOINC:2160-0")
    estran("cohort", "count", site, "LOINC:2160-0")
    kept = tmp_path / "elsewhere.jsonl"
    assert estran("audit", "checkpoint", site, "--out", kept, "--json").json["line"] == 2
    assert estran("audit", "checkpoint", site).out.startswith("Nothing was written")
    assert estran("audit", "checkpoint", site, "--out", site / "inside").code == 2
    raw = sqlite3.connect(site / "state.sqlite")
    raw.executescript("DROP TRIGGER audit_no_delete; DELETE FROM audit; DROP TRIGGER audit_checkpoint_no_delete; DELETE FROM audit_checkpoint")
    raw.close()
    (site / "audit" / "checkpoints.jsonl").unlink()
    told = estran("audit", "verify", site, "--against", kept)
    assert told.code == 1
    assert "line 1: truncated" in told.out and "Not whole" in told.out
    refused = estran("audit", "verify", site, "--against", tmp_path / "none")
    assert refused.code == 2


def test_a_patient_is_told_who_read_the_record(site: Path, estran: Command) -> None:
    who = kit.patient_of(open_site(site), "7001")
    estran("patient", site, who)
    estran("audit", "list", site, "--patient", who)
    authority = "CHU"
    (read,) = estran("audit", "patient", site, "7001", "--system", authority, "--json").json["reads"]
    assert (read["role"], read["action"], set(read)) == ("owner", "timeline", {"at", "role", "action"})
    letter = estran("audit", "patient", site, "7001", "--system", authority, "--letter").out
    assert "lecture du dossier chronologique" in letter and "key-holder" not in letter and "7001" not in letter
    assert "key-holder" in estran("audit", "patient", site, "7001", "--system", authority, "--names").out
    assert "Aucune consultation" in estran("audit", "patient", site, "7002", "--system", authority, "--letter").out
    missing = estran("audit", "patient", site, "8888", "--system", authority)
    assert missing.code == 2 and "8888" not in missing.err


def test_a_review_is_written_and_shown(site: Path, estran: Command) -> None:
    estran("cohort", "count", site, "LOINC:2160-0")
    body = estran("audit", "review", site, "--json").json
    assert (body["review"], body["trail"]["whole"], body["findings"]) == (1, True, [])
    assert body["lines"] >= 1
    assert "Review 2" in estran("audit", "review", site, "--since", "2024-01-01", "--until", "2024-01-08").out
    assert estran("audit", "cut", site, "--json").json == {"removed": 0}
    assert estran("audit", "verify", site).code == 0


# What a patient may ask


def test_oppose_hides_at_once_and_can_be_taken_back(site: Path, estran: Command) -> None:
    who = kit.patient_of(open_site(site), "7001")
    assert "snapshot" in estran("oppose", site, who, "--json").json
    assert estran("cohort", "count", site, "LOINC:2160-0", "--json").json["patients"] == 1
    assert estran("patient", site, who).code == 2
    assert estran("search", site, "cardiaque", "--json").json["documents"] == 0
    assert estran("oppose", site, who, "--end").code == 0
    assert estran("cohort", "count", site, "LOINC:2160-0", "--json").json["patients"] == 2
    wrong = estran("oppose", site, who, "--scope", "everything")
    assert wrong.code == 2 and "research" in wrong.err
    assert estran("oppose", site, 77).code == 2


def test_a_wish_goes_from_the_request_to_whoever_holds_a_copy(site: Path, estran: Command, tmp_path: Path) -> None:
    who = kit.patient_of(open_site(site), "7001")
    with open_site(site).vault() as vault:
        system = vault.natural_keys().patients[who].partition("|")[0]
    assert estran("rights", "holder", site, "mart", "--purpose", "research", "--json").json["waiting"] == 0
    asked = estran("rights", "request", site, "opposition", "--scope", "research", "--ipp", "7001", "--system", system, "--json").json
    assert asked["patient_id"] == who
    assert estran("rights", "carry-out", site, asked["request"]).code == 0
    assert estran("patient", site, who).code == 2
    (owed,) = estran("rights", "due", site, "mart", "--json").json["due"]
    assert (owed["patient_id"], owed["what"]) == (who, "hide")
    assert estran("rights", "acknowledge", site, "mart", owed["id"], "--json").json == {"acknowledged": 1}
    assert estran("rights", "status", site, "--json").json["alarms"] == 0
    letters = estran("rights", "letters", site, "--out", tmp_path / "l.csv", "--json").json
    assert letters["letters"] == 1, "who refused is not written to again"
    assert estran("transparency", site, "--put", "P1", "--title", "T", "--purpose", "U", "--basis", "MR-004").code == 0
    assert "- T: U (MR-004; open)" in estran("registry", site, "--markdown").out


def test_erase_is_for_good(site: Path, estran: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    who = kit.patient_of(open_site(site), "7001")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert estran("erase", site, who).code != 0
    assert estran("status", site, "--json").json["patients"] == 2
    assert estran("erase", site, who, "--yes", "--json").code == 0
    assert estran("status", site, "--json").json["patients"] == 1
    assert estran("patient", site, who).code == 2
    assert estran("check", site).code == 0
    assert estran("erase", site, 77, "--yes").code == 2


# Accounts


def test_accounts(site: Path, estran: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTRAN_PASSWORD", "un-mot-de-passe-assez-long-42")
    assert estran("user", "add", site, "ydup", "--role", "researcher", "--json").json == {"login": "ydup", "role": "researcher"}
    (account,) = estran("user", "list", site, "--json").json["accounts"]
    assert (account["login"], account["role"], account["state"]) == ("ydup", "researcher", "")
    assert estran("user", "disable", site, "ydup").code == 0
    assert estran("user", "list", site, "--json").json["accounts"][0]["state"] == "disabled"
    assert estran("user", "disable", site, "nobody").code == 2
    assert estran("user", "add", site, "ydup").code == 2, "the login is taken"
    assert estran("user", "add", site, "other", "--role", "king").code == 2
    monkeypatch.setenv("ESTRAN_PASSWORD", "court")
    short = estran("user", "add", site, "other")
    assert short.code == 2 and "12 characters" in short.err


# Codes


def test_a_busy_or_foreign_site_is_code_6(site: Path, tmp_path: Path, estran: Command) -> None:
    feed = kit.write_messages(tmp_path / "more.hl7", kit.adt("A28", "20240501", HELENE))
    with open_site(site).warehouse.writer():
        busy = estran("ingest", site, "hl7v2", feed)
    assert busy.code == 6 and "to do:" in busy.err
    estran("init", tmp_path / "other")
    for words in (("check", site, "--digest"), ("cohort", "count", site, "tous()"), ("ingest", site, "hl7v2", feed), ("user", "list", site)):
        wrong = estran(*words, "--key", tmp_path / "other.key")
        assert wrong.code == 6, words
    lost = estran("cohort", "count", site, "tous()", "--key", tmp_path / "absent.key")
    assert lost.code == 6 and "key" in lost.err


def test_a_directory_that_is_no_site_is_code_2(tmp_path: Path, estran: Command) -> None:
    for words in (("status",), ("check",), ("search", "toux"), ("patient", 1), ("compact",), ("quarantine",)):
        refused = estran(words[0], tmp_path, *words[1:])
        assert refused.code == 2 and "estran init" in refused.err, words


def test_a_setting_that_nobody_knows_is_refused(site: Path, estran: Command) -> None:
    (site / "estran.toml").write_text((site / "estran.toml").read_text() + "\nzones = 3\n")
    refused = estran("status", site)
    assert refused.code == 2 and "zones" in refused.err


@pytest.mark.parametrize("words", [("nonsense",), ("status",), ("ingest", "x"), ("cohort", "count", "x", "y", "--nope"), ("patient", "x", "abc")])
def test_a_malformed_command_is_code_2(words: tuple[str, ...], estran: Command) -> None:
    assert estran(*words).code == 2


def _commands() -> list[tuple[str, ...]]:
    group = typer.main.get_command(app)
    names = group.list_commands(None)  # type: ignore[attr-defined]
    return [words for name in names for words in _below((name,), group.get_command(None, name))]  # type: ignore[attr-defined]


def _below(words: tuple[str, ...], command: object) -> list[tuple[str, ...]]:
    """The commands of a group, of whatever depth."""
    inner = getattr(command, "commands", None)
    return [found for name, one in inner.items() for found in _below((*words, name), one)] if inner else [words]


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_every_command_explains_itself_with_an_example(words: tuple[str, ...], estran: Command) -> None:
    told = estran(*words, "--help")
    assert told.code == 0
    assert words == ("version",) or f"estran {' '.join(words)}" in " ".join(told.out.split()).replace("│ ", "")
    assert words == ("version",) or "Example" in told.out
    if words not in (("version",), ("serve",), ("project", "data", "lines")):  # the last writes CSV
        assert "--json" in told.out, "programs read it too"


def test_help_lists_the_exit_codes(estran: Command) -> None:
    told = " ".join(estran("--help").out.split())
    for code in ("0 done", "1 a check found something", "2 usage", "3 input refused", "4 partly quarantined", "5 not allowed", "6 busy"):
        assert code in told


# As a real process


def _process(*words: object, **environment: str) -> Ran:
    done = subprocess.run(
        [sys.executable, "-m", "estran", *map(str, words)], capture_output=True, text=True, timeout=120,
        env={**os.environ, **environment}, check=False,
    )  # fmt: skip
    return Ran(done.returncode, done.stdout, done.stderr)


def test_a_real_process_from_init_to_count(tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert _process("init", site, "--json").code == 0
    feed = kit.write_messages(tmp_path / "feed.hl7", *FEED)
    loaded = _process("ingest", site, "hl7v2", feed, "--json")
    assert (loaded.code, loaded.json["loaded"], loaded.err) == (4, 4, "")
    assert len(loaded.out.strip().splitlines()) == 1, "one object, nothing else"
    counted = _process("cohort", "count", site, "LOINC:2160-0", "--json", PYTHONWARNINGS="error")
    assert (counted.code, counted.json["patients"]) == (0, 2), counted.err
    wrong = _process("cohort", "count", site, "LOINC:2160-0 ET")
    assert wrong.code == 2 and "Traceback" not in wrong.err and "DUPRATELLE" not in wrong.err
