"""What a step still needs, in sentences that the person can act on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from estran.projects.life.formality import Kind
from estran.projects.life.machine import Move, Need, Stage, Step
from estran.projects.life.project import Project, Session
from estran.projects.life.request import Request
from estran.state import Call


@dataclass(frozen=True)
class Circuit:
    """What a project must go through: its call's rules, or those of its type."""

    letter: bool  # a letter of intent and a pre-selection
    experts: int  # fewest outside opinions
    sites: int = 1  # fewest sites
    deadline: dt.date | None = None  # last day for the letter
    grid: tuple[tuple[str, int], ...] = ()  # what experts score, with the most points


def circuit_of(kind: Kind, call: Call | None) -> Circuit:
    """A call's own rules; else research is judged with one outside opinion, the other types by the committee alone."""
    if call is not None:
        return Circuit(True, call.experts, call.sites, call.deadline, call.grid)
    return Circuit(True, 1) if kind is Kind.RESEARCH else Circuit(False, 0)


@dataclass(frozen=True)
class Case:
    """A project before somebody (an account, or None), on a day. `held`: datamarts whose files are there; `space`: whether
    its workspace's are; `brought`: data sets of its own that are there."""

    project: Project
    circuit: Circuit
    today: dt.date
    account_id: int | None
    held: int = 0
    space: bool = False
    brought: int = 0

    @property
    def session(self) -> Session:
        """The session; an empty one when none was called."""
        return self.project.session or Session(self.today, (), 0, 1)


def missing(move: Move, case: Case) -> list[str]:
    """What is missing before this step, sentence by sentence; nothing when it may be taken."""
    return [sentence for need in move.needs for sentence in _NEEDS[need](case)]


def done_by(step: Step, case: Case) -> bool:
    """Whether this person took the step already, and it is taken once."""
    if step is Step.SIGN:
        return case.account_id in case.project.signed
    return step in (Step.OPINE, Step.RECUSE) and not any(
        expert.account_id == case.account_id and not expert.opinion for expert in case.project.experts
    )


def is_awaited(step: Step, case: Case) -> bool:
    """Whether the project waits for this step; those that hold it up or turn it away are never waited for."""
    if step is Step.ADVISE:
        return case.project.advice is None
    if step is Step.DECLARE:
        return case.account_id not in dict(case.session.declared)
    if step is Step.SIGN:
        return case.project.stage not in (Stage.IDEA, Stage.LETTER)
    return step in _AWAITED


_AWAITED = {
    Step.INTEND, Step.PRESELECT, Step.SUBMIT, Step.OPINE, Step.CALL, Step.VOTE, Step.ACCEPT, Step.CONDITION, Step.REFUSE,
    Step.CONFIRM, Step.OPEN, Step.GRANT, Step.APPROVE, Step.END,
}  # fmt: skip


def _refuse(sentence: str, unless: object) -> list[str]:
    return [] if unless else [sentence]


def _request(case: Case) -> list[str]:
    asked = case.project.request
    return [
        *_refuse("The request has no objectives.", asked.objectives),
        *_refuse("The request has no summary for the public.", asked.summary),
        *_refuse("The request has no legal basis.", asked.legal_basis),
        *_refuse("The request does not say for how many months.", asked.months),
        *_refuse("The request asks for no variable.", asked.variables),
        *_justified(asked),
    ]


def _justified(asked: Request) -> list[str]:
    """Parsimony: nothing is asked for without its reason."""
    bare = [variable.name for variable in asked.variables if not variable.justified]
    return _refuse(f"These variables have no justification: {', '.join(bare)}.", not bare)


def _counts(case: Case) -> list[str]:
    return _refuse("No counted cohort is attached.", case.project.cohort)


def _sites(case: Case) -> list[str]:
    wanted = case.circuit.sites
    return _refuse(f"At least {wanted} sites take part.", len(case.project.sites) >= wanted)


def _in_time(case: Case) -> list[str]:
    deadline = case.circuit.deadline
    return _refuse(f"Letters of intent were due on {deadline}.", deadline is None or case.today <= deadline)


def _no_letter(case: Case) -> list[str]:
    return _refuse("A letter of intent is asked for first.", case.project.selected or not case.circuit.letter)


def _charter(case: Case) -> list[str]:
    return _refuse("The lead has not signed the charter.", case.project.lead in case.project.signed)


def _all_signed(case: Case) -> list[str]:
    return _refuse(
        "Not everybody in the team has signed the charter.", set(case.project.members) <= case.project.signed
    )


def _advice(case: Case) -> list[str]:
    return _refuse("No methodologist has given an opinion.", case.project.advice)


def _opinions(case: Case) -> list[str]:
    given = sum(expert.opinion not in ("", "recused") for expert in case.project.experts)
    wanted = case.circuit.experts
    return _refuse(f"Outside opinions: {given} of {wanted}.", given >= wanted)


def _declared(case: Case) -> list[str]:
    declared = dict(case.session.declared)
    return _refuse("Declare your interests first.", case.account_id in declared)


def _first_vote(case: Case) -> list[str]:
    return _refuse("You have voted.", case.account_id not in [vote.account_id for vote in case.session.votes])


def _quorum(case: Case) -> list[str]:
    given, wanted = len(case.session.votes), case.session.quorum
    return _refuse(f"The quorum is not reached: {given} of {wanted} votes.", given >= wanted)


def _result(stage: Stage) -> Callable[[Case], list[str]]:
    return lambda case: _refuse("The votes say otherwise.", case.session.result is stage)


def _pieces(case: Case) -> list[str]:
    filed = {filed.piece for filed in case.project.pieces}
    left = [piece for piece in case.project.route.pieces if piece not in filed]
    return _refuse(f"Pieces still missing: {len(left)}.", not left)


def _data_gone(case: Case) -> list[str]:
    return [
        *_refuse(f"Datamarts whose files are still there: {case.held}.", not case.held),
        *_refuse(f"Data sets of its own that are still there: {case.brought}.", not case.brought),
        *_refuse("The files of the workspace are still there: they are destroyed once the archive is recorded.", not case.space),
    ]


def _major(case: Case) -> bool:
    return bool(case.project.waiting and case.project.waiting.major)


_NEEDS: dict[Need, Callable[[Case], list[str]]] = {
    Need.COUNTS: _counts,
    Need.SITES: _sites,
    Need.IN_TIME: _in_time,
    Need.NO_LETTER: _no_letter,
    Need.REQUEST: _request,
    Need.CHARTER: _charter,
    Need.ALL_SIGNED: _all_signed,
    Need.ADVICE: _advice,
    Need.OPINIONS: _opinions,
    Need.DECLARED: _declared,
    Need.FIRST_VOTE: _first_vote,
    Need.QUORUM: _quorum,
    Need.FOR: _result(Stage.ACCEPTED),
    Need.FOR_IF: _result(Stage.CONDITIONS),
    Need.AGAINST: _result(Stage.REFUSED),
    Need.LIFTED: lambda case: _refuse("A condition is not lifted.", all(one.proof for one in case.project.conditions)),
    Need.PIECES: _pieces,
    Need.NO_WAITING: lambda case: _refuse("An amendment waits for its answer.", not case.project.waiting),
    Need.WAITING: lambda case: _refuse("No amendment waits.", case.project.waiting),
    Need.MINOR: lambda case: _refuse("The chair of the committee answers for variables and cohorts.", not _major(case)),
    Need.MAJOR: lambda case: _refuse("The clinical data centre answers for months alone.", _major(case)),
    Need.ARCHIVED: lambda case: _refuse("Nothing says what was archived.", case.project.archive),
    Need.DATA_GONE: _data_gone,
    Need.DESTROYED: lambda case: _refuse("There is no certificate of destruction.", case.project.certificate),
    Need.OUTPUTS: lambda case: _refuse("The register of outputs is empty.", case.project.outputs),
}
