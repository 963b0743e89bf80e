"""Where the files behind `media` lie: the warehouse holds names that say nothing, the vault knows the place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from estran.identity import vault as vaults
from estran.model.errors import InputRefused
from estran.sources.landing import Landing
from estran.sources.packed import Entry, entries
from estran.warehouse import Snapshot


@dataclass(frozen=True)
class Place:
    """A document of images or of a recording: `folder` or file that it was loaded from, and what was landed of it."""

    document_id: int
    source: str
    path: Path
    entry: Entry
    pack: tuple[Entry, ...]

    @property
    def file(self) -> Path:
        """The file that the document was read from."""
        return self.path / self.entry.meta["name"] if self.path.is_dir() else self.path


def place_of(snapshot: Snapshot, vault: vaults.Vault, landing: Landing, document_id: int) -> Place:
    """Where a document of images or of a recording lies. Raises InputRefused when it is neither, or is gone.

    The caller decides who may ask: the place leads back to the patient.
    """
    row: tuple[Any, ...] | None = (
        snapshot.connect()
        .execute("select source, file_no, record_no from document where document_id = ?", [document_id])
        .fetchone()
    )
    if row is None or row[0].partition("/")[0] not in ("dicom", "signal"):
        raise InputRefused("The document is neither of images nor of a recording.", hint="choose one that has media")
    kept = vault.file(row[1])
    if not landing.holds(kept.sha256):
        raise InputRefused("What was landed of this document has been erased.")
    with landing.restored(kept.sha256) as pack:
        found = tuple(entries(pack))
    return Place(document_id, row[0], Path(kept.name), found[row[2]], found)
