"""Models learned by the sites of a network: `estran hub learn|model`."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from estran import app as house
from estran.analysis.learning.plan import AGGREGATIONS, MODELS, SECURE
from estran.cli.ask import question
from estran.cli.hub import HubArg, embedded, group, opened_house, run_once
from estran.cli.show import JsonOpt, KeyOpt, console, emit, table
from estran.hub import house as hubs
from estran.hub.book import OPEN
from estran.hub.learning import card
from estran.hub.learning.card import Asked
from estran.hub.learning.leading import LearningDesk
from estran.hub.learning.question import read_lesson
from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER

_LOOK_EVERY = 0.2
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the model: letters, digits, - and _.")]


def register() -> None:
    """Into the group of `estran hub`."""
    group.command(
        epilog="Example: estran hub learn ouest risk --cohort 'CIM10:I50' --variables 'age, sex, died, diabetes = CIM10:E11' --outcome died"
    )(learn)
    group.command(epilog="Example: estran hub model ouest risk --json")(model)


def learn(
    hub: HubArg,
    name: _Name,
    cohort: Annotated[str, typer.Option(help="Question that selects the patients, as text or in a file.")] = "",
    variables: Annotated[
        str,
        typer.Option(help="Inputs and outcome, between commas, as in `hub statistics`: age, sex, died; NAME = CODES…"),
    ] = "age, sex, died",
    outcome: Annotated[str, typer.Option(help="The variable that is foretold: one of yes or no.")] = "died",
    bounds: Annotated[
        str, typer.Option(help="Of numbers, between commas: NAME LOW..HIGH, with log behind. Never taken from data.")
    ] = "",
    model: Annotated[str, typer.Option(help=f"One of {', '.join(MODELS)}.")] = "logistic",
    rounds: Annotated[
        int, typer.Option(help="Models put to the vote at most; 0: the usual number.", min=0, max=100)
    ] = 0,
    epsilon: Annotated[float, typer.Option(help="network: budget of differential privacy; 0: none.", min=0)] = 0.0,
    delta: Annotated[float, typer.Option(help="The other half of the budget.", min=0)] = 1e-6,
    aggregation: Annotated[
        str, typer.Option(help=f"One of {', '.join(AGGREGATIONS)}; all but secure show the hub each site's update.")
    ] = SECURE,
    exposure_accepted: Annotated[bool, typer.Option("--exposure-accepted", help="That it does.")] = False,
    purpose: Annotated[str, typer.Option(help="What the model is for; sites read it, and the card says it.")] = "",
    limit: Annotated[list[str] | None, typer.Option(help="A limit to be told on the card; again for several.")] = None,
    site: Annotated[list[str] | None, typer.Option(help="Ask this member only; again for several.")] = None,
    address: Annotated[str, typer.Option(help="HOST:PORT at which the sites' nodes reach this hub.")] = "",
    go_on: Annotated[
        bool, typer.Option("--go-on", help="With the sites that said yes to a question put before.")
    ] = False,
    wait: Annotated[float, typer.Option(help="Seconds that learning may take.", min=1)] = 3600.0,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Have the sites learn a model together: no row leaves any of them. Where a site has to say yes first, do so
    (estran hub approve), then come again with --go-on. Needs Flower: make flower."""
    opened, desk = _desk(hub, key)
    here = [path for path in embedded(opened, hub) if (path / "estran.toml").is_file()]
    if not go_on:
        more: dict[str, Any] = {
            "name": name, "model": model, "rounds": rounds, "purpose": purpose, "limits": tuple(limit or ()), "aggregation": aggregation,
            "exposure_accepted": exposure_accepted, "privacy": {"epsilon": epsilon, "delta": delta} if epsilon else None,
        }  # fmt: skip
        if not cohort:
            raise UsageError("Learning is of patients.", hint="--cohort QUESTION")
        lesson = read_lesson(question(cohort), variables, outcome, bounds, more, desk.actor.login)
        port = _free()
        desk.ask(
            lesson,
            address or f"127.0.0.1:{port}",
            f"0.0.0.0:{address.rsplit(':', 1)[1]}" if address else f"127.0.0.1:{port}",
            site or (),
        )
    asked = _answered(opened, here, desk, name)
    if any(one.state in OPEN for one in asked) and not go_on:
        _standing(asked, name, json=json)
        return
    _show(desk.lead(name, wait, lambda: _run(opened, here)), json=json)


def model(hub: HubArg, name: _Name, key: KeyOpt = None, json: JsonOpt = False) -> None:
    """The card of a model: purpose, data, method, privacy, how well it does at each site, limits."""
    _, desk = _desk(hub, key)
    _show(desk.card(name), json=json)


def _desk(hub: Path, key: Path | None) -> tuple[hubs.HubHouse, LearningDesk]:
    opened = opened_house(hub, key)
    return opened, LearningDesk(house.open_site(hub, key).state, opened, KEY_HOLDER)


def _answered(opened: hubs.HubHouse, here: list[Path], desk: LearningDesk, name: str) -> list[Asked]:
    """What the sites say; the agents of an embedded hub are run for it."""
    _run(opened, here)
    return desk.stand(name)


def _run(opened: hubs.HubHouse, here: list[Path]) -> None:
    for path in here:
        run_once(opened.office, path)
    time.sleep(_LOOK_EVERY)


def _standing(asked: list[Asked], name: str, *, json: bool) -> None:
    rows = [{"site": one.member, "name": one.name, "state": one.state, "message": one.said} for one in asked]
    if json:
        emit({"model": name, "state": "asked", "sites": rows})
        return
    table("", ("site", "state", ""), [(one.name, one.state, one.said) for one in asked])
    console.print(f"Sites have to say yes; then: estran hub learn HUB {name} --go-on", highlight=False, markup=False)


def _show(made: dict[str, Any], *, json: bool) -> None:
    if json:
        emit({"model": made["name"], "state": "learned", "card": made})
        return
    console.print(card.page(made), highlight=False, markup=False)


def _free() -> int:
    """A port of the loopback, for a network on one machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
