"""Tokens by which a linkage unit recognises a person in the records of several sites, trait by trait; made in the vault.

A token is HMAC-SHA256 under a key of one run of a network, cut to 8 bytes: of two runs nothing can be put side by
side. No name has a token of its own. A name is bound to the year of birth, and again to its day and month, so that how
often a token occurs tells little of which name it is; the forms that forgive a wrong letter (4 bytes) are bound to the
whole date, which a handful of people share. Places that stay free are filled with random bytes.

Blakely and Salmond, "Probabilistic record linkage and a method to calculate the positive predictive value" (2002), is
what the tokens are for; deletion neighbourhoods for one wrong letter are Bocek's (2007).
"""

from __future__ import annotations

import datetime as dt
import hmac
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from estran.identity import french
from estran.identity import traits as folding
from estran.identity.traits import Traits
from estran.model.codes import Precision

FAMILIES, GIVENS, NEAR_FAMILY, NEAR_GIVEN = 4, 6, 28, 16
HALVES = 2  # seats of a compound given name, after the first and the second
_ANCHORS = 2  # year; day and month
RECORD = np.dtype([
    ("ins", "<u8"), ("date", "<u8"), ("turned", "<u8"), ("day_month", "<u8"), ("month_year", "<u8"), ("day_year", "<u8"),
    ("sex", "<u8"), ("place", "<u8", (_ANCHORS,)), ("family", "<u8", (_ANCHORS, FAMILIES)), ("given", "<u8", (_ANCHORS, GIVENS)),
    ("near_family", "<u4", (NEAR_FAMILY,)), ("near_given", "<u4", (NEAR_GIVEN,)),
])  # fmt: skip
Rows = npt.NDArray[np.void]


@dataclass(frozen=True)
class MatchingTokens:
    """Records of `RECORD`, and whose they are; the patients stay at the site."""

    patients: npt.NDArray[np.int32]
    rows: Rows


def run_key(key: bytes, run: str) -> bytes:
    """The key of one run, from the linkage key that the sites of a network share."""
    return HKDF(SHA256(), 32, salt=None, info=b"estran-hub-1/matching/" + run.encode()).derive(key)


def matching_tokens(everybody: Iterable[tuple[int, Traits]], key: bytes, *, with_ins: bool) -> MatchingTokens:
    """One record of each patient whose identity is not provisional, in an order that tells nothing; of the INS only
    when a decision allows to use it. `key` is that of a run."""
    patients: list[int] = []
    rows = bytearray()
    for patient, traits in everybody:
        if not folding.winner(traits, "provisional"):
            patients.append(patient)
            rows += _record(_Tokens(key), traits, with_ins=with_ins)
    order = np.random.default_rng(secrets.randbits(128)).permutation(len(patients))
    return MatchingTokens(np.array(patients, np.int32)[order], np.frombuffer(bytes(rows), RECORD)[order])


class _Tokens:
    """Makes tokens under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def one(self, *said: str, size: int = 8) -> bytes:
        """The token of some words; zeros when one of them is missing."""
        return hmac.digest(self._key, "|".join(said).encode(), "sha256")[:size] if all(said) else bytes(size)

    def many(self, kind: str, bound: str, words: Sequence[str], places: int, size: int) -> bytes:
        """Tokens of several words, as many as there are places; the first is zeros when there is none, any other without a
        word is chance."""
        if not bound or not words:
            return bytes(size) + secrets.token_bytes(size * (places - 1))
        made = b"".join(
            self.one(kind, bound, word, size=size) if word else secrets.token_bytes(size) for word in words[:places]
        )
        return made + secrets.token_bytes(size * places - len(made))


def _record(tokens: _Tokens, traits: Traits, *, with_ins: bool) -> bytes:
    ins = "".join(str(folding.winner(traits, "ins") or "").split()) if with_ins else ""
    date, turned, year, day_month, month_year, day_year = _born(folding.birth(traits))
    families, givens = _families(traits), _givens(traits)
    anchors, place, two = (year, day_month), _place(traits), [name for name in families[:2] if name]
    spelt = [form for name in two for form in french.near(name, NEAR_FAMILY // len(two))]
    return b"".join((
        tokens.one("ins", ins), tokens.one("date", date), tokens.one("date", turned), tokens.one("day_month", day_month),
        tokens.one("month_year", month_year), tokens.one("day_year", day_year),
        tokens.one("sex", str(folding.winner(traits, "sex") or "")), *(tokens.one("place", anchor, place) for anchor in anchors),
        *(tokens.many("name", anchor, families, FAMILIES, 8) for anchor in anchors),
        *(tokens.many("name", anchor, givens, GIVENS, 8) for anchor in anchors),
        tokens.many("near family", date, list(dict.fromkeys(spelt)), NEAR_FAMILY, 4),
        tokens.many("near given", date, french.near(givens[0], NEAR_GIVEN) if givens else (), NEAR_GIVEN, 4),
    ))  # fmt: skip


def _born(known: tuple[dt.date, Precision] | None) -> tuple[str, str, str, str, str, str]:
    """Date, date with day and month exchanged, year, day and month, month and year, day and year; "" where not known."""
    if known is None:
        return "", "", "", "", "", ""
    day, precision = known
    year, month_year = f"{day:%Y}", f"{day:%Y-%m}" if precision >= Precision.MONTH else ""
    if precision < Precision.DAY:
        return "", "", year, "", month_year, ""
    turned = f"{day:%Y-%d-%m}" if day.day <= 12 and day.day != day.month else ""
    return f"{day:%Y-%m-%d}", turned, year, f"{day:%m-%d}", month_year, f"{day:%Y-%d}"


def _families(traits: Traits) -> list[str]:
    """Birth name, name in use ("" when it is the same), the parts of compound names, what else the person was called."""
    held: tuple[str, ...] = folding.winner(traits, "family_names") or ()
    two = [*map(french.joined, held[:2]), "", ""][:2]
    more = [part for name in held[:2] for part in french.parts(name)]
    return _seats(two, (*more, *_forms((*held[2:], *folding.every(traits, "family_names")))))


def _givens(traits: Traits) -> list[str]:
    """The first given name, the second, the two halves of the first when it is compound, what is written as one in one
    word, the others. "Jean Claude" may be one name or two: with "Jean-Claude" it has two in common, whichever comes first."""
    held: tuple[str, ...] = folding.winner(traits, "given_names") or ()
    single = [name for text in held for name in text.split()]
    two = [*map(french.joined, single[:2]), "", ""][:2]
    halves = [*(french.parts(single[0]) if single else ()), "", ""][:HALVES]
    return _seats([*two, *halves], _forms([*(text for text in held if len(text.split()) == 2), *single[1:]]))


def _forms(names: Iterable[str]) -> Iterator[str]:
    """Names as one word, and the parts of compound ones."""
    for name in names:
        yield from (french.joined(name), *french.parts(name))


def _seats(first: list[str], others: Iterable[str]) -> list[str]:
    """Names in seats of their own, "" in a seat that is free, then others that have no seat; none without a first."""
    if not first[0]:
        first[0], first[1] = first[1], ""
    if first[1] == first[0]:
        first[1] = ""
    return [*first, *(name for name in dict.fromkeys(others) if name and name not in first)] if first[0] else []


def _place(traits: Traits) -> str:
    """INSEE's code of the place of birth, or its name."""
    said = str(folding.winner(traits, "birth_place") or "").strip().upper()
    return said[:5] if said[:1].isdigit() and said[2:5].isdigit() else french.joined(said)
