"""ADT: identities made, corrected and merged; admissions, transfers, discharges, and their cancellations."""

from __future__ import annotations

from estran.region.calendar import DAY, hl7
from estran.region.course import Stay, Ward
from estran.region.dice import Dice
from estran.region.feeds import Feeds
from estran.region.identities import Identity, Traits
from estran.region.library import Hospital, wards
from estran.region.truth import Truth
from estran.region.writing.hl7 import encode, header, organisation, person, visit

CLASSES = {"venue": "I", "emergency": "E", "consultation": "O", "session": "R"}
_UPDATED, _RECALLED = 0.08, 0.01


class Movements:
    """The administrative feed of one hospital for one shard."""

    def __init__(self, hospital: Hospital, shard: int, dice: Dice, feeds: Feeds, truth: Truth) -> None:
        self._hospital, self._dice, self._feeds, self._truth = hospital, dice, feeds, truth
        self._control, self._count = f"A{shard:05d}", 0

    def introduce(self, identity: Identity, minute: int) -> None:
        """A28, and an A31 days later when the first traits were wrong."""
        self._identity("A28", identity, minute, identity.draft)
        if identity.draft:
            self._identity("A31", identity, minute + self._dice.between(200, 4 * DAY), None)

    def merge(self, identity: Identity, kept: Identity, minute: int) -> None:
        """A40: the number of `identity` gives way to that of `kept`."""
        gone = f"MRG|{identity.ipp}^^^{self._hospital.hd}^PI\r"
        self._send("A40", minute, person(kept, ""), gone)

    def tie(self, identity: Identity, system: str, number: str, minute: int) -> None:
        """A31 that gives a further number of the patient: that of a sample or a recording."""
        self._send("A31", minute, person(identity, "", alias=(system, number)))

    def _identity(self, event: str, identity: Identity, minute: int, traits: Traits | None) -> None:
        self._send(event, minute, person(identity, "", traits))

    def stay(self, stay: Stay, identity: Identity, end_of_period: int) -> None:
        """The messages of a stay, from pre-admission to discharge; what goes on at the end has no discharge."""
        pid, room = person(identity, stay.number), self._dice.below(40)
        kind, first = CLASSES[stay.kind], stay.wards[0]
        if stay.reason.planned and not stay.cycle:
            self._expect(stay, pid, room)
        opening = "A01" if kind == "I" else "A04"
        pv1 = visit(self._hospital, stay.number, kind, first.unit, room, (stay.start, None))
        entry = "ZFM|8||5\r" if first.unit == "urg" else "ZFM|8\r"
        zbe = self._zbe(first, None, "INSERT", "N")
        sent = self._send(opening, stay.start, pid, pv1, zbe, entry)
        if stay.is_cancelled:
            self._send("A11", stay.start, pid, pv1, self._zbe(first, None, "CANCEL", "N"), after=sent)
        else:
            self._inside(stay, pid, room, end_of_period)
        self._record(stay, identity, end_of_period)

    def _expect(self, stay: Stay, pid: str, room: int) -> None:
        minute = stay.start - self._dice.between(2, 30) * DAY
        pv1 = visit(self._hospital, stay.number, CLASSES[stay.kind], stay.wards[0].unit, room)
        self._send("A05", minute, pid, pv1, f"PV2||||||||{hl7(stay.start)}\r")

    def _inside(self, stay: Stay, pid: str, room: int, end_of_period: int) -> None:
        kind, dice = CLASSES[stay.kind], self._dice
        for ward in stay.wards[1:]:
            if ward.start < end_of_period:
                pv1 = visit(self._hospital, stay.number, kind, ward.unit, room, (stay.start, None))
                self._send("A02", ward.start, pid, pv1, self._zbe(ward, None, "INSERT", "N"))
        last = stay.wards[-1]
        if dice.chance() < _UPDATED:
            pv1 = visit(self._hospital, stay.number, kind, stay.wards[0].unit, room, (stay.start, None))
            self._send("A08", stay.start + 30, pid, pv1, "ZFM|8\r" if stay.wards[0].unit != "urg" else "ZFM|8||5\r")
        if stay.end >= end_of_period:
            return
        if stay.end - stay.start > DAY and dice.chance() < _RECALLED:
            self._recall(stay, pid, room)
        pv1 = visit(self._hospital, stay.number, kind, last.unit, room, (stay.start, stay.end))
        leaving = f"ZFM|8|{exit_mode(stay)}\r"
        self._send("A03", stay.end, pid, pv1, self._zbe(last, stay.end, "UPDATE", "N"), leaving)

    def _recall(self, stay: Stay, pid: str, room: int) -> None:
        """A discharge announced too early, then taken back."""
        last, early = stay.wards[-1], stay.end - self._dice.between(120, 600)
        if early <= last.start:
            return
        pv1 = visit(self._hospital, stay.number, CLASSES[stay.kind], last.unit, room, (stay.start, early))
        sent = self._send("A03", early, pid, pv1, self._zbe(last, early, "UPDATE", "N"), "ZFM|8|8\r")
        pv1 = visit(self._hospital, stay.number, CLASSES[stay.kind], last.unit, room, (stay.start, None))
        self._send("A13", early, pid, pv1, self._zbe(last, None, "UPDATE", "N"), after=sent)

    def _zbe(self, ward: Ward, end: int | None, action: str, historic: str) -> str:
        hospital = self._hospital
        where = organisation(hospital, ward.unit)
        return (
            f"ZBE|{ward.number}^FINESS-{hospital.finess}|{hl7(ward.start)}|{hl7(end) if end is not None else ''}|{action}|"
            f"{historic}||{where}|{where}|HMS\r"
        )

    def _send(self, event: str, minute: int, *segments: str, after: int | None = None) -> int:
        """Queue a message; returns when it goes out, always later than `after`."""
        sent = self._feeds.sending(minute)
        if after is not None:
            sent = max(sent, after) + self._dice.between(5, 90)
        self._count += 1
        head = header(self._hospital, "GAM", f"ADT^{event}", sent, f"{self._control}{self._count:07d}")
        message = f"{head}EVN|{event}|{hl7(sent)}||||{hl7(minute)}\r{''.join(segments)}"
        self._feeds.post("adt", sent, encode(self._hospital, message))
        return sent

    def _record(self, stay: Stay, identity: Identity, end_of_period: int) -> None:
        """What the warehouse should know of the stay once everything has arrived."""
        hospital, over = self._hospital, stay.end < end_of_period
        status = "cancelled" if stay.is_cancelled else "finished" if over else "active"
        entry = "8"
        leaving = exit_mode(stay) if over and not stay.is_cancelled else None
        end = stay.end if over and not stay.is_cancelled else None
        self._truth.table("stays").append((
            hospital.key, hospital.authority, stay.number, identity.ipp, stay.person.number, stay.kind, stay.start, end,
            status, entry, leaving, stay.reason.key, stay.ghm,
        ))  # fmt: skip
        rows = self._truth.table("movements")
        for ward in stay.wards[:1] if stay.is_cancelled else stay.wards:
            if ward.start < end_of_period:
                closes = ward.end if ward is stay.wards[-1] and over and not stay.is_cancelled else None
                state = "cancelled" if stay.is_cancelled else "active"
                rows.append((hospital.key, ward.number, stay.number, wards()[ward.unit][0], ward.start, closes, state))


def exit_mode(stay: Stay) -> str:
    """PMSI code: home, death, or transfer."""
    if stay.is_death:
        return "9"
    return "7" if stay.reason.key in ("col", "avc") and stay.severity > 1.2 else "8"
