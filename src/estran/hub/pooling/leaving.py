"""Who left a site since it made its package is known before the package is opened: otherwise the hub would hold, until the
next list, patients of whom the site knows already that they refused.

A package that has come whole waits for a list that was asked for after it came. The site made such a list after the
package, and of all whom it ever sent; whoever is on it is never written into the pool.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from estran.exchange.tables import files_as_views
from estran.exchange.whole import passing_folder, whole_folder
from estran.hub.book import HubBook, JobRecord
from estran.hub.pooling.book import Part, Pool, PoolBook, Withdrawal, new_id
from estran.hub.pooling.copies import Copies
from estran.hub.pooling.delivery import LIFE
from estran.hub.pooling.rekeying import write_sorted
from estran.hub.pooling.routes import JOB_LIFE, LEFT, active, member_of, put
from estran.model.errors import InputRefused

AGAIN = 3_600.0  # seconds after which sites are asked again who left
LEFT_NETWORK = "This site left the network."
NOTHING_SENT = "nothing was sent from there"
UNANSWERED = ("queued", "taken", "approval")


def own_certificate(answer: dict[str, Any]) -> dict[str, Any]:
    """What a site that heard that its part of a pool is destroyed says of its own: a site that left has no certificate."""
    own = answer.get("certificate")
    given = {name: one for name, one in own.items() if name != "none"} if isinstance(own, dict) else {}
    return given or (no_certificate(LEFT_NETWORK) if answer.get(LEFT) else {"destroyed": "", "method": NOTHING_SENT})


def no_certificate(why: str) -> dict[str, Any]:
    """That none will come."""
    return {"none": True, "destroyed": "", "method": why}


class Leaving:
    """The lists of one pool: `jobs` are its jobs of the kind `pool-life`."""

    def __init__(self, hub: HubBook, book: PoolBook, pool: Pool, jobs: Iterable[JobRecord]) -> None:
        self._hub, self._pool = hub, pool
        self._asked = [one for one in jobs if one.body.get("what") == "withdrawals"]
        self._lists = book.withdrawals(pool.id)

    def heard(self, member: str, since: float) -> str:
        """When a site made the list that it was asked for at `since` or later, by its own clock; "" as long as there is none,
        and then it is asked. InputRefused when it knows of no package."""
        after = [one for one in self._asked if one.member == member and one.created >= since]
        lists = self._taken({one.id for one in after})
        if any(not one.made for one in lists):
            raise InputRefused("The site does not know of this package any more, and cannot tell who left since.")
        last = max((one.created for one in after), default=0.0)
        if not lists and time.time() - last > AGAIN and not any(one.state in UNANSWERED for one in after):
            self.ask(member)
        return max((one.made for one in lists), default="")

    def _taken(self, jobs: Collection[str]) -> list[Withdrawal]:
        """Their lists that could be read."""
        return [one for one in self._lists if one.job in jobs and one.state != "quarantined"]

    def gone(self, member: str, made: str) -> set[str]:
        """Whom a site took back since it made something, by the hub's ids."""
        return {one for each in self._lists if each.member == member and each.made > made for one in each.ids}

    def ask(self, member: str) -> None:
        """Have a site tell whom it takes back."""
        put(self._hub, member, LIFE, {"pool": self._pool.id, "what": "withdrawals"}, JOB_LIFE)

    def asked_after(self, held: Iterable[Part], job: JobRecord) -> bool:
        """Whether a site had sent something that is still here when it was asked."""
        sent = list(held)
        came = {one.id: one.answered or 0.0 for one in self._hub.jobs_by_id([part.job for part in sent])}
        return any(came.get(part.job, 0.0) <= job.created for part in sent)

    def due(self, member: str) -> bool:
        """Whether the last asking is an hour old."""
        return time.time() - max((one.created for one in self._asked if one.member == member), default=0.0) > AGAIN


class Outgoing:
    """Takes patients, or all that a site sent, out of the partitions of the pools in `folder`."""

    def __init__(self, folder: Path, hub: HubBook, book: PoolBook, copies: Copies) -> None:
        self._folder, self._hub, self._book, self._copies = folder, hub, book, copies

    def let_go(self, pool: Pool) -> None:
        """A site that is no member any more cannot tell who is opposed: nothing of it stays."""
        here = active(self._hub)
        for part in self._book.parts(pool.id, "accepted"):
            if member_of(part.member) not in here:
                self.drop(pool, part, LEFT_NETWORK)

    def drop(self, pool: Pool, part: Part, why: str) -> None:
        """All that a site sent goes out."""
        self._book.drop(part, why)
        self._copies.remove(pool.id, part.folder, why)

    def apply(self, pool: Pool, leaving: Leaving) -> dict[str, int]:
        """Write anew the partitions that hold somebody taken back since they were made; of each how many they were."""
        found = dict[str, int]()
        for part in self._book.parts(pool.id, "accepted"):
            gone = leaving.gone(part.member, part.made)
            count = self._without(pool, part, gone) if gone else 0
            if count:
                found[part.member] = count
        return found

    def _without(self, pool: Pool, part: Part, gone: set[str]) -> int:
        """How many patients were in a partition that may not be, after it was written without them."""
        source = self._folder / pool.id / part.folder
        tables = {path.stem: path for path in sorted(source.glob("*.parquet"))}
        with (
            passing_folder(self._folder / pool.id / "scratch") as scratch,
            files_as_views(tables, scratch) as connection,
        ):
            connection.register("gone", pa.table({"patient": sorted(gone)}))
            held = connection.execute("SELECT count(*) FROM patients SEMI JOIN gone USING (patient)").fetchall()[0][0]
            if not held:
                return 0
            place = f"sites/{part.member}/{part.job}-{new_id()}"
            self._book.copy(pool.id, "partition", place)
            with whole_folder(self._folder / pool.id / place) as target:
                for name in tables:
                    kept = f'SELECT * FROM "{name}"' + ("" if name == "codes" else " ANTI JOIN gone USING (patient)")
                    write_sorted(connection, kept, target / f"{name}.parquet")
        self._book.move(part.job, place)
        self._copies.remove(pool.id, part.folder, "written anew without patients that their site took back")
        return int(held)
