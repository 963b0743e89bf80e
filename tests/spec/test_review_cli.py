"""Chart review from the command line: form, list, progress, figures, result, records taken out, erasure."""

from __future__ import annotations

from pathlib import Path

from tests.spec.test_cli import Command, estran, site

from estran.app import open_site
from estran.cohort.language.text import parse
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.sign_in import create_account

__all__ = ["estran", "site"]  # fixtures
FORM = """
name = "Kidney"
[[item]]
id = "creatinine"
label = "Créatinine"
type = "number"
unit = "umol/L"
max = 2000
fill = { concept = "LOINC:2160-0", take = "max" }
[[label]]
id = "diagnosis"
label = "Diagnostic"
"""


def prepared(site: Path) -> dict[str, Desk]:
    """Somebody who saves a cohort, two who read it, one who settles."""
    opened = open_site(site)
    people = {"meg": Role.METHODOLOGIST, "anne": Role.CLINICIAN, "bruno": Role.CLINICIAN, "chloe": Role.CLINICIAN}
    for login, role in people.items():
        create_account(opened.state, KEY_HOLDER, login, "marée basse à midi", role)
    room = ReadingRoom(opened)
    desks = {login: Desk(room, Actor.of(opened.state.accounts.find(login))) for login in people}  # type: ignore[arg-type]
    desks["meg"].save("Kidney", parse("LOINC:2160-0"), "")
    return desks


def test_a_review_from_the_form_to_the_records(site: Path, tmp_path: Path, estran: Command) -> None:
    desks, file = prepared(site), tmp_path / "kidney.toml"
    file.write_text(FORM.replace("max = 2000", 'max = "a"\nmin = "b"'))
    wrong = estran("review", "form", site, file, "--json")
    assert (wrong.code, [fault["line"] for fault in wrong.json["faults"]]) == (3, [8, 9])
    assert "line 8: This is a number." in estran("review", "form", site, file).out
    file.write_text(FORM)
    assert estran("review", "form", site, file, "--check").code == 0
    assert estran("review", "forms", site, "--json").json == {"forms": []}
    assert estran("review", "form", site, file, "--json").json["version"] == 1
    made = estran(
        "review", "create", site, "Kidney", "--of", "meg", "--reviewer", "anne", "--reviewer", "bruno=1", "--twice",
        "--adjudicator", "chloe", "--form", "Kidney", "--json",
    )  # fmt: skip
    assert (made.code, made.json["patients"]) == (0, 2)
    for login, verdicts in (("anne", ("include", "include")), ("bruno", ("include", "exclude"))):
        reviewer = desks[login].reviewer
        for line, verdict in zip(reviewer.lines(made.json["list"])[1], verdicts, strict=True):
            filled = reviewer.open(made.json["list"], line.patient_id).filled["creatinine"]
            reviewer.decide(made.json["list"], line.patient_id, verdict, "", {"creatinine": [str(filled.value)]})
    told = estran("review", "progress", site, "Kidney", "--json").json
    assert told["patients"] == {"agreed": 1, "disputed": 1}
    assert [one["login"] for one in told["readers"]] == ["anne", "bruno"]
    assert estran("review", "agreement", site, "Kidney", "--json").json["same"]["value"] == 0.5
    assert estran("review", "accuracy", site, "1", "--json").json["predictive"]["value"] == 1.0
    kept = estran("review", "keep", site, "Kidney", "True kidney", "--json").json
    assert kept == {"cohort": "True kidney", "version": 1, "patients": 1, "owner": "meg"}
    out = tmp_path / "answers.csv"
    assert estran("review", "export", site, "Kidney", "forms", out, "--readings", "--json").json["written"] == 4
    assert ',"include","",71,"' in out.read_text()
    for words in (("progress",), ("agreement",), ("accuracy",)):
        assert "anne" in estran("review", *words, site, "Kidney").out or words != ("progress",)


def test_what_is_refused_and_what_an_erasure_leaves(site: Path, tmp_path: Path, estran: Command) -> None:
    desks = prepared(site)
    assert estran("review", "create", site, "None", "--of", "meg", "--reviewer", "anne").code == 2
    assert estran("review", "create", site, "Kidney", "--of", "meg", "--reviewer", "nobody").code == 2
    assert estran("review", "create", site, "Kidney", "--of", "meg", "--reviewer", "anne=x").code == 2
    assert estran("review", "create", site, "Kidney", "--of", "meg", "--reviewer", "anne").code == 0
    assert estran("review", "progress", site, "Nothing").code == 2
    assert estran("review", "export", site, "Kidney", "xml", tmp_path / "x").code == 2
    first, second = (line.patient_id for line in desks["anne"].reviewer.lines(1)[1])
    desks["anne"].reviewer.decide(1, first, "include", "said of one patient")
    assert estran("erase", site, first, "--yes").code == 0
    assert [one.patient_id for one in desks["anne"].state.charts.patients(1)] == [second]
    assert desks["anne"].state.charts.said(1) == []
    assert estran("review", "close", site, "Kidney").code == 0
    assert estran("review", "list", site, "--json").json["lists"][0]["state"] == "closed"
