"""The datamarts of a site: built, listed, refreshed, proved, traced, destroyed."""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pyroaring import BitMap

from estran.identity.keys import SiteKey
from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.datamarts import tracing
from estran.projects.datamarts.build import Work, build
from estran.projects.datamarts.deciding import permit_build, target_of
from estran.projects.datamarts.manifest import FILE, Manifest, Withdrawn, describe, pinned, sha256
from estran.projects.datamarts.members import choose, opposed
from estran.projects.datamarts.own import about_own, open_own
from estran.projects.datamarts.reading import SpecFile, read_spec
from estran.projects.datamarts.spec import Spec
from estran.projects.gate import ProtectedGate, rules_of
from estran.projects.policy import Action, Target, decide
from estran.projects.site import SiteServices
from estran.release.fingerprint import Marks
from estran.release.rekey import ProjectKey
from estran.state.datamarts import DatamartRow, MartState
from estran.state.transactions import now
from estran.warehouse import Snapshot


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


class Datamarts:
    """One person at the datamarts. NotAllowed when the policy says no; each look is recorded too."""

    def __init__(self, site: SiteServices, actor: Actor, workshop: Workshop | None = None) -> None:
        self._site, self.actor, self._workshop = site, actor, workshop
        self._book = site.state.datamarts

    # Looking

    def all(self) -> list[Listed]:
        """Those that the person may see, the newest first."""
        permit(self._site.state, self.actor, Action.DATAMARTS, Target("datamarts", self.actor.account_id))
        rows = [
            row for row in self._book.all() if decide(self.actor, Action.DATAMARTS, target_of(self.actor, row)).allowed
        ]
        gone = {project: opposed(self._site.snapshot(), project) for project in {row.project for row in rows}}
        return [_listed(row, gone[row.project]) for row in rows]

    def one(self, number: int) -> Listed:
        """One of them; UsageError when there is none of this number."""
        row = self._find(number)
        permit(self._site.state, self.actor, Action.DATAMARTS, target_of(self.actor, row))
        return _listed(row, opposed(self._site.snapshot(), row.project))

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

    def refresh_due(self, reason: str) -> list[Listed]:
        """Build anew those in which somebody objected or was erased, and destroy what they replace."""
        made = []
        for one in self.all():
            if one.due == "withdrawn":
                made.append(self.refresh(one.row.id, reason))
                self.destroy(one.row.id, "replaced: a patient objected or was erased")
        return made

    def _build(self, source: SpecFile, snapshot: Snapshot, recipient: str, reason: str) -> Listed:
        spec, newest, tools = source.frozen(), self._site.snapshot(), self._tools
        recipient = _recipient(recipient)
        permit_build(self._site.state, self.actor, spec, recipient, snapshot.version, reason)
        expires = now() + dt.timedelta(days=spec.days)
        plain = source.canonical()
        row = self._book.reserve(
            spec.project,
            spec.name,
            recipient,
            snapshot.version,
            orjson.dumps(plain).decode(),
            self.actor.login,
            expires,
        )
        try:
            work = self._work(spec, snapshot, newest, recipient)
            withdrawn = self._withdrawn(self._earlier(row), opposed(newest, spec.project))
            about = describe(
                spec, plain, snapshot, self._site.settings.name, recipient, row.number, now(), expires, withdrawn
            )
            build(work, tools.folder / row.folder, about | {"own": about_own(work.own)})
        except BaseException:
            self._book.abandon(row.id)
            raise
        manifest = (tools.folder / row.folder / FILE).read_text("utf-8")
        self._book.finish(row.id, bytes(work.members.bitmap.serialize()), manifest)
        return _listed(self._find(row.id), BitMap())

    def _work(self, spec: Spec, snapshot: Snapshot, newest: Snapshot, recipient: str) -> Work:
        key = ProjectKey.of(self._tools.key, spec.project)
        members = choose(spec, snapshot, newest, key)
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
        work = self._work(
            read_spec(orjson.loads(one.row.spec)).frozen(), self._tools.snapshot_of(one.row.snapshot), self._site.snapshot(),
            one.row.recipient,
        )  # fmt: skip
        scratch = folder.with_name(f".{folder.name}.again")
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            again = build(work, scratch, one.manifest)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        left = bool(BitMap.deserialize(one.row.members) & opposed(self._site.snapshot(), one.row.project))
        changed = one.manifest.get("own", []) != about_own(work.own)
        return Proof(wrong, again["reproducible"] == one.manifest["reproducible"], left, changed)

    def expire(self) -> list[Listed]:
        """Destroy the files of every datamart whose time is over, and what an interrupted build left."""
        due = [one for one in self.all() if one.due in ("expired", "unfinished")]
        return [self.destroy(one.row.id, one.due) for one in due]

    def destroy(self, number: int, why: str) -> Listed:
        """Remove the files of a datamart; its row keeps the certificate."""
        row = self._find(number)
        permit(self._site.state, self.actor, Action.BUILD_DATAMART, Target(f"destroy datamart:{row.id} {why}"))
        if row.state == MartState.DELETED:
            raise UsageError("The files of this datamart are destroyed already.")
        folder = self._tools.folder / row.folder
        _remove(folder)
        self._book.delete(row.id, _certificate(row, self.actor, why))
        return _listed(self._find(row.id), BitMap())

    # Tracing

    def trace(self, path: Path) -> tracing.Traced:
        """For whom a file that was found was made."""
        permit(self._site.state, self.actor, Action.BUILD_DATAMART, Target(f"trace:{path.name}"))
        return tracing.trace(path, self._book.all(), lambda project: Marks(ProjectKey.of(self._tools.key, project)))


def _recipient(given: str) -> str:
    text = given.strip()
    if not 1 <= len(text) <= 120 or not text.isprintable():
        raise UsageError("Say for whom the datamart is.", hint="--for LOGIN")
    return text


def _listed(row: DatamartRow, gone: BitMap) -> Listed:
    manifest: Manifest = orjson.loads(row.manifest) if row.manifest else {}
    if row.state == MartState.DELETED:
        return Listed(row, manifest, "")
    if row.state == MartState.BUILDING:
        return Listed(row, manifest, "unfinished")
    if row.expires <= now():
        return Listed(row, manifest, "expired")
    return Listed(row, manifest, "withdrawn" if BitMap.deserialize(row.members) & gone else "")


def _wrong(folder: Path, manifest: Manifest, kept: str) -> list[str]:
    """Paths that are not as the manifest says."""
    said = {one["path"]: one["sha256"] for one in manifest.get("files", ())}
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    own = there.pop(FILE, None)
    wrong = [] if own is not None and own.read_text("utf-8") == kept else [FILE]
    wrong += sorted(said.keys() ^ there.keys())
    return wrong + [path for path in sorted(said.keys() & there.keys()) if sha256(there[path]) != said[path]]


def _remove(folder: Path) -> None:
    """The folder, and whatever a build that was cut short left beside it."""
    for left in [folder, *folder.parent.glob(f".{folder.name}.*")]:
        if left.exists():
            shutil.rmtree(left)


def _certificate(row: DatamartRow, actor: Actor, why: str) -> str:
    manifest = orjson.loads(row.manifest) if row.manifest else {}
    return orjson.dumps({
        "certificate": 1, "datamart": row.id, "project": row.project, "name": row.name, "number": row.number,
        "recipient": row.recipient, "destroyed": now().isoformat(timespec="seconds"), "by": actor.login, "why": why,
        "method": "files unlinked, folder removed; copies made elsewhere are not known here",
        "files": manifest.get("files", []), "manifest_sha256": hashlib.sha256(row.manifest.encode()).hexdigest(),
    }).decode()  # fmt: skip
