"""Giving an account its perimeter."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

from estran.model.errors import UsageError
from estran.model.perimeter import Perimeter
from estran.projects.actors import Actor, Role
from estran.projects.audit import permit
from estran.projects.policy import Action, Target
from estran.projects.rows import fetch
from estran.state import Account, StateDatabase
from estran.warehouse import Snapshot
from estran.warehouse.bounds import units_below

_LONGEST = 400


def bound(state: StateDatabase, actor: Actor, account: Account, wanted: Perimeter, units: Collection[str]) -> None:
    """Bound an account from now on, in sessions that are open too; UsageError when a unit is not among `units`."""
    what = f"account:{account.login} perimeter:{_said(wanted)}"
    permit(state, actor, Action.ACCOUNTS, Target(what, account.id, role=Role(account.role)))
    if unknown := {*wanted.facilities, *wanted.wards} - set(units):
        raise UsageError(f"There is no unit '{min(unknown)}'.", hint="give the code of a unit that the site knows")
    state.perimeters.put(account.id, wanted, actor.login)


def listed(text: str) -> tuple[int, ...]:
    """Pseudonymous numbers, parted by spaces, commas or lines, with or without their P; UsageError for any other."""
    words = [word.removeprefix("P") for word in re.split(r"[\s,;]+", text.strip()) if word]
    if any(not word.isascii() or not word.isdecimal() or len(word) > 10 for word in words):
        raise UsageError("A perimeter lists patients by their pseudonymous numbers.", hint="for example 12, 40, 41")
    return tuple(map(int, words))


def unit_codes(snapshot: Snapshot) -> frozenset[str]:
    """Codes of the units that the site knows."""
    return frozenset(row["code"] for row in fetch(snapshot, "SELECT DISTINCT code FROM unit"))


def codes_below(snapshot: Snapshot, codes: Collection[str]) -> frozenset[str]:
    """Codes of the units of these codes, and of everything below them."""
    units = fetch(snapshot, "SELECT unit_id, code, parent FROM unit")
    inside = units_below(units, codes)
    return frozenset(unit["code"] for unit in units if unit["unit_id"] in inside)


def _said(wanted: Perimeter) -> str:
    """Short enough for a line of the trail: a long list of patients is named by its digest."""
    text = "none" if wanted.whole else wanted.to_json()
    return text if len(text) <= _LONGEST else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
