"""The airlock: what leaves a workspace, checked by rules, then by a person who is not of the team; reasons are kept."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target, decide
from estran.projects.site import SiteServices
from estran.projects.workspaces.spaces import (
    folders_of,
    handed_out,
    permit_open,
    read_out,
    site_folder,
    space_of,
    spaces_of,
    target_of,
)
from estran.release.airlock import Checked, Finding, HandedIn, Verdict, check, profile, table_in
from estran.release.airlock.table import Table
from estran.state import ReleaseFile, ReleaseRequest, Space

FOLDER = "airlock"
MOST_FILES = 20
_NAME = re.compile(r"[^\W_][\w .\-]{0,99}")


@dataclass(frozen=True)
class Seen:
    """A file of a request as a checker sees it; `table` is None when it holds none."""

    number: int
    file: ReleaseFile
    findings: tuple[Finding, ...]
    table: Table | None

    def marks(self, row: int, column: int) -> bool:
        """Whether a finding bears on this cell (from 1, the heading being row 1)."""
        return any((one.row, one.column) == (row, column) for one in self.findings)


@dataclass(frozen=True)
class Request:
    """A request, its project, who asked and who decided (logins), and its files."""

    record: ReleaseRequest
    space: Space
    asked_by: str
    decided_by: str
    files: tuple[Seen, ...] = ()


class Airlock:
    """One person at the airlock. NotAllowed when the policy says no; every step is recorded first."""

    def __init__(self, site: SiteServices, actor: Actor) -> None:
        self._site, self._state, self.actor = site, site.state, actor
        self._shelf = site_folder(site) / FOLDER

    def _permit(self, action: Action, target: Target) -> None:
        permit(self._state, self.actor, action, target)

    def ready(self, project: int) -> list[tuple[str, int]]:
        """What lies in `out/` of a project, to be handed in: names and sizes."""
        space = space_of(self._site, project)
        self._permit(Action.HAND_IN, target_of(space, self.actor, "list out"))
        return handed_out(folders_of(self._site, project))

    def hand_in(self, project: int, names: Sequence[str], purpose: str) -> ReleaseRequest:
        """Ask that files leave: they are copied, checked, sealed and kept. UsageError when a file cannot be taken."""
        space = space_of(self._site, project)
        asked_by = self.actor.account_id
        target = target_of(space, self.actor, f"files:{len(names)}")
        permit_open(self._site, self.actor, Action.HAND_IN, target, space.number)
        if asked_by is None:
            raise UsageError("A request is made by a person with an account.")
        if not purpose.strip():
            raise UsageError("Say what the files are for: the checker decides on it.")
        files = self._copied(project, names)
        rules = profile(self._site.settings.airlock_profile)
        checked = check(files, rules, self._released(project))
        kept = [self._kept(file, one) for file, one in zip(files, checked, strict=True)]
        verdict = max((one.verdict for one in checked), key=list(Verdict).index)
        number = self._state.releases.ask(project, asked_by, purpose.strip()[:4000], rules.name, verdict, kept)
        self._permit(Action.HAND_IN, target_of(space, self.actor, f"request:{number} {verdict} {_digests(kept)}"))
        return self._found(number)

    def requests(self, project: int | None = None) -> list[Request]:
        """Requests that this person may see: of a project, or of all; those that wait come first."""
        found = self._state.releases.all() if project is None else self._state.releases.of(project)
        spaces = {space.project: space for space in spaces_of(self._site)}
        seen = [one for one in found if self._may_see(spaces[one.project], one)]
        logins = {account.id: account.login for account in self._state.accounts.all()}
        return [_request(one, spaces[one.project], logins) for one in seen]

    def look(self, number: int) -> Request:
        """A request with its files, findings beside tables."""
        record = self._found(number)
        space = space_of(self._site, record.project)
        action = Action.HAND_IN if self._of_team(space, record) else Action.RELEASE
        self._permit(action, self._target(space, record, f"look at request:{number}"))
        logins = {account.id: account.login for account in self._state.accounts.all()}
        files = tuple(self._seen(place, file) for place, file in enumerate(record.files, start=1))
        return _request(record, space, logins, files)

    def decide(self, number: int, released: bool, reason: str) -> None:
        """Let the files of a request out, or not; the reason is kept. UsageError without one, or when none waits."""
        record = self._found(number)
        space = space_of(self._site, record.project)
        word = "released" if released else "refused"
        self._permit(Action.RELEASE, self._target(space, record, f"request:{number} {word} {_digests(record.files)}"))
        if not reason.strip():
            raise UsageError("A decision is kept with its reason.")
        if not self._state.releases.decide(number, released, self.actor.account_id, reason.strip()[:4000]):
            raise UsageError("No request of this number waits for a decision.")

    def preview(self, number: int, place: int) -> tuple[str, bytes]:
        """Name and bytes of a file, for whoever is to decide."""
        record = self._found(number)
        space = space_of(self._site, record.project)
        file = self._file(record, place)
        self._permit(Action.RELEASE, self._target(space, record, f"look at request:{number} sha256:{file.digest}"))
        return file.name, self._open(file)

    def fetch(self, number: int, place: int) -> tuple[str, bytes]:
        """Name and bytes of a released file, for whoever asked and nobody else; UsageError when it was not released."""
        record = self._found(number)
        space = space_of(self._site, record.project)
        file = self._file(record, place)
        mine = record.asked_by == self.actor.account_id
        self._permit(
            Action.HAND_IN,
            Target(f"project:{space.number} fetch sha256:{file.digest}", self.actor.account_id if mine else 0),
        )
        if record.state != "released" or file.evidence:
            raise UsageError("This file was not released.")
        return file.name, self._open(file)

    def may_decide(self, request: Request) -> bool:
        """Whether this person may decide on a request that waits."""
        target = self._target(request.space, request.record, "")
        return request.record.state == "waiting" and decide(self.actor, Action.RELEASE, target).allowed

    def _of_team(self, space: Space, record: ReleaseRequest) -> bool:
        return self.actor.account_id is not None and self.actor.account_id in {*space.team, record.asked_by}

    def _target(self, space: Space, record: ReleaseRequest, what: str) -> Target:
        """Whoever asked stays an owner after leaving the team."""
        mine = self._of_team(space, record)
        return Target(f"project:{space.number} {what}".strip(), self.actor.account_id if mine else 0)

    def _may_see(self, space: Space, record: ReleaseRequest) -> bool:
        action = Action.HAND_IN if self._of_team(space, record) else Action.RELEASE
        return decide(self.actor, action, self._target(space, record, "")).allowed

    def _found(self, number: int) -> ReleaseRequest:
        found = self._state.releases.find(number)
        if found is None:
            raise UsageError("There is no request of this number.")
        return found

    def _file(self, record: ReleaseRequest, place: int) -> ReleaseFile:
        if not 1 <= place <= len(record.files):
            raise UsageError("The request has no such file.")
        return record.files[place - 1]

    def _copied(self, project: int, names: Sequence[str]) -> list[HandedIn]:
        if not names or len(set(names)) != len(names) or len(names) > MOST_FILES:
            raise UsageError("A request holds 1 to 20 files.")
        if any(_NAME.fullmatch(name) is None for name in names):
            raise UsageError("A name has letters, digits, spaces, dots, hyphens and underscores, 100 at most.")
        folders = folders_of(self._site, project)
        return [HandedIn(name, read_out(folders, name)) for name in names]

    def _released(self, project: int) -> list[Table]:
        """Tables that left this project before: a new one is compared with them."""
        past = [
            file
            for one in self._state.releases.of(project)
            if one.state == "released"
            for file in one.files
            if not file.evidence
        ]
        tables = [
            table_in(HandedIn(file.name, self._open(file))) for file in past if file.name.endswith((".csv", ".tsv"))
        ]
        return [table for table in tables if table is not None]

    def _kept(self, file: HandedIn, checked: Checked) -> ReleaseFile:
        digest = hashlib.sha256(file.data).hexdigest()
        self._put(digest, file.data)
        found = orjson.dumps([asdict(one) for one in checked.findings]).decode()
        return ReleaseFile(file.name, digest, len(file.data), checked.verdict, checked.evidence, found)

    def _put(self, digest: str, data: bytes) -> None:
        """Sealed under its own hash: written whole under another name first, so that a crash leaves no half."""
        self._shelf.mkdir(mode=0o700, exist_ok=True)
        place = self._shelf / digest
        if place.exists():
            return
        draft = self._shelf / f".{digest}.{os.getpid()}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            stream.write(self._state.seal.seal(data, f"airlock:{digest}"))
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(place)

    def _open(self, file: ReleaseFile) -> bytes:
        place: Path = self._shelf / file.digest
        if not place.is_file():
            raise UsageError("The file is no longer kept.", hint="hand it in again")
        return self._state.seal.open(place.read_bytes(), f"airlock:{file.digest}")

    def _seen(self, place: int, file: ReleaseFile) -> Seen:
        rows = orjson.loads(file.findings)
        findings = tuple(Finding(**row | {"words": tuple(map(tuple, row["words"]))}) for row in rows)
        return Seen(place, file, findings, table_in(HandedIn(file.name, self._open(file))))


def _digests(files: Sequence[ReleaseFile]) -> str:
    return " ".join(f"sha256:{file.digest[:16]}" for file in files)


def _request(record: ReleaseRequest, space: Space, logins: dict[int, str], files: tuple[Seen, ...] = ()) -> Request:
    decided_by = "" if record.decided_by is None else logins.get(record.decided_by, "")
    return Request(record, space, logins.get(record.asked_by, ""), decided_by, files)
