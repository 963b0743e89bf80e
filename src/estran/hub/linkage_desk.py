"""One person at a hub who has records of its sites linked: asks, follows, reads the protected counts. Each act is decided
and recorded; nothing here opens what the sites sealed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from estran.cohort.query import Node
from estran.hub.book import OPEN, HubBook, JobRecord, Member
from estran.hub.governance import beside
from estran.hub.matching import Asked, Linkage, Linkages, seen
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target, decide
from estran.projects.questions import open_names, query_of
from estran.release.disclosure import Shown
from estran.release.matching.linking import SURE
from estran.state import StateDatabase

LONGEST_NAME = 200
OVER = ("done", "stopped")


@dataclass(frozen=True)
class Part:
    """What a member does in a linkage: `state` of its job (`JobRecord.state`), what it said, when it answered; of a site,
    the state of the job that brings it its ids, "" before there are any."""

    member: str
    name: str
    state: str
    said: str
    answered: dt.datetime | None
    ids: str = ""


@dataclass(frozen=True)
class Pair:
    """Two sites, and how many persons they share."""

    one: str
    other: str
    shown: Shown


@dataclass(frozen=True)
class Outcome:
    """What the unit counted, all of it protected: persons, persons that two sites share, pairs that nobody linked though
    they are likelier one person than two."""

    persons: Shown
    doubtful: Shown
    pairs: tuple[Pair, ...]

    @property
    def sites(self) -> list[str]:
        """The sites that were linked, as the unit names them."""
        return list(dict.fromkeys(name for pair in self.pairs for name in (pair.one, pair.other)))

    def shared(self, one: str, other: str) -> Shown | None:
        """What two sites share, whichever is named first."""
        return next((pair.shown for pair in self.pairs if {pair.one, pair.other} == {one, other}), None)

    def shade(self, shown: Shown | None) -> int:
        """0 to 3, by how much a pair shares beside the pair that shares most."""
        most = max((pair.shown.value for pair in self.pairs if not pair.shown.below), default=0)
        return 0 if shown is None or shown.below or not most else min(3, 1 + 3 * shown.value // (most + 1))

    @property
    def doubt(self) -> float | None:
        """The share of doubtful pairs among these and the linked ones, out of protected counts; at most, where the doubtful
        ones are too few to be told. None when no linked pair is told. A person of three sites is three pairs."""
        linked = sum(pair.shown.value for pair in self.pairs if not pair.shown.below)
        doubtful = self.doubtful.below or self.doubtful.value
        return doubtful / (linked + doubtful) if linked else None


@dataclass(frozen=True)
class Seen:
    """A linkage as a person sees it. `outcome` is None before there is one, or when the rules of the network hide it
    (`hidden`)."""

    run: Linkage
    asked: Asked
    sites: tuple[Part, ...]
    unit: Part | None
    outcome: Outcome | None
    hidden: bool

    @property
    def moment(self) -> dt.datetime:
        """When it was asked for."""
        return dt.datetime.fromtimestamp(self.run.asked, dt.UTC)

    @property
    def open(self) -> bool:
        """Whether something is still to come."""
        return self.run.state not in OVER

    @property
    def ready(self) -> int:
        """How many sites have sent their records."""
        return sum(part.state == "ok" for part in self.sites)

    @property
    def waits(self) -> int:
        """How many sites have not said yet whether they take part."""
        return sum(part.state in OPEN for part in self.sites)


class LinkageDesk:
    """NotAllowed when the policy says no; the refusal is recorded too."""

    def __init__(self, state: StateDatabase, book: HubBook, runs: Linkages, actor: Actor) -> None:
        self._state, self._book, self._runs, self.actor = state, book, runs, actor

    def members(self) -> tuple[list[Member], bool]:
        """Sites that can be asked, and whether there is a linkage unit."""
        self._permit("linkage members")
        return self._book.members("site", active=True), bool(self._book.members("linkage", active=True))

    def all(self) -> list[Seen]:
        """Every linkage, the newest first."""
        self._permit("linkages of the network")
        return [self._stand(run) for run in self._runs.runs()]

    def ask(
        self, project: str, query: Node, sites: Collection[str], sure: float = SURE, ins_authorisation: str = ""
    ) -> str:
        """Ask sites for the records of a project's patients; the run's id. UsageError when there is no project, or when the
        sites are not two."""
        project = " ".join(project.split())[:LONGEST_NAME]
        if not project:
            raise UsageError("A linkage is for a project: name it.")
        if len(set(sites)) < 2:
            raise UsageError("A linkage is of two hospitals at least: choose them.")
        opened = open_names(query, query_of(self._state, self.actor.account_id))
        return self._runs.start(self._state, self.actor, project, opened, sites, sure, ins_authorisation)

    def look(self, run: str) -> Seen | None:
        """A linkage and where it stands; None when there is none of this id."""
        self._permit(f"linkage:{run[:80]}")
        return self._stand(run) if run in self._runs.runs() else None

    def again(self, run: str) -> Seen | None:
        """The same while somebody waits before the page: no further line of the audit trail. NotAllowed likewise."""
        decision = decide(self.actor, Action.RUN_HUB)
        if not decision.allowed:
            raise NotAllowed(decision.reason)
        return self._stand(run) if run in self._runs.runs() else None

    def go_on(self, run: str) -> None:
        """Link the records of those who sent them, and wait for the others no longer. UsageError when they are not two."""
        found = self.look(run)
        if found is None or found.run.state != "asked" or found.ready < 2:
            raise UsageError("A linkage goes on once two hospitals have sent their records.")
        self._permit(f"linkage:{run} goes on without {found.waits} sites")
        self._runs.advance(run, patient=False)

    def _permit(self, what: str) -> None:
        permit(self._state, self.actor, Action.RUN_HUB, Target(what))

    def _stand(self, run: str) -> Seen:
        self._runs.advance(run)
        found, (sent, linked, told) = self._runs.stand(run), self._runs.jobs(run)
        names = {one.id: one.name for one in self._book.members()}
        ids = {job.member: job.state for job in told}
        sites = [_part(job, names, ids.get(job.member, "")) for job in sent]
        allowed = seen(found.result, beside(self._book).sight(self.actor.role))
        return Seen(
            found, self._runs.asked(run), tuple(sorted(sites, key=lambda part: part.name.casefold())),
            _part(linked[0], names) if linked else None, _outcome(allowed, names), found.result is not None and allowed is None,
        )  # fmt: skip


def _part(job: JobRecord, names: dict[str, str], ids: str = "") -> Part:
    when = None if job.answered is None else dt.datetime.fromtimestamp(job.answered, dt.UTC)
    return Part(job.member, names.get(job.member, job.member), job.state, job.said, when, ids)


def _outcome(result: dict[str, Any] | None, names: dict[str, str]) -> Outcome | None:
    """The answer of a unit; None when it is none that this release can read."""
    persons, doubtful = _shown(result or {}, "distinct"), _shown(result or {}, "review")
    if result is None or persons is None or doubtful is None:
        return None
    pairs = []
    for pair in result.get("shared", ()):
        shown = _shown({"pair": pair}, "pair")
        one, other = (names.get(str(site), str(site)[:120]) for site in (*pair.get("sites", ()), "", "")[:2])
        if shown is not None:
            pairs.append(Pair(one, other, shown))
    return Outcome(persons, doubtful, tuple(pairs))


def _shown(result: dict[str, Any], name: str) -> Shown | None:
    held = result.get(name)
    values = [held.get(part, 0) if isinstance(held, dict) else -1 for part in ("value", "below", "margin")]
    return None if any(type(value) is not int or value < 0 for value in values) else Shown(*values)
