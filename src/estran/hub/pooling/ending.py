"""The end of a pool: every copy at the hub is destroyed, the sites are told and answer with certificates of their own.

Killed at any moment, the next pass goes on: a pool without its key is one whose closing was cut short.
"""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import orjson

from estran.hub.book import HubBook
from estran.hub.pooling.book import Pool, PoolBook
from estran.hub.pooling.copies import Copies, certificate_of
from estran.hub.pooling.delivery import KIND, LIFE
from estran.hub.pooling.handing import Handing
from estran.hub.pooling.leaving import LEFT_NETWORK, UNANSWERED, no_certificate, own_certificate
from estran.hub.pooling.routes import JOB_LIFE, active, jobs_of, member_of, put


class Ending:
    """Of the pools in `folder`; `login` is who ends them."""

    def __init__(
        self, folder: Path, hub: HubBook, book: PoolBook, copies: Copies, handing: Handing, login: str
    ) -> None:
        self._folder, self._hub, self._book, self._login = folder, hub, book, login
        self._copies, self._handing = copies, handing

    def close(self, pool: Pool, why: str) -> dict[str, Any]:
        """Destroy every copy at the hub, and tell the sites; the certificate."""
        self._handing.only(pool, None, f"pool {pool.id} is closed: {why}")
        for copy in self._book.copies(pool.id):
            if not copy.certificate and copy.what not in ("datamart", "key", "site"):
                self._copies.remove(pool.id, copy.place, why, copy.what)
        for job in [*jobs_of(self._hub, KIND, pool.id), *jobs_of(self._hub, LIFE, pool.id)]:
            if job.body.get("what") != "destroyed":  # told by a closing that was cut short
                self._hub.give_up(job.id)
        self._copies.remove(pool.id, "key", f"{why}; what is sealed to it, as in a backup, opens no more", "key")
        shutil.rmtree(self._folder / pool.id, ignore_errors=True)
        certificate = certificate_of(why, []) | {
            "pool": pool.id, "project": pool.project, "name": pool.name, "network": self._hub.meta("network"), "by": self._login,
            "copies": [{"what": one.what, "place": one.place} | one.certificate for one in self._book.copies(pool.id)],
        }  # fmt: skip
        self._tell(pool, certificate)
        kept = orjson.dumps(certificate).decode()
        self._book.change(pool.id, state="closed", certificate=kept, differences="", datamart=None)
        return certificate

    def _tell(self, pool: Pool, certificate: dict[str, Any]) -> None:
        """Sites hear of the end once, and again when they did not answer for the life of a job."""
        jobs = [job for job in jobs_of(self._hub, LIFE, pool.id) if job.body.get("what") == "destroyed"]
        told = {job.member for job in jobs if job.state in (*UNANSWERED, "ok")}
        here = active(self._hub)
        body = {"pool": pool.id, "what": "destroyed", "certificate": certificate}
        for member in self._book.sites(pool.id):
            copy = self._book.copy(pool.id, "site", member)
            if member_of(member) not in here:
                self._book.destroyed(copy, no_certificate(LEFT_NETWORK))
            elif member not in told:
                put(self._hub, member, LIFE, body, JOB_LIFE)

    def after(self, pool: Pool) -> None:
        """The certificates of the sites, as they come; what comes late, or back from a backup, is destroyed again."""
        for job in [*jobs_of(self._hub, KIND, pool.id), *jobs_of(self._hub, LIFE, pool.id)]:
            if job.body.get("what") != "destroyed":
                self._hub.give_up(job.id)  # sent too late: nobody can open it any more
            elif job.state == "ok":
                self._book.destroyed(self._book.copy(pool.id, "site", job.member), own_certificate(job.answer))
        self._tell(pool, pool.certificate)
        self._handing.only(pool, None, "back from a backup")
        if (self._folder / pool.id).exists():
            moment = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
            self._copies.remove(pool.id, "", "back from a backup", "backup", moment)
