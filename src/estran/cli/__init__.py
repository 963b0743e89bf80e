"""The command line: parse, call, show. One exit code per class of error (model.errors)."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import duckdb
import orjson
import pyarrow as pa
import typer

from estran import __version__
from estran.cli import ask, keep, load, people, serve, site
from estran.cli.show import problem
from estran.model.errors import EstranError, StoreError

app = typer.Typer(
    name="estran",
    help="A hospital clinical data warehouse: load feeds, count cohorts, find documents.",
    epilog="Exit codes: 0 done, 1 a check found something, 2 usage, 3 input refused, 4 partly quarantined, "
    "5 not allowed, 6 busy or damaged store.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for part in (site, load, ask, people, keep, serve):
    part.register(app)


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
    if isinstance(error, duckdb.Error | pa.ArrowException | OSError):
        return StoreError("A file of the warehouse cannot be read.", hint="estran check SITE names it")
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}, in {place.name}"
    return StoreError(f"The program stopped on an error of its own ({type(error).__name__}).", where=where, hint=_AFTER)


_AFTER = "what was committed is kept; put it right and run the same command again"
