"""The formality route of each kind of project and data."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from estran.projects.life.formality import Formality, Kind, Nature, Persons, Piece, Reason, route_of

RESEARCH = Nature(Kind.RESEARCH)


@pytest.mark.parametrize(
    ("nature", "formality", "reason"),
    [
        (RESEARCH, "MR-004", "reuse"),
        (Nature(Kind.RESEARCH, persons=Persons.CONSENT), "MR-001", "consent"),
        (Nature(Kind.RESEARCH, persons=Persons.NO_OPPOSITION), "MR-003", "no-opposition"),
        (Nature(Kind.RESEARCH, national_pmsi=True), "MR-005", "pmsi-public"),
        (Nature(Kind.RESEARCH, national_pmsi=True, partner=True), "MR-006", "pmsi-industry"),
        (Nature(Kind.RESEARCH, public_interest=False), "authorisation", "not-public"),
        (Nature(Kind.RESEARCH, informed=False), "authorisation", "not-informed"),
        (Nature(Kind.RESEARCH, tightened=True), "authorisation", "tightened"),
        (Nature(Kind.STEERING), "internal", "internal"),
        (Nature(Kind.STEERING, sites=2), "authorisation", "shared"),
        (Nature(Kind.PRACTICE), "internal", "internal"),
        (Nature(Kind.PRACTICE, sites=3), "MR-004", "reuse"),
        (Nature(Kind.TEACHING), "authorisation", "teaching"),
        (Nature(Kind.ALGORITHM), "MR-004", "reuse"),
    ],
)
def test_the_route(nature: Nature, formality: str, reason: str) -> None:
    route = route_of(nature)
    assert (route.formality, route.reason) == (formality, reason)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(
    "more", [{}, {"sites": 3}, {"persons": Persons.CONSENT}, {"national_pmsi": True}, {"partner": True}]
)
def test_the_claims_base_always_forces_authorisation_outside_the_framework(kind: Kind, more: dict[str, Any]) -> None:
    route = route_of(Nature(kind, snds=True, **more))
    assert route.formality is Formality.AUTHORISATION and route.reason is Reason.SNDS and not route.in_framework
    assert {Piece.CESREES, Piece.CNIL, Piece.IMPACT, Piece.SNDS_SECURITY, Piece.HOSTING} <= set(route.pieces)
    assert route_of(Nature(kind, **more)).in_framework


def test_tightening_never_lightens() -> None:
    for kind in Kind:
        plain = route_of(Nature(kind))
        tight = route_of(dataclasses.replace(Nature(kind), tightened=True))
        assert tight.formality is Formality.AUTHORISATION
        assert set(plain.pieces) - {Piece.CONFORMITY} <= set(tight.pieces)


def test_pieces_follow_who_shares_and_who_pays() -> None:
    assert route_of(Nature(Kind.STEERING)).pieces == (Piece.REGISTRY, Piece.INFORMATION)
    assert Piece.AGREEMENT in route_of(Nature(Kind.RESEARCH, sites=2)).pieces
    assert {Piece.CONTRACT, Piece.HOSTING} <= set(route_of(Nature(Kind.RESEARCH, partner=True)).pieces)
    assert Piece.CONTRACT in route_of(Nature(Kind.ALGORITHM)).pieces
    assert Piece.ETHICS in route_of(Nature(Kind.RESEARCH, persons=Persons.NO_OPPOSITION)).pieces
