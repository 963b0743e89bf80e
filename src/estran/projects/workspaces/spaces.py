"""What a workspace is made of on disk, and the one door by which a project gets one."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target, decide
from estran.projects.site import SiteServices
from estran.state import Space

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


def provide(site: SiteServices, actor: Actor, project: int, name: str, datamart: Path, team: Collection[int]) -> Space:
    """Give a project its workspace on the folder of a datamart; its team is the accounts that may enter.

    The folder is shown read-only inside. UsageError when there is no such folder.
    """
    permit(site.state, actor, Action.PROVIDE, Target(f"project:{project} team:{len(set(team))}"))
    folder = datamart.resolve()
    if not folder.is_dir():
        raise UsageError("There is no folder of this datamart.", where=str(datamart))
    site.state.spaces.give(project, name.strip()[:200] or f"Project {project}", str(folder), team)
    folders_of(site, project).make()
    return space_of(site, project)


def space_of(site: SiteServices, project: int) -> Space:
    """The workspace of a project; UsageError when it has none."""
    found = site.state.spaces.find(project)
    if found is None:
        raise UsageError("This project has no workspace.", hint="ask the clinical data centre to provide one")
    return found


def target_of(space: Space, actor: Actor, what: str) -> Target:
    """The target of an action on a workspace: of what belongs to a team, each of its members is the owner."""
    mine = actor.account_id is not None and actor.account_id in space.team
    return Target(f"project:{space.project} {what}".strip(), actor.account_id if mine else 0)


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
    return [space for space in site.state.spaces.all() if every or actor.account_id in space.team]
