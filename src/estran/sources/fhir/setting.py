"""What every mapping of a resource needs beside the resource."""

from __future__ import annotations

from typing import NamedTuple

from estran.model.codes import DocumentStatus
from estran.sources.fhir.elements import Clock, Lexicon, Node, Unreadable
from estran.sources.fhir.references import Shelf
from estran.sources.records import PatientKey


class Setting(NamedTuple):
    """The site's clock, the codes met so far, and the file's own entries."""

    clock: Clock
    lexicon: Lexicon
    shelf: Shelf
    author_system: str

    def stay(self, node: Node, field: str = "encounter") -> tuple[str, str] | None:
        """(system, number) of the stay that a resource belongs to."""
        target = node.get(field)
        return self.shelf.stay(target, f"{node['resourceType']}.{field}") if target else None

    def patient(self, node: Node, field: str = "subject") -> PatientKey:
        return self.shelf.patient(node, field)


def written_at(told: object, version: object, clock: Clock) -> int | None:
    """When a version was written: its date of change, else its number as a count, else None."""
    if told is not None:
        return clock.micros(told, "meta.lastUpdated") or 0
    if type(version) is str and version.isascii() and version.isdigit() and len(version) < 18:
        return int(version)
    return None


WITHDRAWN = frozenset({"entered-in-error", "cancelled"})
_UNFINISHED = frozenset({"preliminary", "registered", "partial"})


def document_status(status: object) -> DocumentStatus:
    """Withdrawn resources hide themselves; unfinished ones say so."""
    if status in WITHDRAWN:
        return DocumentStatus.CANCELLED
    return DocumentStatus.PRELIMINARY if status in _UNFINISHED else DocumentStatus.CURRENT


def erroneous(status: object) -> DocumentStatus:
    """For resources whose `cancelled` is a fact about the patient: only errors are hidden."""
    return DocumentStatus.CANCELLED if status == "entered-in-error" else DocumentStatus.CURRENT


_RESTRICTED = frozenset({"R", "V"})


def confidential(node: Node) -> bool:
    """Whether a security label says restricted or very restricted."""
    meta = node.get("meta")
    labels = (meta.get("security") if meta else None) or ()
    return any(one.get("code") in _RESTRICTED for one in labels)


def spoken(node: Node) -> str | None:
    """The resource's language, without its region."""
    told = node.get("language")
    if told is None:
        return None
    if type(told) is not str:
        raise Unreadable(f"{node['resourceType']}.language", "malformed", "The element should be a string.")
    return told[:2].lower() or None
