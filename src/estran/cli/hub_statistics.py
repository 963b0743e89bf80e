"""Statistics over the sites of a network: `estran hub statistics|study|peers`."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from estran import app as house
from estran.analysis.federated.methods import METHODS
from estran.analysis.federated.telling import tell
from estran.cli.ask import question
from estran.cli.hub import HubArg, NetworkOpt, embedded, group, opened_house, run_once
from estran.cli.recording import recorded
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, console, emit, table
from estran.hub import house as hubs
from estran.hub.agent.membership import folder_of
from estran.hub.agent.study_book import StudyBook
from estran.hub.asking import Choices, read_study
from estran.hub.studies import Studies
from estran.hub.study_desk import PATIENCE, Seen, StudyDesk
from estran.model.errors import UsageError
from estran.projects.actions import Action
from estran.projects.actors import KEY_HOLDER

_LOOK_EVERY = 0.05
_Words = Annotated[
    str,
    typer.Option(
        help="Between commas: age, sex, died; NAME = CODES, then last, mean…, a unit, days as -365..0; NAME = age 40/65."
    ),
]
_LanguageOpt = Annotated[str, typer.Option(help="Of the tables: en or fr.")]


def register() -> None:
    """Into the group of `estran hub`."""
    group.command(
        epilog="Example: estran hub statistics ouest glm --cohort 'CIM10:I50' --variables 'age, sex, diabetes = CIM10:E11' --outcome diabetes"
    )(statistics)
    group.command(epilog="Example: estran hub study ouest 5f0c2a7d91b3e846 --json")(study)
    group.command(epilog="Example: estran hub peers mysite")(peers)


def statistics(
    hub: HubArg,
    method: Annotated[str, typer.Argument(metavar="METHOD", help=f"One of {', '.join(METHODS)}.")],
    cohort: Annotated[str, typer.Option(help="Question that selects the patients, as text or in a file.")],
    variables: _Words = "age, sex",
    outcome: Annotated[str, typer.Option(help="glm: the variable that is explained.")] = "",
    family: Annotated[str, typer.Option(help="glm: linear, logistic or poisson.")] = "logistic",
    event: Annotated[str, typer.Option(help="cox, survival: codes of the event, joined by +; death without.")] = "",
    horizon: Annotated[int, typer.Option(help="cox, survival: days of follow-up.", min=1)] = 365,
    by: Annotated[str, typer.Option(help="survival: variable that makes the groups.")] = "",
    term: Annotated[str, typer.Option(help="meta: the coefficient that is pooled.")] = "",
    model: Annotated[str, typer.Option(help="meta: glm or cox.")] = "glm",
    low: Annotated[float, typer.Option(help="quantiles: no value lies under it.")] = 0.0,
    high: Annotated[float, typer.Option(help="quantiles: no value lies above it.")] = 0.0,
    title: Annotated[str, typer.Option(help="What the study is called; the sites read it.")] = "",
    site: Annotated[list[str] | None, typer.Option(help="Ask this member only; again for several.")] = None,
    patience: Annotated[
        float, typer.Option(help="Seconds after which a site that does not answer is left out.", min=1)
    ] = PATIENCE,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the result.", min=0)] = 60.0,
    language: _LanguageOpt = "en",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Have the sites compute a statistic of all their patients together; no row leaves any of them."""
    opened, desk = _desk(hub, key)
    choices = Choices(outcome, family, event, horizon, by, term, model, low, high)
    number = desk.ask(read_study(method, question(cohort), variables, choices, title), site or (), patience)
    _show(_played(opened, hub, desk, number, wait), language, json=json)


def study(
    hub: HubArg,
    number: Annotated[str, typer.Argument(metavar="STUDY", help="Its id, as `hub statistics` gave it.")],
    go_on: Annotated[bool, typer.Option("--go-on", help="Without the sites that have not answered yet.")] = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the result.", min=0)] = 0.0,
    language: _LanguageOpt = "en",
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Where a study stands, or its result."""
    opened, desk = _desk(hub, key)
    if go_on:
        desk.go_on(number)
    _show(_played(opened, hub, desk, number, wait), language, json=json)


def _desk(hub: Path, key: Path | None) -> tuple[hubs.HubHouse, StudyDesk]:
    opened, me = opened_house(hub, key), house.open_site(hub, key)
    return opened, StudyDesk(me.state, opened.book, Studies(opened.folder), KEY_HOLDER)


def _played(opened: hubs.HubHouse, hub: Path, desk: StudyDesk, number: str, wait: float) -> Seen:
    """As far as a study gets in that time; the agents of an embedded hub are run for it."""
    end, seen = time.monotonic() + wait, desk.look(number)
    here = [path for path in embedded(opened, hub) if (path / "estran.toml").is_file()]
    while seen is not None and seen.study.open and any(one.state == "waiting" for one in seen.sites):
        if not here and time.monotonic() >= end:
            break
        steps = len(seen.steps)
        for path in here:
            run_once(opened.office, path)
        seen = desk.stand(number)
        if seen is not None and len(seen.steps) == steps:
            here = []  # whoever is expected now is not on this machine
            time.sleep(_LOOK_EVERY)
    if seen is None:
        raise UsageError("There is no such study.", hint="estran hub statistics HUB METHOD")
    return seen


def as_object(seen: Seen) -> dict[str, Any]:
    """A study as JSON: where it stands, its sites and steps, and the `result` once it is there."""
    found = seen.study
    return {
        "study": found.id, "method": found.body.method, "state": found.state, "message": found.said, "attempts": found.attempt,
        "sites": [{"site": one.member, "name": one.name, "state": one.state, "message": one.said} for one in seen.sites],
        "steps": [{"attempt": one.attempt, "phase": one.phase, "seconds": one.seconds and round(one.seconds, 3)} for one in seen.steps],
        "result": orjson.loads(found.result)["result"] if found.result else None,
    }  # fmt: skip


def _show(seen: Seen, language: str, *, json: bool) -> None:
    if json:
        emit(as_object(seen))
        return
    table("", ("site", "state", ""), [(one.name, one.state, one.said) for one in seen.sites])
    if seen.study.outcome is not None:
        console.print(tell(seen.study.outcome, language), highlight=False, markup=False)
    took = f"{len(seen.steps)} steps, {seen.study.attempt} attempt(s)"
    console.print(
        f"Study {seen.study.id}: {seen.study.state}, {took}. {seen.study.said}", highlight=False, markup=False
    )


def peers(
    site: SiteArg,
    forget: Annotated[str, typer.Option(help="Member that may come with a new certificate.")] = "",
    network: NetworkOpt = "",
    json: JsonOpt = False,
) -> None:
    """The hospitals with which this site has computed: fingerprints to compare by telephone, and to write into `peers`."""
    if forget:
        recorded(house.open_site(site), Action.RUN_HUB, f"forget network member:{forget[:80]}")
    book = StudyBook(folder_of(site, network))
    if forget and not book.forget(forget):
        raise UsageError("This site has met no such member.", hint="estran hub peers SITE")
    rows = [
        {"member": member, "certificate": fingerprint, "since": dt.datetime.fromtimestamp(since, dt.UTC).isoformat(timespec="seconds")}
        for member, fingerprint, since in book.peers()
    ]  # fmt: skip
    book.close()
    if json:
        emit({"peers": rows})
        return
    table("", ("member", "certificate", "since"), [tuple(row.values()) for row in rows])
