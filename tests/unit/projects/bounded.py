"""Two sites made from the same invented rows: one with everything, one that holds only what lies in a perimeter.

Whatever is asked of the first within the perimeter must be what the second answers. What lies inside is decided
here row by row, in plain Python, apart from the product's own code.
"""

from __future__ import annotations

import copy
import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.browser.small_site import Rows, Site, _changes, _hospital

from estran.model.perimeter import Perimeter
from estran.projects.actors import Actor, Role
from estran.settings import Settings
from estran.state import StateDatabase
from estran.warehouse import Warehouse

PATIENTS = 60
HOSPITAL, NORTH = 4, 5  # facility, and the site that CARD (0) and DIAB (1) belong to
Row = dict[str, Any]


def rows() -> Rows:
    """The small hospital with wards on every document, movements, media, variants, cancelled stays and old versions."""
    made = _hospital(PATIENTS)
    units = made.of["unit"]
    units += [
        {"unit_id": HOSPITAL, "code": "CHU", "label": "CHU", "level": "entity"},
        {"unit_id": NORTH, "code": "NORD", "label": "Site nord", "level": "site", "parent": HOSPITAL},
    ]
    for unit in units[:4]:
        unit["parent"] = NORTH if unit["unit_id"] < 2 else HOSPITAL
    stays = {stay["stay_id"]: stay for stay in made.of["stay"]}
    for number, document in enumerate(made.of["document"]):
        _spread(made, number, document, stays)
    for number, stay in enumerate(stays.values()):
        stay["status"] = "cancelled" if number % 11 == 5 else "finished"
        made.of["movement"] += [_movement(stay, n, (stay["unit_id"] + n) % 4) for n in range(2)]
        if number % 5 == 2:
            stay["unit_id"] = None
    made.of["relation"] += [
        {"patient_id": n, "other_id": n + 1, "kind": "mother", "source": "hl7v2"} for n in range(2, 40, 3)
    ]
    return made


def _spread(made: Rows, number: int, document: Row, stays: dict[int, Row]) -> None:
    stay = stays.get(document["stay_id"])
    document["unit_id"] = (
        None if number % 3 == 0 else (number // 3) % 4 if stay is None else (stay["unit_id"] + number % 2) % 4
    )
    if number % 17 == 4:
        document["start_date"] = None
    about = {"document_id": number, "patient_id": document["patient_id"]}
    made.of["media"].append(about | {"modality": "US" if number % 2 else "CT", "uri": f"x{number}"})


def _movement(stay: Row, number: int, unit: int) -> Row:
    day = stay["start_date"] + dt.timedelta(days=number)
    return {"movement_id": stay["stay_id"] * 2 + number, "stay_id": stay["stay_id"], "patient_id": stay["patient_id"],
            "identity_id": stay["patient_id"], "unit_id": unit, "responsibility": "medical", "start_date": day,
            "start_minute": 600, "end_date": day + dt.timedelta(days=1), "end_minute": 600, "precision": 4,
            "status": "active", "event_time": 0, "content": 0, "source": "hl7v2", "load_id": 0}  # fmt: skip


def only_inside(full: Rows, bounds: Perimeter) -> Rows:
    """The rows that lie inside, by the definition of the reference."""
    kept = copy.deepcopy(full)
    units, period = _units(bounds), _period(bounds)
    listed = range(2**31) if bounds.patients is None else set(bounds.patients)
    moved: dict[int, set[int]] = {}
    for movement in full.of["movement"]:
        moved.setdefault(movement["stay_id"], set()).add(movement["unit_id"])

    def unit_fits(unit: int | None) -> bool:
        return units is None or unit in units

    def stay_fits(stay: Row) -> bool:
        fits = (
            unit_fits(stay["unit_id"])
            if stay["unit_id"] is not None
            else units is None or bool(moved[stay["stay_id"]] & units)
        )
        return fits and period(stay["start_date"]) and stay["patient_id"] in listed

    of_stay = {stay["stay_id"]: stay["unit_id"] for stay in full.of["stay"]}

    def document_fits(document: Row) -> bool:
        unit = document["unit_id"] if document["unit_id"] is not None else of_stay.get(document["stay_id"])
        kind = not bounds.kinds or document["kind"] in bounds.kinds
        return kind and unit_fits(unit) and period(document["start_date"]) and document["patient_id"] in listed

    documents = {d["document_id"] for d in full.of["document"] if document_fits(d)}
    stays = {s["stay_id"] for s in full.of["stay"] if stay_fits(s)}
    seen = {d["patient_id"] for d in full.of["document"] if d["document_id"] in documents}
    if not bounds.kinds:
        seen |= {s["patient_id"] for s in full.of["stay"] if s["stay_id"] in stays and s["status"] != "cancelled"}
    if units is None and bounds.since is None and bounds.until is None and not bounds.kinds:
        seen = set(listed) & {p["patient_id"] for p in full.of["patient"]}
    fits = {"patient": lambda r: r["patient_id"] in seen, "stay": lambda r: r["stay_id"] in stays and r["patient_id"] in seen,
            "movement": lambda r: r["stay_id"] in stays and r["patient_id"] in seen and unit_fits(r["unit_id"]) and period(r["start_date"]),
            "relation": lambda r: r["patient_id"] in seen and r["other_id"] in seen}  # fmt: skip
    for table, found in kept.of.items():
        fit = fits.get(table) or (lambda r: r["document_id"] in documents)
        if table in fits or table in ("document", "text", "fact", "fact_attribute", "media", "variant"):
            kept.of[table] = [row for row in found if fit(row)]
    return kept


def _units(bounds: Perimeter) -> set[int] | None:
    below = {"CARD": {0}, "DIAB": {1}, "URG": {2}, "HEP": {3}, "NORD": {0, 1, 5}, "CHU": {0, 1, 2, 3, 4, 5}}
    asked = [
        set.union(*(below.get(code, set()) for code in codes)) for codes in (bounds.facilities, bounds.wards) if codes
    ]
    return set.intersection(*asked) if asked else None


def _period(bounds: Perimeter) -> Any:
    if bounds.since is None and bounds.until is None:
        return lambda day: True
    return lambda day: day is not None and (bounds.since or dt.date.min) <= day <= (bounds.until or dt.date.max)


def written(folder: Path, made: Rows, counters: Rows | None = None) -> Site:
    """A site of these rows with an account for each role that reads; `counters` are the rows numbers were given from."""
    settings = Settings(name="Estran", language="en", count_quota=10**6)
    warehouse = Warehouse.create(folder / "warehouse", settings)
    changes = _changes(made)
    changes = replace(changes, counters=_changes(counters or made).counters)
    with warehouse.writer() as writer:
        writer.commit(changes)
    state = StateDatabase.open(folder / "state.sqlite")
    for role in (Role.DATA_ENGINEER, Role.RESEARCHER, Role.CLINICIAN, Role.DIM_PHYSICIAN, Role.METHODOLOGIST):
        state.accounts.add(str(role), "no password", str(role))
    return Site(folder, settings, state, warehouse)


def actor(site: Site, role: Role, bounds: Perimeter | None = None) -> Actor:
    """Somebody of this role, within bounds from now on."""
    account = site.state.accounts.find(str(role))
    assert account
    if bounds is not None:
        site.state.perimeters.put(account.id, bounds, "administrator")
    return Actor.of(account)
