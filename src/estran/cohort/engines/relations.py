"""The fast engine's time relations between events of the same key."""

from __future__ import annotations

import numpy as np

from estran.cohort.engines.buckets import Bucket
from estran.cohort.engines.events import (
    MOVEMENT,
    NO_DAY,
    Bools,
    Events,
    Ints,
    ascending,
    between,
    count_between,
    distinct,
    given,
    in_order,
    on_days,
    on_minutes,
    places,
    starts,
)
from estran.cohort.query import During, FollowUp, Occurrence, Rank, Sequence, TimeUnit, Washout, Window
from estran.model.codes import Precision
from estran.model.moments import utc_minutes

Need = frozenset[str]
DAYS: Need = frozenset({"day"})
MINUTES: Need = frozenset({"day", "minute"})
IDENTS: Need = frozenset({"ident"})
ORDER: Need = frozenset({"day", "minute", "ident"})
PLACE: Need = frozenset({"stay", "ident"})


def same_moment(node: Sequence) -> bool:
    """Whether the delay may be nothing, so that an event could follow itself."""
    return (node.delay.low is None or node.delay.low <= 0) and (node.delay.high is None or node.delay.high >= 0)


def sequence_need(node: Sequence, alike: bool) -> Need:
    """The columns that both sides must have; see `sequence`."""
    return (DAYS if node.unit is TimeUnit.DAY else MINUTES) | (IDENTS if alike else frozenset())


def sequence(node: Sequence, first: Events, then: Events, zone: str, alike: bool) -> Events:
    """Events of `first` with another event of `then` after the delay.

    `alike`: an event may be on both sides and after itself, so events must be told apart.
    """
    if node.unit is TimeUnit.DAY:
        first, then = first.take(first.known(Precision.DAY)), then.take(then.known(Precision.DAY))
        here, there = on_days(first, then)
        low, high = node.delay.low, node.delay.high
    else:
        first, then = (e.take(e.known(Precision.HOUR) & (e.minutes >= 0)) for e in (first, then))
        here, there = on_minutes([first, then], [_elapsed(e, zone) for e in (first, then)])
        low, high = (None if bound is None else bound * 60 for bound in (node.delay.low, node.delay.high))
    there, order = ascending(there)
    begin, end = between(here, there, low, high, minutes=node.unit is TimeUnit.HOUR)
    keep = end > begin
    if alike:
        keep &= ~_only_itself(first.idents, then.idents if order is None else then.idents[order], begin, end)
    return first.take(keep)


def _only_itself(first: Ints, then: Ints, begin: Ints, end: Ints) -> Bools:
    """Events that find exactly one event: themselves."""
    single = np.flatnonzero(end - begin == 1)
    found = np.zeros(len(first), np.bool_)
    found[single] = then[begin[single]] == first[single]
    return found


def _elapsed(events: Events, zone: str) -> Ints:
    return utc_minutes(events.days.astype(np.int32), events.minutes.astype(np.int16), zone)


def during(node: During, events: Events, within: Events, bucket: Bucket) -> Events:
    """Events that start between the first and last day of what lasts."""
    events = events.take(events.known(Precision.DAY))
    start, end, kept = _intervals(within, bucket)
    lasting = within.take(kept)
    opened = Events(lasting.key, lasting.patient, day=start[kept])
    closed = Events(lasting.key, lasting.patient, day=end[kept])
    here, begins, ends = on_days(events, opened, closed)
    order = np.argsort(begins, kind="stable")
    reach = np.maximum.accumulate(ends[order]) if len(order) else ends
    last = np.searchsorted(begins[order], here, "right") - 1
    return events.take((last >= 0) & (reach[last] >= here) if len(reach) else np.zeros(len(events), np.bool_))


_FOREVER = 1 << 18  # beyond every date, within what a moment has room for


def _intervals(within: Events, bucket: Bucket) -> tuple[Ints, Ints, Bools]:
    """First and last day of what each event lasts, and whether it is known."""
    stay = places(bucket.settled(given(within.stay)), bucket.stay_ids)
    is_movement = (within.idents >> 60) == MOVEMENT
    movement = np.where(is_movement, (within.idents >> 29) & 0x7FFFFFFF, -1)
    start, end = np.full(len(within), NO_DAY), np.full(len(within), NO_DAY)
    precise = np.zeros(len(within), np.bool_)
    for table, at in ((bucket.stays, np.where(is_movement, -1, stay)), (bucket.movements, movement)):
        rows = at >= 0
        start[rows], end[rows] = table.day("start_date")[at[rows]], table.day("end_date")[at[rows]]
        precise[rows] = table.number("precision")[at[rows]] >= Precision.DAY
    return start, np.where(end == NO_DAY, _FOREVER, end), precise & (start != NO_DAY)


def occurrence(node: Occurrence, events: Events) -> Events:
    """The first, last or nth dated event of each key."""
    ordered = in_order(events)
    bounds = starts(ordered.key)
    first, end = bounds[:-1], bounds[1:]
    if node.rank is Rank.LAST:
        return ordered.take(end - 1)
    chosen = first + (node.number - 1 if node.rank is Rank.NTH else 0)
    return ordered.take(chosen[chosen < end])


def window(node: Window, parts: list[Events]) -> Events:
    """Events of the first criterion with one event of each other inside the same window."""
    parts = [part.take(part.known(Precision.DAY)) for part in parts]
    moments = on_days(*parts)
    good = distinct(np.concatenate(moments))
    for moment in moments:
        good = good[count_between(good, ascending(moment)[0], 0, node.days) > 0]
    return parts[0].take(count_between(moments[0], good, -node.days, 0) > 0)


def follow_up(node: FollowUp, events: Events, bucket: Bucket) -> Events:
    """Events after which the patient was observed long enough."""
    last = bucket.of_patient(bucket.last_trace, events.patient, NO_DAY)
    return events.take(events.known(Precision.DAY) & (last != NO_DAY) & (last - events.days >= node.days))


def washout(node: Washout, events: Events, without: Events) -> Events:
    """Events with none of the others in the days before."""
    events, without = (e.take(e.known(Precision.DAY)) for e in (events, without))
    here, there = on_days(events, without)
    return events.take(count_between(here, ascending(there)[0], -node.days, -1) == 0)
