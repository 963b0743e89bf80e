"""Where references lead: inside the resource, inside the file, or to a number."""

from __future__ import annotations

from typing import Any

from estran.sources.fhir.elements import Node, Unreadable, each, words
from estran.sources.records import PatientKey, UnitKey

SYSTEM = "fhir"  # the numbering system of literal references such as Patient/12


class Shelf:
    """The entries of one Bundle, to be found by their address. Empty for other files."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # fullUrl -> Type/id
        self._nodes: dict[str, Node] = {}  # Type/id -> resource
        self._patients: dict[str, PatientKey] = {}
        self._movements: dict[str, tuple[str, str]] = {}
        self._used: set[str] = set()
        self._linked: dict[str, PatientKey] = {}  # RelatedPerson/id -> the patient who is that person

    def put(self, url: Any, node: Node, name: str) -> None:
        """Remember a resource under its fullUrl and under Type/id."""
        if isinstance(url, str) and url:
            self._names[url] = name
        self._nodes.setdefault(name, node)  # a history tells the newest version first

    def name(self, reference: str) -> str:
        """`Type/id` of a literal reference; conditional and contained ones come back as they are."""
        found = self._names.get(reference)
        if found is not None:
            return found
        if reference.startswith(("#", "urn:")) or "?" in reference:
            return reference
        parts = reference.partition("/_history/")[0].split("/")
        return "/".join(parts[-2:])

    def node(self, reference: str) -> Node | None:
        """The resource of this file that the reference leads to."""
        return self._nodes.get(self.name(reference))

    def patient(self, holder: Node, field: str) -> PatientKey:
        """The patient that `holder` is about; Unreadable when it names none."""
        target = holder.get(field)
        path = f"{holder['resourceType']}.{field}"
        if not target:
            raise Unreadable(path, "missing", "The resource does not say which patient it is about.")
        written = target.get("reference")
        found = self._patients.get(written) if written is not None else None
        if found is None:
            found = self._find_patient(holder, target, path)
            if written is not None:
                self._keep(written, found)
        return found

    def _keep(self, written: str, found: PatientKey) -> None:
        """Contained references mean something in their own resource only."""
        if not written.startswith("#"):
            if len(self._patients) >= 1 << 16:
                self._patients.clear()
            self._patients[written] = found

    def _find_patient(self, holder: Node, target: Node, path: str) -> PatientKey:
        number = self.number(target, path)
        if number is None:
            raise Unreadable(path, "no-patient", "The reference leads to no patient of this file.")
        system, value = number
        if system != SYSTEM:
            return PatientKey(system, value)
        if value.startswith("#"):
            return self._contained_patient(holder, value[1:], path)
        if value.startswith("Patient/"):
            return PatientKey(SYSTEM, value)
        if value.startswith("urn:"):
            raise Unreadable(path, "no-patient", "The reference leads to no patient of this file.")
        raise Unreadable(path, "no-patient", "The resource is about something other than a patient.")

    def _contained_patient(self, holder: Node, inner: str, path: str) -> PatientKey:
        node = contained(holder, inner)
        if node is None or node.get("resourceType") != "Patient":
            raise Unreadable(path, "no-patient", "The contained patient is not there.")
        for one in each(node.get("identifier"), path):
            number = identifier(one, path)
            if number is not None:
                return PatientKey(*number)
        raise Unreadable(path, "no-patient", "The contained patient has no number.")

    def number(self, target: Any, path: str) -> tuple[str, str] | None:
        """(system, number) of any reference: literal, conditional or logical."""
        if not target:
            return None
        written = words(target.get("reference"), path + ".reference")
        if written is None:
            return identifier(target.get("identifier") or {}, path)
        name = self.name(written)
        if "?" in name:
            return _condition(name, path)
        return SYSTEM, name

    def stay(self, target: Any, path: str) -> tuple[str, str] | None:
        """(system, number) of a stay; a movement of this file leads to the stay it is part of."""
        number = self.number(target, path)
        if number is None or (number[0] == SYSTEM and not number[1].startswith("Encounter/")):
            return None
        return self._movements.get(number[1], number)

    def movement(self, name: str, stay: tuple[str, str]) -> None:
        """Remember that the Encounter `name` is a movement of `stay`."""
        self._movements[name] = stay

    def use(self, reference: Any) -> None:
        """Remember that a resource of this file is read through another one."""
        if isinstance(reference, str) and self.node(reference) is not None:
            self._used.add(self.name(reference))

    def used(self, name: str) -> bool:
        """Whether the resource called `name` is read through another one."""
        return name in self._used

    def link(self, reference: Any, patient: PatientKey) -> None:
        """Remember that a patient of this file is the RelatedPerson that `reference` leads to."""
        if isinstance(reference, str) and self.name(reference).startswith("RelatedPerson/"):
            self._linked[self.name(reference)] = patient

    def linked(self, name: str) -> PatientKey | None:
        """The patient of this file who is the RelatedPerson called `name`."""
        return self._linked.get(name)

    def unit(self, target: Any, path: str) -> UnitKey | None:
        """The ward that a reference to an Organization or Location names."""
        number = self.number(target, path)
        if number is None:
            return None
        system, value = number
        label = words(target.get("display"), path + ".display") or ""
        if system == SYSTEM:
            node = self._nodes.get(value)
            return UnitKey(value, (node and words(node.get("name"), path)) or label)
        kind = "Location" if (target.get("reference") or "").startswith("Location") else "Organization"
        return UnitKey(f"{kind}/{value}", label)


def contained(holder: Node, inner: str) -> Node | None:
    """The resource that `holder` carries inside itself under the id `inner`."""
    for one in holder.get("contained") or ():
        if one.get("id") == inner:
            return dict(one)
    return None


def identifier(one: Node, path: str) -> tuple[str, str] | None:
    """(system, value) of an Identifier that has both."""
    system, value = words(one.get("system"), path + ".system"), words(one.get("value"), path + ".value")
    return (system, value.strip()) if system and value else None


def _condition(reference: str, path: str) -> tuple[str, str]:
    """Conditional reference: `Patient?identifier=system|value`."""
    from urllib.parse import unquote

    for part in reference.partition("?")[2].split("&"):
        name, _, told = part.partition("=")
        system, bar, value = unquote(told).partition("|")
        if name == "identifier" and bar and value:
            return system, value
    raise Unreadable(path, "malformed", "The conditional reference is not an identifier with its system.")


def key(node: Node) -> str:
    """The business id of a resource: `Type/id`, else its first identifier."""
    kind, number = node["resourceType"], words(node.get("id"), f"{node['resourceType']}.id")
    if number is not None:
        return f"{kind}/{number}"
    for one in each(node.get("identifier"), kind + ".identifier") if kind != "Bundle" else ():
        found = identifier(one, kind + ".identifier")
        if found is not None:
            return f"{kind}?identifier={found[0]}|{found[1]}"
    raise Unreadable(f"{kind}.id", "missing", "The resource has neither id nor identifier.")
