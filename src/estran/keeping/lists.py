"""Looking patient numbers up in the vault, for lists handed in on a page or at the command line."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
from pyroaring import BitMap

from estran.identity.boxes import Opener
from estran.identity.vault import Vault
from estran.model.errors import EstranError
from estran.model.perimeter import WHOLE, Perimeter
from estran.projects.lists import Looked, NumberKind, read_waiting
from estran.projects.site import SiteServices
from estran.sources.pipeline.authorities import read_authorities
from estran.state import PatientList

_LOOK_EVERY = 5.0  # seconds
_INS = "INS"  # authority of those who came with their INS alone


class ListKeeper:
    """Looked at often; reads the lists that wait. `seed` is the site key's part that opens them."""

    def __init__(self, site: SiteServices, seed: bytes, vault: Callable[[], AbstractContextManager[Vault]]) -> None:
        self._site, self._opener, self._vault = site, Opener(seed), vault
        self._next = 0.0

    def look(self) -> list[str]:
        """Do what waits; returns a sentence when something was done or went wrong."""
        if time.monotonic() < self._next:
            return []
        self._next = time.monotonic() + _LOOK_EVERY
        try:
            lists = self._site.state.patient_lists
            lists.door.put(self._opener.public)
            if not lists.waiting():
                return []
            with self._vault() as vault:
                done = read_waiting(self._site, self._opener, lambda numbers, one: self._look_up(vault, numbers, one))
        except EstranError as error:
            return [f"patient lists: {error.what}"]
        return [f"patient lists: {done} read"]

    def _look_up(self, vault: Vault, numbers: list[str], one: PatientList) -> Looked:
        within = self._site.state.perimeters.of(one.account_id)
        return look_up(self._site, vault, numbers, NumberKind(one.kind), one.authority, within)


def look_up(
    site: SiteServices, vault: Vault, numbers: list[str], kind: NumberKind, authority: str = "", within: Perimeter = WHOLE
) -> Looked:
    """Whom the numbers are of. A number is ambiguous when it is that of several visible patients: of two
    authorities when none is named, or an INS stated for two. Who may not be seen, or is not within, is missing."""
    holders = holders_of(site, vault, numbers, kind, authority)
    flat = sorted({identity for found in holders for identity in found})
    patient = dict(zip(flat, vault.patient_of(np.array(flat, np.int32)).tolist(), strict=True))
    visible = site.snapshot().within(within).population()
    whose = [set(BitMap(patient[i] for i in found) & visible) for found in holders]
    found = [one for one in whose if len(one) == 1]
    ambiguous = sum(len(one) > 1 for one in whose)
    patients = BitMap(p for one in found for p in one)
    return Looked(len(numbers), len(found), len(numbers) - len(found) - ambiguous, ambiguous, patients)


def holders_of(site: SiteServices, vault: Vault, numbers: list[str], kind: NumberKind, authority: str = "") -> list[list[int]]:
    """The identities that answer to each number; `authority` "" looks under every one that the site knows."""
    if kind is NumberKind.INS:
        return [_ins(vault, number) for number in numbers]
    return _hospital(site, vault, numbers, authority)


def _hospital(site: SiteServices, vault: Vault, numbers: list[str], authority: str) -> list[list[int]]:
    settings = site.settings
    known = read_authorities(settings.authorities)
    systems = [known.get(authority, authority)] if authority else list(dict.fromkeys([settings.author_system, *known.values()]))
    found = [vault.resolve([(system, number) for number in numbers]).tolist() for system in systems]
    return [[identity for identity in line if identity >= 0] for line in zip(*found, strict=True)]


def _ins(vault: Vault, number: str) -> list[int]:
    own = int(vault.resolve([(_INS, number)])[0])
    return [*vault.find_ins(number), *([own] if own >= 0 else [])]
