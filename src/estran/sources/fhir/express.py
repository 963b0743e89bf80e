"""The fast lane of Observation: the everyday shape, written straight into the batch.

Everyday means one coding, one quantity in UCUM, at most one plain reference range. Whatever is
shaped otherwise, or odd in any way, is left to `measures.observation`, which says what is wrong
with it; both ways write the same rows (a test compares them).
"""

from __future__ import annotations

from estran.sources.fhir.elements import COMPARATORS, LOCAL, UCUM, Node, Unreadable
from estran.sources.fhir.measures import kind_of, sort_of
from estran.sources.fhir.setting import Setting
from estran.sources.records import BatchBuilder

_EVERYDAY = frozenset({
    "resourceType", "id", "meta", "text", "identifier", "status", "category", "code", "subject", "encounter", "focus",
    "effectiveDateTime", "issued", "performer", "valueQuantity", "specimen", "device", "basedOn", "partOf",
    "hasMember", "derivedFrom", "referenceRange", "extension",
})  # fmt: skip
# Status of the document and of the fact.
_STATUS = {
    "final": (0, 0), "amended": (0, 0), "corrected": (0, 0), "unknown": (0, 0), "preliminary": (1, 1),
    "registered": (1, 1), "cancelled": (2, 0), "entered-in-error": (2, 0),
}  # fmt: skip
_SHAPES = (TypeError, AttributeError, KeyError, ValueError, IndexError, Unreadable)

Bounds = tuple[float | None, float | None]


class Express:
    """Writes into one builder; what it remembers are indices of that builder."""

    def __init__(self, builder: BatchBuilder) -> None:
        self._builder = builder
        self._patients: dict[str, int] = {}
        self._stays: dict[tuple[str, str], int] = {}
        self._codes: dict[tuple[object, ...], tuple[int, str]] = {}

    def take(self, row: int, node: Node, setting: Setting) -> bool:
        """Write an everyday Observation; False, with nothing written, when it is not one."""
        if not node.keys() <= _EVERYDAY:
            return False
        try:
            name, status, clock = node["id"], _STATUS[node["status"]], setting.clock
            value, unit, comparator = _measured(node["valueQuantity"])
            low, high = _bounds(node["referenceRange"]) if "referenceRange" in node else (None, None)
            told = node["effectiveDateTime"]
            start = clock.moments.get(told) or clock.moment(told, "")
            if start is None:
                return False
            told = node.get("issued")
            known = None if told is None else clock.instants.get(told) or clock.micros(told, "")
            if type(name) is not str or not name or name.isspace() or "security" in node.get("meta", ()):
                return False
            kind = kind_of(node) if "category" in node else "observation"
            place = self._place(node, kind, setting)
        except _SHAPES:
            return False
        patient, stay, code, label = place
        builder = self._builder
        document = builder.document(
            row, "Observation/" + name, patient, stay, kind, label, start, None, status[0], known_at=known
        )
        if comparator is None:
            builder.fact(document, code, start, value, unit, status[1], low=low, high=high)
        else:
            builder.fact(document, code, start, value, unit, status[1], low=low, high=high, comparator=comparator)
        return True

    def _place(self, node: Node, kind: str, setting: Setting) -> tuple[int, int | None, int, str]:
        """Indices of patient, stay and code, with the code's label; nothing new is listed if one of them fails."""
        written, concept = node["subject"]["reference"], node["code"]
        (coding,) = concept["coding"]
        named = (coding.get("code"), coding.get("system"), coding.get("display"), concept.get("text"), kind)
        patient, code = self._patients.get(written), self._codes.get(named)
        held = (written, node["encounter"]["reference"]) if "encounter" in node else None
        stay = None if held is None else self._stays.get(held)
        if patient is None or code is None or (stay is None and held is not None):
            who, number = setting.shelf.patient(node, "subject"), setting.stay(node)
            made = setting.lexicon.concept(concept, sort_of(kind), "Observation.code")[0]
            if made is None or made.vocabulary == LOCAL or written[0] == "#":
                raise ValueError
            builder = self._builder
            patient = self._patients[written] = builder.patient(who.system, who.value)
            code = self._codes[named] = (builder.code(made), made.label)
            if held is not None and number is not None:
                stay = self._stays[held] = builder.stay(patient, number[0], number[1])
        return patient, stay, code[0], code[1]


def _measured(quantity: Node) -> tuple[float, str, int | None]:
    value, unit, bound = quantity["value"], quantity["code"], quantity.get("comparator")
    if type(value) is int:
        value = float(value)
    elif type(value) is not float:
        raise TypeError
    if quantity["system"] != UCUM or type(unit) is not str or not unit or unit.isspace() or value - value != 0.0:
        raise ValueError
    return value, unit, None if bound is None else COMPARATORS[bound]


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
