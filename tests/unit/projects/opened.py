"""A project that is open, and its workspace, for tests of what is built for it: its steps are written as they are kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyroaring import BitMap

from estran.projects.actors import KEY_HOLDER
from estran.projects.site import SiteServices
from estran.projects.workspaces.spaces import provide, site_folder
from estran.state import Space, StateDatabase, Written
from estran.state.projects import _append, _next_number
from estran.state.schema_life import project
from estran.state.spaces import space_key
from estran.state.transactions import now, writing

YEAR = 2019  # no project of the portal has a number of it
VARIABLES = [["NT-proBNP", "LOINC:33762-6", "Defines the population"]]


def key(place: int = 1) -> int:
    """The workspace of the first, second … project that a new site opens."""
    return space_key(f"{YEAR}-{place:03}")


def opened(
    state: StateDatabase, team: Sequence[int], *, cohort: str = "{}", title: str = "Essai", place: str = "Rennes", **asked: Any
) -> str:
    """The number of a project that is open, its lead first in the team, everybody having signed."""
    version = state.cohorts.save(team[0], "Heart failure", cohort, "", 1, 120)
    counted = {"version_id": version.id, "cohort": "Heart failure", "version": version.number, "total": 120, "snapshot": 1}
    request = {
        "objectives": "To know.", "legal_basis": "public-task", "variables": VARIABLES, "months": 24, "texts": False,
        "persons": "none", "snds": False, "national_pmsi": False, "public_interest": True, "informed": True,
        "partner": False, "summary": "We look.",
    }  # fmt: skip
    steps: list[tuple[int, str, dict[str, Any]]] = [
        (team[0], "attach", {"cohort": counted}), (team[0], "write", request | asked),
        *((member, "sign", {"charter": True}) for member in team), (team[0], "accept", {"reason": "Right."}),
        (team[0], "open", {}),
    ]  # fmt: skip
    first = {"title": title, "kind": "research", "sites": [place], "members": list(team[1:]), "call": None, "lead": team[0]}
    with writing(state.engine) as connection:
        number = _next_number(connection, YEAR)
        made = connection.execute(project.insert().values(number=number, created=now())).inserted_primary_key
        _append(connection, made[0] if made else 0, number, None, Written(team[0], "lead", "researcher", "propose", first, 0), now())
    for after, (who, step, body) in enumerate(steps, start=1):
        assert state.projects.append(number, after, Written(who, "lead", "researcher", step, body, 0))
    return number


def step(state: StateDatabase, number: str, name: str, by: int | None = None, **body: Any) -> None:
    """One more step, as it is kept."""
    after = len(state.projects.events(number))
    assert state.projects.append(number, after, Written(by, "key-holder", "owner", name, body, 0))


def furnished(site: SiteServices, team: Sequence[int], folder: Path) -> Space:
    """The workspace of an open project, on the files of `folder` as its datamart."""
    number = opened(site.state, team)
    account = site.state.accounts.by_id(team[0])
    assert account is not None
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=9)
    row = site.state.datamarts.reserve(number, "heart", account.login, 1, "{}", "key-holder", until)
    place = site_folder(site) / "datamarts" / row.folder
    place.parent.mkdir(parents=True)
    place.symlink_to(folder)
    site.state.datamarts.finish(row.id, bytes(BitMap().serialize()), "")
    return provide(site, KEY_HOLDER, number)
