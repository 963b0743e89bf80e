"""Condition, Procedure, AllergyIntolerance, Immunization, FamilyMemberHistory and Device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from estran.model.codes import Context, DocumentKind, DocumentStatus, FactStatus
from estran.model.moments import Moment
from estran.sources.fhir.elements import LOCAL, Node, Unreadable, each, first_code, notes, quantity, words
from estran.sources.fhir.references import key
from estran.sources.fhir.setting import Setting, confidential, erroneous, spoken
from estran.sources.fhir.statements import Attribute, Document, Fact, Kin, Statement
from estran.sources.records import Code, Person

_ORDERS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
_DOUBTFUL = frozenset({"unconfirmed", "provisional", "differential", "presumed"})


def main_code(node: Node, setting: Setting, field: str, kind: str) -> tuple[Code, dict[str, Any]]:
    """What the resource is about: its code, or a code of ours with the words as value_text.

    Words alone never become a code or a title: they are free text, to be de-identified.
    """
    path = f"{node['resourceType']}.{field}"
    code, told = setting.lexicon.concept(node.get(field), kind, path, spoken(node))
    if code is not None:
        return code, {}
    if told is None:
        raise Unreadable(path, "missing", "The resource does not say what it is about.")
    return setting.lexicon.local(path, "Nommé en toutes lettres", kind), {"value_text": told}


def title(code: Code) -> str | None:
    """The label of a source's own code; words typed by someone make no title."""
    return None if code.vocabulary == LOCAL else code.label or None


def period(node: Node, setting: Setting, stem: str) -> tuple[Moment | None, Moment | None]:
    """Start and end of a choice element such as performed[x], occurrence[x], onset[x]."""
    path, moment = f"{node['resourceType']}.{stem}", setting.clock.moment
    told = node.get(stem + "DateTime")
    if told is not None:
        return moment(told, path + "DateTime"), None
    span = node.get(stem + "Period") or {}
    return moment(span.get("start"), path + "Period.start"), moment(span.get("end"), path + "Period.end")


def asked(node: Node) -> Context:
    """How an act or a drug is asked for: drafts, proposals and plans are planned, `doNotPerform` negates."""
    is_order = node.get("intent") in _ORDERS and node.get("status") != "draft"
    context = Context.AFFIRMED if is_order else Context.PLANNED
    return context | Context.NEGATED if node.get("doNotPerform") is True else context


def attributes(node: Node, setting: Setting, fields: Iterable[tuple[str, str]]) -> tuple[Attribute, ...]:
    """The CodeableConcepts of the named elements, lists or not, as attributes."""
    found, kind = [], node["resourceType"]
    for field, label in fields:
        values = node.get(field)
        if values is None:
            continue
        name = setting.lexicon.local(f"{kind}.{field}", label)
        for value in values if type(values) is list else [values]:
            code, text = setting.lexicon.concept(value, "other", f"{kind}.{field}")
            if code or text:
                found.append(Attribute(name, code=code, text=text))
    return tuple(found)


def document(
    node: Node, setting: Setting, kind: DocumentKind, facts: tuple[Fact, ...], *, subject: str = "subject",
    stay: str = "encounter", known: str = "", status: DocumentStatus | None = None, text: str | None = None,
) -> Document:
    """The document of a resource that is one act or one finding; `known` names its date of record."""
    name = node["resourceType"]
    start = facts[0].start
    told = node.get(known) if known else None
    return Document(
        key(node), setting.patient(node, subject), setting.stay(node, stay), kind.value, title(facts[0].code), start,
        facts, text or notes(node.get("note"), name + ".note"),
        erroneous(node.get("status")) if status is None else status,
        setting.clock.micros(told, f"{name}.{known}"), confidential(node), spoken(node),
    )


def _verified(node: Node) -> tuple[Context, DocumentStatus]:
    told = first_code(node.get("verificationStatus"))
    if told == "refuted":
        return Context.NEGATED, DocumentStatus.CURRENT
    return (Context.HYPOTHETICAL if told in _DOUBTFUL else Context.AFFIRMED), erroneous(told)


def _in_context(rare: dict[str, Any], context: Context) -> dict[str, Any]:
    return {**rare, "context": int(context)} if context else rare


_CONDITION = (
    ("clinicalStatus", "État clinique"), ("category", "Catégorie"), ("severity", "Sévérité"), ("bodySite", "Site"),
)


def condition(node: Node, setting: Setting) -> Document:
    """A diagnosis or problem, from its onset (else from its recording) to its abatement."""
    code, rare = main_code(node, setting, "code", "diagnosis")
    start, last = period(node, setting, "onset")
    end, _ = period(node, setting, "abatement")
    if start is None:
        start = setting.clock.moment(node.get("recordedDate"), "Condition.recordedDate")
    context, status = _verified(node)
    told = attributes(node, setting, _CONDITION)
    fact = Fact(code, start, end=end or last, rare=_in_context(rare, context), attributes=told)
    return document(node, setting, DocumentKind.DIAGNOSIS, (fact,), known="recordedDate", status=status)


_DONE = {
    "preparation": (FactStatus.ORDERED, Context.PLANNED),
    "in-progress": (FactStatus.PRELIMINARY, Context.AFFIRMED),
    "not-done": (FactStatus.NOT_GIVEN, Context.AFFIRMED),
    "on-hold": (FactStatus.PRELIMINARY, Context.AFFIRMED),
}
_PROCEDURE = (
    ("category", "Catégorie"), ("bodySite", "Site"), ("outcome", "Résultat"), ("complication", "Complication"),
    ("reasonCode", "Motif"),
)


def procedure(node: Node, setting: Setting) -> Document:
    """An act; `stopped` acts were begun and count, with their status as attribute."""
    code, rare = main_code(node, setting, "code", "procedure")
    start, end = period(node, setting, "performed")
    status, context = _DONE.get(node.get("status") or "", (FactStatus.FINAL, Context.AFFIRMED))
    told = attributes(node, setting, _PROCEDURE)
    if node.get("status") == "stopped":
        told += (Attribute(setting.lexicon.local("Procedure.status", "État"), text="stopped"),)
    fact = Fact(code, start, status=status, end=end, rare=_in_context(rare, context), attributes=told)
    return document(node, setting, DocumentKind.PROCEDURE, (fact,))


def allergy(node: Node, setting: Setting) -> Document:
    """An allergy, its manifestations hanging off it."""
    code, rare = main_code(node, setting, "code", "observation")
    start, _ = period(node, setting, "onset")
    if start is None:
        start = setting.clock.moment(node.get("recordedDate"), "AllergyIntolerance.recordedDate")
    context, status = _verified(node)
    rare = _in_context(rare, context)
    facts = [Fact(code, start, rare=rare, attributes=_allergy_attributes(node, setting))]
    for reaction in each(node.get("reaction"), "AllergyIntolerance.reaction"):
        facts += _manifestations(reaction, setting, start, context)
    return document(
        node, setting, DocumentKind.ALLERGY, tuple(facts), subject="patient", known="recordedDate", status=status
    )


def _allergy_attributes(node: Node, setting: Setting) -> tuple[Attribute, ...]:
    found = attributes(node, setting, (("clinicalStatus", "État clinique"),))
    for field, label in (("type", "Mécanisme"), ("criticality", "Gravité possible")):
        told = words(node.get(field), "AllergyIntolerance." + field)
        if told:
            found += (Attribute(setting.lexicon.local("AllergyIntolerance." + field, label), text=told),)
    return found


def _manifestations(reaction: Node, setting: Setting, start: Moment | None, context: Context) -> list[Fact]:
    path, found = "AllergyIntolerance.reaction.manifestation", []
    when = setting.clock.moment(reaction.get("onset"), "AllergyIntolerance.reaction.onset") or start
    for one in each(reaction.get("manifestation"), path):
        code, told = setting.lexicon.concept(one, "diagnosis", path)
        if code is None and told is None:
            continue
        rare = _in_context({} if told is None else {"value_text": told}, context)
        found.append(Fact(code or setting.lexicon.local(path, "Manifestation"), when, rare=rare, child=True))
    return found


def immunization(node: Node, setting: Setting) -> Document:
    """A vaccine given, or not."""
    code, rare = main_code(node, setting, "vaccineCode", "drug")
    start, _ = period(node, setting, "occurrence")
    status = FactStatus.NOT_GIVEN if node.get("status") == "not-done" else FactStatus.GIVEN
    dose = quantity(node.get("doseQuantity") or {}, "Immunization.doseQuantity")
    if node.get("primarySource") is False:
        rare = _in_context(rare, Context.REPORTED)
    told = attributes(node, setting, (("route", "Voie"), ("site", "Site"), ("statusReason", "Motif")))
    fact = Fact(code, start, dose.value, dose.unit, status, rare=rare, attributes=told)
    return document(node, setting, DocumentKind.IMMUNIZATION, (fact,), subject="patient", known="recorded")


def family(node: Node, setting: Setting) -> list[Statement]:
    """What relatives have or had; never a fact about the patient. Their name is kept to be masked only."""
    path = "FamilyMemberHistory.condition"
    date = setting.clock.moment(node.get("date"), "FamilyMemberHistory.date")
    kinship = attributes(node, setting, (("relationship", "Parenté"),))
    facts = []
    for one in each(node.get("condition"), path):
        code, told = setting.lexicon.concept(one.get("code"), "diagnosis", path + ".code")
        if code is None and told is None:
            raise Unreadable(path + ".code", "missing", "The relative's condition is not named.")
        rare = _in_context({} if told is None else {"value_text": told}, Context.FAMILY)
        local = setting.lexicon.local(path + ".code", "Antécédent familial", "diagnosis")
        facts.append(Fact(code or local, date, rare=rare, attributes=kinship))
    if not facts:
        raise Unreadable(path, "missing", "The family history names no condition.")
    made = document(node, setting, DocumentKind.DIAGNOSIS, tuple(facts), subject="patient", known="date")
    named = words(node.get("name"), "FamilyMemberHistory.name")
    return [made, Kin(made.patient, Person(relatives=(named,)))] if named else [made]


def device(node: Node, setting: Setting) -> Document:
    """A device of a patient; its serial numbers are left out, for they name the person."""
    code, rare = main_code(node, setting, "type", "other")
    told = words(node.get("status"), "Device.status")
    extra = (Attribute(setting.lexicon.local("Device.status", "État"), text=told),) if told else ()
    fact = Fact(code, None, rare=rare, attributes=extra)
    return document(node, setting, DocumentKind.DEVICE, (fact,), subject="patient")
