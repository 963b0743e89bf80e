"""What is shared by the messages of one batch: its builder, its caches, who is stated in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from estran.model.codes import Precision
from estran.model.moments import Moment
from estran.sources.hl7v2.clock import Clock
from estran.sources.hl7v2.message import Message, Segment, first, get
from estran.sources.hl7v2.person import Identity, read_identity
from estran.sources.hl7v2.refused import Refused
from estran.sources.hl7v2.values import Number, read_code, read_number, read_range, read_unit
from estran.sources.hl7v2.visit import Visit, Ward, is_confidential, read_visit
from estran.sources.records import Batch, BatchBuilder, IdentityStatement
from estran.terminology.units import ucum

_MAX_HELD = 100_000


@dataclass
class Codes:
    """Indices of codes and profiles in a batch, by the fields they were read from."""

    authority: str  # to whom codes without a coding system belong
    lang: str
    kind: str
    codes: dict[str, int | None] = field(default_factory=dict)
    profiles: dict[tuple[str, str, str], int] = field(default_factory=dict)  # by OBX-3, OBX-6 and OBX-7


class Held:
    """What was read once for all batches of a reader, by the text it was read from."""

    def __init__(self, zone: str, default_system: str) -> None:
        self.clock = Clock(zone)
        self.default_system = default_system
        self.identities: dict[str, tuple[Identity, str]] = {}  # with PID-18
        self.visits: dict[tuple[str, str], Visit] = {}
        self.protected: dict[tuple[str, str, str], bool | None] = {}
        self.senders: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[str, str, str]] = {}
        self.numbers: dict[str, Number | None] = {}
        self.ranges: dict[str, tuple[float | None, float | None]] = {"": (None, None)}
        self.units: dict[str, str | None] = {"": None}

    def number(self, text: str) -> Number | None:
        """The number that `text` writes, None when it is none."""
        try:
            return self.numbers[text]
        except KeyError:
            found = read_number(text)
            if len(text) <= 24:
                self.numbers[text] = found
            return found

    def range(self, text: str) -> tuple[float | None, float | None]:
        """Low and high of an OBX-7."""
        try:
            return self.ranges[text]
        except KeyError:
            found = self.ranges[text] = read_range(text)
            return found

    def unit(self, text: str) -> str | None:
        """The unit of an OBX-6, in UCUM where its spelling is known."""
        try:
            return self.units[text]
        except KeyError:
            written = read_unit(text)
            found = self.units[text] = ucum(written) if written else None
            return found

    def trim(self) -> None:
        """Forget what has grown too large; between batches."""
        for held in (self.identities, self.visits, self.numbers, self.senders, self.protected):
            if len(held) > _MAX_HELD:
                held.clear()
        for small in (self.ranges, self.units):
            if len(small) > _MAX_HELD:
                small.clear()
                small[""] = (None, None) if small is self.ranges else None  # type: ignore[assignment]


class Sender(NamedTuple):
    """Who speaks, in which language, and when: what a message's header says."""

    authority: str  # to whom local codes and unqualified numbers belong
    facility: str
    lang: str
    sent: int  # microseconds UTC, 0 unknown
    moment: Moment | None  # of sending
    control_id: str

    @property
    def day(self) -> Moment | None:
        """The day of sending: the date of a document that gives none."""
        moment = self.moment
        return None if moment is None else Moment(moment.date, None, min(moment.precision, Precision.DAY))


@dataclass
class Subject:
    """The patient of a message and the stay it is about, as indices of the batch."""

    patient: int
    stay: int | None
    identity: Identity
    visit: Visit
    pid: str  # the lines the identity was read from


@dataclass
class Gathering:
    """One batch in the making."""

    held: Held
    builder: BatchBuilder = field(default_factory=BatchBuilder)
    codes: dict[tuple[str, str, str], Codes] = field(default_factory=dict)
    # Identity lines → latest (event time, record) that stated them.
    stated: dict[str, tuple[int, int, Identity]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock: Clock = self.held.clock

    def sender(self, message: Message) -> Sender:
        """Raises Refused when MSH-7 is not a timestamp."""
        msh = message.msh
        key = tuple(msh[3:5]), tuple(msh[19:20])
        known = self.held.senders.get(key)
        if known is None:
            application, facility, lang = first(get(msh, 3)), first(get(msh, 4)), first(get(msh, 19))[:2].lower()
            known = application or facility, facility or application, lang if lang in ("fr", "en") else "fr"
            self.held.senders[key] = known
        moment, sent = self.clock.stamp(first(get(msh, 7)), "MSH-7")
        return Sender(*known, sent, moment, get(msh, 10))

    def subject(self, pid: str, relatives: list[str], pv1: str) -> Subject:
        """Who PID (with NK1) and PV1 are about; Refused when there is no patient number."""
        if not pid:
            raise Refused("PID", "missing", "The message has no PID segment.")
        lines = "\r".join((pid, *relatives)) if relatives else pid
        known = self.held.identities.get(lines)
        if known is None:
            split = [r.split("|") for r in relatives]
            identity = read_identity(pid.split("|"), split, self.clock, self.held.default_system)
            known = self.held.identities[lines] = identity, _field(pid, 18)
        identity, account = known
        visit = self.held.visits.get((account, pv1))
        if visit is None:
            visit = read_visit(pid.split("|"), pv1.split("|") if pv1 else None)
            self.held.visits[account, pv1] = visit
        patient = self.builder.patient(*identity.key)
        stay = self.builder.stay(patient, *visit.number) if visit.number else None
        return Subject(patient, stay, identity, visit, lines)

    def unit(self, ward: Ward | None) -> int | None:
        """Index of a ward."""
        return self.builder.unit(*ward) if ward else None

    def state(self, subject: Subject, record: int, event_time: int) -> None:
        """Remember that a record states an identity; the latest one speaks for identical ones.

        Safe because a fold of statements keeps, of equal values, the latest: the earlier statement
        would change nothing.
        """
        held = self.stated.get(subject.pid)
        if held is None or event_time > held[0]:
            self.stated[subject.pid] = (event_time, record, subject.identity)

    def state_now(self, subject: Subject, record: int) -> None:
        """Make the statement of this very record: for messages that say nothing else."""
        self.builder.batch.identities.append(_statement(subject.identity, record, subject.patient))

    def codes_of(self, sender: Sender, kind: str) -> Codes:
        """What is known of a sender's codes of one kind."""
        key = (sender.authority, sender.lang, kind)
        found = self.codes.get(key)
        if found is None:
            found = self.codes[key] = Codes(*key)
        return found

    def is_confidential(self, pd1: str, pv1: str, pv2: str) -> bool | None:
        """Whether the lines of a message protect the stay; None when they do not say so."""
        key = (pd1, pv1, pv2)
        try:
            return self.held.protected[key]
        except KeyError:
            split = (line.split("|") if line else None for line in key)
            found = self.held.protected[key] = is_confidential(*split)
            return found

    def code(self, codes: Codes, text: str, system: str = "") -> int | None:
        """Index of the code of a CE or CWE, None when it holds none; `system` stands in for a missing one."""
        key = f"{text}|{system}" if system else text
        try:
            return codes.codes[key]
        except KeyError:
            code = read_code(text, codes.authority, codes.lang, codes.kind, system)
            found = codes.codes[key] = None if code is None else self.builder.code(code)
            return found

    def profile(self, codes: Codes, obx: Segment) -> int | None:
        """What an OBX shares with others of its kind: code, unit and range; None when it has no code."""
        key = (obx[3], obx[6], obx[7])
        found = codes.profiles.get(key)
        if found is None:
            code = self.code(codes, obx[3])
            if code is None:
                return None
            found = self.builder.profile(code, self.held.unit(obx[6]), *self.held.range(obx[7]))
            codes.profiles[key] = found
        return found

    def undo(self, mark: tuple[int, ...]) -> None:
        """Forget what a refused message gave."""
        self.builder.undo(mark)
        self.codes.clear()

    def build(self) -> Batch:
        """The finished batch."""
        for _, record, identity in self.stated.values():
            patient = self.builder.patient(*identity.key)
            self.builder.batch.identities.append(_statement(identity, record, patient))
        return self.builder.build()


def _statement(identity: Identity, record: int, patient: int) -> IdentityStatement:
    return IdentityStatement(
        record=record, patient=patient, aliases=identity.aliases, person=identity.person, ins=identity.ins,
        introduces=identity.introduces,
    )  # fmt: skip


def _field(line: str, number: int) -> str:
    """One field of a line, without splitting what follows."""
    fields = line.split("|", number + 1)
    return fields[number] if number < len(fields) else ""


def moment_of(clock: Clock, segment: Segment | None, number: int, name: str) -> Moment | None:
    """The moment in field `number` of a segment; Refused naming the field when it is none."""
    return clock.moment(first(get(segment, number)), f"{name}-{number}") if segment else None
