"""What a site sent, checked and harmonised: taken as one partition of the pool, or not at all, with the reason."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from estran.exchange.tables import files_as_views
from estran.hub.pooling.agreement import FLAG, ID, NUMBER, TEXT, TYPES, Column, Schema, has_unit, schema_of, units_of
from estran.hub.pooling.delivery import MANIFEST, Manifest
from estran.hub.pooling.rekeying import BATCH, Ids, note_ids, rekeyed_sql, write_sorted
from estran.identity.deid import Deidentifier
from estran.model.errors import InputRefused
from estran.projects.datamarts.spec import Demographic, Spec
from estran.release.airlock import identifiers
from estran.release.pooled import ID as ID_SHAPE
from estran.terminology.conversion import factor

_RULES = Deidentifier()
_MOST_ROWS, _MOST_BYTES = 200_000_000, 16 * 2**30  # of a table, once it is read
_MOST_VALUES = 2_000  # different texts of a column that are looked at
_KNOWN = frozenset(map(str, Demographic))  # agreed by their name
_SPOKEN = frozenset(
    {"code", "label_fr", "label_en", "variable", "text"}
)  # codes, names that were agreed, texts cleaned at the site
_CODE = r"[^\s:]{1,40}:\S{1,80}"
_MOST_LABEL = 400  # characters
_NUMBER_TAGS = frozenset({"[NUMERO]", "[TEL]", "[MAIL]", "[DATE_NAISSANCE]"})
# Whole numbers of which each patient has one of its own: long ones (not rounded as cells per litre are), or close together
# as those of a register. Two hundred measurements within that range would coincide at least once (1 - exp(-n/40) > 0.99).
_LIKE_KEYS = (
    "SELECT 1 FROM (SELECT patient, {1} AS kind, {0} AS v FROM {2} WHERE {0} IS NOT NULL) GROUP BY kind HAVING bool_and(v = floor(v)) "
    "AND count(DISTINCT v) = count(DISTINCT patient) AND count(DISTINCT v) = count(DISTINCT (patient, v)) "
    "AND (count(DISTINCT v) >= 20 AND min(v) >= 1e6 AND bool_or(v % 1000 <> 0) "
    "OR count(DISTINCT v) >= 200 AND max(v) - min(v) <= 20 * count(DISTINCT v))"
)
_LIKE_NUMBERS = "abs({0}) BETWEEN 1e12 AND 3e15 AND {0} = floor({0})"  # a NIR or an INS has 13 to 15 digits


@dataclass(frozen=True)
class Delivered:
    """An unpacked package: its folder, its manifest and what was agreed on."""

    folder: Path
    manifest: Manifest
    spec: Spec

    @property
    def schema(self) -> Schema:
        return schema_of(self.spec)

    @property
    def tables(self) -> dict[str, Path]:
        return {path.stem: path for path in sorted(self.folder.glob("*.parquet"))}


def check(given: Delivered) -> None:
    """InputRefused with the reason when a table, a column, a row or a value is not what was agreed on."""
    for path in given.folder.rglob("*"):
        if path.name != MANIFEST and (path.suffix != ".parquet" or path.parent != given.folder):
            raise InputRefused("The package holds a file that was not agreed on.")
    agreed, tables = given.schema, given.tables
    if not {"patients", "codes"} <= set(tables) or set(tables) - set(agreed):
        raise InputRefused("The package holds other tables than agreed on.")
    for name, path in tables.items():
        _check_schema(name, path, agreed[name], given.manifest)
    if set(given.manifest.get("rows", {})) != set(tables):
        raise InputRefused("The tables are not those of the manifest.")
    with files_as_views(tables, given.folder.parent) as connection:
        for name in tables:
            _check_values(connection, name, agreed[name])
        _check_codes(connection)
        _check_patients(connection, tables)
        _check_facts(connection, tables, [one.name for one in given.spec.every])


def _check_schema(table: str, path: Path, agreed: Sequence[Column], manifest: Manifest) -> None:
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            size = sum(file.metadata.row_group(n).total_byte_size for n in range(file.metadata.num_row_groups))
    except (pa.ArrowInvalid, OSError):
        raise InputRefused(f"The table {table} cannot be read.") from None
    if rows > _MOST_ROWS or size > _MOST_BYTES:
        raise InputRefused(f"The table {table} is larger than a table of a pool may be.")
    wanted = {column.name: column for column in agreed}
    for field in schema:
        if field.name not in wanted:
            raise InputRefused(f"The table {table} holds a column that was not agreed on: {field.name[:60]}.")
        if field.name not in _KNOWN and identifiers.in_heading(field.name, table, 1):
            raise InputRefused(f"The column {field.name[:60]} of {table} is named like an identity.")
        if not _fits(field.type, wanted[field.name].holds):
            raise InputRefused(f"The column {field.name[:60]} of {table} is of another type than agreed on.")
    if any(column.holds == ID and column.name not in schema.names for column in agreed):
        raise InputRefused(f"The table {table} lacks its ids.")
    if rows != manifest.get("rows", {}).get(table):
        raise InputRefused(f"The table {table} has another number of rows than its manifest says.")


def _fits(kind: pa.DataType, holds: str) -> bool:
    if holds in (ID, TEXT):
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
    if holds == FLAG:
        return bool(pa.types.is_boolean(kind))
    if holds == NUMBER:
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
    return bool(pa.types.is_date(kind))


def _check_values(connection: duckdb.DuckDBPyConnection, table: str, agreed: Sequence[Column]) -> None:
    held = connection.sql(f'SELECT * FROM "{table}" LIMIT 0').columns
    for column in agreed:
        if column.name not in held:
            continue
        if column.holds == ID:
            instead = "''" if column.name == "patient" else "NULL"  # who has no stay has no id of one
            shaped = f"regexp_full_match(coalesce({_quoted(column.name)}, {instead}), '{ID_SHAPE.pattern}')"
            if _any(connection, f'SELECT 1 FROM "{table}" WHERE NOT {shaped}'):
                raise InputRefused(f"The ids of {table} are not those of a pool.")
        elif column.holds == NUMBER and _like_persons(connection, table, column.name):
            raise InputRefused(f"The column {column.name} of {table} holds numbers like those of persons.")
        elif column.holds == TEXT and column.name not in _SPOKEN:
            _check_texts(connection, table, column.name)


def _like_persons(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> bool:
    kind = "t.variable" if table == "facts" else "''"
    return _any(connection, f'SELECT 1 FROM "{table}" WHERE {_LIKE_NUMBERS.format(_quoted(column))}') or _any(
        connection, _LIKE_KEYS.format(f"t.{_quoted(column)}", kind, f'"{table}" t')
    )


def _check_codes(connection: duckdb.DuckDBPyConnection) -> None:
    """Codes are shaped as codes are, each stands once, and no label holds a number of a person. Names are not looked for in
    labels: those of nomenclatures look like names."""
    shaped = f"length(code) <= 121 AND regexp_full_match(coalesce(code, ''), '{_CODE}') AND NOT regexp_matches(code, '[0-9]{{12}}')"
    if _any(connection, f"SELECT 1 FROM codes WHERE NOT ({shaped})"):
        raise InputRefused("The codes are not shaped as codes are.")
    if _any(connection, "SELECT 1 FROM codes GROUP BY code HAVING count(*) > 1"):
        raise InputRefused("A code stands twice among the codes.")
    if _any(connection, f"SELECT 1 FROM codes WHERE greatest(length(label_fr), length(label_en), length(kind)) > {_MOST_LABEL}"):
        raise InputRefused("A label of the codes is too long to be one.")
    rows = connection.execute("SELECT concat_ws(' ; ', label_fr, label_en, kind) FROM codes")
    while batch := rows.fetchmany(BATCH):
        if any(mask.tag in _NUMBER_TAGS for one in batch for mask in _RULES.masks(str(one[0]))):
            raise InputRefused("A label of the codes holds something like an identity.")


def _check_texts(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> None:
    query = (
        f'SELECT DISTINCT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL ORDER BY 1 LIMIT {_MOST_VALUES + 1}'
    )
    found = [str(row[0]) for row in connection.execute(query).fetchall()]
    if len(found) > _MOST_VALUES:
        raise InputRefused(f"The column {column} of {table} holds too many different texts to be a category.")
    if any(identifiers.in_text(one, table) for one in found):
        raise InputRefused(f"The column {column} of {table} holds something like an identity.")


def _check_patients(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Path]) -> None:
    if _any(connection, "SELECT 1 FROM patients GROUP BY patient HAVING count(*) > 1"):
        raise InputRefused("A patient stands twice among the patients.")
    for name in tables:
        if name in ("patients", "codes"):
            continue
        if _any(connection, f'SELECT 1 FROM "{name}" ANTI JOIN patients USING (patient)'):
            raise InputRefused(f"The table {name} holds patients that are not among the patients.")


def _check_facts(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, Path], names: Sequence[str]) -> None:
    if "facts" not in tables:
        return
    if _any(
        connection, f"SELECT 1 FROM facts WHERE variable IS NULL OR variable NOT IN ({', '.join(map(repr, names))})"
    ):
        raise InputRefused("The facts hold a variable that was not agreed on.")
    if _any(connection, "SELECT 1 FROM facts ANTI JOIN codes USING (code)"):
        raise InputRefused("The facts hold codes that are not among the codes.")


def _any(connection: duckdb.DuckDBPyConnection, query: str) -> bool:
    return connection.execute(f"{query} LIMIT 1").fetchone() is not None


def _quoted(name: str) -> str:
    return f'"{name}"'


# Harmonising


def partition(given: Delivered, ids: Ids, target: Path, gone: Collection[str] = ()) -> dict[str, str]:
    """Write the tables as agreed, under the hub's ids, values in the units agreed on, into an existing folder, without the
    patients whose new ids are `gone`; what was converted, by variable. InputRefused when a unit cannot be converted."""
    factors = _factors(given)
    with files_as_views(given.tables, given.folder.parent) as connection:
        keyed = {
            name: tuple(connection.sql(f'SELECT * FROM "{name}" LIMIT 0').columns)
            for name in given.tables
            if name != "codes"
        }
        note_ids(connection, keyed, ids)
        connection.register("gone", pa.table({"new": pa.array(sorted(gone), pa.string())}))
        connection.execute("DELETE FROM new_patient WHERE new IN (FROM gone)")
        every = {one.name for one in given.spec.every}
        connection.register("unit_factor", _facts_units(given, factors, every))
        for name, agreed in given.schema.items():
            if name not in given.tables:
                continue
            held = set(connection.sql(f'SELECT * FROM "{name}" LIMIT 0').columns)
            made = {column.name: _made(name, column, held, factors) for column in agreed}
            query = rekeyed_sql(name, made)
            query += " LEFT JOIN unit_factor u ON u.variable = t.variable" if name == "facts" else ""
            write_sorted(connection, query, target / f"{name}.parquet")
        _same_units(connection, given, every)
    return {name: said for name, (number, said) in factors.items() if number != 1.0}


def _factors(given: Delivered) -> dict[str, tuple[float, str]]:
    """By what the values of each variable are multiplied, and how to say so."""
    sent, found = dict(given.manifest.get("units", {})), dict[str, tuple[float, str]]()
    for name, wanted in units_of(given.spec).items():
        unit = str(sent.get(name, wanted))
        number = factor(unit, wanted)
        if number is None:
            raise InputRefused(
                f"The unit of {name}, {unit[:20] or 'none'}, cannot be converted into {wanted or 'none'}."
            )
        found[name] = number, f"{unit} → {wanted}"
    return found


def _facts_units(given: Delivered, factors: Mapping[str, tuple[float, str]], every: set[str]) -> pa.Table:
    names = [one.name for one in given.spec.every if has_unit(one) and one.unit]
    rows = [(name, factors[name][0], dict(units_of(given.spec))[name]) for name in names if name in every]
    return pa.table({
        "variable": pa.array([row[0] for row in rows], pa.string()), "factor": pa.array([row[1] for row in rows], pa.float64()),
        "unit": pa.array([row[2] for row in rows], pa.string()),
    })  # fmt: skip


def _made(table: str, column: Column, held: set[str], factors: Mapping[str, tuple[float, str]]) -> str:
    """What a column of the pool is made of; nothing where the site did not send it."""
    kind = TYPES[column.holds]
    if column.name not in held:
        return f"CAST(NULL AS {kind})"
    if table == "facts" and column.name == "value":
        return "CAST(t.value AS DOUBLE) * coalesce(u.factor, 1)"
    if table == "facts" and column.name == "unit":
        return "CASE WHEN t.value IS NULL THEN t.unit ELSE coalesce(u.unit, t.unit) END"
    number = factors.get(column.name, (1.0, ""))[0] if table == "patients" else 1.0
    made = f"CAST(t.{_quoted(column.name)} AS {kind})"
    return made if number == 1.0 else f"{made} * {number!r}"


def _same_units(connection: duckdb.DuckDBPyConnection, given: Delivered, every: set[str]) -> None:
    """Each fact has the unit that the manifest says of its variable."""
    sent = {name: str(unit) for name, unit in given.manifest.get("units", {}).items() if unit and name in every}
    if "facts" not in given.tables or not sent:
        return
    connection.register("said_unit", pa.table({"variable": list(sent), "unit": list(sent.values())}))
    wrong = "SELECT 1 FROM facts f JOIN said_unit s USING (variable) WHERE f.value IS NOT NULL AND f.unit IS DISTINCT FROM s.unit"
    if _any(connection, wrong):
        raise InputRefused("A fact has another unit than the manifest says of its variable.")


JOB = "job"  # in a manifest: which asking it answers
PACKAGE = "package"  # in the manifest of a list: when the last package that the site knows of was made


def expect(pool: str, network: str, member: str, manifest: Manifest, what: str) -> None:
    """InputRefused unless the manifest is of this pool and of this site."""
    said = [manifest.get(name) for name in ("pool", "network", "member", "what")]
    if said != [pool, network, member, what]:
        raise InputRefused("The package is of another pool, or of another site.")


def made_at(manifest: Manifest) -> str:
    """When a site made something, by its own clock; InputRefused when it does not say."""
    try:
        return dt.datetime.fromisoformat(str(manifest["made"])).astimezone(dt.UTC).isoformat(timespec="microseconds")
    except (KeyError, ValueError):
        raise InputRefused("The manifest does not say when it was made.") from None


@contextmanager
def as_package() -> Iterator[None]:
    """What cannot be read as it should be is the package's fault (InputRefused); a full disk or too little memory is not."""
    try:
        yield
    except (duckdb.IOException, duckdb.OutOfMemoryException):
        raise
    except (duckdb.Error, pa.ArrowException, AttributeError, KeyError, TypeError, ValueError):
        raise InputRefused("The package cannot be read.") from None


def columns(given: Delivered) -> list[str]:
    """The columns of the patients' table as it came."""
    return [str(name) for name in pq.read_schema(given.tables["patients"]).names]
