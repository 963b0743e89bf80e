"""One question over one bucket, node by node."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import reduce
from operator import and_, or_
from typing import Any

import numpy as np
from pyroaring import BitMap

from estran.cohort.engines import relations
from estran.cohort.engines.buckets import Bucket, calendar
from estran.cohort.engines.criteria import Need, document_events, find, in_range, movement_events, stay_events, to_unit
from estran.cohort.engines.events import (
    DOCUMENT,
    GROUP,
    MOVEMENT,
    NO_DAY,
    NUMBER_BIT,
    STAY,
    Events,
    Ints,
    Keys,
    concatenate,
    contained,
    key_array,
    key_set,
    number,
    places,
)
from estran.cohort.engines.lookups import Lookups
from estran.cohort.engines.outcome import found_units
from estran.cohort.query import (
    And,
    AtLeast,
    CodeCriterion,
    Demographic,
    During,
    Everyone,
    Family,
    FollowUp,
    IdList,
    Node,
    Not,
    Occurrence,
    Or,
    PermissionCriterion,
    Same,
    Sequence,
    TextCriterion,
    Unit,
    Washout,
    Window,
    walk,
)
from estran.cohort.query.tree import ROOT
from estran.model.moments import EPOCH

_BY_BITMAP = (And, Or, Not, AtLeast, Demographic, Everyone, IdList, PermissionCriterion)


class Run:
    """What the buckets of one run share."""

    def __init__(self, query: Node, lookups: Lookups) -> None:
        self.query = query
        self.lookups = lookups
        self.found = BitMap()
        self.relatives: dict[str, BitMap] = {}
        self._noted: dict[str, list[BitMap]] = {path: [] for path, _ in walk(query)}
        self._lock = threading.Lock()

    @property
    def sets(self) -> dict[str, BitMap]:
        """For each path, the patients noted so far; made anew each time."""
        return {path: BitMap.union(*parts) if parts else BitMap() for path, parts in self._noted.items()}

    def note(self, path: str, patients: BitMap) -> None:
        """Add a bucket's patients of a node."""
        self._noted[path].append(patients)

    def keep(self, found: BitMap) -> None:
        """Add a bucket's stays or documents."""
        with self._lock:
            self.found |= found

    def patients(self, node: Node, path: str, bucket: Bucket) -> None:
        """Note the patients of a node, and of all nodes below it, in a bucket."""
        BucketRun(self, bucket).holds(node, Unit.PATIENT, path)

    def simple(self, query: Node) -> bool:
        """Whether bitmaps alone answer."""
        return all(
            isinstance(node, _BY_BITMAP) or (isinstance(node, CodeCriterion) and node.plain) for _, node in walk(query)
        )


class BucketRun:
    """One question being answered in one bucket."""

    def __init__(self, run: Run, bucket: Bucket, noting: bool = True) -> None:
        self.run = run
        self.bucket = bucket
        self.noting = noting

    def whole(self) -> None:
        """Answer the question, with the stays or documents that it is about."""
        query, unit = self.run.query, found_units(self.run.query)
        self.holds(query, Unit.PATIENT, ROOT)
        if unit is not None and not isinstance(query, Same):
            self.run.keep(BucketRun(self.run, self.bucket, noting=False).holds(query, unit, ROOT))

    def note(self, path: str, keys: Keys, unit: Unit) -> Keys:
        """Remember the patients of a node's units."""
        if self.noting:
            patients = self.of(keys, unit)
            self.run.note(path, patients if self.run.lookups.within is None else patients & self.bucket.population)
        return keys

    # Which units a node holds for

    def holds(self, node: Node, unit: Unit, path: str) -> Keys:
        """The units of the scope for which the node is true."""
        rule = _HOLDS.get(type(node))
        found = rule(self, node, unit, path) if rule else None
        return self.found(node, unit, path, frozenset())[1] if found is None else self.note(path, found, unit)

    def parts(self, node: Node, unit: Unit, path: str) -> list[Keys]:
        """What each child holds for."""
        return [self.holds(child, unit, f"{path}.{n}") for n, child in enumerate(node.children())]

    def both(self, node: And, unit: Unit, path: str) -> Keys:
        return _intersection(self.parts(node, unit, path))

    def either(self, node: Or, unit: Unit, path: str) -> Keys:
        return _union(self.parts(node, unit, path))

    def denied(self, node: Not, unit: Unit, path: str) -> Keys:
        return self.universe(unit) - self.holds(node.child, unit, f"{path}.0")

    def at_least(self, node: AtLeast, unit: Unit, path: str) -> Keys:
        parts = self.parts(node, unit, path)
        if node.number == 1:
            return _union(parts)
        keys, counts = np.unique(np.concatenate([key_array(part) for part in parts]), return_counts=True)
        return key_set(keys[counts >= node.number], unit)

    def coded(self, node: CodeCriterion, unit: Unit, path: str) -> Keys | None:
        """From presence bitmaps, when only the code set counts."""
        if not node.plain or unit not in (Unit.PATIENT, Unit.STAY):
            return None
        return self.bucket.having(node.codes, self.run.lookups.code_set(node.codes), unit)

    def text(self, node: TextCriterion, unit: Unit, path: str) -> Keys | None:
        """From the text index alone, when nothing but patients is asked."""
        if unit is not Unit.PATIENT or node.dates:
            return None
        return self.run.lookups.text_patients(node.query, node.kinds) & self.bucket.population

    def demographic(self, node: Demographic, unit: Unit, path: str) -> Keys:
        table = self.bucket.patients
        keep = np.ones(len(table), np.bool_)
        if node.sexes:
            keep &= table.words("sex").among(node.sexes)
        if node.areas:
            keep &= table.words("residence_area").among(node.areas)
        if node.alive is not None:
            dead = (table.day("death_date") != NO_DAY) | (table.words("death_source").codes >= 0)
            keep &= dead != node.alive
        births = table.day("birth_month")
        if node.age:
            today = np.full(len(table), (self.bucket.snapshot.date - EPOCH).days, np.int64)
            years, known = self.bucket.ages(self.bucket.patient_ids, today)
            keep &= known & in_range(years, node.age)
        if node.born:
            keep &= (births != NO_DAY) & in_range(calendar(np.where(births == NO_DAY, 0, births))[0], node.born)
        return self.units_of(key_set(self.bucket.patient_ids[keep], Unit.PATIENT), unit)

    def family(self, node: Family, unit: Unit, path: str) -> Keys:
        return self.units_of(self.run.relatives[path] & self.bucket.population, unit)

    def ids(self, node: IdList, unit: Unit, path: str) -> Keys:
        return self.units_of(BitMap(node.ids) & self.bucket.population, unit)

    def permitted(self, node: PermissionCriterion, unit: Unit, path: str) -> Keys:
        return self.units_of(self.run.lookups.permitted(node) & self.bucket.population, unit)

    def same(self, node: Same, unit: Unit, path: str) -> Keys | None:
        """A scope inside another one, as sets where that is enough."""
        if unit not in (Unit.PATIENT, node.unit) and node.unit is not Unit.PATIENT:
            return None
        inner = self.holds(node.child, node.unit, f"{path}.0")
        if path == ROOT and self.noting and found_units(node) is not None:
            self.run.keep(inner)
        if unit is node.unit:
            return inner
        return self.of(inner, node.unit) if unit is Unit.PATIENT else self.units_of(inner, unit)

    # Units and their patients

    def universe(self, unit: Unit) -> Keys:
        """Every unit of a kind in the bucket."""
        return self.units_of(self.bucket.population, unit)

    def units_of(self, patients: BitMap, unit: Unit) -> Keys:
        """Every unit of a kind of some patients."""
        bucket = self.bucket
        if unit is Unit.PATIENT:
            return patients
        table = {Unit.STAY: bucket.stays, Unit.MOVEMENT: bucket.movements}.get(unit, bucket.documents)
        mine = np.flatnonzero(contained(table.number("patient_id"), key_array(patients)))
        if unit is Unit.GROUP:
            return key_set(bucket.groups_in(bucket.document_ids[mine])[1], unit)
        if unit is Unit.MOVEMENT:
            return key_set(mine, unit)
        return key_set((bucket.stay_ids if unit is Unit.STAY else bucket.document_ids)[mine], unit)

    def of(self, keys: Keys, unit: Unit) -> BitMap:
        """The patients of some units."""
        if unit is Unit.PATIENT:
            return keys
        bucket, wanted = self.bucket, key_array(keys)
        table = {Unit.STAY: bucket.stays, Unit.MOVEMENT: bucket.movements}.get(unit, bucket.documents)
        rows = self.rows(wanted, unit)
        return key_set(table.number("patient_id")[rows[rows >= 0]], Unit.PATIENT)

    def rows(self, keys: Ints, unit: Unit) -> Ints:
        """The row of each unit in its table (a group's: of its document), -1 when it is not there."""
        if unit is Unit.MOVEMENT:
            return keys
        if unit is Unit.STAY:
            return places(keys, self.bucket.stay_ids)
        return places(keys >> NUMBER_BIT if unit is Unit.GROUP else keys, self.bucket.document_ids)

    # Events

    def events(self, node: Node, unit: Unit, path: str, need: Need) -> Events:
        """The events of a node, under every unit that they belong to, with the columns needed at least."""
        return self.found(node, unit, path, need)[0]

    def found(self, node: Node, unit: Unit, path: str, need: Need) -> tuple[Events, Keys]:
        """The events of a node, and the units they belong to."""
        rule = _EVENTS.get(type(node))
        found = rule(self, node, unit, path, need) if rule else find(self.bucket, self.run.lookups, node, unit, need)
        keys = key_set(found.key, unit)
        return found, self.note(path, keys & self.bucket.population if unit is Unit.PATIENT else keys, unit)

    def any_of(self, node: Or, unit: Unit, path: str, need: Need) -> Events:
        need = need | relations.IDENTS
        return concatenate([self.events(child, unit, f"{path}.{n}", need) for n, child in enumerate(node.of)])

    def found_units(self, node: Same, unit: Unit, path: str, need: Need) -> Events:
        """Stays, documents, movements or groups as events."""
        keys = key_array(self.holds(node.child, node.unit, f"{path}.0"))
        rows = self.rows(keys, node.unit)
        keys, rows = keys[rows >= 0], rows[rows >= 0]
        if node.unit is Unit.STAY:
            return to_unit(self.bucket, stay_events(self.bucket, rows), STAY, unit)
        if node.unit is Unit.MOVEMENT:
            return to_unit(self.bucket, movement_events(self.bucket, rows), MOVEMENT, unit)
        found = document_events(self.bucket, rows)
        if node.unit is Unit.DOCUMENT:
            return to_unit(self.bucket, found, DOCUMENT, unit)
        idents = number(GROUP, keys >> NUMBER_BIT, keys & ((1 << NUMBER_BIT) - 1))
        return to_unit(self.bucket, _with_idents(found, idents), GROUP, unit)

    def sequence(self, node: Sequence, unit: Unit, path: str, need: Need) -> Events:
        alike = relations.same_moment(node) and not self._disjoint(node.first, node.then)
        own = relations.sequence_need(node, alike)
        first = self.events(node.first, unit, f"{path}.0", need | own)
        then = self.events(node.then, unit, f"{path}.1", own)
        return relations.sequence(node, first, then, self.bucket.snapshot.settings.zone, alike)

    def _disjoint(self, one: Node, other: Node) -> bool:
        """Whether no fact can be an event of both: their facts are stored under other concepts."""
        if not isinstance(one, CodeCriterion) or not isinstance(other, CodeCriterion):
            return False
        lookups = self.run.lookups
        stored = [lookups.with_targets(lookups.code_set(node.codes)) for node in (one, other)]
        return not contained(*stored).any()

    def during(self, node: During, unit: Unit, path: str, need: Need) -> Events:
        events = self.events(node.event, unit, f"{path}.0", need | relations.DAYS)
        within = self.events(node.within, unit, f"{path}.1", relations.PLACE)
        return relations.during(node, events, within, self.bucket)

    def occurrence(self, node: Occurrence, unit: Unit, path: str, need: Need) -> Events:
        return relations.occurrence(node, self.events(node.child, unit, f"{path}.0", need | relations.ORDER))

    def window(self, node: Window, unit: Unit, path: str, need: Need) -> Events:
        wanted = need | relations.DAYS
        return relations.window(node, [self.events(c, unit, f"{path}.{n}", wanted) for n, c in enumerate(node.of)])

    def follow_up(self, node: FollowUp, unit: Unit, path: str, need: Need) -> Events:
        return relations.follow_up(node, self.events(node.child, unit, f"{path}.0", need | relations.DAYS), self.bucket)

    def washout(self, node: Washout, unit: Unit, path: str, need: Need) -> Events:
        events = self.events(node.child, unit, f"{path}.0", need | relations.DAYS)
        return relations.washout(node, events, self.events(node.without, unit, f"{path}.1", relations.DAYS))


def _union(parts: list[Keys]) -> Keys:
    """What is in any; bitmaps all at once, several times faster than one after the other."""
    return BitMap.union(*parts) if isinstance(parts[0], BitMap) else reduce(or_, parts)


def _intersection(parts: list[Keys]) -> Keys:
    """What is in all."""
    return BitMap.intersection(*parts) if isinstance(parts[0], BitMap) else reduce(and_, parts)


def _with_idents(events: Events, idents: Ints) -> Events:
    return Events(
        events.key, events.patient, events.day, events.minute, events.precision, idents, events.stay, events.document
    )


_HOLDS: dict[type[Node], Callable[[BucketRun, Any, Unit, str], Keys | None]] = {
    And: BucketRun.both,
    Or: BucketRun.either,
    Not: BucketRun.denied,
    AtLeast: BucketRun.at_least,
    CodeCriterion: BucketRun.coded,
    TextCriterion: BucketRun.text,
    Demographic: BucketRun.demographic,
    Family: BucketRun.family,
    IdList: BucketRun.ids,
    PermissionCriterion: BucketRun.permitted,
    Everyone: lambda run, node, unit, path: run.universe(unit),
    Same: BucketRun.same,
}
_EVENTS: dict[type[Node], Callable[[BucketRun, Any, Unit, str, Need], Events]] = {
    Or: BucketRun.any_of,
    Same: BucketRun.found_units,
    Sequence: BucketRun.sequence,
    During: BucketRun.during,
    Occurrence: BucketRun.occurrence,
    Window: BucketRun.window,
    FollowUp: BucketRun.follow_up,
    Washout: BucketRun.washout,
}
