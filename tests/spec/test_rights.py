"""Chapter: rights of the patient, where the key is: a person found by number, letters with names, majority, erasure."""

from __future__ import annotations

import csv
import datetime as dt
import stat
from pathlib import Path

import pytest
from tests.spec import scanner
from tests.spec import site_kit as kit

from estran.app import Site
from estran.keeping.work import work
from estran.model.errors import NotAllowed, StoreError, UsageError
from estran.projects import letters_of_care, rights
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.opposition import declare, erase
from estran.projects.rights_desk import Asked, RightsDesk
from estran.projects.sign_in import create_account
from estran.state import Wish

OFFICER = Actor("dpo", Role.DATA_PROTECTION_OFFICER)
TODAY = dt.date(2026, 6, 15)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An adult; two who were minors when they came, of whom one is of age; all seen in 2024."""
    made = kit.make(tmp_path / "site", author_system="CHU")
    people = (("7001", "DUPRATELLE", "Yseult", "19610704"), ("7002", "MAUREPASSANT", "Gildas", "20080301"),
              ("7003", "KERVADEC", "Nolwenn", "20100920"))  # fmt: skip
    said = "OBX|1|TX|CR^Note^L||Suivi d'une zébulonite.||||||F"
    messages = [kit.oru("202403020700", kit.pid(n, f, g, b, "F", address="3 quai Ty^^Brest^^29200"), f"L{n}", said) for n, f, g, b in people]
    kit.load(made, "hl7v2", kit.write_messages(tmp_path / "in.hl7", *messages))
    return made


def test_a_wish_by_hospital_number_hides_the_person_where_the_key_is(site: Site) -> None:
    create_account(site.state, KEY_HOLDER, "dpo", "correct horse battery", Role.DATA_PROTECTION_OFFICER)
    desk = RightsDesk(site.state, OFFICER)
    made, nobody = (desk.enter(Asked("opposition", "research", number=number)) for number in ("7001", "9999"))
    assert [job.kind for job in work(site.state, site.loading, site.datamarts)] == ["find-person"] * 2
    who = kit.patient_of(site, "7001")
    found, missing = site.state.requests.one(made.id), site.state.requests.one(nobody.id)
    assert found and missing and (found.found, found.patient_id, missing.found, missing.patient_id) == (True, who, False, None)
    assert site.state.requests.wanted(made.id) is None, "the number is forgotten"
    desk.carry_out(made.id)
    work(site.state, site.loading, site.datamarts)
    closed = site.state.requests.one(made.id)
    (act,) = site.state.rights.acts([who])
    assert closed and closed.closed and act.number in closed.outcome and act.request_id == made.id
    assert who not in site.snapshot().population() and not kit.texts(site, "Yseult")
    assert not scanner.scan(site.directory, scanner.Wanted(words=["dupratelle", "yseult"]))


def test_a_job_is_decided_anew_where_it_is_done(site: Site) -> None:
    account = create_account(site.state, KEY_HOLDER, "dpo", "correct horse battery", Role.DATA_PROTECTION_OFFICER)
    made = RightsDesk(site.state, OFFICER).enter(Asked("opposition", number="7001"))
    site.state.accounts.change(account.id, role=str(Role.VIEWER))
    work(site.state, site.loading, site.datamarts)
    job, request = site.state.jobs.recent(1)[0], site.state.requests.one(made.id)
    assert job.failed and request and request.found is None


def test_letters_are_written_for_the_key_holder_alone(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "letters.csv"
    with site.vault() as vault:
        who = letters_of_care.to_inform(site.state, site.snapshot(), "warehouse")
        with pytest.raises(NotAllowed):
            letters_of_care.write_list(site.state, OFFICER, vault, who, "warehouse", "post", out, site.directory)
        with pytest.raises(UsageError, match="inside the site"):
            letters_of_care.write_list(site.state, KEY_HOLDER, vault, who, "warehouse", "post", site.directory / "x.csv", site.directory)
        done = letters_of_care.write_list(site.state, KEY_HOLDER, vault, who, "warehouse", "post", out, site.directory)
        with pytest.raises(UsageError, match="there already"):
            letters_of_care.write_list(site.state, KEY_HOLDER, vault, who, "warehouse", "post", out, site.directory)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert {row["family_name"] for row in rows} == {"DUPRATELLE", "MAUREPASSANT", "KERVADEC"} and rows[0]["postcode"] == "29200"
    line = next(line for line in site.state.audit.latest(5) if line.allowed and line.action == "identities")
    assert sorted(line.patients) == sorted(who)
    assert letters_of_care.to_inform(site.state, site.snapshot(), "warehouse") == []
    assert letters_of_care.sent(site.state, KEY_HOLDER, done.list_no, TODAY) == 3
    (listed,) = site.state.letters.lists()
    assert (listed.letters, listed.sent) == (3, TODAY)
    assert not scanner.scan(site.directory, scanner.Wanted(words=["dupratelle", "kervadec"]))


def test_letters_of_a_list_that_failed_are_not_listed(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, who = tmp_path / "out" / "letters.csv", sorted(site.snapshot().population())
    out.parent.mkdir()
    listed = site.state.letters.lists()
    with site.vault() as vault:
        traits = vault.traits
        monkeypatch.setattr(vault, "traits", lambda patient: traits(patient) if patient == who[0] else 1 // 0)
        with pytest.raises(ZeroDivisionError):
            letters_of_care.write_list(site.state, KEY_HOLDER, vault, who, "reuse", "post", out, site.directory)
        assert site.state.letters.told("reuse") == {} and list(out.parent.iterdir()) == []
        monkeypatch.undo()
        monkeypatch.setattr(site.state.letters, "next_number", lambda: 1_000)  # another list came in between
        with pytest.raises(StoreError, match="meanwhile"):
            letters_of_care.write_list(site.state, KEY_HOLDER, vault, who, "reuse", "post", out, site.directory)
    assert site.state.letters.lists() == listed and list(out.parent.iterdir()) == []


def test_who_came_of_age_is_informed_again(site: Site, tmp_path: Path) -> None:
    grown, child = kit.patient_of(site, "7002"), kit.patient_of(site, "7003")
    declare(site.state, site.warehouse, KEY_HOLDER, Wish(grown, "research", "opposition", site.today(), asked_by="guardian"))
    with site.vault() as vault:

        def due(day: dt.date, within: int = 0) -> list[int]:
            return letters_of_care.come_of_age(site.state, site.snapshot(), vault, day, within)

        assert due(dt.date(2026, 2, 28)) == [] and due(dt.date(2026, 3, 1)) == [grown], "to the day; opposed by a guardian or not"
        assert due(TODAY, within=900) == [grown, child]
        letters_of_care.write_list(site.state, KEY_HOLDER, vault, due(TODAY), letters_of_care.MAJORITY, "post", tmp_path / "m.csv", site.directory)
        assert due(TODAY) == []


def test_an_erasure_is_told_to_whoever_holds_a_copy(site: Site) -> None:
    who = kit.patient_of(site, "7001")
    rights.register(site.state, "mart", "datamart", ["research"], site.snapshot().version)
    with site.loading() as parts:
        wish = Wish(who, "warehouse", "erasure", site.today())
        done = erase(site.state, KEY_HOLDER, parts.warehouse, parts.vault, parts.landing.forget, wish)
    assert [(one.what, one.number) for one in rights.due(site.state, "mart")] == [("erase", done.number)]
    assert any(line.target == "erasure:warehouse" and line.patients == (who,) for line in site.state.audit.latest(5))
    assert rights.catch_up(site.state, site.snapshot()) == 0, "its trace in the warehouse is the same act"
