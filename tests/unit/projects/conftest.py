"""A real application database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from estran.state import StateDatabase


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDatabase]:
    database = StateDatabase.open(tmp_path / "state.sqlite")
    yield database
    database.close()
