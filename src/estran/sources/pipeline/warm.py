"""What one load can leave to the next in the same process, so that loads of a few messages stay short."""

from __future__ import annotations

from dataclasses import dataclass

from estran.terminology.book import ConceptBook
from estran.warehouse import Snapshot

_TABLES = ("concept", "concept_ancestor", "concept_map", "concept_synonym")

Files = tuple[tuple[str, ...], ...]


@dataclass
class Warm:
    """The concept book of the last load, with the files of which it says the same.

    A file never changes under its name, so the book holds as long as a snapshot names these files:
    another process that commits concepts names others. A load that fails has taken the book and
    leaves none.
    """

    _book: ConceptBook | None = None
    _files: Files = ()

    def take(self, snapshot: Snapshot) -> ConceptBook | None:
        """The book of these concepts, None when it has to be read."""
        book, self._book = self._book, None
        return book if self._files == _files_of(snapshot) else None

    def leave(self, book: ConceptBook, snapshot: Snapshot) -> None:
        """All that `book` handed out is in `snapshot`."""
        self._book, self._files = book, _files_of(snapshot)


def _files_of(snapshot: Snapshot) -> Files:
    return tuple(tuple(snapshot.files(table)) for table in _TABLES)
