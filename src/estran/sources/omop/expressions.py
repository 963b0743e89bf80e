"""SQL for the columns of one block: typed values out of whatever types the file has.

Text is cast with TRY_CAST, so that a wrong value becomes null; a `Check` then tells it from an
empty one. Rows are never looked at one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from estran.model.moments import EPOCH, civil, first_day, midnights, of_parts
from estran.sources.omop.blocks import BAD, Block, in_order
from estran.sources.omop.layout import RENAMED
from estran.sources.schemas import RECORDS, REFUSED

Int64s = npt.NDArray[np.int64]

_ABSENT = "('NA', 'NaN', 'nan', 'None', 'null', '<NA>')"  # how programs write an empty number or date
_OFFSET = r"'\d\d:\d\d.*(Z|[+-]\d\d(:?\d\d)?)$'"

_WHOLE = "The {} is not a whole number."
_NUMBER = "The {} is not a number."
_DATE = "The {} is not a date."
_MOMENT = "The {} is not a date and time."


@dataclass(frozen=True)
class Check:
    """A condition under which a row is refused, and the refusal."""

    condition: str
    field: str
    code: str
    reason: str


@dataclass
class Query:
    """Columns to compute from a block whose columns have the types of `schema`, and checks on them."""

    schema: pa.Schema
    columns: dict[str, str] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    plain: dict[str, tuple[str | None, pa.DataType]] = field(default_factory=dict)  # alias → column taken as it is

    def name(self, column: str | None) -> str | None:
        """The column as the file calls it; None when it has none."""
        for candidate in (column, RENAMED.get(column or "")):
            if candidate and candidate in self.schema.names:
                return candidate
        return None

    def integer(self, alias: str, column: str | None, required: bool = False) -> None:
        """A whole number, in decimal form too ('123.0')."""
        self._cast(alias, column, required, _WHOLE, self._integer_sql)
        self._take_plain(alias, column, pa.int64(), pa.types.is_integer)

    def number(self, alias: str, column: str | None) -> None:
        """A finite number."""
        self._cast(alias, column, False, _NUMBER, self._number_sql)
        self._take_plain(alias, column, pa.float64(), pa.types.is_floating)

    def text(self, alias: str, *columns: str | None) -> None:
        """The first filled one of `columns`."""
        found = [f"nullif(trim({_quoted(n)}::VARCHAR), '')" for c in columns if (n := self.name(c))]
        self.columns[alias] = f"coalesce({', '.join(found)})" if found else "NULL::VARCHAR"

    def date(self, alias: str, column: str) -> None:
        """A calendar date."""
        self._cast(alias, column, False, _DATE, self._date_sql)

    def moment(self, alias: str, date: str, time: str | None, required: bool = False) -> None:
        """`<alias>_d` (date), `<alias>_m` (minute or null) and `<alias>_z` (instant, when an offset is given).

        The time of day counts only when it is not midnight.
        """
        day, clock = self.name(date), self.name(time)
        self._cast(f"{alias}_day", date, False, _DATE, self._date_sql)
        typed = clock and not pa.types.is_date(self.schema.field(clock).type)
        stamp = f"TRY_CAST({_quoted(clock)} AS TIMESTAMP)" if clock and typed else "NULL::TIMESTAMP"
        self.columns[f"{alias}_ts"] = stamp
        if clock and not typed:
            self.columns[f"{alias}_day"] = f"coalesce({self.columns[f'{alias}_day']}, {_quoted(clock)})"
        if clock and pa.types.is_string(self.schema.field(clock).type):
            self._wrong(clock, f"{alias}_ts", _MOMENT)
            text = _quoted(clock)
            zoned = f"ends_with({text}, 'Z') OR (length({text}) > 19 AND regexp_matches({text}, {_OFFSET}))"
            self.columns[f"{alias}_z"] = (
                f"CASE WHEN {zoned} THEN epoch_us(TRY_CAST({_quoted(clock)} AS TIMESTAMPTZ)) END"
            )
        else:
            self.columns[f"{alias}_z"] = "NULL::BIGINT"
        self._range(alias, day or clock or date)
        if required:
            empty = f"{alias}_day IS NULL AND {alias}_ts IS NULL"
            self.checks.append(Check(empty, date, "missing", f"The row has no {date}."))

    def check(self, condition: str, column: str, code: str, reason: str) -> None:
        """Refuse rows for which `condition` (over aliases and columns) holds."""
        self.checks.append(Check(condition, column, code, reason))

    def _range(self, alias: str, column: str) -> None:
        low, high = "DATE '1830-01-02'", "DATE '2200-12-30'"
        wrong = f"coalesce({alias}_day NOT BETWEEN {low} AND {high}, FALSE)"
        wrong += f" OR coalesce({alias}_ts::DATE NOT BETWEEN {low} AND {high}, FALSE)"
        self.check(wrong, column, "malformed", f"The {column} is not between 1830 and 2200.")

    def _cast(
        self, alias: str, column: str | None, required: bool, says: str, sql: Callable[[str | None], str]
    ) -> None:
        name = self.name(column)
        self.columns[alias] = sql(name)
        if name and pa.types.is_string(self.schema.field(name).type):
            self._wrong(name, alias, says)
        elif name and pa.types.is_floating(self.schema.field(name).type):
            self.check(f"{alias} IS NULL AND {_quoted(name)} IS NOT NULL AND NOT isnan({_quoted(name)})",
                       name, "malformed", says.format(name))  # fmt: skip
        if required and column:
            self.check(f"{alias} IS NULL", column, "missing", f"The row has no {column}.")

    def _take_plain(
        self, alias: str, column: str | None, form: pa.DataType, fits: Callable[[pa.DataType], bool]
    ) -> None:
        """A column that already has its type, or is absent, needs no computing."""
        name = self.name(column)
        if name is None or fits(self.schema.field(name).type):
            self.plain[alias] = (name, form)

    def _wrong(self, name: str, alias: str, says: str) -> None:
        text = _quoted(name)
        condition = f"{alias} IS NULL AND {text} IS NOT NULL AND trim({text}) NOT IN ('') AND {text} NOT IN {_ABSENT}"
        self.check(condition, name, "malformed", says.format(name))

    def _integer_sql(self, name: str | None) -> str:
        if name is None:
            return "NULL::BIGINT"
        column, form = _quoted(name), self.schema.field(name).type
        if pa.types.is_integer(form):
            return f"{column}::BIGINT"
        if pa.types.is_floating(form):
            return f"CASE WHEN {column} = floor({column}) THEN TRY_CAST({column} AS BIGINT) END"
        whole = f"regexp_extract({column}, '^\\s*([+-]?\\d+)\\.0*\\s*$', 1)"
        return f"TRY_CAST(CASE WHEN contains({column}, '.') THEN {whole} ELSE {column} END AS BIGINT)"

    def _number_sql(self, name: str | None) -> str:
        if name is None:
            return "NULL::DOUBLE"
        value = f"TRY_CAST({_quoted(name)} AS DOUBLE)"
        return f"CASE WHEN isfinite({value}) THEN {value} END"

    def _date_sql(self, name: str | None) -> str:
        if name is None:
            return "NULL::DATE"
        column, form = _quoted(name), self.schema.field(name).type
        if pa.types.is_temporal(form):
            return f"{column}::DATE"
        text = column if pa.types.is_string(form) else f"{column}::VARCHAR"
        return f"coalesce(TRY_CAST({text} AS DATE), TRY_STRPTIME({text}, '%Y%m%d')::DATE)"

    def run(self, con: duckdb.DuckDBPyConnection, block: Block) -> Rows:
        """Compute the columns for `block`."""
        plain = self._plain_columns(block.table)
        table = block.table.append_column("_bad", pa.array(block.bad))
        con.register("block", table.append_column("_row", pa.array(np.arange(len(block), dtype=np.int32))))
        header = self._header_check()
        cases = ["WHEN _bad <> 0 THEN -_bad::INTEGER", *([f"WHEN {header} THEN -100"] if header else [])]
        cases += [f"WHEN {check.condition} THEN {place}" for place, check in enumerate(self.checks, 1)]
        inner = ", ".join(f"{sql} AS {alias}" for alias, sql in self.columns.items())
        kept = [alias for alias in self.columns if alias not in plain and not alias.endswith(("_day", "_ts"))]
        moments = [alias[:-2] for alias in self.columns if alias.endswith("_z")]
        outer = ", ".join([*kept, *(sql for m in moments for sql in _moment_sql(m))])
        why = f"(CASE {' '.join(cases)} ELSE 0 END)::INTEGER AS why"
        source = f"SELECT *, {inner} FROM block" if inner else "SELECT * FROM block"
        found = con.sql(f"SELECT {', '.join(filter(None, (outer, why, '_row')))} FROM ({source})").to_arrow_table()
        con.unregister("block")
        rows = in_order(found.combine_chunks(), "_row").drop_columns(["_row"])
        for alias, column in plain.items():
            rows = rows.append_column(alias, column)
        return Rows(block, rows, tuple(self.checks))

    def _plain_columns(self, table: pa.Table) -> dict[str, pa.Array | pa.ChunkedArray]:
        """The columns that are right as they are: they are spared the way through DuckDB."""
        found: dict[str, pa.Array | pa.ChunkedArray] = {}
        for alias, (name, form) in self.plain.items():
            column = pa.nulls(len(table), form) if name is None else table[name]
            if name is None or not pa.types.is_floating(form) or math.isfinite(pc.sum(column).as_py() or 0.0):
                found[alias] = column.cast(form)
        return found

    def _header_check(self) -> str:
        """Rows that repeat the header, when the file's first columns are text."""
        if not all(pa.types.is_string(f.type) for f in list(self.schema)[:3]):
            return ""
        texts = self.schema.names[:3]
        return " AND ".join(f"lower(trim({_quoted(n)})) = '{n}'" for n in texts if "'" not in n)


def _moment_sql(alias: str) -> tuple[str, str]:
    timed = f"{alias}_ts IS NOT NULL AND {alias}_ts <> date_trunc('day', {alias}_ts)"
    return (
        f"CASE WHEN {timed} THEN {alias}_ts::DATE ELSE coalesce({alias}_day, {alias}_ts::DATE) END AS {alias}_d",
        f"CASE WHEN {timed} THEN (hour({alias}_ts) * 60 + minute({alias}_ts))::SMALLINT END AS {alias}_m",
    )


@dataclass(frozen=True)
class Rows:
    """A block with its computed columns; `why` tells the refused rows."""

    block: Block
    table: pa.Table
    checks: tuple[Check, ...]

    def records(self) -> pa.Table:
        """Every record of the block, refused or not (schema RECORDS)."""
        block, count = self.block, len(self.block)
        lines = pa.nulls(count, pa.int64()) if block.lines is None else pa.array(block.lines)
        event_time = pa.array(np.zeros(count, dtype=np.int64))
        return pa.table([pa.array(block.numbers), lines, event_time, pa.array(block.content)], schema=RECORDS)

    def good(self) -> tuple[pa.Table, pa.Array]:
        """The sound rows, and their record rows."""
        why = self.table["why"].to_numpy()
        if not why.any():
            return self.table, pa.array(np.arange(len(why), dtype=np.int32))
        sound = why == 0
        return self.table.filter(pa.array(sound)), pa.array(np.flatnonzero(sound).astype(np.int32))

    def refused(self) -> pa.Table:
        """The others (schema REFUSED)."""
        why = self.table["why"].to_numpy()
        rows = np.flatnonzero(why != 0)
        kinds = np.unique(why[rows])
        reasons = [reason_of(int(number), self.checks) for number in kinds]
        return refusals(rows, np.searchsorted(kinds, why[rows]), reasons)


def reason_of(number: int, checks: tuple[Check, ...]) -> tuple[str, str, str]:
    """(field, code, sentence) of a value of `why`."""
    if number == -100:
        return "row", "header", "The row repeats the table's header."
    if number < 0:
        return BAD[-number]
    check = checks[number - 1]
    return check.field, check.code, check.reason


def refusals(rows: Int64s, kinds: Int64s, reasons: list[tuple[str, str, str]]) -> pa.Table:
    """Refusals (schema REFUSED) of record rows `rows`, each for reasons[kind]."""
    index = pa.array(kinds)
    columns = [pa.array([r[n] for r in reasons], pa.string()).take(index) for n in range(3)]
    return pa.table([pa.array(rows.astype(np.int32)), *columns], schema=REFUSED)


def moment_columns(rows: pa.Table, alias: str, zone: str) -> tuple[pa.Array, pa.Array]:
    """Local date and elapsed minute of a moment, as the site's clocks tell it.

    A time with an offset is brought to the site's zone; on the two days a year when the clocks
    change, minutes count what really elapsed.
    """
    dates = one(rows[f"{alias}_d"]).cast(pa.int32())
    minutes, instants = one(rows[f"{alias}_m"]), one(rows[f"{alias}_z"])
    day, minute = dates.fill_null(0).to_numpy().copy(), minutes.fill_null(-1).to_numpy().copy()
    if instants.null_count < len(instants):
        zoned = instants.is_valid().to_numpy(zero_copy_only=False) & (minute >= 0)
        day[zoned], minute[zoned] = civil(instants.fill_null(0).to_numpy()[zoned], zone)
    plain = (minute >= 0) & instants.is_null().to_numpy(zero_copy_only=False)
    minute = _elapsed(day, minute, plain, zone)
    mask = dates.is_null().to_numpy(zero_copy_only=False)
    return pa.array(day, pa.int32(), mask=mask).cast(pa.date32()), pa.array(minute, pa.int16(), mask=minute < 0)


def _elapsed(
    day: npt.NDArray[np.int32], minute: npt.NDArray[np.int16], plain: npt.NDArray[np.bool_], zone: str
) -> npt.NDArray[np.int16]:
    """Wall-clock minutes → minutes elapsed since midnight (they differ on two days a year)."""
    starts = midnights(zone)
    index = day.astype(np.int64) - first_day()
    if not plain.any() or index[plain].min() < 0 or index[plain].max() + 1 >= len(starts):
        return minute
    odd = np.flatnonzero(plain)[(starts[index[plain] + 1] - starts[index[plain]]) != 1440]
    for changing in np.unique(day[odd]):
        rows = odd[day[odd] == changing]
        minute[rows] += _shifts(int(changing), zone)[minute[rows] // _QUARTER]
    return minute


_QUARTER = 15  # clocks change on a quarter of an hour everywhere


@lru_cache(maxsize=4096)
def _shifts(day: int, zone: str) -> npt.NDArray[np.int16]:
    """Per quarter of an hour of the wall clock, what to add to get the minutes elapsed on `day`."""
    date = EPOCH.fromordinal(EPOCH.toordinal() + day)
    walls = range(0, 1440, _QUARTER)
    elapsed = [of_parts(date.year, date.month, date.day, w // 60, w % 60, zone).minute or 0 for w in walls]
    return np.array([e - w for e, w in zip(elapsed, walls, strict=True)], dtype=np.int16)


def one(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece."""
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
