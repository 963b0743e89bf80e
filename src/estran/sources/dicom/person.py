"""The patient and the stay of a DICOM header (PS3.3 C.2.2, C.2.3, C.3.2)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from pydicom.dataset import Dataset

from estran.model.codes import Precision, Sex
from estran.sources.dicom.elements import items, raw, word, words
from estran.sources.records import PatientKey, Person

# The OIDs of the INS, as in the HL7 v2 reader.
_INS_OIDS = frozenset(f"1.2.250.1.213.1.4.{n}" for n in (8, 9, 10, 11))
_SEXES = {"M": Sex.MALE, "F": Sex.FEMALE, "O": Sex.OTHER}


@dataclass(frozen=True)
class Patient:
    """Who the header is about: numbers as (issuer, value), traits, stay."""

    key: PatientKey
    aliases: tuple[PatientKey, ...]
    ins: str | None
    person: Person
    introduces: bool
    stay: tuple[str, str] | None


def read_patient(header: Dataset, default_system: str) -> Patient | None:
    """None when the header holds no patient number.

    `default_system` names numbers without an issuer (setting `author_system`).
    """
    value, issuer, oid = _number(header)
    others = [_number(item) for item in items(header, "OtherPatientIDsSequence")]
    stated = [v for v, system, root in ((value, issuer, oid), *others) if v and _is_ins(system, root)]
    own = PatientKey(issuer or oid or default_system, value) if value and not _is_ins(issuer, oid) else None
    aliases = tuple(
        PatientKey(system or root, v) for v, system, root in others if v and (system or root) and not _is_ins(system, root)
    )
    key = own or (aliases[0] if aliases else PatientKey("INS", stated[0]) if stated else None)
    if key is None:
        return None
    person = _person(header, tuple(v for v, system, root in others if v and not (system or root)))
    ins = stated[0] if stated else None
    introduces = ins is not None or person != Person(other_numbers=person.other_numbers)
    return Patient(key, tuple(a for a in aliases if a != key), ins, person, introduces, _stay(header, key.system))


def _number(dataset: Dataset) -> tuple[str, str, str]:
    """Value, issuer's name, issuer's OID of a Patient ID."""
    qualifiers = next(items(dataset, "IssuerOfPatientIDQualifiersSequence"), Dataset())
    return word(dataset, "PatientID"), word(dataset, "IssuerOfPatientID"), word(qualifiers, "UniversalEntityID")


def _is_ins(issuer: str, oid: str) -> bool:
    return oid in _INS_OIDS or issuer in _INS_OIDS or issuer.upper() in ("INS", "INS-NIR", "INS-NIA", "ASIP-SANTE-INS-NIR")


def _stay(header: Dataset, system: str) -> tuple[str, str] | None:
    admission = word(header, "AdmissionID")
    if not admission:
        return None
    issuer = next(items(header, "IssuerOfAdmissionIDSequence"), Dataset())
    stated = word(issuer, "LocalNamespaceEntityID") or word(issuer, "UniversalEntityID")
    return stated or word(header, "IssuerOfAdmissionID") or system, admission


def _person(header: Dataset, others: tuple[str, ...]) -> Person:
    birth_families, _ = _names(header, "PatientBirthName")
    families, given = _names(header, "PatientName")
    other_families, other_given = _names(header, "OtherPatientNames")
    mothers, _ = _names(header, "PatientMotherBirthName")
    sex = _SEXES.get(word(header, "PatientSex").upper())
    address = word(header, "PatientAddress")
    return Person(
        family_names=tuple(dict.fromkeys((*birth_families, *families, *other_families))),
        given_names=tuple(dict.fromkeys((*given, *other_given))),
        birth_date=_date(word(header, "PatientBirthDate")), birth_precision=Precision.DAY,
        sex=sex.value if sex else None, addresses=(address,) if address else (),
        phones=words(header, "PatientTelephoneNumbers"), relatives=mothers, other_numbers=others,
    )  # fmt: skip


def _names(header: Dataset, keyword: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Family and given names of a PN, in its alphabetic representation."""
    value = raw(header, keyword)
    several = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
    families: dict[str, None] = {}
    given: dict[str, None] = {}
    for name in several:
        if name is None:
            continue
        parts = [*str(name).partition("=")[0].split("^"), "", "", ""]
        families[parts[0].strip()] = None
        given[parts[1].strip()] = None
        given[parts[2].strip()] = None
    return tuple(filter(None, families)), tuple(filter(None, given))


def _date(text: str) -> dt.date | None:
    digits = text.replace(".", "").replace("-", "")
    try:
        return dt.date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) if len(digits) == 8 else None
    except ValueError:
        return None
