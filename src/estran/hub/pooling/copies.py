"""Copies of a pool: each is entered before it is made, and leaves a certificate."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

from estran.hub.pooling.book import PoolBook
from estran.projects.datamarts.manifest import sha256


class Copies:
    """Those below the folder of the pools."""

    def __init__(self, folder: Path, book: PoolBook) -> None:
        self._folder, self._book = folder, book

    def remove(self, pool: str, place: str, why: str, what: str = "partition", name: str = "") -> None:
        """Destroy a copy, a file or a folder, and keep the certificate of it, under another name than its place if one is given."""
        path = self._folder / pool / place
        files = sorted(one for one in (path.rglob("*") if path.is_dir() else [path]) if one.is_file())
        listed = [{"path": one.name, "bytes": one.stat().st_size, "sha256": sha256(one)} for one in files]
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        self._book.destroyed(self._book.copy(pool, what, name or place), certificate_of(why, listed))


def certificate_of(why: str, files: list[dict[str, Any]]) -> dict[str, Any]:
    """That something of a pool is destroyed."""
    return {
        "certificate": 1, "destroyed": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "why": why,
        "method": "files unlinked, folder removed; the key they were sealed to is destroyed with the pool", "files": files,
    }  # fmt: skip
