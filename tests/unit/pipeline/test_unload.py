"""Taking loads back: the site is as if they had never come; reading a source anew changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import fresh
from tests.unit.opposing import erase
from tests.unit.pipeline.test_promises import admission, load, message, patient, person, result, values

from estran.app import Site
from estran.model.errors import UsageError
from estran.settings import Settings
from estran.sources.pipeline.run import Report
from estran.sources.pipeline.unload import reload, unload


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return fresh.site(tmp_path / "site", Settings())


def digest(site: Site) -> str:
    with site.vault() as vault:
        keys = vault.natural_keys()
    return site.warehouse.digest(keys.patients, keys.stays)


def last_load(site: Site) -> int:
    with site.snapshot().connect() as connection:
        return int(connection.execute("select max(load_id) from raw_load").fetchall()[0][0])


def balances(report: Report) -> bool:
    return report.total("read") == sum(report.total(name) for name in ("loaded", "superseded", "quarantined"))


MOVE = "ZBE|7^^CHU|20250103090000||INSERT|N||W2"
FIRST = (
    admission("20250101080000", "1"),
    result("20250102090000", person("1"), "5"),
    message("ADT^A02", "20250103090000", person("1"), "PV1||I|W2||||||||||||||||V1^^^CHU", MOVE),
)
SECOND = (
    result("20250104090000", person("1"), "6"),
    message("ADT^A03", "20250105080000", person("1"), "PV1||I|W3||||||||||||||||V1^^^CHU"),
    admission("20250105090000", "1").replace("V1^", "V9^"),
    message("ADT^A02", "20250104090000", person("1"), "PV1||I|W3||||||||||||||||V1^^^CHU", MOVE.replace("W2", "W3")),
)


def test_what_a_load_had_replaced_comes_back(site: Site) -> None:
    load(site, "first", *FIRST)
    before = digest(site)
    load(site, "second", *SECOND)
    assert values(site) == [6.0]
    with site.loading() as parts:
        taken = unload(parts, last_load(site))
    assert (taken.documents, taken.loads) == (1, [1])
    assert taken.report.total("loaded") >= 1 and balances(taken.report)
    assert values(site) == [5.0]
    assert digest(site) == before
    assert site.warehouse.check() == []


def test_a_load_taken_back_can_come_again(site: Site) -> None:
    load(site, "first", *FIRST)
    load(site, "second", *SECOND)
    after = digest(site)
    with site.loading() as parts:
        unload(parts, last_load(site))
    load(site, "second", *SECOND)
    assert digest(site) == after
    assert site.warehouse.check() == []


def test_the_same_file_of_a_later_load_takes_the_place(site: Site) -> None:
    load(site, "first", *FIRST)
    load(site, "again", *FIRST)
    before = digest(site)
    with site.loading() as parts:
        unload(parts, 0)
    assert digest(site) == before


def test_reading_a_source_anew_changes_nothing(site: Site) -> None:
    load(site, "first", *FIRST)
    load(site, "second", *SECOND)
    load(site, "other", admission("20250101080000", "5"), result("20250102090000", person("5"), "9"), source="other")
    before, version = digest(site), site.snapshot().version
    with site.loading() as parts:
        taken = reload(parts, "hl7v2")
    assert len(taken.loads) == 2 and balances(taken.report)
    assert digest(site) == before
    assert values(site) == [6.0, 9.0]
    assert len([info for info in site.warehouse.versions() if info.version > version]) == 1  # at one instant
    assert site.warehouse.check() == []


def test_a_quarantined_record_is_taken_back_too(site: Site) -> None:
    load(site, "waiting", result("20250102090000", "PID|||99^^^CHU^PI", "5"))
    with site.loading() as parts:
        taken = unload(parts, 0)
    assert taken.quarantined == 1
    load(site, "patient", admission("20250103080000", "99"))
    assert values(site) == []
    assert site.warehouse.check() == []


def test_a_failure_in_between_leaves_all_as_it_was(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    load(site, "first", *FIRST)
    before, version = digest(site), site.snapshot().version
    monkeypatch.setattr("estran.sources.pipeline.unload._read_again", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError), site.loading() as parts:
        unload(parts, 0)
    assert (digest(site), site.warehouse.latest()) == (before, version)
    assert site.warehouse.check() == []
    load(site, "second", *SECOND)
    assert site.warehouse.check() == []


def test_what_is_not_there_is_refused(site: Site) -> None:
    with site.loading() as parts:
        with pytest.raises(UsageError, match="no load 7"):
            unload(parts, 7)
        with pytest.raises(UsageError, match="Nothing was loaded"):
            reload(parts, "fhir")


def test_what_came_back_is_taken_back_with_its_own_load(site: Site) -> None:
    load(site, "first", *FIRST)
    before, loads = digest(site), last_load(site)
    load(site, "wrong", result("20250103090000", person("1"), "66"))
    load(site, "second", *SECOND)
    with site.loading() as parts:
        unload(parts, 2)
        assert values(site) == [66.0]
        unload(parts, 1)
    assert (digest(site), last_load(site)) == (before, loads)
    assert site.warehouse.check() == []


def test_what_another_source_said_as_well_stays(site: Site) -> None:
    load(site, "first", *FIRST)
    load(site, "again", *FIRST, source="other")
    with site.loading() as parts:
        unload(parts, 0)
    with site.snapshot().connect() as connection:
        assert connection.execute("select count(*) from stay").fetchall() == [(1,)]
    assert values(site) == [5.0]
    assert site.warehouse.check() == []


def test_nothing_is_taken_back_that_an_erasure_keeps_from_coming_back(site: Site) -> None:
    load(site, "two", *FIRST, admission("20250101080000", "2"))
    with site.loading() as parts:
        erase(site, parts, patient(site, "2"))
        with pytest.raises(UsageError, match="erased with a patient"):
            reload(parts, "hl7v2")
    assert values(site) == [5.0]


def test_who_waits_to_be_masked_still_waits_when_a_reload_dies(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    load(site, "first", *FIRST)
    with site.loading() as parts:
        parts.vault.upkeep.mark([0])
        monkeypatch.setattr("estran.sources.pipeline.run.Load.replay", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            reload(parts, "hl7v2")
        assert parts.vault.upkeep.pending().tolist() == [0]
