"""What the site holds and how good it is: `estran catalog`, `estran quality run|show|rules`, `estran reconcile`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.catalog import measuring
from estran.catalog.dqd_page import markdown
from estran.catalog.official import FIGURES, read_figures
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, number, table
from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.audit import permit
from estran.projects.policy import Action, Target
from estran.projects.steward import Behind, CheckShown, Steward

checks = typer.Typer(help="Checks of the data: run them, show what they found, list them.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command("catalog", epilog="Example: estran catalog mysite --find créatinine")(catalog)
    checks.command(epilog="Example: estran quality run mysite --json")(run)
    checks.command(epilog="Example: estran quality show mysite --rows stay-ends-after-start")(show)
    checks.command(epilog="Example: estran quality rules > docs/reference/quality.md")(rules)
    app.add_typer(checks, name="quality")
    app.command("reconcile", epilog="Example: estran reconcile mysite pmsi-2024.csv --tolerance 0.5")(reconcile)


def _steward(site: Path, key: Path | None) -> tuple[house.Site, Steward]:
    opened = house.open_site(site, key)
    return opened, Steward(opened, KEY_HOLDER, opened.snapshot())


def catalog(
    site: SiteArg,
    find: Annotated[str, typer.Option(help="Variables whose code or labels hold these words.")] = "",
    card: Annotated[
        str, typer.Option(help="All that is known of one thing: KIND:KEY, as in variable:LOINC:2160-0.")
    ] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Describe the newest snapshot (unless it was already), and say what it holds."""
    opened, steward = _steward(site, key)
    permit(opened.state, KEY_HOLDER, Action.OPERATE, Target("measure"), snapshot=opened.snapshot().version)
    done = measuring.measure(opened.snapshot(), opened.state)
    if card:
        _card(steward, card, json)
    elif find:
        found = steward.find(find)
        _lines(f"{len(found)} variables", [asdict(one) for one in found], json)
    else:
        _overview(steward, done, json)


def _overview(steward: Steward, done: measuring.Measured, json: bool) -> None:
    seen = steward.overview()
    if json:
        emit(asdict(seen) | {"entries_written": done.entries, "seconds": round(done.seconds, 3)})
        return
    for title, lines in (("Tables", seen.tables), ("Documents", seen.documents), ("Sources", seen.sources)):
        _lines(title, [asdict(one) for one in lines], False)
        console.print()
    console.print(f"{number(seen.variables)} variables; estran catalog SITE --find WORDS looks one up.")


def _lines(title: str, lines: list[dict[str, Any]], json: bool) -> None:
    if json:
        emit({"found": lines})
        return
    columns = ("key", "label", "rows", "patients", "first", "last")
    rows = [
        (
            one["key"],
            one["label_fr"] or one["label_en"],
            one["rows"]["value"],
            one["patients"]["value"],
            one["first"],
            one["last"],
        )
        for one in lines
    ]
    table(title, columns, rows, numbers=(2, 3))


def _card(steward: Steward, name: str, json: bool) -> None:
    kind, _, key = name.partition(":")
    found = steward.card(kind, key)
    if found is None:
        raise UsageError(
            "The catalogue has nothing of this name.", where=name, hint="KIND is table, document, source or variable"
        )
    if json:
        emit(asdict(found))
        return
    _lines(name, [asdict(found.listed)], False)
    table("Filled", ("what", "share"), [(what, f"{share:.0%}") for what, share in found.filled])
    for one in found.spreads:
        quantiles = ", ".join("-" if q is None else f"{q:g}" for q in one.quantiles)
        console.print(
            f"{one.unit or 'no unit'}: {number(one.facts.value)} values; 5, 25, 50, 75, 95 %: {quantiles}",
            highlight=False,
        )
    table(
        "Sources",
        ("source", "rows", "load", "last"),
        [(o.source, o.rows.value, o.load, o.last) for o in found.origins],
        numbers=(1, 2),
    )


def run(site: SiteArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Run every check on the newest snapshot and keep the results; exit code 1 when one fails."""
    opened, steward = _steward(site, key)
    permit(opened.state, KEY_HOLDER, Action.OPERATE, Target("run the checks"), snapshot=opened.snapshot().version)
    number_, _, seconds = measuring.check(opened.snapshot(), opened.state)
    _results(steward.results(number_), json, seconds)


def show(
    site: SiteArg,
    rows: Annotated[str, typer.Option(help="Show rows that violate this check.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Show the checks that passed, too.")] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """What the last run found, failures only; exit code 1 when there are some."""
    _, steward = _steward(site, key)
    if rows:
        _behind(rows, steward.behind(rows), json)
        return
    runs = steward.runs()
    if not runs:
        raise UsageError("The checks never ran.", hint="estran quality run SITE")
    _results(steward.results(runs[0].id), json, runs[0].seconds, every)


def _results(results: list[CheckShown], json: bool, seconds: float, every: bool = False) -> None:
    failed = [one for one in results if one.failed]
    if json:
        told = [
            {"check": one.check.key, "category": one.check.category, "origin": one.check.origin, "failed": one.failed,
             "violated": one.result.violated, "applicable": one.result.applicable, "threshold": one.check.threshold}
            for one in results
        ]  # fmt: skip
        emit({"checks": len(results), "failed": len(failed), "seconds": round(seconds, 3), "results": told})
    else:
        listed = [(one.check.key, one.check.category, one.result.violated, one.result.applicable, f"{one.check.threshold:g}")
                  for one in (results if every else failed)]  # fmt: skip
        table(
            f"{len(failed)} of {len(results)} checks failed",
            ("check", "category", "violated", "among", "threshold, %"),
            listed,
            numbers=(2, 3, 4),
        )
    if failed:
        raise typer.Exit(1)


def _behind(title: str, behind: Behind, json: bool) -> None:
    if json:
        emit({"columns": behind.columns, "rows": behind.rows})
        return
    table(
        title, behind.columns, [["" if row[c] is None else str(row[c]) for c in behind.columns] for row in behind.rows]
    )


def rules(json: JsonOpt = False) -> None:
    """The page of the reference: every check, and what became of each rule of OHDSI."""
    if json:
        emit({"markdown": markdown()})
    else:
        typer.echo(markdown(), nl=False)


def reconcile(
    site: SiteArg,
    file: Annotated[
        Path | None,
        typer.Argument(help="CSV of official figures: month;figure;code;value.", exists=True, dir_okay=False),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Percent of an official figure up to which a difference is let pass.", min=0)
    ] = 0.0,
    behind: Annotated[str, typer.Option(help="List the stays behind a figure: MONTH:FIGURE[:CODE].")] = "",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Compare official monthly figures with what the warehouse counts; exit code 1 when they differ.

    Without FILE, the figures kept before are compared.
    """
    _, steward = _steward(site, key)
    if behind:
        month, figure, code = [*behind.split(":"), "", ""][:3]
        if figure not in FIGURES:
            raise UsageError("A figure is named MONTH:FIGURE or MONTH:ghm:CODE.", where=behind, hint=", ".join(FIGURES))
        _behind(behind, steward.behind_figure(month, figure, code), json)
        return
    if file is not None:
        steward.keep_figures(read_figures(file))
    found = steward.reconcile()
    differing = [one for one in found if one.beyond(tolerance)]
    if json:
        emit(
            {
                "figures": len(found),
                "differences": len(differing),
                "results": [asdict(one) | {"gap": one.gap} for one in found],
            }
        )
    else:
        listed = [(one.month, one.figure, one.code, one.official, one.ours, f"{one.gap:+d}") for one in differing]
        table(
            f"{len(differing)} of {len(found)} figures differ",
            ("month", "figure", "code", "official", "warehouse", "gap"),
            listed,
            numbers=(3, 4, 5),
        )
    if differing:
        raise typer.Exit(1)
