"""Patient and Consent."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

from estran.model.codes import DocumentKind, Precision, Sex
from estran.model.moments import EPOCH, Moment
from estran.sources.fhir.elements import Node, Unreadable, each, extension, first_code, number, words
from estran.sources.fhir.references import SYSTEM, key
from estran.sources.fhir.setting import Setting
from estran.sources.fhir.statements import Document, Fact, Identity, Permit, Statement
from estran.sources.records import PatientKey, Person

# The national identity (INS): its authorities, and the codes of identifier types in FR Core.
_INS_SYSTEMS = frozenset(f"urn:oid:1.2.250.1.213.1.4.{n}" for n in (8, 9, 10, 11))
_INS_TYPES = frozenset({"INS", "INS-NIR", "INS-NIA"})
_SURE_IDENTITIES = frozenset({"VALI", "QUAL"})
_HOSPITAL_TYPES = frozenset({"PI", "MR", "PT"})
_NATIONAL_SYSTEMS = ("http://hl7.org/fhir/sid/us-ssn", "urn:oid:1.2.250.1.213.1.4.")
_NAME_ORDER = {"maiden": 0, "official": 1, "usual": 2}
# An INSEE code, alone or at the head of an IRIS (commune and four digits).
_COMMUNE = re.compile(r"([0-9][0-9AB][0-9]{3})(?:[0-9]{4})?")
_MERGING_LINKS = frozenset({"replaced-by", "replaces", "refer"})


def patient(node: Node, setting: Setting) -> list[Statement]:
    """A Patient: numbers, traits, the records it was merged with, and its rank in a multiple birth."""
    me = PatientKey(SYSTEM, key(node))
    aliases, others, ins = _numbers(node, setting.author_system)
    links = tuple(_merges(node, me, setting))
    who = Identity(me, tuple(a for a in aliases if a != me), _person(node, setting, tuple(others)), ins, links)
    rank = number(node.get("multipleBirthInteger"), "Patient.multipleBirthInteger")
    return [who] if rank is None else [who, _rank(me, rank, setting)]


def _rank(me: PatientKey, rank: float, setting: Setting) -> Document:
    """The rank among twins; a document of its own, as it has neither date nor stay."""
    code = setting.lexicon.local("Patient.multipleBirthInteger", "Rang gémellaire", "observation")
    return Document(
        f"{me.value}#multipleBirth", me, None, DocumentKind.OBSERVATION.value, None, None, (Fact(code, None, rank),)
    )


def _numbers(node: Node, author: str) -> tuple[list[PatientKey], list[str], str | None]:
    """Hospital numbers, other numbers, and the INS when the identity is sure enough to bear one."""
    aliases: dict[PatientKey, None] = {}
    others: dict[str, None] = {}
    ins: str | None = None
    sure = _sure(node) is not False
    for one in each(node.get("identifier"), "Patient.identifier"):
        value = words(one.get("value"), "Patient.identifier.value")
        system = words(one.get("system"), "Patient.identifier.system") or ""
        if value is None:
            continue
        value, kind = value.strip(), first_code(one.get("type"))
        if system in _INS_SYSTEMS or kind in _INS_TYPES:
            ins = value.replace(" ", "") if sure else ins
            others[value] = None
        elif _is_hospital(one, kind, system) and (system or author):
            aliases[PatientKey(system or author, value)] = None
        else:
            others[value] = None
    return list(aliases), [o for o in others if o != ins], ins


def hospital_numbers(node: Node, author: str) -> list[PatientKey]:
    """The numbers that hospitals gave to a person who is not described as a patient."""
    found, path = [], f"{node['resourceType']}.identifier"
    for one in each(node.get("identifier"), path):
        value, system = words(one.get("value"), path + ".value"), words(one.get("system"), path + ".system") or ""
        if value and (system or author) and _is_hospital(one, first_code(one.get("type")), system):
            found.append(PatientKey(system or author, value.strip()))
    return found


def _is_hospital(one: Node, kind: str | None, system: str) -> bool:
    """Whether an identifier is a number that hospitals give: typed so, or usual, or not typed."""
    if system.startswith(_NATIONAL_SYSTEMS):
        return False
    return kind in _HOSPITAL_TYPES or one.get("use") == "usual" or (kind is None and not one.get("type"))


def _sure(node: Node) -> bool | None:
    """Whether the identity may bear an INS: FR Core's reliability must be validated; None when it is not told."""
    told = extension(node, "fr-core-ident-reliability", "fr-core-identity-reliability")
    if told is None:
        return None
    inner = extension(told, "identityReliability", "identityStatus") or told
    code = (inner.get("valueCoding") or {}).get("code") or first_code(inner.get("valueCodeableConcept"))
    return code in _SURE_IDENTITIES


def _merges(node: Node, me: PatientKey, setting: Setting) -> list[tuple[PatientKey, PatientKey]]:
    found = []
    for link in each(node.get("link"), "Patient.link"):
        kind = link.get("type")
        number = setting.shelf.number(link.get("other"), "Patient.link.other")
        if kind not in _MERGING_LINKS or number is None or number[1].startswith(("RelatedPerson/", "#", "urn:")):
            continue
        other = PatientKey(*number)
        if other != me:
            found.append((me, other) if kind == "replaces" else (other, me))
    return found


def _person(node: Node, setting: Setting, numbers: tuple[str, ...]) -> Person:
    families, givens = names(each(node.get("name"), "Patient.name"), "Patient.name")
    birth = setting.clock.moment(node.get("birthDate"), "Patient.birthDate")
    death = setting.clock.moment(node.get("deceasedDateTime"), "Patient.deceasedDateTime")
    phones, mails = telecoms(node)
    return Person(
        family_names=families,
        given_names=givens,
        birth_date=_date(birth),
        birth_precision=birth.precision if birth else Precision.DAY,
        sex=_sex(node),
        phones=phones,
        mails=mails,
        relatives=_relatives(node),
        birth_place=_birth_place(node),
        death_date=_date(death),
        deceased=True if death else _flag(node, "deceasedBoolean"),
        other_numbers=numbers,
        provisional=None if (sure := _sure(node)) is None else not sure,
        **_residence(each(node.get("address"), "Patient.address")),
    )


def _date(moment: Moment | None) -> dt.date | None:
    return EPOCH + dt.timedelta(days=moment.date) if moment else None


def _flag(node: Node, name: str) -> bool | None:
    value = node.get(name)
    if value is not None and type(value) is not bool:
        raise Unreadable(f"Patient.{name}", "malformed", "The element should be true or false.")
    return value


def _sex(node: Node) -> str | None:
    gender = words(node.get("gender"), "Patient.gender")
    if gender is None:
        return None
    try:
        return Sex(gender).value
    except ValueError:
        raise Unreadable("Patient.gender", "malformed", "The gender is not one of FHIR's four codes.") from None


def names(told: list[Node], path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Family names, birth name first, and given names, each once."""
    families: dict[str, None] = {}
    givens: dict[str, None] = {}
    for name in sorted(told, key=lambda n: _NAME_ORDER.get(n.get("use") or "", 3)):
        family = words(name.get("family"), path + ".family")
        given_names = name.get("given") or []
        listed = extension(name, "fr-core-birth-list-given-name", "birth-list-given-name")
        more = words((listed or {}).get("valueString"), path + ".extension") or ""
        for given in [*(words(g, path + ".given") for g in given_names), *more.split()]:
            if given:
                givens[given] = None
        text = words(name.get("text"), path + ".text")
        if family or text:
            families.setdefault(family or text or "")
    return tuple(families), tuple(givens)


def telecoms(node: Node, kind: str = "Patient") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Telephone numbers and mail addresses, those of contacts included."""
    phones: dict[str, None] = {}
    mails: dict[str, None] = {}
    holders = [node, *each(node.get("contact"), kind + ".contact")]
    for one in (t for holder in holders for t in each(holder.get("telecom"), kind + ".telecom")):
        value = words(one.get("value"), kind + ".telecom.value")
        if value:
            (mails if one.get("system") == "email" or "@" in value else phones)[value] = None
    return tuple(phones), tuple(mails)


def _relatives(node: Node) -> tuple[str, ...]:
    """Names of contacts and the mother's maiden name, to be masked in texts."""
    found: dict[str, None] = {}
    for contact in each(node.get("contact"), "Patient.contact"):
        families, givens = names([contact["name"]] if contact.get("name") else [], "Patient.contact.name")
        full = " ".join([*givens, *families])
        if full:
            found[full] = None
    mother = extension(node, "patient-mothersMaidenName")
    maiden = words((mother or {}).get("valueString"), "Patient.extension")
    if maiden:
        found[maiden] = None
    return tuple(found)


def _birth_place(node: Node) -> str | None:
    """The INSEE code of the place of birth when it is there, else the name of the town."""
    place = (extension(node, "patient-birthPlace", "birthPlace") or {}).get("valueAddress")
    if not place:
        return None
    city, text = (words(place.get(name), "Patient.extension") for name in ("city", "text"))
    return _commune(place) or city or text


def _commune(address: Node) -> str | None:
    told = extension(address, "fr-core-address-insee-code", "inseeCode") or {}
    coding = told.get("valueCoding") or {}
    for code in (coding.get("code"), told.get("valueString"), told.get("valueCode"), address.get("district")):
        found = _COMMUNE.fullmatch(code) if type(code) is str else None
        if found is not None:
            return found.group(1)
    return None


def _residence(addresses: list[Node]) -> dict[str, Any]:
    """All addresses as text; postcode and town of the home that is current."""
    if not addresses:
        return {}
    texts = [_one_line(one) for one in addresses]
    current = [a for a in addresses if a.get("use") not in ("old", "billing", "temp")] or addresses
    home = next((a for a in current if a.get("use") == "home"), current[0])
    return {
        "addresses": tuple(dict.fromkeys(t for t in texts if t)),
        "postcode": words(home.get("postalCode"), "Patient.address.postalCode"),
        "city": words(home.get("city"), "Patient.address.city"),
        "commune": _commune(home),
    }


def _one_line(address: Node) -> str:
    lines = [words(line, "Patient.address.line") for line in address.get("line") or []]
    if not any(lines):
        return words(address.get("text"), "Patient.address.text") or ""
    town = [words(address.get(name), f"Patient.address.{name}") for name in ("postalCode", "city")]
    return ", ".join([*(line for line in lines if line), " ".join(t for t in town if t)]).rstrip(", ")


_RULES = {"OPTIN": "consent", "OPTINR": "consent", "OPTOUT": "opposition", "OPTOUTE": "opposition"}
_PROVISIONS = {"permit": "consent", "deny": "opposition"}


_ALWAYS = dt.date(1900, 1, 1)


def consent(node: Node, setting: Setting) -> Permit:
    """A Consent about research, when it plainly permits or denies."""
    who = setting.shelf.patient(node, "patient")
    if first_code(node.get("scope")) != "research":
        raise Unreadable("Consent.scope", "unknown-type", "Only consents about research are read.")
    kind = _decision(node)
    period = (node.get("provision") or {}).get("period") or {}
    clock = setting.clock
    start = clock.moment(period.get("start"), "Consent.provision.period.start") or clock.moment(
        node.get("dateTime"), "Consent.dateTime"
    )
    day = _date(start)
    if day is None and kind == "opposition":
        day = _ALWAYS  # an objection holds, whenever it was made
    if day is None:
        raise Unreadable("Consent.dateTime", "missing", "The consent does not say since when it holds.")
    end = _date(clock.moment(period.get("end"), "Consent.provision.period.end"))
    return Permit(who, "research", kind, day, end, key(node))


def _decision(node: Node) -> str:
    """consent or opposition; Unreadable when the resource leaves room for doubt."""
    status, provision = node.get("status"), node.get("provision") or {}
    if status == "rejected":
        return "opposition"
    if status != "active":
        raise Unreadable("Consent.status", "unknown-type", "The consent is not in force.")
    if provision.get("provision"):
        raise Unreadable("Consent.provision", "unknown-type", "The consent holds exceptions, which are not read.")
    kind = _PROVISIONS.get(provision.get("type") or "") or _RULES.get(first_code(node.get("policyRule")) or "")
    if kind is None:
        raise Unreadable("Consent.provision.type", "missing", "The consent says neither permit nor deny.")
    return kind


