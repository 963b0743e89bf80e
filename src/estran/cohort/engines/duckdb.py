"""The fast engine: presence bitmaps, the snapshot's fast slice of facts, DuckDB for the rest, bucket by bucket.

Code sets at patient or stay scope are unions of presence bitmaps. A criterion on values, dates or
context reads the facts of its concepts only, as columns, and compares them with numpy. Stays,
movements, documents, parents and last traces are read by DuckDB, once per bucket, and kept. Keep
one engine per snapshot: it gets faster with use, and may be shared between threads.
"""

from __future__ import annotations

import datetime as dt
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pyroaring import BitMap

from estran.cohort.engines.buckets import Bucket
from estran.cohort.engines.criteria import find
from estran.cohort.engines.evaluation import BucketRun, Run
from estran.cohort.engines.events import NO_DAY, Ints, contained, key_array
from estran.cohort.engines.lookups import Lookups
from estran.cohort.engines.matches import NEEDED, matches
from estran.cohort.engines.outcome import (
    Breakdown,
    Details,
    Match,
    Outcome,
    band,
    check_runnable,
    found_units,
    named_codes,
    steps,
)
from estran.cohort.query import Family, Node, Unit, at, leading, own_leaves, walk
from estran.cohort.query.tree import ROOT
from estran.model.moments import EPOCH

if TYPE_CHECKING:
    from estran.warehouse import Snapshot

WORKERS = max(1, min(8, os.cpu_count() or 1))
Found = TypeVar("Found")
_UNKNOWN = -100_000  # no age in years is as low


class DuckDBEngine:
    """Answers over one snapshot; `within` keeps the answers to some patients, as if there were no others."""

    def __init__(self, snapshot: Snapshot, within: BitMap | None = None) -> None:
        self.snapshot = snapshot
        self.lookups = Lookups(snapshot, within)
        self._buckets: dict[int, Bucket] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(WORKERS, "estran-cohort")

    @property
    def buckets(self) -> list[Bucket]:
        """The buckets that hold a patient to answer for."""
        with self._lock:
            for number in self.snapshot.buckets:
                if number not in self._buckets:
                    self._buckets[number] = Bucket(self.snapshot, number, self.lookups.population)
            return [bucket for bucket in self._buckets.values() if bucket.population]

    def run(self, query: Node) -> Outcome:
        """The answer; UsageError when the question still names a cohort."""
        check_runnable(query)
        started = time.perf_counter()
        run = self._evaluate(query)
        sets = run.sets
        patients = sets[ROOT]
        unit = found_units(query)
        return Outcome(
            version=self.snapshot.version,
            patients=patients,
            counts={path: len(found) for path, found in sets.items()},
            attrition=steps(query, sets, self.lookups.population),
            stays=run.found if unit is Unit.STAY else None,
            documents=run.found if unit is Unit.DOCUMENT else None,
            unknown=tuple(f"{v}:{c}" for v, c in named_codes(query) if not self.snapshot.concept_ids(v, c)),
            elapsed_ms=(time.perf_counter() - started) * 1000,
            details=Details(
                lambda: self._index_dates(query, run, patients),
                lambda dates: self._breakdown(patients, dates),
                lambda patient: self._evidence(query, patient),
            ),
        )

    def _evaluate(self, query: Node) -> Run:
        """Relatives first, since they may be in other buckets; then the question, bucket by bucket."""
        run = Run(query, self.lookups)
        families = [(path, node) for path, node in walk(query) if isinstance(node, Family)]
        for path, family in reversed(families):
            inside = f"{path}.0"
            self._each(run.simple(family.child), partial(run.patients, family.child, inside))
            run.relatives[path] = self.lookups.relatives(family.kin, run.sets[inside])
        self._each(run.simple(query), lambda bucket: BucketRun(run, bucket).whole())
        return run

    def _each(self, simple: bool, work: Callable[[Bucket], Found]) -> list[Found]:
        """One piece of work per bucket; what bitmaps answer is over before a thread would start."""
        buckets = self.buckets
        if simple or len(buckets) < 2:
            return [work(bucket) for bucket in buckets]
        return list(self._pool.map(work, buckets))

    def _index_dates(self, query: Node, run: Run, patients: BitMap) -> dict[int, dt.date]:
        path = leading(query)
        if path is None:
            return {}
        node = at(query, path)

        def earliest(bucket: Bucket) -> tuple[Ints, Ints]:
            events = BucketRun(run, bucket, noting=False).events(node, Unit.PATIENT, path, frozenset({"day"}))
            events = events.take((events.days != NO_DAY) & contained(events.patient, key_array(patients)))
            order = np.lexsort((events.days, events.patient))
            patient, first = np.unique(events.patient[order], return_index=True)
            return patient, events.days[order][first]

        found: dict[int, dt.date] = {}
        for patient, day in self._each(False, earliest):
            found.update(zip(patient.tolist(), (EPOCH + dt.timedelta(d) for d in day.tolist()), strict=True))
        return found

    def _breakdown(self, patients: BitMap, dates: Mapping[int, dt.date]) -> Breakdown:
        sex_age: Counter[tuple[str, int | None]] = Counter()
        today = (self.snapshot.date - EPOCH).days
        index = np.array([(n, (d - EPOCH).days) for n, d in dates.items()], np.int64).reshape(-1, 2)
        index = index[np.argsort(index[:, 0])]
        for bucket in self.buckets:
            sex_age.update(_sexes_and_ages(bucket, key_array(patients & bucket.population), index, today))
        return Breakdown(dict(sex_age), dict(Counter(date.year for date in dates.values())))

    def _evidence(self, query: Node, patient: int) -> dict[str, list[Match]]:
        leaves = [(path, leaf) for path, leaf in own_leaves(query) if leaf.dated]
        bucket = next((b for b in self.buckets if patient in b.population), None)
        if bucket is None:
            return {path: [] for path, _ in leaves}
        found = {}
        for path, leaf in leaves:
            events = find(bucket, self.lookups, leaf, Unit.PATIENT, NEEDED)
            found[path] = matches(bucket, events.take(events.patient == patient))
        return found


def _sexes_and_ages(
    bucket: Bucket, patients: Ints, index: Ints, today: int
) -> Counter[tuple[str, int | None]]:
    """Patients by sex and age band; `index` holds sorted patients with the day of their index date."""
    place = np.searchsorted(index[:, 0], patients)
    dated = contained(patients, index[:, 0])
    days = np.full(len(patients), today, np.int64)
    days[dated] = index[place[dated], 1]
    years, known = bucket.ages(patients, days)
    sexes = bucket.patients.words("sex")
    codes = sexes.codes[np.searchsorted(bucket.patient_ids, patients)]
    # One number per sex and age, sex in the low digit, so that one pass over the patients counts them.
    kinds, counts = np.unique(np.where(known, years, _UNKNOWN) * len(sexes.words) + codes, return_counts=True)
    found: Counter[Any] = Counter()
    for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
        age, code = divmod(kind, len(sexes.words))
        found[sexes.words[code], band(None if age == _UNKNOWN else age)] += count
    return found
