"""The header: which document this is, which version, when, by what kind of author, during which stay."""

from __future__ import annotations

from typing import NamedTuple

from estran.model.codes import DocumentKind, DocumentStatus, StayKind
from estran.model.moments import Moment
from estran.sources.cda.elements import (
    Element,
    Refused,
    every,
    find,
    identifier,
    interval,
    key_of,
    micros,
    moment,
    said,
    words,
)
from estran.sources.document_types import BY_LOINC

# Numbers of professionals and of structures, which some documents put where the stay's is due.
_NOT_A_STAY = frozenset(("1.2.250.1.71.4.2.1", "1.2.250.1.71.4.2.2"))
_STAYS = {
    "IMP": StayKind.VENUE, "ACUTE": StayKind.VENUE, "NONAC": StayKind.VENUE, "SS": StayKind.VENUE,
    "AMB": StayKind.CONSULTATION, "EMER": StayKind.EMERGENCY, "EXTERNE": StayKind.CONSULTATION,
    "URG": StayKind.EMERGENCY, "SEANCE": StayKind.SESSION, "HH": StayKind.HAD, "VR": StayKind.CONSULTATION,
}  # fmt: skip
_LOINC = "2.16.840.1.113883.6.1"
# Types of the CI-SIS that have no LOINC code (TA_ASIP).
_FRENCH = {"SYNTH": DocumentKind.CONSULTATION, "BPR": DocumentKind.OTHER}
_MAX_VERSION = 1_000_000
_MAX_TITLE = 250


class Stay(NamedTuple):
    """The encompassing encounter; no number when the document gives none."""

    number: tuple[str, str]
    kind: str | None
    start: Moment | None
    end: Moment | None
    unit: tuple[str, str] | None


class Header(NamedTuple):
    """What the header says of the document. `ended` are keys of documents that it replaces."""

    key: str
    ended: tuple[str, ...]
    event_time: int
    known_at: int
    kind: DocumentKind
    title: str
    start: Moment | None
    status: DocumentStatus
    confidential: bool
    author_role: str | None
    lang: str
    stay: Stay | None


def read_header(root: Element, zone: str) -> Header:
    """Raises Refused: no number, a date that is none."""
    own, group = key_of(find(root, "id")), key_of(find(root, "setId"))
    if not (own or group):
        raise Refused("id", "missing", "The document has neither id nor setId.")
    made = micros(find(root, "effectiveTime"), zone, "effectiveTime")
    title, kind = _title(root), _kind(root)
    confidential = said(find(root, "confidentialityCode"), "code").upper() in ("R", "V")
    return Header(
        group or own or "", _ended(root, group), made + _version(root), made, kind, title,
        _start(root, zone), _status(root), confidential, _role(root),
        said(find(root, "languageCode"), "code")[:2].lower() or "fr", _stay(root, zone),
    )  # fmt: skip


def _version(root: Element) -> int:
    """Orders the versions of one second: a version is later than those of a smaller number."""
    text = said(find(root, "versionNumber"), "value")
    return min(int(text), _MAX_VERSION - 1) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _ended(root: Element, group: str | None) -> tuple[str, ...]:
    """Documents replaced that are not earlier versions of this one, which share its setId."""
    found: dict[str, None] = {}
    for related in every(root, "relatedDocument"):
        if said(related, "typeCode").upper() != "RPLC":
            continue
        for parent in every(related, "parentDocument"):
            other = key_of(find(parent, "setId"))
            if other and other != group:
                found[other] = None
            elif not group and (number := key_of(find(parent, "id"))):
                found[number] = None
    return tuple(found)


def _kind(root: Element) -> DocumentKind:
    given = find(root, "code")
    for one in (given, *every(given, "translation")):
        value = said(one, "code")
        if said(one, "codeSystem") == _LOINC and value in BY_LOINC:
            return BY_LOINC[value]
        if value in _FRENCH:
            return _FRENCH[value]
    return DocumentKind.OTHER


def _title(root: Element) -> str:
    return (words(find(root, "title")) or " ".join(said(find(root, "code"), "displayName").split()))[:_MAX_TITLE]


def _start(root: Element, zone: str) -> Moment | None:
    """When the documented act took place, else when the document was written."""
    for event in every(root, "documentationOf/serviceEvent"):
        start, _ = interval(find(event, "effectiveTime"), zone, "documentationOf/serviceEvent/effectiveTime")
        if start is not None:
            return start
    return moment(find(root, "effectiveTime"), zone, "effectiveTime")


def _status(root: Element) -> DocumentStatus:
    """CI-SIS and C-CDA say in an sdtc:statusCode, or in the section Statut du document, that it is not final."""
    status = root.find("{urn:hl7-org:sdtc}statusCode")
    said_so = said(status, "code").lower()
    if said_so in ("cancelled", "nullified", "aborted", "obsolete"):
        return DocumentStatus.CANCELLED
    return DocumentStatus.PRELIMINARY if said_so == "active" else DocumentStatus.CURRENT


def _role(root: Element) -> str | None:
    """Profession of the first author who is a person; never a name."""
    for author in every(root, "author/assignedAuthor"):
        label = said(find(author, "code"), "displayName") or said(find(author, "code"), "code")
        if label and find(author, "assignedAuthoringDevice") is None:
            return " ".join(label.split())[:_MAX_TITLE]
    return None


def _stay(root: Element, zone: str) -> Stay | None:
    encounter = find(root, "componentOf/encompassingEncounter")
    numbers = (identifier(one) for one in every(encounter, "id"))
    number = next((n for n in numbers if n and n[0] not in _NOT_A_STAY), None)
    if encounter is None or number is None:
        return None
    start, end = interval(find(encounter, "effectiveTime"), zone, "componentOf/encompassingEncounter/effectiveTime")
    kind = _STAYS.get(said(find(encounter, "code"), "code").upper())
    return Stay(number, kind, start, end, _unit(find(encounter, "location/healthCareFacility")))


def _unit(facility: Element | None) -> tuple[str, str] | None:
    """The ward: number and name of the facility, when it has a number that is not the whole hospital's."""
    number = identifier(find(facility, "id"))
    if number is None or number[0] in _NOT_A_STAY:
        return None
    name = words(find(facility, "location/name")) or words(find(facility, "serviceProviderOrganization/name"))
    return number[1], name[:_MAX_TITLE]
