"""One person before the pools of a hub: who sent, how the sites differ, what was destroyed. No key is needed, no row is read."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from estran.hub.book import HubBook, JobRecord
from estran.hub.governance import Sight, beside, silence_of
from estran.hub.pooling.book import Copy, Drop, Part, Pool, PoolBook
from estran.hub.pooling.delivery import KIND
from estran.hub.pooling.differences import Cell, from_object
from estran.hub.pooling.routes import jobs_of, name_of
from estran.hub.pooling.silence import Silence, silent
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.life.opening import project_of
from estran.projects.policy import Action, Target, decide
from estran.state import StateDatabase


@dataclass(frozen=True)
class SiteState:
    """One site of a pool. `state`: waiting, approval, refused, unsupported, failed, expired, answered (not looked at yet),
    accepted, quarantined, left (the network), dropped (taken out by a person), destroyed; `part` what of it is in the pool now, `withdrawn` how many lists of
    patients it took back, `silent` since when it has not said whom it takes back, where that is too long, `dropped` when it was
    last taken out, and why."""

    member: str
    name: str
    project: str
    state: str
    said: str
    part: Part | None
    withdrawn: int
    silent: dt.datetime | None
    dropped: Drop | None = None


@dataclass(frozen=True)
class Compared:
    """One variable, site by site."""

    variable: str
    unit: str
    cells: tuple[Cell, ...]

    @property
    def flagged(self) -> bool:
        """Whether a site stands out."""
        return any(cell.flags for cell in self.cells)


@dataclass(frozen=True)
class PoolSheet:
    """A pool as a person sees it."""

    pool: Pool
    sites: tuple[SiteState, ...]
    compared: tuple[Compared, ...]
    codes: tuple[dict[str, Any], ...]
    copies: tuple[Copy, ...]

    @property
    def complete(self) -> bool:
        """Whether every copy has its certificate."""
        return all(copy.certificate and not copy.certificate.get("none") for copy in self.copies)

    @property
    def never(self) -> bool:
        """Whether a site left the network without its certificate: none will come."""
        return any(copy.certificate.get("none") for copy in self.copies)


class PoolDesk:
    """NotAllowed when the policy says no; each look is recorded."""

    def __init__(self, state: StateDatabase, hub: HubBook, book: PoolBook, actor: Actor) -> None:
        self._state, self._hub, self._book, self.actor = state, hub, book, actor

    def all(self) -> list[Pool]:
        """The pools that the person may see."""
        permit(self._state, self.actor, Action.POOLS, Target("pools", self.actor.account_id))
        return [one for one in self._book.pools() if decide(self.actor, Action.POOLS, self._target(one)).allowed]

    def silent(self, pools: Sequence[Pool]) -> dict[str, list[str]]:
        """Names of the sites that have been silent for too long, by pool; no look of its own, it stands beside them."""
        quiet = silent(self._hub, self._book, pools, silence_of(self._hub), time.time())
        return {pool: [name_of(self._hub, member) for member in sorted(sites)] for pool, sites in quiet.items()}

    def one(self, pool: str) -> PoolSheet | None:
        """One of them; None when there is none of this id."""
        found = self._book.find(pool)
        if found is None:
            return None
        permit(self._state, self.actor, Action.POOLS, self._target(found))
        jobs = jobs_of(self._hub, KIND, found.id)
        quiet = silent(self._hub, self._book, [found], silence_of(self._hub), time.time()).get(found.id, {})
        sites = tuple(
            self._site(found, member, project, jobs, quiet.get(member))
            for member, project in self._book.sites(found.id).items()
        )
        cells = from_object(found.differences.get("cells", ()))
        return PoolSheet(
            found,
            sites,
            tuple(_compared(cells)) if self._sees_sites(found) else (),
            tuple(found.differences.get("codes", ())),
            tuple(self._book.copies(found.id)),
        )

    def _sees_sites(self, pool: Pool) -> bool:
        """The team holds the rows of each site; of the others the rules of the network say who sees a site's numbers."""
        mine = self._target(pool).owner_id not in (None, -1)
        return mine or beside(self._hub).sight(self.actor.role) is Sight.SITES

    def _target(self, pool: Pool) -> Target:
        """Of what belongs to a project each of its team is the owner."""
        project = project_of(self._state, pool.project)
        team = frozenset(project.members) & project.signed if project else frozenset()
        mine = self.actor.account_id is not None and self.actor.account_id in team
        return Target(f"pool:{pool.id}", self.actor.account_id if mine else -1)

    def _site(
        self, pool: Pool, member: str, project: str, jobs: Sequence[JobRecord], quiet: Silence | None
    ) -> SiteState:
        parts = [part for part in self._book.parts(pool.id) if part.member == member]
        known = {part.job: part for part in parts}
        job = next((one for one in reversed(jobs) if one.member == member), None)
        state, said = ("waiting", "") if job is None else (_OPEN.get(job.state, job.state), job.said)
        if job is not None and job.id in known:
            state, said = known[job.id].state, known[job.id].said
        gone = next((part for part in reversed(parts) if part.state == "left"), None)
        if gone is not None and not any(part.state == "accepted" for part in parts):
            state, said = "left", gone.said
        out = next(reversed(self._book.drops(pool.id, member)), None)
        if out is not None and (job is None or job.id in out.jobs):
            state, said = "dropped", out.why
        if pool.state == "closed" and state == "accepted":
            state = "destroyed"
        taken = sum(one.member == member and bool(one.ids) for one in self._book.withdrawals(pool.id))
        inside = next((part for part in parts if part.state == "accepted"), None)
        since = None if quiet is None else quiet.since
        return SiteState(member, name_of(self._hub, member), project, state, said, inside, taken, since, out)


_OPEN = {"queued": "waiting", "taken": "waiting", "ok": "answered"}


def _compared(cells: Sequence[Cell]) -> list[Compared]:
    names = list(dict.fromkeys(cell.variable for cell in cells))
    of = {name: tuple(cell for cell in cells if cell.variable == name) for name in names}
    return [Compared(name, of[name][0].unit, of[name]) for name in names]
