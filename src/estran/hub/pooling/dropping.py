"""A site that a person takes out of a pool, alone and for good: all that it sent goes, and nothing that was made before comes back.

The word for it is entered first, and with it that nothing of the site is in the pool: from then on nothing is taken of what it
was asked before, and no datamart is made with it. Killed at any moment, the
next pass, or the same command again, goes on. What the site sends when it is asked anew, under whatever key, is judged as if
it were the first that it sent, and has to name that asking.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq

from estran.hub.book import HubBook, JobRecord
from estran.hub.pooling.book import Copy, Drop, Pool, PoolBook
from estran.hub.pooling.copies import Copies, certificate_of
from estran.hub.pooling.delivery import KIND, LIFE
from estran.hub.pooling.handing import LINKS, Handing
from estran.hub.pooling.leaving import LEFT_NETWORK, UNANSWERED, no_certificate, own_certificate
from estran.hub.pooling.pieces import Pieces
from estran.hub.pooling.routes import JOB_LIFE, active, jobs_of, member_of, put
from estran.model.errors import EstranError

WHAT = "dropped"  # in a job of the kind `pool-life`
_SEALED = "waiting"  # where a sealed package is said to lie that nobody opened
_REST = 86_400.0  # seconds until a site that could not do it is told again
_KEPT = (WHAT, "destroyed", "taken")  # what a site is told all the same


class Dropping:
    """Of the pools in `folder`."""

    def __init__(self, folder: Path, hub: HubBook, book: PoolBook, copies: Copies, handing: Handing) -> None:
        self._folder, self._hub, self._book, self._copies, self._handing = folder, hub, book, copies, handing

    def out(self, pool: Pool) -> set[str]:
        """Sites that were dropped, and not asked since."""
        last = {one.member: one for one in self._book.drops(pool.id)}
        return {member for member, one in last.items() if not self._asked_since(pool, one)}

    def drop(self, pool: Pool, member: str, why: str, login: str) -> dict[str, Any]:
        """Take a site out; the certificate."""
        before = self._book.drops(pool.id, member)
        if not before or (before[-1].certificate and self._asked_since(pool, before[-1])):
            self._book.begin_drop(pool.id, member, why, login, self._jobs(pool, member))
        self.resume(pool, [])
        return self._book.drops(pool.id, member)[-1].certificate

    def _asked_since(self, pool: Pool, last: Drop) -> bool:
        jobs = jobs_of(self._hub, KIND, pool.id)
        held = any(one.member == last.member for one in self._book.parts(pool.id, "accepted"))
        return held or any(one.member == last.member and one.id not in last.jobs for one in jobs)

    def _jobs(self, pool: Pool, member: str) -> list[str]:
        """What the site was asked for, and what it was asked since and has not told, or nobody has looked at."""
        judged = self._book.judged(pool.id)
        life = [one for one in jobs_of(self._hub, LIFE, pool.id) if one.id not in judged and one.body.get("what") not in _KEPT]
        asked = [one for one in life if one.state in (*UNANSWERED, "ok")]
        return [one.id for one in (*jobs_of(self._hub, KIND, pool.id), *asked) if one.member == member]

    def resume(self, pool: Pool, done: list[str]) -> None:
        """Go on with what was cut short, and tell the sites; those taken out now are added to `done`."""
        for one in self._book.drops(pool.id):
            if not one.certificate:
                self._finish(pool, one)
                done.append(one.member)
        self._tell(pool)

    def over(self, pool: Pool) -> None:
        """A pool that is closed has nothing of any site: what was cut short is done."""
        for one in self._book.drops(pool.id):
            if not one.certificate:
                self._end(pool, one)

    def _finish(self, pool: Pool, drop: Drop) -> None:
        with self._rather_no_datamart(pool, drop):
            self._empty_mail(pool, drop)
            for copy in self._held(pool, drop):
                self._copies.remove(pool.id, copy.place, drop.why, copy.what)
            self._unlink(pool, drop)
        trouble: Exception | None = None
        try:
            with self._rather_no_datamart(pool, drop):
                self._handing.hand_over(self._book.find(pool.id) or pool)
        except (EstranError, OSError, duckdb.Error) as error:  # the site is out all the same
            trouble = error
        self._end(pool, drop)
        if trouble is not None:
            raise trouble

    @contextmanager
    def _rather_no_datamart(self, pool: Pool, drop: Drop) -> Iterator[None]:
        """What goes wrong, as when the disk is full, leaves none with the site in it."""
        try:
            yield
        except (EstranError, OSError, duckdb.Error):
            self._handing.without(pool, drop.member, drop.why)
            raise

    # What goes

    def _empty_mail(self, pool: Pool, drop: Drop) -> None:
        """Sealed packages and lists that nobody has looked at are dropped; what was asked for is waited for no longer."""
        life = jobs_of(self._hub, LIFE, pool.id)
        for job in jobs_of(self._hub, KIND, pool.id):
            if job.id in drop.jobs:
                self._discard(pool, drop, job, Pieces(self._hub, job, life))
        for job in life:
            if job.id in drop.jobs:
                self._discard(pool, drop, job, Pieces(self._hub, job, ()))

    def _discard(self, pool: Pool, drop: Drop, job: JobRecord, pieces: Pieces) -> None:
        files = pieces.files()
        copy = self._book.copy(pool.id, "sealed", f"{_SEALED}/{job.id}") if files else 0
        if pieces.left():
            pieces.done()
        if files:
            self._book.destroyed(copy, certificate_of(drop.why, files))

    def _unlink(self, pool: Pool, drop: Drop) -> None:
        """Take its patients out of the linkage; all of one that does not say whose they are, as earlier releases wrote it."""
        links, draft = (self._folder / pool.id / name for name in (LINKS, f".{LINKS}"))
        if not links.is_file():
            return
        table = pq.read_table(links)
        others = table.filter(pc.field("member") != drop.member) if "member" in table.column_names else table.slice(0, 0)
        pq.write_table(others, draft)
        draft.chmod(0o600)
        draft.replace(links)

    def _held(self, pool: Pool, drop: Drop) -> list[Copy]:
        """Files of the site that are still there, but for what was taken since."""
        since = {one.folder for one in self._book.parts(pool.id, "accepted")}
        return [one for one in self._of_site(pool, drop) if not one.certificate and one.place not in since]

    def _of_site(self, pool: Pool, drop: Drop) -> list[Copy]:
        return [one for one in self._book.copies(pool.id) if _is_of(drop, one)]

    # What is said of it

    def _end(self, pool: Pool, drop: Drop) -> None:
        self._book.end_drop(drop.id, certificate_of(drop.why, []) | {
            "pool": pool.id, "project": pool.project, "name": pool.name, "network": self._hub.meta("network"), "by": drop.login,
            "site": drop.member, "site_project": self._book.sites(pool.id)[drop.member], "copies": self._listed(pool, drop),
        })  # fmt: skip

    def _listed(self, pool: Pool, drop: Drop) -> list[dict[str, Any]]:
        """The certificates of all that the site was in, but for those that stand in the certificate of an earlier drop."""
        told = {
            (one["what"], one["place"]) for each in self._book.drops(pool.id, drop.member)
            for one in each.certificate.get("copies", ())
        }  # fmt: skip
        built = [
            one for one in self._book.copies(pool.id)
            if one.what == "datamart" and self._handing.held(int(one.place.partition(",")[0]), drop.member)
        ]  # fmt: skip
        return [
            {"what": one.what, "place": one.place} | one.certificate
            for one in (*self._of_site(pool, drop), *built) if one.certificate and (one.what, one.place) not in told
        ]  # fmt: skip

    def _tell(self, pool: Pool) -> None:
        """Each site hears of it once, and again when it did not answer for the life of a job, or could not do it; what it says is kept."""
        owed = [one for one in self._book.drops(pool.id) if one.certificate and not one.own]
        if not owed:  # a pool that has lived for months has many jobs
            return
        jobs = [one for one in jobs_of(self._hub, LIFE, pool.id) if one.body.get("what") == WHAT]
        told, here = {one.body["drop"]: one for one in jobs}, active(self._hub)
        for drop in owed:
            job = told.get(drop.id)
            if job is not None and job.state == "ok":
                self._book.own_certificate(drop.id, own_certificate(job.answer))
            elif member_of(drop.member) not in here:
                self._book.own_certificate(drop.id, no_certificate(LEFT_NETWORK))
            elif job is None or _again(job):
                body = {"pool": pool.id, "what": WHAT, "drop": drop.id, "jobs": drop.jobs, "certificate": drop.certificate}
                put(self._hub, drop.member, LIFE, body, JOB_LIFE)


def _again(job: JobRecord) -> bool:
    """Whether a site is told once more: it did not answer in time, or could not do it a day ago."""
    failed = job.state not in (*UNANSWERED, "expired") and time.time() - job.created > _REST
    return job.state == "expired" or failed


def _is_of(drop: Drop, copy: Copy) -> bool:
    place = PurePosixPath(copy.place)
    if copy.what == "partition":
        return place.parent == PurePosixPath("sites", drop.member)
    return copy.what in ("quarantine", "sealed") and place.stem in drop.jobs
