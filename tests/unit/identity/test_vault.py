from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from estran.identity.keys import SiteKey
from estran.identity.traits import Person, Statement
from estran.identity.vault import NO_DATE, Vault
from estran.model.codes import Precision
from estran.model.errors import StoreError
from estran.model.tables import PATIENT


def person(**traits: object) -> Person:
    return Person(**traits)  # type: ignore[arg-type]


def say(*numbers: str, at: int = 1, content: int = 0, ins: str | None = None, **traits: object) -> Statement:
    return Statement(tuple(("IPP", n) for n in numbers), person(**traits), ins, at, content)


def test_numbers_become_dense_ids_and_stay_so(vault: Vault, tmp_path: Path, site_key: SiteKey) -> None:
    made = vault.introduce([say("1"), say("2"), say("1", at=2)])
    assert made.identity_ids.tolist() == [0, 1, 0]
    assert made.is_new.tolist() == [True, True, False]
    assert made.identity_ids.dtype == np.int32
    assert made.new_numbers.tolist() == [vault.key_hash("IPP", "1"), vault.key_hash("IPP", "2")]
    vault.close()
    with Vault.open(tmp_path / "vault", site_key) as again:
        assert again.resolve([("IPP", "2"), ("IPP", "1"), ("IPP", "3"), ("NIP", "1")]).tolist() == [1, 0, -1, -1]
        assert again.introduce([say("3")]).identity_ids.tolist() == [2]


def test_two_processes_see_each_other(vault: Vault, tmp_path: Path, site_key: SiteKey) -> None:
    with Vault.open(tmp_path / "vault", site_key) as other:
        assert other.resolve([("IPP", "1")]).tolist() == [-1]
        vault.introduce([say("1"), say("2")])
        assert other.resolve([("IPP", "1")]).tolist() == [0]
        vault.merge(0, 1, 5, 5)
        assert other.patient_of([0, 1]).tolist() == [0, 0]
        assert other.introduce([say("3")]).identity_ids.tolist() == [2]
        assert vault.introduce([say("4")]).identity_ids.tolist() == [3]


def test_the_latest_statement_wins_field_by_field(vault: Vault) -> None:
    vault.introduce([
        say("1", at=5, sex="female", birth_date=dt.date(1956, 3, 12)),
        say("1", at=9, postcode="35000"),
        say("1", at=1, sex="male", postcode="29200", death_date=dt.date(2020, 1, 2)),
    ])  # fmt: skip
    row = vault.patient_rows([0]).to_pylist()[0]
    assert row["sex"] == "female"
    assert row["birth_month"] == dt.date(1956, 3, 1)
    assert row["residence_area"] == "35"
    assert row["death_date"] == dt.date(2020, 1, 2)
    assert vault.patient_rows([0]).schema.equals(PATIENT)


@pytest.mark.parametrize(
    ("traits", "area"),
    [
        ({"commune": "2A004"}, "2A"),
        ({"commune": "97411"}, "974"),
        ({"postcode": "01000"}, "01"),
        ({"postcode": "SW1A"}, None),
    ],
)
def test_residence_is_rolled_up(vault: Vault, traits: dict[str, str], area: str | None) -> None:
    vault.introduce([say("1", **traits)])
    assert vault.patient_rows([0])["residence_area"].to_pylist() == [area]


def test_a_later_denial_takes_a_death_back(vault: Vault) -> None:
    vault.introduce([say("1", at=1, death_date=dt.date(2020, 1, 2)), say("1", at=2, deceased=False)])
    assert vault.patient_rows([0]).to_pylist()[0]["death_certainty"] is None
    vault.introduce([say("1", at=3, deceased=True)])
    assert vault.patient_rows([0]).to_pylist()[0]["death_certainty"] == "dated"


def test_birth_dates_are_given_to_the_day_or_not_at_all(vault: Vault) -> None:
    day = dt.date(1956, 3, 12)
    vault.introduce([say("1", birth_date=day), say("2", birth_date=day, birth_precision=Precision.MONTH), say("3")])
    assert vault.birth_dates([0, 1, 2]).tolist() == [(day - dt.date(1970, 1, 1)).days, NO_DATE, NO_DATE]


def test_changes_that_matter_are_told(vault: Vault) -> None:
    vault.introduce([say("1", at=1, family_names=("DUPONT",), sex="male", birth_date=dt.date(1956, 3, 12))])
    same = vault.introduce([say("1", at=2, family_names=("DUPONT",))])
    assert (same.traits_changed.tolist(), same.row_changed.tolist()) == ([False], [False])
    row = vault.introduce([say("1", at=3, sex="female")])
    assert (row.traits_changed.tolist(), row.row_changed.tolist()) == ([False], [True])
    name = vault.introduce([say("1", at=0, family_names=("MARTIN",))])  # late, and yet to be masked
    assert (name.traits_changed.tolist(), name.row_changed.tolist()) == ([True], [False])
    number = vault.introduce([say("1", "99", at=0)])
    assert number.traits_changed.tolist() == [True]


def test_aliases_join_identities_and_leave_a_trace(vault: Vault) -> None:
    vault.introduce([say("1", family_names=("DUPONT",)), say("2", family_names=("MARTIN",))])
    joined = vault.introduce([say("2", "1", at=7)])
    assert joined.moved == {1: (1, 0)}
    assert vault.patient_of([0, 1]).tolist() == [0, 0]
    assert vault.identities_of(0) == [0, 1]
    assert [(t.kind, t.identities) for t in vault.traces()] == [("alias", (0, 1))]
    assert set(vault.known([0])[0].family_names) == {"DUPONT", "MARTIN"}
    assert set(vault.known([0])[0].numbers) == {"1", "2"}


def test_merge_unmerge_and_split(vault: Vault) -> None:
    vault.introduce([say("1"), say("2"), say("3")])
    assert vault.merge(2, 1, 10, 0) == {2: (2, 1)}
    assert vault.merge(0, 1, 11, 0) == {1: (1, 0), 2: (1, 0)}
    assert vault.merge(1, 2, 9, 0, undo=True) == {}  # older than the merge
    assert vault.merge(1, 2, 12, 0, undo=True) == {2: (0, 2)}
    assert vault.patient_of([0, 1, 2]).tolist() == [0, 0, 2]
    assert vault.split(1, 13, 0) == {1: (0, 1)}
    assert vault.merged() == {}
    assert [t.kind for t in vault.traces()] == ["merge", "merge", "unmerge", "split"]


def test_those_left_behind_are_to_be_masked_again(vault: Vault) -> None:
    vault.introduce([say("1"), say("2"), say("3"), say("4")])
    vault.merge(0, 1, 1, 0)
    vault.merge(1, 2, 1, 0)
    vault.upkeep.settle([0, 1, 2])
    vault.merge(1, 2, 2, 0, undo=True)
    assert vault.upkeep.pending().tolist() == [0, 1, 2]


def test_the_ins_is_found_and_never_merges(vault: Vault) -> None:
    vault.introduce([say("1", ins="156033512345678"), say("2", ins="1 56 03 35 123 456 78")])
    assert vault.find_ins("156033512345678") == [0, 1]
    assert vault.patient_of([0, 1]).tolist() == [0, 1]
    assert "156033512345678" in vault.known([0])[0].numbers


def test_stays_are_one_per_identity_and_number(vault: Vault) -> None:
    vault.introduce([say("1"), say("2")])
    assert vault.stays([(0, "NDA", "7"), (1, "NDA", "7"), (0, "NDA", "7")]).tolist() == [0, 1, 0]
    assert vault.canonical_stays([0, 1]) == {}
    vault.merge(0, 1, 1, 1)
    vault.stays([(1, "NDA", "8")])
    assert vault.canonical_stays([0]) == {1: 0}


def test_originals_and_files(vault: Vault) -> None:
    vault.introduce([say("1")])
    vault.keep_originals([(0, -5, b"before"), (0, 6, b""), (0, -5, "après".encode())])
    assert vault.original(0, -5) == "après".encode()
    assert vault.original(0, 6) == b""
    assert vault.original(0, 7) is None
    assert dict(vault.originals(0)) == {-5: "après".encode(), 6: b""}
    assert vault.keep_file("ab" * 32, "adt_dupont.hl7", 12, "hl7v2") == (0, True)
    assert vault.keep_file("cd" * 32, "b.hl7", 13, "hl7v2") == (1, True)
    assert vault.keep_file("ab" * 32, "again.hl7", 12, "hl7v2") == (0, False)
    assert [(f.file_no, f.name) for f in vault.files()] == [(0, "adt_dupont.hl7"), (1, "b.hl7")]


def test_natural_keys(vault: Vault) -> None:
    vault.introduce([say("1", "9"), say("2")])
    vault.stays([(0, "NDA", "7"), (1, "NDA", "7")])
    vault.merge(1, 0, 1, 1)
    keys = vault.natural_keys()
    assert keys.patients == {0: "IPP|1\nIPP|2\nIPP|9"}
    assert keys.stays == dict.fromkeys((0, 1), "IPP|1\nIPP|2\nIPP|9|NDA|7")


def test_erasure_removes_everything_and_ids_are_not_given_again(vault: Vault) -> None:
    vault.introduce([say("1", ins="1"), say("2"), say("3")])
    vault.stays([(0, "NDA", "7")])
    vault.keep_originals([(1, 5, b"x")])
    vault.merge(0, 1, 1, 1)
    assert vault.erase(0) == [0, 1]
    assert vault.resolve([("IPP", "1"), ("IPP", "2"), ("IPP", "3")]).tolist() == [-1, -1, 2]
    assert vault.find_ins("1") == []
    assert vault.original(1, 5) is None
    assert vault.natural_keys().patients == {2: "IPP|3"}
    assert vault.traces()[-1].kind == "erase"
    assert vault.introduce([say("1")]).identity_ids.tolist() == [3]
    assert vault.stays([(3, "NDA", "7")]).tolist() == [1]
    assert vault.check() == []


def test_a_transaction_is_all_or_nothing(vault: Vault) -> None:
    vault.introduce([say("1", sex="male")])

    def fail() -> None:
        with vault.transaction():
            vault.introduce([say("1", at=2, sex="female"), say("2")])
            vault.stays([(0, "NDA", "1")])
            vault.merge(0, 1, 1, 1)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert vault.resolve([("IPP", "2")]).tolist() == [-1]
    assert vault.patient_rows([0])["sex"].to_pylist() == ["male"]
    assert vault.patient_of([1]).tolist() == [1]
    assert vault.introduce([say("5")]).identity_ids.tolist() == [1]
    assert vault.stays([(0, "NDA", "2")]).tolist() == [0]


def test_an_inner_transaction_fails_alone(vault: Vault) -> None:
    with vault.transaction():
        vault.introduce([say("1")])
        with pytest.raises(RuntimeError), vault.transaction():
            vault.introduce([say("2")])
            raise RuntimeError
        vault.introduce([say("3")])
    assert vault.resolve([("IPP", n) for n in "123"]).tolist() == [0, -1, 1]


def test_vaults_are_not_overwritten_nor_invented(tmp_path: Path, site_key: SiteKey) -> None:
    with pytest.raises(StoreError, match="missing"):
        Vault.open(tmp_path / "vault", site_key)
    Vault.create(tmp_path / "vault", site_key).close()
    with pytest.raises(StoreError, match="never overwritten"):
        Vault.create(tmp_path / "vault", site_key)
