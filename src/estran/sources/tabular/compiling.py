"""A table of a mapping and the columns of a file → SQL for DuckDB, closed from end to end.

Names are quoted, values are quoted, and nothing of the mapping is ever taken for SQL. Text that is
not what the mapping says becomes null, and a check tells such a row from one that is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from estran.model.codes import Precision
from estran.sources.omop.expressions import Check
from estran.sources.tabular.expressions import (
    Changed,
    Choose,
    Coalesce,
    Column,
    Compared,
    Concat,
    Condition,
    Constant,
    Every,
    Expression,
    Filled,
    Mapped,
    OneOf,
    Pad,
    Replace,
    Substring,
    source_of,
)
from estran.sources.tabular.language import Instant

_OFFSET = "(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
_ABSENT = "('NA', 'NaN', 'nan', 'None', 'null', '<NA>')"
_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_MEASURE = rf"^\s*(<=|>=|=<|=>|<|>|=)?\s*({_NUMBER})\s*$"
_FIRST, _LAST = "DATE '1830-01-02'", "DATE '2299-12-30'"


def joined_name(place: int) -> str:
    """What the query calls the lookup table at `place`."""
    return f"lookup{place}"


def literal(word: str) -> str:
    """A text as SQL quotes it."""
    return "'" + word.replace("'", "''").replace("\0", "") + "'"


@dataclass
class Slots:
    """What to compute for one table: `inner` columns from the file's, `outer` ones from those.

    Slots asked for twice are computed once. `guard` is the alias of a condition without which a
    value does not matter, nor what is wrong with it.
    """

    schema: pa.Schema
    instants: frozenset[str]
    lookups: Mapping[str, pa.Schema]
    decimal: str = "."
    empty: tuple[str, ...] = ()
    ignore_offsets: bool = False
    inner: dict[str, str] = field(default_factory=dict)
    outer: dict[str, str] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    read: set[str] = field(default_factory=set)  # columns of the file
    joined: set[str] = field(default_factory=set)  # lookups
    _known: dict[object, str] = field(default_factory=dict)

    def _slot(self, kind: str, node: object, sql: Callable[[], str]) -> str:
        key = (kind, node)
        if key not in self._known:
            computed = sql()  # may ask for other slots, which come first
            alias = f"s{len(self._known)}"
            self._known[key] = alias
            self.inner[alias] = computed
            self.outer[alias] = alias
        return self._known[key]

    def _check(self, condition: str, source: str, code: str, reason: str, guard: str) -> None:
        check = Check(f"({condition}) AND {guard}" if guard else condition, source, code, reason)
        if check not in self.checks:
            self.checks.append(check)

    # kinds of slots ---------------------------------------------------------------------------------

    def condition(self, node: Condition) -> str:
        """A truth value, never null."""
        return self._slot("condition", node, lambda: self._condition(node))

    def text(self, node: Expression, guard: str = "", *, required: bool = False) -> str:
        """A trimmed text, null when there is none."""
        alias = self._slot("text", node, lambda: self._text(node))
        self._unmapped(node, guard)
        if required:
            self._required(f"{alias} IS NULL", source_of(node), guard)
        return alias

    def filled(self, node: Expression) -> str:
        """Whether there is a value, as a condition."""
        return self.condition(Filled(node))

    def both(self, one: str, other: str) -> str:
        """The alias of a condition that holds when both do."""
        return self._slot("both", (one, other), lambda: f"({one} AND {other})")

    def on_of(self, node: Expression) -> str:
        """The text by which a lookup is joined: no slot, since joins come before those."""
        return f"({self._text(node)})"

    def key(self, node: Expression, guard: str = "", *, required: bool = False) -> str:
        """A text, or the whole number itself where the column holds such: numbers are faster to tell apart."""
        if not (isinstance(node, Column) and not node.lookup and pa.types.is_integer(self._type(node))):
            return self.text(node, guard, required=required)
        alias = self._slot("key", node, lambda: self._column(node))
        if required:
            self._required(f"{alias} IS NULL", source_of(node), guard)
        return alias

    def number(self, node: Expression, guard: str = "") -> str:
        """A finite number."""
        alias = self._slot("number", node, lambda: self._number(node))
        if not _numeric(self._type(node)):
            text = self.text(node, guard)
            wrong = f"{alias} IS NULL AND {text} IS NOT NULL AND {text} NOT IN {_ABSENT}"
            self._check(wrong, source_of(node), "malformed", f"The {source_of(node)} is not a number.", guard)
        return alias

    def measure(self, node: Expression, guard: str = "") -> tuple[str, str, str]:
        """Number, comparator and, when it is no number, text of a result."""
        if _numeric(self._type(node)):
            nothing = self._slot("none", "", lambda: "NULL::VARCHAR")
            return self.number(node, guard), nothing, nothing
        text = self.text(node, guard)
        written = f"regexp_replace({text}, '{_MEASURE}', '\\{{}}')"
        match = f"regexp_matches({text}, '{_MEASURE}')"
        if self.decimal == ",":
            written, match = (s.replace(text, f"replace({text}, ',', '.')", 1) for s in (written, match))
        value = f"CASE WHEN {match} THEN TRY_CAST({written.format(2)} AS DOUBLE) END"
        number = self._slot("measure", node, lambda: f"CASE WHEN isfinite({value}) THEN {value} END")
        sign = self._slot("sign", node, lambda: f"CASE WHEN {match} THEN nullif({written.format(1)}, '') END")
        rest = self._slot("rest", node, lambda: f"CASE WHEN {number} IS NULL THEN {text} END")
        return number, sign, rest

    def version(self, node: Expression) -> str:
        """A whole number, or a moment in microseconds."""
        kind = self._type(node)
        text = self.text(node)
        stamp = f"epoch_us(TRY_CAST({text} AS TIMESTAMP))"
        number = f"TRY_CAST({text} AS BIGINT)"
        sql = f"epoch_us({self._column(node)}::TIMESTAMP)" if isinstance(node, Column) and pa.types.is_temporal(kind) else f"coalesce({number}, {stamp})"
        alias = self._slot("version", node, lambda: sql)
        self._check(f"{alias} IS NULL AND {text} IS NOT NULL", source_of(node), "malformed",
                    f"The {source_of(node)} is neither a whole number nor a date and time.", "")  # fmt: skip
        return alias

    def moment(self, parts: tuple[Instant, ...], guard: str = "", *, required: bool = False) -> str:
        """Four columns: `<alias>_d` date, `_m` minute, `_z` instant, `_p` precision of the first filled part."""
        known = ("moment", parts)
        fresh = known not in self._known
        alias = self._known.setdefault(known, f"m{len(self._known)}")
        self._moment(alias, parts, guard, fresh=fresh)
        if required:
            names = ", ".join(source_of(p.of) for p in parts)
            self._required(f"coalesce({', '.join(f'{alias}_t{n}' for n in range(len(parts)))}) IS NULL", names, guard)
        return alias

    def _required(self, condition: str, source: str, guard: str) -> None:
        self._check(condition, source, "missing", f"The row has no {source}.", guard)

    # moments ----------------------------------------------------------------------------------------

    def _moment(self, alias: str, parts: tuple[Instant, ...], guard: str, *, fresh: bool) -> None:
        for place, part in enumerate(parts):
            stamp, zoned, precision, text = self._instant(part, guard)
            stamped, named = f"{alias}_t{place}", source_of(part.of)
            if fresh:
                self.inner |= {stamped: stamp, f"{alias}_z{place}": zoned}
                self.inner[f"{alias}_p{place}"] = f"CASE WHEN {stamped} IS NOT NULL THEN {precision} END"
            if text:
                said = f"The {named} is not a date written as {part.format}."
                said = said if part.format else f"The {named} is not a date: YYYY-MM-DD[ hh:mm[:ss]]."
                wrong = f"{stamped} IS NULL AND {text} IS NOT NULL AND {text} NOT IN {_ABSENT}"
                self._check(wrong, named, "malformed", said, guard)
            far = f"coalesce({stamped}::DATE NOT BETWEEN {_FIRST} AND {_LAST}, FALSE)"
            self._check(far, named, "malformed", f"The {named} is not between 1830 and 2300.", guard)
        if fresh:
            self._first_moment(alias, len(parts))

    def _first_moment(self, alias: str, count: int) -> None:
        """The columns of the first filled part."""
        stamps = [f"{alias}_t{n}" for n in range(count)]
        stamp = f"coalesce({', '.join(stamps)})"
        precision = f"coalesce({', '.join(f'{alias}_p{n}' for n in range(count))})"
        zoned = "CASE " + " ".join(f"WHEN {t} IS NOT NULL THEN {alias}_z{n}" for n, t in enumerate(stamps)) + " END"
        clock = f"(hour({stamp}) * 60 + minute({stamp}))::SMALLINT"
        self.outer |= {
            f"{alias}_d": f"{stamp}::DATE", f"{alias}_z": zoned, f"{alias}_p": f"{precision}::TINYINT",
            f"{alias}_m": f"CASE WHEN {precision} >= {int(Precision.HOUR)} THEN {clock} END",
        }  # fmt: skip

    def _instant(self, part: Instant, guard: str) -> tuple[str, str, str, str]:
        """SQL of the time stamp, of the instant when an offset is given, and of the precision; the slot of
        the text that may be none, if it is text."""
        kind = self._type(part.of)
        said = None if part.precision is None else str(part.precision)
        if pa.types.is_timestamp(kind) and isinstance(part.of, Column):
            stamp = self._column(part.of)
            exact = part.precision is None or part.precision >= Precision.HOUR
            zoned = f"epoch_us({stamp})" if part.of.name in self.instants and not part.of.lookup and exact else "NULL::BIGINT"
            return stamp, zoned, said or str(int(Precision.MINUTE)), ""
        if pa.types.is_date(kind) and isinstance(part.of, Column):
            return f"{self._column(part.of)}::TIMESTAMP", "NULL::BIGINT", said or str(int(Precision.DAY)), ""
        text = self.text(part.of, guard)
        stamp, zoned, precision = self._written(text, part.format)
        return stamp, zoned, said or precision, text

    def _written(self, text: str, form: str | None) -> tuple[str, str, str]:
        if form is not None:
            return f"TRY_STRPTIME({text}, {literal(form)})", "NULL::BIGINT", str(int(_precision_of(form)))
        if self.ignore_offsets:
            text = f"CASE WHEN length({text}) > 16 THEN regexp_replace({text}, '{_OFFSET}', '') ELSE {text} END"
        compact = f"TRY_STRPTIME({text}, ['%Y%m%d', '%Y-%m', '%Y'])"
        stamp = f"coalesce(TRY_CAST({text} AS TIMESTAMP), {compact})"
        zoned = f"CASE WHEN length({text}) > 16 AND regexp_matches({text}, '{_OFFSET}') THEN epoch_us(TRY_CAST({text} AS TIMESTAMPTZ)) END"
        precision = f"CASE WHEN length({text}) > 10 THEN 4 WHEN length({text}) >= 8 THEN 2 WHEN length({text}) >= 6 THEN 1 ELSE 0 END"
        return stamp, "NULL::BIGINT" if self.ignore_offsets else zoned, precision

    # expressions ------------------------------------------------------------------------------------

    def _type(self, node: Expression) -> pa.DataType:
        """What the column holds; text for anything computed."""
        if not isinstance(node, Column):
            return pa.string()
        schema = self.lookups[node.lookup] if node.lookup else self.schema
        return schema.field(node.name).type

    def _column(self, column: Column) -> str:
        """The column as the query calls it: by its place, so that no name of a file can stand for anything else."""
        if column.lookup:
            self.joined.add(column.lookup)
            place = self.lookups[column.lookup].get_field_index(column.name)
            return f"{joined_name(list(self.lookups).index(column.lookup))}.c{place}"
        self.read.add(column.name)
        return f"block.c{self.schema.get_field_index(column.name)}"

    def _text(self, node: Expression) -> str:
        """SQL of a text, null when it is empty."""
        if isinstance(node, Column):
            return self._text_of_column(node)
        if isinstance(node, Mapped):
            return self._mapped(node)
        if isinstance(node, Constant):
            return f"nullif({literal(node.value)}, '')"
        return self._together(node) if isinstance(node, Coalesce | Concat | Choose) else self._changed(node)

    def _together(self, node: Coalesce | Concat | Choose) -> str:
        if isinstance(node, Choose):
            other = f" ELSE {self._text(node.other)}" if node.other else ""
            return f"CASE WHEN {self._condition(node.when)} THEN {self._text(node.then)}{other} END"
        parts = [self._text(part) for part in node.parts]
        if isinstance(node, Coalesce):
            return f"coalesce({', '.join(parts)})"
        return f"nullif(concat_ws({', '.join([literal(node.separator), *parts])}), '')"

    def _changed(self, node: Substring | Changed | Replace | Pad) -> str:
        match node:
            case Substring():
                length = "" if node.length is None else f", {node.length}"
                return f"nullif(substring({self._text(node.of)}, {node.start}{length}), '')"
            case Changed(of, "digits"):
                return f"nullif(regexp_replace({self._text(of)}, '[^0-9]', '', 'g'), '')"
            case Changed():
                return f"{node.how}({self._text(node.of)})"
            case Replace():
                return f"nullif(replace({self._text(node.of)}, {literal(node.this)}, {literal(node.by)}), '')"
            case Pad():
                text = self._text(node.of)
                return f"lpad({text}, greatest({node.length}, length({text})), {literal(node.fill)})"

    def _text_of_column(self, column: Column) -> str:
        kind, sql = self._type(column), self._column(column)
        if pa.types.is_floating(kind):
            whole = f"{sql} = floor({sql}) AND abs({sql}) < 1e15"
            return f"CASE WHEN isnan({sql}) THEN NULL WHEN {whole} THEN {sql}::BIGINT::VARCHAR ELSE {sql}::VARCHAR END"
        if not pa.types.is_string(kind):
            return f"{sql}::VARCHAR"
        trimmed = f"nullif(trim({sql}), '')"
        if not self.empty:
            return trimmed
        return f"CASE WHEN trim({sql}) NOT IN ({', '.join(map(literal, self.empty))}) THEN {trimmed} END"

    def _mapped(self, node: Mapped) -> str:
        text = self._text(node.of)
        cases = " ".join(f"WHEN {literal(value)} THEN {literal(becomes)}" for value, becomes in node.table)
        if node.keeps:
            return f"CASE {text} {cases} ELSE {text} END"
        otherwise = f"CASE WHEN {text} IS NOT NULL THEN {literal(node.otherwise)} END" if node.otherwise is not None else "NULL"
        return f"CASE {text} {cases} ELSE {otherwise} END"

    def _unmapped(self, node: Expression, guard: str) -> None:
        """Refuse values that a `map` without `otherwise` does not list."""
        if isinstance(node, Choose):
            holds = self.condition(node.when)
            self._unmapped(node.then, self.both(guard, holds) if guard else holds)
        elif isinstance(node, Coalesce | Concat):
            for part in node.parts:
                self._unmapped(part, guard)
        elif isinstance(node, Mapped) and not node.keeps and node.otherwise is None:
            known = ("unmapped", node, guard)
            if known in self._known:
                return
            text = self.text(node.of, guard)
            self._known[known] = text
            listed = ", ".join(literal(value) for value, _ in node.table)
            named = source_of(node.of)
            self._check(f"coalesce({text} NOT IN ({listed}), FALSE)", named, "unknown-value",
                        f"The value of {named} is not in the mapping's list.", guard)  # fmt: skip
        elif not isinstance(node, Column | Constant):
            self._unmapped(node.of, guard)

    def _number(self, node: Expression) -> str:
        if isinstance(node, Column) and _numeric(self._type(node)):
            value = f"{self._column(node)}::DOUBLE"
        else:
            text = self.text(node)
            value = f"TRY_CAST({f'replace({text}, {literal(self.decimal)}, {literal(chr(46))})'} AS DOUBLE)"
        return f"CASE WHEN isfinite({value}) THEN {value} END"

    def _condition(self, node: Condition) -> str:
        match node:
            case Filled():
                return f"({self._text(node.of)} IS NOT NULL)"
            case OneOf():
                return f"coalesce({self._text(node.of)} IN ({', '.join(map(literal, node.values))}), FALSE)"
            case Compared():
                return f"coalesce({self._number(node.of)} {'>' if node.above else '<'} {node.bound!r}, FALSE)"
            case Every():
                return f"({(' AND ' if node.every else ' OR ').join(map(self._condition, node.parts))})"
            case _:
                return f"(NOT {self._condition(node.of)})"


def _numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _precision_of(form: str) -> Precision:
    for fields, precision in (
        (("%M",), Precision.MINUTE), (("%H", "%I"), Precision.HOUR), (("%d", "%j"), Precision.DAY),
        (("%m", "%b", "%B"), Precision.MONTH),
    ):  # fmt: skip
        if any(f in form for f in fields):
            return precision
    return Precision.UNKNOWN
