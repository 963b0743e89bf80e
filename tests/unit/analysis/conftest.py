"""One region of six sites for all tests of the room."""

from __future__ import annotations

import pytest
from tests.unit.analysis.six_sites import Region


@pytest.fixture(scope="session")
def region() -> Region:
    return Region()
