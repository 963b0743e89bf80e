"""Tokens by which sites recognise a person: equal for equal persons under one key, and for nobody else."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from estran.identity.keys import SiteKey
from estran.identity.linkage import LinkageTokens, kept_tokens, linkage_tokens
from estran.identity.traits import Person, Statement
from estran.identity.vault import Vault
from estran.model.codes import Precision

KEY = bytes(32)
BORN = dt.date(1956, 3, 12)


def say(number: str, family: str, given: str, ins: str | None = None, **more: object) -> Statement:
    traits = {"birth_date": BORN, "sex": "female"} | more
    return Statement((("IPP", number),), Person((family,), (given,), **traits), ins, 1, 0)  # type: ignore[arg-type]


def tokens(vault: Vault, *statements: Statement, with_ins: bool = True) -> LinkageTokens:
    vault.introduce(statements)
    return linkage_tokens(vault, KEY, with_ins=with_ins)


def test_case_accents_hyphens_and_further_names_make_no_difference(vault: Vault) -> None:
    found = tokens(
        vault, say("1", "LE GOFF", "Hélène Marie"), say("2", "Le-Goff", "helene"), say("3", "LE GOFF", "Hélène", sex="male"),
        say("4", "LE GOF", "Hélène"),
    )  # fmt: skip
    first, second, third, fourth = (bytes(row) for row in found.traits)
    assert first == second and len({first, third, fourth}) == 3
    assert not found.ins.any()


def test_whoever_is_not_fully_known_has_no_token(vault: Vault) -> None:
    found = tokens(
        vault, say("1", "", "Hélène"), say("2", "LE GOFF", "Hélène", birth_precision=Precision.MONTH), say("3", "LE GOFF", "Hélène", sex="unknown"),
    )  # fmt: skip
    assert not found.traits.any()


def test_the_ins_is_used_only_where_a_decision_allows_it(vault: Vault) -> None:
    ins = "2 56 03 75 116 001 23"
    assert tokens(vault, say("1", "A", "B", ins)).ins.any()
    assert not linkage_tokens(vault, KEY, with_ins=False).ins.any()


def test_another_key_makes_other_tokens(vault: Vault) -> None:
    found = tokens(vault, say("1", "LE GOFF", "Hélène"))
    assert bytes(found.traits[0]) != bytes(linkage_tokens(vault, b"k" * 32, with_ins=True).traits[0])


def test_what_is_kept_is_sealed_and_made_anew_with_a_new_snapshot(vault: Vault, tmp_path: Path, site_key: SiteKey) -> None:
    made = tokens(vault, say("1", "LE GOFF", "Hélène"))
    folder = tmp_path / "vault"
    for version in (1, 1, 2):
        kept = kept_tokens(folder, site_key, version, vault, KEY, with_ins=True)
        assert kept.traits.tolist() == made.traits.tolist() and kept.patients.tolist() == [0]
    (path,) = folder.glob("tokens-*")
    assert bytes(made.traits[0]) not in path.read_bytes() and path.read_bytes().startswith(b"2\n")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert kept_tokens(folder, site_key, 2, vault, KEY, with_ins=True).traits.tolist() == made.traits.tolist()


def test_a_vault_without_anybody_has_no_tokens(vault: Vault, tmp_path: Path, site_key: SiteKey) -> None:
    assert linkage_tokens(vault, KEY, with_ins=True).traits.shape == (0, 16)
    for _ in range(2):
        assert kept_tokens(tmp_path / "vault", site_key, 1, vault, KEY, with_ins=True).ins.shape == (0, 16)
