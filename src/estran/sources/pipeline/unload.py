"""Taking loads back: one load, or the whole history of a source to be read anew.

Documents, stay statements, movements and quarantine of the loads go; what their records had replaced
comes back from the landing, since order of arrival has no say. All of it becomes visible at one
instant. What stays: identities and stay numbers in the vault, codes, relations, and every opposition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from estran.model.errors import UsageError
from estran.sources.pipeline.columns import fetch
from estran.sources.pipeline.commit import People, fold_all
from estran.sources.pipeline.run import Load, Parts, Progress, Report
from estran.sources.pipeline.stored import stored
from estran.sources.pipeline.tally import LoadRow
from estran.warehouse import Changes, Writer

Told = Callable[[Progress], None]
Row = dict[str, Any]


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
    """Take one load back, as if it had never come. Raises UsageError when there is no such load, or when a file
    that may have to give something back was erased."""
    with parts.warehouse.writer() as writer, writer.held():
        rows = _loads(writer)
        mine = [row for row in rows if row["load_id"] == load_id]
        if not mine:
            raise UsageError(f"There is no load {load_id}.", hint="estran loads SITE")
        source = mine[0]["source"]
        others = [row for row in rows if row["load_id"] != load_id and _may_have_lost(row, load_id, source)]
        _refuse_erased(parts, others)
        taken = _take_back(writer, parts, [load_id])
        return _read_again(writer, parts, taken, others, told, counted=True)


def reload(parts: Parts, source: str, told: Told = lambda _: None) -> TakenBack:
    """Take every load of `source` back and read its landed files anew, oldest first: after a mapping or
    a reader was mended. Raises UsageError when nothing came from `source`, or when a file of it was erased."""
    with parts.warehouse.writer() as writer, writer.held():
        mine = [row for row in _loads(writer) if row["source"] == source]
        if not mine:
            raise UsageError(f"Nothing was loaded from the source '{source}'.", hint="estran loads SITE")
        _refuse_erased(parts, mine)
        taken = _take_back(writer, parts, sorted({row["load_id"] for row in mine}))
        return _read_again(writer, parts, taken, mine, told, counted=False)


def _loads(writer: Writer) -> list[Row]:
    rows: list[Row] = fetch(writer.snapshot.connect(), "select * from raw_load order by load_id, file_no, part").to_pylist()
    return rows


def _may_have_lost(row: Row, load_id: int, source: str) -> bool:
    """Whether something of this row may have been superseded by the load: it came before, from the same source; or
    after, from any (a record may be new by its document, and say of its stay what was said before)."""
    return bool(row["load_id"] > load_id or row["source"] == source)


def _refuse_erased(parts: Parts, rows: list[Row]) -> None:
    """The landing keeps no file that spoke of an erased patient: what it said of others could not come back."""
    files = [parts.vault.file(number) for number in dict.fromkeys(row["file_no"] for row in rows)]
    gone = [file.name for file in files if not parts.landing.holds(file.sha256)]
    if gone:
        raise UsageError(
            f"{len(gone)} files that would have to be read again were erased with a patient.", where=gone[0],
            hint="have the source send them again instead",
        )  # fmt: skip


def _take_back(writer: Writer, parts: Parts, loads: list[int]) -> TakenBack:
    connection = stored(writer.snapshot)
    connection.register("gone", pa.table({"load_id": pa.array(loads, pa.int32())}))
    changes = Changes()
    documents = fetch(
        connection, "select document_id, patient_id, identity_id from stored_document semi join gone using (load_id)"
    )
    changes.retire = documents.select(["document_id", "patient_id"])
    statements = fetch(
        connection, "select stay_id, content, load_id, identity_id from raw_stay_event semi join gone using (load_id)"
    )
    counts = [documents.num_rows, statements.num_rows]
    if statements.num_rows:
        changes.remove["stay_event"] = statements.select(["stay_id", "content", "load_id"])
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
    writer: Writer, parts: Parts, taken: TakenBack, rows: list[Row], told: Told, *, counted: bool
) -> TakenBack:
    """Read the files of these rows anew, each on the account of the load that it came in."""
    by_file: dict[tuple[int, int, str], dict[str, LoadRow]] = {}
    for row in rows:
        account = LoadRow(**row)
        if not counted:
            account.read = account.loaded = account.superseded = account.quarantined = account.unknown_stays = 0
        by_file.setdefault((account.load_id, account.file_no, account.source), {})[account.part] = account
    format_name, _, name = (rows[0]["source"] if rows else "").partition("/")
    load = Load(parts, writer, format_name, name)
    for place, ((_, file_no, source), accounts) in enumerate(by_file.items(), start=1):
        for read in load.again(file_no, source, accounts, counted=counted):
            told(Progress(parts.vault.file(file_no).name, place, len(by_file), read))
    load.commit()
    load.reissue()
    load.replay()
    return replace(taken, report=load.report())
