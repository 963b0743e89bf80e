"""Taking loads back: one load, or the whole history of a source to be read anew.

Documents, stay statements, movements and quarantine of the loads go; what their records had replaced
comes back from the landing, since order of arrival has no say. All of it becomes visible at one
instant. What stays: identities and stay numbers in the vault, codes, relations, and every opposition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from estran.model.errors import UsageError
from estran.sources.pipeline.columns import fetch
from estran.sources.pipeline.commit import People, fold_all
from estran.sources.pipeline.run import Load, Parts, Progress, Report
from estran.sources.pipeline.stored import stored
from estran.warehouse import Changes, Writer

Told = Callable[[Progress], None]


@dataclass(frozen=True)
class TakenBack:
    """What was taken back, and what reading the landing again came to."""

    loads: list[int]
    documents: int
    statements: int
    movements: int
    quarantined: int
    report: Report


def unload(parts: Parts, load_id: int, told: Told = lambda _: None) -> TakenBack:
    """Take one load back, as if it had never come. Raises UsageError when there is no such load."""
    with parts.warehouse.writer() as writer, writer.held():
        loads = _loads(writer)
        mine = loads.filter(pc.equal(loads["load_id"], load_id))
        if not mine.num_rows:
            raise UsageError(f"There is no load {load_id}.", hint="estran loads SITE")
        taken = _take_back(writer, parts, [load_id])
        source = mine["source"][0].as_py()
        return _read_again(writer, parts, taken, _others(loads, load_id, source), source, told)


def reload(parts: Parts, source: str, told: Told = lambda _: None) -> TakenBack:
    """Take every load of `source` back and read its landed files anew, oldest first: after a mapping or
    a reader was mended. Raises UsageError when nothing came from `source`."""
    with parts.warehouse.writer() as writer, writer.held():
        loads = _loads(writer)
        mine = loads.filter(pc.equal(loads["source"], source))
        if not mine.num_rows:
            raise UsageError(f"Nothing was loaded from the source '{source}'.", hint="estran loads SITE")
        taken = _take_back(writer, parts, sorted(set(mine["load_id"].to_pylist())))
        return _read_again(writer, parts, taken, _files(mine), source, told)


def _loads(writer: Writer) -> pa.Table:
    return fetch(writer.snapshot.connect(), "select * from raw_load order by load_id, file_no")


def _files(loads: pa.Table) -> list[int]:
    return list(dict.fromkeys(loads["file_no"].to_pylist()))


def _others(loads: pa.Table, load_id: int, source: str) -> list[int]:
    """Files of the same source that may have lost something to this load: those before it, and those
    after it of which something was superseded."""
    rows = loads.to_pylist()
    chosen = [
        row["file_no"]
        for row in rows
        if row["source"] == source and row["load_id"] != load_id and (row["load_id"] < load_id or row["superseded"])
    ]
    return list(dict.fromkeys(chosen))


def _take_back(writer: Writer, parts: Parts, loads: list[int]) -> TakenBack:
    connection = stored(writer.snapshot)
    connection.register("gone", pa.table({"load_id": pa.array(loads, pa.int32())}))
    changes = Changes()
    documents = fetch(
        connection, "select document_id, patient_id, identity_id from stored_document semi join gone using (load_id)"
    )
    changes.retire = documents.select(["document_id", "patient_id"])
    statements = fetch(
        connection, "select stay_id, content, identity_id from raw_stay_event semi join gone using (load_id)"
    )
    counts = [documents.num_rows, statements.num_rows]
    if statements.num_rows:
        changes.remove["stay_event"] = statements.select(["stay_id", "content"])
    for table, keys in (
        ("movement", "movement_id"),
        ("quarantine", "file_no, record_no, part, source"),
        ("load", "load_id, file_no, part"),
    ):
        rows = fetch(connection, f"select {keys} from raw_{table} semi join gone using (load_id)")
        counts.append(rows.num_rows)
        if rows.num_rows:
            changes.remove[table] = rows
    writer.commit(changes)
    _fold(writer, parts, statements)
    merged = np.isin(documents["patient_id"].to_numpy(), list(parts.vault.merged()))
    parts.vault.upkeep.mark(set(documents["identity_id"].to_numpy()[merged].tolist()))  # another version may come forth
    return TakenBack(loads, counts[0], counts[1], counts[2], counts[3], Report(""))


def _fold(writer: Writer, parts: Parts, removed: pa.Table) -> None:
    """Stays as the statements that are left tell them; those that none introduces any more go."""
    if not removed.num_rows:
        return
    connection = stored(writer.snapshot)
    connection.register("touched", removed)
    left = fetch(connection, "select e.* from raw_stay_event e semi join touched using (stay_id)")
    people = People(parts.vault)
    connection.unregister("touched")
    changes = Changes()
    names = [name for name in left.column_names if name != "bucket"]
    folded = fold_all(connection, left.select(names), people) if left.num_rows else None
    kept = folded["stay_id"].to_numpy() if folded is not None else np.zeros(0, np.int32)
    own = people.canonical(removed["stay_id"], people.patients(removed["identity_id"].to_numpy()))
    gone = np.setdiff1d(np.union1d(own.to_numpy(), removed["stay_id"].to_numpy()), kept)
    if len(gone):
        changes.remove["stay"] = pa.table({"stay_id": gone.astype(np.int32)})
    if folded is not None:
        changes.upsert["stay"] = folded
    writer.commit(changes)


def _read_again(
    writer: Writer, parts: Parts, taken: TakenBack, files: list[int], source: str, told: Told
) -> TakenBack:
    format_name, _, name = source.partition("/")
    load = Load(parts, writer, format_name, name)
    for place, file_no in enumerate(files, start=1):
        for read in load.again(file_no, source):
            told(Progress(parts.vault.file(file_no).name, place, len(files), read))
    load.commit()
    load.reissue()
    load.replay()
    return replace(taken, report=load.report())
