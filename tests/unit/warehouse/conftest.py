from __future__ import annotations

from pathlib import Path

import pytest
from tests import fresh
from tests.unit.warehouse.warehouse_rows import SMALL, Hospital, first_load

from estran.warehouse import Warehouse


@pytest.fixture
def empty(tmp_path: Path) -> Warehouse:
    return fresh.warehouse(tmp_path / "warehouse", SMALL)


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


@pytest.fixture
def loaded(empty: Warehouse, hospital: Hospital) -> Warehouse:
    """25 patients in three buckets, one commit."""
    with empty.writer() as writer:
        writer.commit(first_load(hospital))
    return empty
