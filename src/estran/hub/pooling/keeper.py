"""Who keeps the pools of a hub, with its key at hand: asks sites, takes what came, has patients vanish, hands over, destroys.

`gather` is one pass, run after answers or by the clock. Killed at any moment, the next one goes on: what is in the folders and
not in the book is swept, what is in the book is whole.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from estran.exchange.whole import passing_folder, whole_folder
from estran.hub.book import HubBook, JobRecord
from estran.hub.governance import beside, require_charter
from estran.hub.pooling.agreement import readable
from estran.hub.pooling.assembling import Manifest
from estran.hub.pooling.book import Part, Pool, PoolBook, Withdrawal, new_id
from estran.hub.pooling.copies import Copies, certificate_of
from estran.hub.pooling.delivery import KIND, LIFE, MOST_LIST, most_of, read_ids, unpack
from estran.hub.pooling.dropping import Dropping
from estran.hub.pooling.ending import Ending
from estran.hub.pooling.handing import LINKS, Handing
from estran.hub.pooling.keys import PoolKeys
from estran.hub.pooling.leaving import LEFT_NETWORK, UNANSWERED, Leaving, Outgoing
from estran.hub.pooling.pieces import Pieces
from estran.hub.pooling.routes import (
    JOB_LIFE,
    LEFT,
    SIGNER,
    TO,
    active,
    check_names,
    jobs_of,
    member_of,
    own_name,
    put,
    sender,
)
from estran.hub.pooling.silence import warn
from estran.hub.pooling.taking import JOB, PACKAGE, Delivered, as_package, check, columns, expect, made_at, partition
from estran.model.errors import EstranError, InputRefused, UsageError
from estran.projects.audit import permit
from estran.projects.datamarts import holding
from estran.projects.datamarts.deciding import permit_build
from estran.projects.datamarts.reading import read_spec
from estran.projects.datamarts.shelf import Datamarts
from estran.projects.policy import Action, Target

FOLDER = "pools"
_LOST = "The site does not know what it sent, and cannot tell who left since."
_DROPPED = "The site holds the certificate that it was taken out of this pool."
_DESTROYED = "The site holds the certificate that this pool was destroyed."
_GONE = {"dropped": _DROPPED, "destroyed": _DESTROYED, LEFT: LEFT_NETWORK}  # in an answer without a list


@dataclass(frozen=True)
class Gathered:
    """What one pass did: sites taken, sites set aside with the reason, patients that left, sites of which the dropping was
    cut short and is done now, sites that have been silent for too long, the datamart that it made."""

    taken: list[str] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)
    withdrawn: dict[str, int] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    datamart: int | None = None
    closed: bool = False


class PoolKeeper:
    """Needs the hub's key: `secret` seals the keys of the pools. NotAllowed when the policy says no."""

    def __init__(self, folder: Path, hub: HubBook, shelf: Datamarts, secret: bytes) -> None:
        self.folder, self._hub, self._shelf, self._secret = folder / FOLDER, hub, shelf, secret
        self._site, self._actor = shelf.site, shelf.actor
        self.book = PoolBook(folder)
        self._copies = Copies(self.folder, self.book)
        self._handing = Handing(self.folder, shelf, self.book)
        self._outgoing = Outgoing(self.folder, hub, self.book, self._copies)
        self._dropping = Dropping(self.folder, hub, self.book, self._copies, self._handing)
        self._ending = Ending(self.folder, hub, self.book, self._copies, self._handing, self._actor.login)

    def close_book(self) -> None:
        """Give the file back."""
        self.book.close()

    def find(self, pool: str) -> Pool:
        """A pool; UsageError when there is none of this id."""
        found = self.book.find(pool)
        if found is None:
            raise UsageError("There is no pool of this id.", hint="estran hub pool status HUB")
        return found

    def _permit(self, what: str) -> None:
        permit(self._site.state, self._actor, Action.RUN_POOLS, Target(what))

    # Asking

    def ask(self, given: Any, recipient: str, sites: Mapping[str, str], reason: str) -> str:
        """A new pool for a project of the hub: `given` is the specification agreed on, `sites` the number of the project
        at each. Decided as a datamart is; UsageError when a site is no member."""
        agreed = read_spec(given)
        spec = agreed.frozen()
        readable(spec)
        self._permit(f"pool of project:{spec.project} sites:{','.join(sites)}")
        require_charter(self._site.state, beside(self._hub), self._actor)
        until = dt.datetime.now(dt.UTC) + dt.timedelta(days=spec.days)
        permit_build(self._site.state, self._actor, spec, recipient, self._site.snapshot().version, until, reason)
        if not sites:
            raise UsageError("A pool has sites.", hint="--site angers=2026-004")
        check_names(sites, active(self._hub))
        pool = new_id()
        keys = PoolKeys.create(self.folder / pool, self._secret)
        self.book.add(pool, agreed, recipient, keys.public, self._actor.login, reason, sites, spec.days)
        self.book.copy(pool, "key", "key")
        self.ask_again(pool)
        return pool

    def ask_again(self, pool: str, sites: tuple[str, ...] = ()) -> list[str]:
        """Have sites send, or send anew; those that have not answered yet are not asked twice, and those that were dropped
        only when they are named."""
        found = self._open(pool)
        self._permit(f"ask for pool:{pool} {','.join(sites)}")
        here = active(self._hub)
        waiting = {job.member for job in self._jobs(KIND, found.id) if job.state in UNANSWERED}
        out = set() if sites else self._dropping.out(found)
        asked = [
            one for one in self.book.sites(found.id).items()
            if (not sites or one[0] in sites) and one[0] not in out and member_of(one[0]) in here and one[0] not in waiting
        ]  # fmt: skip
        for member, project in asked:
            body = {"pool": found.id, "project": project, "key": found.key, "pieces": True}
            body["agreed"] = found.agreed.canonical()
            put(self._hub, member, KIND, body, JOB_LIFE)
        return [member for member, _ in asked]

    def link(self, pool: str, path: Path) -> int:
        """Take a linkage: a CSV or Parquet file with `site`, `record` (the id that the site gives the patient in this pool)
        and `person`. The ids of the sites are not kept, nor anything of a site that was dropped; how many records were linked.
        UsageError when it is another file."""
        found = self._open(pool)
        self._permit(f"link pool:{pool}")
        keys = PoolKeys.open(self.folder / found.id, self._secret)
        try:
            table = pq.read_table(path) if path.suffix == ".parquet" else pacsv.read_csv(path)
            names = ("site", "record", "person")
            site, record, person = (table.column(name).cast(pa.string()).to_pylist() for name in names)
        except (KeyError, OSError, pa.ArrowInvalid):
            raise UsageError("A linkage has the columns site, record and person.", where=str(path)) from None
        with self._alone(found.id):
            out = self._dropping.out(self._open(found.id))
            kept = [one for one in zip(site, record, person, strict=True) if one[0] not in out]
            ours = keys.ids.ids("patient", (f"{one}/{old}" for one, old, _ in kept))
            persons = keys.ids.ids("person", [one for _, _, one in kept])
            linked = {"member": [one for one, _, _ in kept], "record": ours, "person": persons}
            self._link(found, pa.table({name: pa.array(values, pa.string()) for name, values in linked.items()}))
        return len(ours)

    def _link(self, pool: Pool, linked: pa.Table) -> None:
        draft = self.folder / pool.id / f".{LINKS}"
        pq.write_table(linked, draft)
        draft.chmod(0o600)
        self.book.copy(pool.id, "linkage", LINKS)
        draft.replace(self.folder / pool.id / LINKS)

    def _open(self, pool: str) -> Pool:
        found = self.find(pool)
        if found.state != "open" or not (self.folder / found.id / "key").is_file():  # or its closing was cut short
            raise UsageError("This pool is closed.")
        return found

    def _jobs(self, kind: str, pool: str) -> list[JobRecord]:
        return jobs_of(self._hub, kind, pool)

    # One pass

    def gather(self, pool: str) -> Gathered:
        """Take what came, take out who left, put the rest together anew if anything changed; sites are told."""
        found = self.find(pool)
        self._permit(f"gather pool:{found.id}")
        with self._alone(found.id):
            if found.state != "open":
                self._ending.after(found)
                self._dropping.over(found)
                return Gathered(closed=True)
            if not (self.folder / found.id / "key").is_file():
                self._close(found, "a closing that was cut short")
                return Gathered(closed=True)
            over = self._over(found)
            if over:
                self._close(found, over)
                return Gathered(closed=True)
            done, trouble = Gathered(), list[Exception]()
            self._tried(lambda: self._dropping.resume(found, done.dropped), trouble)
            self._sweep(found)
            return self._gather(self.find(found.id), done, trouble)

    def _over(self, pool: Pool) -> str:
        """Why a pool is to be closed; "" as long as it is not."""
        if pool.expires < time.time():
            return "its time is over"
        return "the project is over" if holding.over(self._site.state, pool.project) else ""

    def _close(self, pool: Pool, why: str) -> dict[str, Any]:
        certificate = self._ending.close(pool, why)
        self._dropping.over(pool)
        return certificate

    @contextmanager
    def _alone(self, pool: str) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        with (self.folder / f".{pool}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError("Another process works on this pool.", hint="try again when it has ended") from None
            yield

    def _sweep(self, pool: Pool) -> None:
        """What a pass that was cut short left, or is back from a backup."""
        kept = {part.folder for part in self.book.parts(pool.id) if part.folder}
        for path in (self.folder / pool.id / "sites").glob("*/*"):
            if path.relative_to(self.folder / pool.id).as_posix() not in kept:
                shutil.rmtree(path)
        out = {job for one in self.book.drops(pool.id) if one.certificate for job in one.jobs}
        for path in (self.folder / pool.id / "quarantine").glob("*"):
            if path.stem in out:
                path.unlink()
        for path in (self.folder / pool.id).glob(".*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for copy in self.book.copies(pool.id):
            if copy.what == "partition" and not copy.certificate and copy.place not in kept:
                self.book.destroyed(copy.id, certificate_of("a pass that was cut short", []))

    def _gather(self, pool: Pool, done: Gathered, trouble: list[Exception]) -> Gathered:
        """`trouble`: what cannot be taken from one site keeps no patient of another in the pool."""
        keys = PoolKeys.open(self.folder / pool.id, self._secret)
        judged = self.book.judged(pool.id)
        self._finish(pool, judged)
        for job in self._jobs(LIFE, pool.id):
            if job.state == "ok" and job.id not in judged and job.body.get("what") == "withdrawals":
                self._tried(lambda each=job: self._withdraw(pool, keys, each, done), trouble)  # type: ignore[misc]
        for job in self._jobs(KIND, pool.id):
            if job.state == "ok" and job.id not in judged:
                self._tried(lambda each=job: self._take(pool, keys, each, done), trouble)  # type: ignore[misc]
        self._outgoing.let_go(pool)
        try:
            made = self._made_anew(pool, done)
        finally:  # a pool that fails has its silent sites as well
            silent = warn(self._site.state, self._site.settings, self._hub, self.book, pool)
        if trouble:
            raise trouble[0]
        return Gathered(sorted(done.taken), done.quarantined, done.withdrawn, done.dropped, silent, made)

    def _made_anew(self, pool: Pool, done: Gathered) -> int | None:
        """The datamart without who left, when anything changed; sites are told."""
        with self._patients_first(pool):
            done.withdrawn.update(self._outgoing.apply(pool, self._leaving(pool)))
        try:
            with self._patients_first(pool):
                made = self._handing.hand_over(pool)
        except EstranError:  # the datamart is destroyed: whoever left is out
            self._tell(pool)
            raise
        self._tell(pool)
        return made

    def _finish(self, pool: Pool, judged: set[str]) -> None:
        """Drop what a pass took, or set aside, and was killed before it could drop."""
        life = self._jobs(LIFE, pool.id)
        for job in self._jobs(KIND, pool.id):
            pieces = Pieces(self._hub, job, life)
            if job.id in judged and pieces.left():
                pieces.done()
        for job in life:
            if job.id in judged and self._hub.holds(job.id):
                self._hub.give_up(job.id)

    @staticmethod
    def _tried(work: Callable[[], None], trouble: list[Exception]) -> None:
        """Do one part of a pass; an error of this machine waits until the other parts are done."""
        try:
            work()
        except (EstranError, OSError, duckdb.Error) as error:
            trouble.append(error)

    @contextmanager
    def _patients_first(self, pool: Pool) -> Iterator[None]:
        """What goes wrong, as when the disk is full, leaves no datamart with patients who left."""
        try:
            yield
        except (OSError, duckdb.Error):
            if any(one.state == "applied" for one in self.book.withdrawals(pool.id)):
                self._handing.only(pool, None, "patients left, and it could not be made anew without them")
            raise

    # Taking

    def _take(self, pool: Pool, keys: PoolKeys, job: JobRecord, done: Gathered) -> None:
        place = f"sites/{job.member}/{job.id}"
        try:
            if member_of(job.member) not in active(self._hub):
                raise InputRefused(LEFT_NETWORK)
            self._expect_signer(pool, job)  # no list with its key would be taken either: it would wait for ever
            heard = self._heard(pool, job)
            if not heard:
                return
            with self._unpacked(pool, keys, job) as given, as_package():
                self._expect(pool, job, given.manifest, "tables")
                self._expect_newer(pool, job, given.manifest, heard)
                check(given)
                gone = self._leaving(pool).gone(job.member, made_at(given.manifest))
                self.book.copy(pool.id, "partition", place)
                with whole_folder(self.folder / pool.id / place) as target:
                    converted = partition(
                        given, lambda kind, old: keys.of_site(job.member, kind, list(old)), target, gone
                    )
                said = {"converted": converted, "columns": columns(given), SIGNER: job.answer.get(SIGNER)}
                manifest = given.manifest | said
        except InputRefused as error:
            self._set_aside(pool, job, error.what)
            done.quarantined[job.member] = error.what
            return
        part = Part(job.id, pool.id, job.member, time.time(), made_at(manifest), "accepted", "", place, manifest)
        for old in self.book.accept(part):
            self._copies.remove(pool.id, old.folder, f"superseded by what the site sent on {manifest['made'][:10]}")
        self._pieces(pool, job).done()
        done.taken.append(job.member)

    def _heard(self, pool: Pool, job: JobRecord) -> str:
        """When the site last told who left, since all of its package is here; "" while either is awaited."""
        pieces = self._pieces(pool, job)
        return self._leaving(pool).heard(job.member, pieces.since) if pieces.come(JOB_LIFE) else ""

    def _leaving(self, pool: Pool) -> Leaving:
        return Leaving(self._hub, self.book, pool, self._jobs(LIFE, pool.id))

    def _pieces(self, pool: Pool, job: JobRecord) -> Pieces:
        return Pieces(self._hub, job, self._jobs(LIFE, pool.id))

    @contextmanager
    def _unpacked(self, pool: Pool, keys: PoolKeys, job: JobRecord) -> Iterator[Delivered]:
        with passing_folder(self.folder / pool.id / "scratch") as scratch:
            content, sealed = scratch / "content", scratch / "content.parcel"
            content.mkdir()
            self._pieces(pool, job).write(sealed)
            most, signature = most_of(sealed) if job.kind == KIND else MOST_LIST, str(job.answer.get("signature", ""))
            manifest = unpack(sealed, signature, sender(self._hub, job)[1], keys.box, content, most)
            yield Delivered(content, manifest, pool.agreed.frozen())

    def _expect(self, pool: Pool, job: JobRecord, manifest: Manifest, what: str) -> None:
        """InputRefused unless it is of this pool and of the site that was asked, signed as what it sent before."""
        expect(pool.id, sender(self._hub, job)[0], own_name(job.member), manifest, what)
        self._expect_signer(pool, job)
        if PACKAGE in manifest and any(
            one.member == job.member and one.made > made_at({"made": manifest[PACKAGE]}) for one in self.book.parts(pool.id, "accepted")
        ):  # fmt: skip
            raise InputRefused("The site, back from a backup, does not know of the package that is in the pool.")

    def _expect_signer(self, pool: Pool, job: JobRecord) -> None:
        before = {one.manifest.get(SIGNER) for one in self.book.parts(pool.id, "accepted") if one.member == job.member}
        if before - {job.answer.get(SIGNER)}:
            raise InputRefused("The package is signed with another key than the one that this site sent before.")

    def _expect_newer(self, pool: Pool, job: JobRecord, manifest: Manifest, heard: str) -> None:
        if (JOB in manifest or self.book.drops(pool.id, job.member)) and manifest.get(JOB) != job.id:
            raise InputRefused("The package answers another asking.")  # as one made before the site was dropped does
        sent = [one for one in self.book.parts(pool.id) if one.member == job.member]
        last = max((one.made for one in sent if one.state != "dropped"), default="")
        if made_at(manifest) <= last:
            raise InputRefused("The site sent something newer before.")
        if heard <= made_at(manifest):
            raise InputRefused("By the site's own clock it told who left before it made this package.")

    def _set_aside(self, pool: Pool, job: JobRecord, said: str) -> None:
        """Keep a package that is not taken, still sealed, with the reason."""
        place = f"quarantine/{job.id}.parcel"
        pieces = self._pieces(pool, job)
        self.book.copy(pool.id, "quarantine", place)
        path = self.folder / pool.id / place
        path.parent.mkdir(mode=0o700, exist_ok=True)
        pieces.keep(path)
        path.chmod(0o600)
        self.book.quarantine(Part(job.id, pool.id, job.member, time.time(), "", "quarantined", said, "", {}))
        pieces.done()

    # Who left

    def _withdraw(self, pool: Pool, keys: PoolKeys, job: JobRecord, done: Gathered) -> None:
        if not self._hub.files(job.id, "answer"):  # nothing was ever sent from there, or all of it is destroyed
            why = next((said for name, said in _GONE.items() if job.answer.get(name)), "")
            held = [part for part in self.book.parts(pool.id, "accepted") if part.member == job.member]
            for part in held if why else ():
                self._outgoing.drop(pool, part, why)
            state, said = ("lost", _LOST) if not why and self._leaving(pool).asked_after(held, job) else ("told", "")
            self.book.withdraw(Withdrawal(job.id, pool.id, job.member, "", (), state, said))
            return
        try:
            with self._unpacked(pool, keys, job) as given, as_package():
                self._expect(pool, job, given.manifest, "withdrawn")
                if TO in job.body and given.manifest.get(JOB) != job.id:  # an older list, given by a hub between
                    raise InputRefused("The list answers another asking.")
                ids = tuple(keys.of_site(job.member, "patient", read_ids(given.folder)))
                made = made_at(given.manifest)
        except InputRefused as error:
            self._set_aside_list(pool, job, error.what)
            done.quarantined[job.member] = error.what
            return
        self.book.withdraw(Withdrawal(job.id, pool.id, job.member, made, ids, "applied" if ids else "told", ""))
        self._hub.give_up(job.id)

    def _set_aside_list(self, pool: Pool, job: JobRecord, said: str) -> None:
        self.book.withdraw(Withdrawal(job.id, pool.id, job.member, "", (), "quarantined", said))
        self._hub.give_up(job.id)

    def _tell(self, pool: Pool) -> None:
        """Sites hear what was carried out, and are asked again who left when the last asking is an hour old."""
        sent = {part.member for part in self.book.parts(pool.id, "accepted")}
        lists, leaving = self.book.withdrawals(pool.id), self._leaving(pool)
        for member in self.book.sites(pool.id):
            done = [one.job for one in lists if one.member == member and one.state == "applied"]
            if done:
                put(self._hub, member, LIFE, {"pool": pool.id, "what": "withdrawn", "jobs": done}, JOB_LIFE)
                self.book.told(done)
            if member in sent and leaving.due(member):
                leaving.ask(member)

    def ask_who_left(self, pool: str, member: str) -> None:
        """Have a site tell whom it takes back."""
        self._leaving(self.find(pool)).ask(member)

    # A site, or all of them, taken out by a person

    def drop(self, pool: str, site: str, why: str) -> dict[str, Any]:
        """Take all that one site sent out of a pool, for good; the certificate. Again finishes what was cut short, and gives the
        same certificate as long as the site was not asked anew."""
        found = self._open(pool)
        self._permit(f"drop {site[:60]} from pool:{found.id} {why.strip()[:200]}")
        sites = self.book.sites(found.id)
        if site not in sites:
            raise UsageError("This site is not in this pool.", where=site, hint=f"one of {', '.join(sites)}")
        if self._over(found):  # a datamart would be made of it
            raise UsageError("This pool is over: all of it is to be destroyed.", hint="estran hub pool gather HUB")
        if not why.strip():
            raise UsageError("Say why this site is taken out.", hint="--reason 'its project ended there'")
        with self._alone(found.id):
            return self._dropping.drop(self._open(found.id), site, why.strip(), self._actor.login)

    def close(self, pool: str, why: str) -> dict[str, Any]:
        """Destroy every copy of a pool at the hub, and tell the sites; the certificate. Again gives the same one."""
        found = self.find(pool)
        self._permit(f"close pool:{found.id} {why.strip()[:200]}")
        with self._alone(found.id):
            ended = found.state == "closed"
            return found.certificate if ended else self._close(found, why.strip() or "asked for")
