"""Proofs: what must hold of every snapshot, each as a question whose good answer is 'none'."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from pyroaring import BitMap

from estran.model.codes import HIDDEN_STATUS
from estran.model.errors import StoreError
from estran.model.tables import BUCKETED, TABLES
from estran.warehouse import delta, texts
from estran.warehouse.confidential import FLAG, Scope
from estran.warehouse.presence import Presence, bitmap, members
from estran.warehouse.presence_update import LIVE
from estran.warehouse.snapshot import Snapshot


@dataclass(frozen=True)
class Finding:
    """Something that is not as it must be: a word, a sentence, where, and how many."""

    code: str
    what: str
    where: str
    count: int


def check(snapshot: Snapshot) -> list[Finding]:
    """Everything that is wrong with a snapshot; nothing else is looked at when files are missing.

    What is stored is looked at as a whole, whatever the scope of `snapshot`; then that what is
    confidential is closed to those to whom it must be.
    """
    snapshot, closed = snapshot.scoped(Scope.CARE), snapshot.scoped(Scope.RESEARCH)
    findings = [*_files(snapshot), *_logs(snapshot)]
    if any(f.code == "file" for f in findings):
        return findings
    with snapshot.connect() as connection:
        _hidden(connection, snapshot)
        for code, what, where, query in _questions(snapshot):
            if _of_nothing(snapshot, code, query):
                continue
            try:
                count = int(connection.execute(f"SELECT count(*) FROM ({query})").fetchall()[0][0])
            except duckdb.Error:
                return [*findings, Finding("file", "A file of the table cannot be read.", where, 1)]
            if count:
                findings.append(Finding(code, what, where, count))
        findings += [f for bucket in snapshot.buckets for f in _presence(connection, snapshot, bucket)]
        if not any(f.code == "presence" for f in findings):
            findings += _confidential(connection, closed)
    return [*findings, *_texts(snapshot)]


_TWO_SIDED = ("order", "retired", "cancelled")  # what one side lacks is found on the other
_FIRST = re.compile(r"FROM raw_(\w+)")


def _of_nothing(snapshot: Snapshot, code: str, query: str) -> bool:
    """Whether the rows asked for are those of a table that holds none: most small sites have many such tables."""
    first = _FIRST.search(query)
    return code not in _TWO_SIDED and first is not None and not snapshot.record.tables[first[1]].all()


def _files(snapshot: Snapshot) -> Iterator[Finding]:
    for ref in snapshot.record.named():
        if _size(snapshot.directory / ref.path) != ref.size:
            yield Finding("file", "A file is missing or has another size than recorded.", ref.path, 1)


def _size(path: Path) -> int:
    if path.is_dir():
        return texts.folder_size(path)
    return path.stat().st_size if path.exists() else -1


def _logs(snapshot: Snapshot) -> Iterator[Finding]:
    for name, table in snapshot.record.tables.items():
        prefix = f"{delta.folder_of(name)}/"
        if not table.all() and not (snapshot.directory / prefix / delta.LOG).is_dir():
            continue  # the site is older than the table
        try:
            log = DeltaTable(str(snapshot.directory / prefix), version=table.delta)
        except DeltaError:
            yield Finding("log", "The Delta log of a table cannot be read.", name, 1)
            continue
        listed = set(pa.table(log.get_add_actions(flatten=True)).column("path").to_pylist())
        differing = listed ^ {ref.path.removeprefix(prefix) for ref in table.all()}
        if differing:
            yield Finding("log", "The Delta log lists other files than the snapshot.", name, len(differing))


def _hidden(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    for name in ("retired", "cancelled"):
        found = [getattr(snapshot.hidden(bucket), name) for bucket in snapshot.record.hidden]
        ids = np.concatenate([members(b) for b in found]) if found else np.zeros(0, np.int64)
        connection.register(f"{name}_now", pa.table({"document_id": ids.astype(np.int32)}))


_UNIQUE = {
    "patient": "patient_id",
    "stay": "stay_id",
    "movement": "movement_id",
    "document": "document_id",
    "text": "document_id",
    "fact": "document_id, fact_no",
    "unit": "unit_id",
    "concept": "concept_id",
    "load": "load_id, file_no, part",
    "quarantine": "file_no, record_no, part, source",
}


def _questions(snapshot: Snapshot) -> Iterator[tuple[str, str, str, str]]:
    """Code, sentence, table and the query whose rows are the findings."""
    size = snapshot.record.bucket_patients
    for table in BUCKETED:
        if "patient_id" in TABLES[table].names:
            query = f"SELECT 1 FROM raw_{table} WHERE patient_id // {size} <> bucket"
            yield "bucket", "Rows lie in another bucket than their patient's.", table, query
    for table, key in _UNIQUE.items():
        query = f"SELECT 1 FROM raw_{table} GROUP BY {key} HAVING count(*) > 1"
        yield "unique", f"Several rows have the same {key}.", table, query
    query = "SELECT 1 FROM raw_concept GROUP BY vocabulary, code HAVING count(*) > 1"
    yield "unique", "Several concepts have the same code.", "concept", query
    yield from _references()
    yield from _accounts()


def _references() -> Iterator[tuple[str, str, str, str]]:
    for table in ("text", "fact", "fact_attribute", "media", "variant"):
        query = f"""SELECT 1 FROM raw_{table} t LEFT JOIN raw_document d ON t.document_id = d.document_id
                    WHERE d.document_id IS NULL OR d.patient_id <> t.patient_id"""
        yield "orphan", "Rows have no document, or one of another patient.", table, query
    yield (
        "orphan",
        "Links have no document.",
        "stay_link",
        "SELECT 1 FROM raw_stay_link ANTI JOIN raw_document USING (document_id)",
    )
    query = "SELECT 1 FROM raw_fact_attribute a ANTI JOIN raw_fact f ON a.document_id = f.document_id AND a.fact_no = f.fact_no"
    yield "orphan", "Attributes have no fact.", "fact_attribute", query
    for table in ("stay", "movement", "document"):
        query = f"""SELECT 1 FROM raw_{table} t ANTI JOIN raw_patient p ON t.patient_id = p.patient_id"""
        if table == "document":
            query += " ANTI JOIN retired_now r ON t.document_id = r.document_id"
        yield "patient", "Rows belong to no known patient.", table, query
    for column in ("concept_id", "local_concept_id", "value_concept"):
        query = f"""SELECT DISTINCT {column} FROM raw_fact WHERE {column} IS NOT NULL
                    EXCEPT SELECT concept_id FROM raw_concept"""
        yield "concept", f"Facts have a {column} that is no concept.", "fact", query
    yield (
        "retired",
        "Retired documents are not stored.",
        "document",
        "SELECT 1 FROM retired_now ANTI JOIN raw_document USING (document_id)",
    )
    gone = f"SELECT document_id FROM raw_document WHERE status IN ({', '.join(str(int(s)) for s in HIDDEN_STATUS)})"
    query = f"""({gone} EXCEPT SELECT document_id FROM cancelled_now)
                UNION ALL (SELECT document_id FROM cancelled_now EXCEPT {gone})"""
    yield "cancelled", "Cancelled documents are not listed as such.", "document", query
    query = """SELECT 1 FROM raw_document d ANTI JOIN retired_now r USING (document_id)
               GROUP BY identity_id, record_key HAVING count(*) > 1"""
    yield "version", "Several versions of a document are current.", "document", query
    query = """SELECT 1 FROM raw_document d ANTI JOIN retired_now r USING (document_id)
               ANTI JOIN cancelled_now c USING (document_id)
               GROUP BY patient_id, record_key HAVING count(*) > 1"""
    yield "version", "Several versions of a document are current under one patient's numbers.", "document", query


def _accounts() -> Iterator[tuple[str, str, str, str]]:
    names = ", ".join(f'"{name}"' for name in TABLES["fact_by_concept"].names)
    query = f"SELECT count(*) AS n, sum(hash({names})) AS h FROM raw_{{}}"
    both = f"({query.format('fact')}) EXCEPT ({query.format('fact_by_concept')})"
    yield "order", "Facts in concept order differ from facts in patient order.", "fact_by_concept", both
    query = "SELECT 1 FROM raw_load WHERE complete AND read <> loaded + superseded + quarantined"
    yield "account", "Loads where read is not loaded + superseded + quarantined.", "load", query
    query = """SELECT 1 FROM raw_quarantine q ANTI JOIN raw_load l
               ON q.load_id = l.load_id AND q.file_no = l.file_no AND q.part = l.part"""
    yield "account", "Quarantined records belong to no load.", "quarantine", query
    query = """SELECT 1 FROM raw_load l
               LEFT JOIN (SELECT load_id, file_no, part, count(*) AS kept FROM raw_quarantine GROUP BY ALL) q
               USING (load_id, file_no, part) WHERE complete AND quarantined <> coalesce(kept, 0)"""
    yield "account", "Loads that count other quarantined records than are kept.", "quarantine", query


def _presence(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, bucket: int) -> Iterator[Finding]:
    where = f"bitmaps of bucket {bucket}"
    try:
        for column, count in _differing(connection, snapshot.stored_presence(bucket), bucket, "hidden_document"):
            yield Finding("presence", f"Presence bitmaps of {column} differ from the facts.", where, count)
    except StoreError:
        yield Finding("presence", "A presence file is damaged.", where, 1)


def _differing(
    connection: duckdb.DuckDBPyConnection, found: Presence, bucket: int, left_out: str
) -> Iterator[tuple[str, int]]:
    """Bitmaps against SQL over all facts but those of the documents of the table `left_out`, pair by pair, in both
    directions: the column and the number of pairs that differ."""
    for kind, column in enumerate(("patient_id", "stay_id")):
        sets = [found.at(i, kind) for i in range(len(found.concepts))]
        connection.register("found_pairs", _pairs(found.concepts, sets))
        live = " UNION ".join(
            f"""SELECT {concept} AS concept, {column} AS member FROM raw_fact ANTI JOIN {left_out} USING (document_id)
                WHERE bucket = {bucket} AND {concept} IS NOT NULL AND {column} IS NOT NULL AND {LIVE}"""
            for concept in ("concept_id", "local_concept_id")
        )
        pairs = "SELECT concept, member FROM found_pairs"
        query = f"((({live}) EXCEPT {pairs}) UNION ALL ({pairs} EXCEPT ({live})))"
        count = int(connection.execute(f"SELECT count(*) FROM {query}").fetchall()[0][0])
        if count:
            yield column, count


_CLOSED_DOCUMENTS = f"""
    SELECT document_id FROM raw_document WHERE {FLAG}
    UNION SELECT d.document_id FROM raw_document d JOIN raw_stay s USING (stay_id) WHERE s.{FLAG}
    UNION SELECT l.document_id FROM raw_stay_link l JOIN raw_stay s USING (stay_id) WHERE s.{FLAG}"""


def _confidential(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> Iterator[Finding]:
    """That the default scope shows nothing that the tables flag, nor the presence bitmaps what it does not show."""
    for key, query in (
        ("document_id", _CLOSED_DOCUMENTS),
        ("patient_id", f"SELECT patient_id FROM raw_patient WHERE {FLAG}"),
        ("stay_id", f"SELECT stay_id FROM raw_stay WHERE {FLAG}"),
    ):
        due = bitmap(connection.sql(query).to_arrow_table().column(0).to_numpy())
        shown = due & _shown(snapshot, key) if due else due
        if shown:
            yield Finding(FLAG, "Confidential rows are visible in scope research.", key, len(shown))
    unseen = members(snapshot.unseen_documents()).astype(np.int32)
    connection.register("unseen_now", pa.table({"document_id": unseen}))
    for bucket in snapshot.closed().documents:
        for column, count in _differing(connection, snapshot.presence(bucket), bucket, "unseen_now"):
            what = f"Presence bitmaps of {column} differ from the facts that are not confidential."
            yield Finding(FLAG, what, f"bitmaps of bucket {bucket}", count)


def _shown(snapshot: Snapshot, key: str) -> BitMap:
    """Documents, patients or stays that a reader of the snapshot sees."""
    if key == "patient_id":
        return snapshot.population()
    if key == "stay_id":
        return snapshot.known_stays()
    with snapshot.connect() as connection:
        return bitmap(connection.sql("SELECT document_id FROM document").to_arrow_table().column(0).to_numpy())


def _pairs(concepts: npt.NDArray[np.int64], sets: list[BitMap]) -> pa.Table:
    arrays = [members(values) for values in sets]
    sizes = np.array([len(a) for a in arrays], np.int64)
    every = np.concatenate(arrays) if arrays else np.zeros(0, np.int64)
    columns = {"concept": np.repeat(concepts, sizes).astype(np.int32), "member": every.astype(np.int32)}
    return pa.table(columns)


def _texts(snapshot: Snapshot) -> Iterator[Finding]:
    with snapshot.connect() as connection:
        rows = connection.sql("SELECT document_id FROM text").to_arrow_table()
    differing = bitmap(rows.column(0).to_numpy()) ^ snapshot.text.all_documents()
    if differing:
        yield Finding("text", "Text indexes hold other documents than the texts.", "text", len(differing))
