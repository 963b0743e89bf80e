"""ADT: identities, stays, movements, merges."""

from __future__ import annotations

from typing import Any

from estran.model.codes import Precision, StayKind
from estran.model.moments import Moment
from estran.sources.hl7v2.clinical import read_clinical
from estran.sources.hl7v2.gathering import Gathering, Sender, Subject, moment_of
from estran.sources.hl7v2.merges import leave, link, merge
from estran.sources.hl7v2.message import Message, Segment, first, get, part, parts
from estran.sources.hl7v2.refused import Refused
from estran.sources.hl7v2.visit import Ward, is_confidential, organisation

_MERGES = frozenset(("A18", "A30", "A34", "A39", "A40", "A46", "A47"))  # MRG-1 and PID-3 are numbers of one person
_LINKS = {"A24": False, "A37": True}  # two PID of one person, or no longer
_MOVES = frozenset(("A44", "A45"))  # a dossier or a stay was opened under the wrong patient
_RESPONSIBILITY = frozenset(f"Z8{n}" for n in range(10))  # PAM-FR: another ward answers for the patient, told by ZBE
_CORRECTION = "Z99"  # PAM-FR: what ZBE-1 numbers is corrected; ZBE-6 says which event it was
_MOVING = frozenset(("A01", "A02", "A04", "A06", "A07", "A12", "A21", "A22", "A52", "A53"))
_IDENTITY_ONLY = frozenset(("A28", "A31"))
_STATUSES = {
    "A01": "active", "A04": "active", "A05": "planned", "A06": "active", "A07": "active", "A03": "finished",
    "A11": "cancelled", "A13": "active", "A14": "planned", "A23": "cancelled", "A27": "cancelled", "A38": "cancelled",
}  # fmt: skip
_KINDS = {"A04": StayKind.CONSULTATION, "A06": StayKind.VENUE, "A07": StayKind.CONSULTATION}
_PENDING = frozenset(("A14", "A15", "A16"))
_CANCELS = frozenset(("A11", "A12", "A13", "A23", "A25", "A26", "A27", "A38", "A52", "A53", "A55"))
_CANCEL_OF = {"A01": "A11", "A02": "A12", "A03": "A13", "A04": "A11", "A05": "A38", "A14": "A27"}
EVENTS = frozenset(
    (
        "A08", "A15", "A16", "A54", *_IDENTITY_ONLY, *_MOVING, *_STATUSES, *_CANCELS, *_MERGES, *_LINKS, *_MOVES,
        *_RESPONSIBILITY, _CORRECTION,
    )
)  # fmt: skip
_CANCEL_WORDS = frozenset(("CANCEL", "DELETE"))  # ZBE-4
_ENDING = frozenset(("A03", "Z03"))
_AWAY = frozenset(("A21", "A52"))  # on leave: the patient lies in no ward
_DELAY_STEP, _MAX_DELAY = 10_000_000, 99_999  # microseconds; steps


def read_movement(gathering: Gathering, message: Message, record: int, event: str) -> int:
    """Add an ADT to the batch; returns its event time. Raises Refused."""
    sender = gathering.sender(message)
    if event in _LINKS:
        return link(gathering, message, record, _event_time(gathering, message, sender, None, event), undo=_LINKS[event])
    if event in _MERGES:
        return merge(gathering, message, record, _event_time(gathering, message, sender, None, event))
    pids = [line for line in message.lines if line.startswith("PID")]
    if len(pids) > 1:
        raise Refused("PID", "malformed", "The message has more than one PID segment.")
    pv1 = next((line for line in message.lines if line.startswith("PV1")), "")
    relatives = [line for line in message.lines if line.startswith("NK1")]
    subject = gathering.subject(pids[0] if pids else "", relatives, pv1)
    gathering.state_now(subject, record)
    movements = message.all("ZBE")
    event_time = _event_time(gathering, message, sender, movements[0] if movements else None, event)
    if event in (_CORRECTION, *_RESPONSIBILITY) and not movements:
        raise Refused("ZBE", "missing", "The message has no movement (ZBE).")
    if event in _IDENTITY_ONLY:
        return event_time
    when = _happened(gathering, message, movements[0] if movements else None)
    if event == _CORRECTION:
        when, event = moment_of(gathering.clock, movements[0], 2, "ZBE") or when, _corrected(movements[0])
    if event in _MOVES:
        leave(gathering, message, record, subject)
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
    if event == _CORRECTION:  # orders by when it was said: it may well correct the moment itself
        return recorded or sender.sent or happened
    base = happened or recorded or (clock.micros(first(get(zbe, 2)), "ZBE-2") if zbe else 0) or sender.sent
    if not base:
        return 0
    rank = 2 if event in _CANCELS or (zbe and first(get(zbe, 4)).upper() in _CANCEL_WORDS) else 0
    if base % 1_000_000:
        return base + rank
    delay = min(max((recorded or sender.sent) - base, 0) // _DELAY_STEP, _MAX_DELAY)
    return base + delay * 10 + rank


def _corrected(zbe: Segment) -> str:
    """The event whose effects a Z99 corrects, or cancels: it says nothing of where the stay has got to since."""
    original = first(get(zbe, 6)).upper()
    if first(get(zbe, 4)).upper() in _CANCEL_WORDS:
        return _CANCEL_OF.get(original, "A12")
    return {"A01": "Z01", "A04": "Z01", "A03": "Z03"}.get(original, "A08")


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
    if start is None and event in ("A05", "A14"):
        start = moment_of(clock, pv2, 8, "PV2")
    if start is None and event in ("A01", "A04", "Z01"):
        start = when
    if end is None and event in ("A03", "Z03"):
        end = when
    if event == "A13":
        end = None
    ward = _ward(subject, movements) if event not in _ENDING else None
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
        _numbered(gathering, record, subject, zbe, (event, when, facility))
    if movements or event not in _MOVING or when is None:
        return
    # No movement number: the stay and the moment name it, so that a resend or an A12 finds it again.
    ward = None if event in _AWAY else subject.visit.ward
    key = "|".join(("PV1", *subject.identity.key, *(subject.visit.number or ()), str(when.date), str(when.minute)))
    _movement(
        gathering, record, subject, key, (ward, "lodging"),
        (when, None, "cancelled" if event in _CANCELS else "active"),
    )  # fmt: skip


def _numbered(
    gathering: Gathering, record: int, subject: Subject, zbe: Segment, said: tuple[str, Moment | None, str]
) -> None:
    """Movements of one ZBE: the medical one, and that of care where another ward cares.

    `said` is what happened, when, and who sends: a number without authority belongs to the sender.
    """
    clock, (event, when, facility) = gathering.clock, said
    entity = parts(get(zbe, 1).partition("~")[0])
    number, authority = part(entity, 1), part(entity, 2) or part(entity, 3) or facility
    if not number:
        raise Refused("ZBE-1", "missing", "The movement has no number (ZBE-1).")
    period = (
        moment_of(clock, zbe, 2, "ZBE") or when, moment_of(clock, zbe, 3, "ZBE"),
        _movement_status(zbe, event),
    )  # fmt: skip
    medical, care = organisation(get(zbe, 7)), organisation(get(zbe, 8))
    key = f"ZBE|{authority}|{number}"
    if event in _AWAY:
        _movement(gathering, record, subject, key, (None, "lodging"), period)
        return
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


def _movement_status(zbe: Segment, event: str) -> str:
    if first(get(zbe, 4)).upper() in _CANCEL_WORDS:
        return "cancelled"
    return "planned" if event in _PENDING else "active"
