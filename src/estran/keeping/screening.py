"""Names of the patients of a ward for the team that treats them: read in the vault, sealed, handed over, let go of."""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import time
from dataclasses import replace
from pathlib import Path

import orjson
from pyroaring import BitMap

from estran.identity import traits
from estran.identity.keys import Cipher
from estran.identity.vault import Vault
from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER, Actor
from estran.projects.audit import permit
from estran.projects.following import NewsKind
from estran.projects.policy import Action, Target
from estran.projects.site import SiteServices
from estran.state import Account, Screening, StateDatabase
from estran.state.transactions import now

COLUMNS = ("family_names", "given_names", "birth_date", "numbers")
_LOOK_EVERY = 600.0  # seconds


class ScreeningKeeper:
    """Looked at often; lets go of the lists whose time is over."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state
        self._next = 0.0

    def look(self) -> list[str]:
        """Returns a sentence when lists expired."""
        if time.monotonic() < self._next:
            return []
        self._next = time.monotonic() + _LOOK_EVERY
        gone = self._state.screenings.expire()
        return [f"screening: {gone} lists expired"] if gone else []


def make(state: StateDatabase, vault: Vault, cipher: Cipher, patients: BitMap, ward: str, to: Account, lasts: dt.timedelta) -> int:
    """Seal the names of patients (decided before, see `projects.screening`) for one person; the list's number.

    The person is told that it waits, and where; never a name, nor how many.
    """
    people = [_person(vault, int(patient)) for patient in patients]
    body = orjson.dumps({"patients": list(patients), "rows": people})
    number = state.screenings.add(to.id, ward, cipher.seal(body, _place(to.id, ward)), lasts)
    state.news.tell(to.id, NewsKind.SCREENING, ward)
    return number


def hand_over(site: SiteServices, cipher: Cipher, number: int, to: Path) -> Screening:
    """Write a list as CSV into a new file that its owner alone may read; each patient is named in the trail first.

    UsageError when there is no such list, when it expired, or when the file exists. NotAllowed when the recipient
    may not have it any more, be it because somebody on it is now outside the person's perimeter.
    """
    state = site.state
    one = next((one for one in state.screenings.all() if one.id == number), None)
    if one is None or one.sealed is None or one.expires <= now():
        raise UsageError("There is no such list, or its time is over.", hint="estran screening list SITE")
    account = state.accounts.by_id(one.account_id)
    if account is None or account.disabled:
        raise UsageError("Nobody signs in under this name.")
    body = orjson.loads(cipher.open(one.sealed, _place(one.account_id, one.ward)))
    target = Target(f"hand over screening:{number} for:{one.login}", patients=tuple(body["patients"]))
    actor = Actor.of(account).bounded(state)
    inside = actor.perimeter.whole or all(map(site.snapshot().within(actor.perimeter).sees, target.patients))
    permit(state, actor, Action.SCREEN, replace(target, outside=not inside))
    permit(state, KEY_HOLDER, Action.SCREEN, target)
    _write(to, body["rows"])
    state.screenings.hand(number)
    state.news.tell(one.account_id, NewsKind.HANDED, one.ward)
    return one


def _write(to: Path, rows: list[list[str]]) -> None:
    text = io.StringIO()
    table = csv.writer(text, delimiter=";")
    table.writerow(COLUMNS)
    table.writerows([_plain(value) for value in row] for row in rows)
    try:
        handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError("The file exists already.", hint="name a new file") from None
    with os.fdopen(handle, "wb") as stream:
        stream.write(text.getvalue().encode("utf-8-sig"))


def _plain(value: str) -> str:
    """A value that no spreadsheet takes for a formula."""
    return f"'{value}" if value[:1] in "=+-@\t\r" and value else value


def _person(vault: Vault, patient: int) -> list[str]:
    held, known = vault.traits(patient), vault.known([patient])[patient]
    born = traits.birth(held)
    names = [" ".join(traits.winner(held, name) or ()) for name in COLUMNS[:2]]
    return [*names, born[0].isoformat() if born else "", " ".join(known.numbers)]


def _place(account_id: int, ward: str) -> bytes:
    return f"screening/{account_id}/{ward}".encode()
