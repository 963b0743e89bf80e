"""What everybody may know: what the warehouse holds, in protected counts, and the projects that use it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass

from estran.model.errors import UsageError
from estran.projects.actors import Actor, Role
from estran.projects.audit import permit
from estran.projects.gate import Shown, gate_of
from estran.projects.life.machine import Stage, Step
from estran.projects.life.project import Project, fold
from estran.projects.policy import Action, Target
from estran.projects.rows import fetch
from estran.projects.site import SiteServices
from estran.settings import Settings
from estran.state import PublicProject, StateDatabase
from estran.warehouse import Snapshot

PUBLIC = Actor("public", Role.VIEWER)
STATUSES = ("open", "closed")


@dataclass(frozen=True)
class PublicHoldings:
    """What the site holds, as the result gate lets it be told. Years are those of the documents."""

    version: int
    patients: Shown
    stays: Shown
    documents: Shown
    years: tuple[int, ...]  # first and last; none when fewer documents than the floor are dated


def public_projects(site: SiteServices) -> tuple[PublicProject, ...]:
    """The projects that everybody may know of, those under way first: every project that was ever opened here, in the
    words of its request and of the register of outputs, and those that the data centre wrote itself.

    What the data centre wrote under the number of a project stands in place of the project's own words. Nobody is named:
    who answers for a project before the law is the controller, with the sites that take part.
    """
    written = {one.code: one for one in site.state.public_projects.all()}
    lived = (fold(number, events) for number, events in site.state.projects.all().items())
    found = {one.number: _public(one, site.settings) for one in lived if one.opened is not None} | written
    return tuple(sorted(found.values(), key=lambda one: STATUSES.index(one.status)))


def _public(one: Project, settings: Settings) -> PublicProject:
    over = one.stage in (Stage.CLOSING, Stage.CLOSED)
    ended = next((settings.day(event.at) for event in reversed(one.history) if event.step == Step.CLOSE), None)
    told = [output for output in one.outputs if output.kind != "none"]
    return PublicProject(
        code=one.number, title=one.title, purpose=one.request.summary or one.request.objectives,
        legal_basis=str(one.route.formality), status="closed" if over else "open",
        responsible=f"{settings.controller or settings.name} ({', '.join(one.sites)})",
        begun=settings.day(one.opened) if one.opened else None, ended=ended,
        results="\n".join(output.found for output in one.outputs if output.found),
        outputs="\n".join(f"{output.title} ({output.reference})" if output.reference else output.title for output in told),
    )  # fmt: skip


def put(state: StateDatabase, actor: Actor, project: PublicProject) -> None:
    """Tell the public of a project, or tell it anew; UsageError when a part that the law asks for is missing."""
    permit(state, actor, Action.REGISTRY, Target(f"public project:{project.code[:60]}"))
    if not 1 <= len(project.code) <= 60 or project.status not in STATUSES:
        raise UsageError("A project has a code of 1 to 60 characters and is open or closed.")
    missing = [name for name in ("title", "purpose", "legal_basis") if not asdict(project)[name].strip()]
    if missing:
        raise UsageError("The public is told a title, a purpose and a legal basis.", where=", ".join(missing))
    state.public_projects.put(project)


def drop(state: StateDatabase, actor: Actor, code: str) -> None:
    """Take a project off the page; UsageError when it is not on it."""
    permit(state, actor, Action.REGISTRY, Target(f"public project:{code[:60]} taken off"))
    if not state.public_projects.drop(code):
        raise UsageError("There is no such project on the public page.")


class PublicCounts:
    """Counted once per snapshot: the page is open to everybody, and must cost nothing."""

    def __init__(self, site: SiteServices) -> None:
        self._site = site
        self._lock = threading.Lock()
        self._held: PublicHoldings | None = None

    def held(self) -> PublicHoldings:
        """The counts of the newest snapshot."""
        snapshot = self._site.snapshot()
        with self._lock:
            if self._held is None or self._held.version != snapshot.version:
                permit(self._site.state, PUBLIC, Action.HOLDINGS, Target("public page"), snapshot=snapshot.version)
                self._held = _count(snapshot, gate_of(PUBLIC, self._site.state, self._site.settings).show)
            return self._held


def _count(snapshot: Snapshot, show: Callable[[int, str], Shown]) -> PublicHoldings:
    stays, documents = (int(fetch(snapshot, f"SELECT count(*) AS n FROM {name}")[0]["n"]) for name in ("stay", "document"))
    years = fetch(
        snapshot,
        "SELECT min(y) AS first, max(y) AS last FROM (SELECT year(start_date) AS y FROM document "
        "WHERE start_date IS NOT NULL GROUP BY y HAVING count(DISTINCT patient_id) >= ?)",
        [snapshot.settings.count_floor],
    )[0]
    return PublicHoldings(
        snapshot.version, show(len(snapshot.population()), "population"), show(stays, "stays"), show(documents, "documents"),
        () if years["first"] is None else (years["first"], years["last"]),
    )  # fmt: skip
