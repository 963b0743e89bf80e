"""Whom the subjects of a file are: gathered from its columns, looked up in the vault."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyroaring import BitMap

from estran.identity.likeness import People, Sought, is_sure
from estran.identity.vault import Vault
from estran.keeping.lists import holders_of
from estran.model.errors import InputRefused
from estran.projects.lists import NumberKind
from estran.projects.owndata.recipe import Link, Plan
from estran.projects.site import SiteServices
from estran.sources.study.sheet import Item, Kind, Sheet
from estran.sources.study.values import typed

Identity = tuple[str, ...]  # a number, or family name, given name, birth and sex
MOST_SUBJECTS = 2_000_000
_MALE, _FEMALE = {"m", "male", "h", "homme", "masculin", "1"}, {"f", "female", "femme", "féminin", "feminin", "2"}


@dataclass
class Gathered:
    """Subjects of a file with the identities that it gives them, and the columns that each of its tables has."""

    given: dict[str, set[Identity]] = field(default_factory=dict)
    columns: dict[str, dict[str, None]] = field(default_factory=dict)

    def take(self, sheet: Sheet, plan: Plan) -> None:
        """What one sheet adds."""
        there = self.columns.setdefault(sheet.table, {})
        there.update(dict.fromkeys(name for name in sheet.cells.column_names if name in plan.items))
        for subject in pc.unique(sheet.subjects).to_pylist():
            self.given.setdefault(subject, set())
        for subject, identity in _stated(sheet, plan.link_columns):
            self.given[subject].add(identity)
        if len(self.given) > MOST_SUBJECTS:
            raise InputRefused("The file has too many subjects.", hint=f"at most {MOST_SUBJECTS}")


def _stated(sheet: Sheet, columns: Sequence[str]) -> Iterable[tuple[str, Identity]]:
    """(subject, identity) where a row states one, each pair once."""
    if not columns or not any(name in sheet.cells.column_names for name in columns):
        return
    parts = [
        pc.utf8_trim_whitespace(pc.fill_null(sheet.cells[name], "")) if name in sheet.cells.column_names
        else pa.array([""] * len(sheet), pa.string())
        for name in columns
    ]  # fmt: skip
    names = [f"c{n}" for n in range(len(parts))]
    pairs = pa.table([sheet.subjects, *parts], names=["s", *names]).group_by(["s", *names]).aggregate([])
    for row in pairs.to_pylist():
        if row["c0"]:
            yield row["s"], tuple(row[name] for name in names)


def links_of(content: bytes) -> dict[str, set[Identity]]:
    """A table of links: the subject, then the number, one pair per line; a first line without digits names columns."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    first = text.partition("\n")[0]
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=max(";,\t", key=first.count)))
    except csv.Error:
        raise InputRefused("The table of links is not a CSV file.") from None
    if rows and not any(character.isdigit() for character in "".join(rows[0])):
        rows = rows[1:]
    found: dict[str, set[Identity]] = {}
    for row in rows:
        if len(row) >= 2 and row[0].strip() and row[1].strip():
            found.setdefault(row[0].strip(), set()).add((row[1].strip(),))
    if not found:
        raise InputRefused("The table of links holds no pair.", hint="the subject, then the number, on each line")
    return found


@dataclass(frozen=True)
class Found:
    """Whose a subject is: an identity, one that is doubtful, or why there is none."""

    identity: int = -1
    why: str = ""
    score: float = 1.0
    sought: Sought | None = None


class Finder:
    """Looks subjects up. `allowed` are the patients whom the project may hold."""

    def __init__(self, site: SiteServices, vault: Vault, plan: Plan, allowed: BitMap) -> None:
        self._site, self._vault, self._plan, self._allowed = site, vault, plan, allowed

    def find(self, given: Mapping[str, set[Identity]]) -> dict[str, Found]:
        """What is found of each subject."""
        found = {name: Found(why="no-identity" if not said else "contradictory") for name, said in given.items()}
        one = {name: next(iter(said)) for name, said in given.items() if len(said) == 1}
        by_name = self._plan.recipe.link is Link.PERSON and not self._plan.table_of_links
        return found | (self._persons(one) if by_name else self._numbers(one))

    def _numbers(self, one: Mapping[str, Identity]) -> dict[str, Found]:
        kind = NumberKind.INS if self._plan.recipe.link is Link.INS else NumberKind.NUMBER
        numbers = ["".join(identity[0].split()) for identity in one.values()]
        holders = holders_of(self._site, self._vault, numbers, kind, self._plan.recipe.authority)
        return {name: self._settled(held) for name, held in zip(one, holders, strict=True)}

    def _settled(self, held: Sequence[int]) -> Found:
        patients = self._vault.patient_of(np.array(held, np.int32)).tolist()
        seen = {
            int(patient): identity for patient, identity in zip(patients, held, strict=True) if patient in self._allowed
        }
        if len(seen) > 1:
            return Found(why="ambiguous")
        return Found(next(iter(seen.values()))) if seen else Found(why="no-patient")

    def _persons(self, one: Mapping[str, Identity]) -> dict[str, Found]:
        if not one:
            return {}
        people = People(self._vault.everybody())  # those whom the project may not hold too: one of them may be a rival
        births = typed(pa.chunked_array([pa.array([who[2] for who in one.values()], pa.string())]),
                       Item("birth", Kind.DATE), self._plan.recipe.dates).values.to_pylist()  # fmt: skip
        return {name: self._matched(people, who, born) for (name, who), born in zip(one.items(), births, strict=True)}

    def _matched(self, people: People, who: Identity, born: dt.date | None) -> Found:
        sex = who[3].lower() if len(who) > 3 else ""
        sought = Sought(
            who[0], tuple(who[1].split()), "male" if sex in _MALE else "female" if sex in _FEMALE else "", born
        )
        matches = people.matches(sought)
        if not matches or matches[0][1].patient_id not in self._allowed:
            return Found(why="no-patient")
        score, best = matches[0]
        return Found(best.patient_id, "" if is_sure(matches) else "doubtful", score, sought)
