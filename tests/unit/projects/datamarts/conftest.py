"""A small site with a workshop, and a specification that asks for everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.browser.small_site import Site
from tests.browser.small_site import build as build_site

from estran.identity.keys import SiteKey
from estran.projects.actors import KEY_HOLDER, Actor
from estran.projects.datamarts.shelf import Datamarts, Listed, Workshop

REASON = "committee of 3 May, project 2026-014"
PATIENTS = 60
CODES = ["LOINC:2160-0", "LOINC:2823-3", "CIM10:E11", "ATC:C03CA01", "CCAM:DZQM006"]
Spec = dict[str, Any]


@dataclass
class Bench:
    """A site and the key holder's datamarts."""

    site: Site
    folder: Path
    shelf: Datamarts

    def files(self, made: Listed) -> dict[str, bytes]:
        """What was built, without the manifest."""
        root = self.folder / made.row.folder
        found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        return {name: data for name, data in found.items() if name != "manifest.json"}

    def path(self, made: Listed, name: str) -> str:
        return str(self.folder / made.row.folder / name)

    def of(self, actor: Actor) -> Datamarts:
        """The same datamarts, seen by somebody else."""
        return Datamarts(
            self.site, actor, Workshop(SiteKey("k", bytes(range(32))), self.folder, self.site.warehouse.snapshot)
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    site = build_site(tmp_path, "en", PATIENTS)
    bench = Bench(site, tmp_path / "datamarts", None)  # type: ignore[arg-type]
    bench.shelf = bench.of(KEY_HOLDER)
    return bench


@pytest.fixture
def build(bench: Bench) -> Callable[[Spec], Listed]:
    return lambda spec: bench.shelf.build(spec, "anne", REASON)


def whole(**more: Any) -> Spec:
    """A specification with every table and every format."""
    return {
        "project": "2026-014", "name": "heart", "cohort": "CIM10:I50", "shape": "tables",
        "demographics": ["sex", "age", "birth_year", "died", "death_date", "index_date"],
        "variables": [
            {"name": "creatinine", "codes": ["LOINC:2160-0"], "aggregate": "mean", "window": [-365, 365]},
            {"name": "every", "codes": CODES, "aggregate": "all"},
        ],
        "stays": {"columns": ["kind", "start", "end", "length"]}, "documents": {"kinds": ["discharge"]}, "texts": True,
        "formats": ["parquet", "duckdb", "csv", "omop", "fhir"],
    } | more  # fmt: skip


def flat(*variables: Spec, **more: Any) -> Spec:
    """One row per patient, values and dates as they are."""
    return {
        "project": "2026-015", "name": "flat", "cohort": "CIM10:I50", "variables": list(variables), "dates": "none",
        "fingerprint": False, "reason": "the values are compared with the warehouse's", "formats": ["parquet"],
    } | more  # fmt: skip
