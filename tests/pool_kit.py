"""A network whose hospitals each have an open project with a datamart, and a hub that pools them. Nobody in it exists."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from estran.cohort.language import json as question_json
from estran.cohort.language.text import parse
from estran.hub.agent import pooling as agent
from estran.hub.agent.rules import Rules
from estran.hub.pooling.desk import PoolDesk
from estran.hub.pooling.keeper import Gathered, PoolKeeper
from estran.identity.keys import SiteKey
from estran.projects.actors import KEY_HOLDER
from estran.projects.datamarts.shelf import Datamarts, Listed, Workshop
from tests.browser.small_site import Site
from tests.browser.small_site import build as build_site
from tests.network_kit import Hospital, Network, add_hospital, network
from tests.unit.projects.opened import opened

QUESTION = "CIM10:I10"
WILLING = Rules(answer=("count", "pool"), approve=())
VARIABLES = [
    ["Creatinine", "LOINC:2160-0", "Kidneys"], ["Potassium", "LOINC:2823-3", "Risk"], ["Diabetes", "CIM10:E11", "Confounder"],
    ["Birth year", "DEMOGRAPHIC:birth_year", "Age"],
]  # fmt: skip


class OwnKey(SiteKey):
    """The key of a small hospital: its subkeys are the secrets that its agent sees."""

    def __init__(self, site: Site) -> None:
        super().__init__("k", bytes(32))
        object.__setattr__(self, "of", site)

    def subkey(self, purpose: str) -> bytes:
        site: Any = self.__dict__["of"]
        if isinstance(site, Hospital):
            return site.secret(purpose)
        return (purpose + "hub").encode().ljust(64, b"-")[:32]


def shelf_of(site: Site) -> Datamarts:
    """The key holder's datamarts."""
    return Datamarts(site, KEY_HOLDER, Workshop(OwnKey(site), site.folder / "datamarts", lambda _: site.snapshot()))


def open_project(site: Site, **said: str) -> str:
    """An open project of the researcher, granted the variables."""
    account = site.state.accounts.find("researcher")
    assert account is not None
    cohort = question_json.dumps(parse(QUESTION))
    return opened(site.state, [account.id], cohort=cohort, variables=VARIABLES, **said)


def asked(project: str, unit: str = "umol/L", **more: Any) -> dict[str, Any]:
    """A specification of stays, facts and values."""
    return {
        "project": project, "name": "kidney", "cohort": QUESTION, "shape": "tables", "demographics": ["sex", "age"],
        "variables": [
            {"name": "creatinine", "codes": ["LOINC:2160-0"], "aggregate": "last", "unit": unit},
            {"name": "diabetes", "codes": ["CIM10:E11"], "aggregate": "any"},
            {"name": "potassium", "codes": ["LOINC:2823-3"], "aggregate": "all", "unit": "mmol/L"},
        ],
        "stays": {"columns": ["kind", "length"]}, "days": 200, "formats": ["parquet"],
    } | more  # fmt: skip


@dataclass
class Pooling:
    """What the tests work with."""

    net: Network
    hub: Site
    sites: dict[str, Hospital]
    projects: dict[str, str]
    project: str
    built: dict[str, Listed] = field(default_factory=dict)

    @property
    def keeper(self) -> PoolKeeper:
        return PoolKeeper(self.net.house.folder, self.net.house.book, shelf_of(self.hub), b"s" * 32)

    def ask(self, unit: str = "umol/L", *only: str) -> str:
        sites = {name: number for name, number in self.projects.items() if not only or name in only}
        return self.keeper.ask(asked(self.project, unit), "researcher", sites, "")

    def settle(self, pool: str, *sites: str) -> Gathered:
        """The pass that asks who left since the packages came, the sites' answers, and the pass that takes the packages."""
        self.keeper.gather(pool)
        self.net.run(*sites)
        return self.keeper.gather(pool)

    def folder(self, pool: str) -> Path:
        return self.net.house.folder / "pools" / pool

    def mart(self, number: int) -> Path:
        row = self.hub.state.datamarts.find(number)
        assert row is not None
        return self.hub.folder / "datamarts" / row.folder

    def rows(self, pool: str) -> dict[str, str]:
        return {part.member: part.state for part in self.keeper.book.parts(pool)}


def pooling(folder: Path, *names: str, rules: Rules = WILLING) -> Pooling:
    """Hospitals with a datamart each."""
    net = network(folder)
    made = Pooling(net, build_site(folder / "portal"), {}, {}, "")
    for name in names:
        site = add_hospital(net, folder, name, rules=rules)
        made.sites[name], made.projects[name] = site, open_project(site)
        made.built[name] = shelf_of(site).build(asked(made.projects[name]), "researcher", "")
    made.project = open_project(made.hub)
    return made


def full(*_: Any, **__: Any) -> Any:
    """A disk without room."""
    raise OSError(errno.ENOSPC, "No space left on device")


def number_of(made: Pooling, pool: str) -> int:
    """The datamart of a pool."""
    number = made.keeper.find(pool).datamart
    assert number is not None
    return number


def states(made: Pooling, pool: str) -> dict[str, tuple[str, str]]:
    desk = PoolDesk(made.hub.state, made.net.house.book, made.keeper.book, shelf_of(made.hub).actor)
    sheet = desk.one(pool)
    assert sheet is not None
    return {site.member: (site.state, site.said) for site in sheet.sites}


def patients(folder: Path, site: str) -> list[str]:
    found: list[str] = (
        pq.read_table(folder / f"parquet/patients/site={site}/patients.parquet").column("patient").to_pylist()
    )
    return found


def own_ids(made: Pooling, site: str) -> list[str]:
    """Pseudonyms of a site's datamart."""
    table = pq.read_table(
        made.sites[site].folder / "datamarts" / made.built[site].row.folder / "parquet/patients.parquet"
    )
    found: list[str] = table.column("patient").to_pylist()
    return found


def site_ids(made: Pooling, pool: str, site: str) -> list[str]:
    """What a site calls its patients in a pool."""
    return agent.pool_key(made.net.places[site], made.sites[site], pool).ids("patient", own_ids(made, site))
