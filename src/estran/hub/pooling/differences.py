"""How the sites of a pool differ, variable by variable: what is missing, units, middle and quartiles, how many have it.

What is kept is protected already: counts pass the result gate, shares and quartiles are only told of enough patients and are
rounded. A site is flagged where it stands out from the others together; a flag is a reason to look, not a finding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from estran.exchange.tables import files_as_views
from estran.hub.pooling.agreement import DATE, FLAG, ID, NUMBER, Column, schema_of
from estran.projects.datamarts.spec import Spec
from estran.projects.gate import Shown

FOR_SHARE, FOR_MIDDLE, FOR_QUARTILES = 10, 20, 40  # fewest patients: ten at least on each side of what is told
_DIGITS = 3
_FAR = 2.0  # how many times another's a middle has to be before its unit is doubted
_NEAR = 0.12  # how near (in logarithms) a ratio has to be to that of two units
_LACK, _ODDS = 0.2, 3.0
# Ratios of units that hospitals mix up: powers of ten, and masses of common substances, by a unit of the pair. Creatinine and
# bilirubin; glucose, cholesterol, triglycerides, calcium and urea; NT-proBNP; pressures; weights.
_TENS = (10.0, 100.0, 1e3, 1e6)
_PAIRS: Sequence[tuple[tuple[str, str], tuple[float, ...]]] = (
    (("µmol/L", "mg/dL"), (88.42, 17.1)), (("mmol/L", "mg/dL"), (18.016, 38.67, 88.57, 4.008, 6.006)), (("kPa", "mmHg"), (7.50062,)),
    (("pmol/L", "ng/L"), (8.457,)), (("kg", "lb"), (2.20462,)),
)  # fmt: skip
Show = Callable[[int, str], Shown]


@dataclass(frozen=True)
class Cell:
    """One variable at one site. Shares from 0 to 1; None where too few patients are there to say it. `flags`: missing,
    unit, middle, share; `hint` which units the ratio is that of."""

    site: str
    variable: str
    unit: str
    patients: Shown
    missing: float | None
    share: float | None
    low: float | None
    middle: float | None
    high: float | None
    converted: str = ""
    flags: tuple[str, ...] = ()
    hint: str = ""
    bounds: tuple[str, ...] = ()  # which shares are only bounds: fewer than ten patients are on the smaller side


@dataclass(frozen=True)
class Held:
    """One site's partition: its folder, what the site did not have, what was converted."""

    site: str
    folder: Path
    absent: frozenset[str]
    converted: Mapping[str, str]


def compare(held: Sequence[Held], spec: Spec, show: Show) -> list[Cell]:
    """Every variable at every site, flagged."""
    columns = [one for one in schema_of(spec)["patients"] if one.holds != ID]
    rows = [_site(one, columns, spec, show) for one in held]
    return [cell for number in range(len(rows[0])) for cell in _flagged([row[number] for row in rows])] if rows else []


def _site(held: Held, columns: Sequence[Column], spec: Spec, show: Show) -> list[Cell]:
    tables = {path.stem: path for path in held.folder.glob("*.parquet")}
    with files_as_views(tables, held.folder.parent) as connection:
        people = int(_row(connection, "SELECT count(*) FROM patients")[0])
        patients = show(people, held.site)
        plain = [_cell(connection, held, column, people, patients) for column in columns]
        every = [
            _facts(connection, held, name, unit, people, patients)
            for name, unit in ((one.name, one.unit) for one in spec.every) if "facts" in tables
        ]  # fmt: skip
    return [*plain, *every]


def _cell(connection: duckdb.DuckDBPyConnection, held: Held, column: Column, people: int, patients: Shown) -> Cell:
    name = f'"{column.name}"'
    known = int(_row(connection, f"SELECT count({name}) FROM patients")[0])
    empty = Cell(
        held.site, column.name, column.unit, patients, None, None, None, None, None, held.converted.get(column.name, "")
    )  # fmt: skip
    empty = _with_share(empty, "missing", people - known, people)
    if column.name in held.absent or column.holds == DATE:
        return empty
    if column.holds == FLAG:
        return _with_share(
            empty, "share", int(_row(connection, f"SELECT count(*) FILTER ({name}) FROM patients")[0]), known
        )
    if column.holds == NUMBER:
        return _with_middle(empty, connection, f"SELECT quantile_cont({name}, [0.25, 0.5, 0.75]) FROM patients", known)
    women = f"SELECT count(*) FILTER ({name} = 'female') FROM patients"
    return _with_share(empty, "share", int(_row(connection, women)[0]), known) if column.name == "sex" else empty


def _facts(
    connection: duckdb.DuckDBPyConnection, held: Held, name: str, unit: str, people: int, patients: Shown
) -> Cell:
    """A variable of which every fact is kept: how many patients have one, and the middle of their values."""
    where = "FROM facts WHERE variable = ?"
    having, valued = _row(
        connection, f"SELECT count(DISTINCT patient), count(DISTINCT patient) FILTER (value IS NOT NULL) {where}", name
    )
    cell = Cell(held.site, name, unit, patients, None, None, None, None, None, held.converted.get(name, ""))
    cell = _with_share(cell, "share", int(having), people)
    query = f"SELECT quantile_cont(v, [0.25, 0.5, 0.75]) FROM (SELECT median(value) AS v {where} GROUP BY patient)"
    return _with_middle(cell, connection, query, int(valued), name)


def _with_middle(cell: Cell, connection: duckdb.DuckDBPyConnection, query: str, known: int, *given: str) -> Cell:
    if known < FOR_MIDDLE:
        return cell
    low, middle, high = (_rounded(one) for one in _row(connection, query, *given)[0])
    return replace(
        cell, middle=middle, low=low if known >= FOR_QUARTILES else None, high=high if known >= FOR_QUARTILES else None
    )


def _row(connection: duckdb.DuckDBPyConnection, query: str, *given: str) -> tuple[Any, ...]:
    found: tuple[Any, ...] = connection.execute(query, list(given)).fetchall()[0]
    return found


def _with_share(cell: Cell, name: str, part: int, whole: int) -> Cell:
    """The share to the nearest hundredth; nothing of fewer than twenty patients, and only a bound where fewer than ten are on
    one side, none included."""
    if whole < 2 * FOR_SHARE:
        return cell
    told = min(max(part, FOR_SHARE), whole - FOR_SHARE)
    more = (name,) if told != part else ()
    return Cell(**vars(cell) | {name: round(told / whole, 2), "bounds": (*cell.bounds, *more)})


def _rounded(value: float | None) -> float | None:
    if value is None or not math.isfinite(value) or value == 0:
        return value
    return round(value, _DIGITS - 1 - math.floor(math.log10(abs(value))))


# What stands out


def _flagged(cells: Sequence[Cell]) -> list[Cell]:
    return [_marked(cell, [other for other in cells if other is not cell]) for cell in cells]


def _marked(cell: Cell, others: Sequence[Cell]) -> Cell:
    flags, hint = list[str](), ""
    lack = _of(others, "missing")
    if cell.missing is not None and lack and cell.missing - median(lack) > _LACK:
        flags.append("missing")
    middles = [one for one in _of(others, "middle") if one]
    if cell.middle and middles:
        flag, hint = _middle(cell, median(middles), others)
        flags += [flag] if flag else []
    shares = _of(others, "share")
    if cell.share is not None and shares and _odds(cell.share, median(shares)) > _ODDS:
        flags.append("share")
    return replace(cell, flags=tuple(flags), hint=hint)


def _of(cells: Iterable[Cell], name: str) -> list[float]:
    return [getattr(one, name) for one in cells if getattr(one, name) is not None]


def _middle(cell: Cell, usual: float, others: Sequence[Cell]) -> tuple[str, str]:
    """Whether the unit is doubted, with the units of that ratio; or only the middle stands out of all the others' quartiles."""
    ratio = abs(math.log(abs((cell.middle or 0) / usual)))
    if ratio > math.log(_FAR):
        return "unit", _units(cell.unit, ratio)
    apart = [one for one in others if one.low is not None and one.high is not None]
    outside = apart and all(
        (cell.middle or 0) < (one.low or 0) or (cell.middle or 0) > (one.high or 0) for one in apart
    )
    return ("middle", "") if outside else ("", "")


def _units(unit: str, ratio: float) -> str:
    """The two units whose ratio (a logarithm) is near this one, one of them being the variable's, or a power of ten."""
    plain = unit.replace("umol", "µmol").replace("[lb_av]", "lb").replace("mm[Hg]", "mmHg")
    known = [(" – ".join(pair), one) for pair, ratios in _PAIRS if plain in pair for one in ratios]
    known += [(f"× {one:,.0f}".replace(",", "\u202f"), one) for one in _TENS]
    found, near = min(((name, abs(math.log(one) - ratio)) for name, one in known), key=lambda each: each[1])
    return found if near < _NEAR else ""


def _odds(one: float, other: float) -> float:
    first, second = (min(max(share, 0.01), 0.99) for share in (one, other))
    ratio = first / (1 - first) / (second / (1 - second))
    return max(ratio, 1 / ratio)


def to_object(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """As it is kept."""
    return [asdict(cell) for cell in cells]


def from_object(given: Sequence[Mapping[str, Any]]) -> list[Cell]:
    """Inverse of `to_object`."""
    return [
        Cell(
            **dict(one)
            | {"patients": Shown(**one["patients"]), "flags": tuple(one["flags"]), "bounds": tuple(one["bounds"])}
        )
        for one in given
    ]
