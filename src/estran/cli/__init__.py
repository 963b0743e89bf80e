"""The command line: parse, call, show. One exit code per class of error (model.errors)."""

from __future__ import annotations

import sys

import orjson
import typer

from estran import __version__
from estran.cli import ask, load, people, serve, site
from estran.cli.show import problem
from estran.model.errors import EstranError

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
for part in (site, load, ask, people, serve):
    part.register(app)


@app.command()
def version() -> None:
    """Show the version of Estran."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line; every known error becomes a sentence and its exit code."""
    try:
        app(standalone_mode=False)
    except EstranError as error:
        if "--json" in sys.argv:
            body = {"error": error.what, "where": error.where, "hint": error.hint}
            sys.stdout.write(orjson.dumps(body).decode() + "\n")
        problem(error)
        sys.exit(error.exit_code)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("Interrupted; what was committed is kept, run the same command again to go on.\n")
        sys.exit(130)
    except Exception as error:
        if type(error).__module__.startswith(("typer", "click")) and hasattr(error, "show"):
            error.show()
            sys.exit(2)
        raise
