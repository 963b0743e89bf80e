"""The people of a datamart: who answers the question, under which pseudonym, with which dates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyroaring import BitMap

from estran.cohort.engines import DuckDBEngine
from estran.cohort.query import leading
from estran.model.errors import UsageError
from estran.model.moments import EPOCH
from estran.projects.datamarts.spec import Spec
from estran.release.dates import shifts
from estran.release.rekey import ProjectKey
from estran.warehouse import Snapshot, bitmap, members


@dataclass(frozen=True)
class Members:
    """The patients chosen, in the order in which they are written: that of their pseudonyms."""

    patients: npt.NDArray[np.int64]
    table: pa.Table  # patient_id, patient (pseudonym), rank, index_day, shift

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def bitmap(self) -> BitMap:
        return bitmap(self.patients)


def choose(spec: Spec, snapshot: Snapshot, gone: BitMap, key: ProjectKey) -> Members:
    """The patients of the specification's question on `snapshot`, without `gone`: whoever objects today.

    UsageError when something is counted from an index date and the question gives none.
    """
    if spec.needs_index and leading(spec.cohort) is None:
        raise UsageError(
            "The question gives no index date.", hint="name a dated criterion, or leave windows and days out"
        )
    outcome = DuckDBEngine(snapshot).run(spec.cohort)
    patients = members(outcome.patients - gone)
    pseudonyms = np.array(key.pseudonyms(patients.tolist()), dtype=str)
    if len(np.unique(pseudonyms)) != len(pseudonyms):
        raise UsageError("Two patients have one pseudonym in this project.", hint="give the project another number")
    order = np.argsort(pseudonyms, kind="stable")
    patients, pseudonyms = patients[order], pseudonyms[order]
    dates = outcome.index_dates
    days = [dates.get(number) for number in patients.tolist()]
    table = pa.table({
        "patient_id": pa.array(patients, pa.int32()),
        "patient": pa.array(pseudonyms.tolist(), pa.string()),
        "rank": pa.array(np.arange(len(patients)), pa.int32()),
        "index_day": pa.array([None if day is None else (day - EPOCH).days for day in days], pa.int32()),
        "shift": pa.array(shifts(key, patients.tolist())),
    })  # fmt: skip
    return Members(patients, table)
