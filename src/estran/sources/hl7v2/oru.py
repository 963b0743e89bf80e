"""ORU R01: one document per order (OBR) with its results."""

from __future__ import annotations

from functools import lru_cache

from estran.model.codes import DocumentKind, DocumentStatus
from estran.model.moments import Moment
from estran.sources.hl7v2.gathering import Gathering, Sender, Subject, moment_of
from estran.sources.hl7v2.live import is_live, observe_live
from estran.sources.hl7v2.message import Message, Segment, first, get, part, parts
from estran.sources.hl7v2.observations import Draft, observe, store_media
from estran.sources.hl7v2.refused import Refused
from estran.sources.hl7v2.values import REMOVED, read_label
from estran.sources.hl7v2.visit import coded_ward, location

# OBR-24 (HL7 table 0074); what is not named here is laboratory.
_SECTIONS = {
    **dict.fromkeys(
        ("RAD", "RX", "RUS", "CT", "CTH", "NMR", "NMS", "US", "OUS", "VUS", "CUS", "XRC", "RC", "MR", "MRI", "IMG", "DX",
         "PT", "MG", "NM"), DocumentKind.IMAGING),
    **dict.fromkeys(("SP", "CP", "PAT", "PATH", "AP", "CYTO"), DocumentKind.PATHOLOGY),
    **dict.fromkeys(("EC", "EN", "CTE", "RT", "RX2", "PHY", "OTH", "PF"), DocumentKind.OBSERVATION),
    **dict.fromkeys(("NRS", "ICU"), DocumentKind.NURSING),
    **dict.fromkeys(("GE", "GEN", "MOL"), DocumentKind.GENOMICS),
}  # fmt: skip
# OBR-4 of reports, when OBR-24 does not say.
REPORTS = {
    "18748-4": DocumentKind.IMAGING, "11502-2": DocumentKind.LABORATORY, "11526-1": DocumentKind.PATHOLOGY,
    "11529-5": DocumentKind.PATHOLOGY, "60567-5": DocumentKind.PATHOLOGY, "26436-6": DocumentKind.LABORATORY,
    "18842-5": DocumentKind.DISCHARGE, "34105-7": DocumentKind.DISCHARGE, "28574-2": DocumentKind.DISCHARGE,
    "11488-4": DocumentKind.CONSULTATION, "11504-8": DocumentKind.OPERATIVE, "59284-0": DocumentKind.OTHER,
    "34133-9": DocumentKind.LETTER, "57133-1": DocumentKind.LETTER, "51851-4": DocumentKind.LETTER,
    "34112-3": DocumentKind.CONSULTATION, "34111-5": DocumentKind.EMERGENCY, "54094-8": DocumentKind.EMERGENCY,
    "57833-6": DocumentKind.PRESCRIPTION, "56445-0": DocumentKind.PRESCRIPTION, "11369-6": DocumentKind.IMMUNIZATION,
    "28570-0": DocumentKind.PROCEDURE, "34117-2": DocumentKind.CONSULTATION, "51969-4": DocumentKind.GENOMICS,
}  # fmt: skip
_CANCELLING_ORDERS = frozenset(("CA", "OC", "CR"))
# Results sent in the same second are told apart by what they say: removed > corrected > final > preliminary.
_RANKS = {"P": 0, "R": 0, "S": 0, "I": 0, "O": 0, "C": 2}


class Order:
    """An OBR with the segments that follow it."""

    __slots__ = ("kind", "label", "obr", "orc", "results", "service")

    def __init__(self, obr: Segment, orc: Segment | None) -> None:
        self.obr, self.orc = obr, orc
        self.results: list[str] = []  # OBX and NTE lines
        self.kind, self.service, self.label = service_of(get(obr, 4), get(obr, 24))


class _Patient:
    """A PID with its visit and orders; a message may hold several."""

    __slots__ = ("lines", "orders", "relatives")

    def __init__(self, pid: str = "") -> None:
        self.lines = {"PID": pid, "PV1": "", "PD1": "", "PV2": ""}
        self.relatives: list[str] = []
        self.orders: list[Order] = []

    def take(self, name: str, line: str) -> None:
        """Keep a line that says who the patient is."""
        if name in self.lines:
            self.lines[name] = line
        elif name == "NK1":
            self.relatives.append(line)


@lru_cache(maxsize=1 << 14)
def service_of(identifier: str, section: str) -> tuple[str, str, str]:
    """Kind of document, code and words of what was asked (OBR-4, OBR-24)."""
    code, wanted = first(identifier), first(section).upper()
    kinds, key = (_SECTIONS, wanted) if wanted else (REPORTS, code)
    kind = kinds.get(key, DocumentKind.LABORATORY)
    return kind.value, code, read_label(identifier)


def read_results(gathering: Gathering, message: Message, record: int, record_no: int) -> int:
    """Add an ORU to the batch; returns its event time. Raises Refused."""
    sender = gathering.sender(message)
    patients = [p for p in _patients(message) if p.lines["PID"] or p.orders]
    if not any(p.orders for p in patients):
        raise Refused("OBR", "missing", "The message has no result: neither OBR nor OBX.")
    rank, subjects = 0, []
    for patient in patients:
        lines = patient.lines
        subject = gathering.subject(lines["PID"], patient.relatives, lines["PV1"])
        subjects.append(subject)
        confidential = gathering.is_confidential(lines["PD1"], lines["PV1"], lines["PV2"])
        for key, draft, order in _drafts(gathering, sender, patient.orders, live=is_live(message)):
            rank = max(rank, _rank(draft))
            document = _store(gathering, record, subject, sender, (key, draft, order), confidential)
            if draft.media:
                store_media(gathering, document, draft, record_no)
    event_time = sender.sent + rank if sender.sent else 0
    for subject in subjects:
        gathering.state(subject, record, event_time)
    return event_time


def _patients(message: Message) -> list[_Patient]:
    current, after = _Patient(), get(message.msh, 9).startswith("OUL")  # there, ORC follows its OBR
    patients, order, orc = [current], None, None
    for line in message.lines[: message.results_from]:
        name = line[:3]
        if name == "OBX" or name == "NTE":  # noqa: PLR1714 (the common case)
            if order is None and name == "OBX":
                order = Order(["OBR"], orc)
                current.orders.append(order)
            if order is not None:
                order.results.append(line)
        elif name == "OBR":
            order = Order(line.split("|"), orc)
            current.orders.append(order)
        elif name == "ORC" and after and order is not None:
            order.orc = line.split("|")
        elif name == "ORC":
            orc = line.split("|")
        elif name == "PID" and current.lines["PID"]:
            current, order, orc = _Patient(line), None, None
            patients.append(current)
        else:
            current.take(name, line)
    results = message.lines[message.results_from :]
    if results:
        if order is None:
            order = Order(["OBR"], orc)
            current.orders.append(order)
        order.results.extend(results)
    return patients


def _drafts(
    gathering: Gathering, sender: Sender, orders: list[Order], *, live: bool = False
) -> list[tuple[str, Draft, Order]]:
    """One draft per order; the antibiogram of an isolate goes into the document of its culture. What a monitor
    says comes under one number for days: each time is a document of its own."""
    found: list[tuple[str, Draft, Order]] = []
    keys: dict[str, int] = {}
    for order in orders:
        culture = _culture(order, found)
        if culture is not None:
            _observe_culture(gathering, *culture, order)
            continue
        if live:
            order.kind = DocumentKind.OBSERVATION.value
        draft = _open(gathering, sender, order)
        (observe_live if live else observe)(gathering, draft, order.results)
        key = order_key(order, sender) + (f"|{get(order.obr, 7) or sender.sent}" if live else "")
        keys[key] = keys.get(key, 0) + 1
        found.append((key if keys[key] == 1 else f"{key}#{keys[key]}", draft, order))
    return found


def _observe_culture(gathering: Gathering, draft: Draft, isolate: int, order: Order) -> None:
    draft.parent = isolate
    observe(gathering, draft, order.results)
    draft.parent = None


def _culture(order: Order, found: list[tuple[str, Draft, Order]]) -> tuple[Draft, int] | None:
    """The draft and the isolate that OBR-26 (parent result) names by its sub-id."""
    result = get(order.obr, 26)
    if not result:
        return None
    sub_id = part(parts(result), 2)
    for _, draft, _ in reversed(found):
        if sub_id in draft.isolates:
            return draft, draft.isolates[sub_id]
    return None


def _open(gathering: Gathering, sender: Sender, order: Order) -> Draft:
    kind = "laboratory" if order.kind == DocumentKind.LABORATORY else "observation"
    start = gathering.clock.moment(get(order.obr, 7), "OBR-7") or _resulted(gathering, order) or sender.day
    return Draft(start, gathering.codes_of(sender, kind), gathering.codes_of(sender, "other"), order.label)


def _resulted(gathering: Gathering, order: Order) -> Moment | None:
    """The first OBX-14, else OBR-22, of an order without OBR-7."""
    for line in order.results:
        obx = line.split("|")
        if obx[0] == "OBX" and get(obx, 14):
            return gathering.clock.moment(obx[14], "OBX-14")
    return moment_of(gathering.clock, order.obr, 22, "OBR")


def order_key(order: Order, sender: Sender) -> str:
    """The business id of an order: who performs it, under which number, and what it is."""
    obr, orc = order.obr, order.orc or []
    for role, number in (("F", 3), ("P", 2)):
        for segment in (obr, orc):
            entity = get(segment, number)
            own = first(entity) if entity else ""
            if own:
                return f"ORU|{role}|{own}|{authority_of(entity) or sender.facility}|{order.service}"
    # no order number: the message itself, and senders reuse MSH-10
    return f"ORU|M|{sender.control_id}|{sender.sent}|{sender.facility}|{order.service}"


def authority_of(entity: str) -> str:
    """The assigning authority of an EI."""
    if "^" not in entity:
        return ""
    ei = parts(entity.partition("~")[0])
    return part(ei, 2) or part(ei, 3)


def _rank(draft: Draft) -> int:
    if draft.is_removed:
        return 3
    letters = draft.letters
    if len(letters) == 1 and "F" in letters:
        return 1
    return max((_RANKS.get(letter, 1) for letter in letters if letter not in REMOVED), default=1)


def _status(draft: Draft, order: Order) -> DocumentStatus:
    result = first(get(order.obr, 25)).upper()
    cancelled = result == "X" or (order.orc and first(get(order.orc, 1)) in _CANCELLING_ORDERS)
    if draft.is_removed or (cancelled and draft.alive == 0):
        return DocumentStatus.CANCELLED
    if result in ("P", "R", "S", "A", "I") and not draft.letters & {"F", "C", "U"}:
        return DocumentStatus.PRELIMINARY
    return DocumentStatus.CURRENT


def _store(
    gathering: Gathering, record: int, subject: Subject, sender: Sender, made: tuple[str, Draft, Order],
    confidential: bool | None,
) -> int:
    key, draft, order = made
    unit = gathering.unit(subject.visit.ward)
    if unit is None and order.orc:
        unit = gathering.unit(location(get(order.orc, 13)) or coded_ward(get(order.orc, 17)))
    known = gathering.clock.micros(get(order.obr, 22), "OBR-22") or sender.sent
    status = _status(draft, order)
    document = gathering.builder.document(
        record, key, subject.patient, subject.stay, order.kind, draft.title, draft.start,
        None if status == DocumentStatus.CANCELLED else draft.text, status, known_at=known or None, unit=unit,
        confidential=True if confidential or draft.confidential else None, lang=sender.lang,
    )  # fmt: skip
    gathering.builder.add_facts(document, draft.facts)
    return document

