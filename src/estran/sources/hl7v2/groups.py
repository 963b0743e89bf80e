"""The orders of a message: an ORC with the segments that follow it, and what they all say alike."""

from __future__ import annotations

from typing import NamedTuple

from estran.model.codes import DocumentKind, FactStatus
from estran.model.moments import Moment
from estran.sources.hl7v2.gathering import Gathering, Sender, Subject, moment_of
from estran.sources.hl7v2.message import Message, Segment, first, get, part, parts
from estran.sources.hl7v2.observations import Draft, observe, store_media
from estran.sources.hl7v2.refused import Refused
from estran.sources.hl7v2.values import read_label
from estran.sources.hl7v2.visit import coded_ward, location
from estran.sources.records import Code, content_hash

LOCAL = "LOCAL/hl7v2"  # attributes that HL7 itself names
# ORC-1 (table 0119) and ORC-5 (table 0038) of an order that never held.
_CANCELLED = frozenset(("CA", "OC", "CR", "UC"))
_STOPPED = frozenset(("DC", "OD", "DR", "DE"))
_ONE_EACH = frozenset(("OBR", "RXA", "RXD", "FT1", "PRB"))  # a second one begins a group of its own


class Group:
    """Segments by name, and the OBX and NTE lines in order."""

    __slots__ = ("results", "segments")

    def __init__(self, orc: Segment | None = None) -> None:
        self.segments: dict[str, list[Segment]] = {"ORC": [orc]} if orc else {}
        self.results: list[str] = []

    def one(self, name: str) -> Segment | None:
        """The first segment called `name`."""
        return self.segments[name][0] if name in self.segments else None

    def all(self, name: str) -> list[Segment]:
        """Every segment called `name`."""
        return self.segments.get(name, [])

    def get(self, name: str, number: int) -> str:
        """Field `number` of the first segment called `name`; '' when there is none."""
        return get(self.segments[name][0], number) if name in self.segments else ""


def read_subject(gathering: Gathering, message: Message) -> Subject:
    """The one patient of a message; Refused when there are several or none."""
    named = {name: [line for line in message.lines if line.startswith(name)] for name in ("PID", "NK1", "PV1")}
    if len(named["PID"]) > 1:
        raise Refused("PID", "malformed", "The message has more than one PID segment.")
    return gathering.subject("".join(named["PID"]), named["NK1"], named["PV1"][0] if named["PV1"] else "")


def split_groups(lines: list[str], opener: str = "ORC") -> list[Group]:
    """The groups of a message: one per `opener`, or per segment of `_ONE_EACH` under the same ORC."""
    found: list[Group] = []
    current: Group | None = None
    for line in lines:
        name = line[:3]
        if name == opener or (name in _ONE_EACH and (current is None or (opener == "ORC" and name in current.segments))):
            current = Group(current.one("ORC") if current and name != opener and opener == "ORC" else None)
            found.append(current)
        if current is None:
            continue
        if name in ("OBX", "NTE"):
            current.results.append(line)
        else:
            current.segments.setdefault(name, []).append(line.split("|"))
    return found


def order_status(group: Group, done: FactStatus = FactStatus.ORDERED) -> FactStatus:
    """`done`, unless the order was cancelled before it held (ORC-1, ORC-5)."""
    said = {first(group.get("ORC", 1)).upper(), first(group.get("ORC", 5)).upper()}
    return FactStatus.CANCELLED if said & _CANCELLED else done


def order_period(gathering: Gathering, group: Group) -> tuple[Moment | None, Moment | None]:
    """From when to when an order holds: TQ1, the old timing fields, then when it was asked; stopped by ORC-1."""
    clock = gathering.clock
    timing = next((t for t in (group.get("RXE", 1), group.get("ORC", 7), group.get("OBR", 27)) if t), "")
    cwe = parts(timing.partition("~")[0])
    start = (
        moment_of(clock, group.one("TQ1"), 7, "TQ1") or clock.moment(part(cwe, 4), "ORC-7")
        or moment_of(clock, group.one("OBR"), 7, "OBR") or moment_of(clock, group.one("OBR"), 6, "OBR")
        or moment_of(clock, group.one("ORC"), 15, "ORC") or moment_of(clock, group.one("ORC"), 9, "ORC")
    )  # fmt: skip
    end = moment_of(clock, group.one("TQ1"), 8, "TQ1") or clock.moment(part(cwe, 5), "ORC-7")
    if first(group.get("ORC", 1)).upper() in _STOPPED:
        stopped = moment_of(clock, group.one("ORC"), 15, "ORC") or moment_of(clock, group.one("ORC"), 9, "ORC")
        end = stopped if stopped and (start is None or stopped >= start) else end
    return start, end


def frequency(group: Group) -> str:
    """How often, in the sender's words: TQ1-3, else the interval of the old timing field."""
    repeat = first(group.get("TQ1", 3))
    timing = next((t for t in (group.get("RXE", 1), group.get("ORC", 7)) if t), "")
    return repeat or part(parts(timing.partition("~")[0]), 2)


def entity(field: str, sender: Sender) -> str:
    """Number and authority of an EI, '' when it holds none."""
    ei = parts(field.partition("~")[0])
    number = part(ei, 1)
    return f"{number}|{part(ei, 2) or part(ei, 3) or sender.facility}" if number else ""


def mark_of(message: Message) -> int:
    """What the message says as a number: names what has no number, wherever the message stands in a file."""
    return content_hash("\r".join(message.lines).encode("utf-8", "surrogatepass"))


def order_number(group: Group, sender: Sender, mark: int, place: int) -> str:
    """The placer's number of the order, else the performer's; else the message (its own number, or its `mark_of`)
    and the place in it."""
    for name, number in (("ORC", 2), ("OBR", 2), ("ORC", 3), ("OBR", 3)):
        found = entity(group.get(name, number), sender)
        if found:
            return found
    return f"M|{sender.control_id}|{sender.sent}|{sender.facility}|{place}" if sender.control_id else f"R|{mark}|{place}"


class Attribute(NamedTuple):
    """Something that few facts have: the fact's place, what it is, its code or its words."""

    fact: int
    name: str
    label: str
    code: int | None = None
    words: str = ""
    value: float | None = None


class Paper(NamedTuple):
    """A document about to be stored."""

    key: str
    kind: DocumentKind | str
    draft: Draft
    attributes: list[Attribute]


def draft_of(gathering: Gathering, sender: Sender, kind: str, title: str, start: Moment | None) -> Draft:
    """An empty document of `sender` whose codes are of one kind."""
    return Draft(start or sender.day, gathering.codes_of(sender, kind), gathering.codes_of(sender, "other"), title)


def coded_attribute(gathering: Gathering, draft: Draft, fact: int, about: tuple[str, str], field: str) -> list[Attribute]:
    """The attribute that a CE or CWE field gives, none when it is empty."""
    if not field:
        return []
    code = gathering.code(draft.values, field)
    words = "" if code is not None else read_label(field)
    return [Attribute(fact, *about, code, words)] if code is not None or words else []


def add_comments(gathering: Gathering, draft: Draft, group: Group, fact: int | None) -> None:
    """OBX and NTE of a group: results that belong to its first fact, and text."""
    draft.parent = fact
    observe(gathering, draft, group.results)
    draft.parent = None


def store(
    gathering: Gathering, record: int, subject: Subject, sender: Sender, paper: Paper, group: Group, record_no: int
) -> None:
    """Add the document, unless nothing is in it."""
    key, kind, draft, attributes = paper
    if not (len(draft.facts) or draft.lines or draft.media):
        return
    builder = gathering.builder
    ward = subject.visit.ward or location(group.get("ORC", 13)) or coded_ward(group.get("ORC", 17))
    document = builder.document(
        record, key, subject.patient, subject.stay, kind, draft.title, draft.start, draft.text,
        known_at=sender.sent or None, unit=gathering.unit(ward), confidential=True if draft.confidential else None,
        lang=sender.lang,
    )  # fmt: skip
    builder.add_facts(document, draft.facts)
    for fact, name, label, code, words, value in attributes:
        what = builder.code(Code(LOCAL, name, label, "fr", "other"))
        builder.attribute(document, fact, what, value=value, value_code=code, value_text=words or None)
    store_media(gathering, document, draft, record_no)
