"""Entries: each clinical statement that has a code, a value or words is a fact, children hang off parents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from estran.model.codes import Comparator, Context, FactStatus
from estran.model.moments import Moment
from estran.sources.cda import values
from estran.sources.cda.elements import OWN, V3, Element, Pages, code, every, find, interval, said, templates
from estran.sources.extraction.markup import name_of
from estran.sources.records import BatchBuilder, Code

STATEMENTS = frozenset(("observation", "procedure", "act", "encounter", "supply", "organizer", "substanceAdministration"))
_LINKS = ("entryRelationship", "component")
_PROBLEM, _ALLERGY = "1.3.6.1.4.1.19376.1.5.3.1.4.5", "1.3.6.1.4.1.19376.1.5.3.1.4.6"
_FAMILY = frozenset(("1.3.6.1.4.1.19376.1.5.3.1.4.13.3", "1.3.6.1.4.1.19376.1.5.3.1.4.15"))
# Codes that only say "a diagnosis, a problem": what it is stands in the value.
_PROBLEM_TYPES = frozenset((
    "282291009", "64572001", "418799008", "404684003", "55607006", "248536006", "409586006", "29308-4", "ASSERTION",
))  # fmt: skip
_HISTORY_SECTIONS = frozenset(("11348-0", "47519-4", "10167-5", "10164-2"))
_GIVEN_SECTIONS = frozenset(("18610-6", "29549-3", "11369-6"))
_PRESCRIBED_SECTIONS = frozenset(("10183-2", "75311-1", "57828-6"))
_IMMUNIZATION = "1.3.6.1.4.1.19376.1.5.3.1.4.12"
_BY_VOCABULARY = {
    "CIM10": "diagnosis", "ORPHA": "diagnosis", "CIMO3": "diagnosis", "CCAM": "procedure", "ATC": "drug", "CIP": "drug",
    "UCD": "drug",
}  # fmt: skip
_FAMILY_SECTIONS = frozenset(("10157-6",))
_PLANNED_MOODS = frozenset(("INT", "RQO", "PRMS", "PRP", "ARQ", "APT", "GOL"))
_CANCELLED = frozenset(("cancelled", "aborted", "nullified", "obsolete"))
_KINDS = {"procedure": "procedure", "substanceAdministration": "drug"}
_SUSCEPTIBILITY = frozenset(("S", "I", "R", "SDD", "NS", "MS", "VS"))
_ATTRIBUTES = (
    ("interpretationCode", "interpretation", "Interprétation"), ("methodCode", "method", "Technique"),
    ("targetSiteCode", "site", "Site"), ("approachSiteCode", "site", "Site"), ("routeCode", "route", "Voie"),
    ("approachSiteCode", "approach", "Voie d'abord"), ("priorityCode", "priority", "Priorité"),
)  # fmt: skip
_WORDS = {
    "observation": "Observation", "procedure": "Acte", "act": "Acte", "encounter": "Rencontre", "supply": "Fourniture",
    "organizer": "Groupe de résultats", "substanceAdministration": "Traitement",
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a statement stands: its parent fact, its document, and what it takes over from above."""

    document: int
    parent: int | None = None
    start: Moment | None = None
    context: Context = Context.AFFIRMED
    section: str = ""  # LOINC code of the section
    is_undated: bool = True  # nothing above it in its entry has a date of its own


@dataclass(frozen=True)
class Entries:
    """Reads the entries of one document into a batch."""

    builder: BatchBuilder
    zone: str
    authority: str
    lang: str
    pages: Pages
    kind: str = "observation"  # of what an observation's code says

    def add(self, root: Element, document: int, start: Moment | None) -> int:
        """Facts of every section; returns how many."""
        before = self.builder.facts
        for section in root.iterfind(f"./{V3}component/{V3}structuredBody//{V3}section"):
            number = said(find(section, "code"), "code")
            family = Context.FAMILY if number in _FAMILY_SECTIONS else Context.AFFIRMED
            place = Place(document, None, start, family, number)
            for entry in every(section, "entry"):
                self._children(entry, place)
        return self.builder.facts - before

    def _children(self, element: Element, place: Place) -> None:
        for child in element:
            if name_of(child) in STATEMENTS:
                self._statement(child, place)

    def _statement(self, element: Element, place: Place) -> None:
        start, end = self._times(element)
        context = place.context | self._context(element)
        here = replace(place, start=start or place.start, is_undated=place.is_undated and start is None)
        if place.section in _HISTORY_SECTIONS and here.is_undated:
            context |= Context.HISTORY
        if name_of(element) == "substanceAdministration" and self._status(element, place.section) == FactStatus.FINAL:
            context |= Context.REPORTED
        here = replace(here, context=context)
        made = self._read(element)
        if made.code is not None:
            number = self._store(element, made, here, end)
            here = replace(here, parent=number)
        if said(element, "negationInd").lower() == "true":  # a denial is not its details' denial
            here = replace(here, context=place.context)
        for link in element:
            if name_of(link) in _LINKS:
                self._children(link, here)

    # what it is ------------------------------------------------------------------------------------

    def _read(self, element: Element) -> _Made:
        name = name_of(element)
        kind = _KINDS.get(name, self.kind if name == "observation" else "observation")
        own = self._code(find(element, "code"), kind)
        found = values.read(every(element, "value"), self._code, self.pages, self.zone)
        main, value = own, found
        told = self._material(element) if name in ("substanceAdministration", "supply") else None
        if told is not None:
            main = told
        elif name == "observation":
            main, value = self._finding(element, own, found)
        elif name == "organizer" and own is None:
            main = self._code(find(element, "specimen/specimenRole/specimenPlayingEntity/code"), "observation")
        text = value.text or ("" if main and main.vocabulary != OWN else self._told(element))
        if main is None and (text or not value.is_empty):
            main = Code(OWN, name, _WORDS[name], "fr", kind)
        return _Made(main, value, text, own if own != main else None)

    def _finding(self, element: Element, own: Code | None, found: values.Value) -> tuple[Code | None, values.Value]:
        """Of a problem, the value says what it is; of an allergy, its value is the agent."""
        marks = templates(element)
        if _ALLERGY in marks:
            # the agent is the value: as a code of its own it would make a treatment of an allergy
            agent = self._code(find(element, "participant/participantRole/playingEntity/code"), "observation")
            return own, found._replace(code=agent, text=found.text if agent is None else "") if agent else found
        if found.code and (_PROBLEM in marks or (own is not None and own.code in _PROBLEM_TYPES)):
            return found.code._replace(kind="diagnosis"), found._replace(code=None)
        return own, found

    def _code(self, element: Element | None, kind: str) -> Code | None:
        found = code(element, kind, self.authority, self.lang)
        if found is None:
            return None
        if kind == "observation" and found.vocabulary in _BY_VOCABULARY:
            found = found._replace(kind=_BY_VOCABULARY[found.vocabulary])
        if not found.label:
            return found._replace(label=self.pages.told(find(element, "originalText"))[:250])
        return found

    def _material(self, element: Element) -> Code | None:
        """The drug, vaccine or device."""
        for path in (
            "consumable/manufacturedProduct/manufacturedMaterial/code", "product/manufacturedProduct/manufacturedMaterial/code",
            "consumable/manufacturedProduct/manufacturedLabeledDrug/code", "participant/participantRole/playingDevice/code",
        ):  # fmt: skip
            found = self._code(find(element, path), "other" if "Device" in path else "drug")
            if found is not None:
                return found
        named = find(element, "consumable/manufacturedProduct/manufacturedMaterial")
        label = self.pages.told(find(named, "name")) or self.pages.told(find(named, "code/originalText"))
        return Code(OWN, "drug", "Médicament nommé en toutes lettres", "fr", "drug") if label else None

    def _told(self, element: Element) -> str:
        """What the narrative, or the entry itself, says in words."""
        material = find(element, "consumable/manufacturedProduct/manufacturedMaterial")
        for one in (
            find(element, "code/originalText"), find(element, "text"), find(material, "name"),
            find(material, "code/originalText"),
        ):  # fmt: skip
            told = self.pages.told(one)
            if told:
                return told
        return ""

    # when and how ----------------------------------------------------------------------------------

    def _times(self, element: Element) -> tuple[Moment | None, Moment | None]:
        for one in every(element, "effectiveTime"):
            start, end = interval(one, self.zone, f"{name_of(element)}/effectiveTime")
            if start is not None:
                return start, end
        return None, None

    def _context(self, element: Element) -> Context:
        context = Context.AFFIRMED
        name, mood = name_of(element), said(element, "moodCode")
        if said(element, "negationInd").lower() == "true" and name != "substanceAdministration":
            context |= Context.NEGATED
        if mood in _PLANNED_MOODS and name != "substanceAdministration":
            context |= Context.PLANNED
        if find(element, "subject/relatedSubject") is not None or templates(element) & _FAMILY:
            context |= Context.FAMILY
        return context

    def _status(self, element: Element, section: str) -> FactStatus:
        told, mood = said(find(element, "statusCode"), "code").lower(), said(element, "moodCode")
        if told in _CANCELLED:
            return FactStatus.CANCELLED
        if name_of(element) == "substanceAdministration":
            if said(element, "negationInd").lower() == "true":
                return FactStatus.NOT_GIVEN
            if mood in _PLANNED_MOODS or section in _PRESCRIBED_SECTIONS:
                return FactStatus.ORDERED
            is_given = section in _GIVEN_SECTIONS or _IMMUNIZATION in templates(element)
            return FactStatus.GIVEN if is_given else FactStatus.FINAL
        return FactStatus.ORDERED if mood in _PLANNED_MOODS else FactStatus.FINAL

    # storing ---------------------------------------------------------------------------------------

    def _store(self, element: Element, made: _Made, place: Place, end: Moment | None) -> int:
        value, builder = made.value, self.builder
        dose = values.dose(find(element, "doseQuantity"))
        low, high = values.reference(every(element, "referenceRange/observationRange/value"))
        rare: dict[str, Any] = {
            "parent_fact_no": place.parent, "value_text": made.text or None, "context": int(place.context) or None,
            "comparator": None if value.comparator == Comparator.EQ else int(value.comparator), "low": low, "high": high,
        }  # fmt: skip
        valued = value.code or self._susceptibility(element)
        if valued is not None:
            rare["value_code"] = builder.code(valued)
        number, unit = (value.number, value.unit) if dose is None else (dose.number, dose.unit)
        main = builder.code(made.code or Code(OWN, "entry"))
        no = builder.fact(place.document, main, place.start, number, unit, self._status(element, place.section), end, **rare)
        for name, told in self._attributes(element, made):
            builder.attribute(place.document, no, builder.code(name), **told)
        return no

    def _susceptibility(self, element: Element) -> Code | None:
        """S, I or R beside a concentration: the result of an antibiogram."""
        one = find(element, "interpretationCode")
        return self._code(one, "other") if said(one, "code").upper() in _SUSCEPTIBILITY else None

    def _attributes(self, element: Element, made: _Made) -> Iterator[tuple[Code, dict[str, Any]]]:
        if made.displaced is not None:
            yield _name("type", "Type d'énoncé"), self._coded(made.displaced)
        present = {name_of(child) for child in element}
        for path, name, label in _ATTRIBUTES:
            for one in every(element, path) if path in present else ():
                found = self._code(one, "other")
                if found is not None:
                    yield _name(name, label), self._coded(found)
        specimen = find(element, "specimen/specimenRole/specimenPlayingEntity/code")
        for one in (specimen, *_products(element)):
            found = self._code(one, "other")
            if found is not None and (made.code is None or found[:2] != made.code[:2]):
                yield _name("specimen", "Prélèvement"), self._coded(found)
        for extra in made.value.more:
            yield _name("value", "Autre valeur"), self._coded(extra) if isinstance(extra, Code) else {"value_text": extra}
        for told in values.frequencies(every(element, "effectiveTime")):
            yield _name("frequency", "Fréquence"), {"value_text": told}

    def _coded(self, found: Code) -> dict[str, Any]:
        return {"value_code": self.builder.code(found)}


class _Made(NamedTuple):
    """A statement read: its code, value, words, and the code that the main one took the place of."""

    code: Code | None
    value: values.Value
    text: str
    displaced: Code | None


def _name(code_value: str, label: str) -> Code:
    return Code(OWN, code_value, label)


def _products(element: Element) -> Iterator[Element]:
    """Codes of what a procedure took: the specimen."""
    for one in every(element, "participant"):
        if said(one, "typeCode") == "PRD":
            yield from every(one, "participantRole/playingEntity/code")
