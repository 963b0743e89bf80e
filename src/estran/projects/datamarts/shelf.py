"""The datamarts of a site: built, listed, refreshed, proved, traced, destroyed."""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson
from pyroaring import BitMap

from estran.exchange.whole import whole_folder
from estran.identity.keys import SiteKey
from estran.model.errors import EstranError, StoreError, UsageError, told
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.datamarts import holding, tracing
from estran.projects.datamarts.alone import alone, busy
from estran.projects.datamarts.build import Work, build
from estran.projects.datamarts.deciding import LEAST_REASON, permit_build, target_of
from estran.projects.datamarts.manifest import FILE, Manifest, Withdrawn, describe, dumps, pinned, sha256, with_files
from estran.projects.datamarts.members import choose
from estran.projects.datamarts.own import about_own, open_own
from estran.projects.datamarts.reading import SpecFile, read_spec
from estran.projects.datamarts.spec import Spec
from estran.projects.gate import ProtectedGate, rules_of
from estran.projects.policy import Action, Target, decide
from estran.projects.site import SiteServices
from estran.release.fingerprint import Marks
from estran.release.rekey import ProjectKey
from estran.state import Tombstone
from estran.state.datamarts import DatamartRow, MartState
from estran.state.transactions import now
from estran.warehouse import Snapshot

_WITHDRAWN = "a patient objected or was erased"
Fill = Callable[[Path], Manifest]
_LAST_TRY = dt.timedelta(minutes=10)  # before the hour of a patient is over, two passes of the keeper


class DatamartJob(StrEnum):
    """Work for the process that holds the key. Its argument is the number of a datamart."""

    BUILD = "build-datamart"
    REFRESH = "refresh-datamart"


@dataclass(frozen=True)
class Workshop:
    """What building needs and looking does not: the key, the folder of the files, older snapshots."""

    key: SiteKey
    folder: Path
    snapshot_of: Callable[[int], Snapshot]


@dataclass(frozen=True)
class Listed:
    """A datamart as it is listed. `due`: somebody in it objected or was erased, or it has expired."""

    row: DatamartRow
    manifest: Manifest
    due: str

    @property
    def rows(self) -> int:
        """Of all its tables."""
        return sum(table["rows"] for table in self.manifest.get("tables", ()))


@dataclass(frozen=True)
class Proof:
    """What was found of a datamart's files: altered, missing or added ones, and whether building anew gives the same.

    `withdrawn`: somebody in it objected or was erased since, so that it cannot; `own_changed`: what the project brought
    itself is not what it was.
    """

    wrong: tuple[str, ...]
    same: bool | None = None
    withdrawn: bool = False
    own_changed: bool = False

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong; what an opposition or the project's own data changed is not."""
        return not self.wrong and (self.same is not False or self.withdrawn or self.own_changed)


@dataclass(frozen=True)
class Pass:
    """What came of looking at every datamart: those built anew, those destroyed, and a sentence for each that went wrong."""

    made: list[Listed] = field(default_factory=list)
    gone: list[Listed] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Datamarts:
    """One person at the datamarts. NotAllowed when the policy says no; each look is recorded too."""

    def __init__(self, site: SiteServices, actor: Actor, workshop: Workshop | None = None) -> None:
        self._site, self.actor, self._workshop = site, actor, workshop
        self._book = site.state.datamarts

    @property
    def site(self) -> SiteServices:
        """The site whose datamarts they are."""
        return self._site

    # Looking

    def all(self) -> list[Listed]:
        """Those that the person may see, the newest first."""
        permit(self._site.state, self.actor, Action.DATAMARTS, Target("datamarts", self.actor.account_id))
        rows = [
            row for row in self._book.all() if decide(self.actor, Action.DATAMARTS, target_of(self.actor, row)).allowed
        ]
        return self._listed(rows)

    def one(self, number: int) -> Listed:
        """One of them; UsageError when there is none of this number."""
        row = self._find(number)
        permit(self._site.state, self.actor, Action.DATAMARTS, target_of(self.actor, row))
        return self._listed([row])[0]

    def of(self, project: str) -> list[Listed]:
        """Those of a project that the person may see, the newest first."""
        return [one for one in self.all() if one.row.project == project]

    def _listed(self, rows: list[DatamartRow]) -> list[Listed]:
        owed, newest = holding.owed(self._site.state), self._site.snapshot()
        pairs = {(row.project, row.recipient) for row in rows if row.state == MartState.LIVE}
        gone = {pair: holding.excluded(self._site.state, newest, *pair) for pair in pairs}
        return [_listed(row, gone.get((row.project, row.recipient), BitMap()), owed) for row in rows]

    def _find(self, number: int) -> DatamartRow:
        row = self._book.find(number)
        if row is None:
            raise UsageError("There is no datamart of this number.", hint="estran datamart list SITE")
        return row

    # Building

    def build(self, given: Any, recipient: str, reason: str) -> Listed:
        """Build what a specification asks for on the newest snapshot, or a manifest on its own one."""
        again = pinned(given) if isinstance(given, dict) else None
        snapshot = self._site.snapshot()
        if again is None:
            return self._build(read_spec(given), snapshot, recipient, reason)
        asked, version, whose = again
        return self._build(read_spec(asked), self._tools.snapshot_of(version), recipient or whose, reason)

    def refresh(self, number: int, reason: str) -> Listed:
        """The same specification on the newest snapshot, for the same recipient."""
        row = self._find(number)
        return self._build(read_spec(orjson.loads(row.spec)), self._site.snapshot(), row.recipient, reason)

    def replace(self, number: int, reason: str, why: str) -> Listed:
        """A refresh until the same day in place of a build: its workspace goes on with the new files, the old ones are
        destroyed. UsageError when its files are destroyed, or its time is over."""
        old = self._refreshable(number)
        with alone(self._tools.folder, number):
            owed = holding.owed_by(self._site.state, old)  # before the build: a later wish is not obeyed by it
            source, snapshot = read_spec(orjson.loads(old.spec)), self._site.snapshot()
            made = self._build(source, snapshot, old.recipient, reason, old.expires)
            if self._find(number).state != MartState.LIVE:  # destroyed beside the build: nothing is to replace it
                self.destroy(made.row.id, "what it was to replace was destroyed")
                raise _destroyed()
            holding.acknowledge(self._site.state, old, owed, f"replaced by datamart {made.row.id}")
            self._site.state.spaces.move(*(str((self._tools.folder / one.folder).resolve()) for one in (old, made.row)))
            self.destroy(number, f"replaced by build {made.row.number}: {why}")
        return made

    def _refreshable(self, number: int) -> DatamartRow:
        row = self._find(number)
        if row.state != MartState.LIVE:
            raise _destroyed()
        if row.expires <= now():
            raise UsageError("The time of this datamart is over: it is not refreshed any more.")
        if "pool" in orjson.loads(row.manifest):
            raise UsageError("This datamart is a pool of several sites: it is gathered anew, not built here.")
        return row

    def refresh_due(self, reason: str) -> Pass:
        """Build anew those in which somebody objected or was erased, and destroy what they replace; destroy those that
        cannot be built anew, and those of a project that is not open any more. Everybody's wishes are acknowledged.
        One that goes wrong leaves the others be."""
        done, state = Pass(), self._site.state
        if len(reason.strip()) < LEAST_REASON:  # or each would be refused, and be destroyed for that
            raise UsageError("Building from here needs a reason.", hint='--reason "why, and who decided"')
        known = holding.enrolled(state)
        for row in self._book.all():
            if row.state == MartState.LIVE and holding.name_of(row) not in known:  # of an older version
                holding.enrol(state, row, row.snapshot)
                if self._find(row.id).state != MartState.LIVE:  # destroyed between the two
                    holding.end(state, row)
        owed = holding.owed(state)  # before they are judged: what comes later waits for the next pass
        for one in self.all():
            if one.row.state == MartState.LIVE and one.due != "expired":
                try:
                    self._carry_out(one, owed.get(holding.name_of(one.row), []), reason, done)
                except Exception as error:  # noqa: BLE001 (whatever it is, patients are to be taken out of the others)
                    done.problems.append(f"{one.row.id} {told(error)}")
        return done

    def _carry_out(self, one: Listed, wishes: list[Tombstone], reason: str, done: Pass) -> None:
        number, project = one.row.id, one.row.project
        if holding.over(self._site.state, project):
            done.gone.append(self.destroy(number, f"project {project} is closed"))
        elif one.due != "withdrawn":
            holding.acknowledge(self._site.state, one.row, [wish.id for wish in wishes], "nobody in it")
        else:
            try:
                done.made.append(self.replace(number, reason, _WITHDRAWN))
            except EstranError as error:  # the duty is to take the patient out, not to have a datamart
                if busy(self._tools.folder, number) or self._find(number).state != MartState.LIVE:
                    raise
                if isinstance(error, StoreError) and not _pressing(wishes):  # a store may be busy: the next pass tries again
                    raise
                done.problems.append(f"{number} {told(error)}")
                done.gone.append(self.destroy(number, f"{_WITHDRAWN}, and it cannot be built anew: {error.what}"))

    # Asking for a build on a page, and building what was asked for

    def ask(self, given: Any, recipient: str) -> DatamartRow:
        """Have a datamart built by the process that holds the key. NotAllowed when the project was not granted it."""
        source = read_spec(given)
        spec, snapshot, recipient = source.frozen(), self._site.snapshot(), _recipient(recipient)
        expires = now() + dt.timedelta(days=spec.days)
        permit_build(self._site.state, self.actor, spec, recipient, snapshot.version, expires, "")
        row = self._reserve(source, snapshot, recipient, expires, MartState.ASKED)
        self._site.state.jobs.ask(DatamartJob.BUILD, str(row.id), self.actor.login)
        return row

    def ask_refresh(self, number: int) -> None:
        """Have a datamart replaced by a build of the newest snapshot."""
        permit(self._site.state, self.actor, Action.BUILD_DATAMART, Target(f"refresh datamart:{number}"))
        self._refreshable(number)
        self._site.state.jobs.ask(DatamartJob.REFRESH, str(number), self.actor.login)

    def build_asked(self, number: int) -> Listed:
        """Build what was asked for on a page, decided anew; what may not be built any more is forgotten."""
        with alone(self._tools.folder, number):
            row, snapshot = self._find(number), self._site.snapshot()
            if row.state not in (MartState.ASKED, MartState.BUILDING):
                raise UsageError("This datamart is built already.")
            source = read_spec(orjson.loads(row.spec))
            try:
                permit_build(
                    self._site.state, self.actor, source.frozen(), row.recipient, snapshot.version, row.expires, ""
                )
            except BaseException:
                self._book.abandon(row.id)
                raise
            if not self._book.begin(row.id, snapshot.version):
                raise _destroyed()
            return self._make(self._find(row.id), source, snapshot)

    def adopt(self, source: SpecFile, recipient: str, reason: str, expires: dt.datetime, fill: Fill) -> Listed:
        """A datamart whose tables come from elsewhere (other sites), decided as if it were built here; `fill` writes them
        into a folder and gives the manifest's tables. Nobody of this house is in it."""
        spec, snapshot, recipient = source.frozen(), self._site.snapshot(), _recipient(recipient)
        permit_build(self._site.state, self.actor, spec, recipient, snapshot.version, expires, reason)
        row = self._reserve(source, snapshot, recipient, expires, MartState.BUILDING)
        with alone(self._tools.folder, row.id):
            target = self._tools.folder / row.folder
            try:
                name, source_text = self._site.settings.name, source.canonical()
                about = describe(spec, source_text, snapshot, name, recipient, row.number, now(), expires, None)
                with whole_folder(target) as draft:
                    manifest = dumps(with_files(about | {"own": []} | fill(draft), draft))
                    (draft / FILE).write_text(manifest, "utf-8")
            except BaseException:
                self._book.abandon(row.id)
                raise
            if not self._book.finish(row.id, bytes(BitMap().serialize()), manifest):
                _remove(target)
                raise _destroyed_meanwhile()
            holding.enrol(self._site.state, row, snapshot.version)
        return _listed(self._find(row.id), BitMap(), {})

    def _build(
        self, source: SpecFile, snapshot: Snapshot, recipient: str, reason: str, until: dt.datetime | None = None
    ) -> Listed:
        spec, recipient = source.frozen(), _recipient(recipient)
        expires = until or now() + dt.timedelta(days=spec.days)
        permit_build(self._site.state, self.actor, spec, recipient, snapshot.version, expires, reason)
        row = self._reserve(source, snapshot, recipient, expires, MartState.BUILDING)
        with alone(self._tools.folder, row.id):
            return self._make(row, source, snapshot)

    def _reserve(
        self, source: SpecFile, snapshot: Snapshot, recipient: str, expires: dt.datetime, state: MartState
    ) -> DatamartRow:
        plain = orjson.dumps(source.canonical()).decode()
        return self._book.reserve(
            source.project, source.name, recipient, snapshot.version, plain, self.actor.login, expires, state
        )

    def _make(self, row: DatamartRow, source: SpecFile, snapshot: Snapshot) -> Listed:
        """The files of a reserved build, whole or not at all; it is a recipient of data from then on."""
        spec, newest, tools, state = source.frozen(), self._site.snapshot(), self._tools, self._site.state
        try:
            gone = holding.excluded(state, newest, row.project, row.recipient)
            work = self._work(spec, snapshot, gone, row.recipient)
            about = describe(
                spec, source.canonical(), snapshot, self._site.settings.name, row.recipient, row.number, now(),
                row.expires, self._withdrawn(self._earlier(row), gone),
            )  # fmt: skip
            build(work, tools.folder / row.folder, about | {"own": about_own(work.own)})
            manifest = (tools.folder / row.folder / FILE).read_text("utf-8")
        except BaseException as error:
            if not self._book.abandon(row.id) and isinstance(error, Exception):
                raise _destroyed_meanwhile() from None
            raise
        holding.enrol(state, row, newest.version)  # before it is there: a project that is closed beside it ends it again
        if not self._book.finish(row.id, bytes(work.members.bitmap.serialize()), manifest):
            _remove(tools.folder / row.folder)
            holding.end(state, row)
            raise _destroyed_meanwhile()
        return _listed(self._find(row.id), BitMap(), {})

    def _work(self, spec: Spec, snapshot: Snapshot, gone: BitMap, recipient: str) -> Work:
        key = ProjectKey.of(self._tools.key, spec.project)
        members = choose(spec, snapshot, gone, key)
        own = open_own(self._site, self._tools.key, spec)
        return Work(spec, snapshot, members, Marks(key) if spec.fingerprint else None, recipient, own)

    def _earlier(self, row: DatamartRow) -> DatamartRow | None:
        """The build before this one whose patients are still known."""
        same = (row.project, row.name, row.recipient)
        rows = self._book.all()
        return next((one for one in rows if (one.project, one.name, one.recipient) == same and one.members), None)

    def _withdrawn(self, earlier: DatamartRow | None, gone: BitMap) -> Withdrawn | None:
        """Who left an earlier build by an opposition or an erasure, when somebody did."""
        count = len(BitMap.deserialize(earlier.members) & gone) if earlier else 0
        if earlier is None or not count:
            return None
        gate = ProtectedGate(self._site.state, rules_of(self._site.settings), None)
        shown = gate.show(count, f"withdrawn/{earlier.id}")
        return Withdrawn(earlier.number, earlier.snapshot, shown)

    @property
    def _tools(self) -> Workshop:
        if self._workshop is None:
            raise UsageError("Datamarts are built where the site's key is.", hint="estran datamart build SITE SPEC")
        return self._workshop

    # Proving and destroying

    def verify(self, number: int, *, rebuild: bool = False) -> Proof:
        """Whether its files are those of its manifest; with `rebuild`, whether its own snapshot gives the same bytes."""
        one = self.one(number)
        folder = self._tools.folder / one.row.folder
        wrong = tuple(_wrong(folder, one.manifest, one.row.manifest))
        if not rebuild:
            return Proof(wrong)
        gone = holding.excluded(self._site.state, self._site.snapshot(), one.row.project, one.row.recipient)
        work = self._work(
            read_spec(orjson.loads(one.row.spec)).frozen(), self._tools.snapshot_of(one.row.snapshot), gone, one.row.recipient
        )
        scratch = folder.with_name(f".{folder.name}.again")
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            again = build(work, scratch, one.manifest)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        left = bool(BitMap.deserialize(one.row.members) & gone)
        changed = one.manifest.get("own", []) != about_own(work.own)
        return Proof(wrong, again["reproducible"] == one.manifest["reproducible"], left, changed)

    def expire(self, *, unfinished: bool = True) -> list[Listed]:
        """Destroy the files of every datamart whose time is over, and what an interrupted build left; a build in progress
        goes on."""
        due = [one for one in self.all() if one.due == "expired" or (unfinished and self._interrupted(one))]
        return [self.destroy(one.row.id, one.due) for one in due]

    def _interrupted(self, one: Listed) -> bool:
        return one.due == "unfinished" and not busy(self._tools.folder, one.row.id)

    def destroy(self, number: int, why: str) -> Listed:
        """Remove the files of a datamart; its row keeps the certificate."""
        row = self._find(number)
        permit(self._site.state, self.actor, Action.BUILD_DATAMART, Target(f"destroy datamart:{row.id} {why}"))
        if row.state == MartState.DELETED:
            raise _destroyed()
        under_way = row.state == MartState.BUILDING and busy(self._tools.folder, number)
        _remove(self._tools.folder / row.folder, under_way=under_way)
        if not self._book.delete(row.id, _certificate(row, self.actor, why)):
            raise _destroyed()
        holding.end(self._site.state, row)
        return self._listed([self._find(row.id)])[0]

    def close(self, project: str) -> list[Listed]:
        """Destroy all that a project was given: its files, and what was asked for and not built yet."""
        live = [row for row in self._book.of(project) if row.state != MartState.DELETED]
        return [self.destroy(row.id, f"project {project} is closed") for row in live]

    # Tracing

    def trace(self, path: Path) -> tracing.Traced:
        """For whom a file that was found was made."""
        permit(self._site.state, self.actor, Action.BUILD_DATAMART, Target(f"trace:{path.name}"))
        return tracing.trace(path, self._book.all(), lambda project: Marks(ProjectKey.of(self._tools.key, project)))


def _pressing(wishes: list[Tombstone]) -> bool:
    """Whether a patient's hour is so nearly over that nothing may be waited for."""
    return any(wish.deadline - _LAST_TRY <= now() for wish in wishes)


def _destroyed() -> UsageError:
    return UsageError("The files of this datamart are destroyed already.")


def _destroyed_meanwhile() -> UsageError:
    return UsageError("This datamart was destroyed while it was built.")


def _recipient(given: str) -> str:
    text = given.strip()
    if not 1 <= len(text) <= 120 or not text.isprintable():
        raise UsageError("Say for whom the datamart is.", hint="--for LOGIN")
    return text


def _listed(row: DatamartRow, gone: BitMap, owed: dict[str, list[Tombstone]]) -> Listed:
    manifest: Manifest = orjson.loads(row.manifest) if row.manifest else {}
    if row.state in (MartState.DELETED, MartState.ASKED):
        return Listed(row, manifest, "")
    if row.state == MartState.BUILDING:
        return Listed(row, manifest, "unfinished")
    if row.expires <= now():
        return Listed(row, manifest, "expired")
    left = BitMap.deserialize(row.members) & gone or holding.concerns(row, owed.get(holding.name_of(row), []))
    return Listed(row, manifest, "withdrawn" if left else "")


def _wrong(folder: Path, manifest: Manifest, kept: str) -> list[str]:
    """Paths that are not as the manifest says."""
    said = {one["path"]: one["sha256"] for one in manifest.get("files", ())}
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    own = there.pop(FILE, None)
    wrong = [] if own is not None and own.read_text("utf-8") == kept else [FILE]
    wrong += sorted(said.keys() ^ there.keys())
    return wrong + [path for path in sorted(said.keys() & there.keys()) if sha256(there[path]) != said[path]]


def _remove(folder: Path, *, under_way: bool = False) -> None:
    """The folder, and whatever a build that was cut short left beside it; one under way removes what it adds meanwhile."""
    for left in [folder, *folder.parent.glob(f".{folder.name}.*")]:
        if left.exists():
            shutil.rmtree(left, ignore_errors=under_way)


def _certificate(row: DatamartRow, actor: Actor, why: str) -> str:
    manifest = orjson.loads(row.manifest) if row.manifest else {}
    return orjson.dumps({
        "certificate": 1, "datamart": row.id, "project": row.project, "name": row.name, "number": row.number,
        "recipient": row.recipient, "destroyed": now().isoformat(timespec="seconds"), "by": actor.login, "why": why,
        "method": "files unlinked, folder removed; copies made elsewhere are not known here",
        "files": manifest.get("files", []), "manifest_sha256": hashlib.sha256(row.manifest.encode()).hexdigest(),
    }).decode()  # fmt: skip
