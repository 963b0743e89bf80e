"""The desk of whoever asks about the data themselves: catalogue, quality, official figures, steering."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from estran.catalog import official, quality
from estran.catalog.checks import Check
from estran.catalog.relations import RELATIONS
from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.described import Card, Listed, card, count_of, listed
from estran.projects.gate import ResultGate, Shown, gate_of
from estran.projects.policy import Action, Target, decide
from estran.projects.site import SiteServices
from estran.state import Entry, Note, Run, Tallied
from estran.warehouse import Snapshot

FOUND = 60
_LONGEST_NOTE = 2000
KINDS = ("table", "document", "source", "variable")


@dataclass(frozen=True)
class Overview:
    """The first page: what was measured, and whether something was loaded since. `measured` is None before the first."""

    measured: int | None
    newest: int
    variables: int
    tables: tuple[Listed, ...]
    documents: tuple[Listed, ...]
    sources: tuple[Listed, ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class CheckShown:
    """A check with what it found. `share` is in percent of the rows it looks at; None when there is none, or when
    only few patients stand behind what it found."""

    check: Check
    result: Tallied
    applicable: Shown
    violated: Shown
    share: float | None
    failed: bool


@dataclass(frozen=True)
class Behind:
    """Some of the rows behind a failure, as pseudonymous numbers."""

    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class CurveShown:
    """A volume curve: weeks from `first` on, and the breaks as (week, usual before, usual after)."""

    name: str
    kind: str  # source, ward
    first: str
    counts: tuple[Shown, ...]
    breaks: tuple[tuple[int, float, float], ...]

    @property
    def drawable(self) -> bool:
        """Whether any week has enough patients to be shown."""
        return any(one.value for one in self.counts)

    def week(self, place: int) -> dt.date:
        """The Monday of a week of the curve."""
        return dt.date.fromisoformat(self.first) + dt.timedelta(weeks=place)


class Steward:
    """One person at the catalogue. NotAllowed when the policy says no; each look is recorded before."""

    def __init__(self, site: SiteServices, actor: Actor, snapshot: Snapshot) -> None:
        self._state, self._snapshot, self.actor = site.state, snapshot, actor
        self._shelf = site.state.catalogue
        self._gate: ResultGate = gate_of(actor, site.state, site.settings)

    def _permit(self, action: Action, what: str, patients: tuple[int, ...] = ()) -> None:
        permit(self._state, self.actor, action, Target(what, patients=patients), snapshot=self._snapshot.version)

    # Catalogue

    def overview(self) -> Overview:
        """Tables, kinds of document and sources, and what people noted of them."""
        self._permit(Action.CATALOGUE, "overview")
        tables, documents, sources = (
            tuple(listed(entry, self._gate) for entry in self._shelf.entries(kind)) for kind in KINDS[:3]
        )
        return Overview(
            self._shelf.snapshot(), self._snapshot.version, self._shelf.count("variable"), tables, documents, sources,
            tuple(self._shelf.open_notes()),
        )  # fmt: skip

    def find(self, words: str, most: int = FOUND) -> list[Listed]:
        """The variables whose code or labels hold the words, those of most patients first."""
        self._permit(Action.CATALOGUE, f"words:{words}")
        return [listed(entry, self._gate) for entry in self._shelf.look_up("variable", words, most)]

    def card(self, kind: str, key: str) -> Card | None:
        """All that is said of one thing; None when nothing was measured under this name."""
        self._permit(Action.CATALOGUE, f"{kind}:{key}")
        entry = self._shelf.entry(kind, key)
        return None if entry is None or kind not in KINDS else card(entry, self._gate)

    def notes(self, kind: str, key: str) -> list[Note]:
        """Known problems of one thing."""
        self._permit(Action.CATALOGUE, f"notes of {kind}:{key}")
        return self._shelf.notes(kind, key)

    def add_note(self, kind: str, key: str, text: str) -> int:
        """Write a known problem down; UsageError when it is empty or too long, or about nothing that was measured."""
        self._permit(Action.NOTES, f"{kind}:{key}")
        text = text.strip()
        if not 1 <= len(text) <= _LONGEST_NOTE:
            raise UsageError("A note has 1 to 2,000 characters.")
        if kind not in KINDS or self._shelf.entry(kind, key) is None:
            raise UsageError("The catalogue has nothing of this name.")
        return self._shelf.add_note(kind, key, self.actor.login, text)

    def close_note(self, number: int) -> None:
        """The problem is gone; UsageError when no open note has this number."""
        self._permit(Action.NOTES, f"close note:{number}")
        if not self._shelf.close_note(number, self.actor.login):
            raise UsageError("No open note has this number.")

    # Quality

    def runs(self) -> list[Run]:
        """When the checks ran, the newest first."""
        self._permit(Action.CATALOGUE, "runs of the checks")
        return self._shelf.runs()

    def results(self, run: int) -> list[CheckShown]:
        """What each check found in a run, failures first."""
        self._permit(Action.CATALOGUE, f"results of run:{run}")
        known = {check.key: check for check in quality.every_check(self._snapshot)}
        shown = [self._shown(known[one.key], one) for one in self._shelf.results(run) if one.key in known]
        return sorted(shown, key=lambda one: (not one.failed, -(one.share or 0), one.check.key))

    def _shown(self, check: Check, one: Tallied) -> CheckShown:
        place = f"quality/{check.key}"
        nobody = check.relation in RELATIONS and not RELATIONS[check.relation].patient
        if nobody or not one.violated:  # no patient is concerned; and that nothing is wrong tells of none
            violated = Shown(one.violated)
        else:
            violated = count_of(self._gate, one.violated, one.patients, place)
        applicable = Shown(one.applicable) if nobody else self._gate.show(one.applicable, f"{place}/applicable")
        known = not (violated.below or applicable.below) and applicable.value
        share = round(min(100.0, 100 * violated.value / applicable.value), 1) if known else None
        return CheckShown(check, one, applicable, violated, share, quality.failed(one))

    def history(self, key: str) -> list[tuple[Run, CheckShown]]:
        """What a check found in each run, the oldest first; nothing of a check that there is not."""
        self._permit(Action.CATALOGUE, f"history of check:{key}")
        known = {check.key: check for check in quality.every_check(self._snapshot)}
        return [(run, self._shown(known[key], one)) for run, one in self._shelf.history(key)] if key in known else []

    def may_see_rows(self) -> bool:
        """Whether this person may see rows behind failures."""
        return decide(self.actor, Action.FAILURES).allowed

    def behind(self, key: str, most: int = 200) -> Behind:
        """Rows that violate a check now; UsageError when there is no such check."""
        self._permit(Action.FAILURES, f"rows of check:{key}")
        try:
            columns, rows = quality.rows_behind(self._snapshot, key, most)
        except KeyError:
            raise UsageError("There is no such check.") from None
        return self._told(f"rows of check:{key}", columns, rows)

    def _told(self, what: str, columns: list[str], rows: list[dict[str, Any]]) -> Behind:
        """The rows, once the audit says whose they are."""
        self._permit(
            Action.FAILURES, what, tuple({row["patient_id"] for row in rows if row.get("patient_id") is not None})
        )
        return Behind(tuple(columns), tuple(rows))

    def curves(self, kind: str) -> list[CurveShown]:
        """Documents per week of each source, or admissions per week of each ward; those with breaks first."""
        self._permit(Action.CATALOGUE, f"curves:{kind}")
        entries = [entry for entry in self._shelf.entries("curve") if entry.key.startswith(f"{kind}:")]
        shown = [self._curve(entry, kind) for entry in entries]
        return sorted(shown, key=lambda one: (not one.breaks, one.name))

    def _curve(self, entry: Entry, kind: str) -> CurveShown:
        body, name = entry.body, entry.key.partition(":")[2]
        place = f"curve/{entry.key}/{body['first']}"
        counts = tuple(
            Shown(0) if not n else count_of(self._gate, n, people, f"{place}/{week}")
            for week, (n, people) in enumerate(zip(body["counts"], body["people"], strict=True))
        )
        # Levels are those of what is shown: exact ones would say more than the curve does.
        edges = [0, *(at for at, _, _ in body["breaks"]), len(counts)]
        levels = [median(one.value for one in counts[a:b]) for a, b in pairwise(edges)]
        breaks = tuple(
            (at, *around) for at, around in zip(edges[1:-1], pairwise(levels), strict=True) if len(set(around)) > 1
        )
        return CurveShown(name, kind, body["first"], counts, breaks)

    # Official figures

    def reconcile(self) -> list[official.Difference]:
        """Official figures beside ours, exact: who may ask for this may list the stays behind each."""
        self._permit(Action.RECONCILE, "official figures")
        return official.differences(self._snapshot, self._shelf.figures())

    def keep_figures(self, figures: official.Figures) -> None:
        """Keep official figures in the place of those of the same months."""
        self._permit(Action.RECONCILE, f"keep {len(figures)} official figures")
        self._shelf.keep_figures(figures, self.actor.login)

    def behind_figure(self, month: str, figure: str, code: str) -> Behind:
        """The stays behind what the warehouse counts of a figure."""
        what = f"rows of figure:{month} {figure} {code}".strip()
        self._permit(Action.FAILURES, what)
        rows = official.rows_of(self._snapshot, month, figure, code)
        return self._told(what, list(rows[0]) if rows else [], rows)

    # Steering

    def steering(self, name: str) -> dict[str, Any] | None:
        """What was measured for a steering page, each count replaced by what the gate shows; None before the first."""
        self._permit(Action.STEERING, name)
        entry = self._shelf.entry("steering", name)
        return None if entry is None else _STEERED[name](entry.body, self._gate)


def _occupancy(body: dict[str, Any], gate: ResultGate) -> dict[str, Any]:
    wards = []
    for ward in body["wards"]:
        place = f"occupancy/{body['last']}/{ward['code']}"
        weeks = [count_of(gate, n, people, f"{place}/week/{at}") for at, (n, people) in enumerate(ward["weeks"])]
        days = [gate.show(n, f"{place}/day/{at}") for at, n in enumerate(ward["days"])]
        wards.append({"code": ward["code"], "label": ward["label"], "weeks": weeks, "days": days})
    return body | {"wards": wards}


def _length(body: dict[str, Any], gate: ResultGate) -> dict[str, Any]:
    return body | {
        "all": _stays(body["all"], gate, f"length/{body['last']}"),
        "wards": [_stays(ward, gate, f"length/{body['last']}/{ward['code']}") for ward in body["wards"]],
    }


def _stays(row: dict[str, Any], gate: ResultGate, place: str) -> dict[str, Any]:
    stays = count_of(gate, row["stays"], row["patients"], place)
    if stays.below or row["stays"] == 0:
        return row | {"stays": stays, "mean": None, "quantiles": [None] * 4, "bands": [], "people": []}
    ends = [
        q if min(p, 1 - p) * row["patients"] >= 10 else None
        for p, q in zip((0.25, 0.5, 0.75, 0.9), row["quantiles"], strict=True)
    ]
    bands = [
        count_of(gate, n, people, f"{place}/{at}")
        for at, (n, people) in enumerate(zip(row["bands"], row["people"], strict=True))
    ]
    return row | {"stays": stays, "mean": round(row["mean"], 1), "quantiles": ends, "bands": bands, "people": []}


def _readmissions(body: dict[str, Any], gate: ResultGate) -> dict[str, Any]:
    place = f"readmissions/{body['last']}"
    return body | {
        "all": _again(body["all"], gate, place),
        "months": [_again(row, gate, f"{place}/month/{row['name']}") for row in body["months"]],
        "wards": [_again(row, gate, f"{place}/ward/{row['code']}") for row in body["wards"]],
    }


def _again(row: dict[str, Any], gate: ResultGate, place: str) -> dict[str, Any]:
    """Rates are those of what is shown: an exact rate beside a protected count would give it away."""
    stays = count_of(gate, row["stays"], row["patients"], place)
    shown: dict[str, Any] = {"stays": stays}
    for name in ("week", "month"):
        count = count_of(gate, row[name], row[f"{name}_patients"], f"{place}/{name}")
        rate = None if count.below or stays.below or not stays.value else min(1.0, count.value / stays.value)
        shown |= {name: count, f"{name}_rate": rate}
    return {key: row[key] for key in ("name", "code", "label") if key in row} | shown


def _pathways(body: dict[str, Any], gate: ResultGate) -> dict[str, Any]:
    place = f"pathways/{body['last']}"
    links = [
        (link["level"], link["source"], link["target"],
         count_of(gate, link["stays"], link["patients"], f"{place}/{link['level']}/{link['source']}/{link['target']}"))
        for link in body["links"]
    ]  # fmt: skip
    return body | {"links": [link for link in links if not link[3].below]}


_STEERED = {"occupancy": _occupancy, "length": _length, "readmissions": _readmissions, "pathways": _pathways}
