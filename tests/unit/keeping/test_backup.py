"""A site comes back from its backups as it was, and not otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.spec import site_kit as kit

from estran.app import Site, open_site
from estran.identity.keys import create_key
from estran.keeping.backup import Repository
from estran.keeping.rotation import rotate
from estran.model.errors import StoreError, UsageError


@pytest.fixture
def repository(site: Site, tmp_path: Path) -> Repository:
    return Repository(tmp_path / "backups", site.key)


def _report(folder: Path, number: int) -> Path:
    path = folder / f"r{number}.jsonl"
    path.write_text(
        f'{{"id": "r{number}", "ipp": "900{number}", "ipp_system": "h", "family_name": "MARTINEAU", '
        f'"birth_date": "1950-01-0{number}", "text": "Fibrillation auriculaire."}}\n'
    )
    return path


def test_a_backup_restores_the_same_content(site: Site, repository: Repository, tmp_path: Path) -> None:
    made = repository.make(site.directory, site.key)
    assert made.digest == kit.digest(site)
    assert repository.check() == []
    repository.restore(tmp_path / "anew", site.key)
    anew = open_site(tmp_path / "anew", site.key_file)
    assert kit.digest(anew) == made.digest
    assert kit.findings(anew) == []
    kit.load(anew, "report", _report(tmp_path, 1))  # a restored site goes on


def test_a_second_backup_costs_what_changed(site: Site, repository: Repository, tmp_path: Path) -> None:
    first = repository.make(site.directory, site.key)
    assert first.added > 0
    assert repository.make(site.directory, site.key).added < first.added / 10
    kit.load(site, "report", _report(tmp_path, 1))
    third = repository.make(site.directory, site.key)
    assert third.digest == kit.digest(site) != first.digest
    repository.restore(tmp_path / "old", site.key, first.number)
    assert kit.digest(open_site(tmp_path / "old", site.key_file)) == first.digest


def test_nothing_of_the_site_is_readable_in_the_repository(
    site: Site, repository: Repository, tmp_path: Path
) -> None:
    kit.load(site, "report", _report(tmp_path, 1))
    repository.make(site.directory, site.key)
    for path in (tmp_path / "backups").rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            assert b"auriculaire" not in held and b"warehouse" not in held and b"PAR1" not in held


def test_a_damaged_object_is_found_and_nothing_half_restored(
    site: Site, repository: Repository, tmp_path: Path
) -> None:
    made = repository.make(site.directory, site.key)
    largest = max(made.files, key=lambda file: file.size)
    path = next((tmp_path / "backups").rglob(f"{largest.object}.land"))
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.write_bytes(held)
    assert largest.path in repository.check()
    with pytest.raises(StoreError, match="damaged"):
        repository.restore(tmp_path / "anew", site.key)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("anew")) == []


def test_pruning_keeps_what_the_last_backups_name(site: Site, repository: Repository, tmp_path: Path) -> None:
    repository.make(site.directory, site.key)
    for number in (1, 2):
        kit.load(site, "report", _report(tmp_path, number))
        repository.make(site.directory, site.key)
    site.warehouse.compact()
    site.warehouse.vacuum(keep=1)
    last = repository.make(site.directory, site.key)
    assert repository.prune(1) > 0
    assert repository.numbers() == [last.number]
    assert repository.check() == []


def test_a_running_load_is_not_backed_up_in_the_middle(site: Site, repository: Repository) -> None:
    with site.warehouse.writer(), pytest.raises(StoreError, match="writing"):
        repository.make(site.directory, site.key)
    assert repository.numbers() == []


def test_wrong_places_and_keys_are_refused(site: Site, repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="inside"):
        Repository(site.directory / "backups", site.key).make(site.directory, site.key)
    with pytest.raises(UsageError, match="no such backup"):
        repository.read()
    repository.make(site.directory, site.key)
    with pytest.raises(UsageError, match="already"):
        repository.restore(site.directory, site.key)
    with pytest.raises(StoreError, match="does not open"):
        Repository(tmp_path / "backups", create_key(tmp_path / "other.key")).read()


def test_backups_from_before_a_rotation_still_open(site: Site, repository: Repository, tmp_path: Path) -> None:
    """With the key of then for the vault inside, and any for the repository."""
    old = site.key
    made = repository.make(site.directory, old)
    rotate(site.directory, site.key_file)
    new = open_site(site.directory).key
    assert Repository(tmp_path / "backups", new).read() == made
    Repository(tmp_path / "backups", new).restore(tmp_path / "anew", old)
