"""Linkages that a hub runs: records of a project's patients, sealed by the sites, linked by the linkage unit, and the
ids sent back. The hub carries what it cannot open, and drops it when the ids are under way."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from estran.cohort.language import json as question_json
from estran.cohort.query import Node
from estran.hub.agent.matching import IDS, LONGEST_REASON, RECORDS
from estran.hub.book import OPEN, HubBook, JobRecord
from estran.hub.database import Database
from estran.hub.governance import FEWEST, Sight, beside, require_charter
from estran.hub.wire import File
from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target
from estran.projects.questions import names_patients
from estran.release.matching.linking import DOUBT, SURE
from estran.state import StateDatabase

FILE_NAME = "linkage.sqlite"
LIFE = 30 * 86_400.0  # seconds: somebody at each site must say yes
STAGES = ("linkage", "link-records", "linkage-ids")
_SCHEMA = """
CREATE TABLE run (
  id TEXT PRIMARY KEY, project TEXT NOT NULL, query TEXT NOT NULL, login TEXT NOT NULL, sure REAL NOT NULL,
  ins_authorisation TEXT NOT NULL, asked REAL NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE job (
  id TEXT PRIMARY KEY, run TEXT NOT NULL REFERENCES run (id), stage TEXT NOT NULL, member TEXT NOT NULL) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Linkage:
    """A linkage as it stands. `state`: asked, linking, telling, done, or stopped when fewer than two sites took part.
    `sites`: member → what became of its part; `result`: the unit's protected counts, None before."""

    id: str
    project: str
    asked: float
    state: str
    sites: dict[str, str]
    result: dict[str, Any] | None


@dataclass(frozen=True)
class Asked:
    """What was asked for: the question as JSON, by whom, the threshold, the authorisation to use the INS ("" for none)."""

    query: str
    login: str
    sure: float
    ins_authorisation: str


class Linkages:
    """The linkages of one hub. `folder` is where its file lies."""

    def __init__(self, book: HubBook, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._book, self._db, self._now = book, Database(folder / FILE_NAME, _SCHEMA, 1), now

    def close(self) -> None:
        """Give the file back."""
        self._db.close()

    def start(
        self,
        state: StateDatabase,
        actor: Actor,
        project: str,
        query: Node,
        sites: Collection[str] = (),
        sure: float = SURE,
        ins_authorisation: str = "",
    ) -> str:
        """Ask sites (all without any) for the records of a project's patients; the run's id. The INS is used only where
        the project's authorisation to use it is recorded here, and the network was made with one. NotAllowed by the policy;
        UsageError when the question names patients or too few can be asked."""
        ins_authorisation = " ".join(ins_authorisation.split())[:LONGEST_REASON]
        asked = [one.id for one in self._book.members("site", active=True) if not sites or one.id in sites]
        said = question_json.dumps(query)
        by = f" ins:{ins_authorisation}" if ins_authorisation else ""
        permit(
            state, actor, Action.RUN_HUB, Target(f"linkage of {len(asked)} sites for {project[:80]}{by}"), query=said
        )
        require_charter(state, beside(self._book), actor)
        if names_patients(query):
            raise UsageError("Patient numbers are a site's own: a question to several sites cannot list them.")
        if len(asked) < 2 or not self._book.members("linkage", active=True):
            raise UsageError("A linkage needs two sites and a linkage unit.", hint="estran hub status HUB")
        if not DOUBT < sure < 1:
            raise UsageError("A threshold lies between 0.5 and 1.")
        run, now = secrets.token_hex(8), self._now()
        row = (run, project[:200], said, actor.login, sure, ins_authorisation, now, now + LIFE)
        self._db.write("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        body = {"run": run, "project": project[:200], "cohort": question_json.to_object(query)}
        body |= {"ins_authorisation": ins_authorisation} if ins_authorisation else {}
        for member in asked:
            self._add(run, "linkage", member, body, now + LIFE)
        return run

    def runs(self) -> list[str]:
        """Ids of all linkages, the newest first."""
        return [str(row[0]) for row in self._db.rows("SELECT id FROM run ORDER BY asked DESC")]

    def answered(self, job: str) -> None:
        """After an answer, see whether the linkage that the job belongs to can go on; jobs of other kinds are left alone."""
        found = self._db.one("SELECT run FROM job WHERE id = ?", (job,))
        if found is not None:
            self.advance(str(found[0]))

    def advance(self, run: str, *, patient: bool = True) -> None:
        """Go on when what has to come first is there: all sites (those that answered, unless `patient`; the others are
        waited for no longer then), the unit. Two processes may, at once: one waits for the other."""
        with self._db.writing():
            spent = self._moved(run, patient=patient)
        for job, side in spent:
            self._book.drop_files(job, side)

    def _moved(self, run: str, *, patient: bool) -> list[tuple[str, str]]:
        """Put the next jobs; the files that these have carried on, by job and side."""
        sent, linked, told = self.jobs(run)
        row = self._row(run)
        if linked:
            able = linked[0].state == "ok"
            return self._tell(run, linked[0], {job.member for job in told}, row["expires"]) if able else []
        waited = [job for job in sent if job.state in OPEN]
        ready = [job for job in sent if job.state == "ok"]
        if not waited and len(ready) < 2:
            return [(job.id, "answer") for job in ready]  # it goes nowhere
        if len(ready) < 2 or (patient and any(job.expires > self._now() for job in waited)):
            return []
        if not self._book.members("linkage", active=True):
            return []  # until a unit has joined
        for job in waited:
            self._book.give_up(job.id)
        return self._link(run, ready, row["sure"], row["expires"])

    def asked(self, run: str) -> Asked:
        """What was asked for; UsageError when there is no such linkage."""
        row = self._row(run)
        return Asked(row["query"], row["login"], row["sure"], row["ins_authorisation"])

    def jobs(self, run: str) -> tuple[list[JobRecord], list[JobRecord], list[JobRecord]]:
        """The jobs of a linkage: to the sites for their records, to the unit, to the sites with their ids."""
        sent, linked, told = (self._jobs(run, stage) for stage in STAGES)
        return sent, linked, told

    def stand(self, run: str) -> Linkage:
        """Where a linkage stands; UsageError when there is none of this id."""
        row = self._row(run)
        sent, linked, told = self.jobs(run)
        sites = {job.member: job.said or job.state for job in sent} | {
            job.member: "told" for job in told if job.state == "ok"
        }
        result = linked[0].answer if linked and linked[0].state == "ok" else None
        return Linkage(run, row["project"], row["asked"], _state(sent, linked, told), sites, result)

    def look(self, state: StateDatabase, actor: Actor, run: str) -> Linkage:
        """The same for a person, with the numbers that the rules of the network let them see; recorded."""
        permit(state, actor, Action.RUN_HUB, Target(f"linkage:{run[:80]}"))
        found = self.stand(run)
        return replace(found, result=seen(found.result, beside(self._book).sight(actor.role)))

    def _link(self, run: str, ready: list[JobRecord], sure: float, expires: float) -> list[tuple[str, str]]:
        unit = self._book.members("linkage", active=True)[0]
        sealed = {job.member: self._book.files(job.id, "answer") for job in ready}
        files = [File(f"{RECORDS}/{member}", found[0].data) for member, found in sorted(sealed.items()) if found]
        floor = max(int(job.answer.get("floor", 0)) for job in ready)
        self._add(run, "link-records", unit.id, {"run": run, "sure": sure, "floor": floor}, expires, files)
        return [(job.id, "answer") for job in ready]

    def _tell(self, run: str, linked: JobRecord, told: set[str], expires: float) -> list[tuple[str, str]]:
        sealed = self._book.files(linked.id, "answer")
        for one in sealed:
            member = one.name.removeprefix(f"{IDS}/")
            if member not in told:
                self._add(run, "linkage-ids", member, {"run": run}, expires, [File(IDS, one.data)])
        return [(linked.id, "job"), (linked.id, "answer")] if sealed else []

    def _add(
        self, run: str, stage: str, member: str, body: dict[str, Any], expires: float, files: Collection[File] = ()
    ) -> None:
        """One job of a stage. Noted after it is made: one that is made twice does no harm, the ids fit one answer only."""
        job = self._book.add_job(None, member, stage, body, self._now(), expires, files)
        self._db.write("INSERT INTO job VALUES (?, ?, ?, ?)", (job, run, stage, member))

    def _row(self, run: str) -> Any:
        found = self._db.one("SELECT * FROM run WHERE id = ?", (run,))
        if found is None:
            raise UsageError("No linkage has this id.", hint="estran hub linkages HUB")
        return found

    def _jobs(self, run: str, stage: str) -> list[JobRecord]:
        ids = [str(row[0]) for row in self._db.rows("SELECT id FROM job WHERE run = ? AND stage = ?", (run, stage))]
        return self._book.jobs_by_id(ids)


def seen(result: dict[str, Any] | None, sight: Sight) -> dict[str, Any] | None:
    """Who sees totals sees no number of two sites, and no total of fewer than three; who sees the own site sees none of these."""
    if result is None or sight is Sight.SITES:
        return result
    sites = {site for pair in result["shared"] for site in pair["sites"]}
    return None if sight is Sight.OWN or len(sites) < FEWEST else result | {"shared": []}


def _state(sent: list[JobRecord], linked: list[JobRecord], told: list[JobRecord]) -> str:
    if told:
        return "done" if all(job.state not in OPEN for job in told) else "telling"
    if linked:
        return "linking" if linked[0].state in (*OPEN, "ok") else "stopped"
    able = sum(job.state in (*OPEN, "ok") for job in sent)
    return "asked" if able > 1 else "stopped"
