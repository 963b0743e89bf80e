"""recordTarget: who the patient is, and by which numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

from estran.model.codes import Precision, Sex
from estran.model.moments import EPOCH
from estran.sources.cda.elements import Element, Refused, every, find, identifier, moment, said, words
from estran.sources.records import PatientKey, Person

# The OIDs of the INS (NIR or NIA; production, test and demonstration).
_INS_OIDS = frozenset(f"1.2.250.1.213.1.4.{n}" for n in (2, 8, 9, 10, 11))
_INS_C = "1.2.250.1.213.1.4.2"  # computed, never an identity to go by
_PROFESSIONALS = frozenset(("1.2.250.1.71.4.2.1", "1.2.250.1.71.4.2.2"))
_SEXES = {"F": Sex.FEMALE, "M": Sex.MALE, "U": Sex.UNKNOWN, "UN": Sex.OTHER}
_BIRTH_NAME = {"BR": 0, "SP": 2, "CL": 2}
_STREET = ("houseNumber", "streetNameType", "streetName", "streetAddressLine", "additionalLocator", "unitID", "postBox")


class Identity(NamedTuple):
    """The number that names the patient, further ones, the INS, and the traits."""

    key: PatientKey
    aliases: tuple[PatientKey, ...]
    ins: str | None
    person: Person


def read_identity(root: Element, zone: str, author_system: str) -> Identity:
    """Raises Refused when the document names no patient."""
    role = find(root, "recordTarget/patientRole")
    numbers = [found for one in every(role, "id") if (found := identifier(one))]
    stated = [value for system, value in numbers if system in _INS_OIDS and system != _INS_C]
    own = [
        PatientKey(system or author_system, value) for system, value in numbers
        if system not in _INS_OIDS and system not in _PROFESSIONALS
    ]  # fmt: skip
    if role is None or not (own or stated):
        raise Refused("recordTarget/patientRole/id", "no-patient", "The document holds no number of the patient.")
    keys = list(dict.fromkeys(own)) or [PatientKey("INS", stated[0])]
    others = [value for system, value in numbers if system == _INS_C] + stated[1:]
    ins = stated[0].replace(" ", "") if stated else None
    return Identity(keys[0], tuple(keys[1:]), ins, _person(root, role, zone, tuple(others)))


def _person(root: Element, role: Element, zone: str, others: tuple[str, ...]) -> Person:
    patient = find(role, "patient")
    families, givens = _names(every(patient, "name"))
    birth = moment(find(patient, "birthTime"), zone, "recordTarget/patientRole/patient/birthTime")
    phones, mails = _telecoms(every(role, "telecom"))
    homes = [a for a in every(role, "addr") if not said(a, "nullFlavor")]
    home = homes[0] if homes else None
    place = find(patient, "birthplace/place/addr")
    return Person(
        family_names=families, given_names=givens,
        birth_date=EPOCH + dt.timedelta(days=birth.date) if birth else None,
        birth_precision=min(birth.precision, Precision.DAY) if birth else Precision.DAY,
        sex=_SEXES.get(said(find(patient, "administrativeGenderCode"), "code").upper()),
        addresses=tuple(filter(None, map(_street, homes))), postcode=words(find(home, "postalCode")) or None,
        city=words(find(home, "city")) or None, phones=phones, mails=mails, relatives=_relatives(root, patient),
        birth_place=words(find(place, "city")) or words(find(place, "county")) or None, other_numbers=others,
    )  # fmt: skip


def _names(names: Iterable[Element]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Family names, that of birth first, and given names, each once."""
    families: list[tuple[int, str]] = []
    givens: dict[str, None] = {}
    for name in names:
        families += [(_BIRTH_NAME.get(said(f, "qualifier"), 1), words(f)) for f in every(name, "family")]
        givens |= dict.fromkeys(words(g) for g in every(name, "given"))
        if not len(name) and words(name):
            families.append((1, words(name)))
    families.sort(key=lambda one: one[0])
    return tuple(dict.fromkeys(f for _, f in families if f)), tuple(g for g in givens if g)


def _street(address: Element) -> str:
    parts = (words(e) for name in _STREET for e in every(address, name))
    return " ".join(filter(None, parts)) or ("" if len(address) else words(address))


def _telecoms(telecoms: Iterable[Element]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    phones: dict[str, None] = {}
    mails: dict[str, None] = {}
    for one in telecoms:
        value = said(one, "value")
        text = value.partition(":")[2] or value
        if text:
            (mails if "@" in text else phones)[text] = None
    return tuple(phones), tuple(mails)


def _relatives(root: Element, patient: Element | None) -> tuple[str, ...]:
    """Names of guardians, of those to call and of those trusted."""
    people = every(patient, "guardian/guardianPerson/name") + every(root, "informant/relatedEntity/relatedPerson/name")
    people += every(root, "participant/associatedEntity/associatedPerson/name")
    kin = [name for name in people if _is_kin(name)]
    found = (" ".join(words(p) for tag in ("given", "family") for p in every(name, tag)) for name in kin)
    return tuple(dict.fromkeys(name for name in found if name))


def _is_kin(name: Element) -> bool:
    """Associated persons are professionals, unless their class says otherwise."""
    person = name.getparent()
    entity = person.getparent() if person is not None else None
    return entity is None or said(entity, "classCode") != "PROV"
