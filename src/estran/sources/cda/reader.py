"""The reader: CDA documents one per file, in an XDM archive, or compressed."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from estran.model.errors import InputRefused
from estran.settings import Settings
from estran.sources.cda.document import Setting, read_into
from estran.sources.cda.elements import Refused
from estran.sources.records import Batch, BatchBuilder, content_hash
from estran.sources.searching import files_under

_ENDINGS = (".xml", ".cda", ".xml.gz", ".cda.gz", ".zip", ".xdm")
_LARGEST = 200 << 20  # bytes of one document
_MOST_MEMBERS = 200_000
_BATCH_RECORDS = 1_000
_BATCH_BYTES = 100 << 20
_UNPACKING = (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError)
_MARKS = (b"ClinicalDocument", "ClinicalDocument".encode("utf-16-le"), "ClinicalDocument".encode("utf-16-be"))


@dataclass
class CdaReader:
    """Reads CDA R2 documents; see docs/reference/sources/cda.md."""

    settings: Settings = field(default_factory=Settings)
    batch_records: int = _BATCH_RECORDS
    format: str = field(default="cda", init=False)

    def files(self, paths: list[Path]) -> list[Path]:
        """Documents and archives among `paths` and in those of them that are folders, by name."""
        return files_under(paths, _is_document)

    def size(self, path: Path) -> int:
        """Bytes of the file as it lies on the disk."""
        return path.stat().st_size

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        """Batches of the file at `path`; every CDA document in it is a record.

        Raises InputRefused when the file cannot be unpacked, or holds no XML at all.
        """
        builder, gathered = BatchBuilder(), 0
        for number, data in _documents(path, PurePosixPath(name.replace("\\", "/")).name):
            if wanted is not None and number not in wanted:
                continue
            self._take(builder, number, data)
            gathered += len(data or b"")
            if len(builder) >= self.batch_records or gathered >= _BATCH_BYTES:
                yield builder.build()
                builder, gathered = BatchBuilder(), 0
        if len(builder):
            yield builder.build()

    def _take(self, builder: BatchBuilder, number: int, data: bytes | None) -> None:
        record = builder.record(number, None, 0, content_hash(data or b""))
        mark = builder.mark()
        setting = Setting(self.settings.zone, self.settings.author_system)
        try:
            if data is None:
                raise Refused("ClinicalDocument", "malformed", "The document is larger than 200 MB.")
            read_into(builder, record, data, setting, number)
        except Refused as why:
            builder.undo(mark)
            builder.refuse(record, why.field, why.code, why.reason)


def _is_document(path: Path) -> bool:
    return path.name.lower().endswith(_ENDINGS) and not path.name.startswith(".")


def _documents(path: Path, name: str) -> Iterator[tuple[int, bytes | None]]:
    """(number, bytes) of each document; None for one that is too large."""
    try:
        with path.open("rb") as source:
            head = source.read(4)
            source.seek(0)
            if head == b"PK\x03\x04":
                yield from _members(path, name)
                return
            stream = gzip.GzipFile(fileobj=source) if head[:2] == b"\x1f\x8b" else source
            data = stream.read(_LARGEST + 1)
    except _UNPACKING as error:
        raise InputRefused("The file cannot be unpacked to its end.", where=name) from error
    if not data.strip():
        raise InputRefused("The file is empty.", where=name)
    if b"<" not in data[:1000]:
        raise InputRefused("The file is no XML.", where=name, hint="expected a CDA document, or an archive of them")
    yield 0, data if len(data) <= _LARGEST else None


def _members(path: Path, name: str) -> Iterator[tuple[int, bytes | None]]:
    """The CDA documents of an archive, IHE XDM's among them; its index and style sheets are passed over."""
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        if len(infos) > _MOST_MEMBERS:
            raise InputRefused("The archive holds too many files.", where=name, hint="cut it into several")
        found = 0
        for number, info in enumerate(infos):
            if not info.filename.lower().endswith((".xml", ".cda")):
                continue
            with archive.open(info) as member:
                data = member.read(_LARGEST + 1)
            if len(data) > _LARGEST:
                found += 1
                yield number, None
            elif any(mark in data[:65_536] for mark in _MARKS):
                found += 1
                yield number, data
        if not found:
            raise InputRefused("The archive holds no CDA document.", where=name)
