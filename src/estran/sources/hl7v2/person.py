"""PID and NK1: who the patient is, and by which numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

from estran.model.codes import Precision, Sex
from estran.model.moments import EPOCH, Moment
from estran.sources.hl7v2.clock import Clock
from estran.sources.hl7v2.message import Segment, first, get, part, parts, plain
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
    numbers = list(_numbers(get(pid, 3), default_system))
    own = hospital_numbers(numbers)
    stated = [n.value for n in numbers if n.is_ins]
    trusted = stated[:1] if not _doubtful(pid) else []
    if not own and not stated:
        raise Refused("PID-3", "no-patient", "The message holds no number of the patient (PID-3).")
    for number in (*_numbers(get(pid, 2), ""), *_numbers(get(pid, 4), "")):
        if number.system and number.kind in ("PI", "MR", "PT"):
            own.append(PatientKey(number.system, number.value))
    keys = list(dict.fromkeys(own)) or [PatientKey("INS", stated[0])]
    known = {k.value for k in keys} | set(trusted)
    others = [n.value for n in numbers if n.value not in known] + list(_other_numbers(pid, relatives))
    person = _person(pid, relatives, clock, tuple(dict.fromkeys(o for o in others if o not in known)))
    introduces = person != Person(other_numbers=person.other_numbers) or bool(trusted)
    return Identity(keys[0], tuple(keys[1:]), trusted[0] if trusted else None, person, introduces)


def merged_numbers(mrg: Segment, default_system: str) -> list[PatientKey]:
    """The numbers that MRG-1 gives up."""
    numbers = list(_numbers(get(mrg, 1), default_system))
    return list(dict.fromkeys(hospital_numbers(numbers))) or [PatientKey("INS", n.value) for n in numbers if n.is_ins]


def hospital_numbers(numbers: Iterable[_Number]) -> list[PatientKey]:
    """The hospital's own numbers, the one to go by first."""
    own = [n for n in numbers if not n.is_ins and n.kind not in _FOREIGN_TYPES]
    own.sort(key=lambda n: _HOSPITAL_TYPES.get(n.kind, _OTHER_HOSPITAL_TYPE))
    return [PatientKey(n.system, n.value) for n in own]


def _numbers(field: str, default_system: str) -> Iterable[_Number]:
    """The numbers of a repeated CX field."""
    for repetition in field.split("~") if field else ():
        cx = parts(repetition)
        value = part(cx, 1)
        if not value:
            continue
        authority = [plain(a).strip() for a in (cx[3].split("&") if len(cx) > 3 else [""])]
        oid = authority[1] if len(authority) > 1 else ""
        kind = part(cx, 5).upper()
        is_ins = oid in _INS_OIDS or authority[0] in _INS_OIDS or kind in _INS_TYPES
        yield _Number(value, authority[0] or oid or default_system, kind, is_ins)


def _doubtful(pid: Segment) -> bool:
    """Whether PID-32 forbids to trust the INS."""
    return any(first(code).upper() in _DOUBTFUL for code in get(pid, 32).split("~"))


def _other_numbers(pid: Segment, relatives: list[Segment]) -> Iterable[str]:
    for number in (2, 4, 18, 19, 20, 21):
        for repetition in get(pid, number).split("~"):
            value = first(repetition)
            if value:
                yield value
    for relative in relatives:
        for number in (5, 6, 33):
            phones, mails = _telecoms(get(relative, number))
            yield from (*phones, *mails)


def _person(pid: Segment, relatives: list[Segment], clock: Clock, others: tuple[str, ...]) -> Person:
    families, given = _names(get(pid, 5), get(pid, 9))
    birth, precision = _birth(get(pid, 7), clock)
    addresses = [parts(a) for a in get(pid, 11).split("~")]
    homes = [a for a in addresses if part(a, 7) != "BDL"]
    home = next((a for a in homes if part(a, 5) or part(a, 3)), homes[0] if homes else [])
    death = clock.moment(first(get(pid, 29)), "PID-29")
    phones, mails = _telecoms("~".join(get(pid, n) for n in (13, 14, 40)))
    return Person(
        family_names=families, given_names=given, birth_date=birth, birth_precision=precision,
        sex=_sex(get(pid, 8)), addresses=tuple(filter(None, map(_lines, homes))), postcode=part(home, 5) or None,
        city=part(home, 3) or None, commune=part(home, 9) or None, phones=phones, mails=mails,
        relatives=_relatives(pid, relatives), birth_place=_birth_place(addresses, get(pid, 23)),
        death_date=_date(death), deceased=_deceased(get(pid, 30)), other_numbers=others,
    )  # fmt: skip


def _names(field: str, aliases: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Family names, birth name first, and given names."""
    found = []
    for place, repetition in enumerate((*field.split("~"), *aliases.split("~"))):
        name = parts(repetition)
        found.append((_BIRTH_NAMES.get(part(name, 7).upper(), 5), place, name))
    found.sort(key=lambda item: item[:2])
    families = dict.fromkeys(part(name, 1) for _, _, name in found)
    given = dict.fromkeys(part(name, n) for _, _, name in found for n in (2, 3))
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
    return _SEXES.get(text, Sex.UNKNOWN).value if text else None


def _deceased(field: str) -> bool | None:
    return {"Y": True, "O": True, "N": False}.get(first(field).upper())


def _lines(address: list[str]) -> str:
    return ", ".join(filter(None, (part(address, n) for n in (1, 2, 8))))


def _birth_place(addresses: list[list[str]], field: str) -> str | None:
    for address in addresses:
        if part(address, 7) == "BDL":
            return part(address, 3) or part(address, 9) or None
    return first(field) or None


def _telecoms(field: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Phones and mail addresses of a repeated XTN field."""
    phones: dict[str, None] = {}
    mails: dict[str, None] = {}
    for repetition in field.split("~") if field else ():
        xtn = parts(repetition)
        number = part(xtn, 1) or part(xtn, 12) or "".join(part(xtn, n) for n in (5, 6, 7))
        for text in (number, part(xtn, 4)):
            if text:
                (mails if "@" in text else phones)[text] = None
    return tuple(phones), tuple(mails)


def _relatives(pid: Segment, relatives: list[Segment]) -> tuple[str, ...]:
    """Names of the mother (PID-6) and of the contacts (NK1-2)."""
    names: dict[str, None] = {}
    for field in (get(pid, 6), *(get(r, 2) for r in relatives)):
        for repetition in field.split("~"):
            name = parts(repetition)
            names[" ".join(filter(None, (part(name, n) for n in (2, 1))))] = None
    return tuple(filter(None, names))
