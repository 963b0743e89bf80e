"""Erasure of patients: every row, bitmap and index entry goes; a dated trace without content stays."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyroaring import BitMap

from estran.model.tables import BUCKETED, PERMISSION
from estran.warehouse import presence_update, texts
from estran.warehouse.compaction import set_hidden
from estran.warehouse.draft import Draft
from estran.warehouse.encoding import numbers
from estran.warehouse.files import FileRef
from estran.warehouse.hidden import Hidden
from estran.warehouse.presence import bitmap, members, write_presence
from estran.warehouse.rebuild import Gone, holds_gone, rebuild
from estran.warehouse.record import WHOLE_BUCKET
from estran.warehouse.scratch import scratch
from estran.warehouse.snapshot import Snapshot


def pending(snapshot: Snapshot) -> BitMap:
    """Patients whose erasure was asked for and not carried out yet (it has no last day)."""
    rows = permissions(snapshot)
    due = pc.and_(pc.equal(rows.column("kind"), "erasure"), pc.is_null(rows.column("to_date")))
    return bitmap(rows.filter(due).column("patient_id").to_numpy())


def permissions(snapshot: Snapshot) -> pa.Table:
    with snapshot.connect() as connection:
        return connection.sql("SELECT * FROM raw_permission").to_arrow_table().cast(PERMISSION)


def erase(draft: Draft, snapshot: Snapshot, patients: BitMap, identities: Iterable[int]) -> None:
    """Write every table, bitmap and index of the draft without the patients."""
    gone = _everything(snapshot, patients, BitMap(identities) | patients)
    with gone.connection() as connection:
        for bucket in [*snapshot.buckets, WHOLE_BUCKET]:
            tables = [t for t, files in draft.tables.items() if (t in BUCKETED) == (bucket != WHOLE_BUCKET) and files]
            dirty = [t for t in tables if holds_gone(connection, t, draft.paths(t, bucket))]
            if bucket != WHOLE_BUCKET:
                _take_from_presence(draft, snapshot, bucket, gone)
            for table in dirty:
                rebuild(draft, connection, table, bucket)
            if "document" in dirty or "text" in dirty:
                _take_from_lists(draft, snapshot, bucket, gone)
    _leave_trace(draft, snapshot, patients)


def _everything(snapshot: Snapshot, patients: BitMap, identities: BitMap) -> Gone:
    """The patients with their stays, and their documents: also retired ones, left under another patient."""
    with snapshot.connect() as connection:
        connection.register("p", pa.table({"patient_id": members(patients).astype(np.int32)}))
        now = connection.sql(
            """SELECT identity_id FROM raw_document ANTI JOIN hidden_document USING (document_id)
               SEMI JOIN p USING (patient_id) UNION SELECT identity_id FROM raw_movement SEMI JOIN p USING (patient_id)"""
        )
        identities = identities | bitmap(now.to_arrow_table().column(0).to_numpy())
        connection.register("i", pa.table({"identity_id": members(identities).astype(np.int32)}))
        documents = connection.sql(
            """SELECT document_id FROM raw_document SEMI JOIN p USING (patient_id)
               UNION SELECT document_id FROM raw_document SEMI JOIN i USING (identity_id)"""
        ).to_arrow_table()
        stays = connection.sql(
            """SELECT stay_id FROM raw_stay SEMI JOIN p USING (patient_id)
               UNION SELECT stay_id FROM raw_stay_event SEMI JOIN i USING (identity_id)"""
        ).to_arrow_table()
    return Gone(bitmap(documents.column(0).to_numpy()), patients, bitmap(stays.column(0).to_numpy()), identities)


def _take_from_presence(draft: Draft, snapshot: Snapshot, bucket: int, gone: Gone) -> None:
    """The bitmaps without what only the gone documents supported; to be called before the facts go."""
    rows = draft.read("document", bucket, ["document_id", "patient_id"])
    rows = rows.filter(pa.array(np.isin(numbers(rows, "document_id"), members(gone.documents))))
    if len(rows) == 0:
        return
    hidden = snapshot.hidden(bucket).any()
    with scratch() as connection:
        connection.register("retiring", rows.select(["document_id"]))
        connection.register("hidden", pa.table({"document_id": members(hidden | gone.documents)}))
        paths = draft.paths("fact", bucket), draft.paths("fact_by_concept", bucket)
        lost = presence_update.removed(connection, *paths, numbers(rows, "patient_id"))
    old = snapshot.stored_presence(bucket)
    changed = presence_update.changed(old, lost, {})
    if changed:
        path = draft.place(f"presence/{bucket}", ".bits")
        size, count = write_presence(path, old, changed)
        draft.presence[bucket] = FileRef(draft.relative(path), size, count)


def _take_from_lists(draft: Draft, snapshot: Snapshot, bucket: int, gone: Gone) -> None:
    hidden = snapshot.hidden(bucket)
    set_hidden(draft, bucket, Hidden(hidden.retired - gone.documents, hidden.cancelled - gone.documents))
    texts.merge(draft, bucket, gone.documents)


def _leave_trace(draft: Draft, snapshot: Snapshot, patients: BitMap) -> None:
    """One permission row per erased patient: erased, and until when it was pending; nothing else."""
    rows = permissions(snapshot)
    others = rows.filter(pa.array(~np.isin(numbers(rows, "patient_id"), members(patients))))
    today = snapshot.today()
    count = len(patients)
    trace = pa.table(
        {
            "patient_id": pa.array(members(patients).astype(np.int32)),
            "scope": pa.array(["warehouse"] * count, pa.string()),
            "kind": pa.array(["erasure"] * count, pa.string()),
            "from_date": pa.array([today] * count, pa.date32()),
            "to_date": pa.array([today] * count, pa.date32()),
            "given_by": pa.nulls(count, pa.string()),
            "proof": pa.nulls(count, pa.string()),
        },
        schema=PERMISSION,
    )
    draft.replace("permission", WHOLE_BUCKET, [])
    draft.add("permission", WHOLE_BUCKET, pa.concat_tables([others, trace]))
