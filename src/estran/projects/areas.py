"""Where the patients of a question live: by département, each number through the gate, none to be worked out.

Every département is a part, whether somebody lives there or not; so are "elsewhere" and "unknown": a part left out
would tell that nobody is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from pyroaring import BitMap

from estran.projects.gate import Answer, ResultGate, Shown
from estran.terminology.departments import departments
from estran.warehouse import Snapshot

ELSEWHERE, UNKNOWN = "elsewhere", "unknown"


@dataclass(frozen=True)
class Areas:
    """Patients by code of département, by `ELSEWHERE` and by `UNKNOWN`; None for a part that is withheld."""

    total: Shown
    parts: Mapping[str, Shown | None]

    @property
    def told(self) -> list[tuple[str, Shown]]:
        """The parts that are told, the largest first."""
        found = [(part, shown) for part, shown in self.parts.items() if shown is not None]
        return sorted(found, key=lambda one: (-one[1].value, one[0]))

    @property
    def withheld(self) -> int:
        """How many parts are not told."""
        return sum(shown is None for shown in self.parts.values())


def areas(snapshot: Snapshot, gate: ResultGate, patients: BitMap, answer: Answer) -> Areas:
    """The answered set by area."""
    counts = dict.fromkeys([*departments(), ELSEWHERE, UNKNOWN], 0)
    for area, count in _counted(snapshot, patients):
        counts[UNKNOWN if area is None else area if area in counts else ELSEWHERE] += count
    return Areas(answer.shown, gate.parts(answer, "area", counts))


def _counted(snapshot: Snapshot, patients: BitMap) -> list[tuple[str | None, int]]:
    with snapshot.connect() as connection:
        connection.register("chosen", pa.table({"patient_id": pa.array(patients.to_array(), pa.uint32()).cast(pa.int32())}))
        sql = "SELECT residence_area, count(*) FROM patient SEMI JOIN chosen USING (patient_id) GROUP BY ALL"
        rows: list[tuple[str | None, int]] = connection.execute(sql).fetchall()
        return rows
