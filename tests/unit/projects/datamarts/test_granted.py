"""What an open project was granted is built without more ado, nothing beyond; what is built obeys patients."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import orjson
import pytest
from pyroaring import BitMap
from tests.unit.projects.datamarts.conftest import Bench, Spec
from tests.unit.projects.opened import opened, step

from estran.cohort.language import json as question_json
from estran.cohort.language.parser import parse
from estran.keeping.datamarts import DatamartKeeper, build_asked, end_project, refresh_asked
from estran.model.errors import NotAllowed, UsageError
from estran.projects import rights
from estran.projects.actors import KEY_HOLDER, Actor
from estran.projects.datamarts import granting
from estran.projects.datamarts.granting import Chosen
from estran.projects.datamarts.shelf import Datamarts, Listed
from estran.projects.life.desk import END_DATA
from estran.projects.life.project import fold
from estran.projects.opposition import declare
from estran.state import Job, Wish
from estran.state.datamarts import MartState

QUESTION = "CIM10:I50"


def asked(number: str, **more: Any) -> Spec:
    """Exactly what the project was granted."""
    variable = {"name": "nt_probnp", "codes": ["LOINC:33762-6"]}
    return {"project": number, "name": "heart", "cohort": QUESTION, "demographics": ["sex", "age"], "variables": [variable], "formats": ["csv"], "days": 30} | more


@pytest.fixture
def number(bench: Bench) -> str:
    """An open project of the researcher and the clinician."""
    team = [bench.site.state.accounts.find(login) for login in ("researcher", "clinician")]
    return opened(bench.site.state, [one.id for one in team if one], cohort=question_json.dumps(parse(QUESTION)))


@pytest.fixture
def engineer(bench: Bench) -> Datamarts:
    found = bench.site.state.accounts.find("data_engineer")
    assert found is not None
    return bench.of(Actor.of(found))


def job(bench: Bench) -> Job:
    found = bench.site.state.jobs.take()
    assert found is not None
    return found


def test_what_was_granted_is_built_for_the_team_without_a_reason(engineer: Datamarts, number: str, bench: Bench) -> None:
    made = engineer.build(asked(number), "researcher", "")
    assert made.row.state == MartState.LIVE and made.rows > 20
    line = next(line for line in bench.site.state.audit.latest(20) if line.action == "build-datamart")
    assert line.allowed and f"The project {number} is open and was granted this." in line.reason


@pytest.mark.parametrize(
    ("more", "recipient", "said"),
    [
        ({"variables": [{"name": "creatinine", "codes": ["LOINC:2160-0"]}]}, "researcher", "not granted the variables creatinine"),
        ({"demographics": ["sex", "residence_area"]}, "researcher", "not granted the variables residence_area"),
        ({"cohort": "CIM10:E11"}, "researcher", "cohort is not the one"),
        ({"texts": True, "shape": "tables", "documents": {}}, "researcher", "not granted texts"),
        ({"dates": "none", "reason": "because we want them"}, "researcher", "not granted true dates"),
        ({"days": 800}, "researcher", "outlive"),
        ({}, "methodologist", "not in the project's team"),
        ({"project": "2019-044"}, "researcher", "no project of this number"),
    ],
)
def test_what_goes_beyond_is_refused(
    engineer: Datamarts, number: str, bench: Bench, more: Spec, recipient: str, said: str
) -> None:
    with pytest.raises(NotAllowed, match=said):
        engineer.build(asked(number) | more, recipient, "")
    with pytest.raises(NotAllowed, match=said):
        engineer.ask(asked(number) | more, recipient)
    assert bench.site.state.datamarts.all() == [] and bench.site.state.jobs.take() is None
    assert bench.site.state.audit.latest(1)[0].allowed is False


@pytest.mark.parametrize(("name", "said"), [("suspend", "suspended"), ("close", "not open")])
def test_a_project_that_is_not_open_is_built_nothing(
    engineer: Datamarts, number: str, bench: Bench, name: str, said: str
) -> None:
    row = engineer.ask(asked(number), "researcher")
    step(bench.site.state, number, name, reason="Over.")
    with pytest.raises(NotAllowed, match=said):
        build_asked(bench.site.state, bench.of, job(bench))
    assert bench.site.state.datamarts.find(row.id) is None


def test_an_amendment_grants_a_variable_or_another_cohort(engineer: Datamarts, number: str, bench: Bench) -> None:
    state, more = bench.site.state, {"variables": [{"name": "creatinine", "codes": ["LOINC:2160-0"]}]}
    researcher = state.accounts.find("researcher")
    assert researcher is not None
    step(state, number, "amend", reason="Kidneys.", months=None, cohort=None, variables=[["Creatinine", "LOINC:2160-0", "Kidneys matter"]])
    with pytest.raises(NotAllowed, match="creatinine"):
        engineer.build(asked(number) | more, "researcher", "")
    step(state, number, "approve", reason="Right.")
    assert engineer.build(asked(number) | more, "researcher", "").rows > 0
    saved = state.cohorts.save(researcher.id, "Diabetes", question_json.dumps(parse("CIM10:E11")), "", 1, 20)
    counted = {"version_id": saved.id, "cohort": "Diabetes", "version": 1, "total": 20, "snapshot": 1}
    step(state, number, "amend", reason="Others.", months=None, cohort=counted, variables=[])
    step(state, number, "approve", reason="Right.")
    assert engineer.build(asked(number, cohort="CIM10:E11"), "researcher", "").rows > 0
    with pytest.raises(NotAllowed, match="cohort"):
        engineer.build(asked(number), "researcher", "")


def test_asked_for_on_a_page_and_built_where_the_key_is(engineer: Datamarts, number: str, bench: Bench) -> None:
    row = engineer.ask(asked(number), "researcher")
    (waiting,) = engineer.all()
    assert (waiting.row.state, waiting.due, waiting.manifest) == (MartState.ASKED, "", {})
    assert bench.shelf.expire() == [], "what waits is no interrupted build"
    assert build_asked(bench.site.state, bench.of, job(bench)).startswith(f"datamart {row.id}, rows ")
    assert engineer.one(row.id).row.state == MartState.LIVE
    with pytest.raises(UsageError, match="built already"):
        bench.shelf.build_asked(row.id)


def oppose(bench: Bench, made: Listed, scope: str = "research", place: int = 3) -> int:
    patient = int(BitMap.deserialize(made.row.members)[place])
    declare(bench.site.state, bench.site.warehouse, KEY_HOLDER, Wish(patient, scope, "opposition", bench.site.snapshot().today()))
    return patient


def names(bench: Bench) -> list[str]:
    return [one.name for one in bench.site.state.rights.recipients()]


@pytest.mark.parametrize("scope", ["research", "project:2019-001"])
def test_a_datamart_is_a_recipient_that_obeys_within_the_hour(
    engineer: Datamarts, number: str, bench: Bench, scope: str
) -> None:
    made = engineer.build(asked(number), "researcher", "")
    assert names(bench) == [f"datamart {made.row.id} {number}/heart"]
    patient = oppose(bench, made, scope)
    (owed,) = rights.due(bench.site.state, names(bench)[0])
    assert (owed.patient_id, owed.what) == (patient, "hide")
    assert engineer.one(made.row.id).due == "withdrawn"
    keeper = DatamartKeeper(bench.site, bench.shelf)
    (told,) = keeper.look()
    assert "replaces one that somebody left" in told and keeper.look() == []
    new = engineer.one(made.row.id + 1)
    assert new.rows == made.rows - 1 and new.row.expires == made.row.expires
    assert new.manifest["withdrawn"]["patients"] == {"fewer_than": 10}
    assert names(bench) == [f"datamart {new.row.id} {number}/heart"], "the older one holds nothing any more"
    assert bench.site.state.rights.tombstones() == []
    gone = engineer.one(made.row.id)
    assert gone.row.state == MartState.DELETED and "objected" in orjson.loads(gone.row.certificate)["why"]


def test_a_wish_of_somebody_else_is_acknowledged_and_nothing_is_built_anew(
    engineer: Datamarts, number: str, bench: Bench
) -> None:
    made = engineer.build(asked(number), "researcher", "")
    other = next(n for n in bench.site.snapshot().population() if n not in BitMap.deserialize(made.row.members))
    declare(bench.site.state, bench.site.warehouse, KEY_HOLDER, Wish(other, "research", "opposition", bench.site.snapshot().today()))
    assert bench.shelf.refresh_due("a patient objected").made == []
    (done,) = bench.site.state.rights.tombstones(owed=False)
    assert done.acknowledged is not None and done.outcome == "nobody in it"


def test_a_refresh_that_was_asked_for_replaces_and_the_workspace_follows(
    engineer: Datamarts, number: str, bench: Bench
) -> None:
    made = engineer.build(asked(number), "researcher", "")
    folder = str((bench.folder / made.row.folder).resolve())
    bench.site.state.spaces.give(2019001, "Heart", folder, [])
    oppose(bench, made)
    engineer.ask_refresh(made.row.id)
    assert refresh_asked(bench.site.state, bench.of, job(bench)) == f"datamart {made.row.id + 1}, rows {made.rows - 1}"
    space = bench.site.state.spaces.find(2019001)
    assert space is not None and space.datamart.endswith(f"/{made.row.id + 1}")
    with pytest.raises(UsageError, match="destroyed already"):
        engineer.ask_refresh(made.row.id)


def test_closing_a_project_destroys_what_it_was_given_and_the_certificate_says_so(
    engineer: Datamarts, number: str, bench: Bench
) -> None:
    state = bench.site.state
    made = engineer.build(asked(number), "researcher", "")
    ordered = Job(1, END_DATA, number, "researcher", dt.datetime.now(dt.UTC), None, None, None, "")
    with pytest.raises(UsageError, match="not being closed"):
        end_project(state, bench.of, ordered)
    step(state, number, "close", reason="Done.")
    assert end_project(state, bench.of, ordered) == "datamarts -1, own data -0, workspace -0"
    assert not (bench.folder / made.row.folder).exists() and names(bench) == []
    certificate = orjson.loads(engineer.one(made.row.id).row.certificate)
    assert certificate["why"] == f"project {number} is closed" and certificate["files"]
    assert end_project(state, bench.of, ordered) == "datamarts -0, own data -0, workspace -0"
    assert fold(number, state.projects.events(number)).stage == "closing"


def test_the_page_offers_what_was_granted_under_names_that_a_table_can_have(engineer: Datamarts, bench: Bench) -> None:
    variables = [
        ["Créatinine (µmol/L)", "LOINC:2160-0", "Kidneys matter"], ["creatinine µmol L", "LOINC:2823-3", "Twice"],
        ["2e dosage", "LOINC:4548-4", "Starts with a digit"], ["Âge", "LOINC:30525-0", "A taken name"],
        ["Domicile", "DEMOGRAPHIC:residence_area", "Distance to care"], ["Mode de vie", "", "In texts alone"],
    ]  # fmt: skip
    researcher = bench.site.state.accounts.find("researcher")
    assert researcher is not None
    number = opened(bench.site.state, [researcher.id], cohort=question_json.dumps(parse(QUESTION)), variables=variables)
    offered = granting.offer(bench.site.state, engineer.actor, number)
    assert [one.name for one in offered.columns] == ["creatinine_mol_l", "creatinine_mol_l_2", "v_2e_dosage", "age_2"]
    assert offered.bare == ("Mode de vie",) and offered.question == QUESTION and "residence_area" in offered.demographics
    assert [one.login for one in offered.team] == ["researcher"] and 720 < offered.days < 732 and not offered.texts
    chosen = Chosen("heart", "researcher", {"creatinine_mol_l": "mean"}, ("sex", "residence_area"), False, "shift", ("csv",), 30)
    assert engineer.build(granting.spec_of(offered, chosen), "researcher", "").rows > 0
    with pytest.raises(UsageError, match="not granted"):
        granting.spec_of(offered, dataclasses.replace(chosen, columns={"potassium": "last"}))
    with pytest.raises(NotAllowed, match="does not include"):
        granting.offer(bench.site.state, Actor.of(researcher), number)


def test_what_a_closed_project_still_holds_is_swept(engineer: Datamarts, number: str, bench: Bench) -> None:
    made = engineer.build(asked(number), "researcher", "")
    step(bench.site.state, number, "close", reason="Over.")
    (told,) = DatamartKeeper(bench.site, bench.shelf).look()
    assert told == f"datamarts: {made.row.id} destroyed, over"
    assert "is closed" in bench.shelf.one(made.row.id).row.certificate


def test_expiry_goes_on_when_another_goes_wrong(
    engineer: Datamarts, number: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = engineer.build(asked(number, days=1), "researcher", "")
    left = engineer.build(asked(number, name="left"), "researcher", "")
    oppose(bench, left)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)
    monkeypatch.setattr("estran.projects.datamarts.shelf.now", lambda: later)

    def fails(*_: object) -> None:
        raise UsageError("It has no such column.")

    monkeypatch.setattr("estran.projects.datamarts.shelf.open_own", fails)
    keeper = DatamartKeeper(bench.site, bench.shelf)
    assert len(keeper.look()) == 3 and keeper.look() == []
    assert {bench.shelf.one(one.row.id).row.state for one in (over, left)} == {MartState.DELETED}
