"""A site's part of a statistic over a network: the rows of the patients asked about, for sums that leave under masks.

Who is in them is decided as for a count: opposition to sharing with hubs, floor, one answer for nearly the same
patients, quota. The rows are read once, when a study begins, so that every round is of the same; whoever objects
meanwhile ends the study here.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from estran.cohort.query import Node, leading
from estran.model.errors import NotAllowed
from estran.projects.audit import permit
from estran.projects.datamarts.analysis import PATIENT, Wanted, analysis_table
from estran.projects.gate import Shown
from estran.projects.network import NetworkClerk
from estran.projects.policy import Action, Target


class StatisticsClerk(NetworkClerk):
    """Rows for the statistics of one hub at one site. NotAllowed when the policy, or the quota, says no."""

    @property
    def floor(self) -> int:
        """Patients under whom nothing is told."""
        return self._floor

    def table(self, query: Node, wanted: Wanted, target: str) -> pa.Table:
        """The columns of the patients who answer a question; NotAllowed when they are too few."""
        return self.counted_table(query, wanted, target)[1]

    def counted_table(self, query: Node, wanted: Wanted, target: str) -> tuple[Shown, pa.Table]:
        """The same, and how many they are, as it may be told."""
        counted = self.count(query, target, Action.HUB_STATISTICS)
        if counted.shown.below:
            raise NotAllowed(f"Fewer than {self._floor} patients of this site answer the question.")
        index = self._view.answers.run(query).index_dates if leading(query) is not None else {}
        patients = counted.patients & self.everybody()
        return counted.shown, analysis_table(self._view.snapshot, query, wanted, patients, index)

    def again(self, table: pa.Table, target: str) -> None:
        """Have one more round of the same rows recorded; NotAllowed when somebody in them is not there any more."""
        self.still(BitMap(table.column(PATIENT).to_numpy().astype(np.uint32)), target)

    def still(self, patients: BitMap, target: str) -> None:
        """The same of rows that are kept elsewhere."""
        permit(self._state, self.actor, Action.HUB_STATISTICS, Target(target), snapshot=self.version)
        if not patients <= self.everybody():
            raise NotAllowed("The patients of this site are not the same any more.", hint="ask again")
