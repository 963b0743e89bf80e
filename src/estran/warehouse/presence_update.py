"""Keeping the presence bitmaps equal to the live facts, commit after commit.

New facts are OR-ed in. For retired documents, what they alone supported is found in the patients'
own rows (patient order, so few row groups) and taken out.
"""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyroaring import BitMap

from estran.model.codes import LIVE_STATUS, Origin
from estran.warehouse.encoding import numbers
from estran.warehouse.presence import Pair, Presence, bitmap, members

Ints = npt.NDArray[np.int64]
LIVE = f"context = 0 AND status IN ({', '.join(str(int(s)) for s in sorted(LIVE_STATUS))}) AND origin <> {int(Origin.DERIVED)}"
_IS_LIVE = np.zeros(256, np.bool_)  # by status; a status is a small number
_IS_LIVE[[int(status) for status in LIVE_STATUS]] = True
_COUNTED = ["concept_id", "local_concept_id", "patient_id", "stay_id"]
Removed = dict[int, tuple[Ints, Ints]]  # concept: patients, stays


def live_mask(facts: pa.Table) -> npt.NDArray[np.bool_]:
    """Which facts are live, their document aside (see LIVE for the same in SQL)."""
    status, context, origin = (numbers(facts, name) for name in ("status", "context", "origin"))
    live: npt.NDArray[np.bool_] = (context == 0) & (origin != int(Origin.DERIVED)) & _IS_LIVE[status]
    return live


def added(facts: pa.Table, hidden: BitMap) -> dict[int, Pair]:
    """Bitmaps of the live facts of `facts`, under their standard and their local concept."""
    live = live_mask(facts)
    if hidden:
        live &= ~np.isin(numbers(facts, "document_id"), members(hidden))
    facts = facts.select(_COUNTED) if live.all() else facts.select(_COUNTED).filter(pa.array(live))
    found: dict[int, Pair] = {}
    for name in ("concept_id", "local_concept_id"):
        for concept, patients, stays in _groups(facts, name):
            pair = found.setdefault(concept, (BitMap(), BitMap()))
            pair[0].update(bitmap(patients))
            pair[1].update(bitmap(stays[stays >= 0]))
    return found


def _groups(facts: pa.Table, name: str) -> Iterator[tuple[int, Ints, Ints]]:
    concepts = numbers(facts, name)
    patients, stays = numbers(facts, "patient_id"), numbers(facts, "stay_id")
    if name != "concept_id":  # facts come sorted by concept_id only
        order = np.argsort(concepts, kind="stable")
        order = order[np.searchsorted(concepts[order], 0) :]
        concepts, patients, stays = concepts[order], patients[order], stays[order]
    edges = np.flatnonzero(np.diff(concepts)) + 1
    for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), len(concepts)], strict=True):
        if start < stop:
            yield int(concepts[start]), patients[start:stop], stays[start:stop]


def removed(
    connection: duckdb.DuckDBPyConnection, fact_paths: list[str], by_concept_paths: list[str], patients: Ints
) -> Removed:
    """What the retired documents alone supported.

    The connection holds tables `retiring` (documents retired now) and `hidden` (all hidden ones,
    those included); `patients` are the patients of the retired documents.
    """
    if not fact_paths:
        return {}
    connection.register("retired_patients", pa.table({"patient_id": np.unique(patients)}))
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE own AS
            SELECT patient_id, stay_id, document_id, concept_id, local_concept_id
            FROM read_parquet(?) SEMI JOIN retired_patients USING (patient_id) WHERE {LIVE}""",
        [fact_paths],
    )
    lost = {"patient_id": _lost(connection, "patient_id"), "stay_id": _lost(connection, "stay_id")}
    lost["stay_id"] = _unsupported(connection, by_concept_paths, lost["stay_id"])
    return _by_concept(lost["patient_id"], lost["stay_id"])


def _lost(connection: duckdb.DuckDBPyConnection, column: str) -> pa.Table:
    both = " UNION ALL ".join(
        f"SELECT {concept} AS concept, {column} AS member, document_id FROM own WHERE {concept} >= 0 AND {column} >= 0"
        for concept in ("concept_id", "local_concept_id")
    )
    return connection.sql(
        f"""WITH pairs AS ({both})
            SELECT concept, member FROM pairs SEMI JOIN retiring USING (document_id)
            EXCEPT SELECT concept, member FROM pairs ANTI JOIN hidden USING (document_id)"""
    ).to_arrow_table()


def _unsupported(connection: duckdb.DuckDBPyConnection, paths: list[str], lost: pa.Table) -> pa.Table:
    """Those (concept, stay) pairs that no other patient's fact supports (a stay in mid-merge)."""
    if len(lost) == 0 or not paths:
        return lost
    connection.register("lost_stays", lost)
    both = " UNION ALL ".join(
        f"SELECT {concept} AS concept, stay_id AS member FROM others WHERE {concept} >= 0"
        for concept in ("concept_id", "local_concept_id")
    )
    return connection.sql(
        f"""WITH others AS (
                SELECT concept_id, local_concept_id, stay_id FROM read_parquet(?)
                SEMI JOIN (SELECT DISTINCT member AS stay_id FROM lost_stays) USING (stay_id)
                ANTI JOIN hidden USING (document_id) WHERE {LIVE})
            SELECT concept, member FROM lost_stays EXCEPT ({both})""",
        params=[paths],
    ).to_arrow_table()


def _by_concept(patients: pa.Table, stays: pa.Table) -> Removed:
    result: Removed = {}
    none = np.zeros(0, np.int64)
    for kind, pairs in enumerate((patients, stays)):
        concepts = pairs.column("concept").to_numpy()
        order = np.argsort(concepts, kind="stable")
        concepts, member = concepts[order], pairs.column("member").to_numpy()[order]
        edges = np.flatnonzero(np.diff(concepts)) + 1
        for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), len(concepts)], strict=True):
            if start < stop:
                known = result.get(int(concepts[start]), (none, none))
                piece = member[start:stop]
                result[int(concepts[start])] = (piece, known[1]) if kind == 0 else (known[0], piece)
    return result


def changed(old: Presence, gone: Removed, new: dict[int, Pair]) -> dict[int, Pair]:
    """The bitmaps of every concept that differs from `old`: first take out, then put in."""
    result: dict[int, Pair] = {}
    for concept in gone.keys() | new.keys():
        patients, stays = old.pair(concept)
        if concept in gone:
            patients -= bitmap(gone[concept][0])
            stays -= bitmap(gone[concept][1])
        if concept in new:
            patients |= new[concept][0]
            stays |= new[concept][1]
        result[concept] = (patients, stays)
    return result
