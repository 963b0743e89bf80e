"""A real key and a real vault in a temporary directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from estran.identity.keys import SiteKey, create_key
from estran.identity.vault import Vault


@pytest.fixture
def site_key(tmp_path: Path) -> SiteKey:
    return create_key(tmp_path / "SITE.key")


@pytest.fixture
def vault(tmp_path: Path, site_key: SiteKey) -> Iterator[Vault]:
    with Vault.create(tmp_path / "vault", site_key) as made:
        yield made
