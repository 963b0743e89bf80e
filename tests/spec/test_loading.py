"""What loading promises: the published counts, sums that always add up, no order that matters.

Real sets first, then small sites where one thing is shown at a time.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.spec import site_kit as kit
from tests.spec.conftest import Everything

from estran.app import Site
from estran.model.codes import Precision
from estran.projects import opposition

# GiBleed: Eunomia's CreateCohortTable defines the four cohorts; the counts are those it publishes.
GIBLEED = {
    "OMOP:1118084": 1844,  # celecoxib
    "OMOP:1124300": 850,  # diclofenac
    "OMOP:192671": 479,  # gastrointestinal haemorrhage
    "OMOP:1118084 OU OMOP:1124300": 2694,  # NSAIDs
}


def test_gibleed_gives_the_published_counts(gibleed: Site) -> None:
    assert {question: len(kit.ask(gibleed, question)) for question in GIBLEED} == GIBLEED
    assert kit.value(gibleed, "select count(*) from patient") == 2694


@pytest.fixture(scope="module")
def gibleed(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = kit.make(tmp_path_factory.mktemp("gibleed") / "site")
    report = kit.load_feed(site, kit.feeds(shared)["gibleed"])
    assert report.reasons == REASONS["gibleed"]
    return site


# Every record read ends in one of three ways, and every reason for the third is known.

NO_DATA = "unknown-type: An acknowledgement carries no data."
REASONS: dict[str, dict[str, int]] = {}


@pytest.mark.parametrize("name", list(REASONS))
def test_every_record_is_accounted_for(name: str, everything: Everything) -> None:
    report = everything.reports[name]
    assert not report.refused_files
    for part in report.files:
        assert part.read == part.loaded + part.superseded + part.quarantined, (part.file, part.part)
    assert report.reasons == REASONS[name]
    assert report.total("quarantined") == sum(REASONS[name].values())
