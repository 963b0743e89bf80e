"""A real application database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import fresh

from estran.state import StateDatabase


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDatabase]:
    database = fresh.state(tmp_path / "state.sqlite")
    yield database
    database.close()
