"""A site with fourteen patients, an open project, and a data set that it brings, accepted."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.spec import site_kit as kit
from tests.unit.projects.life.play import Play

from estran.app import Site, open_site
from estran.cohort.language import json
from estran.cohort.language.text import parse
from estran.keeping.owndata.keeper import OwnDataKeeper
from estran.projects.life.machine import Stage
from estran.projects.owndata import OwnData
from estran.projects.owndata.outcome import Outcome
from estran.projects.owndata.recipe import Form, read_recipe
from estran.projects.owndata.store import Content, OwnStore
from estran.release.rekey import ProjectKey
from estran.state import OwnDeclaration

DECLARED = OwnDeclaration(
    "Echocardiographies", "Registry of the team", "MR-003", "2026-17", "Letter of January to each patient",
    dt.date.today() + dt.timedelta(days=400),
)  # fmt: skip
NAMES = ("MARTIN", "DURAND", "LEFEBVRE", "MOREAU", "GIRARD", "BONNET", "FRANCOIS", "MERCIER", "BOYER", "BLANC", "GARNIER",
         "CHEVALIER", "GAUTIER", "ROUSSEL")  # fmt: skip
GIVEN = (
    "ANNE",
    "PAUL",
    "LUCIE",
    "MARC",
    "JULIE",
    "HUGO",
    "CLARA",
    "LOUIS",
    "EMMA",
    "JULES",
    "LEA",
    "ADAM",
    "ROSE",
    "NOE",
)


class Asking(Play):
    """People whose project asks for women."""

    def cohort(self, name: str = "lea") -> int:
        return self.state.cohorts.save(self.id[name], "Women", json.dumps(parse("sexe:F")), "", 1, 7).id


@dataclass
class Bench:
    """The site, its people, the project and its data set."""

    site: Site
    play: Play
    project: str
    data: int

    @property
    def keeper(self) -> OwnDataKeeper:
        return OwnDataKeeper(self.site, self.site.key, self.site.vault)

    def desk(self, name: str) -> OwnData:
        return OwnData(self.site, self.play.actor(name))

    def bring(self, text: str, form: str = "csv", dictionary: str = "", links: str = "", **recipe: object) -> Outcome:
        path = self.site.directory.parent / "brought"
        path.write_bytes(text.encode())
        _, outcome = self.keeper.bring(
            self.data, Form(form), path, read_recipe(recipe), dictionary.encode(), links.encode()
        )
        assert outcome.read == outcome.linked + outcome.superseded + outcome.set_aside
        return outcome

    def content(self) -> Content:
        row = self.site.state.own_data.find(self.data)
        assert row is not None
        return Content.loads(row.content)

    def table(self, name: str = "data") -> pa.Table:
        with OwnStore(self.site, self.site.key, self.data).opened(self.content().tables[name]) as path:
            return pq.read_table(path)

    def held(self, column: str, name: str = "data") -> dict[str, list[object]]:
        """What is held of each patient, by the number that the hospital gives."""
        key = ProjectKey.of(self.site.key, self.project)
        who = {key.pseudonyms([kit.patient_of(self.site, f"IPP{n}")])[0]: f"IPP{n}" for n in range(len(NAMES))}
        found: dict[str, list[object]] = {}
        table = self.table(name)
        for patient, value in zip(table["_patient"].to_pylist(), table[column].to_pylist(), strict=True):
            found.setdefault(who.get(patient, "?"), []).append(value)
        return found


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("own")
    site = kit.make(folder / "site", author_system="CHU")
    people = [
        kit.adt("A28", f"202401010800{n:02d}", kit.pid(f"IPP{n}", NAMES[n], GIVEN[n], f"19500{n % 9 + 1}{n + 11}", "FM"[n % 2]))
        for n in range(len(NAMES))
    ]  # fmt: skip
    kit.load(site, "hl7v2", kit.write_messages(folder / "in.hl7", *people))
    project = Asking(site.state).to(Stage.OPEN)
    site.state.close()
    return folder, project


@pytest.fixture
def bench(made: tuple[Path, str], tmp_path: Path) -> Iterator[Bench]:
    folder, project = made
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    site = open_site(tmp_path / "site")
    play = Play.__new__(Play)
    play.state, play.settings = site.state, site.settings
    play.id = {account.login: account.id for account in site.state.accounts.all()}
    bench = Bench(site, play, project, 0)
    bench.data = bench.desk("lea").declare(project, DECLARED)
    bench.desk("dan").answer(bench.data, "", accepted=True)
    yield bench
    site.state.close()
