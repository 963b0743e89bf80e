"""Naming files and folders: what is found below, once and by name; a file given by itself whatever its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from estran.model.errors import InputRefused
from estran.sources.searching import files_under, folders_under


def _is_csv(path: Path) -> bool:
    return path.suffix == ".csv"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "below" / "deeper.csv").mkdir(parents=True)
    for name in ("b.csv", "a.csv", "c.txt", "below/d.csv"):
        (tmp_path / name).touch()
    return tmp_path


def test_files_of_a_folder_and_below_by_name(folder: Path) -> None:
    assert files_under([folder], _is_csv) == [folder / "a.csv", folder / "b.csv", folder / "below" / "d.csv"]


def test_a_file_given_by_itself_is_found_once_whatever_its_name(folder: Path) -> None:
    assert files_under([folder / "c.txt", folder / "b.csv", folder], _is_csv)[:3] == [
        folder / "c.txt", folder / "b.csv", folder / "a.csv",
    ]  # fmt: skip
    assert len(files_under([folder, folder], _is_csv)) == 3


def test_folders_that_hold_something_and_files_given_by_themselves(folder: Path) -> None:
    def holds(path: Path) -> bool:
        return any(p.is_file() for p in path.iterdir())

    found = folders_under([folder / "c.txt", folder], holds)
    assert found == [folder / "c.txt", folder, folder / "below"]


@pytest.mark.parametrize("search", [files_under, folders_under])
def test_what_is_not_there_is_refused(folder: Path, search: object) -> None:
    assert callable(search)
    with pytest.raises(InputRefused, match="There is no such file or directory"):
        search([folder / "nothing"], _is_csv)
