"""Keeping a site safe: `estran backup`, `backups`, `restore`, `rotate-key`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from estran import app as house
from estran.cli.recording import recorded
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, number, table
from estran.identity.keys import read_key
from estran.keeping.backup import Backup, Repository, Told
from estran.keeping.rotation import rotate
from estran.keeping.upgrade import roll_back
from estran.keeping.upgrade import upgrade as bring_up
from estran.model.errors import CheckFailed
from estran.projects.policy import Action

Folder = Annotated[Path, typer.Argument(metavar="REPOSITORY", help="Folder of the backups, on another disk.")]
KeyFile = Annotated[Path, typer.Option("--key", help="Key file of the site that was backed up.")]
Number = Annotated[int | None, typer.Option(help="Number of the backup (default: the last).")]


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: estran backup mysite /mnt/safe/mysite")(backup)
    app.command(epilog="Example: estran backups /mnt/safe/mysite --key mysite.key --check")(backups)
    app.command(epilog="Example: estran restore /mnt/safe/mysite mysite2 --key mysite.key")(restore)
    app.command(epilog="Example: estran rotate-key mysite")(rotate_key)
    app.command(epilog="Example: estran upgrade mysite; to undo it: estran upgrade mysite --rollback")(upgrade)


def backup(
    site: SiteArg,
    repository: Folder,
    keep: Annotated[int, typer.Option(help="Forget all but the last KEEP backups; 0 keeps all.", min=0)] = 0,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Back up the whole site, encrypted; only what changed since the last backup is written.

    The key file is not part of it: keep a copy of it elsewhere.
    """
    opened = house.open_site(site, key)
    recorded(opened, Action.OPERATE, "backup")
    store = Repository(repository, opened.key)
    with _bar("Backing up", quiet=json) as told:
        made = store.make(site, opened.key, told)
    freed = store.prune(keep) if keep else 0
    if json:
        emit(_row(made) | {"freed": freed})
        return
    console.print(
        f"Backup {made.number}: {len(made.files)} files, {number(made.size)} bytes, {number(made.added)} of them new."
    )


def backups(
    repository: Folder,
    key: KeyFile,
    check: Annotated[bool, typer.Option("--check", help="Read every file of the last one back.")] = False,
    json: JsonOpt = False,
) -> None:
    """List the backups of a repository; with --check, prove that the last one can be read back."""
    store = Repository(repository, read_key(key))
    listed = [store.read(n) for n in store.numbers()]
    bad: list[str] = []
    if check:
        with _bar("Reading back", quiet=json) as told:
            bad = store.check(None, told)
    if json:
        emit({"backups": [_row(item) for item in listed], "bad": bad if check else None})
    else:
        columns = ("number", "made (UTC)", "snapshot", "files", "bytes", "new bytes")
        rows = [(b.number, b.created, b.snapshot, len(b.files), b.size, b.added) for b in listed]
        table("Backups", columns, rows, numbers=(0, 2, 3, 4, 5))
    if bad:
        raise CheckFailed(
            f"{len(bad)} files of the last backup do not come back.", where=bad[0], hint="make a new backup now"
        )


def restore(
    repository: Folder,
    site: Annotated[Path, typer.Argument(metavar="SITE", help="Directory to make; it must not exist.")],
    key: KeyFile,
    which: Number = None,
    json: JsonOpt = False,
) -> None:
    """Make a site anew from a backup; it appears once its digest is the one noted then."""
    held = read_key(key)
    with _bar("Restoring", quiet=json) as told:
        made = Repository(repository, held).restore(site, held, which, told)
    if json:
        emit(_row(made) | {"site": str(site)})
        return
    console.print(f"Site {site} is backup {made.number} of {made.created}; its digest is the one noted then.")


def rotate_key(site: SiteArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Seal the vault and the landing with a new key. Make a new copy of the key file afterwards."""
    opened = house.open_site(site, key)
    recorded(opened, Action.OPERATE, "rotate-key")
    with _bar("Sealing", quiet=json) as told:
        rotate(site, opened.key_file, lambda _what, done: told(done, done))
    if json:
        emit({"key": str(opened.key_file)})
        return
    console.print(f"The sealing key is new. Copy {opened.key_file} to its safe place; older copies open older backups.")


def upgrade(
    site: SiteArg,
    rollback: Annotated[bool, typer.Option("--rollback", help="Undo the last upgrade, when nothing was loaded since.")] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Bring a site made by an earlier release to the format of this one. Make a backup first."""
    opened = house.open_site(site, key)
    if rollback:
        version = roll_back(site)
        emit({"snapshot": version}) if json else console.print(f"Undone: snapshot {version} is the newest again.")
        return
    done = bring_up(site, opened.key)
    if json:
        emit(dataclasses.asdict(done))
    elif done.before == done.after:
        console.print(f"Nothing to do: the site has format {done.after}.")
    else:
        console.print(f"The site had format {done.before} and has {done.after}. Undo: estran upgrade {site} --rollback")


def _row(made: Backup) -> dict[str, object]:
    row = dataclasses.asdict(made)
    return row | {"files": len(made.files), "bytes": made.size}


@contextmanager
def _bar(title: str, *, quiet: bool) -> Iterator[Told]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
