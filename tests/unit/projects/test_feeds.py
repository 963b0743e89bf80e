"""The health of feeds: what is said of each, and what raises an alert."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from tests import fresh
from tests.unit.pipeline.test_promises import admission, load, person, result

from estran.app import Site
from estran.model.errors import UsageError
from estran.model.feeds import Feed, read_feeds
from estran.projects.feeds import as_row, loads, states
from estran.settings import Settings

NOW = dt.datetime.now(dt.UTC)
BAD = "MSH|^~\\&|APP|CHU|||20250101||ADT^A01|77|P|2.5"  # no PID: refused


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return fresh.site(tmp_path / "site", Settings())


def test_each_source_tells_its_volume_and_its_newest_date(site: Site) -> None:
    load(site, "a", admission("20250101080000", "1"), *(result(f"202501{d:02d}090000", person("1"), "5").replace("||F1|", f"||F{d}|") for d in range(1, 16)))
    (state,) = states(site.snapshot())
    assert (state.source, state.read, state.newest, state.alerts) == ("hl7v2", 16, dt.date(2025, 1, 15), ())
    assert sum(state.weeks) == 15 and state.weeks[-2:] == (7, 7)
    assert as_row(state)["newest"] == "2025-01-15"


def test_a_described_feed_that_never_came_is_missing(site: Site) -> None:
    (state,) = states(site.snapshot(), [Feed("adt", "hl7v2", "feeds/adt")])
    assert (state.source, state.alerts, state.last_load) == ("hl7v2/adt", ("missing",), None)


@pytest.mark.parametrize(("hours", "alerts"), [(1, ()), (30, ("silent",))])
def test_a_feed_is_silent_after_what_it_says(site: Site, hours: int, alerts: tuple[str, ...]) -> None:
    load(site, "a", admission("20250101080000", "1"), source="adt")
    feed = Feed("adt", "hl7v2", "feeds/adt", expected="24h")
    (state,) = states(site.snapshot(), [feed], NOW + dt.timedelta(hours=hours))
    assert state.alerts == alerts


def test_a_feed_that_says_nothing_is_silent_after_four_of_its_pauses(site: Site) -> None:
    for number in range(5):
        load(site, f"f{number}", admission("20250101080000", str(number)))
    assert states(site.snapshot(), now=NOW + dt.timedelta(minutes=2))[0].alerts == ()
    assert states(site.snapshot(), now=NOW + dt.timedelta(hours=1))[0].alerts == ("silent",)


def test_many_rejects_in_the_last_load_raise_an_alert(site: Site) -> None:
    load(site, "a", *(admission("20250101080000", str(n)) for n in range(20)))
    assert states(site.snapshot())[0].alerts == ()
    load(site, "b", admission("20250102080000", "30"), BAD)
    state = states(site.snapshot())[0]
    assert (state.reject_rate, state.alerts) == (0.5, ("rejects",))


def test_codes_never_seen_before_raise_an_alert(site: Site) -> None:
    load(site, "a", admission("20250101080000", "1"), result("20250101090000", person("1"), "5"))
    load(site, "b", result("20250102090000", person("1"), "6").replace("GLU^Glucose", "GLUC^Glycémie").replace("||F1|", "||F2|"))
    state = states(site.snapshot())[0]
    assert (state.new_codes, state.new_code_share, state.alerts) == (1, 1.0, ("drift",))


def test_loads_are_listed_newest_first(site: Site) -> None:
    load(site, "a", admission("20250101080000", "1"))
    load(site, "b", admission("20250101080000", "1"), BAD, source="adt")
    found = loads(site.snapshot())
    assert [(row["load"], row["source"], row["read"]) for row in found] == [(1, "hl7v2/adt", 2), (0, "hl7v2", 1)]
    assert [row["load"] for row in loads(site.snapshot(), "hl7v2")] == [0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[feed]]\nname = "a"\nformat = "hl7v2"', "needs its 'path'"),
        ('[[feed]]\nname = "a"\nformat = "hl7v2"\npath = "x"\nevery = "soon"', "no length of time"),
        ('[[feed]]\nname = "a"\nformat = "hl7v2"\npath = "x"\nfolder = "y"', "no 'folder'"),
        ('[[feed]]\nname = "a"\nformat = "hl7v2"\npath = 3', "text in quotes"),
        ("[feed]\nname = 'a'", "tables"),
        ('[[feed]]\nname = "a"\nformat = "f"\npath = "x"\n[[feed]]\nname = "a"\nformat = "f"\npath = "x"', "Two feeds"),
    ],
)
def test_a_feed_that_is_not_well_described_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "estran.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_feeds(path)
