"""Whole rows without what must not enter the warehouse, their originals kept: one place for the first
issue of a document and for every later one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from estran.identity import vault as vaults
from estran.model.moments import civil
from estran.sources.pipeline.columns import put
from estran.sources.pipeline.mask import (
    Masker,
    coarsen_instants,
    coarsen_moments,
    hide_ages,
    hide_numbers,
    mask_column,
    mask_stay_numbers,
    month_start,
)
from estran.sources.pipeline.originals import Originals
from estran.sources.records import OWN_TITLES

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_VERSIONS = 86_400_000_000  # an event time of the first day of 1970 is the number of a version
OF_STATEMENT = ("event_time", "start_date", "start_minute", "end_date", "end_minute", "precision")


class Figures(Protocol):
    """Who knows the numbers of a patient."""

    def figures(self, patient: int, stay: int | None) -> frozenset[float]: ...


# Stay statements and movements


def coarsen_statement(rows: pa.Table, births: Int32s, zone: str) -> tuple[pa.Table, Bools]:
    """Statements about stays, or movements, without a moment on the birth date; the rows that changed."""
    rows, hit = coarsen_moments(rows, births, ("start", "end"))
    rows, later = coarsen_instants(rows, births, ("event_time",), zone)
    return rows, hit | later


def keep_statements(vault: vaults.Vault, rows: pa.Table, hit: Bools, key: Callable[[dict[str, Any]], int]) -> None:
    """Keep the moments of the rows of `hit` in the vault, under the identity and `key` of the row."""
    kept = []
    for row in rows.filter(pa.array(hit)).to_pylist() if hit.any() else ():
        blob = orjson.dumps({n: row[n] for n in ("content", *OF_STATEMENT)})
        kept.append((row["identity_id"], key(row), blob))
    if kept:
        vault.keep_originals(kept)


def restore_statements(vault: vaults.Vault, rows: pa.Table, key: Callable[[dict[str, Any]], int]) -> pa.Table:
    """Statements with the moments they came with."""
    found = rows.to_pylist()
    for row in found:
        blob = vault.original(row["identity_id"], key(row))
        kept = orjson.loads(blob) if blob else {}
        if kept.get("content") == row["content"]:  # not of an older version of the same number
            row |= {n: as_date(kept[n]) if n.endswith("_date") else kept[n] for n in OF_STATEMENT}
    return pa.Table.from_pylist(found, rows.schema)


def times_said(vault: vaults.Vault, rows: pa.Table, key: str, zone: str) -> Int64s:
    """Event times of stored rows as their source said them. Those of a birth date lie on the first of
    a month: only these are looked up, in what the vault keeps under the identity and `key`."""
    times: Int64s = rows["event_time"].to_numpy().copy()
    days = civil(times, zone)[0]
    dated = times > _VERSIONS
    for place in np.flatnonzero(dated & (days == month_start(np.asarray(days, dtype=np.int32)))).tolist():
        blob = vault.original(rows["identity_id"][place].as_py(), rows[key][place].as_py())
        kept = orjson.loads(blob) if blob else {}
        if kept.get("content") == rows["content"][place].as_py():
            times[place] = kept.get("event_time", times[place])
    return times


def as_date(value: Any) -> Any:
    """Days since 1970 or an ISO date, as a date."""
    return np.datetime64(value, "D").astype(object) if isinstance(value, int | str) else value


# Documents and facts


def coarsen_document(table: pa.Table, births: Int32s, zone: str, originals: Originals) -> pa.Table:
    """Documents whose start and time of record are not the birth date."""
    coarse, hit = coarsen_moments(table, births, ("start",))
    for row in np.flatnonzero(hit).tolist():
        one = table.slice(row, 1)
        day = one["start_date"].cast(pa.int32())[0].as_py()
        originals.start(row, day, one["start_minute"][0].as_py(), one["precision"][0].as_py())
    coarse, hit = coarsen_instants(coarse, births, ("known_at",), zone)
    for row in np.flatnonzero(hit).tolist():
        originals.keep(row, "known_at", table["known_at"][row].as_py())
    return coarse


def mask_document(
    table: pa.Table, patients: Int32s, masker: Masker, labels: Collection[str], originals: Originals
) -> pa.Table:
    """Documents whose title (but those that are labels of codes) and author name nobody."""
    for name, safe in (("title", OWN_TITLES.union(labels)), ("author_role", frozenset[str]())):
        table, altered = mask_column(table, name, patients, masker, safe)
        table, numbered = mask_stay_numbers(table, name, patients, masker)
        for row, value in (numbered | altered).items():
            originals.keep(row, name, value)
    return table


def mask_facts(
    facts: pa.Table, local: Int64s, patients: Int32s, births: Int32s, figures: Figures, masker: Masker,
    originals: Originals, zone: str,
) -> pa.Table:  # fmt: skip
    """Facts without birth dates, ages to the day, numbers and names; `local` is the row of their document."""
    numbers = facts["fact_no"]
    facts, ages = hide_ages(facts, births)
    facts, values = hide_numbers(facts, patients, figures.figures)
    for row, value in (ages | values).items():
        originals.of_fact(int(local[row]), "values", numbers[row].as_py(), value)
    coarse, hit = coarsen_moments(facts, births, ("start", "end"))
    rows = np.flatnonzero(hit)
    originals.moments(facts, rows, local[rows])
    facts, hit = coarsen_instants(coarse, births, ("known_at",), zone)
    for row in np.flatnonzero(hit).tolist():
        originals.of_fact(int(local[row]), "known", numbers[row].as_py(), coarse["known_at"][row].as_py())
    facts, words = mask_column(facts, "value_text", patients, masker)
    facts, numbered = mask_stay_numbers(facts, "value_text", patients, masker)
    for row, word in (numbered | words).items():
        originals.of_fact(int(local[row]), "words", numbers[row].as_py(), word)
    return facts


def mask_hanging(
    table: pa.Table, name: str, local: Int64s, patients: Int32s, masker: Masker, originals: Originals
) -> pa.Table:
    """Attributes or media with one column of theirs masked; `local` is the row of their document."""
    table, altered = mask_column(table, name, patients, masker)
    for row, value in altered.items():
        originals.of_fact(int(local[row]), name, _place(table, name, row), value)
    return table


def restore_hanging(table: pa.Table, name: str, local: Int64s, kept: list[dict[str, Any]]) -> pa.Table:
    """The same rows as they came; `kept` has the originals of each document."""
    rows = np.flatnonzero(np.array([name in blob for blob in kept], dtype=bool)[local]).tolist()
    values = table[name].to_pylist() if rows else []
    for row in rows:
        values[row] = kept[int(local[row])][name].get(_place(table, name, row), values[row])
    return put(table, name, pa.array(values, table.schema.field(name).type)) if rows else table


def _place(table: pa.Table, name: str, row: int) -> str:
    """What tells a hanging row from the others of its document, once masked."""
    number = table["fact_no"][row].as_py() if "fact_no" in table.column_names else ""
    return f"{number}|{table[name][row].as_py()}"
