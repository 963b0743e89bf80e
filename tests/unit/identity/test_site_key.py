from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from estran.identity.keys import create_key, read_key
from estran.identity.vault import Vault
from estran.model.errors import StoreError


def test_a_key_file_is_private_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "SITE.key"
    made = create_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_key(path) == made
    assert made.master.hex() not in repr(made)


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "SITE.key"
    before = create_key(path)
    with pytest.raises(StoreError, match="never overwritten"):
        create_key(path)
    assert read_key(path) == before


def test_a_missing_key_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="missing") as error:
        read_key(tmp_path / "SITE.key")
    assert error.value.hint


@pytest.mark.parametrize("damage", ["", "estran-key 9\nid 0\nmaster 0\n", "bytes"])
def test_a_damaged_key_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "SITE.key"
    create_key(path)
    text = path.read_text()
    spoilt = text.replace(text[-6], "A" if text[-6] != "A" else "B") if damage == "bytes" else damage
    path.write_text(spoilt)
    with pytest.raises(StoreError, match="cannot be read"):
        read_key(path)


def test_the_key_of_another_site_is_refused(tmp_path: Path) -> None:
    Vault.create(tmp_path / "vault", create_key(tmp_path / "a.key")).close()
    with pytest.raises(StoreError, match="not the one of this vault") as error:
        Vault.open(tmp_path / "vault", create_key(tmp_path / "b.key"))
    assert read_key(tmp_path / "a.key").key_id in error.value.hint


def test_subkeys_differ_by_purpose_and_by_site(tmp_path: Path) -> None:
    a, b = create_key(tmp_path / "a"), create_key(tmp_path / "b")
    values = {key.subkey(purpose) for key in (a, b) for purpose in ("cipher/vault", "cipher/landing", "hash/vault")}
    assert len(values) == 6
    assert a.hash("vault").of("number", "IPP", "1") != b.hash("vault").of("number", "IPP", "1")


def test_a_sealed_value_opens_in_its_own_place_only(tmp_path: Path) -> None:
    cipher = create_key(tmp_path / "k").cipher("vault")
    sealed = cipher.seal(b"secret", b"number/1")
    assert cipher.open(sealed, b"number/1") == b"secret"
    assert cipher.seal(b"secret", b"number/1") != sealed
    with pytest.raises(StoreError):
        cipher.open(sealed, b"number/2")
    with pytest.raises(StoreError):
        cipher.open(sealed[:5], b"number/1")


def test_record_keys_agree_one_by_one_and_in_batches(tmp_path: Path) -> None:
    key = create_key(tmp_path / "k")
    many = key.record_keys("fhir/Observation", ["a", "b", "é"])
    assert many.dtype == np.int64
    assert many.tolist() == [key.hash("record").of("fhir/Observation", v) for v in ("a", "b", "é")]
    assert key.record_keys("x", []).tolist() == []


def test_integer_record_keys_are_a_permutation(tmp_path: Path) -> None:
    key = create_key(tmp_path / "k")
    numbers = np.arange(200_000, dtype=np.int64)
    keys = key.record_key_ints("omop/measurement", numbers)
    assert keys.dtype == np.int64
    assert len(np.unique(keys)) == len(numbers)
    assert keys.tolist()[:5] == key.record_key_ints("omop/measurement", numbers[:5]).tolist()
    assert not np.array_equal(keys, key.record_key_ints("omop/drug", numbers))
    assert 0.49 < float((keys < 0).mean()) < 0.51  # every bit is mixed
