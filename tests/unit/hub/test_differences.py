"""How sites of a pool are compared: what stands out is marked, few patients are not told of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.pool_kit import asked

from estran.hub.pooling.differences import Cell, Held, compare, from_object, to_object
from estran.projects.datamarts.reading import read_spec
from estran.projects.gate import Shown

SPEC = read_spec(asked("p")).frozen()


def site(folder: Path, name: str, number: int, **more: Any) -> Held:
    """A partition of invented patients; `more` replaces columns."""
    (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(len(name) + number)
    columns = {
        "patient": [f"{name}{n}" for n in range(number)], "sex": rng.choice(["female", "male"], number), "age": rng.normal(60, 10, number),
        "creatinine": rng.normal(90, 15, number), "diabetes": rng.random(number) < 0.3,
    } | more  # fmt: skip
    pq.write_table(pa.table(columns), folder / name / "patients.parquet")
    return Held(name, folder / name, frozenset(), {})


def compared(*held: Held) -> dict[tuple[str, str], Cell]:
    cells = compare(held, SPEC, lambda count, _: Shown(count))
    assert from_object(to_object(cells)) == cells
    return {(cell.variable, cell.site): cell for cell in cells}


def test_sites_that_are_alike_are_not_marked(tmp_path: Path) -> None:
    found = compared(*(site(tmp_path, name, 400) for name in ("a", "bb", "ccc")))
    assert not any(cell.flags for cell in found.values())
    middle = found["creatinine", "a"]
    assert middle.low is not None and middle.high is not None and middle.low < 90 < middle.high


def test_another_unit_is_named(tmp_path: Path) -> None:
    other = site(tmp_path, "ccc", 300, creatinine=np.random.default_rng(1).normal(90, 15, 300) / 88.42)
    found = compared(site(tmp_path, "a", 300), site(tmp_path, "bb", 300), other)
    assert found["creatinine", "ccc"].flags == ("unit",) and found["creatinine", "ccc"].hint == "µmol/L – mg/dL"
    assert found["creatinine", "a"].flags == ()


def test_what_lacks_or_is_rare_is_marked(tmp_path: Path) -> None:
    lacking = pa.array([None if n % 2 else 90.0 for n in range(300)], pa.float64())
    other = site(tmp_path, "ccc", 300, creatinine=lacking, diabetes=[n < 15 for n in range(300)])
    found = compared(site(tmp_path, "a", 300), site(tmp_path, "bb", 300), other)
    assert "missing" in found["creatinine", "ccc"].flags and found["diabetes", "ccc"].flags == ("share",)
    assert found["creatinine", "ccc"].missing == 0.5 and found["diabetes", "ccc"].share == 0.05


def test_of_few_patients_nothing_is_told(tmp_path: Path) -> None:
    found = compared(
        site(tmp_path, "a", 19),
        site(tmp_path, "bb", 39),
        site(tmp_path, "ccc", 100, diabetes=[n < 3 for n in range(100)]),
    )
    small, middling = found["creatinine", "a"], found["creatinine", "bb"]
    assert (small.missing, small.middle, found["diabetes", "a"].share) == (None, None, None)
    assert middling.middle is not None and middling.low is None
    rare, whole = found["diabetes", "ccc"], found["creatinine", "ccc"]
    assert (rare.share, rare.bounds) == (0.1, ("missing", "share")), "three of a hundred are told as ten at most"
    assert (whole.missing, whole.bounds) == (0.1, ("missing",))
