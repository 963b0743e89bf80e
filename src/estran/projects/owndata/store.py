"""Where the rows of a project's own data lie: Parquet files of its own beside the warehouse, sealed with the site's key.

A row knows its subject (a keyed hash), the pseudonym that the project has of the patient, and its values. Which pseudonym
a subject has comes from the vault each time; a subject that has none any more loses its rows.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa

from estran.exchange.tables import write_parquet
from estran.identity.keys import SiteKey
from estran.model.errors import UsageError
from estran.projects.site import SiteServices
from estran.sources.landing import Landing
from estran.sources.study.sheet import Item, plain_name
from estran.sources.study.values import TYPES
from estran.sources.unnamed import unnamed
from estran.state import StateDatabase
from estran.warehouse.scratch import OFFLINE

FOLDER = "own-data"
OWN = {  # columns of the store itself
    "_subject": pa.int64(), "_key": pa.int64(), "_line": pa.int64(), "_load": pa.int32(), "_patient": pa.string(),
}  # fmt: skip
_MEMORY, _BATCH = "1GB", 65_536


@dataclass(frozen=True)
class Kept:
    """A table of the store: its file, its size, its columns (name, kind, label, codes)."""

    digest: str
    rows: int
    patients: int
    columns: tuple[dict[str, Any], ...]

    @property
    def flat(self) -> bool:
        """Whether nobody has two rows."""
        return self.rows == self.patients

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column["name"] for column in self.columns)


@dataclass(frozen=True)
class Content:
    """What a store holds, as the state keeps it."""

    tables: Mapping[str, Kept] = field(default_factory=dict)
    who: str = ""  # digest of whose its subjects are

    @classmethod
    def loads(cls, text: str) -> Content:
        """From the JSON of a row."""
        found = orjson.loads(text or "{}")
        tables = {
            name: Kept(**one | {"columns": tuple(one["columns"])}) for name, one in found.get("tables", {}).items()
        }
        return cls(tables, found.get("who", ""))

    def dumps(self) -> str:
        """As JSON."""
        return orjson.dumps(
            {"tables": {name: vars(one) for name, one in self.tables.items()}, "who": self.who}
        ).decode()

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.tables.values())


@dataclass(frozen=True)
class Merged:
    """What became of new rows: those that are new or changed, by whether their subject is known; and the table."""

    kept: Kept
    linked: int
    waiting: tuple[int, ...]  # lines of rows whose subject waits for a decision


def described(items: Mapping[str, Item]) -> tuple[dict[str, Any], ...]:
    """The columns as they are kept."""
    return tuple(
        {"name": plain_name(name), "kind": str(item.kind), "label": item.label, "codes": dict(item.codes)}
        for name, item in items.items()
    )


class OwnStore:
    """The files of one data set."""

    def __init__(self, site: SiteServices, key: SiteKey, data: int) -> None:
        self.folder = folder_of(site, data)
        self._landing = landing_in(self.folder, key)

    @contextmanager
    def opened(self, kept: Kept) -> Iterator[Path]:
        """A table in clear, in no directory."""
        with self._landing.restored(kept.digest) as path:
            yield path

    def write(
        self, before: Kept | None, fresh: Path | None, columns: Sequence[dict[str, Any]], who: pa.Table
    ) -> Merged:
        """The table before, with new rows over it, of the subjects of `who` (`_subject`, `_patient`) alone.

        Nothing refers to the file until the state does. UsageError when a column changes its kind.
        """
        whole = _together(before.columns if before else (), columns)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._connected() as connection:
            connection.register("given_who", who)
            connection.execute("CREATE TEMP TABLE who AS SELECT * FROM given_who")
            with _maybe(self._landing, before) as old:
                _view(connection, "held", old, whole, ())
                _view(connection, "came", fresh, whole, ("_place", "_removed"))
                for sql in _merge(whole):
                    connection.execute(sql)
                return self._kept(connection, whole)

    def _kept(self, connection: duckdb.DuckDBPyConnection, columns: Sequence[dict[str, Any]]) -> Merged:
        names = ", ".join(f'"{name}"' for name in (*OWN, *(one["name"] for one in columns)))
        result = connection.sql(f"SELECT {names} FROM merged ORDER BY _subject, _key").to_arrow_reader(_BATCH)
        with unnamed() as (out, path):
            rows = write_parquet(path, result.schema, result)
            out.flush()
            digest = self._landing.keep(path)
        counted = connection.execute(
            "SELECT count(DISTINCT coalesce(_patient, _subject::VARCHAR)) FROM merged"
        ).fetchone() or (0,)
        linked = connection.execute("SELECT count(*) FROM fresh WHERE _patient IS NOT NULL").fetchone() or (0,)
        waiting = connection.execute("SELECT _line FROM fresh WHERE _patient IS NULL ORDER BY 1").fetchall()
        kept = Kept(digest, rows, int(counted[0]), tuple(columns))
        return Merged(kept, int(linked[0]), tuple(int(line[0]) for line in waiting))

    def lines_of(self, kept: Kept, subject: int) -> list[tuple[int, int]]:
        """(file, line) of each row of a subject."""
        with self.opened(kept) as path, self._connected() as connection:
            sql = f"SELECT _load, _line FROM {_source(path)} WHERE _subject = ? ORDER BY ALL"
            return [(int(load), int(line)) for load, line in connection.execute(sql, [subject]).fetchall()]

    def commit(self, state: StateDatabase, data: int, content: Content, snapshot: int) -> None:
        """Have the state refer to these tables, then remove every other file; UsageError when the data set was ended
        meanwhile, whose files go."""
        if not state.own_data.keep(data, content.dumps(), snapshot):
            shutil.rmtree(self.folder)
            raise UsageError("This data set is ended already.")
        wanted = {one.digest for one in content.tables.values()}
        for path in self.folder.rglob("*.land"):
            if path.stem not in wanted:
                path.unlink(missing_ok=True)

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        spill = self.folder / ".spill"
        with duckdb.connect(":memory:", config=dict(OFFLINE)) as connection:
            connection.execute(f"SET memory_limit = '{_MEMORY}'")
            connection.execute("SET temp_directory = '" + str(spill).replace("'", "''") + "'")
            yield connection
        shutil.rmtree(spill, ignore_errors=True)


def folder_of(site: SiteServices, data: int) -> Path:
    """Where a data set lies."""
    return site.audit_folder.parent / FOLDER / str(data)


def landing_in(folder: Path, key: SiteKey) -> Landing:
    """The sealed files of a data set."""
    return Landing(folder, key.subkey("own-data"), key.sealing_keys("own-data"))


@contextmanager
def _maybe(landing: Landing, kept: Kept | None) -> Iterator[Path | None]:
    if kept is None:
        yield None
        return
    with landing.restored(kept.digest) as path:
        yield path


def _together(before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The columns of both; what is said now of a column holds."""
    found = {column["name"]: column for column in before}
    for column in now:
        name = column["name"]
        if name in found and _sql_type(found[name]) != _sql_type(column):
            raise UsageError(
                "A column is of another kind than in an earlier file.", where=name, hint="map it as before"
            )
        found[name] = column
    return tuple(found.values())


def _sql_type(column: Mapping[str, Any]) -> str:
    return {"date32[day]": "DATE", "double": "DOUBLE", "bool": "BOOLEAN"}.get(str(TYPES[column["kind"]]), "VARCHAR")


def _view(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    path: Path | None,
    columns: Sequence[dict[str, Any]],
    more: Sequence[str],
) -> None:
    """The file with every column of `columns`, null where it has none; an empty one without a file."""
    types = {"_subject": "BIGINT", "_key": "BIGINT", "_line": "BIGINT", "_load": "INTEGER", "_patient": "VARCHAR"}
    types |= {one: "BIGINT" for one in more if one == "_place"} | {one: "BOOLEAN" for one in more if one == "_removed"}
    types |= {one["name"]: _sql_type(one) for one in columns}
    there = set()
    if path is not None:
        there = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {_source(path)}").fetchall()}
    cells = [(f'"{name}"' if name in there else "NULL", kind, name) for name, kind in types.items()]
    shown = ", ".join(f'{cell}::{kind} AS "{name}"' for cell, kind, name in cells)
    connection.execute(f"CREATE VIEW {name} AS SELECT {shown} " + (f"FROM {_source(path)}" if path else "WHERE false"))


def _merge(columns: Sequence[dict[str, Any]]) -> list[str]:
    """New rows over old ones: of one subject and key the last one holds; one that says what was known changes nothing."""
    values = [one["name"] for one in columns]
    same = " AND ".join(f'c."{name}" IS NOT DISTINCT FROM h."{name}"' for name in values) or "true"
    kept = ", ".join(f'r."{name}"' for name in ("_subject", "_key", "_line", "_load"))
    own = ", ".join(f'r."{name}"' for name in values)
    whole = f"SELECT {kept}, w._patient, {own} FROM"
    return [
        "CREATE TEMP TABLE last AS SELECT * FROM came "
        "QUALIFY row_number() OVER (PARTITION BY _subject, _key ORDER BY _place DESC) = 1",
        f"CREATE TEMP TABLE known AS SELECT c._subject, c._key FROM last c JOIN held h USING (_subject, _key) WHERE NOT c._removed AND {same}",
        f"CREATE TEMP TABLE fresh AS {whole} last r JOIN who w USING (_subject) ANTI JOIN known k USING (_subject, _key) WHERE NOT r._removed",
        "CREATE TEMP TABLE over AS SELECT _subject, _key FROM fresh UNION SELECT _subject, _key FROM last WHERE _removed",
        f"CREATE TEMP TABLE merged AS {whole} held r JOIN who w USING (_subject) ANTI JOIN over o USING (_subject, _key) "
        "UNION ALL SELECT * FROM fresh",
    ]


def _source(path: Path) -> str:
    return "read_parquet('" + str(path).replace("'", "''") + "', hive_partitioning = false)"
