"""Feeds over time: `estran feeds`, `run`, `loads`, `unload`, `reload`, `retry`."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from estran import app as house
from estran.app import Site
from estran.cli.load import load_feed, progress_bar
from estran.cli.recording import recorded
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, errors, number, table
from estran.keeping.auditing import AuditKeeper
from estran.keeping.datamarts import DatamartKeeper
from estran.keeping.following import FollowKeeper
from estran.keeping.guard import Guarded
from estran.keeping.lists import ListKeeper
from estran.keeping.originals import OriginalKeeper
from estran.keeping.owndata.keeper import OwnDataKeeper
from estran.keeping.rights import RightsKeeper
from estran.keeping.screening import ScreeningKeeper
from estran.keeping.work import WorkKeeper
from estran.model.errors import CheckFailed, InputRefused, told
from estran.model.feeds import Feed
from estran.projects import feeds as health
from estran.projects.actors import KEY_HOLDER
from estran.projects.desk import ReadingRoom
from estran.projects.policy import Action
from estran.sources.pipeline.history import finished
from estran.sources.pipeline.run import retry
from estran.sources.pipeline.unload import TakenBack
from estran.sources.pipeline.unload import reload as read_anew
from estran.sources.pipeline.unload import unload as take_back
from estran.state import Job

_LOOK = 2.0  # seconds between two looks at the clock


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: estran feeds mysite --check")(feeds)
    app.command(epilog="Example: estran run mysite")(run)
    app.command(epilog="Example: estran loads mysite --source hl7v2/adt")(loads)
    app.command(epilog="Example: estran unload mysite 42")(unload)
    app.command(epilog="Example: estran reload mysite csv/labo")(reload)
    app.command("retry", epilog="Example: estran retry mysite --source csv/labo")(again)


def feeds(
    site: SiteArg,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 when a feed needs attention.")] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """How each feed is doing: last load, newest date, volume, rejects, codes never seen before."""
    opened = house.open_site(site, key)
    recorded(opened, Action.FEEDS, "feeds")
    states = health.states(opened.snapshot(), opened.feeds)
    if json:
        emit({"feeds": [health.as_row(state) for state in states]})
    else:
        columns = ("source", "last load", "newest date", "records", "rejected", "new codes", "alerts")
        rows = [
            (s.source, _ago(s.age_seconds), s.newest or "–", s.read, f"{s.reject_rate:.1%}", s.new_codes, ", ".join(s.alerts) or "–")
            for s in states
        ]
        table("Feeds", columns, rows, numbers=(3, 4, 5))
    worrying = [state for state in states if state.alerts]
    if check and worrying:
        raise CheckFailed(
            f"{len(worrying)} feeds need attention.", where=", ".join(s.source for s in worrying), hint="estran feeds SITE"
        )


def run(
    site: SiteArg,
    once: Annotated[bool, typer.Option("--once", help="Load what is new in every feed, then end.")] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Watch the folders of the feeds and load new files, each feed as often as its `every` says; do what
    was asked for on the pages; ask saved questions again; seal and review the audit trail; follow the rights of patients."""
    opened = house.set_up(site, key)
    watches = [_Watch(opened, feed, json=json) for feed in opened.feeds if once or feed.every_seconds]
    if not watches:
        errors.print("No feed of estran.toml says how often to look (every = '10min'): only work asked for is done.")
    stop, keepers = _Stop(), _keepers(opened, json=json)
    while not stop.asked:
        for said in (line for keeper in keepers for line in keeper.look()):
            (errors if json else console).print(said, highlight=False, markup=False)
        for watch in watches:
            if watch.due() and not stop.asked:
                watch.look()
        if once:
            raise typer.Exit(4 if any(one.failed for one in watches) or any(one.failed for one in keepers) else 0)
        time.sleep(_LOOK)


def _keepers(site: Site, *, json: bool) -> list[Guarded]:
    """What this process does by itself besides the feeds."""
    lists = ListKeeper(site, site.key.subkey("lists"), site.vault)
    rights = RightsKeeper(site.state, site.warehouse)
    follow, screening = FollowKeeper(ReadingRoom(site)), ScreeningKeeper(site.state)
    own, originals = OwnDataKeeper(site, site.key, site.vault), OriginalKeeper(site, site.loading)
    marts = DatamartKeeper(site, site.datamarts(KEY_HOLDER))  # after the wishes, which it carries out
    seal = AuditKeeper(site.audit_seal)
    asked = WorkKeeper(site.state, site.loading, site.datamarts, lambda job: _tell_job(job, json=json))
    return [Guarded(one) for one in (seal, rights, marts, follow, lists, screening, own, originals, asked)]


def _tell_job(job: Job, *, json: bool) -> None:
    if json:
        emit({"work": job.kind, "argument": job.argument})
    else:
        console.print(f"{job.kind} {job.argument}: done", highlight=False, markup=False)


class _Stop:
    """Set by Ctrl+C or SIGTERM: the load in progress ends first."""

    def __init__(self) -> None:
        self.asked = False
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True


class _Watch:
    """The folder of one feed. A file counts as new when its size or time is, and is left alone while it grows."""

    def __init__(self, site: Site, feed: Feed, *, json: bool) -> None:
        self._site, self._feed, self._json = site, feed, json
        self._next = 0.0
        self.failed = False  # something was refused, quarantined, or could not be loaded
        self._loaded: dict[Path, tuple[int, int]] = {}
        self._seen: dict[Path, tuple[int, int]] = {}

    def due(self) -> bool:
        return time.monotonic() >= self._next

    def look(self) -> None:
        """Load the files that are new and did not change since the last look."""
        self._next = time.monotonic() + (self._feed.every_seconds or 0)
        if not self._feed.path:  # a database: asked each time, from where the last load ended
            self._load([], {})
            return
        now = self._states()
        ready = [p for p, state in now.items() if self._loaded.get(p) != state and self._still(p, state)]
        if len(ready) < sum(1 for p, state in now.items() if self._loaded.get(p) != state):
            self._next = min(self._next, time.monotonic() + _LOOK)  # one still grows: look again soon
        self._seen = now
        if ready:
            self._load(ready, now)

    def _still(self, path: Path, state: tuple[int, int]) -> bool:
        quiet = time.time_ns() - state[1] > _LOOK * 1e9
        return quiet or self._seen.get(path) == state

    def _states(self) -> dict[Path, tuple[int, int]]:
        base = self._site.directory / self._feed.path
        paths = sorted(base.rglob("*")) if base.is_dir() else [base] if base.exists() else []
        found = {}
        for path in paths:
            if path.is_file() and not path.name.startswith(".") and path.suffix != ".part":
                state = path.stat()
                found[path] = (state.st_size, state.st_mtime_ns)
        return found

    def _load(self, paths: list[Path], states: dict[Path, tuple[int, int]]) -> None:
        try:
            with self._site.loading() as parts:
                done = finished(parts, self._feed.source) if paths else set()
                fresh = [path for path in paths if parts.landing.digest(path) not in done]
                if paths and not fresh:
                    self._loaded |= {path: states[path] for path in paths}
                    return
                report = load_feed(self._site, parts, self._feed, fresh)
        except InputRefused as error:
            errors.print(f"{self._feed.name}: {error.what} {error.where}", markup=False)
            self.failed = True
        except Exception as error:  # noqa: BLE001 (whatever it is, the other feeds go on; its text may hold values)
            what = f"{error.strerror}." if isinstance(error, OSError) else told(error)
            errors.print(f"{self._feed.name}: {what} It is tried again.", markup=False)
            self.failed = True
            return
        else:
            for name, why in report.refused_files.items():
                errors.print(f"{self._feed.name}: {name} is refused as a whole. {why}", markup=False)
            self.failed |= bool(report.refused_files or report.total("quarantined"))
            sums = {name: report.total(name) for name in ("read", "loaded", "superseded", "quarantined")}
            if self._json:
                emit({"feed": self._feed.name, "files": len(fresh)} | sums)
            else:
                counts = " ".join(f"{name} {count}" for name, count in sums.items())
                console.print(f"{self._feed.name}: {len(fresh)} files, {counts}", highlight=False)
        self._loaded |= {path: states[path] for path in paths}


def loads(
    site: SiteArg,
    source: Annotated[str, typer.Option(help="Only this source.")] = "",
    limit: Annotated[int, typer.Option(help="Loads shown, the newest first.")] = 30,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """List loads: what was read, loaded, superseded and quarantined in each."""
    opened = house.open_site(site, key)
    recorded(opened, Action.FEEDS, f"loads source:{source}")
    found = health.loads(opened.snapshot(), source, limit)
    if json:
        emit({"loads": found})
        return
    columns = ("load", "source", "started", "files", "read", "loaded", "superseded", "quarantined")
    table("Loads", columns, [[row[name] for name in columns] for row in found], numbers=(0, 3, 4, 5, 6, 7))


def unload(
    site: SiteArg,
    load: Annotated[int, typer.Argument(help="Number of the load, as `estran loads` shows it.")],
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Take one load back, as if it had never come; what it had replaced comes back from the landing."""
    opened = house.open_site(site, key)
    recorded(opened, Action.OPERATE, f"unload:{load}")
    with opened.loading() as parts, progress_bar(quiet=json) as bar:
        _tell(take_back(parts, load, bar), json)


def reload(
    site: SiteArg,
    source: Annotated[str, typer.Argument(help="Source, as `estran loads` shows it: FORMAT or FORMAT/NAME.")],
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Read all that a source ever sent anew from the landing: after its mapping or its reader changed."""
    opened = house.open_site(site, key)
    recorded(opened, Action.OPERATE, f"reload:{source}")
    with opened.loading() as parts, progress_bar(quiet=json) as bar:
        _tell(read_anew(parts, source, bar), json)


def again(
    site: SiteArg,
    source: Annotated[str, typer.Option(help="Only this source.")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Read what is in quarantine anew: after a mapping was mended, or a vocabulary loaded."""
    opened = house.open_site(site, key)
    recorded(opened, Action.OPERATE, f"retry:{source}")
    with opened.loading() as parts:
        freed, left = retry(parts, source)
    if json:
        emit({"replayed": freed, "quarantined": left})
        return
    console.print(f"{number(freed)} records came back from quarantine, {number(left)} stay.")


def _tell(taken: TakenBack, json: bool) -> None:
    sums = {name: taken.report.total(name) for name in ("read", "loaded", "superseded", "quarantined")}
    gone = {"documents": taken.documents, "statements": taken.statements, "movements": taken.movements}
    if json:
        emit({"loads": taken.loads, "taken_back": gone | {"quarantined": taken.quarantined}, "read_again": sums})
        return
    table("Taken back", tuple(gone), [list(gone.values())], numbers=range(3))
    table("Read again from the landing", tuple(sums), [list(sums.values())], numbers=range(4))


def _ago(age: float | None) -> str:
    if age is None:
        return "–"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if age >= size:
            return f"{age / size:.0f} {unit} ago"
    return "just now"
