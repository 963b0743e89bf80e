"""The fast lane of Observation: the everyday shape, written from its bytes straight into the batch.

Everyday means one quantity in UCUM and at most one plain reference range. The bytes are decoded
into structures that accept this shape alone, and what many results share (code, category, range)
stays undecoded: equal bytes mean the same thing, so it is read once a batch. Whatever is shaped
otherwise, or odd in any way, is left to `measures.observation`, which says what is wrong with it;
both ways write the same rows (a test compares them).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import orjson

from estran.sources.fhir.elements import COMPARATORS, LOCAL, Clock, Lexicon, Node, Unreadable
from estran.sources.fhir.measures import kind_of, sort_of
from estran.sources.fhir.references import Shelf
from estran.sources.fhir.setting import Setting, written_at
from estran.sources.records import BatchBuilder, Code

# Status of the document, and what its fact says of it.
_PLAIN: Mapping[str, int] = {}
_STATUS: dict[str, tuple[int, Mapping[str, int]]] = {
    "final": (0, _PLAIN), "amended": (0, _PLAIN), "corrected": (0, _PLAIN), "unknown": (0, _PLAIN),
    "preliminary": (1, {"status": 1}), "registered": (1, {"status": 1}), "cancelled": (2, _PLAIN),
    "entered-in-error": (2, _PLAIN),
}  # fmt: skip
_SHAPES = (
    TypeError, AttributeError, KeyError, ValueError, IndexError, RecursionError, Unreadable, msgspec.MsgspecError,
)  # fmt: skip
_LONGEST = 4_096  # shared parts that are longer are not kept


class _Reference(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A Reference that leads somewhere; its bytes are checked even where they are not used."""

    reference: str
    type: Any = None
    display: Any = None
    identifier: Any = None


class _Meta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Meta without security labels, for those are looked at closely elsewhere."""

    lastUpdated: str | None = None  # noqa: N815 - FHIR's names
    versionId: Any = None  # noqa: N815
    source: Any = None
    profile: Any = None
    tag: Any = None
    id: Any = None
    extension: Any = None


class _Quantity(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    value: float
    code: str
    system: Literal["http://unitsofmeasure.org"]
    unit: Any = None
    comparator: str | None = None


class _Everyday(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An everyday Observation, its members in the order in which servers mostly write them."""

    resourceType: Literal["Observation"]  # noqa: N815
    id: str
    status: str
    code: msgspec.Raw
    subject: _Reference
    effectiveDateTime: str  # noqa: N815
    valueQuantity: _Quantity  # noqa: N815
    meta: _Meta | None = None
    category: msgspec.Raw = msgspec.Raw()
    encounter: _Reference | None = None
    issued: str | None = None
    referenceRange: msgspec.Raw = msgspec.Raw()  # noqa: N815
    text: Any = None
    identifier: Any = None
    focus: Any = None
    performer: Any = None
    specimen: Any = None
    device: Any = None
    basedOn: Any = None  # noqa: N815
    partOf: Any = None  # noqa: N815
    hasMember: Any = None  # noqa: N815
    derivedFrom: Any = None  # noqa: N815
    extension: Any = None


_Shared = tuple[int, str, str]  # profile, kind of document, label of the code
_Named = tuple[bytes, bytes, bytes, str]  # code, category and range as they are written, unit
Bounds = tuple[float | None, float | None]
_decode = msgspec.json.Decoder(_Everyday).decode


class Express:
    """Writes into one builder; what it remembers are indices of that builder."""

    def __init__(self, builder: BatchBuilder) -> None:
        self._builder = builder
        self._shelf: Shelf | None = None
        self._patients: dict[str, int] = {}
        self._stays: dict[tuple[str, str], int | None] = {}
        self._shared: dict[_Named, _Shared] = {}

    def take(self, no: int, line: int | None, data: bytes, content: int, modified: object, setting: Setting) -> bool:
        """Write an everyday Observation and its record; False, with nothing written, when it is not one."""
        if setting.shelf is not self._shelf:
            self._turn(setting.shelf)
        try:
            one = _decode(data)
            clock, measured, name, told = setting.clock, one.valueQuantity, one.id, one.effectiveDateTime
            status, rare = _STATUS[one.status]
            if not name or name.isspace():
                return False
            start = clock.moments.get(told) or clock.moment(told, "")
            issued = one.issued
            known = None if issued is None else clock.instants.get(issued) or clock.micros(issued, "")
            changed = 0 if one.meta is None and modified is None else _changed(one.meta, modified, clock)
            if measured.comparator is not None:
                rare = {**rare, "comparator": COMPARATORS[measured.comparator]}
            place = self._place(one, measured.code, setting)
        except _SHAPES:
            return False
        shared, patient, stay = place
        self._builder.result(
            (no, line, changed, content), "Observation/" + name, patient, stay, shared[1], shared[2], start,
            measured.value, shared[0], status, known_at=known, rare=rare,
        )
        return True

    def _turn(self, shelf: Shelf) -> None:
        """Another Bundle: the same reference may lead elsewhere."""
        self._shelf = shelf
        self._patients.clear()
        self._stays.clear()

    def _place(self, one: _Everyday, unit: str, setting: Setting) -> tuple[_Shared, int, int | None]:
        """Indices of what the result shares with others; nothing new is listed if one of them fails."""
        written, held = one.subject.reference, None if one.encounter is None else one.encounter.reference
        named = (bytes(one.code), bytes(one.category), bytes(one.referenceRange), unit)
        shared, patient = self._shared.get(named), self._patients.get(written)
        stay = None if held is None else self._stays.get((written, held), -1)
        if shared is not None and patient is not None and stay != -1:
            return shared, patient, stay
        if written[0] == "#" or not unit or unit.isspace():
            raise ValueError
        read = _read(named, setting.lexicon) if shared is None else None
        node: Node = {"resourceType": "Observation", "subject": {"reference": written}}
        who = setting.shelf.patient(node, "subject")
        number = None if held is None else setting.shelf.stay({"reference": held}, "Observation.encounter")
        builder = self._builder
        patient = self._patients[written] = builder.patient(who.system, who.value)
        if held is not None:
            stay = None if number is None else builder.stay(patient, number[0], number[1])
            self._stays[written, held] = stay
        if shared is None:
            assert read is not None  # noqa: S101 - what is not known was read
            code, kind, bounds = read
            shared = (builder.profile(builder.code(code), unit, *bounds), kind, code.label)
            if sum(map(len, named)) < _LONGEST:
                self._shared[named] = shared
        return shared, patient, stay


def _read(named: _Named, lexicon: Lexicon) -> tuple[Code, str, Bounds]:
    """Code, kind of document and reference range; raises when one of them is not everyday."""
    concept, categories, ranges = (orjson.loads(part) if part else None for part in named[:3])
    kind = kind_of({"category": categories})
    code = lexicon.concept(concept, sort_of(kind), "Observation.code")[0]
    if code is None or code.vocabulary == LOCAL:
        raise ValueError
    return code, kind, _bounds(ranges or []) if named[2] else (None, None)


def _changed(meta: _Meta | None, modified: object, clock: Clock) -> int:
    """The event time of the record."""
    told = modified if meta is None or meta.lastUpdated is None else meta.lastUpdated
    return written_at(told, None if meta is None else meta.versionId, clock) or 0


def _bounds(ranges: list[Node]) -> Bounds:
    (one,) = ranges
    if type(one) is not dict or "type" in one:
        raise ValueError
    return _bound(one, "low"), _bound(one, "high")


def _bound(one: Node, name: str) -> float | None:
    if name not in one:
        return None
    value = one[name]["value"]
    if type(value) is int:
        value = float(value)
    if type(value) is not float or value - value != 0.0 or "comparator" in one[name]:
        raise ValueError
    return value
