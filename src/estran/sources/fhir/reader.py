"""The FHIR R4 reader: files in, batches out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from estran.settings import Settings
from estran.sources.fhir import care, claims, clinical, drugs, kin, measures, people, stays, writings
from estran.sources.fhir.bundles import GONE
from estran.sources.fhir.containers import SUFFIXES, Raw, decoded, head, rank, records
from estran.sources.fhir.desk import Desk
from estran.sources.fhir.elements import Clock, Lexicon, Node, Unreadable
from estran.sources.fhir.markup import resource_types
from estran.sources.fhir.references import Shelf, key
from estran.sources.fhir.setting import Setting, written_at
from estran.sources.fhir.statements import Nothing, Statement, withdrawn
from estran.sources.records import Batch
from estran.sources.searching import files_under

BATCH_RESOURCES = 20_000

Mapping = Callable[[Node, Setting], Any]  # a Statement or a list of them


def _binary(node: Node, setting: Setting) -> Statement:
    if setting.shelf.used(key(node)):
        return Nothing()
    raise Unreadable("Binary", "unknown-type", "A Binary is read through the document of the same file that shows it.")


_MAPPINGS: dict[str, Mapping] = {
    "Patient": people.patient,
    "Consent": people.consent,
    "Organization": stays.ward,
    "Location": stays.ward,
    "Encounter": stays.encounter,
    "EpisodeOfCare": stays.episode,
    "RelatedPerson": kin.related,
    "Claim": claims.claim,
    "ServiceRequest": care.order,
    "Specimen": care.specimen,
    "ImagingStudy": care.imaging,
    "Flag": care.flag,
    "CarePlan": care.plan,
    "QuestionnaireResponse": care.answers,
    "Observation": measures.observation,
    "Condition": clinical.condition,
    "Procedure": clinical.procedure,
    "AllergyIntolerance": clinical.allergy,
    "Immunization": clinical.immunization,
    "FamilyMemberHistory": clinical.family,
    "Device": clinical.device,
    "Medication": drugs.medication,
    "MedicationRequest": drugs.request,
    "MedicationAdministration": drugs.administration,
    "MedicationDispense": drugs.dispense,
    "MedicationStatement": drugs.statement,
    "DocumentReference": writings.reference,
    "DiagnosticReport": writings.report,
    "Composition": writings.composition,
    "Binary": _binary,
}
_BECAUSE = {
    **dict.fromkeys(("Practitioner", "PractitionerRole"), "the warehouse holds no record of its care staff"),
    **dict.fromkeys(("Coverage", "ClaimResponse", "ExplanationOfBenefit", "Account"), "it is about payment"),
    **dict.fromkeys(("CareTeam", "Goal"), "it plans care, and what was done comes in other resources"),
    **dict.fromkeys(("Provenance", "AuditEvent"), "it is about the source system, not the patient"),
    **dict.fromkeys(
        ("StructureDefinition", "StructureMap", "ConceptMap", "ValueSet", "CodeSystem", "ImplementationGuide",
         "CapabilityStatement", "SearchParameter", "OperationDefinition", "NamingSystem"),
        "it describes the format, not a patient",
    ),
    "OperationOutcome": "it reports how a request went",
    "MessageHeader": "it is the envelope of a message",
    "Bundle": "a Bundle stands in a file of its own, not inside a line or another Bundle",
}  # fmt: skip
_SHAPES = (TypeError, AttributeError, KeyError, ValueError, IndexError, RecursionError, OverflowError)


class FhirReader:
    """Reads FHIR R4, in the zone of `settings`; its author_system names patient numbers without system."""

    format = "fhir"

    def __init__(self, settings: Settings) -> None:
        self._clock, self._lexicon = Clock(settings.zone), Lexicon()
        self._author_system = settings.author_system
        self._batch_resources = min(BATCH_RESOURCES, settings.commit_records)

    def files(self, paths: list[Path]) -> list[Path]:
        """Files under `paths`: patients, Bundles, wards, drugs, stays, the rest; InputRefused when one is not there."""
        found = files_under(paths, lambda path: path.name.lower().endswith(SUFFIXES))
        return sorted(found, key=lambda p: rank(head(p)))

    def size(self, path: Path) -> int:
        """Bytes of the file as it lies there, compressed or not."""
        return path.stat().st_size

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        """Batches of one resource type each, of at most `BATCH_RESOURCES`.

        Raises InputRefused when the file can be opened neither as JSON, NDJSON, XML nor ZIP.
        """
        desks: dict[str, Desk] = {}
        desk, setting, most = None, self._setting(Shelf()), self._batch_resources
        for raw in records(path, name):
            if wanted is not None and raw[0] not in wanted:
                continue
            if raw[5] is not setting.shelf:
                setting = self._setting(raw[5])
            node, fault = raw[2], raw[4]
            if node is not None:
                desk = _desk(desks, node.get("resourceType"))
            # Lines of a type come together: the last one tells whether to try the fast lane.
            if desk is None or desk.part != "Observation" or not desk.express(raw, setting):
                if node is None:
                    node, fault = decoded(raw[6])
                    desk = _desk(desks, node.get("resourceType"))
                assert desk is not None  # noqa: S101 - either way the resource has found its desk
                _take(desk, raw, node, fault, setting)
            if len(desk.rows) >= most:
                yield desk.take()
        for desk in desks.values():
            if desk.rows:
                yield desk.take()

    def _setting(self, shelf: Shelf) -> Setting:
        return Setting(self._clock, self._lexicon, shelf, self._author_system)


def _desk(desks: dict[str, Desk], kind: object) -> Desk:
    """The desk of a resource type; one for all that are none."""
    desk = desks.get(kind) if type(kind) is str else None
    if desk is None:
        part = kind if type(kind) is str and kind in resource_types() else ""
        desk = desks.get(part)
        if desk is None:
            desk = desks[part] = Desk(part)
    return desk


def _take(desk: Desk, raw: Raw, node: Node, fault: Unreadable | None, setting: Setting) -> None:
    """Write one record and what it states, or why it is refused."""
    no, line, content = raw[0], raw[1], raw[3]
    if fault is None:
        try:
            row = desk.record(no, line, _event_time(node, raw[7], setting.clock), content)
        except (*_SHAPES, Unreadable):
            row = desk.record(no, line, 0, content)
            fault = Unreadable(desk.part + ".meta", "malformed", "The resource's date of change or version is not one.")
        else:
            fault = _map(desk, row, node, setting)
    else:
        row = desk.record(no, line, 0, content)
    if fault is not None:
        desk.refuse(row, fault.field, fault.code, fault.reason)


def _map(desk: Desk, row: int, node: Node, setting: Setting) -> Unreadable | None:
    """Write what a resource states once all of it is read; what is wrong with it otherwise."""
    try:
        mapping = _MAPPINGS.get(desk.part)
        if mapping is None:
            raise _unknown(node, desk.part)
        statements = mapping(node, setting)
        if GONE in node:
            statements = withdrawn(statements)
    except Unreadable as error:
        return error
    except _SHAPES:
        return Unreadable(desk.part, "malformed", "An element of the resource is not of the type that FHIR gives it.")
    for one in statements if type(statements) is list else [statements]:
        desk.write(row, one)
    return None


def _event_time(node: Node, modified: object, clock: Clock) -> int:
    """When this version was written: meta.lastUpdated, else meta.versionId as a number, else 0.

    A document that replaces another comes at least one microsecond after an undated one.
    """
    if GONE in node:  # after the version that it takes back
        return (0 if modified is None else clock.micros(modified, "response.lastModified") or 0) + 1
    meta = node.get("meta") or {}
    told = meta.get("lastUpdated")
    found = written_at(modified if told is None else told, meta.get("versionId"), clock)
    if found is not None:
        return found
    return 1 if "relatesTo" in node and writings.replaces(node) else 0


def _unknown(node: Node, part: str) -> Unreadable:
    if part:
        because = _BECAUSE.get(part, "no table of the warehouse takes it")
        return Unreadable("resourceType", "unknown-type", f"Resource type {part} is not read yet: {because}.")
    if "exportId" in node and "eventId" in node:
        return Unreadable("resourceType", "unknown-type", "A Bulk Data log line, not a resource.")
    if "resourceType" not in node:
        return Unreadable("resourceType", "missing", "The record does not say which resource it is.")
    return Unreadable("resourceType", "unknown-type", "The resource type is not one of FHIR R4.")
