"""Units that measure the same are converted by an exact factor; others are not."""

from __future__ import annotations

import pytest

from estran.terminology.conversion import factor


@pytest.mark.parametrize(
    ("given", "wanted", "by"),
    [
        ("mg/dL", "g/L", 0.01), ("g/dL", "g/L", 10.0), ("umol/L", "mmol/L", 0.001), ("K/µL", "10*9/L", 1.0), ("/uL", "10*9/L", 0.001),
        ("mmHg", "kPa", 0.133322387415), ("%", "1", 0.01), ("ng/mL", "ug/L", 1.0), ("mL/min", "L/h", 0.06), ("UI/L", "kUI/L", 0.001),
        ("jours", "wk", 1 / 7), ("mg/24h", "g/d", 0.001), ("{score}", "{score}", 1.0),
    ],
)  # fmt: skip
def test_what_measures_the_same_is_converted(given: str, wanted: str, by: float) -> None:
    assert factor(given, wanted) == pytest.approx(by, rel=1e-12)
    back = factor(wanted, given)
    assert back is not None and back * by == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("mg/dL", "mmol/L"), ("a", "d"), ("", "mmol/L"), ("g", "mL"), ("{score}", "1"), ("Cel", "[degF]")],
)
def test_what_does_not_is_not(given: str, wanted: str) -> None:
    assert factor(given, wanted) is None
