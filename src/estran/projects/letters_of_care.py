"""The care side: who must be informed, with names and addresses, for the key holder alone.

The list is written once to a file that only its owner reads, outside the site; the site keeps who was on it, by
pseudonymous number, and when the letters went out.
"""

from __future__ import annotations

import csv
import datetime as dt
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from estran.identity import traits as folding
from estran.model.errors import StoreError, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target
from estran.state import StateDatabase
from estran.warehouse import Snapshot

if TYPE_CHECKING:
    from estran.identity.vault import Vault

MAJORITY, OF_AGE = "majority", 18  # years
CHANNELS = ("post", "mail", "in person", "portal")
COLUMNS = (
    "list", "notice", "channel", "numbers", "family_name", "given_names", "birth_date", "address", "postcode", "city", "mail"
)  # fmt: skip


@dataclass(frozen=True)
class Written:
    """A list that was written: its number, how many letters, where."""

    list_no: int
    letters: int
    path: Path


def to_inform(state: StateDatabase, snapshot: Snapshot, notice: str) -> list[int]:
    """Living patients of the warehouse who are on no list of this notice; opposed ones know already."""
    told = state.letters.told(notice)
    with snapshot.connect() as connection:
        rows = connection.execute("select patient_id from patient where death_date is null order by 1").fetchall()
    return [row[0] for row in rows if row[0] not in told]


def come_of_age(state: StateDatabase, snapshot: Snapshot, vault: Vault, today: dt.date, within: int = 0) -> list[int]:
    """Patients whose data came here when they were minors, who are 18 or will be within some days, and to whom no
    letter went out since. Those whom a guardian opposed are among them: it is theirs to decide now.
    """
    limit = today + dt.timedelta(days=within)
    with snapshot.connect() as connection:
        rows = connection.execute(
            """select patient_id, birth_month from raw_patient
               semi join (select patient_id, min(start_date) as first from raw_document group by all) d
               on d.patient_id = raw_patient.patient_id and d.first < raw_patient.birth_month + interval 18 year + interval 1 month
               where death_date is null and birth_month + interval 18 year <= ? order by 1""",
            [limit],
        ).fetchall()
    told = state.letters.told(MAJORITY)
    due = [row[0] for row in rows if row[0] not in told]
    births = vault.birth_dates(due)
    exact = {patient: _day(int(days)) for patient, days in zip(due, births.tolist(), strict=True)}
    months = {row[0]: row[1] for row in rows}
    return [patient for patient in due if _birthday(exact[patient] or _month_end(months[patient])) <= limit]


def write_list(
    state: StateDatabase, actor: Actor, vault: Vault, patients: Sequence[int], notice: str, channel: str, out: Path, site: Path
) -> Written:  # fmt: skip
    """Write names and addresses of those to be informed to a new file that only its owner reads.

    Nobody counts as listed before all of the file is on the disk. UsageError when the file is inside the site or exists
    already, or the channel is unknown; StoreError when it cannot be written.
    """
    permit(state, actor, Action.IDENTITIES, Target(f"letters:{notice} {channel}", patients=tuple(patients)))
    if channel not in CHANNELS:
        raise UsageError("There is no such channel.", hint=", ".join(CHANNELS))
    if out.resolve().is_relative_to(site.resolve()):
        raise UsageError("Names are never kept inside the site.", where=str(out), hint="name a file elsewhere")
    if out.exists():
        raise UsageError("This file is there already.", where=str(out), hint="name a new file")
    number, part = state.letters.next_number(), out.with_name(out.name + ".part")
    with _new_file(part) as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows([number, notice, channel, *row] for row in _rows(vault, patients))
    if not state.letters.keep(number, notice, channel, patients):
        part.unlink()
        raise StoreError("Another list was written meanwhile.", hint="try again")
    part.rename(out)
    return Written(number, len(patients), out)


@contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    """A file that only its owner reads, on the disk at the end, gone when anything fails before."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError("This file is there already.", where=str(path), hint="name a new file") from None
    except OSError:
        raise StoreError("The list cannot be written there.", where=str(path)) from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        path.unlink()
        raise


def sent(state: StateDatabase, actor: Actor, list_no: int, day: dt.date) -> int:
    """The letters of a list went out; UsageError when none of them was waiting."""
    permit(state, actor, Action.IDENTITIES, Target(f"letters sent:{list_no}"))
    done = state.letters.sent(list_no, day)
    if not done:
        raise UsageError("No letter of this list waits to be sent.")
    return done


def _rows(vault: Vault, patients: Iterable[int]) -> Iterable[list[str]]:
    for patient in patients:
        traits = vault.traits(patient)
        numbers = vault.known([patient])[patient].numbers
        birth = folding.birth(traits)
        row = [
            " ".join(numbers), *(_said(folding.winner(traits, name)) for name in ("family_names", "given_names")),
            birth[0].isoformat() if birth else "",
            *(_said(folding.winner(traits, name)) for name in ("addresses", "postcode", "city", "mails")),
        ]  # fmt: skip
        yield [f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value for value in row]


def _said(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")


def _day(days: int) -> dt.date | None:
    """None when the vault does not know the day."""
    return dt.date(1970, 1, 1) + dt.timedelta(days=days) if days > -(10**6) else None


def _birthday(birth: dt.date) -> dt.date:
    """The eighteenth; that of 29 February is 1 March in a year without it."""
    try:
        return birth.replace(year=birth.year + OF_AGE)
    except ValueError:
        return dt.date(birth.year + OF_AGE, 3, 1)


def _month_end(month: dt.date) -> dt.date:
    """Nobody is told before they are of age: the last day of the month stands for a day that is not known."""
    return (month.replace(day=28) + dt.timedelta(days=4)).replace(day=1) - dt.timedelta(days=1)
