"""What a project brought itself, joined to its datamart by the pseudonym that both use; dates and texts by its date policy.

One row per patient becomes columns of the patients; several become a table of their own, `own_<data>_<table>`. Values are
as they were brought: no fingerprint is put in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from estran.identity.keys import SiteKey
from estran.model.errors import UsageError
from estran.projects.datamarts.spec import OwnPart, Spec
from estran.projects.owndata.store import Content, Kept, OwnStore
from estran.projects.site import SiteServices
from estran.release.dates import DatePolicy, date_sql, masked_sql
from estran.state import OwnDataRow, OwnState, StateDatabase


@dataclass(frozen=True)
class OwnTable:
    """A part that was asked for, where it lies, and what is known of it."""

    part: OwnPart
    row: OwnDataRow
    kept: Kept
    store: OwnStore

    @property
    def name(self) -> str:
        """As a table of its own."""
        return f"own_{self.part.data}_{self.part.table}"

    @property
    def about(self) -> dict[str, dict[str, Any]]:
        """What the manifest says of each column."""
        known = {column["name"]: column for column in self.kept.columns}
        return {
            named: {"own": self.part.data, "label": known[name]["label"], "codes": known[name]["codes"]}
            for name, named in self.part.named.items()
        }


def own_refusal(state: StateDatabase, spec: Spec) -> str:
    """Why the project's own data may not be in this datamart; "" when they may."""
    for part in spec.own:
        row = state.own_data.find(part.data)
        if row is None or row.project != spec.project or row.state != OwnState.ACCEPTED:
            return f"The project holds no accepted data set {part.data}."
    return ""


def open_own(site: SiteServices, key: SiteKey, spec: Spec) -> tuple[OwnTable, ...]:
    """The parts of a specification; UsageError when the project holds no such data, table or column, or when a flat
    datamart asks for several rows per patient."""
    if said := own_refusal(site.state, spec):
        raise UsageError(said, hint="estran project data list SITE PROJECT")
    found = []
    for part in spec.own:
        row = site.state.own_data.find(part.data)
        kept = Content.loads(row.content if row else "").tables.get(part.table)
        if row is None or kept is None or not set(part.columns) <= set(kept.names):
            raise UsageError("The data set has no such table or column.", where=f"{part.data}.{part.table}")
        if spec.flat and not kept.flat:
            raise UsageError(
                "The project's own table has several rows per patient.", where=part.table, hint='use shape = "tables"'
            )
        found.append(OwnTable(part, row, kept, OwnStore(site, key, part.data)))
    return tuple(found)


def about_own(own: Sequence[OwnTable]) -> list[dict[str, Any]]:
    """Where the columns come from and on what ground, for the manifest."""
    return [
        {"data": one.row.id, "title": one.row.title, "formality": one.row.formality, "reference": one.row.reference,
         "table": one.part.table, "digest": one.kept.digest}
        for one in own
    ]  # fmt: skip


def shown(own: Sequence[OwnTable]) -> Mapping[str, Mapping[str, Any]]:
    """What is said of each column in the manifest."""
    return {name: about for one in own for name, about in one.about.items()}


def join(table: pa.Table, connection: duckdb.DuckDBPyConnection, own: Sequence[OwnTable], spec: Spec) -> pa.Table:
    """The patients with the columns of the parts that have one row per patient."""
    for one in own:
        if one.kept.flat:
            with one.store.opened(one.kept) as path:
                query = f"SELECT {_columns(one, spec)} FROM member m LEFT JOIN {_source(path)} o ON o._patient = m.patient ORDER BY m.rank"
                joined = connection.sql(query).to_arrow_table()
            for name in joined.column_names:
                table = table.append_column(name, joined[name])
    return table


@contextmanager
def tables_of(own: Sequence[OwnTable], spec: Spec) -> Iterator[dict[str, str]]:
    """The parts that have several rows per patient: name and query, good as long as the block lasts."""
    with ExitStack() as stack:
        yield {
            one.name: f"SELECT m.patient, {_columns(one, spec)} FROM member m JOIN "
            f"{_source(stack.enter_context(one.store.opened(one.kept)))} o ON o._patient = m.patient ORDER BY m.rank, o._key"
            for one in own if not one.kept.flat
        }  # fmt: skip


def _columns(one: OwnTable, spec: Spec) -> str:
    kinds = {column["name"]: column["kind"] for column in one.kept.columns}
    coded = {column["name"] for column in one.kept.columns if column["codes"]}
    return ", ".join(
        f'{_value(name, "" if name in coded else kinds[name], spec.dates)} AS "{named}"'
        for name, named in one.part.named.items()
    )


def _value(name: str, kind: str, policy: DatePolicy) -> str:
    if kind == "date":
        return date_sql(policy, f'o."{name}"', "m.shift", "m.birth_month")
    return masked_sql(policy, f'o."{name}"') if kind in ("words", "code") else f'o."{name}"'


def _source(path: Path) -> str:
    return "read_parquet('" + str(path).replace("'", "''") + "', hive_partitioning = false)"
