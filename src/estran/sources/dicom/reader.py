"""The reader of DICOM: folders and files of objects, landed as packs of headers (docs/reference/sources/dicom.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson
from pydicom.dataset import FileDataset

from estran.sources import ties
from estran.sources.checksums import checksum_of, checksum_or_nothing
from estran.sources.dicom import encapsulated, images, reports, slides, waveforms
from estran.sources.dicom.elements import uid
from estran.sources.dicom.heads import UNREADABLE, NotRead, cut_head, parse_head
from estran.sources.dicom.person import Patient, read_patient
from estran.sources.packed import Entry, PackWriter, numbered
from estran.sources.quiet import quiet
from estran.sources.records import Batch, BatchBuilder, IdentityStatement, PatientKey, Person, content_hash
from estran.sources.searching import folders_under
from estran.sources.writing import Writing, put

_BATCH_RECORDS = 1_000
_BATCH_FACTS = 100_000
_DIRECTORY = "1.2.840.10008.1.3.10"  # a DICOMDIR


@dataclass
class DicomReader:
    """Reads DICOM objects and whole slides.

    `zone` is the site's; `author_system` names patient numbers without an issuer.
    """

    zone: str = "Europe/Paris"
    author_system: str = ""
    format: str = field(default="dicom", init=False)

    def files(self, paths: list[Path]) -> list[Path]:
        """Folders that hold files, each read as one pack, and files given by themselves."""
        return folders_under(paths, _members)

    def size(self, path: Path) -> int:
        """Bytes of the file, or of the folder's own files."""
        return sum(member.stat().st_size for member in _members(path))

    def condense(self, path: Path, out: IO[bytes]) -> None:
        """The pack of a file, or of a folder's own files (not of its subfolders)."""
        pack = PackWriter(out)
        for member in _members(path):
            if ties.is_ties(member):
                ties.pack_ties(pack, member, slides.SLIDE)
                continue
            with quiet():
                _condense_one(pack, member)

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        """Batches of the pack (or folder, or file) at `path`: one record per file of DICOM."""
        builder = BatchBuilder()
        for number, entry in numbered(path, self.condense, wanted):
            with quiet():
                self._take(builder, number, entry)
            if len(builder) >= _BATCH_RECORDS or builder.facts >= _BATCH_FACTS:
                yield builder.build()
                builder = BatchBuilder()
        if len(builder):
            yield builder.build()

    def _take(self, builder: BatchBuilder, number: int, entry: Entry) -> None:
        """One record: an object, a slide, a line of the list of patients, or a refusal of any of them.

        Its content is what it says, so that an object in another encoding, or one more slice of a
        series, is found to be the same.
        """
        try:
            if "refused" in entry.meta:
                raise NotRead(*entry.meta["refused"])
            if entry.meta["kind"] == ties.KIND:
                ties.take_tie(builder, number, entry.meta, self.author_system)
                return
            said = self._said(entry)
        except NotRead as refused:
            self._refuse(builder, number, entry, refused.code, refused.reason)
        except UNREADABLE:  # a value that no check foresaw: the record is refused, the reading goes on
            self._refuse(builder, number, entry, "malformed", "The DICOM header holds values that cannot be read.")
        else:
            self._put(builder, number, entry, said)

    def _refuse(self, builder: BatchBuilder, number: int, entry: Entry, code: str, reason: str) -> None:
        content = content_hash(orjson.dumps(entry.meta) + entry.body)
        builder.refuse(builder.record(number, entry.meta.get("line"), 0, content), "file", code, reason)

    def _said(self, entry: Entry) -> tuple[Patient, Writing] | None:
        """Who and what an entry is about; None for a DICOMDIR, which adds nothing to the files it lists."""
        if entry.meta["kind"] == "slide":
            writing = slides.read_slide(entry.meta["name"], orjson.loads(entry.body), entry.meta["checksum"])
            key = PatientKey(slides.SLIDE, slides.number_of(entry.meta["name"]))
            return Patient(key, (), None, Person(), False, None), writing
        header = parse_head(entry.body)
        if uid(header.file_meta, "MediaStorageSOPClassUID") == _DIRECTORY or "DirectoryRecordSequence" in header:
            return None
        if not uid(header, "SOPInstanceUID"):
            raise NotRead("missing", "The object has no SOP Instance UID.")
        patient = read_patient(header, self.author_system)
        if patient is None:
            raise NotRead("no-patient", "The header holds no patient number (0010,0020).")
        return patient, self._writing(header, entry.meta.get("checksum", ""))

    def _writing(self, header: FileDataset, checksum: str) -> Writing:
        said = (header, self.zone, self.author_system or "DICOM", checksum)
        if reports.is_report(header):
            return reports.read_report(*said)
        if encapsulated.is_encapsulated(header):
            return encapsulated.read_encapsulated(*said)
        if waveforms.is_waveform(header):
            return waveforms.read_waveform(*said)
        return images.read_image(*said)

    def _put(self, builder: BatchBuilder, number: int, entry: Entry, said: tuple[Patient, Writing] | None) -> None:
        if said is None:
            builder.record(number, None, 0, content_hash(entry.body))
            return
        patient, writing = said
        record = builder.record(number, None, writing.event_time, content_hash(repr(said).encode()))
        who = builder.patient(*patient.key)
        builder.batch.identities.append(
            IdentityStatement(record, who, patient.aliases, patient.person, patient.ins, patient.introduces)
        )
        stay = builder.stay(who, *patient.stay) if patient.stay else None
        put(builder, record, who, stay, writing)


def _members(path: Path) -> list[Path]:
    """The file, or the folder's own files by name; names that begin with a dot are not data."""
    if not path.is_dir():
        return [path]
    return sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))


def _condense_one(pack: PackWriter, path: Path) -> None:
    meta: dict[str, Any] = {"name": path.name, "kind": "object"}
    body = b""
    try:
        if slides.is_slide(path):
            meta |= {"kind": "slide", "checksum": checksum_of(path)}
            body = orjson.dumps(slides.measure(path))
        else:
            body, named = cut_head(path)
            if not images.is_slice(named):  # a slice is known by its series: its file is not read whole
                meta["checksum"] = checksum_of(path)
    except UNREADABLE:
        meta |= {"refused": ("malformed", "The DICOM header cannot be read."), "checksum": checksum_or_nothing(path)}
        body = b""
    except NotRead as refused:
        meta |= {"refused": (refused.code, refused.reason), "checksum": checksum_or_nothing(path)}
        body = b""
    pack.add(meta, body)
