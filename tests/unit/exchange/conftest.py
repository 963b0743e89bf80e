"""A hospital of sixty, and what is exported of it, written once for all tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tests.browser import small_site

from estran.identity.keys import SiteKey
from estran.projects.actors import KEY_HOLDER, Actor
from estran.projects.datamarts.manifest import Manifest
from estran.projects.datamarts.shelf import Datamarts, Workshop
from estran.projects.exporting import Exporter, Format, Wish
from estran.settings import Settings
from estran.state import StateDatabase
from estran.warehouse import Warehouse

PATIENTS = 60


@dataclass
class Dock:
    """A site and the folder that its exports go to."""

    site: small_site.Site
    folder: Path

    def exporter(self, actor: Actor = KEY_HOLDER) -> Exporter:
        marts = self.folder / "datamarts"
        workshop = Workshop(SiteKey("k", bytes(range(32))), marts, self.site.warehouse.snapshot)
        return Exporter(self.site, actor, Datamarts(self.site, actor, workshop), marts)


@pytest.fixture(scope="session")
def dock(tmp_path_factory: pytest.TempPathFactory) -> Dock:
    folder = tmp_path_factory.mktemp("dock")
    rows, dice = small_site.Rows(), np.random.default_rng(2024)
    small_site._lists(rows)
    small_site._first_patient(rows)
    for patient in range(1, PATIENTS):
        small_site._ordinary_patient(rows, dice, patient)
    settings = Settings(
        name="CHU de l'Estran", public_url="https://estran.example", dpo_contact="dpo@estran.example",
        hdab_contact="hdab@estran.example",
    )  # fmt: skip
    warehouse = Warehouse.create(folder / "warehouse", settings)
    with warehouse.writer() as writer:
        writer.commit(small_site._changes(rows))
    return Dock(small_site.Site(folder, settings, StateDatabase.open(folder / "state.sqlite"), warehouse), folder)


@pytest.fixture(scope="session")
def exported(dock: Dock) -> dict[Format, tuple[Path, Manifest]]:
    """The site in each open format."""
    found = {}
    for form in (Format.OMOP, Format.FHIR, Format.MEDS):
        target = dock.folder / f"all-{form}"
        found[form] = target / form, dock.exporter().export(Wish(form), target)
    return found
