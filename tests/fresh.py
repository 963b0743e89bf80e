"""Empty sites, warehouses and databases for tests: each made once per run by the house's own doors, then copied."""

from __future__ import annotations

import shutil
from pathlib import Path

from estran.app import Site, create_site, key_path_of
from estran.settings import Settings
from estran.state import StateDatabase
from estran.state.schema import secret
from estran.state.transactions import writing
from estran.warehouse import Warehouse
from tests.kept import once


def site(directory: Path, settings: Settings) -> Site:
    """A new empty site; two of the same settings have the same key."""
    made = once(("site", repr(settings)), lambda folder: steady(create_site(folder / "site", settings).state))
    shutil.copytree(made / "site", directory, dirs_exist_ok=True)
    shutil.copy2(key_path_of(made / "site"), key_path_of(directory))
    return Site(directory, settings, key_path_of(directory))


def warehouse(directory: Path, settings: Settings) -> Warehouse:
    """A new empty warehouse."""
    made = once(("warehouse", repr(settings)), lambda folder: Warehouse.create(folder / "w", settings))
    shutil.copytree(made / "w", directory)
    return Warehouse.open(directory, settings)


def state(path: Path) -> StateDatabase:
    """A new application database, with every migration done."""
    made = once("state", lambda folder: steady(StateDatabase.open(folder / "state.sqlite")))
    shutil.copy2(made / "state.sqlite", path)
    return StateDatabase.open(path)


def steady(state: StateDatabase) -> None:
    """The same noise at every run, so that a test which reads a noisy count passes always or never; closes it."""
    with writing(state.engine) as connection:
        connection.execute(secret.insert().values(name="disclosure", value=bytes(32)))
    state.close()
