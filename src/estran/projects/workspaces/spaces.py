"""What a workspace is made of on disk, and the one door by which an open project gets one."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import record
from estran.projects.life import OpenProject, open_project
from estran.projects.life.opening import project_of
from estran.projects.policy import Action, Decision, Target, decide
from estran.projects.site import SiteServices
from estran.state import Space
from estran.state.datamarts import DatamartRow, MartState
from estran.state.spaces import space_key

MOST_BYTES = 10_000_000  # of a file handed in


@dataclass(frozen=True)
class Folders:
    """`home` and `out` are the team's; nothing that lies there is believed."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def pid_file(self) -> Path:
        return self.root / "pid"

    def make(self) -> None:
        """The folders, for nobody but the portal's user."""
        for folder in (self.root, self.home, self.out):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def site_folder(site: SiteServices) -> Path:
    """The site's directory."""
    return site.audit_folder.parent


def folders_of(site: SiteServices, project: int) -> Folders:
    """Where the workspace of a project lies."""
    return Folders(site_folder(site) / "workspaces" / str(project))


def provide(site: SiteServices, actor: Actor, number: str, datamart: int | None = None) -> Space:
    """Give an open project its workspace: for its team, on its datamart, shown read-only inside; again moves it.

    The newest datamart that was built for somebody of the team, unless one is named. NotAllowed when the project is not
    open, UsageError when it has no datamart.
    """
    target = Target(f"project:{number} datamart:{datamart or 'newest'}")
    project = permit_open(site, actor, Action.PROVIDE, target, number)
    row = _mart_of(site, project, datamart)
    key = space_key(number)
    folder = (site_folder(site) / "datamarts" / row.folder).resolve()
    site.state.spaces.give(key, project.title[:200], str(folder), project.members)
    folders_of(site, key).make()
    return space_of(site, key)


def _mart_of(site: SiteServices, project: OpenProject, datamart: int | None) -> DatamartRow:
    team = {account.login for account in site.state.accounts.all() if account.id in project.members}
    for row in site.state.datamarts.of(project.number):
        if row.state == MartState.LIVE and row.recipient in team and datamart in (None, row.id):
            return row
    raise UsageError("This project has no datamart for its team.", hint="build it first")


def permit_open(site: SiteServices, actor: Actor, action: Action, target: Target, number: str) -> OpenProject:
    """Decide and record, then go on: NotAllowed when the policy says no, or when the project is not open."""
    decision, project = decide(actor, action, target), None
    if decision.allowed:
        try:
            project = open_project(site.state, number)
        except NotAllowed as refused:
            decision = Decision(False, refused.what)
    record(site.state, actor, action, decision, target=target.what)
    if project is None:
        raise NotAllowed(decision.reason, hint="ask the clinical data centre")
    return project


def why_closed(site: SiteServices, space: Space) -> str:
    """Why nobody works in a workspace now; "" while its project is open."""
    try:
        open_project(site.state, space.number)
    except NotAllowed as refused:
        return refused.what
    return ""


def space_of(site: SiteServices, project: int) -> Space:
    """The workspace of a project, with its team of today; UsageError when it has none."""
    found = site.state.spaces.find(project)
    if found is None:
        raise UsageError("This project has no workspace.", hint="ask the clinical data centre to provide one")
    return _of_today(site, found)


def spaces_of(site: SiteServices) -> list[Space]:
    """Every workspace, each with its team of today."""
    return [_of_today(site, found) for found in site.state.spaces.all()]


def _of_today(site: SiteServices, space: Space) -> Space:
    """Who is in the project's team and signed the charter enters; whoever left does not."""
    project = project_of(site.state, space.number)
    return replace(space, team=frozenset(project.members) & project.signed if project else frozenset())


def end_space(site: SiteServices, number: str) -> bool:
    """Destroy the files of a workspace whose project is over; False when it has none."""
    found = site.state.spaces.find(space_key(number))
    if found is None or found.ended:
        return False
    if not why_closed(site, found):
        raise UsageError("The files of a workspace are destroyed once its project is closed.")
    root = folders_of(site, found.project).root
    if root.exists():
        shutil.rmtree(root)
    site.state.spaces.end(found.project)
    return True


def target_of(space: Space, actor: Actor, what: str) -> Target:
    """The target of an action on a workspace: of what belongs to a team, each of its members is the owner."""
    mine = actor.account_id is not None and actor.account_id in space.team
    return Target(f"project:{space.number} {what}".strip(), actor.account_id if mine else 0)


def handed_out(folders: Folders) -> list[tuple[str, int]]:
    """Names and sizes of the plain files in `out/`, by name; links, folders, pipes and sockets are not seen."""
    try:
        with os.scandir(folders.out) as entries:
            found = [(one.name, one.stat(follow_symlinks=False)) for one in entries]
    except OSError:
        return []
    return sorted((name, told.st_size) for name, told in found if _plain(told))[:500]


def read_out(folders: Folders, name: str) -> bytes:
    """The bytes of a plain file of `out/`; UsageError for anything else. No link is followed, nothing is waited for."""
    if "/" in name or name in ("", ".", ".."):
        raise UsageError("A file is named without its folder.")
    where = os.open(folders.out, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=where)
    except OSError:
        raise UsageError("There is no such file in out/, or it is a link.") from None
    finally:
        os.close(where)
    if not _plain(os.fstat(handle)):
        os.close(handle)
        raise UsageError("What is handed in is a plain file.")
    with os.fdopen(handle, "rb") as stream:
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UsageError("A file of more than 10 MB does not leave.", hint="hand in results only")
    return data


def _plain(told: os.stat_result) -> bool:
    return stat.S_ISREG(told.st_mode) and told.st_nlink == 1


def disk_used(folders: Folders) -> int:
    """Bytes that a workspace holds on disk; links are not followed."""
    return sum(_sizes(folders.home)) + sum(_sizes(folders.out))


def _sizes(folder: Path) -> Iterator[int]:
    for here, _, names in os.walk(folder, followlinks=False):
        for name in names:
            try:
                told = (Path(here) / name).lstat()
            except OSError:
                continue
            yield told.st_blocks * 512


def mine(site: SiteServices, actor: Actor) -> list[Space]:
    """The workspaces of the projects that a person is in, or all for who may give them."""
    every = decide(actor, Action.PROVIDE).allowed
    return [space for space in spaces_of(site) if every or actor.account_id in space.team]
