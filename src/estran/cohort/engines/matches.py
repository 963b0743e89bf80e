"""Evidence: a patient's events, told one by one."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa

from estran.cohort.engines.buckets import Bucket, numbers
from estran.cohort.engines.events import DOCUMENT, FACT, MOVEMENT, NO_DAY, Events, parts_of
from estran.cohort.engines.outcome import Match
from estran.model.moments import EPOCH

NEEDED = frozenset({"day", "minute", "ident", "stay", "document"})
KIND_NAMES = ("fact", "document", "stay", "movement", "group")


def matches(bucket: Bucket, events: Events) -> list[Match]:
    """The events in order of time, undated ones last."""
    stays = bucket.settled(events.stay) if events.stay is not None else events.idents
    columns = (events.days, events.minutes, events.idents, stays)
    rows = sorted(zip(*(c.tolist() for c in columns), strict=True), key=lambda r: (r[0] == NO_DAY, r[0], r[1], r[2]))
    concepts = _concepts(bucket, [parts_of(row[2]) for row in rows])
    return [_match(bucket, row, concepts) for row in rows]


def _match(bucket: Bucket, row: tuple[int, int, int, int], concepts: dict[tuple[int, int], int]) -> Match:
    day, minute, ident, stay = row
    kind, first, second = parts_of(ident)
    return Match(
        kind=KIND_NAMES[kind],
        date=None if day == NO_DAY else EPOCH + dt.timedelta(day),
        minute=None if minute < 0 else minute,
        stay_id=None if stay < 0 else stay,
        document_id=first if kind in (FACT, DOCUMENT) else None,
        fact_no=second if kind == FACT else None,
        movement_id=int(bucket.movements.number("movement_id")[first]) if kind == MOVEMENT else None,
        concept_id=concepts.get((first, second)) if kind == FACT else None,
    )


def _concepts(bucket: Bucket, idents: list[tuple[int, int, int]]) -> dict[tuple[int, int], int]:
    """The concept of each fact."""
    facts = [(first, second) for kind, first, second in idents if kind == FACT]
    if not facts:
        return {}
    wanted = pa.table({"document_id": pa.array(sorted({f[0] for f in facts}), pa.int32())})
    rows = bucket.sql(
        "SELECT document_id, fact_no, concept_id FROM fact SEMI JOIN given USING (document_id) WHERE bucket = $bucket",
        wanted,
    )
    columns = (numbers(rows.column(n)).tolist() for n in ("document_id", "fact_no", "concept_id"))
    return {(document, fact): concept for document, fact, concept in zip(*columns, strict=True)}
