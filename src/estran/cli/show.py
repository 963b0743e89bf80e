"""How the command line shows things: tables for people, one JSON object for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from estran.model.errors import EstranError

SiteArg = Annotated[Path, typer.Argument(metavar="SITE", help="Directory of the site.", show_default=False)]
KeyOpt = Annotated[Path | None, typer.Option("--key", help="Key file of the site (default: SITE.key beside it).")]
JsonOpt = Annotated[bool, typer.Option("--json", help="Answer with one JSON object on the last line.")]

console = Console()
errors = Console(stderr=True)


def emit(value: Any) -> None:
    """One JSON object on one line."""
    sys.stdout.write(orjson.dumps(value, default=str, option=orjson.OPT_SERIALIZE_NUMPY).decode() + "\n")
    sys.stdout.flush()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Sequence[int] = ()) -> None:
    """A table; columns listed in `numbers` are aligned right."""
    shown = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False, padding=(0, 2))
    for place, column in enumerate(columns):
        shown.add_column(column, justify="right" if place in numbers else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(number(v) if isinstance(v, int) and not isinstance(v, bool) else str(v) for v in row))
    console.print(shown)


def number(value: int) -> str:
    """Thousands parted by a thin space."""
    return f"{value:,}".replace(",", "\u202f")


def problem(error: EstranError) -> None:
    """An error as a person reads it."""
    errors.print(f"[bold red]Error:[/] {_plain(error.what)}", highlight=False)
    if error.where:
        errors.print(f"  where: {_plain(error.where)}", highlight=False)
    if error.hint:
        errors.print(f"  to do: {_plain(error.hint)}", highlight=False)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
