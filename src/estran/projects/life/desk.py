"""The desk of projects: see them, and take their steps. Each is decided, recorded, then done."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import orjson

from estran.model.errors import NotAllowed, StoreError, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit, record
from estran.projects.life.deadlines import Deadline, deadline_of
from estran.projects.life.fields import Given, read
from estran.projects.life.hands import Sight, concerned, hand_of, sight_of
from estran.projects.life.machine import MOVES, Move, Stage, Step, moves_from
from estran.projects.life.needs import Case, Circuit, circuit_of, done_by, is_awaited, missing
from estran.projects.life.notices import announce
from estran.projects.life.project import Counted, Output, Project, fold
from estran.projects.policy import Action, Target, decide
from estran.settings import Settings
from estran.state import Account, Call, Event, OwnState, SavedCohort, StateDatabase, Written
from estran.state.datamarts import MartState
from estran.state.spaces import space_key
from estran.state.transactions import now

TRIES = 8  # two people who act at once: the one who comes second looks again
END_DATA = "end-project"  # work for the process that holds the key: destroy what a project that is over was given
_ENDING = (Step.CLOSE, Step.ARCHIVE)
_SECRET = {Step.OPINE, Step.RECUSE, Step.ASK}  # steps whose hands and words the team is not told


@dataclass(frozen=True)
class Card:
    """A project on the board."""

    project: Project
    deadline: Deadline | None
    mine: bool  # one of its next steps is mine to take


@dataclass(frozen=True)
class Choice:
    """A step that this person may take now; `missing` says what it still needs, `awaited` that others wait for it."""

    move: Move
    missing: tuple[str, ...]
    awaited: bool


@dataclass(frozen=True)
class Sheet:
    """A project as one person sees it."""

    project: Project
    circuit: Circuit
    call: Call | None
    choices: tuple[Choice, ...]
    sight: Sight
    history: tuple[Event, ...]
    deadline: Deadline | None


class ProjectsDesk:
    """One person before the projects. NotAllowed, with the reason, when the policy says no."""

    def __init__(self, state: StateDatabase, settings: Settings, actor: Actor) -> None:
        self._state, self._settings = state, settings
        self.actor = actor

    @cached_property
    def people(self) -> dict[int, Account]:
        """Everybody who has an account, by number."""
        return {account.id: account for account in self._state.accounts.all()}

    @property
    def today(self) -> dt.date:
        """The day on the site's clocks."""
        return self._settings.day(now())

    # Seeing

    def board(self) -> list[Card]:
        """The projects that this person may see, the newest first."""
        permit(self._state, self.actor, Action.PROJECTS, Target("board", self.actor.account_id))
        calls = self._calls
        found = [fold(number, events) for number, events in self._state.projects.all().items()]
        return [self._card(one, calls) for one in found if decide(self.actor, Action.PROJECTS, _seen(one)).allowed]

    def _card(self, project: Project, calls: dict[int, Call]) -> Card:
        circuit = circuit_of(project.kind, calls.get(project.call or 0))
        mine = any(choice.awaited for choice in self._choices(project, circuit))
        return Card(project, deadline_of(project, circuit, self._settings), mine)

    def sheet(self, number: str) -> Sheet | None:
        """One project; None when there is none of this number."""
        project = self._project(number)
        if project is None:
            return None
        permit(self._state, self.actor, Action.PROJECTS, _seen(project))
        call = self._calls.get(project.call or 0)
        circuit, sight = circuit_of(project.kind, call), sight_of(self.actor, project)
        return Sheet(
            _within(project, sight), circuit, call, self._choices(project, circuit), sight, _told(project, sight),
            deadline_of(project, circuit, self._settings),
        )  # fmt: skip

    def outputs(self) -> list[tuple[Project, Output]]:
        """The register of outputs of the projects that this person may see."""
        return [(card.project, one) for card in self.board() for one in card.project.outputs if one.kind != "none"]

    def calls(self) -> list[Call]:
        """The calls for projects, the newest first; they are for everybody to read."""
        return list(reversed(self._calls.values()))

    def publish(
        self, title: str, deadline: dt.date, sites: int, experts: int, grid: tuple[tuple[str, int], ...]
    ) -> int:
        """Publish a call for projects; UsageError when it does not fit."""
        permit(self._state, self.actor, Action.RUN_PROJECTS, Target(f"call:{title[:200]}"))
        title = " ".join(title.split())
        if not 1 <= len(title) <= 200 or any(call.title == title for call in self._calls.values()):
            raise UsageError("A call needs a title of its own, of 1 to 200 characters.")
        if not (1 <= sites <= 100 and 0 <= experts <= 20 and all(name and 1 <= most <= 100 for name, most in grid)):
            raise UsageError(
                "The rules of the call do not fit.", hint="1 to 100 sites, 0 to 20 experts, 1 to 100 points a criterion"
            )
        return self._state.projects.add_call(title, deadline, sites, experts, grid)

    @cached_property
    def _calls(self) -> dict[int, Call]:
        return {call.id: call for call in reversed(self._state.projects.calls())}

    def _project(self, number: str) -> Project | None:
        events = self._state.projects.events(number)
        return fold(number, events) if events else None

    def _choices(self, project: Project, circuit: Circuit) -> tuple[Choice, ...]:
        case = self._case(project, circuit)
        found = []
        for move in moves_from(project.stage):
            if hand_of(self.actor, move, project)[1].allowed and not done_by(move.step, case):
                lacking = tuple(missing(move, case))
                found.append(Choice(move, lacking, not lacking and is_awaited(move.step, case)))
        return tuple(found)

    def _case(self, project: Project, circuit: Circuit) -> Case:
        held, brought, space = 0, 0, None
        if project.stage is Stage.CLOSING:
            brought = sum(row.state not in (OwnState.ENDED, OwnState.REFUSED) for row in self._state.own_data.of(project.number))
            held = sum(row.state != MartState.DELETED for row in self._state.datamarts.of(project.number))
            space = self._state.spaces.find(space_key(project.number))
        here = space is not None and not space.ended
        return Case(project, circuit, self.today, self.actor.account_id, held, here, brought)

    # Who and what may be chosen in a form

    def cohorts(self) -> list[SavedCohort]:
        """My saved cohorts."""
        return [] if self.actor.account_id is None else self._state.cohorts.owned_by(self.actor.account_id)

    def may(self, action: Action) -> list[Account]:
        """Whose role includes an action, by login."""
        return [one for one in self.people.values() if not one.disabled and decide(Actor.of(one), action).allowed]

    # Acting

    def propose(self, given: Given) -> str:
        """A new project of mine; returns its number."""
        mine = Target("project:new", self.actor.account_id)
        line = permit(self._state, self.actor, Action.PROPOSE, mine)
        if self.actor.account_id is None:
            raise UsageError("Projects are proposed under an account.", hint="sign in to the portal")
        body = read(Step.PROPOSE, given) | {"lead": self.actor.account_id}
        self._known(body["members"], Action.PROJECTS)
        if body["call"] is not None and body["call"] not in self._calls:
            raise UsageError("There is no such call.")
        number = self._state.projects.begin(self._written(Step.PROPOSE, body, line))
        announce(self._state, self._settings, fold(number, self._state.projects.events(number)), self.people)
        return number

    def take(self, number: str, step: Step, given: Given) -> Project:
        """Take a step; NotAllowed when it is not this person's, UsageError when it may not be taken now."""
        for _ in range(TRIES):
            project = self._project(number)
            if project is None:
                raise UsageError("There is no project of this number.")
            if self._state.projects.append(number, len(project.history), self._step(project, MOVES[step], given)):
                break
        else:
            raise StoreError("Others act on this project at the same time.", hint="try again")
        after = fold(number, self._state.projects.events(number))
        announce(self._state, self._settings, after, self.people)
        if step in _ENDING:
            self._state.jobs.ask(END_DATA, number, self.actor.login)
        return after

    def _step(self, project: Project, move: Move, given: Given) -> Written:
        """The step as it will be kept, once the policy, the table and the needs let it."""
        action, decision = hand_of(self.actor, move, project)
        what = f"project:{project.number} step:{move.step} after:{project.history[-1].chain[:32]}"
        line = record(self._state, self.actor, action, decision, target=what)
        if not decision.allowed:
            raise NotAllowed(decision.reason, hint="ask the clinical data centre for the right role")
        if project.stage not in move.sources:
            raise UsageError("This step does not follow now: the project has moved on.", hint="look at its page again")
        call = self._calls.get(project.call or 0)
        case = self._case(project, circuit_of(project.kind, call))
        if lacking := missing(move, case):
            raise UsageError(lacking[0])
        body = read(move.step, given)
        if move.step in _CHECKS:
            _CHECKS[move.step](self, case, body)
        return self._written(move.step, body, line)

    def _written(self, step: Step, body: dict[str, Any], line: int) -> Written:
        return Written(self.actor.account_id, self.actor.login, str(self.actor.role), str(step), body, line)

    # What only the desk can check

    def _known(self, numbers: list[int], action: Action) -> None:
        """UsageError unless each is an account whose role includes the action."""
        fit = {account.id for account in self.may(action)}
        if not set(numbers) <= fit:
            raise UsageError("Somebody chosen has no account for this.", hint="choose from the list")

    def _check_members(self, _case: Case, body: dict[str, Any]) -> None:
        self._known(body["members"], Action.PROJECTS)

    def _check_cohort(self, _case: Case, body: dict[str, Any]) -> None:
        """The version as it was saved, in place of its number; its opening is decided and recorded too."""
        if body["cohort"] is None:
            return
        version = self._state.cohorts.version(body["cohort"])
        cohort = self._state.cohorts.cohort(version.cohort_id) if version else None
        if version is None or cohort is None:
            raise UsageError("You have no such cohort.")
        permit(
            self._state,
            self.actor,
            Action.OPEN,
            Target(f"cohort:{cohort.name} version:{version.number}", cohort.owner_id),
        )
        counted = Counted(version.id, cohort.name, version.number, version.total, version.snapshot)
        body["cohort"] = {name: getattr(counted, name) for name in Counted.__dataclass_fields__}

    def _check_amendment(self, case: Case, body: dict[str, Any]) -> None:
        self._check_cohort(case, body)
        if not (body["months"] or body["variables"] or body["cohort"]):
            raise UsageError("The amendment changes nothing.")
        if any(len(row[2]) < 10 for row in body["variables"]):
            raise UsageError("A variable asked for has no justification.")
        if case.project.months + (body["months"] or 0) > 240:
            raise UsageError("A project lasts at most 240 months.")

    def _check_request(self, _case: Case, body: dict[str, Any]) -> None:
        if (body["months"] or 0) > 240:
            raise UsageError("A project lasts at most 240 months.")

    def _check_expert(self, case: Case, body: dict[str, Any]) -> None:
        self._known([body["expert"]], Action.JUDGE)
        if body["expert"] in case.project.members:
            raise UsageError("Nobody judges a project of their own.")
        if any(e.account_id == body["expert"] and e.opinion for e in case.project.experts):
            raise UsageError("This expert has answered.")

    def _check_session(self, case: Case, body: dict[str, Any]) -> None:
        self._known(body["members"], Action.PRESIDE)
        if set(body["members"]) & set(case.project.members):
            raise UsageError("Nobody judges a project of their own.")
        if not self._of_two_sites(case, body["members"]):
            raise UsageError("The committee of a network's project has members of at least two sites.")
        if body["chair"] not in body["members"]:
            raise UsageError("The chair is one of the members called.")
        if not 2 <= body["quorum"] <= len(body["members"]):
            raise UsageError("The quorum is at least two, and at most the members called.")

    def _check_verdict(self, case: Case, body: dict[str, Any]) -> None:
        if case.session.votes and not self._of_two_sites(case, [one.account_id for one in case.session.votes]):
            raise UsageError("A network's project is decided by votes from at least two sites.")

    def _of_two_sites(self, case: Case, people: Iterable[int]) -> bool:
        """Whether these people sit for two sites, where a call asks for several and people have seats."""
        seats = self._state.seats.all()
        return not seats or case.circuit.sites < 2 or len({seats[one] for one in people if one in seats}) >= 2

    def _check_declaration(self, case: Case, body: dict[str, Any]) -> None:
        if body.pop("conflict") != bool(body["reason"]):
            raise UsageError(
                "A conflict of interest is ticked and explained.", hint="tick it and say what it is, or neither"
            )
        if self.actor.account_id in case.session.conflicted and not body["reason"]:
            raise UsageError("A conflict of interest once declared is not taken back.")

    def _check_scores(self, case: Case, body: dict[str, Any]) -> None:
        grid, scores = case.circuit.grid, body["scores"]
        if any(e.account_id == self.actor.account_id and e.opinion for e in case.project.experts):
            raise UsageError("You have given your opinion.")
        if len(scores) != len(grid) or any(score > most for score, (_, most) in zip(scores, grid, strict=False)):
            raise UsageError("Each criterion of the call has its score, within its points.")
        body["scores"] = [[name, score] for (name, _), score in zip(grid, scores, strict=True)]

    def _check_destruction(self, case: Case, body: dict[str, Any]) -> None:
        """The certificate names what the house itself destroyed."""
        rows = [row for row in self._state.datamarts.of(case.project.number) if row.certificate]
        body["destroyed"] = [
            {"name": f"{row.name} {row.number}", "files": len(orjson.loads(row.certificate)["files"]),
             "sha256": hashlib.sha256(row.certificate.encode()).hexdigest()}
            for row in reversed(rows)
        ]  # fmt: skip
        body["destroyed"] += [
            {"name": row.title, "files": len(orjson.loads(row.certificate)["tables"]), "own": True,
             "sha256": hashlib.sha256(row.certificate.encode()).hexdigest()}
            for row in reversed(self._state.own_data.of(case.project.number)) if row.certificate
        ]  # fmt: skip
        space = self._state.spaces.find(space_key(case.project.number))
        if space is not None and space.ended:
            body["destroyed"].append({"name": "", "files": 0, "sha256": ""})

    def _check_condition(self, case: Case, body: dict[str, Any]) -> None:
        body["condition"] -= 1
        if body["condition"] >= len(case.project.conditions):
            raise UsageError("There is no such condition.")


Check = Callable[[ProjectsDesk, Case, dict[str, Any]], None]
_CHECKS: dict[Step, Check] = {
    Step.DESCRIBE: ProjectsDesk._check_members, Step.STAFF: ProjectsDesk._check_members,
    Step.ATTACH: ProjectsDesk._check_cohort, Step.WRITE: ProjectsDesk._check_request, Step.ASK: ProjectsDesk._check_expert,
    Step.CALL: ProjectsDesk._check_session, Step.ACCEPT: ProjectsDesk._check_verdict, Step.CONDITION: ProjectsDesk._check_verdict,
    Step.REFUSE: ProjectsDesk._check_verdict, Step.DECLARE: ProjectsDesk._check_declaration,
    Step.OPINE: ProjectsDesk._check_scores, Step.LIFT: ProjectsDesk._check_condition,
    Step.AMEND: ProjectsDesk._check_amendment, Step.DESTROY: ProjectsDesk._check_destruction,
}  # fmt: skip


def _seen(project: Project) -> Target:
    return Target(f"project:{project.number}", parties=concerned(project))


def _within(project: Project, sight: Sight) -> Project:
    """The project without what this person may not see; how many voted stays known, who and what does not."""
    experts = project.experts if sight.opinions else ()
    if not sight.names:
        experts = tuple(replace(expert, account_id=0) for expert in experts)
    sessions = project.sessions
    if not sight.votes:
        sessions = tuple(
            replace(one, votes=tuple(replace(vote, account_id=0, vote="", reason="") for vote in one.votes))
            for one in sessions
        )
    return replace(project, experts=experts, sessions=sessions, history=())


def _told(project: Project, sight: Sight) -> tuple[Event, ...]:
    """The steps without their words; hands that are not told are left empty."""
    hidden = set() if sight.names else _SECRET
    if not sight.votes:
        hidden = hidden | {Step.VOTE, Step.DECLARE}
    return tuple(
        replace(event, body={}, account_id=None, login="") if event.step in hidden else replace(event, body={})
        for event in project.history
    )
