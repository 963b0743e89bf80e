"""The memory engine: slow, obvious, and the truth that the others must agree with.

Everything is a set. `holds` gives the units (patients, stays...) of a scope for which a node is true;
`events` gives, for a node with dates, its events together with the units they belong to.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap

from estran.cohort.engines import rows as tables
from estran.cohort.engines.finders import Finders
from estran.cohort.engines.outcome import (
    Breakdown,
    Details,
    Match,
    Outcome,
    age_on,
    band,
    check_runnable,
    found_units,
    named_codes,
    steps,
)
from estran.cohort.engines.scopes import KIND_NAMES, MOVEMENT, Event, Key, Scopes, Seen
from estran.cohort.query import (
    And,
    AtLeast,
    CodeCriterion,
    During,
    Everyone,
    Family,
    FollowUp,
    IdList,
    Node,
    Not,
    Occurrence,
    Or,
    Rank,
    Same,
    Sequence,
    TimeUnit,
    Unit,
    Washout,
    Window,
    at,
    leading,
    own_leaves,
)
from estran.cohort.query.tree import ROOT
from estran.model.codes import Precision
from estran.model.moments import EPOCH, utc_minutes

if TYPE_CHECKING:
    from estran.warehouse import Snapshot

Pairs = set[tuple[Key, Event]]


class MemoryEngine:
    """Answers over a snapshot, or over rows given directly."""

    def __init__(self, source: Snapshot | tables.Rows, within: BitMap | None = None) -> None:
        """`within`: answer for these patients only, as if there were no others."""
        self.rows = source if isinstance(source, tables.Rows) else tables.read(source, within)

    def run(self, query: Node) -> Outcome:
        """The answer; UsageError when the question still names a cohort."""
        check_runnable(query)
        started = time.perf_counter()
        run = _Run(self.rows)
        keys = run.holds(query, Unit.PATIENT, ROOT)
        patients = BitMap(key[0] for key in keys)
        population = BitMap(self.rows.patients)
        return Outcome(
            version=self.rows.version,
            patients=patients,
            sets=run.sets,
            attrition=steps(query, run.sets, population),
            stays=run.units(query, Unit.STAY),
            documents=run.units(query, Unit.DOCUMENT),
            unknown=tuple(f"{v}:{c}" for v, c in named_codes(query) if not run.finders.concepts(v, c)),
            elapsed_ms=(time.perf_counter() - started) * 1000,
            details=Details(
                lambda: run.index_dates(query, patients),
                lambda: run.breakdown(patients, run.index_dates(query, patients)),
                lambda patient: run.evidence(query, patient),
            ),
        )


class _Run:
    """One question being answered. `sets`: for each path, the patients for whom the node holds."""

    def __init__(self, rows: tables.Rows) -> None:
        self.rows = rows
        self.scopes = Scopes(rows)
        self.finders = Finders(rows)
        self.sets: dict[str, BitMap] = {}

    def note(self, path: str, keys: set[Key], unit: Unit) -> set[Key]:
        """Remember the patients of a node's units."""
        self.sets[path] = BitMap(self.scopes.patient(key, unit) for key in keys)
        return keys

    def holds(self, node: Node, unit: Unit, path: str) -> set[Key]:
        """The units of the scope for which the node is true."""
        rule = _HOLDS.get(type(node))
        if isinstance(node, Or) or (rule is not None and not node.dated):
            return self.note(path, _HOLDS[type(node)](self, node, unit, path), unit)
        if node.dated:
            return {key for key, _ in self.events(node, unit, path)}
        found = {row.patient_id for row in self.rows.patient if self.finders.is_patient(node, row)}
        return self.note(path, self.scopes.of_patients(found, unit), unit)

    def parts(self, node: Node, unit: Unit, path: str) -> list[set[Key]]:
        """What each child holds for."""
        return [self.holds(child, unit, f"{path}.{n}") for n, child in enumerate(node.children())]

    def at_least(self, node: AtLeast, unit: Unit, path: str) -> set[Key]:
        times = Counter(key for part in self.parts(node, unit, path) for key in part)
        return {key for key, number in times.items() if number >= node.number}

    def family(self, node: Family, unit: Unit, path: str) -> set[Key]:
        """Relatives in either direction of the recorded relation."""
        met = {key[0] for key in self.holds(node.child, Unit.PATIENT, f"{path}.0")}
        return self.scopes.of_patients(self.finders.relatives(node.kin, met), unit)

    # Events

    def events(self, node: Node, unit: Unit, path: str) -> Pairs:
        """The events of a node, each with every unit it belongs to."""
        rule = _EVENTS.get(type(node))
        if rule is None:
            found = self.finders.events(node)
            pairs = {(key, event) for event in found for key in self.scopes.keys(event, unit)}
            if isinstance(node, CodeCriterion):
                pairs = self.often(node, pairs)
        else:
            pairs = rule(self, node, unit, path)
        self.note(path, {key for key, _ in pairs}, unit)
        return pairs

    def by_key(self, pairs: Pairs) -> dict[Key, list[Event]]:
        found: dict[Key, list[Event]] = defaultdict(list)
        for key, event in pairs:
            found[key].append(event)
        return found

    def often(self, node: CodeCriterion, pairs: Pairs) -> Pairs:
        """Keep the units with enough distinct facts, far enough apart."""
        groups = self.by_key(pairs)
        kept = {key for key, events in groups.items() if self.enough(node, events)}
        return {(key, event) for key, event in pairs if key in kept}

    def enough(self, node: CodeCriterion, events: list[Event]) -> bool:
        if node.apart is None:
            return len(events) >= node.times
        number, last = 0, None
        for date in sorted(self.days(events)):
            if last is None or (date - last).days >= node.apart:
                number, last = number + 1, date
        return number >= node.times

    def days(self, events: list[Event]) -> list[dt.date]:
        """The dates of the events whose day is known."""
        seen = [self.scopes.see(event) for event in events]
        return [one.date for one in seen if one.day_known and one.date is not None]

    def same(self, node: Same, unit: Unit, path: str) -> Pairs:
        inner = self.holds(node.child, node.unit, f"{path}.0")
        events = [self.scopes.event(key, node.unit) for key in inner]
        return {(key, event) for event in events for key in self.scopes.keys(event, unit)}

    def same_patient(self, node: Same, unit: Unit, path: str) -> set[Key]:
        met = {key[0] for key in self.holds(node.child, Unit.PATIENT, f"{path}.0")}
        return self.scopes.of_patients(met, unit)

    def paired(self, node: Node, unit: Unit, path: str, fits: Callable[[Event, Event], bool]) -> Pairs:
        """Events of the first child for which another event of the second, in the same unit, fits."""
        first, second = (self.events(child, unit, f"{path}.{n}") for n, child in enumerate(node.children()))
        others = self.by_key(second)
        return {(key, one) for key, one in first if any(fits(one, other) for other in others.get(key, []))}

    def sequence(self, node: Sequence, unit: Unit, path: str) -> Pairs:
        def follows(one: Event, other: Event) -> bool:
            return one != other and self.delayed(node, self.scopes.see(one), self.scopes.see(other))

        return self.paired(node, unit, path, follows)

    def delayed(self, node: Sequence, first: Seen, then: Seen) -> bool:
        if first.date is None or then.date is None:
            return False
        if node.unit is TimeUnit.DAY:
            return first.day_known and then.day_known and node.delay.holds((then.date - first.date).days)
        if min(first.precision, then.precision) < Precision.HOUR:
            return False
        start, end = self.elapsed(first), self.elapsed(then)
        if start is None or end is None:
            return False
        low, high = node.delay.low, node.delay.high
        return (low is None or end - start >= low * 60) and (high is None or end - start <= high * 60)

    def elapsed(self, seen: Seen) -> int | None:
        """Minutes of universal time."""
        if seen.date is None or seen.minute is None:
            return None
        days = np.array([(seen.date - EPOCH).days], np.int32)
        return int(utc_minutes(days, np.array([seen.minute], np.int16), self.rows.zone)[0])

    def during(self, node: During, unit: Unit, path: str) -> Pairs:
        def within(one: Event, other: Event) -> bool:
            seen, lasting = self.scopes.see(one), self.scopes.interval(other)
            if not seen.day_known or seen.date is None or lasting is None or lasting.start_date is None:
                return False
            ends = dt.date.max if lasting.end_date is None else lasting.end_date
            return lasting.precision >= Precision.DAY and lasting.start_date <= seen.date <= ends

        return self.paired(node, unit, path, within)

    def occurrence(self, node: Occurrence, unit: Unit, path: str) -> Pairs:
        kept: Pairs = set()
        for key, events in self.by_key(self.events(node.child, unit, f"{path}.0")).items():
            ordered = sorted((self.moment(e), e) for e in events if self.scopes.see(e).date is not None)
            place = {Rank.FIRST: 0, Rank.LAST: len(ordered) - 1, Rank.NTH: node.number - 1}[node.rank]
            kept |= {(key, ordered[place][1])} if 0 <= place < len(ordered) else set()
        return kept

    def moment(self, event: Event) -> tuple[dt.date, int]:
        seen = self.scopes.see(event)
        return seen.date or dt.date.min, -1 if seen.minute is None else seen.minute

    def window(self, node: Window, unit: Unit, path: str) -> Pairs:
        parts = [self.by_key(self.events(child, unit, f"{path}.{n}")) for n, child in enumerate(node.of)]
        kept: Pairs = set()
        for key, events in parts[0].items():
            days = [self.days(part.get(key, [])) for part in parts]
            starts = {day for part in days for day in part}
            good = [start for start in starts if all(any(_in(day, start, node.days) for day in part) for part in days)]
            kept |= {(key, e) for e in events if any(_in(d, s, node.days) for d in self.days([e]) for s in good)}
        return kept

    def follow_up(self, node: FollowUp, unit: Unit, path: str) -> Pairs:
        def seen_long(event: Event) -> bool:
            seen = self.scopes.see(event)
            last = self.finders.last_trace.get(seen.patient)
            return seen.day_known and seen.date is not None and last is not None and (last - seen.date).days >= node.days

        return {(key, event) for key, event in self.events(node.child, unit, f"{path}.0") if seen_long(event)}

    def washout(self, node: Washout, unit: Unit, path: str) -> Pairs:
        kept = self.events(node.child, unit, f"{path}.0")
        others = {key: self.days(events) for key, events in self.by_key(self.events(node.without, unit, f"{path}.1")).items()}

        def clean(key: Key, event: Event) -> bool:
            days = self.days([event])
            return bool(days) and not any(1 <= (days[0] - other).days <= node.days for other in others.get(key, []))

        return {(key, event) for key, event in kept if clean(key, event)}

    # What is told about the answer

    def units(self, query: Node, unit: Unit) -> BitMap | None:
        """The stays or documents found, when the question is about them."""
        if found_units(query) is not unit:
            return None
        inner = query.children()[0] if isinstance(query, Same) else query
        return BitMap(key[0] for key in _Run(self.rows).holds(inner, unit, ROOT))

    def index_dates(self, query: Node, patients: BitMap) -> dict[int, dt.date]:
        path = leading(query)
        found: dict[int, dt.date] = {}
        for _, event in _Run(self.rows).events(at(query, path), Unit.PATIENT, ROOT) if path else ():
            seen = self.scopes.see(event)
            if seen.date is not None and seen.patient in patients:
                found[seen.patient] = min(seen.date, found.get(seen.patient, seen.date))
        return found

    def breakdown(self, patients: BitMap, dates: Mapping[int, dt.date]) -> Breakdown:
        known = [self.rows.patients[number] for number in patients]
        ages = {p.patient_id: age_on(p.birth_month, dates.get(p.patient_id, self.rows.date)) for p in known}
        sex_age = Counter((p.sex, band(ages[p.patient_id])) for p in known)
        return Breakdown(dict(sex_age), dict(Counter(d.year for n, d in dates.items() if n in patients)))

    def evidence(self, query: Node, patient: int) -> dict[str, list[Match]]:
        found = {}
        for path, leaf in own_leaves(query):
            if leaf.dated:
                events = {event for _, event in _Run(self.rows).events(leaf, Unit.PATIENT, ROOT)}
                mine = sorted((e for e in events if self.scopes.see(e).patient == patient), key=self.order)
                found[path] = [self.match(event) for event in mine]
        return found

    def order(self, event: Event) -> tuple[bool, tuple[dt.date, int], Event]:
        return self.scopes.see(event).date is None, self.moment(event), event

    def match(self, event: Event) -> Match:
        seen = self.scopes.see(event)
        is_fact = event[0] == 0
        return Match(
            KIND_NAMES[event[0]], seen.date, seen.minute, seen.stay, seen.document,
            event[2] if is_fact else None,
            event[1] if event[0] == MOVEMENT else None,
            self.rows.facts[event[1], event[2]].concept_id if is_fact else None,
        )  # fmt: skip


def _in(day: dt.date, start: dt.date, days: int) -> bool:
    return 0 <= (day - start).days <= days


def _either(run: _Run, node: Or, unit: Unit, path: str) -> Pairs:
    return {pair for n, child in enumerate(node.of) for pair in run.events(child, unit, f"{path}.{n}")}


def _all(run: _Run, node: Node, unit: Unit, path: str) -> set[Key]:
    return set.intersection(*run.parts(node, unit, path))


def _ids(run: _Run, node: IdList, unit: Unit, path: str) -> set[Key]:
    return run.scopes.of_patients(set(node.ids), unit)


_HOLDS: dict[type[Node], Callable[[_Run, Any, Unit, str], set[Key]]] = {
    And: _all,
    Or: lambda run, node, unit, path: set.union(*run.parts(node, unit, path)),
    Not: lambda run, node, unit, path: run.scopes.universe(unit) - run.holds(node.child, unit, f"{path}.0"),
    AtLeast: _Run.at_least,
    Family: _Run.family,
    Same: _Run.same_patient,
    IdList: _ids,
    Everyone: lambda run, node, unit, path: run.scopes.universe(unit),
}
_EVENTS: dict[type[Node], Callable[[_Run, Any, Unit, str], Pairs]] = {
    Or: _either,
    Same: _Run.same,
    Sequence: _Run.sequence,
    During: _Run.during,
    Occurrence: _Run.occurrence,
    Window: _Run.window,
    FollowUp: _Run.follow_up,
    Washout: _Run.washout,
}
