"""Names for the team of a ward: who is on the list, who may have it, what is kept of it and for how long."""

from __future__ import annotations

import datetime as dt
import sqlite3
import stat
from pathlib import Path

import pytest
from tests.spec import site_kit as kit
from typer.testing import CliRunner

from estran.app import Site
from estran.cli import app
from estran.cohort.query import Everyone
from estran.keeping.screening import ScreeningKeeper
from estran.model.errors import NotAllowed, UsageError
from estran.model.perimeter import Perimeter
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.screening import in_ward, screened, treats
from estran.projects.sign_in import create_account


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = kit.make(tmp_path / "site", author_system="CHU")
    today = site.today()

    def stamp(days: int) -> str:
        return f"{today + dt.timedelta(days=days):%Y%m%d}080000"

    def person(n: int, name: str) -> str:
        return kit.pid(f"IPP{n}", name, "Prénom", "19500101", "F")

    kit.load(site, "hl7v2", kit.write_messages(
        tmp_path / "in.hl7",
        kit.adt("A01", stamp(-3), person(1, "PRESENTE"), kit.pv1("V1", "CARD", start=stamp(-3))),
        kit.adt("A01", stamp(-9), person(2, "SORTIE"), kit.pv1("V2", "CARD", start=stamp(-9))),
        kit.adt("A03", stamp(-5), person(2, "SORTIE"), kit.pv1("V2", "CARD", start=stamp(-9), end=stamp(-5))),
        kit.adt("A05", stamp(-1), person(3, "=ATTENDUE"), kit.pv1("V3", "CARD", start=stamp(4))),
        kit.adt("A01", stamp(-2), person(4, "AILLEURS"), kit.pv1("V4", "DIAB", start=stamp(-2))),
    ))  # fmt: skip
    for role in (Role.CLINICIAN, Role.RESEARCHER):
        create_account(site.state, KEY_HOLDER, str(role), "marée basse à midi", role)
    return site


def actor(site: Site, role: Role) -> Actor:
    account = site.state.accounts.find(str(role))
    assert account
    return Actor.of(account)


def run(*words: object) -> object:
    done = CliRunner().invoke(app, ["screening", *map(str, words)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_who_is_in_the_ward_or_will_be(site: Site) -> None:
    found = in_ward(site.snapshot(), "CARD", site.today())
    assert set(found) == {kit.patient_of(site, "IPP1"), kit.patient_of(site, "IPP3")}
    with pytest.raises(UsageError):
        in_ward(site.snapshot(), "NOWHERE", site.today())


def test_nobody_treats_anybody_until_something_says_so(site: Site) -> None:
    clinician = actor(site, Role.CLINICIAN)
    assert not treats(site.snapshot(), clinician, "CARD").allowed
    with pytest.raises(NotAllowed, match="Nothing says"):
        screened(site, Everyone(), "CARD", site.today(), clinician, " ")
    with pytest.raises(NotAllowed, match="does not include 'screen'"):
        screened(site, Everyone(), "CARD", site.today(), actor(site, Role.RESEARCHER), "head of ward")


def test_names_are_sealed_handed_over_once_asked_and_named_in_the_trail(site: Site, tmp_path: Path) -> None:
    out = tmp_path / "list.csv"
    run("make", site.directory, "âge>=18", "--ward", "CARD", "--to", "clinician", "--because", "head of ward, 3 May")
    clinician = actor(site, Role.CLINICIAN).account_id or 0
    assert [(n.kind, n.said) for n in site.state.news.recent(clinician)] == [("screening", "CARD")]
    raw = sqlite3.connect(site.directory / "state.sqlite")
    everything = str([list(raw.execute(f"SELECT * FROM {t}")) for (t,) in raw.execute("SELECT name FROM sqlite_master WHERE type='table'")])
    raw.close()
    assert "PRESENTE" not in everything and "IPP1" not in everything
    run("hand-over", site.directory, 1, out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    rows = out.read_text("utf-8-sig").splitlines()
    assert rows[0] == "family_names;given_names;birth_date;numbers"
    assert sorted(row.split(";")[0] for row in rows[1:]) == ["'=ATTENDUE", "PRESENTE"]
    entry = site.state.audit.latest(1)[0]
    assert (entry.action, entry.login, len(entry.patients)) == ("screen", "key-holder", 2)
    assert [n.kind for n in site.state.news.recent(clinician)] == ["handed", "screening"]
    with pytest.raises(UsageError, match="exists already"):
        run("hand-over", site.directory, 1, out)


def test_a_list_goes_when_its_time_is_over(site: Site, tmp_path: Path) -> None:
    run("make", site.directory, "âge>=18", "--ward", "CARD", "--to", "clinician", "--because", "x")
    raw = sqlite3.connect(site.directory / "state.sqlite")
    raw.execute("UPDATE screening SET expires = '2020-01-01 00:00:00.000000'")
    raw.commit()
    with pytest.raises(UsageError, match="time is over"):
        run("hand-over", site.directory, 1, tmp_path / "list.csv")
    assert ScreeningKeeper(site.state).look() == ["screening: 1 lists expired"]
    assert raw.execute("SELECT sealed FROM screening").fetchone() == (None,)
    raw.close()
    assert "expired" in str(run("list", site.directory, "--json"))


def test_whoever_lost_the_right_is_handed_nothing(site: Site, tmp_path: Path) -> None:
    run("make", site.directory, "âge>=18", "--ward", "CARD", "--to", "clinician", "--because", "x")
    site.state.accounts.change(actor(site, Role.CLINICIAN).account_id or 0, role="viewer")
    with pytest.raises(NotAllowed):
        run("hand-over", site.directory, 1, tmp_path / "list.csv")
    assert not (tmp_path / "list.csv").exists()


def test_a_perimeter_says_whom_and_names_nobody_outside(site: Site, tmp_path: Path) -> None:
    number, inside = actor(site, Role.CLINICIAN).account_id or 0, kit.patient_of(site, "IPP1")
    site.state.perimeters.put(number, Perimeter(wards=("CARD",), patients=(inside,)), "test")
    run("make", site.directory, "âge>=18", "--ward", "CARD", "--to", "clinician")  # nobody needs to say how they know
    assert site.state.audit.latest(1)[0].patients == (inside,)
    site.state.perimeters.put(number, Perimeter(wards=("DIAB",)), "test")
    with pytest.raises(NotAllowed, match="within your perimeter"):
        run("hand-over", site.directory, 1, tmp_path / "list.csv")
    assert not (tmp_path / "list.csv").exists()
    with pytest.raises(NotAllowed, match="Nothing says"):
        run("make", site.directory, "âge>=18", "--ward", "CARD", "--to", "clinician")
