"""What a project asks for, and what its request still lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from estran.projects.life.formality import Persons

LEAST_JUSTIFICATION = 10  # characters: "oui" justifies nothing


class LegalBasis(StrEnum):
    """Legal bases (GDPR, article 6) that a request may name."""

    PUBLIC_TASK = "public-task"
    LEGITIMATE_INTEREST = "legitimate-interest"
    CONSENT = "consent"
    LEGAL_OBLIGATION = "legal-obligation"


@dataclass(frozen=True)
class Variable:
    """A variable asked for: its name, its code when it has one (VOCABULARY:CODE), and why it is needed."""

    name: str
    code: str
    justification: str

    @property
    def justified(self) -> bool:
        return len(self.justification) >= LEAST_JUSTIFICATION


@dataclass(frozen=True)
class Request:
    """Objectives, legal basis, variables each with its justification, months, and what decides the formality."""

    objectives: str = ""
    legal_basis: LegalBasis | None = None
    variables: tuple[Variable, ...] = ()
    months: int = 0
    texts: bool = False  # documents' de-identified texts are asked for
    persons: Persons = Persons.NONE
    snds: bool = False
    national_pmsi: bool = False
    public_interest: bool = True
    informed: bool = True
    partner: bool = False
    summary: str = ""  # what the public is told, in plain words

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Request:
        """The request as a step keeps it."""
        return cls(
            body["objectives"], LegalBasis(body["legal_basis"]) if body["legal_basis"] else None,
            variables_of(body["variables"]), body["months"] or 0, body["texts"], Persons(body["persons"]), body["snds"],
            body["national_pmsi"], body["public_interest"], body["informed"], body["partner"],
            body.get("summary", ""),
        )  # fmt: skip


def variables_of(rows: list[list[str]]) -> tuple[Variable, ...]:
    """Variables as a step keeps them."""
    return tuple(Variable(*row) for row in rows)
