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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pyroaring import BitMap

from estran.cohort.engines.buckets import Bucket, calendar
from estran.cohort.engines.criteria import find
from estran.cohort.engines.evaluation import BucketRun, Run
from estran.cohort.engines.events import NO_DAY, Events, Ints, key_array, places
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
from estran.cohort.query import CodeCriterion, Family, Node, Or, Unit, at, leading, own_leaves, walk
from estran.cohort.query.tree import ROOT
from estran.model.moments import EPOCH

if TYPE_CHECKING:
    from estran.warehouse import Snapshot

WORKERS = max(1, min(8, os.cpu_count() or 1))
Found = TypeVar("Found")
_UNKNOWN = -100_000  # no age in years is as low
_NEVER = 1 << 40  # no day is as late


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
            sets=sets,
            attrition=steps(query, sets, self.lookups.population),
            stays=run.found if unit is Unit.STAY else None,
            documents=run.found if unit is Unit.DOCUMENT else None,
            unknown=tuple(f"{v}:{c}" for v, c in named_codes(query) if not self.snapshot.concept_ids(v, c)),
            elapsed_ms=(time.perf_counter() - started) * 1000,
            details=Details(
                lambda: _dates(*self._index_days(query, run, patients)),
                lambda: self._breakdown(patients, *self._index_days(query, run, patients)),
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

    def _index_days(self, query: Node, run: Run, patients: BitMap) -> tuple[Ints, Ints]:
        """Sorted patients with a dated event of the leading criterion, and the day of their first one."""
        path = leading(query)
        if path is None:
            return _none(), _none()
        leaves = _together(list(_alternatives(at(query, path), path)))

        def earliest(bucket: Bucket) -> tuple[Ints, Ints]:
            own = BucketRun(run, bucket, noting=False)
            found = [own.events(one, Unit.PATIENT, place, frozenset({"day"})) for one, place in leaves]
            return _first_days(found, key_array(patients & bucket.population))

        parts = self._each(False, earliest)
        owners, days = (np.concatenate([part[n] for part in parts]) if parts else _none() for n in (0, 1))
        order = np.argsort(owners, kind="stable")
        return owners[order], days[order]

    def _breakdown(self, patients: BitMap, owners: Ints, days: Ints) -> Breakdown:
        sex_age: Counter[tuple[str, int | None]] = Counter()
        today = (self.snapshot.date - EPOCH).days
        for bucket in self.buckets:
            mine = key_array(patients & bucket.population)
            sex_age.update(_sexes_and_ages(bucket, mine, _on_days(mine, owners, days, today)))
        years, counts = np.unique(calendar(days)[0], return_counts=True)
        return Breakdown(dict(sex_age), dict(zip(years.tolist(), counts.tolist(), strict=True)))

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


def _dates(owners: Ints, days: Ints) -> dict[int, dt.date]:
    return {owner: EPOCH + dt.timedelta(day) for owner, day in zip(owners.tolist(), days.tolist(), strict=True)}


def _none() -> Ints:
    return np.zeros(0, np.int64)


def _alternatives(node: Node, path: str) -> Iterator[tuple[Node, str]]:
    """What an event of the node may be an event of: the criteria joined by or, which need not be told apart here."""
    if isinstance(node, Or):
        for number, child in enumerate(node.of):
            yield from _alternatives(child, f"{path}.{number}")
    else:
        yield node, path


def _together(leaves: list[tuple[Node, str]]) -> list[tuple[Node, str]]:
    """The same alternatives, with those that only name codes made one: their facts are then read in one go."""
    plain = [leaf for leaf, _ in leaves if isinstance(leaf, CodeCriterion) and leaf.plain]
    plain = [leaf for leaf in plain if not any(code.excluded for code in leaf.codes)]
    if len(plain) < 2:
        return leaves
    merged = CodeCriterion(tuple(dict.fromkeys(code for leaf in plain for code in leaf.codes)))
    return [(merged, ""), *(one for one in leaves if one[0] not in plain)]


def _first_days(parts: list[Events], patients: Ints) -> tuple[Ints, Ints]:
    """Those of the sorted patients who have a dated event, and the day of their first one."""
    if not len(patients):
        return _none(), _none()
    base = int(patients[0])
    first = np.full(int(patients[-1]) - base + 1, _NEVER)
    for events in parts:
        mine = (events.days != NO_DAY) & (events.patient >= base) & (events.patient <= patients[-1])
        np.minimum.at(first, events.patient[mine] - base, events.days[mine])
    days = first[patients - base]
    return patients[days != _NEVER], days[days != _NEVER]


def _on_days(patients: Ints, owners: Ints, days: Ints, today: int) -> Ints:
    """The index day of each patient, today for those who have none."""
    place = places(patients, owners)
    return np.where(place >= 0, days[place], today) if len(days) else np.full(len(patients), today, np.int64)


def _sexes_and_ages(bucket: Bucket, patients: Ints, days: Ints) -> Counter[tuple[str, int | None]]:
    """Patients by sex and age band on days."""
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
