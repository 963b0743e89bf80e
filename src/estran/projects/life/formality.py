"""Which formality a project falls under, and the pieces that must be filed before it opens.

Rules, in the order in which they are read; the first that fits holds:

- a match to the national claims base (SNDS) is outside the reference framework of health data warehouses
  (CNIL, deliberation 2021-118): authorisation by the CNIL after an opinion of the CESREES;
- processing that is not of public interest, or of which patients are not told, fits no reference methodology;
- steering and practice evaluation by one site stay internal uses of the warehouse (2021-118, internal purposes);
- research that involves persons: MR-001 (deliberation 2018-153) with their consent, MR-003 (2018-154) without;
- the national PMSI base alone: MR-005 (2018-256) for hospitals, MR-006 (2018-257) for industry;
- what is left reuses data and involves nobody anew: MR-004 (2018-155). Teaching is not in its scope: authorisation.

The data protection officer may always ask for the stricter route, never for a lighter one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Types of projects."""

    RESEARCH = "research"
    STEERING = "steering"
    PRACTICE = "practice"  # evaluation of professional practice
    TEACHING = "teaching"
    ALGORITHM = "algorithm"  # test of an algorithm that somebody supplies


class Formality(StrEnum):
    """Formality routes."""

    INTERNAL = "internal"
    MR001 = "MR-001"
    MR003 = "MR-003"
    MR004 = "MR-004"
    MR005 = "MR-005"
    MR006 = "MR-006"
    AUTHORISATION = "authorisation"  # CNIL, through the CESREES


class Persons(StrEnum):
    """Whether research involves persons (Public Health Code, L1121-1)."""

    NONE = "none"  # data that are already there
    CONSENT = "consent"
    NO_OPPOSITION = "no-opposition"


class Piece(StrEnum):
    """What is filed before a project opens: a reference to a document, and its date."""

    REGISTRY = "registry"  # sheet of the register of processing
    CONFORMITY = "conformity"  # declaration of conformity to a reference methodology
    DIRECTORY = "directory"  # number in the public directory of the Health Data Hub
    INFORMATION = "information"  # how patients are told
    IMPACT = "impact"  # data protection impact assessment
    CESREES = "cesrees"  # its opinion
    CNIL = "cnil"  # number of the authorisation
    SNDS_SECURITY = "snds-security"  # the space meets the security rules of the SNDS
    HOSTING = "hosting"  # certificate of the host of health data
    AGREEMENT = "agreement"  # between the sites
    CONTRACT = "contract"  # with the partner
    ETHICS = "ethics"  # committee for the protection of persons


class Reason(StrEnum):
    """Why a route holds."""

    SNDS = "snds"
    NOT_PUBLIC = "not-public"
    NOT_INFORMED = "not-informed"
    TIGHTENED = "tightened"
    INTERNAL = "internal"
    CONSENT = "consent"
    NO_OPPOSITION = "no-opposition"
    PMSI_PUBLIC = "pmsi-public"
    PMSI_INDUSTRY = "pmsi-industry"
    REUSE = "reuse"
    TEACHING = "teaching"
    SHARED = "shared"


@dataclass(frozen=True)
class Nature:
    """What decides the route. `outside` says that sites, or a partner, share the data."""

    kind: Kind
    snds: bool = False
    national_pmsi: bool = False
    persons: Persons = Persons.NONE
    public_interest: bool = True
    informed: bool = True
    partner: bool = False
    sites: int = 1
    tightened: bool = False

    @property
    def outside(self) -> bool:
        return self.partner or self.sites > 1


@dataclass(frozen=True)
class Route:
    """The formality, why, and the pieces it asks for, in the order of the form."""

    formality: Formality
    reason: Reason
    pieces: tuple[Piece, ...]

    @property
    def in_framework(self) -> bool:
        """Whether the reference framework of warehouses covers it: a match to the SNDS never is."""
        return self.reason is not Reason.SNDS


def route_of(nature: Nature) -> Route:
    """The route that a project must take."""
    formality, reason = _formality(nature)
    return Route(formality, reason, _pieces(nature, formality))


def _formality(nature: Nature) -> tuple[Formality, Reason]:
    authorised = (
        (nature.snds, Reason.SNDS), (nature.tightened, Reason.TIGHTENED),
        (not nature.public_interest, Reason.NOT_PUBLIC), (not nature.informed, Reason.NOT_INFORMED),
    )  # fmt: skip
    for holds, reason in authorised:
        if holds:
            return Formality.AUTHORISATION, reason
    if nature.persons is Persons.CONSENT:
        return Formality.MR001, Reason.CONSENT
    if nature.persons is Persons.NO_OPPOSITION:
        return Formality.MR003, Reason.NO_OPPOSITION
    if nature.national_pmsi:
        return (Formality.MR006, Reason.PMSI_INDUSTRY) if nature.partner else (Formality.MR005, Reason.PMSI_PUBLIC)
    return _reuse(nature)


def _reuse(nature: Nature) -> tuple[Formality, Reason]:
    """Data that are there, and nothing else."""
    if nature.kind is Kind.TEACHING:
        return Formality.AUTHORISATION, Reason.TEACHING
    if nature.kind in (Kind.STEERING, Kind.PRACTICE) and not nature.outside:
        return Formality.INTERNAL, Reason.INTERNAL
    if nature.kind is Kind.STEERING:  # steering shared beyond the hospital is neither internal nor research
        return Formality.AUTHORISATION, Reason.SHARED
    return Formality.MR004, Reason.REUSE


def _pieces(nature: Nature, formality: Formality) -> tuple[Piece, ...]:
    authorised = formality is Formality.AUTHORISATION
    internal = formality is Formality.INTERNAL
    asked = {
        Piece.REGISTRY: True,
        Piece.CONFORMITY: not authorised and not internal,
        Piece.CESREES: authorised,
        Piece.CNIL: authorised,
        Piece.DIRECTORY: not internal,
        Piece.INFORMATION: True,
        Piece.IMPACT: not internal,
        Piece.ETHICS: nature.persons is not Persons.NONE,
        Piece.SNDS_SECURITY: nature.snds or nature.national_pmsi,
        Piece.HOSTING: nature.outside or nature.snds,
        Piece.AGREEMENT: nature.sites > 1,
        Piece.CONTRACT: nature.partner or nature.kind is Kind.ALGORITHM,
    }
    return tuple(piece for piece, wanted in asked.items() if wanted)
