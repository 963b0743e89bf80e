"""Encounter, Organization and Location: stays, movements and wards."""

from __future__ import annotations

from typing import Any

from estran.model.codes import Precision, StayKind
from estran.model.moments import Moment
from estran.sources.fhir.elements import Clock, Node, Unreadable, each, first_code, words
from estran.sources.fhir.references import SYSTEM, identifier, key
from estran.sources.fhir.setting import Setting, confidential
from estran.sources.fhir.statements import Movement, Stay, Units
from estran.sources.records import UnitKey

_KINDS = {
    "AMB": StayKind.CONSULTATION,
    "VR": StayKind.CONSULTATION,
    "EMER": StayKind.EMERGENCY,
    "FLD": StayKind.EMERGENCY,
    "HH": StayKind.HAD,
    "IMP": StayKind.VENUE,
    "ACUTE": StayKind.VENUE,
    "NONAC": StayKind.VENUE,
    "OBSENC": StayKind.VENUE,
    "PRENC": StayKind.VENUE,
    "SS": StayKind.VENUE,
}
_STATUS = {
    "planned": "planned",
    "arrived": "active",
    "triaged": "active",
    "in-progress": "active",
    "onleave": "active",
    "finished": "finished",
    "cancelled": "cancelled",
    "entered-in-error": "cancelled",
}


def encounter(node: Node, setting: Setting) -> Stay | Movement:
    """A stay, or a movement of the stay it is part of when it bears a movement number (FR Core)."""
    move = movement_number(node)
    parent = setting.stay(node, "partOf")
    if move is not None and parent is not None:
        return _movement(node, setting, move, parent)
    return _stay(node, setting, parent or _episode_of(node, setting))


def movement_number(node: Node) -> str | None:
    """`system|value` of the identifier of type MN, or the value alone."""
    for one in each(node.get("identifier"), "Encounter.identifier"):
        if first_code(one.get("type")) == "MN":
            both = identifier(one, "Encounter.identifier")
            return "|".join(both) if both else words(one.get("value"), "Encounter.identifier.value")
    return None


def _stay(node: Node, setting: Setting, parent: tuple[str, str] | None) -> Stay:
    lodging = node.get("hospitalization") or {}
    columns = columns_of(node.get("period") or {}, setting.clock, "Encounter.period")
    columns |= {
        "kind": _kind(node),
        "entry_mode": first_code(lodging.get("admitSource")),
        "exit_mode": first_code(lodging.get("dischargeDisposition")),
        "confidential": confidential(node) or None,
        "status": _STATUS.get(node.get("status") or ""),
    }
    return Stay(setting.patient(node), (SYSTEM, key(node)), parent, _unit(node, setting), columns)


def _movement(node: Node, setting: Setting, move: str, stay: tuple[str, str]) -> Movement:
    columns = columns_of(node.get("period") or {}, setting.clock, "Encounter.period")
    cancelled = _STATUS.get(node.get("status") or "") == "cancelled"
    columns |= {"responsibility": "medical", "status": "cancelled" if cancelled else "active"}
    return Movement(setting.patient(node), move, stay, _unit(node, setting), columns)


_EPISODE = {
    "planned": "planned", "waitlist": "planned", "active": "active", "onhold": "active", "finished": "finished",
    "cancelled": "cancelled", "entered-in-error": "cancelled",
}  # fmt: skip


def episode(node: Node, setting: Setting) -> Stay:
    """An EpisodeOfCare: a dossier, which the stays of the same care are part of."""
    columns = columns_of(node.get("period") or {}, setting.clock, "EpisodeOfCare.period")
    columns |= {
        "kind": StayKind.DOSSIER.value,
        "confidential": confidential(node) or None,
        "status": _EPISODE.get(node.get("status") or ""),
    }
    unit = setting.shelf.unit(node.get("managingOrganization"), "EpisodeOfCare.managingOrganization")
    return Stay(setting.patient(node, "patient"), (SYSTEM, key(node)), None, unit, columns)


def _episode_of(node: Node, setting: Setting) -> tuple[str, str] | None:
    listed = each(node.get("episodeOfCare"), "Encounter.episodeOfCare")
    return setting.shelf.number(listed[0], "Encounter.episodeOfCare") if listed else None


def _kind(node: Node) -> str:
    """What the class says, else a venue when it bears a visit number, else a dossier."""
    code = (node.get("class") or {}).get("code")
    if code in _KINDS:
        return _KINDS[code].value
    numbers = {first_code(one.get("type")) for one in each(node.get("identifier"), "Encounter.identifier")}
    return (StayKind.VENUE if "VN" in numbers else StayKind.DOSSIER).value


def columns_of(period: Node, clock: Clock, path: str) -> dict[str, Any]:
    """The columns of a stay or movement that a Period fills."""
    start, end = clock.moment(period.get("start"), path + ".start"), clock.moment(period.get("end"), path + ".end")
    return {
        "start_date": start.date if start else None,
        "start_minute": start.minute if start else None,
        "end_date": end.date if end else None,
        "end_minute": end.minute if end else None,
        "precision": int(_coarser(start, end)),
    }


def _coarser(start: Moment | None, end: Moment | None) -> Precision:
    told = [moment.precision for moment in (start, end) if moment]
    return min(told) if told else Precision.UNKNOWN


def _unit(node: Node, setting: Setting) -> UnitKey | None:
    """The serviceProvider, else the last of the locations."""
    provider = setting.shelf.unit(node.get("serviceProvider"), "Encounter.serviceProvider")
    if provider is not None:
        return provider
    places = each(node.get("location"), "Encounter.location")
    return setting.shelf.unit(places[-1].get("location"), "Encounter.location.location") if places else None


def ward(node: Node, setting: Setting) -> Units:
    """An Organization or Location as a ward, under its id and under the numbers it goes by.

    Its level is always UF: a stay that refers to it cannot tell another one.
    """
    kind = node["resourceType"]
    label = words(node.get("name"), kind + ".name") or words(node.get("description"), kind + ".description") or ""
    if not label:
        raise Unreadable(f"{kind}.name", "missing", "The ward has no name.")
    codes: dict[str, None] = {key(node): None}
    for one in each(node.get("identifier"), kind + ".identifier"):
        found = identifier(one, kind + ".identifier")
        if found is not None:
            codes[f"{kind}/{found[1]}"] = None
    return Units(tuple(UnitKey(code, label) for code in codes))
