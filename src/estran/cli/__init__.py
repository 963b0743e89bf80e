"""The command line: parse, call, show. One exit code per class of error (model.errors)."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import orjson
import typer
from typer.core import TyperCommand, TyperGroup

from estran import __version__
from estran.cli.show import problem
from estran.model.errors import EstranError, StoreError

if TYPE_CHECKING:
    from typer._click.core import Command, Context
    from typer._click.formatting import HelpFormatter

_PARTS: dict[str, dict[str, str]] = {  # module -> its commands, and what each is for
    "site": {
        "init": "Make an empty site and its key file. Keep the key apart: without it nothing can be read back.",
        "status": "What the site holds, and what became of every record of every source.",
        "check": "Prove the invariants: bitmaps equal SQL, index equals documents, counts add up.",
        "compact": "Merge small files, drop superseded rows, remove litter.",
    },
    "load": {
        "ingest": "Load files; ends with read = loaded + superseded + quarantined.",
        "quarantine": "List what is in quarantine: source, file, line, field and reason.",
    },
    "mapping": {
        "mapping": "Mappings of CSV, Parquet and database extracts.",
    },
    "fhir": {
        "fhir-export": "Fetch a Bulk Data export; the header in ESTRAN_FHIR_AUTHORIZATION is sent along. "
        "Then: estran ingest SITE fhir FOLDER.",
    },
    "dicom": {
        "listen-dicom": "Receive images (C-STORE, C-ECHO); answer success for what is durably kept, load it "
        "every few seconds.",
        "dicom": "Images: where they lie, de-identified copies.",
    },
    "listen": {
        "listen": "Receive HL7 v2 messages over MLLP; acknowledge what is durably kept, load it every few seconds.",
    },
    "ask": {
        "search": "Find documents: ranked, with extracts, and counts of documents and patients.",
        "patient": "One patient's timeline.",
        "cohort": "Count, run or explain a cohort.",
    },
    "audit": {
        "audit": "The audit trail: prove it, read it, seal it, review it.",
    },
    "datamart": {
        "datamart": "Datamarts: minimal, re-keyed extracts for one project and one recipient.",
    },
    "export": {
        "export": "Write the site, or the datamart of a project, in a foreign format: whole or not at all.",
        "unpack": "Open a sealed export, and prove every file by its manifest.",
        "catalogue": "Write what the site holds as a HealthDCAT-AP catalogue; every count is protected.",
    },
    "review": {
        "review": "Chart review: lists of patients to judge, forms, agreement, results.",
    },
    "hub": {
        "hub": "Networks of sites: one question to many, answers protected at each.",
        "agent": "Answer a network's questions: the agent goes to the hub, nothing comes in.",
    },
    "people": {
        "user": "Accounts of the portal.",
        "policy": "Show who may do what: on one's own, on others', for listed patients, for key holders' accounts; inside and outside a perimeter.",
    },
    "projects": {
        "project": "Projects: where each stands, calls for projects, notices.",
    },
    "workspace": {
        "workspace": "Workspaces of projects: a notebook without network on a datamart.",
        "airlock": "What may leave a workspace.",
    },
    "feeds": {
        "feeds": "How each feed is doing: last load, newest date, volume, rejects, codes never seen before.",
        "run": "Watch the folders of the feeds and load new files, each feed as often as its `every` says; do "
        "what was asked for on the pages; ask saved questions again; seal and review the audit trail; "
        "follow the rights of patients.",
        "loads": "List loads: what was read, loaded, superseded and quarantined in each.",
        "unload": "Take one load back, as if it had never come; what it had replaced comes back from the landing.",
        "reload": "Read all that a source ever sent anew from the landing: after its mapping or its reader changed.",
        "retry": "Read what is in quarantine anew: after a mapping was mended, or a vocabulary loaded.",
    },
    "catalog": {
        "catalog": "Describe the newest snapshot (unless it was already), and say what it holds.",
        "quality": "Checks of the data: run them, show what they found, list them.",
        "reconcile": "Compare official monthly figures with what the warehouse counts; exit code 1 when they differ. "
        "Without FILE, the figures kept before are compared.",
    },
    "lists": {
        "import-list": "Look patient numbers up in the vault and save whom they are of as somebody's cohort.",
    },
    "screening": {
        "screening": "Lists of names for a treating team: patients of their ward who answer a question.",
    },
    "deaths": {
        "deaths": "Match INSEE's file of deaths with the patients, in the vault: sure pairs are taken, "
        "doubtful ones reviewed.",
    },
    "keep": {
        "backup": "Back up the whole site, encrypted; only what changed since the last backup is "
        "written. The key file is not part of it: keep a copy of it elsewhere.",
        "backups": "List the backups of a repository; with --check, prove that the last one can be read back.",
        "restore": "Make a site anew from a backup; it appears once its digest is the one noted then.",
        "rotate-key": "Seal the vault and the landing with a new key. Make a new copy of the key file afterwards.",
        "upgrade": "Bring a site made by an earlier release to the format of this one. Make a backup first.",
    },
    "wishes": {
        "oppose": "Record a patient's opposition, its end, or a consent: obeyed by every read at once.",
        "erase": "Erase one patient from the warehouse, the vault and the landing, for ever.",
    },
    "rights": {
        "rights": "Rights of patients: requests, letters, who must still obey.",
        "transparency": "The projects that the public page tells: list, write (--put) or take off (--drop).",
        "registry": "The registry sheet, and what the running site meets of the reference framework, with evidence.",
    },
    "serve": {
        "serve": "Open the portal. It reads the warehouse only; the key is not needed.",
        "demo": "Build a site from the samples that the package ships, or from an invented region, and open it.",
    },
    "region": {
        "region": "Invent hospitals and their raw feeds, with the truth apart. "
        "`estran ingest OUT/angers --all` loads one.",
    },
}


class _Told(TyperCommand):
    """A command that is only known by name and purpose yet."""

    part = ""


class _Commands(TyperGroup):
    """Imports what a command needs when it is asked for: importing everything takes seconds, and a listener
    that starts anew must not keep its senders waiting."""

    _telling = False

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        own, self.commands = self.commands, {}
        for part, names in _PARTS.items():
            for name, purpose in names.items():
                self.commands[name] = told = _Told(name, help=purpose)
                told.part = part
        self.commands.update(own)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        found = super().get_command(ctx, cmd_name)
        if isinstance(found, _Told) and not self._telling:
            self.commands.update(_commands_of(found.part))
            return self.commands[cmd_name]
        return found

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        self._telling = True
        super().format_help(ctx, formatter)
        self._telling = False


@cache
def _commands_of(part: str) -> dict[str, Command]:
    """Once per process: the groups of a part are its module's, and would take each command in again."""
    own = typer.Typer(add_completion=False, rich_markup_mode="rich")
    importlib.import_module(f"estran.cli.{part}").register(own)
    return dict(typer.main.get_group(own).commands)


app = typer.Typer(
    name="estran",
    cls=_Commands,
    help="A hospital clinical data warehouse: load feeds, count cohorts, find documents.",
    epilog="Exit codes: 0 done, 1 a check found something, 2 usage, 3 input refused, 4 partly quarantined, "
    "5 not allowed, 6 busy or damaged store.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.callback()
def _estran() -> None:
    """A hospital clinical data warehouse: load feeds, count cohorts, find documents."""


@app.command()
def version() -> None:
    """Show the version of Estran."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line; every known error becomes a sentence and its exit code."""
    try:
        code = app(standalone_mode=False)  # the code of a typer.Exit, else what the command returned
    except EstranError as error:
        _fail(error)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("Interrupted; what was committed is kept, run the same command again to go on.\n")
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 (whatever it is, no value of a record may reach the screen)
        if type(error).__module__.startswith(("typer", "click")) and hasattr(error, "show"):
            error.show()
            sys.exit(2)
        _fail(_unforeseen(error))
    sys.exit(code if isinstance(code, int) else 0)


def _fail(error: EstranError) -> NoReturn:
    if "--json" in sys.argv:
        body = {"error": error.what, "where": error.where, "hint": error.hint}
        sys.stdout.write(orjson.dumps(body).decode() + "\n")
    problem(error)
    sys.exit(error.exit_code)


def _unforeseen(error: Exception) -> EstranError:
    """An error of the machine or of a library as a sentence. Its own words are left out, but for those of
    the operating system: they may hold a value of a record."""
    if isinstance(error, OSError) and error.errno is not None:
        return StoreError(f"{os.strerror(error.errno)}.", where=str(error.filename or ""), hint=_AFTER)
    import duckdb
    import pyarrow as pa

    if isinstance(error, duckdb.Error | pa.ArrowException | OSError):
        return StoreError("A file of the warehouse cannot be read.", hint="estran check SITE names it")
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}, in {place.name}"
    return StoreError(f"The program stopped on an error of its own ({type(error).__name__}).", where=where, hint=_AFTER)


_AFTER = "what was committed is kept; put it right and run the same command again"
