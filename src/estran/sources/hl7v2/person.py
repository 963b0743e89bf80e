"""PID and NK1: who the patient is, and by which numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from estran.model.codes import Precision, Sex
from estran.model.moments import EPOCH, Moment
from estran.sources.hl7v2.clock import Clock
from estran.sources.hl7v2.message import Segment, first, get, plain, texts
from estran.sources.hl7v2.refused import Refused
from estran.sources.records import PatientKey, Person

# The four OIDs of the INS (NIR or NIA; production, test and demonstration).
_INS_OIDS = frozenset(f"1.2.250.1.213.1.4.{n}" for n in (8, 9, 10, 11))
_INS_TYPES = frozenset(("INS", "INS-C", "INS-NIR", "INS-NIA"))
# What a hospital calls its own number, best first; a type that nobody else uses comes last.
_HOSPITAL_TYPES = {"PI": 0, "MR": 1, "PT": 2, "MRT": 3, "": 4}
_OTHER_HOSPITAL_TYPE = 5
# Types of HL7 table 0203 that number something else than a patient of this hospital.
_FOREIGN_TYPES = frozenset(
    (
        "SS", "PPN", "DL", "DN", "AN", "ANC", "AND", "ANT", "VN", "VS", "MA", "MC", "MCN", "MCD", "MCR", "MCT",
        "MI", "NI", "NII", "NIIP", "NNFRA", "NH", "NS", "BA", "BC", "BR", "BRN", "CC", "CY", "CZ", "DDS", "DEA",
        "DFN", "DI", "DO", "DP", "DPM", "DR", "EI", "EN", "ESN", "FI", "GI", "GL", "GN", "HC", "JHN", "LN",
        "LR", "MB", "MD", "MS", "ND", "NP", "NPI", "OD", "PA", "PC", "PN", "PPIN", "PRC", "PRN", "QA", "RI",
        "RN", "RPH", "RR", "RRI", "SL", "SN", "SP", "SR", "TAX", "TN", "TPR", "UPIN", "WC", "WCN", "WP", "XX",
    )
)
_BIRTH_NAMES = {"B": 0, "M": 1, "L": 2, "": 3, "D": 4}
_SEXES = {
    "F": Sex.FEMALE, "FEMALE": Sex.FEMALE, "W": Sex.FEMALE, "M": Sex.MALE, "MALE": Sex.MALE, "H": Sex.MALE,
    "O": Sex.OTHER, "OTHER": Sex.OTHER, "A": Sex.OTHER, "AMBIGUOUS": Sex.OTHER,
}  # fmt: skip
_PID_FIELDS = 41
_NOWHERE = [""] * 9
_DOUBTFUL = frozenset(("DOUT", "FICT", "DOUTEUX", "FICTIF", "PROV", "VIDE"))


class Identity(NamedTuple):
    """What a PID says: the number that names the patient, and everything else."""

    key: PatientKey
    aliases: tuple[PatientKey, ...]
    ins: str | None
    person: Person
    introduces: bool


class _Number(NamedTuple):
    value: str
    system: str
    kind: str
    is_ins: bool


def read_identity(pid: Segment, relatives: list[Segment], clock: Clock, default_system: str) -> Identity:
    """Raises Refused when the PID holds no number of the hospital."""
    if len(pid) < _PID_FIELDS:
        pid = pid + [""] * (_PID_FIELDS - len(pid))
    numbers = _numbers(pid[3], default_system)
    own = hospital_numbers(numbers)
    stated = [n.value for n in numbers if n.is_ins]
    trusted = stated[0] if stated and not (pid[32] and _doubtful(pid[32])) else None
    if not own and not stated:
        raise Refused("PID-3", "no-patient", "The message holds no number of the patient (PID-3).")
    if pid[2] or pid[4]:
        alternates = (*_numbers(pid[2], ""), *_numbers(pid[4], ""))
        own += [PatientKey(n.system, n.value) for n in alternates if n.system and n.kind in ("PI", "MR", "PT")]
    keys = list(dict.fromkeys(own)) or [PatientKey("INS", stated[0])]
    known = {"", trusted, *(k.value for k in keys)}
    others = dict.fromkeys((*(n.value for n in numbers), *_other_numbers(pid, relatives)))
    person = _person(pid, relatives, clock, tuple(o for o in others if o not in known))
    if pid[32]:
        person = replace(person, provisional=_doubtful(pid[32]))
    introduces = trusted is not None or _has_traits(person)
    return Identity(keys[0], tuple(keys[1:]), trusted, person, introduces)


def _has_traits(person: Person) -> bool:
    return any(
        value for name, value in vars(person).items() if name not in ("birth_precision", "other_numbers", "deceased", "provisional")
    ) or person.deceased is not None  # fmt: skip


def merged_numbers(mrg: Segment, default_system: str) -> list[PatientKey]:
    """The numbers that MRG-1 gives up."""
    numbers = _numbers(get(mrg, 1), default_system)
    return list(dict.fromkeys(hospital_numbers(numbers))) or [PatientKey("INS", n.value) for n in numbers if n.is_ins]


def hospital_numbers(numbers: Iterable[_Number]) -> list[PatientKey]:
    """The hospital's own numbers, the one to go by first."""
    own = [n for n in numbers if not n.is_ins and n.kind not in _FOREIGN_TYPES]
    own.sort(key=lambda n: _HOSPITAL_TYPES.get(n.kind, _OTHER_HOSPITAL_TYPE))
    return [PatientKey(n.system, n.value) for n in own]


def _numbers(field: str, default_system: str) -> list[_Number]:
    """The numbers of a repeated CX field."""
    found = []
    for repetition in field.split("~") if field else ():
        cx = texts(repetition, 5)
        if not cx[0]:
            continue
        oid = ""
        if "&" in repetition:
            authority = repetition.split("^")[3:4]
            oid = plain((*authority[0].split("&"), "")[1]).strip() if authority else ""
        kind = cx[4].upper()
        is_ins = kind in _INS_TYPES or oid in _INS_OIDS or cx[3] in _INS_OIDS
        found.append(_Number(cx[0], cx[3] or oid or default_system, kind, is_ins))
    return found


def _doubtful(reliability: str) -> bool:
    """Whether PID-32 forbids to trust the INS."""
    return any(first(code).upper() in _DOUBTFUL for code in reliability.split("~"))


def _other_numbers(pid: Segment, relatives: list[Segment]) -> Iterable[str]:
    for number in (2, 4, 18, 19, 20, 21):
        if pid[number]:
            yield from map(first, pid[number].split("~"))
    for relative in relatives:
        for number in (5, 6, 33):
            phones, mails = _telecoms(get(relative, number))
            yield from (*phones, *mails)


def _person(pid: Segment, relatives: list[Segment], clock: Clock, others: tuple[str, ...]) -> Person:
    families, given = _names(f"{pid[5]}~{pid[9]}" if pid[9] else pid[5])
    birth, precision = _birth(pid[7], clock) if pid[7] else (None, Precision.DAY)
    addresses = [texts(a, 9) for a in pid[11].split("~")]
    homes = [a for a in addresses if a[6] != "BDL"]
    home = next((a for a in homes if a[4] or a[2]), homes[0] if homes else _NOWHERE)
    phones, mails = _telecoms("~".join(pid[n] for n in (13, 14, 40) if pid[n]))
    return Person(
        family_names=families, given_names=given, birth_date=birth, birth_precision=precision,
        sex=_sex(pid[8]), addresses=tuple(filter(None, [", ".join(filter(None, (a[0], a[1], a[7]))) for a in homes])),
        postcode=home[4] or None, city=home[2] or None, commune=home[8] or None, phones=phones, mails=mails,
        relatives=_relatives(pid[6], relatives) if pid[6] or relatives else (),
        birth_place=_birth_place(addresses, pid[23]), other_numbers=others,
        death_date=_date(clock.moment(first(pid[29]), "PID-29")) if pid[29] else None, deceased=_deceased(pid[30]),
    )  # fmt: skip


def _names(field: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Family names, birth name first, and given names, of a repeated XPN field."""
    found = [texts(repetition, 7) for repetition in field.split("~")]
    if len(found) > 1:
        found.sort(key=lambda name: _BIRTH_NAMES.get(name[6].upper(), 5))
    families = dict.fromkeys([name[0] for name in found])
    given = dict.fromkeys([name[place] for name in found for place in (1, 2)])
    return tuple(filter(None, families)), tuple(filter(None, given))


def _birth(field: str, clock: Clock) -> tuple[dt.date | None, Precision]:
    """Birth date; an impossible day (00, 31 February) keeps the month or the year that holds."""
    text = first(field)
    for size in (14, 6, 4) if text else ():
        try:
            moment = clock.moment(text[:size] if size < 14 else text, "PID-7")
        except Refused:
            continue
        if moment is not None:
            return _date(moment), min(moment.precision, Precision.DAY)
    return None, Precision.DAY


def _date(moment: Moment | None) -> dt.date | None:
    return EPOCH + dt.timedelta(days=moment.date) if moment else None


def _sex(field: str) -> str | None:
    text = first(field).upper()
    return _SEXES.get(text, Sex.UNKNOWN).value if text and text != '""' else None


def _deceased(field: str) -> bool | None:
    return {"Y": True, "O": True, "N": False}.get(first(field).upper())


def _birth_place(addresses: list[list[str]], field: str) -> str | None:
    for address in addresses:
        if address[6] == "BDL":
            return address[2] or address[8] or None
    return first(field) or None


def _telecoms(field: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Phones and mail addresses of a repeated XTN field."""
    if not field:
        return (), ()
    phones: dict[str, None] = {}
    mails: dict[str, None] = {}
    for repetition in field.split("~"):
        xtn = texts(repetition, 12)
        number = xtn[0] or xtn[11] or "".join(xtn[4:7])
        for text in (number, xtn[3]):
            if text:
                (mails if "@" in text else phones)[text] = None
    return tuple(phones), tuple(mails)


def _relatives(mother: str, relatives: list[Segment]) -> tuple[str, ...]:
    """Names of the mother (PID-6) and of the contacts (NK1-2)."""
    names: dict[str, None] = {}
    for field in (mother, *(get(r, 2) for r in relatives)):
        for repetition in field.split("~"):
            name = texts(repetition, 2)
            names[" ".join(filter(None, (name[1], name[0])))] = None
    return tuple(filter(None, names))
