"""Promises of the pipeline that were once broken: each test is the smallest story that broke one."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from tests import fresh
from tests.unit.opposing import erase, oppose

from estran.app import Site
from estran.settings import Settings
from estran.sources.pipeline.run import Report, ingest

TODAY = dt.date(2025, 2, 1)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return fresh.site(tmp_path / "site", Settings())


def load(site: Site, name: str, *messages: str, source: str = "") -> Report:
    path = site.directory.parent / f"{name}.hl7"
    path.write_text("\r".join(messages) + "\r", newline="")
    with site.loading() as parts:
        return ingest(parts, "hl7v2", [path], name=source)


def message(kind: str, time: str, *segments: str) -> str:
    return "\r".join((f"MSH|^~\\&|APP|CHU|||{time}||{kind}|{time}|P|2.5", f"EVN||{time}", *segments))


def person(number: str, birth: str = "") -> str:
    return f"PID|||{number}^^^CHU^PI||KERGUELEN^Armelle||{birth}|F"


def admission(time: str, number: str, birth: str = "") -> str:
    return message("ADT^A01", time, person(number, birth), f"PV1||I|W1||||||||||||||||V{number}^^^CHU")


def result(time: str, pid: str, value: str) -> str:
    return message("ORU^R01", time, pid, f"OBR|1||F1|GLU^Glucose^L|||{time}",
                   f"OBX|1|NM|GLU^Glucose^L||{value}|mmol/L|||||F|||{time}")  # fmt: skip


NOBODY = "PID|||99^^^CHU^PI"  # a number alone introduces nobody


def patient(site: Site, number: str) -> int:
    with site.vault() as vault:
        return int(vault.patient_of(vault.resolve([("CHU", number)]))[0])


def values(site: Site) -> list[float]:
    with site.snapshot().connect() as connection:
        return [row[0] for row in connection.execute("select value from fact order by value").fetchall()]


def test_a_correction_on_the_day_of_birth_counts_when_the_birth_date_comes_with_it(site: Site) -> None:
    load(site, "first", result("20250115100000", person("1"), "5"))
    load(site, "second", result("20250115120000", person("1", "20250115"), "6"))
    assert values(site) == [6.0]


def test_a_correction_that_comes_first_on_the_day_of_birth_stays(site: Site) -> None:
    load(site, "second", result("20250115120000", person("1", "20250115"), "6"))
    load(site, "first", result("20250115100000", person("1"), "5"))
    assert values(site) == [6.0]


def test_an_opposition_outlives_a_merge_and_its_undoing(site: Site) -> None:
    load(site, "two", admission("20250101080000", "1"), admission("20250102080000", "2"))
    one, two = patient(site, "1"), patient(site, "2")
    oppose(site.warehouse, two, "warehouse", TODAY - dt.timedelta(days=400))
    load(site, "merge", message("ADT^A40", "20250103080000", person("1"), "MRG|2^^^CHU^PI"))
    assert not site.snapshot().population()
    with site.loading() as parts:
        parts.vault.merge(one, two, 1 << 55, 0, undo=True)
    load(site, "other", admission("20250104080000", "3"))
    assert two not in site.snapshot().population()
    assert site.warehouse.check() == []


def test_an_opposition_given_while_merged_holds_for_both_after_a_split(site: Site) -> None:
    load(site, "two", admission("20250101080000", "1"), admission("20250102080000", "2"))
    one, two = patient(site, "1"), patient(site, "2")
    load(site, "merge", message("ADT^A40", "20250103080000", person("1"), "MRG|2^^^CHU^PI"))
    oppose(site.warehouse, patient(site, "2"), "warehouse", TODAY - dt.timedelta(days=400))
    with site.loading() as parts:
        parts.vault.split(two, 1 << 55, 0)
    load(site, "other", admission("20250104080000", "3"))
    assert not {one, two} & set(site.snapshot().population())


def test_a_load_goes_on_when_a_waiting_record_lies_in_an_erased_file(site: Site) -> None:
    load(site, "both", admission("20250101080000", "1"), result("20250102080000", NOBODY, "5"))
    with site.loading() as parts:
        erase(site, parts, patient(site, "1"))
    load(site, "later", admission("20250103080000", "99"))
    assert values(site) == []
    assert site.warehouse.check() == []
    report = load(site, "again", result("20250102080000", NOBODY, "5"))
    assert report.total("loaded") == 1
    assert values(site) == [5.0]


def test_a_record_sent_again_after_its_file_was_erased_waits_anew(site: Site) -> None:
    load(site, "both", admission("20250101080000", "1"), result("20250102080000", NOBODY, "5"))
    with site.loading() as parts:
        erase(site, parts, patient(site, "1"))
    assert load(site, "again", result("20250102080000", NOBODY, "5")).total("quarantined") == 1
    load(site, "later", admission("20250103080000", "99"))
    assert values(site) == [5.0]
    assert site.warehouse.check() == []


def test_one_file_of_two_sources_waits_once_for_each(site: Site) -> None:
    for source in ("a", "b"):
        assert load(site, "labo", result("20250102080000", NOBODY, "5"), source=source).total("quarantined") == 1
    assert site.warehouse.check() == []
    assert load(site, "later", admission("20250103080000", "99")).replayed == 2
    assert values(site) == [5.0, 5.0]
    assert site.warehouse.check() == []


def test_a_file_given_back_in_clear_has_no_name(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    load(site, "some", admission("20250101080000", "1"))
    with site.loading() as parts, parts.landing.restored(parts.vault.file(0).sha256) as copy:
        assert copy.read_bytes().startswith(b"MSH|")
        assert list((tmp_path / "scratch").iterdir()) == []


def test_a_correction_under_the_surviving_number_replaces_the_first_result(site: Site) -> None:
    """Whatever comes first; and a split gives each number its own back."""
    load(site, "two", admission("20250101080000", "1"), admission("20250102080000", "2"))
    load(site, "first", result("20250102090000", person("2"), "5"))
    load(site, "merge", message("ADT^A40", "20250103080000", person("1"), "MRG|2^^^CHU^PI"))
    load(site, "corrected", result("20250104090000", person("1"), "6"))
    assert values(site) == [6.0]
    assert site.warehouse.check() == []
    assert load(site, "late", result("20250102093000", person("2"), "5.5")).total("loaded") == 1
    assert values(site) == [6.0]
    with site.loading() as parts:
        parts.vault.split(patient(site, "2"), 1 << 55, 0)
        two = int(parts.vault.resolve([("CHU", "2")])[0])
        parts.vault.split(two, 1 << 55, 0)
    load(site, "other", admission("20250105080000", "3"))
    assert values(site) == [5.5, 6.0]
    assert site.warehouse.check() == []


def test_versions_that_a_merge_brings_together_are_settled_by_it(site: Site) -> None:
    load(site, "two", admission("20250101080000", "1"), admission("20250102080000", "2"))
    load(site, "corrected", result("20250104090000", person("1"), "6"), result("20250102090000", person("2"), "5"))
    assert values(site) == [5.0, 6.0]
    load(site, "merge", message("ADT^A40", "20250103080000", person("1"), "MRG|2^^^CHU^PI"))
    assert values(site) == [6.0]
    assert site.warehouse.check() == []
