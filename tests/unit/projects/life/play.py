"""People around projects, and a project led through its steps by those whose hands they are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

from estran.projects.actors import Actor, Role
from estran.projects.life import ProjectsDesk
from estran.projects.life.formality import Kind, Piece
from estran.projects.life.machine import Stage, Step
from estran.projects.life.project import Project
from estran.settings import Settings
from estran.state import StateDatabase

PEOPLE = {
    "lea": Role.RESEARCHER, "tom": Role.CLINICIAN, "zoe": Role.RESEARCHER, "max": Role.METHODOLOGIST,
    "dan": Role.DATA_ENGINEER, "eve": Role.EXPERT, "dpo": Role.DATA_PROTECTION_OFFICER, "aud": Role.AUDITOR,
    **{f"m{n}": Role.COMMITTEE_MEMBER for n in range(1, 6)},
}  # fmt: skip
REASON = "Because it is right."


class Play:
    """A site's people, and their desks."""

    def __init__(self, state: StateDatabase, settings: Settings | None = None) -> None:
        self.state, self.settings = state, settings or Settings(language="en")
        self.id = {name: state.accounts.add(name, "hash", str(role)).id for name, role in PEOPLE.items()}

    def actor(self, name: str) -> Actor:
        return Actor(name, PEOPLE[name], self.id[name])

    def desk(self, name: str) -> ProjectsDesk:
        return ProjectsDesk(self.state, self.settings, self.actor(name))

    def cohort(self, name: str = "lea") -> int:
        return self.state.cohorts.save(self.id[name], "Heart failure", "{}", "", 3, 120).id

    def propose(
        self, kind: Kind = Kind.RESEARCH, sites: str = "Rennes", members: Iterable[str] = ("tom",), call: int = 0
    ) -> str:
        return self.desk("lea").propose({
            "title": ["Heart failure and diabetes"], "kind": [kind], "sites": [sites],
            "members": [str(self.id[m]) for m in members], "call": [str(call)] if call else [""],
        })  # fmt: skip

    def take(self, number: str, name: str, step: Step, **given: Any) -> Project:
        """A step by somebody; people are given by name."""
        form = {
            key: [str(one) for one in (value if isinstance(value, list) else [value])] for key, value in given.items()
        }
        for key in ("members", "chair", "expert"):
            if key in form:
                form[key] = [str(self.id[name]) for name in form[key]]
        return self.desk(name).take(number, step, form)

    def write(self, number: str, why: str = "Defines the population", **more: Any) -> Project:
        asked = {
            "objectives": "To know.", "summary": "We look.", "legal_basis": "public-task", "months": "24", "persons": "none", "public_interest": "1",
            "informed": "1", "variables_name": ["NT-proBNP"], "variables_code": ["LOINC:33762-6"], "variables_why": [why],
        }  # fmt: skip
        return self.take(number, "lea", Step.WRITE, **asked | more)

    # Stage by stage

    def letter(self, number: str) -> None:
        self.take(number, "lea", Step.ATTACH, cohort=self.cohort())
        self.take(number, "lea", Step.INTEND, letter="We would like to know.")
        self.take(number, "max", Step.PRESELECT, reason=REASON)

    def submit(self, number: str, **more: Any) -> Project:
        self.write(number, **more)
        self.take(number, "lea", Step.SIGN, charter="1")
        return self.take(number, "lea", Step.SUBMIT)

    def judge_ready(self, number: str, due: str = "2099-01-01") -> None:
        self.take(number, "max", Step.ADVISE, opinion="favourable", text="Sound.")
        self.take(number, "max", Step.ASK, expert=["eve"], due=due)
        self.take(number, "eve", Step.OPINE, opinion="favourable", text="Useful.")

    def call(self, number: str, quorum: int = 3) -> Project:
        five = [f"m{n}" for n in range(1, 6)]
        return self.take(number, "max", Step.CALL, day="2099-02-01", members=five, chair="m1", quorum=quorum)

    def vote(self, number: str, **votes: str) -> None:
        for name, vote in votes.items():
            self.take(number, name, Step.DECLARE)
            self.take(number, name, Step.VOTE, vote=vote, reason=REASON)

    def to(self, stage: Stage) -> str:
        """A research project led as far as a stage."""
        number = self.propose()
        steps = {
            Stage.WRITING: lambda: self.letter(number),
            Stage.SUBMITTED: lambda: self.submit(number),
            Stage.EXPERTISE: lambda: self.judge_ready(number),
            Stage.COMMITTEE: lambda: self.call(number),
            Stage.ACCEPTED: lambda: self.accept(number),
            Stage.OPEN: lambda: self.open(number),
            Stage.CLOSING: lambda: self.take(number, "lea", Step.CLOSE, reason=REASON),
        }
        for reached, lead in steps.items():
            lead()
            if reached is stage:
                return number
        raise AssertionError(stage)

    def accept(self, number: str) -> None:
        self.vote(number, m1="accept", m2="accept", m3="refuse")
        self.take(number, "m1", Step.ACCEPT, reason=REASON)

    def open(self, number: str) -> Project:
        self.file(number, self.project(number).route.pieces)
        for name in ("lea", "tom"):
            self.take(number, name, Step.SIGN, charter="1")
        return self.take(number, "dan", Step.OPEN)

    def file(self, number: str, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            self.take(number, "max", Step.FILE, piece=piece, reference=f"GED-{piece}", day="2026-01-02")

    def project(self, number: str) -> Project:
        sheet = self.desk("dan").sheet(number)
        assert sheet is not None
        return sheet.project


def steps(play: Play, name: str, number: str) -> set[Step]:
    """What somebody is offered on the page of a project."""
    sheet = play.desk(name).sheet(number)
    assert sheet is not None
    return {choice.move.step for choice in sheet.choices}


def lacking(play: Play, name: str, number: str, step: Step) -> tuple[str, ...]:
    """What a step offered to somebody still needs."""
    sheet = play.desk(name).sheet(number)
    assert sheet is not None
    return next(choice.missing for choice in sheet.choices if choice.move.step is step)


def today() -> dt.date:
    """By the clocks of the site, as the product has it; asked for when a test runs, which may be after midnight."""
    return dt.datetime.now(ZoneInfo(Settings().zone)).date()
