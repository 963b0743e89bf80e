"""A loaded site, made once and copied for each test that changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.spec import site_kit as kit

from estran.app import Site, open_site

MESSAGES = kit.SAMPLES / "hl7v2"


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = kit.make(tmp_path_factory.mktemp("keeping") / "site")
    kit.load(site, "hl7v2", MESSAGES)
    return site


@pytest.fixture
def site(loaded: Site, tmp_path: Path) -> Site:
    shutil.copytree(loaded.directory, tmp_path / "site")
    shutil.copy(loaded.key_file, tmp_path / "site.key")
    return open_site(tmp_path / "site")
