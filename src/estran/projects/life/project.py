"""What a project is now: its steps, added up."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from estran.projects.life.formality import Kind, Nature, Piece, Route, route_of
from estran.projects.life.machine import MOVES, Stage, Step
from estran.projects.life.request import Request, Variable, variables_of
from estran.state import Event


@dataclass(frozen=True)
class Counted:
    """A saved version of a cohort, with its count as the gate let it be shown (0: fewer than the floor)."""

    version_id: int
    cohort: str
    version: int
    total: int
    snapshot: int


@dataclass(frozen=True)
class Said:
    """A message of the thread, or an adviser's opinion when `opinion` is not ""."""

    account_id: int | None
    login: str
    at: dt.datetime
    text: str
    opinion: str = ""


@dataclass(frozen=True)
class Expert:
    """An expert asked for an opinion; `opinion` is "" until it came, "recused" when a conflict was declared."""

    account_id: int
    due: dt.date
    opinion: str = ""
    text: str = ""
    scores: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Vote:
    """One member's vote, with its reasons."""

    account_id: int
    vote: str  # accept, conditions, refuse, abstain
    reason: str


@dataclass(frozen=True)
class Session:
    """A session of the committee: who was called, who declared what, who voted."""

    day: dt.date
    members: tuple[int, ...]
    chair: int
    quorum: int
    declared: tuple[tuple[int, str], ...] = ()  # account, reason of the conflict ("" for none)
    votes: tuple[Vote, ...] = ()

    @property
    def conflicted(self) -> tuple[int, ...]:
        return tuple(member for member, conflict in self.declared if conflict)

    @property
    def sitting(self) -> tuple[int, ...]:
        """Those who count in the quorum: called, and without a conflict."""
        return tuple(member for member in self.members if member not in self.conflicted)

    @property
    def result(self) -> Stage:
        """What the votes say: a majority of those that are not abstentions; no majority accepts nothing."""
        given = [one.vote for one in self.votes]
        accepting, refusing = given.count("accept") + given.count("conditions"), given.count("refuse")
        if accepting <= refusing:
            return Stage.REFUSED
        return Stage.CONDITIONS if given.count("conditions") >= given.count("accept") else Stage.ACCEPTED


@dataclass(frozen=True)
class Decision:
    """What the committee decided, on which day, with the reasons the team is told."""

    stage: Stage
    at: dt.datetime
    reason: str


@dataclass(frozen=True)
class Condition:
    """A condition to lift; `proof` says how it was."""

    text: str
    proof: str = ""


@dataclass(frozen=True)
class Filed:
    """A piece: which, where the document is, and its date."""

    piece: Piece
    reference: str
    day: dt.date


@dataclass(frozen=True)
class Amendment:
    """A change asked for while the project is open; None and () change nothing."""

    reason: str
    months: int
    variables: tuple[Variable, ...]
    cohort: Counted | None
    answer: str = ""  # granted, denied
    said: str = ""

    @property
    def major(self) -> bool:
        return bool(self.variables or self.cohort)


@dataclass(frozen=True)
class Output:
    """A line of the register of outputs: publication, patent, software, or none with the reason."""

    kind: str
    title: str
    reference: str
    day: dt.date | None
    found: str = ""  # what was found, in plain words for the public


@dataclass(frozen=True)
class Destroyed:
    """A datamart, data of the project's own, or the workspace (no name), whose files the house destroyed; the SHA-256 is
    of its own certificate."""

    name: str
    files: int
    sha256: str
    own: bool = False


@dataclass(frozen=True)
class Kept:
    """What was archived or destroyed, where or how, and until or on which day; of a destruction, what the house itself
    destroyed."""

    what: str
    how: str
    day: dt.date | None
    destroyed: tuple[Destroyed, ...] = ()


@dataclass(frozen=True)
class Project:
    """A project. People are account numbers."""

    number: str
    title: str
    kind: Kind
    lead: int
    members: tuple[int, ...]  # with the lead
    sites: tuple[str, ...]
    stage: Stage = Stage.IDEA
    call: int | None = None
    cohorts: tuple[Counted, ...] = ()
    request: Request = field(default_factory=Request)
    signed: frozenset[int] = frozenset()
    thread: tuple[Said, ...] = ()
    advice: Said | None = None
    letter: str = ""
    selected: bool = False  # the letter of intent was kept
    tightened: str = ""
    experts: tuple[Expert, ...] = ()
    sessions: tuple[Session, ...] = ()
    decision: Decision | None = None
    conditions: tuple[Condition, ...] = ()
    pieces: tuple[Filed, ...] = ()
    opened: dt.datetime | None = None
    months: int = 0  # granted
    amendments: tuple[Amendment, ...] = ()
    outputs: tuple[Output, ...] = ()
    archive: Kept | None = None
    certificate: Kept | None = None
    history: tuple[Event, ...] = field(default=(), repr=False)

    @property
    def cohort(self) -> Counted | None:
        """The one attached last."""
        return self.cohorts[-1] if self.cohorts else None

    @property
    def route(self) -> Route:
        asked = self.request
        return route_of(Nature(
            self.kind, asked.snds, asked.national_pmsi, asked.persons, asked.public_interest, asked.informed,
            asked.partner, len(self.sites), bool(self.tightened),
        ))  # fmt: skip

    @property
    def session(self) -> Session | None:
        """The last one called."""
        return self.sessions[-1] if self.sessions else None

    @property
    def waiting(self) -> Amendment | None:
        """The amendment that waits for an answer."""
        last = self.amendments[-1] if self.amendments else None
        return last if last and not last.answer else None

    @property
    def expires(self) -> dt.datetime | None:
        """When the authorised months end, counted from the day it opened; a month that is too short ends earlier."""
        return None if self.opened is None else _later(self.opened, self.months)


def fold(number: str, events: Sequence[Event]) -> Project:
    """The project that these steps make; the first of them proposes it."""
    first = events[0].body
    members = (first["lead"], *(m for m in first["members"] if m != first["lead"]))
    made = Project(
        number, first["title"], Kind(first["kind"]), first["lead"], members, tuple(first["sites"]), call=first["call"]
    )
    for event in events[1:]:
        step = Step(event.step)
        made = _FOLD[step](made, event) if step in _FOLD else made
        made = replace(made, stage=MOVES[step].to or made.stage)
    return replace(made, history=tuple(events))


def _describe(one: Project, event: Event) -> Project:
    body = event.body
    members = (one.lead, *(m for m in body["members"] if m != one.lead))
    return replace(one, title=body["title"], members=members, sites=tuple(body["sites"]))


def _staff(one: Project, event: Event) -> Project:
    return replace(one, members=(one.lead, *(m for m in event.body["members"] if m != one.lead)))


def _attach(one: Project, event: Event) -> Project:
    return replace(one, cohorts=(*one.cohorts, Counted(**event.body["cohort"])))


def _sign(one: Project, event: Event) -> Project:
    return one if event.account_id is None else replace(one, signed=one.signed | {event.account_id})


def _say(one: Project, event: Event) -> Project:
    return replace(one, thread=(*one.thread, _said(event)))


def _advise(one: Project, event: Event) -> Project:
    return replace(one, thread=(*one.thread, _said(event)), advice=_said(event))


def _said(event: Event) -> Said:
    return Said(event.account_id, event.login, event.at, event.body["text"], event.body.get("opinion", ""))


def _ask(one: Project, event: Event) -> Project:
    asked = Expert(event.body["expert"], dt.date.fromisoformat(event.body["due"]))
    return replace(one, experts=(*(e for e in one.experts if e.account_id != asked.account_id), asked))


def _opine(one: Project, event: Event) -> Project:
    body = event.body
    told = {
        "opinion": body.get("opinion", "recused"),
        "text": body["text"],
        "scores": tuple(map(tuple, body.get("scores", ()))),
    }
    return replace(
        one, experts=tuple(replace(e, **told) if e.account_id == event.account_id else e for e in one.experts)
    )


def _call(one: Project, event: Event) -> Project:
    body = event.body
    called = Session(dt.date.fromisoformat(body["day"]), tuple(body["members"]), body["chair"], body["quorum"])
    return replace(one, sessions=(*one.sessions, called))


def _declare(one: Project, event: Event) -> Project:
    def declared(session: Session) -> Session:
        others = tuple(pair for pair in session.declared if pair[0] != event.account_id)
        votes = session.votes if not event.body["reason"] else tuple(
            v for v in session.votes if v.account_id != event.account_id
        )  # fmt: skip
        return replace(session, declared=(*others, (_by(event), event.body["reason"])), votes=votes)

    return _in_session(one, declared)


def _vote(one: Project, event: Event) -> Project:
    cast = Vote(_by(event), event.body["vote"], event.body["reason"])
    return _in_session(one, lambda session: replace(session, votes=(*session.votes, cast)))


def _in_session(one: Project, change: Callable[[Session], Session]) -> Project:
    return replace(one, sessions=(*one.sessions[:-1], change(one.sessions[-1])))


def _decide(one: Project, event: Event) -> Project:
    stage = MOVES[Step(event.step)].to or one.stage
    conditions = tuple(Condition(text) for text in event.body.get("conditions", ()))
    return replace(
        one, decision=Decision(stage, event.at, event.body["reason"]), conditions=conditions, months=one.request.months
    )


def _lift(one: Project, event: Event) -> Project:
    which = event.body["condition"]
    return replace(one, conditions=tuple(
        replace(condition, proof=event.body["proof"]) if place == which else condition
        for place, condition in enumerate(one.conditions)
    ))  # fmt: skip


def _file(one: Project, event: Event) -> Project:
    body = event.body
    filed = Filed(Piece(body["piece"]), body["reference"], dt.date.fromisoformat(body["day"]))
    return replace(one, pieces=(*(p for p in one.pieces if p.piece is not filed.piece), filed))


def _amend(one: Project, event: Event) -> Project:
    body = event.body
    cohort = Counted(**body["cohort"]) if body["cohort"] else None
    asked = Amendment(body["reason"], body["months"] or 0, variables_of(body["variables"]), cohort)
    return replace(one, amendments=(*one.amendments, asked))


def _answer(one: Project, event: Event) -> Project:
    granted = Step(event.step) is not Step.DENY
    asked = replace(one.amendments[-1], answer="granted" if granted else "denied", said=event.body["reason"])
    one = replace(one, amendments=(*one.amendments[:-1], asked))
    if not granted:
        return one
    request = replace(one.request, variables=(*one.request.variables, *asked.variables))
    cohorts = (*one.cohorts, asked.cohort) if asked.cohort else one.cohorts
    return replace(one, months=one.months + asked.months, request=request, cohorts=cohorts)


def _output(one: Project, event: Event) -> Project:
    body = event.body
    return replace(
        one, outputs=(*one.outputs, Output(body["kind"], body["title"], body["reference"], _day(body["day"]), body.get("found", "")))
    )


def _kept(event: Event) -> Kept:
    gone = tuple(Destroyed(**row) for row in event.body.get("destroyed", ()))
    return Kept(event.body["what"], event.body["how"], _day(event.body["day"]), gone)


def _by(event: Event) -> int:
    return event.account_id or 0


def _day(text: str | None) -> dt.date | None:
    return dt.date.fromisoformat(text) if text else None


def _later(moment: dt.datetime, months: int) -> dt.datetime:
    """The same day so many months later, the last of the month when it has none."""
    years, month = divmod(moment.month - 1 + months, 12)
    first = moment.replace(year=moment.year + years, month=month + 1, day=1)
    return first + dt.timedelta(days=min(moment.day, _days(first)) - 1)


def _days(first: dt.datetime) -> int:
    following = (first + dt.timedelta(days=32)).replace(day=1)
    return (following - first).days


_FOLD: dict[Step, Callable[[Project, Event], Project]] = {
    Step.DESCRIBE: _describe,
    Step.ATTACH: _attach,
    Step.WRITE: lambda one, event: replace(one, request=Request.of(event.body)),
    Step.SIGN: _sign,
    Step.SAY: _say,
    Step.INTEND: lambda one, event: replace(one, letter=event.body["letter"]),
    Step.PRESELECT: lambda one, _: replace(one, selected=True),
    Step.DECLINE: _decide,
    Step.ADVISE: _advise,
    Step.TIGHTEN: lambda one, event: replace(one, tightened=event.body["reason"]),
    Step.ASK: _ask,
    Step.OPINE: _opine,
    Step.RECUSE: _opine,
    Step.CALL: _call,
    Step.DECLARE: _declare,
    Step.VOTE: _vote,
    Step.ACCEPT: _decide,
    Step.CONDITION: _decide,
    Step.REFUSE: _decide,
    Step.LIFT: _lift,
    Step.FILE: _file,
    Step.OPEN: lambda one, event: replace(one, opened=event.at),
    Step.AMEND: _amend,
    Step.GRANT: _answer,
    Step.APPROVE: _answer,
    Step.DENY: _answer,
    Step.STAFF: _staff,
    Step.OUTPUT: _output,
    Step.ARCHIVE: lambda one, event: replace(one, archive=_kept(event)),
    Step.DESTROY: lambda one, event: replace(one, certificate=_kept(event)),
}
