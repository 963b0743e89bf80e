"""Lists of patient numbers: handed in on a page, looked up where the key is, saved as a cohort of pseudonymous numbers.

Two rules keep a list from telling which pseudonymous patient a known person is: it must find as many patients as the
result gate asks for, and must not differ from another list by fewer than the gate tells apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from pyroaring import BitMap

from estran.cohort.language import json as question_json
from estran.cohort.query import IdList
from estran.identity import boxes
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.gate import Shown, gate_of, rules_of
from estran.projects.policy import Action, Target
from estran.projects.site import SiteServices
from estran.state import PatientList

MOST = 10_000  # numbers in a list
_DELIMITERS = ";\t,"


class NumberKind(StrEnum):
    """What the numbers of a list are."""

    NUMBER = "number"  # of the hospital
    INS = "ins"  # the national identifier


@dataclass(frozen=True)
class Looked:
    """What the vault knows of a list, line by line: read = found + missing + ambiguous. `patients` may repeat none."""

    read: int
    found: int
    missing: int
    ambiguous: int
    patients: BitMap


@dataclass(frozen=True)
class ListLine:
    """A list asked for and its counts as they may be shown, None until it is read or when it was refused."""

    asked: PatientList
    read: int | None
    found: Shown | None
    missing: Shown | None
    ambiguous: Shown | None


class Lists:
    """One person's lists."""

    def __init__(self, site: SiteServices, actor: Actor) -> None:
        self._site, self._state = site, site.state
        self.actor = actor

    def hand_in(self, name: str, kind: str, authority: str, content: bytes) -> int:
        """Leave a list for the process that holds the key; UsageError when it cannot be one."""
        permit(self._state, self.actor, Action.IMPORT, Target("hand in a list"))
        if self.actor.account_id is None:
            raise UsageError("Cohorts are saved under an account.", hint="sign in to the portal")
        name = named(name)
        if kind not in set(NumberKind):
            raise UsageError("Patient numbers are those of the hospital or INS.")
        numbers_in(content)  # an unreadable file is told at once
        door = self._state.patient_lists.door.public
        if door is None:
            raise UsageError("The process that holds the key never ran here.", hint="estran run SITE")
        return self._state.patient_lists.ask(
            self.actor.account_id, name, kind, authority.strip()[:200], boxes.close(door, content)
        )

    def mine(self) -> list[ListLine]:
        """My last lists, the newest first."""
        permit(self._state, self.actor, Action.IMPORT, Target("my lists"))
        return [_line(one) for one in self._state.patient_lists.of(self.actor.account_id or 0)]


def named(name: str) -> str:
    """The name of a list, tidy; UsageError when it has none."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= 200:
        raise UsageError("A cohort needs a name of 1 to 200 characters.")
    return name


def numbers_in(content: bytes) -> list[str]:
    """The numbers of a CSV file: the first field of each line, without a heading; UsageError when there are none.

    No message repeats what is in the file.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    firsts = [_first(line) for line in text.splitlines()]
    found = [number for number in firsts if number]
    if found and not any(character.isdigit() for character in found[0]):
        found = found[1:]
    if not found:
        raise UsageError("The file holds no number.", hint="one number per line, first")
    if len(found) > MOST:
        raise UsageError(f"A list holds at most {MOST} numbers.", hint="make several lists of it")
    if any(len(number) > 64 or not number.isprintable() for number in found):
        raise UsageError("The file is not a list of numbers.", hint="one number per line, first")
    return found


def _first(line: str) -> str:
    for delimiter in _DELIMITERS:
        line = line.partition(delimiter)[0]
    return "".join(line.strip().strip("\"'").split())


def settle(site: SiteServices, actor: Actor, owner_id: int, name: str, looked: Looked, protect: bool = True) -> tuple[str, int]:
    """Save what a list found as a cohort of its owner: its counts as `actor` may see them (JSON), and the cohort.

    NotAllowed when it finds too few patients, or nearly those of another list; the key holder may (`protect` false).
    """
    gate = gate_of(actor, site.state, site.settings)
    if protect:
        _mind(site, looked.patients)
    total = gate.answers({"found": looked.patients})["found"].shown
    query = question_json.dumps(IdList(tuple(looked.patients)))
    saved = site.state.cohorts.save(owner_id, name, query, "", site.snapshot().version, total.value)
    counts: dict[str, object] = {"read": looked.read}
    for what in ("found", "missing", "ambiguous"):
        shown = gate.show(getattr(looked, what), f"list/{saved.id}/{what}")
        counts[what] = [shown.value, shown.below, shown.margin]
    return json.dumps(counts), saved.cohort_id


def _mind(site: SiteServices, patients: BitMap) -> None:
    rules = rules_of(site.settings)
    if len(patients) < rules.floor:
        raise NotAllowed(f"A list must find at least {rules.floor} patients.", hint="ask the holder of the key")
    for number in site.state.patient_lists.cohorts():
        cohort = site.state.cohorts.cohort(number)
        for version in cohort.versions if cohort else ():
            query = question_json.loads(version.query)
            if isinstance(query, IdList) and 0 < len(BitMap(query.ids) ^ patients) < rules.near:
                raise NotAllowed(
                    "This list is nearly another one: the difference would tell who a few patients are.",
                    hint="ask the holder of the key",
                )


def read_waiting(site: SiteServices, opener: boxes.Opener, look_up: Callable[[list[str], PatientList], Looked]) -> int:
    """Read the lists that wait, each under its owner's rights as they are now; returns how many there were."""
    waiting = site.state.patient_lists.waiting()
    for one in waiting:
        try:
            outcome, cohort = _read(site, one, opener, look_up)
        except (NotAllowed, UsageError) as error:
            site.state.patient_lists.end(one.id, problem=error.what)
        else:
            site.state.patient_lists.end(one.id, outcome=outcome, cohort_id=cohort)
    return len(waiting)


def _read(
    site: SiteServices, one: PatientList, opener: boxes.Opener, look_up: Callable[[list[str], PatientList], Looked]
) -> tuple[str, int]:
    account = site.state.accounts.by_id(one.account_id)
    if account is None or account.disabled:
        raise NotAllowed("This account is disabled.")
    actor = Actor.of(account).bounded(site.state)
    permit(site.state, actor, Action.IMPORT, Target(f"list:{one.id}"), snapshot=site.snapshot().version)
    looked = look_up(numbers_in(opener.open(one.sealed or b"")), one)
    return settle(site, actor, account.id, one.name, looked)


def _line(one: PatientList) -> ListLine:
    counts = json.loads(one.outcome) if one.outcome else None
    if counts is None:
        return ListLine(one, None, None, None, None)
    return ListLine(one, counts["read"], Shown(*counts["found"]), Shown(*counts["missing"]), Shown(*counts["ambiguous"]))
