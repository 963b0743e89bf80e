"""What one resource states, checked and complete, before any of it enters a batch.

A resource is first read whole into these tuples; only then are they written. A resource that turns
out to be unreadable half way through therefore leaves nothing behind.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from estran.model.codes import DocumentStatus, FactStatus
from estran.model.moments import Moment
from estran.sources.fhir.elements import Unreadable
from estran.sources.records import Code, PatientKey, Person, UnitKey

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Attribute(NamedTuple):
    """What few facts have: a route, a site, a frequency."""

    name: Code
    value: float | None = None
    code: Code | None = None
    text: str | None = None


class Fact(NamedTuple):
    """A coded fact; `rare` holds the less used columns of FACTS, `value_code` still a Code."""

    code: Code
    start: Moment | None
    value: float | None = None
    unit: str | None = None
    status: FactStatus = FactStatus.FINAL
    end: Moment | None = None
    rare: Mapping[str, Any] = NOTHING
    attributes: tuple[Attribute, ...] = ()
    child: bool = False  # hangs off the first fact of its document


class Document(NamedTuple):
    """A document with its facts; `stay` is (system, number)."""

    key: str
    patient: PatientKey
    stay: tuple[str, str] | None
    kind: str
    title: str | None
    start: Moment | None
    facts: tuple[Fact, ...] = ()
    text: str | None = None
    status: DocumentStatus = DocumentStatus.CURRENT
    known_at: int | None = None
    confidential: bool | None = None
    lang: str | None = None
    media: tuple[dict[str, Any], ...] = ()


class Stay(NamedTuple):
    """A statement about a stay; `parent` is its number."""

    patient: PatientKey
    number: tuple[str, str]
    parent: tuple[str, str] | None
    unit: UnitKey | None
    columns: dict[str, Any]


class Movement(NamedTuple):
    """A movement of the stay numbered `stay`."""

    patient: PatientKey
    key: str
    stay: tuple[str, str]
    unit: UnitKey | None
    columns: dict[str, Any]


class Identity(NamedTuple):
    """A person, the numbers they have and the records they were merged with."""

    patient: PatientKey
    aliases: tuple[PatientKey, ...]
    person: Person
    ins: str | None
    merges: tuple[tuple[PatientKey, PatientKey], ...]  # (kept, gone)


class Permit(NamedTuple):
    """A consent or an opposition."""

    patient: PatientKey
    scope: str
    kind: str
    from_date: dt.date
    to_date: dt.date | None
    proof: str


class Kin(NamedTuple):
    """A relative of a patient: the traits to mask in the patient's texts, and who it is when that is known."""

    patient: PatientKey
    person: Person
    other: PatientKey | None = None
    kind: str = ""  # mother, child, twin
    rank: int | None = None


class Units(NamedTuple):
    """Wards that a record introduces."""

    units: tuple[UnitKey, ...]


class Drug(NamedTuple):
    """A Medication resource: the codes that stand behind the local code `name`."""

    name: Code


class Nothing(NamedTuple):
    """A record that was used through another one."""


Statement = Document | Stay | Movement | Identity | Permit | Kin | Units | Drug | Nothing


_LASTING = Unreadable(
    "Bundle.entry.request", "unknown-type", "The entry deletes a resource that is not taken back by itself."
)


def withdrawn(statements: Statement | list[Statement]) -> list[Statement]:
    """What the deletion of a resource says: its documents, stays and movements are cancelled.

    Raises Unreadable for what a deletion does not undo: persons, wards, drugs, consents.
    """
    found: list[Statement] = []
    for one in statements if isinstance(statements, list) else [statements]:
        if isinstance(one, Document):
            found.append(one._replace(status=DocumentStatus.CANCELLED, facts=(), text=None, media=()))
        elif isinstance(one, Stay | Movement):
            found.append(one._replace(columns={**one.columns, "status": "cancelled"}))
    if not found or (isinstance(statements, list) and any(isinstance(one, Identity) for one in statements)):
        raise _LASTING
    return found
