"""Tokens by which sites that share a key recognise the same person, made where names may be read, and nowhere else.

A token is HMAC-SHA256 under the network's linkage key, cut to 16 bytes: of the national identifier (INS), and of the
strict traits (birth name, first given name, birth date, sex; folded, so that case, accents and hyphens make no
difference). The key is the sites' own: a hub never has it, and without it a token tells nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from estran.identity import traits as folding
from estran.identity.folding import fold
from estran.identity.keys import SiteKey
from estran.identity.traits import Traits
from estran.identity.vault import Vault
from estran.model.codes import Precision
from estran.model.errors import StoreError

SIZE = 16
_ROW = np.dtype([("patient", "<i4"), ("ins", "u1", (SIZE,)), ("traits", "u1", (SIZE,))])
_LETTERS = re.compile("[^a-z0-9]+")


@dataclass(frozen=True)
class LinkageTokens:
    """Tokens of the patients of a site, by growing number; zeros where a patient has none."""

    patients: npt.NDArray[np.int32]
    ins: npt.NDArray[np.uint8]
    traits: npt.NDArray[np.uint8]


def linkage_tokens(vault: Vault, key: bytes, *, with_ins: bool) -> LinkageTokens:
    """Tokens of everybody in the vault; of the INS only when a decision allows to use it."""
    patients: list[int] = []
    ins, strict = bytearray(), bytearray()
    for patient, traits in vault.everybody():
        patients.append(patient)
        ins += _token(key, "ins", _ins(traits) if with_ins else "")
        strict += _token(key, "traits", strict_traits(traits))
    return LinkageTokens(np.array(patients, np.int32), _rows(ins), _rows(strict))


def kept_tokens(
    folder: Path, site_key: SiteKey, version: int, vault: Vault, key: bytes, *, with_ins: bool
) -> LinkageTokens:
    """The same, made once per snapshot and kept sealed in `folder`."""
    path, place = _kept_at(folder, version, key, with_ins=with_ins)
    if path.is_file():
        number, _, sealed = path.read_bytes().partition(b"\n")
        if number == str(version).encode():
            with contextlib.suppress(StoreError):  # altered, or the site's key was changed: made anew
                return _loaded(site_key.cipher("vault").open(sealed, place))
    made = linkage_tokens(vault, key, with_ins=with_ins)
    keep_tokens(folder, site_key, version, key, made, with_ins=with_ins)
    return made


def keep_tokens(
    folder: Path, site_key: SiteKey, version: int, key: bytes, tokens: LinkageTokens, *, with_ins: bool
) -> None:
    """Seal the tokens of a snapshot in `folder`, whole or not at all."""
    path, place = _kept_at(folder, version, key, with_ins=with_ins)
    scratch = path.with_name(f".{path.name}")
    scratch.write_bytes(f"{version}\n".encode() + site_key.cipher("vault").seal(_dumped(tokens), place))
    scratch.replace(path)


def _kept_at(folder: Path, version: int, key: bytes, *, with_ins: bool) -> tuple[Path, bytes]:
    """The file, and the place that it is sealed for."""
    name = hashlib.sha256(b"estran/linkage" + key + bytes([with_ins])).hexdigest()[:16]
    return folder / f"tokens-{name}", f"tokens/{name}/{version}".encode()


def strict_traits(traits: Traits) -> str:
    """Birth name, first given name, birth date and sex in one form; "" when one of them is not known."""
    family, given = folding.winner(traits, "family_names"), folding.winner(traits, "given_names")
    born, sex = folding.birth(traits), folding.winner(traits, "sex")
    if not family or not given or born is None or born[1] < Precision.DAY or not sex:
        return ""
    names = (_letters(family[0]), _letters(given[0].split()[0] if given[0].split() else ""))
    return "|".join((*names, born[0].isoformat(), str(sex))) if all(names) else ""


def _ins(traits: Traits) -> str:
    return "".join(str(folding.winner(traits, "ins") or "").split())


def _letters(name: str) -> str:
    return _LETTERS.sub("", fold(name))


def _token(key: bytes, part: str, text: str) -> bytes:
    return hmac.digest(key, f"{part}|{text}".encode(), "sha256")[:SIZE] if text else bytes(SIZE)


def _rows(tokens: bytearray) -> npt.NDArray[np.uint8]:
    return np.frombuffer(bytes(tokens), np.uint8).reshape(-1, SIZE)


def _dumped(tokens: LinkageTokens) -> bytes:
    rows = np.empty(len(tokens.patients), _ROW)
    rows["patient"], rows["ins"], rows["traits"] = tokens.patients, tokens.ins, tokens.traits
    return rows.tobytes()


def _loaded(data: bytes) -> LinkageTokens:
    rows = np.frombuffer(data, _ROW)
    return LinkageTokens(
        rows["patient"].astype(np.int32), np.ascontiguousarray(rows["ins"]), np.ascontiguousarray(rows["traits"])
    )
