"""The family of a patient as the warehouse knows it: mothers, children, twins, over a few generations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from estran.projects.patients import PatientLine, read_patients
from estran.warehouse import Snapshot

MOST = 40  # members
_STEPS = 3  # ties between the patient and the farthest member


@dataclass(frozen=True)
class Ties:
    """Who is tied to whom: (mother, child) and pairs of twins; `rank` of birth of a child where it is known."""

    patient_id: int
    mothers: frozenset[tuple[int, int]]
    twins: frozenset[tuple[int, int]]
    ranks: dict[int, int]

    @property
    def members(self) -> tuple[int, ...]:
        """Everybody, the patient first."""
        others = {one for pair in self.mothers | self.twins for one in pair} - {self.patient_id}
        return (self.patient_id, *sorted(others))

    def mother_of(self, child: int) -> int | None:
        """The mother drawn above a child: where several are stated, the one of the lowest number."""
        return min((mother for mother, other in self.mothers if other == child), default=None)

    def children_of(self, mother: int) -> list[int]:
        """The children drawn under a mother, in order of birth as far as it is known, twins side by side."""
        mine = sorted({c for m, c in self.mothers if m == mother and self.mother_of(c) == mother}, key=self._order)
        return list(dict.fromkeys(one for child in mine for one in (child, *(t for t in self.twins_of(child) if t in mine))))

    def _order(self, child: int) -> tuple[int, int]:
        return self.ranks.get(child, 0), child

    def twins_of(self, person: int) -> list[int]:
        """Twins, triplets and so on of a person, without themselves."""
        found = {person}
        while wider := {one for pair in self.twins if found & set(pair) for one in pair} - found:
            found |= wider
        return sorted(found - {person}, key=self._order)

    def kinship(self, other: int) -> str:
        """What a member is to the patient, one word of a closed list."""
        own, mother, above = self.patient_id, self.mother_of(self.patient_id), self.mother_of(other)
        told = {
            "self": other == own, "mother": (other, own) in self.mothers, "child": (own, other) in self.mothers,
            "twin": other in self.twins_of(own), "sibling": above is not None and above == mother,
            "grandmother": (other, mother) in self.mothers, "grandchild": (own, above) in self.mothers,
        }  # fmt: skip
        return next((kind for kind, true in told.items() if true), "relative")


@dataclass(frozen=True)
class Member:
    """Somebody of the family and what they are to the patient."""

    line: PatientLine
    kinship: str


@dataclass(frozen=True)
class Family:
    """The family of a patient; all of them may be seen."""

    ties: Ties
    members: tuple[Member, ...]


def ties_of(snapshot: Snapshot, patient_id: int) -> Ties:
    """The ties around a patient, without anybody who may not be seen."""
    mothers: set[tuple[int, int]] = set()
    twins: set[tuple[int, int]] = set()
    ranks: dict[int, int] = {}
    known, edge = {patient_id}, {patient_id}
    for _ in range(_STEPS):
        found: set[int] = set()
        for patient, other, kind, rank in _rows(snapshot, edge):
            if len(known | found | {patient, other}) > MOST:
                continue
            found |= {patient, other}
            if kind == "twin":
                twins.add((min(patient, other), max(patient, other)))
                continue
            mother, child = (other, patient) if kind == "mother" else (patient, other)
            mothers.add((mother, child))
            if rank is not None:
                ranks[child] = rank
        edge = found - known
        known |= found
        if not edge:
            break
    return Ties(patient_id, frozenset(mothers), frozenset(twins), ranks)


def _rows(snapshot: Snapshot, people: Iterable[int]) -> list[tuple[int, int, str, int | None]]:
    with snapshot.connect() as connection:
        connection.register("around", pa.table({"one": pa.array(sorted(people), pa.int32())}))
        rows: list[tuple[int, int, str, int | None]] = connection.execute(
            """SELECT DISTINCT patient_id, other_id, kind, rank FROM relation
               WHERE kind IN ('mother', 'child', 'twin') AND patient_id <> other_id
                 AND (patient_id IN (SELECT one FROM around) OR other_id IN (SELECT one FROM around)) ORDER BY ALL"""
        ).fetchall()
        return rows


def read_family(snapshot: Snapshot, ties: Ties) -> Family:
    """The members as they may be shown."""
    lines = read_patients(snapshot, list(ties.members))
    return Family(ties, tuple(Member(line, ties.kinship(line.patient_id)) for line in lines))
