"""A real database with people in it."""

from __future__ import annotations

import pytest
from tests.unit.projects.life.play import Play

from estran.state import StateDatabase


@pytest.fixture
def play(state: StateDatabase) -> Play:
    return Play(state)
