"""Chart review: `estran review form|forms|create|list|progress|agreement|accuracy|keep|close|export`.

Whoever holds the key file is the site's owner. Reviewing itself is done on the portal, by people with an account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.app import Site
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, number, table
from estran.model.errors import InputRefused, UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.charts.export import Exporter
from estran.projects.charts.form_file import check_form
from estran.projects.charts.intervals import Estimate
from estran.projects.charts.manager import ReviewManager, Wanted
from estran.projects.charts.results import Verdict
from estran.projects.desk import Desk, ReadingRoom
from estran.state import CohortVersion, FormRecord

reviews = typer.Typer(help="Chart review: lists of patients to judge, forms, agreement, results.", no_args_is_help=True)
ListArg = Annotated[str, typer.Argument(metavar="LIST", help="Name or number of the review list.")]
_LARGEST = 500_000  # bytes of a form


def register(app: typer.Typer) -> None:
    reviews.command(epilog="Example: estran review form mysite heart.toml")(form)
    reviews.command(epilog="Example: estran review forms mysite")(forms)
    reviews.command(
        epilog="Example: estran review create mysite 'Heart failure' --of jdoe --reviewer anne --reviewer bruno --twice"
    )(create)
    reviews.command("list", epilog="Example: estran review list mysite --json")(listing)
    reviews.command(epilog="Example: estran review progress mysite 'Heart failure'")(progress)
    reviews.command(epilog="Example: estran review agreement mysite 'Heart failure' --json")(agreement)
    reviews.command(epilog="Example: estran review accuracy mysite 'Heart failure'")(accuracy)
    reviews.command(epilog="Example: estran review keep mysite 'Heart failure' 'True heart failure'")(keep)
    reviews.command(epilog="Example: estran review close mysite 'Heart failure'")(close)
    reviews.command(epilog="Example: estran review export mysite 'Heart failure' forms answers.parquet")(export)
    app.add_typer(reviews, name="review")


def form(
    site: SiteArg,
    file: Annotated[Path, typer.Argument(help="The form, TOML or JSON.", exists=True, dir_okay=False)],
    check: Annotated[bool, typer.Option("--check", help="Say what is wrong, keep nothing.")] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Keep a form; each mistake is told with its line, and then nothing is kept."""
    if file.stat().st_size > _LARGEST:
        raise InputRefused("The form is too large.", where=str(file))
    try:
        body = file.read_text("utf-8")
    except UnicodeDecodeError:
        raise InputRefused("The form is not written in UTF-8.", where=str(file)) from None
    _, faults = check_form(body)
    if faults:
        if json:
            emit({"faults": [asdict(fault) for fault in faults]})
        else:
            for fault in faults:
                console.print(f"line {fault.line}: {fault.what}", markup=False, highlight=False)
        raise typer.Exit(InputRefused.exit_code)
    if check:
        emit({"faults": []}) if json else console.print("The form is well made.")
        return
    kept = _desk(site, key).reviews.add_form(body)
    emit(_form_row(kept)) if json else console.print(f"Form {kept.name}, version {kept.version}.")


def forms(site: SiteArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """List the forms."""
    found = [_form_row(one) for one in _desk(site, key).reviews.forms()]
    if json:
        emit({"forms": found})
        return
    table("Forms", ("form", "version", "author"), [(one["name"], one["version"], one["author"]) for one in found])


def create(
    site: SiteArg,
    cohort: Annotated[str, typer.Argument(help="Name of a saved cohort.")],
    of: Annotated[str, typer.Option("--of", help="Login of whoever saved it.")],
    reviewer: Annotated[list[str], typer.Option(help="Login, or LOGIN=PART for another part than the others'.")],
    name: Annotated[str, typer.Option(help="Name of the list (default: that of the cohort).")] = "",
    version: Annotated[int, typer.Option(help="Version of the cohort (default: the latest).", min=0)] = 0,
    adjudicator: Annotated[list[str] | None, typer.Option(help="Login of whoever settles.")] = None,
    twice: Annotated[bool, typer.Option("--twice", help="Each patient is read by two reviewers.")] = False,
    not_blind: Annotated[bool, typer.Option("--not-blind", help="Reviewers see what the others said.")] = False,
    form: Annotated[str, typer.Option(help="Name of a form; its newest version is taken.")] = "",
    sample: Annotated[int, typer.Option(help="So many patients of the cohort at random; 0: all.", min=0)] = 0,
    negatives: Annotated[int, typer.Option(help="So many outside the cohort at random.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Of the random draws.", min=0)] = 1,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Make a review list of a saved cohort and give it out."""
    desk = _desk(site, key)
    saved = _version(desk, cohort, of, version)
    forms_ = [one for one in desk.reviews.forms() if one.name == form]
    if form and not forms_:
        raise UsageError("There is no such form.", where=form, hint=f"estran review forms {site}")
    wanted = Wanted(
        name or cohort, saved.id, dict(map(_share, reviewer)), tuple(adjudicator or ()), 2 if twice else 1, not not_blind,
        forms_[0].id if forms_ else None, sample, negatives, seed,
    )  # fmt: skip
    made = desk.reviews.make(wanted)
    patients = sum(desk.reviews.progress(made.id).patients.values())
    if json:
        emit({"list": made.id, "name": made.name, "patients": patients})
        return
    console.print(f"List {made.id}, {made.name}: {number(patients)} patients.")


def listing(site: SiteArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """List the review lists."""
    found = _desk(site, key).reviews.lists()
    rows = [(one.id, one.name, one.created.date(), "closed" if one.closed else "open") for one in found]
    if json:
        emit({"lists": [dict(zip(("list", "name", "created", "state"), row, strict=True)) for row in rows]})
        return
    table("Review lists", ("list", "name", "created", "state"), rows)


def progress(site: SiteArg, review: ListArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """How far each reviewer is, and what is left to settle."""
    manager, list_id = _managed(site, key, review)
    found = manager.progress(list_id)
    if json:
        counted: dict[str, Mapping[Any, int]] = {"patients": found.patients, "texts": found.texts, "verdicts": found.verdicts}
        body = {name: {str(kind): count for kind, count in counts.items()} for name, counts in counted.items()}
        emit(body | {"readers": [asdict(one) for one in found.readers]})
        return
    columns = ("reader", "given", "read", *Verdict, "texts", "marked")
    rows = [
        (one.login, one.given, one.read, *(one.verdicts.get(v, 0) for v in Verdict), one.texts, one.marked)
        for one in found.readers
    ]
    table(found.record.name, columns, rows, numbers=range(1, len(columns)))
    console.print(", ".join(f"{stage}: {count}" for stage, count in found.patients.items()))


def agreement(site: SiteArg, review: ListArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """How far the reviewers agree: kappa, alpha, F1, with 95 % intervals."""
    manager, list_id = _managed(site, key, review)
    found = manager.agreement(list_id)
    if json:
        emit(
            {
                "same": asdict(found.same),
                "figures": [asdict(one) for one in found.figures],
                "table": found.table,
                "readers": found.readers,
            }
        )
        return
    rows = [(one.about or "spans", one.kind, *_estimate(one.estimate)) for one in found.figures]
    table("Agreement", ("of", "measure", "value", "95 %", "n"), [("verdict", "same", *_estimate(found.same)), *rows])


def accuracy(site: SiteArg, review: ListArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """How right the cohort is: predictive values, and sensitivity when the list has patients from outside it."""
    manager, list_id = _managed(site, key, review)
    found = manager.accuracy(list_id)
    if json:
        emit(asdict(found))
        return
    names = ("predictive", "negative", "sensitivity", "specificity")
    table(
        "Accuracy",
        ("of the cohort", "value", "95 %", "n"),
        [(name, *_estimate(getattr(found, name))) for name in names],
    )
    console.print(f"{found.doubtful} in doubt, {found.waiting} waiting: in no figure.")


def keep(
    site: SiteArg,
    review: ListArg,
    name: Annotated[str, typer.Argument(help="Name of the saved cohort.")],
    verdict: Annotated[Verdict, typer.Option(help="The patients of whom this holds.")] = Verdict.INCLUDE,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Save the result as a cohort of the list's owner, to be named in a question."""
    manager, list_id = _managed(site, key, review)
    kept = manager.keep(list_id, name, verdict)
    if json:
        emit({"cohort": name, "version": kept.number, "patients": kept.total, "owner": kept.author})
        return
    console.print(f"{kept.author}'s cohort {name}, version {kept.number}: {number(kept.total)} patients.")


def close(site: SiteArg, review: ListArg, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """Close a list: nothing more is decided in it."""
    manager, list_id = _managed(site, key, review)
    manager.close(list_id)
    emit({"closed": list_id}) if json else console.print("The list is closed.")


def export(
    site: SiteArg,
    review: ListArg,
    what: Annotated[str, typer.Argument(help="forms, jsonl, brat or conll.")],
    out: Annotated[Path, typer.Argument(help="A .csv or .parquet file for forms; a file, or a folder for brat.")],
    readings: Annotated[bool, typer.Option("--readings", help="Each reading of the forms, not what holds.")] = False,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Take the records out: filled forms, or marked texts as training labels. Recorded with the patients they are of."""
    opened = _opened(site, key)
    room = ReadingRoom(opened)
    list_id = _find(Desk(room, KEY_HOLDER).reviews, review)
    exporter = Exporter(room, KEY_HOLDER)
    done = exporter.forms(list_id, out, readings) if what == "forms" else exporter.labels(list_id, what, out)
    if json:
        emit(asdict(done) | {"out": str(out)})
        return
    console.print(f"{number(done.written)} written, {number(done.left_out)} left out: nothing holds of them yet.")


def _opened(site: Path, key: Path | None) -> Site:
    opened = house.open_site(site, key)
    with opened.vault():  # proves that the key is the site's
        return opened


def _desk(site: Path, key: Path | None) -> Desk:
    return Desk(ReadingRoom(_opened(site, key)), KEY_HOLDER)


def _managed(site: Path, key: Path | None, review: str) -> tuple[ReviewManager, int]:
    manager = _desk(site, key).reviews
    return manager, _find(manager, review)


def _find(manager: ReviewManager, review: str) -> int:
    found = next((one for one in manager.lists() if review in (one.name, str(one.id))), None)
    if found is None:
        raise UsageError("There is no such review list.", where=review, hint="estran review list SITE")
    return found.id


def _version(desk: Desk, name: str, login: str, wanted: int) -> CohortVersion:
    account = desk.state.accounts.find(login)
    saved = desk.state.cohorts.owned_by(account.id) if account else []
    versions = next((one.versions for one in saved if one.name == name), ())
    found = next((one for one in versions if wanted in (0, one.number)), None)
    if found is None:
        raise UsageError("There is no such saved cohort.", where=name, hint="save it on the portal first")
    return found


def _share(text: str) -> tuple[str, float]:
    login, _, part = text.partition("=")
    try:
        return login, float(part or 1)
    except ValueError:
        raise UsageError("A part is a number: LOGIN=2.", where=text) from None


def _form_row(one: FormRecord) -> dict[str, Any]:
    return {"form": one.id, "name": one.name, "version": one.version, "author": one.author}


def _estimate(one: Estimate) -> tuple[str, str, int]:
    def said(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    return said(one.value), f"{said(one.low)} to {said(one.high)}", one.n
