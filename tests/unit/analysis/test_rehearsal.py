"""All rounds in one process: a site lost on the way, too few sites, one site alone."""

from __future__ import annotations

import json

import pytest
from tests.unit.analysis.six_sites import COVARIATES, Region, close, estimates, pooled_newton

from estran.analysis.federated.masking import SiteLost
from estran.analysis.federated.rehearsal import rehearse
from estran.analysis.federated.rounds import MOST_ROUNDS, Params
from estran.model.errors import NotAllowed, UsageError

ASKED = {"family": "logistic", "outcome": "died", "covariates": COVARIATES}


def test_a_study_that_loses_a_site_begins_anew_without_it(region: Region) -> None:
    sites = region.sites()
    found = rehearse("glm", ASKED, sites, lost=lambda number: ["site2"] if number == 3 and "site2" in sites else [])
    rest = region.site != 2
    assert found.shown["sites"] == 5 and found.shown["patients"] == rest.sum()
    assert close(estimates(found)[0], pooled_newton("logistic", region.x[rest], region.died[rest])[0], 1e-9)
    model = {"method": "glm", **ASKED}
    meta = {"model": model, "term": "age", "sites": sorted(sites)}
    left = rehearse("meta", meta, sites, lost=lambda number: ["site0"])
    assert [one["site"] for one in left.shown["sites"]] == ["site1", "site2", "site3", "site4", "site5"]


def test_a_study_ends_when_two_sites_are_left(region: Region) -> None:
    three = {name: table for name, table in region.sites().items() if name in ("site0", "site1", "site2")}
    with pytest.raises(SiteLost, match="begin the study anew"):
        rehearse("glm", ASKED, three, lost=lambda number: ["site1"])
    two = {name: three[name] for name in ("site0", "site1")}
    for method, asked in (("glm", ASKED), ("contingency", {"factors": [COVARIATES[1]]})):
        with pytest.raises(NotAllowed, match="at least 3 sites"):
            rehearse(method, asked, two)
    with pytest.raises(UsageError, match="table of a site"):
        rehearse("glm", ASKED, {})


def test_one_site_is_tried_out_under_its_own_safeguards(region: Region) -> None:
    table = region.sites()["site1"]
    found = rehearse("glm", ASKED, {"here": table})
    assert found.shown["sites"] == 1
    assert json.loads(found.to_json())["result"]["patients"] == table.num_rows
    with pytest.raises(NotAllowed):
        rehearse("glm", ASKED, {"here": table.slice(0, 9)})


def test_a_round_that_cannot_be_is_refused() -> None:
    far = Params("glm", "newton", {}, {}, MOST_ROUNDS + 1).to_json()
    for text in ("", "[]", '{"method": "glm"}', far):
        with pytest.raises(UsageError):
            Params.from_json(text)
