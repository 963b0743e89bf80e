"""Unusual accesses, reviews, the officer's desk: on lines written at moments of our choosing."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from tests.unit.projects.auditing import AuditedSite, audited, behind_its_back

import estran.state.audit as book
from estran.model.errors import NotAllowed, UsageError
from estran.projects import unusual
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.letter import letter
from estran.projects.officer import Officer
from estran.projects.review import prove_all, week_due, write
from estran.projects.unusual import Finding, look
from estran.state import AuditFilter
from estran.state.verifying import Wrong

PARIS = ZoneInfo("Europe/Paris")
MONDAY = dt.datetime(2026, 3, 2, tzinfo=PARIS)  # the period under review is the week from here
NEXT = MONDAY + dt.timedelta(days=7)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[AuditedSite]:
    made = audited(tmp_path)
    yield made
    made.state.close()


class Clock:
    """Lines are written at the moment that it shows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = MONDAY
        monkeypatch.setattr(book, "now", lambda: self.at)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def opens(site: AuditedSite, clock: Clock, when: dt.datetime, patient: int, login: str = "anne") -> None:
    clock.at = when
    site.write(1, action="timeline", target=f"patient:{patient}", patients=(patient,), login=login)


def found(site: AuditedSite, rule: str) -> list[Finding]:
    return [finding for finding in look(site, MONDAY, NEXT).findings if finding.rule == rule]


def at(day: int, hour: int, minute: int = 0) -> dt.datetime:
    return MONDAY + dt.timedelta(days=day, hours=hour, minutes=minute)


def test_many_patients_within_an_hour(site: AuditedSite, clock: Clock) -> None:
    site.settings = dataclasses.replace(site.settings, audit_patients_hour=5)
    for number in range(5):
        opens(site, clock, at(0, 10, 14 * number), number)  # 56 minutes
        opens(site, clock, at(1, 10, 16 * number), number)  # 64 minutes
        opens(site, clock, at(2, 10, number), 7)  # one patient
    (finding,) = found(site, "many_patients")
    assert (finding.login, finding.count, finding.usual, finding.at) == ("anne", 5, 5, "2026-03-02 10:56")
    clock.at = at(3, 9)
    site.write(1, action="patients", target="page of patients:0-50", patients=tuple(range(50)), login="bob")
    assert [(f.login, f.count) for f in found(site, "many_patients")] == [("anne", 5), ("bob", 50)]


def test_nights_and_weekends_beyond_the_persons_habit(site: AuditedSite, clock: Clock) -> None:
    for week in range(1, 9):
        for number in range(6):
            opens(
                site, clock, MONDAY - dt.timedelta(weeks=week) + dt.timedelta(hours=22, minutes=number), number, "night"
            )
    for number in range(12):
        opens(site, clock, at(2, 3, number), number, "night")  # twice the habit
        opens(site, clock, at(5, 11, number), number, "day")  # a Saturday
        opens(site, clock, at(1, 11, number), number, "noon")
    (finding,) = found(site, "odd_hours")
    assert (finding.login, finding.count, finding.usual) == ("day", 12, 0)


def test_one_patient_opened_again_and_again(site: AuditedSite, clock: Clock) -> None:
    site.settings = dataclasses.replace(site.settings, audit_same_patient=4)
    for number in range(4):
        opens(site, clock, at(number, 9), 42)
        opens(site, clock, at(0, 9), 43)  # four times within a minute: one page
        clock.at = at(number, 10)
        site.write(1, action="patients", target="page of patients:0-50", patients=(44,))  # in a list
    (finding,) = found(site, "same_patient")
    assert (finding.about, finding.count) == ("patient:42", 4)


def test_a_kind_and_a_ward_never_opened_before(
    site: AuditedSite, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.settings = dataclasses.replace(site.settings, audit_first_after=3)
    kinds = [{"document": n, "kind": "psychiatry" if n == 9 else "letter", "ward": "CARD"} for n in range(10)]
    monkeypatch.setattr(
        unusual,
        "_kinds",
        lambda _site, numbers: unusual.pa.Table.from_pylist(
            [k for k in kinds if k["document"] in numbers], unusual._KINDS
        ),
    )
    for number, login in [(1, "anne"), (2, "anne"), (3, "anne"), (1, "new")]:
        clock.at = MONDAY - dt.timedelta(days=200)
        site.write(1, action="document", target=f"document:{number}", patients=(1,), login=login)
    for number, login in [(4, "anne"), (9, "anne"), (9, "new")]:
        clock.at = at(1, 9)
        site.write(1, action="document", target=f"document:{number}", patients=(1,), login=login)
    (finding,) = found(site, "first_access")
    assert (finding.login, finding.about, finding.count) == ("anne", "kind:psychiatry", 1)


def test_refusals_in_a_row(site: AuditedSite, clock: Clock) -> None:
    clock.at = at(0, 9)
    for count, login in [(4, "anne"), (5, "bob")]:
        site.write(count, allowed=False, login=login)
    site.write(1, login="anne")
    site.write(4, allowed=False, login="anne")
    (finding,) = found(site, "refusals")
    assert (finding.login, finding.count, finding.last - finding.first) == ("bob", 5, 4)


def test_nothing_is_unusual_of_nothing(site: AuditedSite) -> None:
    seen = look(site, MONDAY, NEXT)
    assert (seen.lines, seen.people, seen.reads, seen.patients, seen.refused, seen.findings) == (0, 0, 0, 0, 0, ())


def test_hours_of_the_night_that_are_none_are_refused(site: AuditedSite) -> None:
    site.settings = dataclasses.replace(site.settings, audit_odd_hours="late")
    with pytest.raises(UsageError, match="20-7"):
        look(site, MONDAY, NEXT)


# Reviews


def test_each_whole_week_is_reviewed_once(site: AuditedSite, clock: Clock) -> None:
    assert week_due(site, NEXT) is None, "nothing was recorded yet"
    opens(site, clock, at(1, 9), 3)
    assert week_due(site, NEXT - dt.timedelta(seconds=1)) is None
    due = week_due(site, NEXT + dt.timedelta(days=2))
    assert due == (MONDAY, NEXT)
    record = write(site, *due)
    assert (record.body["lines"], record.body["reads"], record.body["patients"], record.body["trail"]["whole"]) == (
        1,
        1,
        1,
        True,
    )
    assert week_due(site, NEXT + dt.timedelta(days=6)) is None
    assert week_due(site, NEXT + dt.timedelta(days=7)) == (NEXT, NEXT + dt.timedelta(days=7))


def test_a_review_is_acknowledged_once_by_somebody_who_may(site: AuditedSite) -> None:
    site.write(1)
    officer = Officer(site, Actor("dora", Role.DATA_ENGINEER, 1))
    number = officer.review(MONDAY, NEXT).id
    with pytest.raises(NotAllowed):
        Officer(site, Actor("eve", Role.RESEARCHER, 2)).acknowledge(number, "")
    officer.acknowledge(number, " seen ")
    (record,) = officer.reviews()
    assert (record.acknowledged_by, record.note) == ("dora", "seen")
    with pytest.raises(UsageError, match="waits"):
        officer.acknowledge(number, "again")
    assert prove_all(site).whole
    with pytest.raises(UsageError, match="before it begins"):
        officer.review(NEXT, MONDAY)


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [("UPDATE audit_review SET body='{}'", Wrong.ALTERED), ("DELETE FROM audit_review", Wrong.REMOVED)],
)
def test_a_review_altered_or_removed_is_found(site: AuditedSite, statement: str, wrong: Wrong) -> None:
    site.write(1)
    write(site, MONDAY, NEXT)
    behind_its_back(site, statement)
    assert [(f.line, f.wrong) for f in prove_all(site).faults] == [(2, wrong)]


# Who read a patient


def test_who_read_a_patient_under_any_of_its_numbers(site: AuditedSite, clock: Clock) -> None:
    opens(site, clock, at(0, 9), 3)
    opens(site, clock, at(1, 9), 12)
    opens(site, clock, at(2, 9), 3, "bob")
    clock.at = at(3, 9)
    site.write(1, action="timeline", target="patient:3", patients=(3,), login="eve", allowed=False)
    site.write(1, action="patients", target="page of patients:0-50", patients=(1, 2, 3))
    officer = Officer(site, KEY_HOLDER)
    assert [(r.login, r.reads) for r in officer.readers((3, 12))] == [("anne", 3), ("bob", 1)]
    assert [e.id for e in officer.history((3, 12))] == [1, 2, 3, 5]
    assert officer.readers((99,)) == []
    asked = officer.lines(AuditFilter(patients=(3,), refused=True))
    assert (asked.total, [e.login for e in asked.lines]) == (1, ["eve"])
    assert site.state.audit.latest(1)[0].target == "lines:0-50 patient=3 refused=yes"


def test_the_letter_tells_functions_and_purposes_not_names(site: AuditedSite, clock: Clock) -> None:
    opens(site, clock, at(0, 9), 3)
    opens(site, clock, at(0, 9), 3)
    clock.at = at(2, 14, 30)
    site.write(1, action="document", target="document:8", patients=(3,), login="dora", role="data_engineer")
    history = Officer(site, KEY_HOLDER).history((3,))
    text = letter(history, "CHU de l'Estran", PARIS, at(4, 0), None)
    assert "02/03/2026 à 09:00 – Chercheur – lecture du dossier chronologique" in text
    assert text.count("lecture du dossier chronologique") == 1
    assert "04/03/2026 à 14:30 – Centre de données cliniques – lecture d'un document" in text
    assert "dora" not in text and "anne" not in text
    assert "dora" in letter(history, "CHU", PARIS, at(4, 0), None, names=True)
    assert "Aucune consultation" in letter([], "CHU", PARIS, at(4, 0), at(0, 0))
