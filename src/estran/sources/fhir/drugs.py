"""The four Medication… resources, and Medication itself."""

from __future__ import annotations

from typing import Any

from estran.model.codes import Context, DocumentKind, FactStatus
from estran.model.moments import Moment
from estran.sources.fhir.clinical import asked, attributes, document, main_code, period
from estran.sources.fhir.elements import LOCAL, Node, Quantity, Unreadable, each, number, quantity, words
from estran.sources.fhir.references import contained, key
from estran.sources.fhir.setting import Setting, spoken
from estran.sources.fhir.statements import Attribute, Document, Drug, Fact
from estran.sources.records import Code

_WITHHELD = frozenset({"cancelled", "declined"})
_DAYS = {"s": 1 / 86_400, "min": 1 / 1_440, "h": 1 / 24, "d": 1.0, "wk": 7.0, "mo": 30.4375, "a": 365.25}


def drug(node: Node, setting: Setting) -> tuple[Code, dict[str, Any]]:
    """The drug of medication[x]: its code, that of the Medication it refers to, or a local code."""
    kind = node["resourceType"]
    if node.get("medicationCodeableConcept"):
        return main_code(node, setting, "medicationCodeableConcept", "drug")
    target = node.get("medicationReference")
    path = kind + ".medicationReference"
    if not target:
        raise Unreadable(f"{kind}.medication", "missing", "The resource does not name the drug.")
    written = words(target.get("reference"), path + ".reference") or ""
    inside = contained(node, written[1:]) if written.startswith("#") else setting.shelf.node(written)
    if inside is not None and inside.get("code"):
        return main_code({**inside, "resourceType": "Medication"}, setting, "code", "drug")
    told = setting.shelf.number(target, path)
    if told is None or told[1].startswith(("#", "urn:")):
        return _named(words(target.get("display"), path + ".display"), setting, path)
    return setting.lexicon.drug(told[1], words(target.get("display"), path + ".display") or "", spoken(node)), {}


def _named(told: str | None, setting: Setting, path: str) -> tuple[Code, dict[str, Any]]:
    if told is None:
        raise Unreadable(path, "missing", "The reference leads to no drug of this file.")
    return setting.lexicon.local("Medication", "Médicament nommé en toutes lettres", "drug"), {"value_text": told}


def medication(node: Node, setting: Setting) -> Drug:
    """A Medication: what stands behind the local code that other files refer to."""
    code, told = setting.lexicon.concept(node.get("code"), "drug", "Medication.code", spoken(node))
    if code is None:
        reason = "The medication has no code." if told is None else "The medication is named in words only."
        raise Unreadable("Medication.code", "missing", reason)
    known = ((code.vocabulary, code.code, code.label), *code.also)
    return Drug(Code(LOCAL, key(node), code.label, code.lang, "drug", known))


def request(node: Node, setting: Setting) -> Document:
    """A prescription. `stopped` and `completed` ones were ordered; `cancelled` ones never held."""
    code, rare = drug(node, setting)
    start, end = _bounds(node, setting)
    start = start or setting.clock.moment(node.get("authoredOn"), "MedicationRequest.authoredOn")
    context = asked(node)
    status = FactStatus.CANCELLED if node.get("status") == "cancelled" else FactStatus.ORDERED
    told = _dosages(node, setting, "dosageInstruction") + _status(node, setting)
    rare = {**rare, "context": int(context)} if context else rare
    fact = Fact(code, start, end=end, status=status, rare=rare, attributes=told)
    return document(node, setting, DocumentKind.PRESCRIPTION, (fact,), known="authoredOn")


def _bounds(node: Node, setting: Setting) -> tuple[Moment | None, Moment | None]:
    """From when to when the prescription holds, over all its dosage lines."""
    path, ends = "MedicationRequest.dosageInstruction", []
    for one in each(node.get("dosageInstruction"), path):
        span = ((one.get("timing") or {}).get("repeat") or {}).get("boundsPeriod") or {}
        ends.append([setting.clock.moment(span.get(name), path + ".timing.repeat.bounds") for name in ("start", "end")])
    starts, stops = ([end[at] for end in ends] for at in (0, 1))
    first = min((m for m in starts if m), key=_instant, default=None)
    # one line without an end: the prescription has none
    last = max((m for m in stops if m), key=_instant, default=None) if all(stops) else None
    return first, last


def _instant(moment: Moment) -> tuple[int, int]:
    return moment.date, moment.minute or 0


def administration(node: Node, setting: Setting) -> Document:
    """A dose given, or not."""
    code, rare = drug(node, setting)
    start, end = period(node, setting, "effective")
    dosage = node.get("dosage") or {}
    dose = quantity(dosage.get("dose") or {}, "MedicationAdministration.dosage.dose")
    status = FactStatus.NOT_GIVEN if node.get("status") == "not-done" else FactStatus.GIVEN
    told = attributes({**dosage, "resourceType": "MedicationAdministration.dosage"}, setting, _WAYS)
    fact = Fact(code, start, dose.value, dose.unit, status, end, rare, told)
    return document(node, setting, DocumentKind.ADMINISTRATION, (fact,), stay="context")


def dispense(node: Node, setting: Setting) -> Document:
    """A drug handed over."""
    code, rare = drug(node, setting)
    field = "whenHandedOver" if node.get("whenHandedOver") else "whenPrepared"
    start = setting.clock.moment(node.get(field), "MedicationDispense." + field)
    amount = quantity(node.get("quantity") or {}, "MedicationDispense.quantity")
    status = FactStatus.CANCELLED if node.get("status") in _WITHHELD else FactStatus.DISPENSED
    told = _dosages(node, setting, "dosageInstruction")
    fact = Fact(code, start, amount.value, amount.unit, status, rare=rare, attributes=told)
    return document(node, setting, DocumentKind.PRESCRIPTION, (fact,), stay="context")


def statement(node: Node, setting: Setting) -> Document:
    """A drug that the patient is said to take, or not to take."""
    code, rare = drug(node, setting)
    start, end = period(node, setting, "effective")
    context = Context.REPORTED
    if node.get("status") == "not-taken":
        context |= Context.NEGATED
    if node.get("status") == "intended":
        context |= Context.PLANNED
    told = _dosages(node, setting, "dosage") + _status(node, setting)
    fact = Fact(code, start, end=end, rare={**rare, "context": int(context)}, attributes=told)
    return document(node, setting, DocumentKind.PRESCRIPTION, (fact,), stay="context", known="dateAsserted")


def _status(node: Node, setting: Setting) -> tuple[Attribute, ...]:
    kind = node["resourceType"]
    told = words(node.get("status"), kind + ".status")
    return (Attribute(setting.lexicon.local(kind + ".status", "État"), text=told),) if told else ()


_WAYS = (("route", "Voie"), ("method", "Technique"), ("site", "Site"))


def _dosages(node: Node, setting: Setting, field: str) -> tuple[Attribute, ...]:
    """Route, dose and frequency of every dosage line."""
    path = f"{node['resourceType']}.{field}"
    found: tuple[Attribute, ...] = ()
    for one in each(node.get(field), path):
        found += attributes({**one, "resourceType": path}, setting, _WAYS)
        found += _doses(one, setting, path) + _frequency(one, setting, path)
    return found


def _doses(dosage: Node, setting: Setting, path: str) -> tuple[Attribute, ...]:
    name, found = setting.lexicon.local(path + ".dose", "Dose"), []
    for one in each(dosage.get("doseAndRate"), path + ".doseAndRate"):
        amounts = [one.get("doseQuantity"), *(one.get("doseRange") or {}).values()]
        for amount in amounts:
            dose = quantity(amount, path + ".doseAndRate") if amount else Quantity(None, None, None)
            if dose.value is not None:
                found.append(Attribute(name, dose.value, text=dose.unit))
    return tuple(found)


def _frequency(dosage: Node, setting: Setting, path: str) -> tuple[Attribute, ...]:
    """Times per day, computed from the timing; or the timing's code (BID, …)."""
    timing = dosage.get("timing") or {}
    repeat = timing.get("repeat") or {}
    times = number(repeat.get("frequency"), path + ".timing.repeat.frequency") or 1.0
    span = number(repeat.get("period"), path + ".timing.repeat.period")
    days = _DAYS.get(repeat.get("periodUnit") or "")
    name = setting.lexicon.local(path + ".frequency", "Prises par jour")
    code, text = setting.lexicon.concept(timing.get("code"), "other", path + ".timing.code")
    found = [Attribute(name, times / (span * days))] if span and days else []
    if code or text:
        found.append(Attribute(name, code=code, text=text))
    return tuple(found)

