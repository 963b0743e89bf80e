"""HL7 v2 as PAM-FR and French laboratories write it: segments shared by messages."""

from __future__ import annotations

from functools import lru_cache

from estran.region.calendar import hl7, hl7_day
from estran.region.identities import Identity, Traits
from estran.region.library import Hospital, wards

_CHARSETS = {"UNICODE UTF-8": "utf-8", "8859/1": "cp1252"}
_ESCAPES = (("\\", "\\E\\"), ("|", "\\F\\"), ("^", "\\S\\"), ("&", "\\T\\"), ("~", "\\R\\"), ("\n", "\\.br\\"))
INS_AUTHORITY = "ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.10&ISO"  # the test authority: nobody bears these numbers


def escape(text: str) -> str:
    """Text as data of a field."""
    for character, escaped in _ESCAPES:  # faster than str.translate on texts of this length
        if character in text:
            text = text.replace(character, escaped)
    return text


def encode(hospital: Hospital, message: str) -> bytes:
    """Bytes in the character set that MSH-18 declares."""
    return message.encode(_CHARSETS[hospital.charset], "replace")


def header(hospital: Hospital, application: str, kind: str, sent: int, control: str) -> str:
    facility = _facility(hospital)
    return (
        f"MSH|^~\\&|{application}|{facility}|ESTRAN|{facility}|{hl7(sent)}||{kind}|{control}|P|2.5^FRA^2.11|||||FRA|"
        f"{hospital.charset}|FR\r"
    )


@lru_cache(maxsize=16)
def _facility(hospital: Hospital) -> str:
    return f"FINESS-{hospital.finess}"


def person(identity: Identity, nda: str, traits: Traits | None = None, alias: tuple[str, str] | None = None) -> str:
    """PID with names, birth, address and the numbers; `alias` is a further number (system, value)."""
    who, home, authority = traits or identity.traits, identity.person, identity.hospital.hd
    numbers = f"{identity.ipp}^^^{authority}^PI"
    if alias:
        numbers += f"~{alias[1]}^^^{alias[0]}^PT"
    if who.ins:
        numbers += f"~{who.ins}^^^{INS_AUTHORITY}^INS"
    names = f"{who.birth_name}^{who.given}^{who.given} {home.second}^^^^L"
    if who.used_name != who.birth_name:
        names += f"~{who.used_name}^{who.given}^^^^^D"
    account = f"{nda}^^^{authority}^AN" if nda else ""
    place, born = home.commune, home.born_in
    phone = f"{who.phone.replace(' ', '')}^PRN^PH" if who.phone else ""
    return (
        f"PID|1||{numbers}||{names}||{hl7_day(who.birth)}|{who.sex}|||{escape(home.street)}^^{escape(place.name)}^^"
        f"{place.postcode}^FRA^H~^^{escape(born.name)}^^^^BDL^^{born.insee}||{phone}|||||{account}||||||||||||||{who.status}\r"
    )


def visit(hospital: Hospital, nda: str, kind: str, unit: str, room: int, bounds: tuple[int, int | None] | None = None) -> str:
    """PV1: class, ward, number of the stay, and its bounds when they are known."""
    times = ""
    if bounds:
        end = hl7(bounds[1]) if bounds[1] is not None else ""
        times = f"{'|' * 25}{hl7(bounds[0])}|{end}"
    ward = wards()[unit][0] if unit else ""
    return f"PV1|1|{kind}|{ward}^{room:03d}^{'AB'[room % 2]}|R|||||||||||||||{nda}^^^{hospital.hd}^VN{times}\r"


@lru_cache(maxsize=512)
def organisation(hospital: Hospital, unit: str) -> str:
    """A ward as an XON (ZBE-7)."""
    code, label = wards()[unit]
    return f"{label}^^^^^{hospital.hd}^UF^^^{code}"
