"""What the catalogue says of one thing, each number through the gate; made by the steward, drawn by pages."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from estran.projects.gate import ResultGate, Shown
from estran.state import Entry


@dataclass(frozen=True)
class Listed:
    """One line of a list of the catalogue."""

    kind: str
    key: str
    label_fr: str
    label_en: str
    nature: str  # of a variable: diagnosis, laboratory...
    patients: Shown
    rows: Shown
    first: str  # month, "" when unknown or when too few patients have it
    last: str

    def label(self, lang: str) -> str:
        """In a language, or in the other one, or the key."""
        first, second = (self.label_en, self.label_fr) if lang == "en" else (self.label_fr, self.label_en)
        return first or second or self.key


@dataclass(frozen=True)
class Bars:
    """Counts of patients under labels, for a chart."""

    labels: tuple[str, ...]
    counts: tuple[Shown, ...]


@dataclass(frozen=True)
class Spread:
    """Values in one unit: quantiles (None where too few patients stand beyond them) and a histogram of patients."""

    unit: str
    facts: Shown
    patients: Shown
    quantiles: tuple[float | None, ...]
    low: float | None
    high: float | None
    bins: Bars


@dataclass(frozen=True)
class Origin:
    """Where rows come from: source, load that brought the newest, month of the newest."""

    source: str
    rows: Shown
    load: int
    last: str


@dataclass(frozen=True)
class Card:
    """All that is said of a table, kind of document, source or variable."""

    listed: Listed
    snapshot: int
    filled: tuple[tuple[str, float], ...]  # what is filled, and for which share of rows (to the percent)
    periods: Bars  # patients per year or month
    spreads: tuple[Spread, ...]
    top: tuple[tuple[str, str, str, Shown], ...]  # code, labels and patients of the most frequent coded values
    origins: tuple[Origin, ...]


def count_of(gate: ResultGate, count: int, patients: int, place: str) -> Shown:
    """A count of rows as it may be shown: not at all when too few patients stand behind it."""
    people = gate.show(patients, f"{place}/patients")
    return people if people.below else gate.show(count, place)


def listed(entry: Entry, gate: ResultGate) -> Listed:
    """An entry as a line."""
    place, body = f"catalogue/{entry.kind}/{entry.key}", entry.body
    patients = gate.show(entry.patients, f"{place}/patients")
    rows = count_of(gate, entry.rows, entry.patients, place) if _of_people(entry) else Shown(entry.rows)
    hidden = bool(patients.below) and _of_people(entry)
    first, last = ("", "") if hidden else (_month(body.get("first")), _month(body.get("last")))
    labels = str(body.get("label_fr") or ""), str(body.get("label_en") or "")
    return Listed(entry.kind, entry.key, *labels, str(body.get("kind") or ""), patients, rows, first, last)


def card(entry: Entry, gate: ResultGate) -> Card:
    """An entry as a page."""
    place, body, line = f"catalogue/{entry.kind}/{entry.key}", entry.body, listed(entry, gate)
    if line.rows.below:
        return Card(line, entry.snapshot, (), Bars((), ()), (), (), ())
    years = body.get("years") or body.get("months") or []
    periods = Bars(
        tuple(str(row.get("year") or row.get("month")) for row in years),
        tuple(gate.show(row["patients"], f"{place}/{row.get('year') or row.get('month')}") for row in years),
    )
    return Card(
        line, entry.snapshot, _filled(entry), periods,
        tuple(_spread(one, gate, f"{place}/{one['unit']}") for one in body.get("values", [])),
        tuple((row["code"], row["label_fr"] or "", row["label_en"] or "", gate.show(row["patients"], f"{place}/top/{row['code']}"))
              for row in body.get("top", [])),
        tuple(_origin(row, gate, f"{place}/{row['source']}") for row in body.get("sources", [])),
    )  # fmt: skip


def _of_people(entry: Entry) -> bool:
    """Whether patients stand behind the rows: units, concepts and loads have none."""
    return entry.kind != "table" or entry.patients > 0


def _month(value: Any) -> str:
    if value is None:
        return ""
    return (value.isoformat() if isinstance(value, dt.date) else str(value))[:7]


_FILLED = (
    "dated",
    "timed",
    "in_stay",
    "in_unit",
    "authored",
    "texts",
    "valued",
    "coded",
    "mapped",
    "not_affirmed",
    "from_text",
)


def _filled(entry: Entry) -> tuple[tuple[str, float], ...]:
    body, rows = entry.body, max(entry.rows, 1)
    found = [(name, body[name]) for name in _FILLED if name in body] or [
        (name, n) for name, n in body.get("columns", [])
    ]
    shares = [(name, round(count / rows, 2)) for name, count in found]
    if body.get("valued"):
        shares.append(("united", round(body["united"] / body["valued"], 2)))
    return tuple(shares)


def _spread(one: dict[str, Any], gate: ResultGate, place: str) -> Spread:
    patients = gate.show(one["patients"], f"{place}/patients")
    if patients.below:
        return Spread(one["unit"], patients, patients, (None,) * 5, None, None, Bars((), ()))
    bins = one["bins"]
    low, high = one["low"], one["high"]
    edges = [low + (high - low) * n / len(bins) for n in range(len(bins))] if bins else []
    bars = Bars(
        tuple(f"{edge:.3g}" for edge in edges), tuple(gate.show(n, f"{place}/{at}") for at, (_, n) in enumerate(bins))
    )
    facts = gate.show(one["facts"], place)
    return Spread(one["unit"], facts, patients, tuple(one["quantiles"]), low, high, bars)


def _origin(row: dict[str, Any], gate: ResultGate, place: str) -> Origin:
    rows = count_of(gate, row["facts"], row["patients"], place)
    return Origin(row["source"], rows, row["load"], "" if rows.below else _month(row["last"]))
