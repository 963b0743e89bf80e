"""Results as tables and drawings, in two languages; nothing is told or drawn that the result does not show."""

from __future__ import annotations

import re
from typing import Any

import pytest
from lxml import etree
from tests.unit.analysis.six_sites import COVARIATES, Region

from estran.analysis.federated.pictures import forest_plot, survival_curve
from estran.analysis.federated.rehearsal import rehearse
from estran.analysis.federated.rounds import Result
from estran.analysis.federated.telling import tell
from estran.analysis.federated.words import Words

SEX, WARD = COVARIATES[1], COVARIATES[3]
LOGISTIC = {"family": "logistic", "outcome": "died", "covariates": COVARIATES[:2]}
FOLLOW = {"time": "time", "event": "event", "horizon": 400}
ASKED: dict[str, dict[str, Any]] = {
    "describe": {"variables": ["age", SEX, {"name": "crp", "low": 0, "high": 100}]},
    "contingency": {"factors": [WARD, SEX]},
    "quantiles": {"variable": "age", "low": 0, "high": 120},
    "glm": LOGISTIC,
    "cox": {**FOLLOW, "covariates": COVARIATES[:2], "baseline": "site"},
    "survival": {**FOLLOW, "group": WARD},
    "meta": {"model": {"method": "glm", **LOGISTIC}, "term": "age", "sites": [f"site{n}" for n in range(6)]},
}


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    sites = Region(2_000).sites()
    return {name: rehearse(name, asked, sites) for name, asked in ASKED.items()}


def test_every_method_is_told_in_both_languages(results: dict[str, Result]) -> None:
    for name, found in results.items():
        english, french = tell(found), tell(found, "fr")
        assert english != french, name
        for text in (english, french):
            tables = re.findall(r"(?:^\|.*\n?)+", text, re.M)
            assert tables, name
            for one in tables:
                assert len({line.count("|") - line.count("\\|") for line in one.strip().splitlines()}) == 1, name
    told = tell(results["glm"], "fr")
    assert "rapport de cotes" in told and "sex=male" in told and "," in told
    assert f"{results['contingency'].shown['cells'][0][0]:,}" in tell(results["contingency"])


def test_counts_and_numbers_as_people_write_them() -> None:
    english, french = Words(), Words("fr")
    assert [english.count(one) for one in (12_345, {"below": 10}, None)] == ["12,345", "fewer than 10", "suppressed"]
    assert [french.count(one) for one in (12_345, {"below": 10}, None)] == ["12\u202f345", "moins de 10", "masqué"]
    assert [english.number(one) for one in (-1234.567, 0.00001234, None, 0.0)] == ["−1,235", "1.234e-05", "–", "0"]
    assert french.number(-1234.567) == "−1\u202f235" and french.number(0.25) == "0,25"
    assert english.p(1e-9) == "< 0.0001" and french.p(0.0312) == "0,031"


def test_a_survival_drawing_has_the_shown_steps_and_the_patients_at_risk(results: dict[str, Result]) -> None:
    found = results["survival"]
    drawing = etree.fromstring(survival_curve(found))
    name = "{http://www.w3.org/2000/svg}"
    lines = drawing.findall(f"{name}path[@fill='none']")
    assert len(lines) == 3 and len({one.get("stroke-dasharray") for one in lines}) == 3
    steps = found.shown["groups"][0]["steps"]
    assert lines[0].get("d").count("L") == 2 * len(steps) + 1
    words = [one.text for one in drawing.iter(f"{name}text")]
    first = found.shown["groups"][0]["at_risk"][0]["patients"]
    assert "at risk" in words and f"{first:,}" in words and "surgery" in words
    assert "style" not in survival_curve(found) and "Survie par groupe" in survival_curve(found, "fr")


def test_a_forest_plot_has_a_square_per_site_and_two_diamonds(results: dict[str, Result]) -> None:
    drawing = etree.fromstring(forest_plot(results["meta"]))
    name = "{http://www.w3.org/2000/svg}"
    squares = drawing.findall(f"{name}rect")
    assert len(squares) == 6 and len(drawing.findall(f"{name}path")) == 2
    weights = [one["weight"] for one in results["meta"].shown["sites"]]
    sides = [float(one.get("width")) for one in squares]
    assert sorted(range(6), key=sides.__getitem__) == sorted(range(6), key=weights.__getitem__)
    assert float(drawing.get("viewBox").split()[2]) == 680
