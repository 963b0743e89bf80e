"""PV1, PV2, ZFM and ZBE: the stay and where it takes place."""

from __future__ import annotations

from typing import NamedTuple

from estran.model.codes import StayKind
from estran.sources.hl7v2.message import Segment, first, get, part, parts, plain

_KINDS = {
    "I": StayKind.VENUE, "E": StayKind.EMERGENCY, "O": StayKind.CONSULTATION, "R": StayKind.SESSION,
    "B": StayKind.VENUE, "P": StayKind.VENUE, "S": StayKind.SESSION, "D": StayKind.VENUE, "L": StayKind.CONSULTATION,
    "N": None, "C": None, "U": None,
}  # fmt: skip


class Ward(NamedTuple):
    """A ward as a message names it."""

    code: str
    label: str = ""
    level: str = "UF"


class Visit(NamedTuple):
    """Numbers of the stay: (system, value), and of the file that holds it, when both are given."""

    number: tuple[str, str] | None
    parent: tuple[str, str] | None
    kind: str | None
    ward: Ward | None


def read_visit(pid: Segment, pv1: Segment | None) -> Visit:
    """PV1-19 (venue) names the stay, PID-18 (dossier) its parent; alone, PID-18 names the stay."""
    account = read_number(get(pid, 18))
    if pv1 is None:
        return Visit(account, None, None, None)
    venue = read_number(get(pv1, 19))
    number, parent = (venue, account) if venue else (account, None)
    kind = _KINDS.get(first(get(pv1, 2)).upper())
    if kind is None and venue is None and account:
        kind = StayKind.DOSSIER
    return Visit(number, parent if parent != number else None, kind, location(get(pv1, 3)))


def read_number(field: str) -> tuple[str, str] | None:
    """(system, value) of a CX."""
    cx = parts(field.partition("~")[0])
    value = part(cx, 1)
    if not value:
        return None
    authority = [plain(a).strip() for a in (cx[3].split("&") if len(cx) > 3 else [""])]
    return authority[0] or (authority[1] if len(authority) > 1 else ""), value


def location(field: str) -> Ward | None:
    """The ward of a PL: its point of care, else the building or the facility."""
    if not field:
        return None
    pl = parts(field.partition("~")[0])
    code = part(pl, 1)
    if code:
        return Ward(code)
    site = part(pl, 4)
    building = part(pl, 7)
    if building:
        return Ward(building, "", "service")
    return Ward(site, "", "site") if site else None


def organisation(field: str) -> Ward | None:
    """The ward of a XON (ZBE-7, ZBE-8): its identifier, with its name as label."""
    xon = parts(field.partition("~")[0])
    name, code = part(xon, 1), part(xon, 10) or part(xon, 3)
    if not (code or name):
        return None
    level = part(xon, 7).upper()
    return Ward(code or name, name if code else "", level if level in ("UF", "UM") else "UF")


def coded_ward(field: str) -> Ward | None:
    """The ward of a CWE (ORC-17)."""
    cwe = parts(field.partition("~")[0])
    code = part(cwe, 1)
    return Ward(code, part(cwe, 2)) if code else None


def is_confidential(pd1: Segment | None, pv1: Segment | None, pv2: Segment | None) -> bool | None:
    """True when the message protects the stay (PV1-16, PV2-22 or PD1-12); None when it does not say so."""
    said = [first(get(s, n)).upper() for s, n in ((pv1, 16), (pv2, 22), (pd1, 12)) if s is not None]
    return True if any(s and s not in ("N", "U", "NO") for s in said) else None
