"""ADT: identities, stays, movements, merges."""

from __future__ import annotations

from typing import Any

from estran.model.codes import Precision, StayKind
from estran.model.moments import Moment
from estran.sources.hl7v2.clinical import read_clinical
from estran.sources.hl7v2.gathering import Gathering, Sender, Subject, moment_of
from estran.sources.hl7v2.message import Message, Segment, first, get, part, parts
from estran.sources.hl7v2.person import merged_numbers
from estran.sources.hl7v2.refused import Refused
from estran.sources.hl7v2.visit import Ward, is_confidential, organisation
from estran.sources.records import MergeStatement

EVENTS = frozenset(
    ("A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A11", "A12", "A13", "A28", "A31", "A40")
)
_MOVING = frozenset(("A01", "A02", "A04", "A06", "A07", "A12"))
_IDENTITY_ONLY = frozenset(("A28", "A31"))
_STATUSES = {
    "A01": "active", "A04": "active", "A05": "planned", "A06": "active", "A07": "active", "A03": "finished",
    "A11": "cancelled", "A13": "active",
}  # fmt: skip
_KINDS = {"A04": StayKind.CONSULTATION, "A06": StayKind.VENUE, "A07": StayKind.CONSULTATION}
_CANCELS = frozenset(("A11", "A12", "A13"))
_DELAY_STEP, _MAX_DELAY = 10_000_000, 99_999  # microseconds; steps


def read_movement(gathering: Gathering, message: Message, record: int, event: str) -> int:
    """Add an ADT to the batch; returns its event time. Raises Refused."""
    sender = gathering.sender(message)
    if event == "A40":
        return _merge(gathering, message, record, sender)
    pids = [line for line in message.lines if line.startswith("PID")]
    if len(pids) > 1:
        raise Refused("PID", "malformed", "The message has more than one PID segment.")
    pv1 = next((line for line in message.lines if line.startswith("PV1")), "")
    relatives = [line for line in message.lines if line.startswith("NK1")]
    subject = gathering.subject(pids[0] if pids else "", relatives, pv1)
    gathering.state_now(subject, record)
    movements = message.all("ZBE")
    event_time = _event_time(gathering, message, sender, movements[0] if movements else None, event)
    if event in _IDENTITY_ONLY:
        return event_time
    when = _happened(gathering, message, movements[0] if movements else None)
    if subject.stay is not None:
        _stay(gathering, message, record, subject, (event, when, movements))
        _movements(gathering, record, subject, movements, (event, when, sender.facility))
    read_clinical(gathering, message, record, subject, sender, when)
    return event_time


def _event_time(
    gathering: Gathering, message: Message, sender: Sender, zbe: Segment | None, event: str
) -> int:
    """Microseconds at which it happened (EVN-6, EVN-2, ZBE-2, MSH-7), made to order messages of one second.

    A cancellation carries the time of what it cancels, and corrections often that of the first
    message: the microseconds below the second say how long after the event the message was recorded
    (EVN-2, steps of ten seconds), then whether it cancels.
    """
    evn, clock = message.first("EVN"), gathering.clock
    happened = clock.micros(first(get(evn, 6)), "EVN-6") if evn else 0
    recorded = clock.micros(first(get(evn, 2)), "EVN-2") if evn else 0
    base = happened or recorded or (clock.micros(first(get(zbe, 2)), "ZBE-2") if zbe else 0) or sender.sent
    if not base:
        return 0
    rank = 2 if event in _CANCELS or (zbe and first(get(zbe, 4)).upper() == "CANCEL") else 0
    if base % 1_000_000:
        return base + rank
    delay = min(max((recorded or sender.sent) - base, 0) // _DELAY_STEP, _MAX_DELAY)
    return base + delay * 10 + rank


def _happened(gathering: Gathering, message: Message, zbe: Segment | None) -> Moment | None:
    """The moment of the event, for bounds that the message does not give otherwise."""
    evn, clock = message.first("EVN"), gathering.clock
    return (
        moment_of(clock, evn, 6, "EVN")
        or moment_of(clock, zbe, 2, "ZBE")
        or moment_of(clock, evn, 2, "EVN")
        or clock.moment(message.header(7), "MSH-7")
    )


def _stay(
    gathering: Gathering, message: Message, record: int, subject: Subject,
    about: tuple[str, Moment | None, list[Segment]],
) -> None:
    """What the message says of the stay; a column it is silent about stays empty."""
    event, when, movements = about
    clock, pv1, pv2, zfm = gathering.clock, message.first("PV1"), message.first("PV2"), message.first("ZFM")
    start, end = moment_of(clock, pv1, 44, "PV1"), moment_of(clock, pv1, 45, "PV1")
    if start is None and event == "A05":
        start = moment_of(clock, pv2, 8, "PV2")
    if start is None and event in ("A01", "A04"):
        start = when
    if end is None and event == "A03":
        end = when
    if event == "A13":
        end = None
    ward = _ward(subject, movements) if event != "A03" else None
    visit = subject.visit
    columns: dict[str, Any] = {
        "kind": visit.kind or _KINDS.get(event), "entry_mode": _mode(zfm, 1) or _mode(pv1, 4),
        "exit_mode": _mode(zfm, 2) or _mode(pv1, 36), "unit": gathering.unit(ward), "status": _STATUSES.get(event),
        "parent": gathering.builder.stay(subject.patient, *visit.parent) if visit.parent else None,
        "confidential": is_confidential(message.first("PD1"), pv1, pv2), "clears_end": True if event == "A13" else None,
        **_bounds(start, end),
    }  # fmt: skip
    assert subject.stay is not None  # noqa: S101 (the caller looked)
    gathering.builder.stay_event(record, subject.stay, **columns)


def _bounds(start: Moment | None, end: Moment | None) -> dict[str, int | None]:
    """Columns of a period; its precision is that of its vaguer end."""
    known = [m.precision for m in (start, end) if m is not None]
    return {
        "start_date": start.date if start else None, "start_minute": start.minute if start else None,
        "end_date": end.date if end else None, "end_minute": end.minute if end else None,
        "precision": int(min(known)) if known else None,
    }  # fmt: skip


def _mode(segment: Segment | None, number: int) -> str | None:
    return first(get(segment, number)) or None if segment else None


def _ward(subject: Subject, movements: list[Segment]) -> Ward | None:
    """The medical ward (ZBE-7), else the care ward (ZBE-8), else where the patient lies (PV1-3)."""
    zbe = movements[0] if movements else []
    return organisation(get(zbe, 7)) or organisation(get(zbe, 8)) or subject.visit.ward


def _movements(
    gathering: Gathering, record: int, subject: Subject, movements: list[Segment], about: tuple[str, Moment | None, str]
) -> None:
    event, when, facility = about
    for zbe in movements:
        _numbered(gathering, record, subject, zbe, (when, facility))
    if movements or event not in _MOVING or when is None:
        return
    # No movement number: the stay and the moment name it, so that a resend or an A12 finds it again.
    key = "|".join(("PV1", *subject.identity.key, *(subject.visit.number or ()), str(when.date), str(when.minute)))
    _movement(
        gathering, record, subject, key, (subject.visit.ward, "lodging"),
        (when, None, "cancelled" if event == "A12" else "active"),
    )  # fmt: skip


def _numbered(
    gathering: Gathering, record: int, subject: Subject, zbe: Segment, said: tuple[Moment | None, str]
) -> None:
    """Movements of one ZBE: the medical one, and that of care where another ward cares.

    `said` is when it happened and who sends: a number without authority belongs to the sender.
    """
    clock, (when, facility) = gathering.clock, said
    entity = parts(get(zbe, 1).partition("~")[0])
    number, authority = part(entity, 1), part(entity, 2) or part(entity, 3) or facility
    if not number:
        raise Refused("ZBE-1", "missing", "The movement has no number (ZBE-1).")
    period = (
        moment_of(clock, zbe, 2, "ZBE") or when, moment_of(clock, zbe, 3, "ZBE"),
        "cancelled" if first(get(zbe, 4)).upper() in ("CANCEL", "DELETE") else "active",
    )  # fmt: skip
    medical, care = organisation(get(zbe, 7)), organisation(get(zbe, 8))
    key = f"ZBE|{authority}|{number}"
    ward = (medical, "medical") if medical else (care, "care") if care else (subject.visit.ward, "lodging")
    _movement(gathering, record, subject, key, ward, period)
    if medical and care and care.code != medical.code:
        _movement(gathering, record, subject, f"{key}|care", (care, "care"), period)


def _movement(
    gathering: Gathering, record: int, subject: Subject, key: str, ward: tuple[Ward | None, str],
    period: tuple[Moment | None, Moment | None, str],
) -> None:
    start, end, status = period
    bounds = _bounds(start, end)
    bounds["precision"] = bounds["precision"] or int(Precision.UNKNOWN)
    assert subject.stay is not None  # noqa: S101 (the caller looked)
    gathering.builder.movement(
        record, key, subject.stay, unit=gathering.unit(ward[0]), responsibility=ward[1], status=status, **bounds
    )


def _merge(gathering: Gathering, message: Message, record: int, sender: Sender) -> int:
    """A40: each MRG-1 is the same person as the PID before it."""
    event_time = _event_time(gathering, message, sender, None, "A40")
    builder, subject, pairs = gathering.builder, None, 0
    for line in message.lines:
        if line.startswith("PID"):
            subject = gathering.subject(line, [], "")
            gathering.state_now(subject, record)
        elif line.startswith("MRG") and subject is not None:
            gone = merged_numbers(line.split("|"), gathering.held.default_system)
            known = {subject.identity.key, *subject.identity.aliases}
            for key in (k for k in gone if k not in known):
                builder.batch.merges.append(MergeStatement(record, subject.patient, builder.patient(*key)))
                pairs += 1
            if gone and not pairs:
                raise Refused("MRG-1", "malformed", "The message merges a number with itself.")
    if not pairs:
        where, what = ("PID", "PID segment") if subject is None else ("MRG-1", "number to merge (MRG-1)")
        raise Refused(where, "missing", f"The message has no {what}.")
    return event_time
