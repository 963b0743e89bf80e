"""Nothing of a person can be read, altered or moved without the key."""

from __future__ import annotations

import datetime as dt
import sqlite3
from pathlib import Path

import pytest

from estran.identity.keys import SiteKey
from estran.identity.traits import Person, Statement
from estran.identity.vault import Vault
from estran.model.errors import StoreError

SECRETS = (
    "QUERCITRON", "Wilhelmine", "1956-03-12", "19560312", "12 rue du Puits", "35137", "Bédée", "0699887766",
    "w.quercitron", "8009876543", "257033512345678", "NDA4455", "adt_quercitron", "Compte rendu de Wilhelmine",
)  # fmt: skip
EVENT_TIME = 1_710_000_123_456_789


def fill(vault: Vault) -> None:
    who = Person(
        family_names=("QUERCITRON",), given_names=("Wilhelmine",), birth_date=dt.date(1956, 3, 12), postcode="35137",
        addresses=("12 rue du Puits",), city="Bédée", phones=("0699887766",), mails=("w.quercitron@example.org",),
    )  # fmt: skip
    numbers = (("IPP", "8009876543"), ("IPP", "8009876544"))
    vault.introduce([Statement(numbers[1:], who, "257033512345678", EVENT_TIME, 3)])
    vault.introduce([Statement(numbers[:1], who, None, EVENT_TIME, 4)])
    vault.introduce([Statement(numbers, who, None, EVENT_TIME, 5)])
    vault.merge(0, 1, EVENT_TIME, 6)
    vault.stays([(0, "NDA", "NDA4455")])
    vault.keep_originals([(0, 9, b"Compte rendu de Wilhelmine QUERCITRON")])
    vault.keep_file("0f" * 32, "adt_quercitron.hl7", 99, "hl7v2")


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def clear_forms() -> list[bytes]:
    texts = [
        form.encode(code) for s in SECRETS for form in (s, s.lower(), s.upper()) for code in ("utf-8", "utf-16-le")
    ]
    return texts + [EVENT_TIME.to_bytes(8, order) for order in ("big", "little")] + [str(EVENT_TIME).encode()]


def test_nothing_is_in_clear_in_any_file(vault: Vault, tmp_path: Path) -> None:
    fill(vault)
    assert len(list((tmp_path / "vault").iterdir())) >= 2  # the write-ahead log too
    data = everything(tmp_path / "vault")
    assert [form for form in clear_forms() if form in data] == []
    vault.close()
    data = everything(tmp_path / "vault")
    assert [form for form in clear_forms() if form in data] == []
    assert b"identity" in data  # the scan does read the file


def test_files_are_private(vault: Vault, tmp_path: Path) -> None:
    fill(vault)
    assert (tmp_path / "vault").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "vault").iterdir())


def test_erased_values_leave_the_files(vault: Vault, tmp_path: Path) -> None:
    fill(vault)
    path = tmp_path / "vault" / "vault.sqlite"
    with sqlite3.connect(path) as db:
        tables = ("identity", "number", "stay", "original", "link")
        sealed = [row[0] for table in tables for row in db.execute(f"SELECT sealed FROM {table}")]
    db.close()
    assert all(value in everything(path.parent) for value in sealed)
    vault.erase(0)
    assert [value for value in sealed if value in everything(path.parent)] == []


@pytest.mark.parametrize("table", ["identity", "number", "stay", "original", "link", "file", "trace"])
def test_one_altered_byte_is_noticed(vault: Vault, tmp_path: Path, site_key: SiteKey, table: str) -> None:
    fill(vault)
    vault.close()
    path = tmp_path / "vault" / "vault.sqlite"
    with sqlite3.connect(path) as db:
        (value,) = db.execute(f"SELECT sealed FROM {table} LIMIT 1").fetchone()
    db.close()
    data = bytearray(path.read_bytes())
    data[data.index(value) + len(value) // 2] ^= 1
    path.write_bytes(data)
    with Vault.open(tmp_path / "vault", site_key) as spoilt:
        assert any("altered" in finding for finding in spoilt.check())


def test_an_altered_number_does_not_resolve(vault: Vault, tmp_path: Path, site_key: SiteKey) -> None:
    fill(vault)
    vault.close()
    with sqlite3.connect(tmp_path / "vault" / "vault.sqlite") as db:
        db.execute("UPDATE number SET identity_id = 1 - identity_id")
    db.close()
    with Vault.open(tmp_path / "vault", site_key) as spoilt, pytest.raises(StoreError, match="altered"):
        spoilt.resolve([("IPP", "8009876543")])


def test_swapped_values_are_noticed(vault: Vault, tmp_path: Path, site_key: SiteKey) -> None:
    fill(vault)
    vault.close()
    with sqlite3.connect(tmp_path / "vault" / "vault.sqlite") as db:
        a, b = (row[0] for row in db.execute("SELECT sealed FROM identity ORDER BY identity_id"))
        db.execute("UPDATE identity SET sealed = CASE identity_id WHEN 0 THEN ? ELSE ? END", (b, a))
    db.close()
    with Vault.open(tmp_path / "vault", site_key) as spoilt:
        assert spoilt.check()
        with pytest.raises(StoreError):
            spoilt.patient_rows([0])


def test_a_file_that_is_no_vault_is_refused(vault: Vault, tmp_path: Path, site_key: SiteKey) -> None:
    vault.close()
    path = tmp_path / "vault" / "vault.sqlite"
    path.write_bytes(b"not a database" * 500)
    with pytest.raises(StoreError, match="cannot be used"):
        Vault.open(path.parent, site_key)


def test_messages_hold_no_value(vault: Vault, tmp_path: Path, site_key: SiteKey) -> None:
    fill(vault)
    vault.close()
    with sqlite3.connect(tmp_path / "vault" / "vault.sqlite") as db:
        db.execute("UPDATE number SET sealed = zeroblob(60)")
    db.close()
    with Vault.open(tmp_path / "vault", site_key) as spoilt, pytest.raises(StoreError) as error:
        spoilt.resolve([("IPP", "8009876543")])
    assert not any(secret in str(error.value) for secret in SECRETS)
