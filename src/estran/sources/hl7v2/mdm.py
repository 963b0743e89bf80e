"""MDM: documents sent, replaced, completed and withdrawn."""

from __future__ import annotations

from estran.model.codes import DocumentKind, DocumentStatus
from estran.sources.hl7v2.gathering import Gathering, Sender, Subject, moment_of
from estran.sources.hl7v2.message import Message, Segment, first, get, part, parts
from estran.sources.hl7v2.observations import Draft, observe, store_media
from estran.sources.hl7v2.oru import REPORTS, authority_of
from estran.sources.hl7v2.refused import Refused
from estran.sources.hl7v2.values import read_label
from estran.sources.hl7v2.visit import is_confidential

# TXA-2 (HL7 table 0270).
_KINDS = {
    "AR": DocumentKind.PATHOLOGY, "CD": DocumentKind.IMAGING, "CN": DocumentKind.CONSULTATION,
    "DI": DocumentKind.IMAGING, "DS": DocumentKind.DISCHARGE, "ED": DocumentKind.EMERGENCY,
    "HP": DocumentKind.CONSULTATION, "OP": DocumentKind.OPERATIVE, "PC": DocumentKind.CONSULTATION,
    "PH": DocumentKind.CONSULTATION, "PN": DocumentKind.PROCEDURE, "PR": DocumentKind.CONSULTATION,
    "SP": DocumentKind.PATHOLOGY, "TS": DocumentKind.DISCHARGE,
}  # fmt: skip
# In one second: created, completed, edited, replaced, withdrawn.
_RANKS = {"T02": 0, "T06": 0, "T08": 1, "T10": 2, "T04": 3}
_UNFINISHED = frozenset(("DI", "DO", "IN", "IP", "PA"))
_WITHDRAWN = frozenset(("CA", "OB"))


def read_document(gathering: Gathering, message: Message, record: int, record_no: int, event: str) -> int:
    """Add an MDM to the batch; returns its event time. Raises Refused."""
    sender = gathering.sender(message)
    txa = message.first("TXA")
    pv1 = next((line for line in message.lines if line.startswith("PV1")), "")
    pid = next((line for line in message.lines if line.startswith("PID")), "")
    subject = gathering.subject(pid, [line for line in message.lines if line.startswith("NK1")], pv1)
    if txa is None:
        raise Refused("TXA", "missing", "The message has no TXA segment.")
    event_time = _event_time(gathering, message, sender) + _RANKS[event]
    draft = _draft(gathering, message, sender, txa)
    document = _store(gathering, record, subject, sender, draft, (message, txa, event))
    if document is not None:
        store_media(gathering, document, draft, record_no)
    gathering.state(subject, record, event_time)
    return event_time


def _event_time(gathering: Gathering, message: Message, sender: Sender) -> int:
    evn = message.first("EVN")
    for number in (6, 2):
        micros = gathering.clock.micros(first(get(evn, number)), f"EVN-{number}") if evn else 0
        if micros:
            return micros
    return sender.sent


def _draft(gathering: Gathering, message: Message, sender: Sender, txa: Segment) -> Draft:
    clock, obr = gathering.clock, message.first("OBR")
    start = moment_of(clock, txa, 4, "TXA") or moment_of(clock, txa, 6, "TXA") or moment_of(clock, obr, 7, "OBR")
    title = _title(message, txa, obr)
    codes, values = gathering.codes_of(sender, "observation"), gathering.codes_of(sender, "other")
    draft = Draft(start or sender.day, codes, values, title)
    observe(gathering, draft, [line for line in message.lines if line[:3] in ("OBX", "NTE")])
    return draft


def _title(message: Message, txa: Segment, obr: Segment | None) -> str:
    """The words of TXA-2, else those of the first OBX or of OBR-4, else the code itself."""
    said = part(parts(get(txa, 2)), 2)
    obx = message.first("OBX")
    labels = (part(parts(get(s, n)), 2) for s, n in ((obx, 3), (obr, 4)) if s)
    return said or next(filter(None, labels), "") or read_label(get(txa, 2))


def document_key(entity: str, sender: Sender) -> str:
    """The business id of a document. A universal id (an OID, a UUID) needs no authority beside it."""
    number = first(entity)
    universal = len(number) >= 15 and (number.count(".") >= 3 or number.count("-") >= 4)
    return f"MDM|{number}|{'' if universal else authority_of(entity) or sender.facility}"


def _keys(sender: Sender, message: Message, txa: Segment, event: str) -> list[str]:
    """Key of the document, then those of the documents that the message puts an end to."""
    own = first(get(txa, 12))
    if own:
        keys = [document_key(get(txa, 12), sender)]
    else:
        order = next(filter(first, (get(txa, 15), get(txa, 14))), "")
        keys = [f"MDM|order|{first(order)}|{authority_of(order)}" if order else f"MDM|message|{sender.control_id}|{sender.sent}"]
    if event in ("T10", "T04") and first(get(txa, 13)):
        keys.append(document_key(get(txa, 13), sender))
    return list(dict.fromkeys(keys))


def _store(
    gathering: Gathering, record: int, subject: Subject, sender: Sender, draft: Draft,
    about: tuple[Message, Segment, str],
) -> int | None:
    message, txa, event = about
    builder = gathering.builder
    own, *ended = _keys(sender, message, txa, event)
    status = _status(draft, txa, event)
    is_secret = first(get(txa, 18)).upper() in ("R", "V") or draft.confidential
    said = is_confidential(message.first("PD1"), message.first("PV1"), message.first("PV2"))
    kind, alive = _kind(message, txa), status != DocumentStatus.CANCELLED
    # A replacement carries a number of its own, and may be replaced in turn: each document that it
    # replaces gets a last, cancelled version. So whatever the order in which the messages come, and
    # however long the chain, only the last document stays.
    for key in ended:
        builder.document(record, key, subject.patient, subject.stay, kind, "", draft.start, None, DocumentStatus.CANCELLED)
    document = builder.document(
        record, own, subject.patient, subject.stay, kind, draft.title, draft.start, draft.text if alive else None,
        status, known_at=sender.sent or None, unit=gathering.unit(subject.visit.ward), author_role=_role(txa),
        confidential=True if is_secret or said else None, lang=sender.lang,
    )  # fmt: skip
    if alive:
        builder.add_facts(document, draft.facts)
    return document if alive else None


def _status(draft: Draft, txa: Segment, event: str) -> DocumentStatus:
    if event == "T04" or draft.is_removed or first(get(txa, 19)).upper() in _WITHDRAWN:
        return DocumentStatus.CANCELLED
    unfinished = first(get(txa, 17)).upper() in _UNFINISHED
    return DocumentStatus.PRELIMINARY if unfinished else DocumentStatus.CURRENT


def _kind(message: Message, txa: Segment) -> str:
    code = first(get(txa, 2))
    found = _KINDS.get(code.upper()) or REPORTS.get(code)
    for name, number in (("OBX", 3), ("OBR", 4)):
        segment = message.first(name)
        found = found or (REPORTS.get(first(get(segment, number))) if segment else None)
    return found or DocumentKind.OTHER


def _role(txa: Segment) -> str | None:
    """What TXA-9 says of its author besides the name: the degree, else the kind of number."""
    author = parts(get(txa, 9).partition("~")[0])
    return part(author, 7) or part(author, 13) or None
