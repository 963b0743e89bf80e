"""RelatedPerson: whose names are to be masked, and who is whose mother, child or twin."""

from __future__ import annotations

from estran.sources.fhir.elements import Node, codes_in, each
from estran.sources.fhir.people import hospital_numbers, names, telecoms
from estran.sources.fhir.setting import Setting
from estran.sources.fhir.statements import Kin
from estran.sources.records import PatientKey, Person

# HL7 v3 RoleCode; step- and adoptive parents are nobody's mother in the sense of a birth.
_KINDS = {
    **dict.fromkeys(("MTH", "NMTH", "GESTM"), "mother"),
    **dict.fromkeys(("NCHILD", "CHILD", "SON", "NSON", "DAU", "DAUC"), "child"),
    **dict.fromkeys(("TWIN", "TWINBRO", "TWINSIS", "FTWIN", "FTWINBRO", "FTWINSIS", "ITWIN", "ITWINBRO", "ITWINSIS"),
                    "twin"),
}  # fmt: skip


def related(node: Node, setting: Setting) -> Kin:
    """A relative or proxy of a patient.

    Who it is, is told by a hospital number of its own, or by a Patient of the same Bundle whose
    `link` leads here; without either it only lends its names to be masked.
    """
    patient = setting.shelf.patient(node, "patient")
    families, givens = names(each(node.get("name"), "RelatedPerson.name"), "RelatedPerson.name")
    full = " ".join([*givens, *families])
    phones, mails = telecoms(node, "RelatedPerson")
    person = Person(relatives=(full,) if full else (), phones=phones, mails=mails)
    told = sorted(codes_in(each(node.get("relationship"), "RelatedPerson.relationship")) & _KINDS.keys())
    other = _other(node, setting) if told else None
    if other is None or other == patient:
        return Kin(patient, person)
    return Kin(patient, person, other, _KINDS[told[0]])


def _other(node: Node, setting: Setting) -> PatientKey | None:
    linked = setting.shelf.linked(f"RelatedPerson/{node.get('id')}")
    if linked is not None:
        return linked
    return next(iter(hospital_numbers(node, setting.author_system)), None)
