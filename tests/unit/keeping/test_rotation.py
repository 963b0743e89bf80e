"""A new sealing key: everything opens with it, nothing with the old one, and a crash costs nothing."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from tests.spec import site_kit as kit
from tests.unit.keeping.conftest import MESSAGES

from estran.app import Site, open_site
from estran.identity import rotation as vault_rotation
from estran.identity.keys import SiteKey, read_key
from estran.identity.store import Store
from estran.identity.vault import Vault
from estran.keeping.rotation import rotate
from estran.model.errors import StoreError
from estran.sources.landing import landing_of


def _opens(site: Path, key: SiteKey) -> bool:
    """Whether `key` opens the values of the vault, and every landed file."""
    try:
        with closing(Vault.open(site / "vault", key)) as vault:
            vault.natural_keys()
        landing = landing_of(site, key)
        for path in (site / "landing").rglob("*.land"):
            with landing.restored(path.stem) as copy:
                assert landing.digest(copy) == path.stem
    except StoreError:
        return False
    return True


def test_the_new_key_opens_all_and_the_old_one_nothing(site: Site) -> None:
    old, before = site.key, kit.digest(site)
    rotate(site.directory, site.key_file)
    again = open_site(site.directory)
    assert again.key != old and again.key.key_id == old.key_id
    assert _opens(site.directory, again.key)
    assert not _opens(site.directory, old)
    assert kit.digest(again) == before
    report = kit.load(again, "hl7v2", MESSAGES)
    assert report.total("superseded") == report.total("read") - report.total("quarantined")
    rotate(site.directory, site.key_file)
    assert len(read_key(site.key_file).seals) == 1
    assert kit.digest(open_site(site.directory)) == before


@pytest.mark.parametrize("stage", ["vault", "landing"])
def test_an_interrupted_rotation_opens_and_goes_on(site: Site, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kit.digest(site)

    class Killed(BaseException):
        pass

    def stop(what: str, _done: int) -> None:
        if what == stage:
            raise Killed

    with pytest.raises(Killed):
        rotate(site.directory, site.key_file, stop)
    assert _opens(site.directory, open_site(site.directory).key)
    rotate(site.directory, site.key_file)
    assert kit.digest(open_site(site.directory)) == before
    assert len(read_key(site.key_file).seals) == 1


def test_every_sealed_table_is_sealed_anew(site: Site) -> None:
    """A table added to the vault later must be added to the rotation."""
    with closing(Store.open(site.directory / "vault", site.key)) as store:
        sealed = store.rows("SELECT m.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE c.name = 'sealed'")
    assert {name for (name,) in sealed} == set(vault_rotation._SEALED)


def test_a_copy_of_the_old_key_and_site_stay_a_pair(site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.directory, tmp_path / "copy")
    shutil.copy(site.key_file, tmp_path / "copy.key")
    rotate(site.directory, site.key_file)
    assert _opens(tmp_path / "copy", read_key(tmp_path / "copy.key"))


def test_a_running_load_stops_the_rotation(site: Site) -> None:
    with site.warehouse.writer(), pytest.raises(StoreError, match="writing"):
        rotate(site.directory, site.key_file)
    assert not read_key(site.key_file).seals
