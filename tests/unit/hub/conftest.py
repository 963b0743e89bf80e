"""A network for the tests of a file: two hospitals that share patients, and a linkage unit."""

from __future__ import annotations

import pytest
from tests.network_kit import Network, add_hospital, network


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Network:
    folder = tmp_path_factory.mktemp("network")
    made = network(folder)
    add_hospital(made, folder, "angers", first=300)
    add_hospital(made, folder, "brest", first=300)
    return made


@pytest.fixture
def in_no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """No site is called late while a test looks, however slow this machine is."""
    monkeypatch.setattr("estran.hub.gathering.LATE_AFTER", 600.0)
