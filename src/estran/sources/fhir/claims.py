"""Claim as the French data warehouses' common core uses it: the discharge summary (RSS) of the PMSI.

Source: profiles EDSClaimPMSI, EDSClaimPMSIMCO and EDSClaimRSS of the ANS's guide "socle commun des
entrepôts de données de santé hospitaliers". Claims that only ask to be paid are refused.
"""

from __future__ import annotations

import re

from estran.model.codes import DocumentKind, StayKind
from estran.model.moments import Moment
from estran.sources.fhir.elements import Node, Unreadable, codes_in, each, first_code, words
from estran.sources.fhir.references import SYSTEM, key
from estran.sources.fhir.setting import Setting, confidential, erroneous
from estran.sources.fhir.statements import Attribute, Document, Fact, Statement, Stay
from estran.sources.fhir.stays import columns_of
from estran.sources.records import Code

_ROLES = {"DP": "DP", "DR": "DR", "DA": "DAS", "DAS": "DAS", "DAD": "DAD"}
_MODES = {"0": "entry_mode", "1": "exit_mode"}  # CodeSystem FrClaimMode
_MODE = re.compile(r"\s*([0-9A-Z])\b")
# A CCAM code may carry on: phase, activity, extension, … in the eighteen places of the PMSI.
_CCAM = re.compile(r"([A-Z]{4}[0-9]{3})(.+)")


def claim(node: Node, setting: Setting) -> list[Statement]:
    """The stay that a summary describes, and the summary: diagnoses with their role, dated acts.

    The stay is the encounter that its items name, else it is numbered by the summary itself.
    """
    if not _summary(node):
        raise Unreadable("resourceType", "unknown-type", "A Claim is read when it is a PMSI summary, not a bill.")
    who, clock = setting.patient(node, "patient"), setting.clock
    columns = columns_of(node.get("billablePeriod") or {}, clock, "Claim.billablePeriod")
    known = node.get("created")
    start = clock.moment((node.get("billablePeriod") or {}).get("start"), "Claim.billablePeriod.start")
    start = start or clock.moment(known, "Claim.created")
    withdrawn = node.get("status") in ("cancelled", "entered-in-error")
    columns |= {"kind": StayKind.VENUE.value, "status": "cancelled" if withdrawn else "finished"} | _modes(node)
    number = _stay(node, setting)
    unit = setting.shelf.unit(node.get("provider"), "Claim.provider") if number[1].startswith("Claim/") else None
    facts = (*_diagnoses(node, setting, start), *_acts(node, setting, start))
    document = Document(
        key(node), who, number, DocumentKind.PMSI.value, None, start, facts, None,
        erroneous("entered-in-error" if withdrawn else None), clock.micros(known, "Claim.created"), confidential(node),
    )
    return [Stay(who, number, None, unit, columns), document]


def _summary(node: Node) -> bool:
    """Whether the type says PMSI, or a diagnosis has a role that only the PMSI gives."""
    if any(code.upper().startswith("PMSI") for code in codes_in([node.get("type") or {}])):
        return True
    told = each(node.get("diagnosis"), "Claim.diagnosis")
    return any("pmsi" in str(c.get("system")).lower() for d in told for t in d.get("type") or () for c in t["coding"])


def _stay(node: Node, setting: Setting) -> tuple[str, str]:
    for item in each(node.get("item"), "Claim.item"):
        for target in each(item.get("encounter"), "Claim.item.encounter"):
            found = setting.shelf.stay(target, "Claim.item.encounter")
            if found is not None:
                return found
    return SYSTEM, key(node)


def _modes(node: Node) -> dict[str, str]:
    found = {}
    for one in each(node.get("supportingInfo"), "Claim.supportingInfo"):
        code = first_code(one.get("code"))
        told = _MODE.match(words(one.get("valueString"), "Claim.supportingInfo.valueString") or "")
        if code in _MODES and told:
            found[_MODES[code]] = told.group(1)
    return found


def _diagnoses(node: Node, setting: Setting, start: Moment | None) -> list[Fact]:
    path, found = "Claim.diagnosis", []
    for one in each(node.get("diagnosis"), path):
        concept = one.get("diagnosisCodeableConcept")
        if concept is None:
            concept = (setting.shelf.node((one.get("diagnosisReference") or {}).get("reference") or "") or {}).get("code")
        code, _ = setting.lexicon.concept(concept, "diagnosis", path)
        if code is None:
            raise Unreadable(path, "missing", "A diagnosis has no code.")
        roles = sorted(_ROLES[c] for c in codes_in(each(one.get("type"), path + ".type")) & _ROLES.keys())
        found.append(Fact(code, start, rare={"role": roles[0]} if roles else {}))
    return found


def _acts(node: Node, setting: Setting, start: Moment | None) -> list[Fact]:
    path, found = "Claim.procedure", []
    for one in each(node.get("procedure"), path):
        code, _ = setting.lexicon.concept(one.get("procedureCodeableConcept"), "procedure", path)
        if code is None:
            raise Unreadable(path, "missing", "An act has no code.")
        when = setting.clock.moment(one.get("date"), path + ".date") or start
        plain, rest = _plain(code)
        told = (Attribute(setting.lexicon.local(path, "Phase, activité, extension"), text=rest),) if rest else ()
        found.append(Fact(plain, when, attributes=told))
    return found


def _plain(code: Code) -> tuple[Code, str | None]:
    """A CCAM act without what the PMSI writes behind its seven characters, and that."""
    longer = _CCAM.fullmatch(code.code) if code.vocabulary == "CCAM" else None
    if longer is None:
        return code, None
    return code._replace(code=longer.group(1), label=""), longer.group(2).strip("· ") or None
