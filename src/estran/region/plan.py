"""What is asked for: how many patients, from which seed, over which days, in which hospitals."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from estran.model.errors import UsageError
from estran.region.library import Hospital, hospitals

SHARD_PATIENTS = 1_000  # part of the seed: another number would make other people
FIRST_DAY, DAYS = dt.date(2023, 1, 1), 1096


@dataclass(frozen=True, slots=True)
class Plan:
    """The same plan makes the same bytes, whatever the number of processes.

    `texts` is the most free-text reports per patient; `samples` whether to write image, signal and
    variant files, PDF and CDA.
    """

    patients: int
    seed: int = 1
    sites: int = 6
    first_day: dt.date = FIRST_DAY
    days: int = DAYS
    texts: int = 1_000
    samples: bool = True

    def __post_init__(self) -> None:
        """Raises UsageError."""
        if not 1 <= self.patients <= 100_000_000:
            raise UsageError("The number of patients must be between 1 and 100 million.")
        if self.sites not in (6, 9):
            raise UsageError("The region has six hospitals, or nine.", hint="--sites six or --sites nine")
        if not 30 <= self.days <= 7_305:
            raise UsageError("The period must be between 30 days and 20 years long.")

    @property
    def start(self) -> int:
        """First day, in days since 1970."""
        return self.first_day.toordinal() - 719_163

    @property
    def end(self) -> int:
        """The day after the last one."""
        return self.start + self.days

    @property
    def shards(self) -> int:
        return -(-self.patients // SHARD_PATIENTS)

    @property
    def hospitals(self) -> tuple[Hospital, ...]:
        return hospitals(self.sites)

    def size(self, shard: int) -> int:
        """Patients of a shard."""
        return min(SHARD_PATIENTS, self.patients - shard * SHARD_PATIENTS)
