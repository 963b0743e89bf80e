"""The checks of a table of results."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from estran.identity.folding import fold
from estran.release.airlock import identifiers
from estran.release.airlock.findings import Finding, finding
from estran.release.airlock.profiles import Profile
from estran.release.airlock.suppression import deduced, equations
from estran.release.airlock.table import Kind, Table, number

MOST_DIGITS = 8
MOST_CELL = 200  # characters
_ROWWISE = 20  # rows from which a table without counts looks like individual data
_QUASI = re.compile(
    r"age|sexe?|gender|year|annee|month|mois|commune|city|ville|dep|region|profession|ethnic|nationalit"
)
_DOF = re.compile(r"\b(?:dof|ddl|df[_ ]?resid\w*)\b")


def check_table(table: Table, profile: Profile) -> Iterator[Finding]:
    """Everything but what compares two tables."""
    yield from _people(table)
    yield from _cells(table)
    yield from _counts(table, profile)
    yield from _redactions(table, profile)
    yield from _statistics(table, profile)
    yield from _individuals(table, profile)


def _people(table: Table) -> Iterator[Finding]:
    for place, heading in enumerate(table.heading, start=1):
        yield from identifiers.in_heading(heading, table.name, place)
    seen: set[str] = set()
    days = False
    for row, cells in enumerate(table.rows, start=2):
        for place, cell in enumerate(cells, start=1):
            if cell in seen or not cell:
                continue
            seen.add(cell)
            if not days and identifiers.DAY.search(cell):
                days = True
                yield finding("dates", table.name, row, place)
            if len(cell) > 3 and (np.isnan(number(cell)) or sum(c.isdigit() for c in cell) > 12):
                yield from identifiers.in_text(cell, table.name, row, place)


def _cells(table: Table) -> Iterator[Finding]:
    for row, cells in enumerate(table.rows, start=2):
        for place, cell in enumerate(cells, start=1):
            if len(cell) > MOST_CELL:
                yield finding("wordy", table.name, row, place, length=len(cell))
            digits = significant(cell)
            if digits > MOST_DIGITS and not np.isnan(number(cell)):
                yield finding("digits", table.name, row, place, digits=digits, most=MOST_DIGITS)
            if cell[:1] in ("=", "@", "\t", "\r"):
                yield finding("active", table.name, row, place, what="formula")


def significant(cell: str) -> int:
    """Significant digits of a number as it is written."""
    mantissa = re.split("[eE]", cell.strip().lstrip("+-"))[0]
    digits = re.sub(r"\D", "", mantissa).lstrip("0")
    return len(digits if re.search("[.,]", mantissa) else digits.rstrip("0"))


def _counts(table: Table, profile: Profile) -> Iterator[Finding]:
    for place in table.of(Kind.COUNT):
        values = table.columns[place].values
        for row in np.flatnonzero(~np.isnan(values)):
            yield from _count(float(values[row]), table, int(row), place, profile)
    for place in table.of(Kind.MIDPOINT):
        values, base = table.columns[place].values, 3 if fold(table.heading[place]).endswith("midpoint6") else 0
        for row in np.flatnonzero(~np.isnan(values) & (values != 0) & (values % 6 != base)):
            yield finding("unrounded", table.name, int(row) + 2, place + 1, count=f"{values[row]:g}", step="6")
    yield from _everybody(table)


def _count(value: float, table: Table, row: int, place: int, profile: Profile) -> Iterator[Finding]:
    where = (table.name, row + 2, place + 1)
    if 0 < value < profile.floor:
        yield finding("small", *where, count=f"{value:g}", floor=profile.floor)
    elif profile.step and value % profile.step:
        yield finding("unrounded", *where, count=f"{value:g}", step=profile.step)
    elif value == 0 and profile.zeros:
        yield finding("zero", *where)


def _everybody(table: Table) -> Iterator[Finding]:
    """A count equal to the size of its group."""
    counts = table.of(Kind.COUNT)
    groups = [place for place in counts if table.columns[place].is_population]
    if len(groups) != 1 or (table.columns[groups[0]].is_total and len(counts) > 2):
        return
    size = table.columns[groups[0]].values
    for place in counts:
        if place != groups[0]:
            same = (table.columns[place].values == size) & (size > 0)
            for row in np.flatnonzero(same):
                yield finding("everybody", table.name, int(row) + 2, place + 1)


def _redactions(table: Table, profile: Profile) -> Iterator[Finding]:
    found = equations(table)
    alone = set()
    for one in deduced(found):
        alone.add((one.row, one.column))
        if 0 < one.value < profile.floor:
            yield finding("deduced", table.name, one.row + 2, one.column + 1, count=f"{one.value:g}")
    for line in found:
        left = [cell for cell in line.unknown if cell not in alone]
        if len(left) > 1 and len(left) == len(line.unknown) and 0 < line.rest < profile.floor:
            row, column = left[0]
            words = {
                "cells": len(left),
                "count": f"{line.rest:g}",
                "line": "ligne" if line.line == "row" else "colonne",
            }
            yield finding("together", table.name, row + 2, column + 1, **words)


def _statistics(table: Table, profile: Profile) -> Iterator[Finding]:
    stats, counts = table.of(Kind.STAT), table.of(Kind.COUNT, Kind.MIDPOINT)
    columns = [table.columns[place] for place in stats]
    for place, column in zip(stats, columns, strict=True):
        if column.is_extreme and profile.extremes:
            yield finding("extreme", table.name, 1, place + 1)
        if _DOF.search(fold(column.heading)):
            yield from _degrees(table, place, profile)
        yield from _of_few(table, place, counts, profile)
    with_dof = any(_DOF.search(fold(heading)) for heading in table.heading)
    coefficients = any(column.is_coefficient for column in columns)
    if coefficients and profile.dof and not with_dof:
        yield finding("no-dof", table.name)
    if stats and not counts and not coefficients and not with_dof:
        yield finding("uncounted", table.name)
    if profile.nk_n and any(column.is_magnitude for column in columns):
        yield finding("unproved", table.name)


def _degrees(table: Table, place: int, profile: Profile) -> Iterator[Finding]:
    values = table.columns[place].values
    for row in np.flatnonzero(~np.isnan(values) & (values < profile.dof)):
        yield finding("dof", table.name, int(row) + 2, place + 1, dof=f"{values[row]:g}", least=profile.dof)


def _of_few(table: Table, place: int, counts: Sequence[int], profile: Profile) -> Iterator[Finding]:
    """A statistic told beside a redacted count, or beside one that is too small."""
    told = ~np.isnan(table.columns[place].values)
    for row in np.flatnonzero(told):
        beside = [table.columns[count] for count in counts]
        if any(column.redacted[row] for column in beside):
            words = {"count": f"1–{profile.floor - 1}", "floor": profile.floor}
            yield finding("group", table.name, int(row) + 2, place + 1, **words)


def _individuals(table: Table, profile: Profile) -> Iterator[Finding]:
    """One row per person: how many share the rarest combination of what describes them (k-anonymity)."""
    if table.of(Kind.COUNT, Kind.MIDPOINT) or len(table.rows) < _ROWWISE:
        return
    quasi = [place for place, heading in enumerate(table.heading) if _QUASI.search(fold(heading))]
    if any(column.is_coefficient for column in table.columns):
        return
    groups = Counter(tuple(row[place] for place in quasi) for row in table.rows)
    least = min(groups.values())
    if quasi and least < profile.k:
        words = {"columns": ", ".join(table.heading[place] for place in quasi), "least": profile.k}
        yield finding("microdata", table.name, k=least, **words)
    else:
        yield finding("rowwise", table.name)


def check_evidence(table: Table, profile: Profile) -> Iterator[Finding]:
    """The contributions behind a magnitude table: columns n, total, largest, second, top and negative, a row per cell.

    `top` is the sum of the profile's `nk_n` largest. Source of both rules and of the order of the checks: ACRO.
    """
    place = {fold(heading).strip(): number for number, heading in enumerate(table.heading)}
    wanted = ("n", "total", "largest", "second")
    if not all(name in place for name in wanted):
        yield finding("unreadable", table.name)
        return
    for row in range(len(table.rows)):
        said = {name: float(np.nan_to_num(table.columns[at].values[row])) for name, at in place.items()}
        yield from _contributions(said, table.name, row + 2, profile)


def _contributions(said: dict[str, float], name: str, row: int, profile: Profile) -> Iterator[Finding]:
    if said.get("negative", 0) > 0:
        yield finding("negative", name, row)
        return
    if 0 < said["n"] < profile.floor:
        yield finding("group", name, row, count=f"{said['n']:g}", floor=profile.floor)
    top = said.get("top", said["largest"] + said["second"])
    if said["total"] > 0 and top / said["total"] > profile.nk_k:
        words = {"share": f"{100 * top / said['total']:.0f}", "most": f"{100 * profile.nk_k:.0f}"}
        yield finding("nk", name, row, n=profile.nk_n, **words)
    rest = said["total"] - said["largest"] - said["second"]
    if said["largest"] > 0 and rest / said["largest"] < profile.p_ratio:
        words = {"share": f"{100 * rest / said['largest']:.0f}", "least": f"{100 * profile.p_ratio:.0f}"}
        yield finding("p-ratio", name, row, **words)


def check_difference(table: Table, other: Table, profile: Profile) -> Iterator[Finding]:
    """Two tables of which one counts a part of the other's patients: what their differences tell."""
    rows = {key: number for number, key in enumerate(other.keys)}
    shared = [(row, rows[key]) for row, key in enumerate(table.keys) if key in rows]
    names = {fold(other.heading[place]).strip(): place for place in other.of(Kind.COUNT)}
    pairs = [
        (place, names[head]) for place in table.of(Kind.COUNT) if (head := fold(table.heading[place]).strip()) in names
    ]
    if len(shared) < 2 or not pairs:
        return
    mine, theirs = [row for row, _ in shared], [row for _, row in shared]
    gaps = np.array([table.columns[a].values[mine] - other.columns[b].values[theirs] for a, b in pairs])
    known = gaps[~np.isnan(gaps)]
    nested = bool(len(known)) and bool(np.all(known >= 0) or np.all(known <= 0))
    if not nested or (profile.step and bool(np.all(known % profile.step == 0))):
        return
    for pair, shared_row in np.argwhere(~np.isnan(gaps) & (np.abs(gaps) > 0) & (np.abs(gaps) < profile.floor)):
        count, place = f"{abs(gaps[pair, shared_row]):g}", pairs[pair][0]
        yield finding("differencing", table.name, mine[shared_row] + 2, place + 1, other=other.name, count=count)
