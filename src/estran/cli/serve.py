"""The portal and the demo: `estran serve`, `estran demo`."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from estran import app as house
from estran.cli.load import progress_bar
from estran.cli.show import JsonOpt, SiteArg, console, emit, number, table
from estran.cohort.language.parser import parse
from estran.projects.actors import KEY_HOLDER, Role
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.sign_in import change_password, create_account
from estran.settings import Settings
from estran.sources.pipeline.run import Report, ingest

# What the package ships, in the order in which a hospital would connect its feeds.
FEEDS = (
    ("hl7v2", "hl7v2", "HL7 v2 messages"),
    ("report", "e3c_fr", "French clinical cases (CC BY 4.0)"),
    ("fhir", "fhir_bulk", "FHIR bulk export (Synthea)"),
    ("omop", "omop_synthea27nj", "OMOP 5.4 (Synthea27Nj)"),
    ("omop", "omop_gibleed", "OMOP 5.3 (GiBleed)"),
)
QUESTIONS = ("OMOP:192671", "OMOP:1118084 SAUF OMOP:192671", "OMOP:1118084 PUIS OMOP:192671 [1..365 jours]")
LOGIN = "demo"
_KEPT_OPEN = 75  # seconds: people read a page before they ask for the next


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: estran serve mysite --port 8000")(serve)
    app.command(epilog="Example: estran demo demo-site --no-serve")(demo)


def serve(
    site: SiteArg,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
) -> None:
    """Open the portal. It reads the warehouse only; the key is not needed."""
    import uvicorn  # what only this command needs is loaded here

    from estran.hub.house import is_hub, open_book
    from estran.portal.server import create_app

    opened = house.open_site(site)
    console.print(f"Portal: http://{host}:{port}  (Ctrl+C ends it)", highlight=False)
    hub = open_book(site) if is_hub(site) else None
    uvicorn.run(
        create_app(opened, hub), host=host, port=port, log_level="warning", access_log=False, server_header=False,
        timeout_keep_alive=_KEPT_OPEN,
    )  # fmt: skip


def demo(
    site: Annotated[Path, typer.Argument(metavar="DIR", help="Directory to build, or to open again.")] = Path(
        "demo-site"
    ),
    serve_it: Annotated[bool, typer.Option("--serve/--no-serve", help="Open the portal at the end.")] = True,
    port: Annotated[int, typer.Option(help="Port of the portal.")] = 8000,
    region: Annotated[bool, typer.Option("--region", help="Invent the hospitals of a region instead, and open the first.")] = False,
    patients: Annotated[int, typer.Option(help="People in the region.", min=1)] = 300,
    sites: Annotated[int, typer.Option(help="Hospitals of the region to load, 1 to 6.", min=1, max=6)] = 1,
    hub: Annotated[bool, typer.Option("--hub", help="Join the six hospitals of a region by a hub, and open that.")] = False,
    hub_port: Annotated[int, typer.Option(help="Port of the hub's door to its sites.")] = 8443,
    json: JsonOpt = False,
) -> None:
    """Build a site from the samples that the package ships, or from an invented region, and open it."""
    if hub:
        from estran.cli.network_demo import demo_network  # likewise

        site = demo_network(site, patients, hub_port, quiet=json)
    elif region:
        from estran.cli.region import demo_region  # here, for its words are long to compile

        site = demo_region(site, patients, sites, quiet=json)
    if region or hub or (site / "estran.toml").is_file():
        password = _new_password(house.open_site(site))
        if not region and not hub:
            console.print(f"{site} is there already: opening it.")
    else:
        password = _build(site, quiet=json)
    if json:
        emit({"site": str(site), "login": LOGIN, "password": password})
    console.print(
        f"\nSign in at [bold]http://127.0.0.1:{port}[/] as [bold]{LOGIN}[/] with [bold]{password}[/]", highlight=False
    )
    if not serve_it:
        return
    with _network(site, hub_port) if hub else nullcontext():
        serve(site, port=port)


def _network(hub: Path, port: int) -> AbstractContextManager[None]:
    from estran.cli.network_demo import network_served  # likewise

    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda *_: sys.exit(0))  # so that what was started ends too
    return network_served(hub, port)


def _build(site: Path, *, quiet: bool) -> str:
    started = time.perf_counter()
    opened = house.create_site(site, Settings(name="Estran démo"))
    rows = []
    for format_name, folder, title in FEEDS:
        report = _load(opened, format_name, folder, quiet=quiet)
        counts = (report.total(n) for n in ("read", "loaded", "superseded", "quarantined"))
        rows.append((title, *counts, f"{report.seconds:.1f} s"))
    if not quiet:
        table("Loaded", ("feed", "read", "loaded", "superseded", "quarantined", "time"), rows, numbers=(1, 2, 3, 4, 5))
        _try(opened)
        console.print(f"Built in {time.perf_counter() - started:.0f} s.")
    return _new_password(opened)


def _load(opened: house.Site, format_name: str, folder: str, *, quiet: bool) -> Report:
    with resources.as_file(resources.files("estran") / "samples" / folder) as path:
        files = sorted(p for p in path.iterdir() if p.suffix not in (".txt", ".md"))
        with opened.loading() as parts, progress_bar(quiet=quiet) as bar:
            return ingest(parts, format_name, files, name=folder, progress=bar)


def _try(opened: house.Site) -> None:
    """A few questions with their time, so that a newcomer sees numbers at once."""
    desk = Desk(ReadingRoom(opened), KEY_HOLDER)
    rows = []
    for text in QUESTIONS:
        counted = desk.count(parse(text))
        rows.append((text, counted.total.value, f"{counted.elapsed_ms:.1f} ms"))
    found = desk.search('"insuffisance rénale"', {}, 10, 0)
    rows.append(('search "insuffisance rénale"', found.patients.value, f"{found.seconds * 1000:.1f} ms"))
    console.print()
    table("Questions", ("question", "patients", "time"), rows, numbers=(1, 2))
    holdings = desk.holdings()
    held = ("patients", "stays", "documents", "facts")
    console.print("The site holds " + ", ".join(f"{number(getattr(holdings, n).value)} {n}" for n in held) + ".")


def _new_password(opened: house.Site) -> str:
    """A fresh password for the demo account at each start (or ESTRAN_PASSWORD): none is kept in clear."""
    password = os.environ.get("ESTRAN_PASSWORD") or secrets.token_urlsafe(12)
    found = opened.state.accounts.find(LOGIN)
    if found is None:
        create_account(opened.state, KEY_HOLDER, LOGIN, password, Role.DATA_ENGINEER)
    else:
        change_password(opened.state, KEY_HOLDER, found, password)
    return password
