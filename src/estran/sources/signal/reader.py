"""The reader of recordings: one record each, landed as what it says (docs/reference/sources/signal.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from estran.sources import ties
from estran.sources.checksums import checksum_or_nothing
from estran.sources.packed import Entry, PackWriter, numbered
from estran.sources.quiet import quiet
from estran.sources.records import Batch, BatchBuilder, IdentityStatement, PatientKey, Person, content_hash
from estran.sources.searching import folders_under
from estran.sources.signal import aecg, facts, wfdb_record
from estran.sources.signal.recording import Recording, Subject, Unread, unpacked
from estran.sources.writing import put

RECORDING = "recording"  # system of the numbers of recordings that name no patient: the record's own name
_EDF = (".edf", ".bdf", ".rec")
_BATCH_RECORDS, _BATCH_FACTS = 500, 100_000


@dataclass
class SignalReader:
    """Reads EDF, WFDB and aECG; `zone` is the site's, `author_system` names the hospital's numbers."""

    zone: str = "Europe/Paris"
    author_system: str = ""
    format: str = field(default="signal", init=False)

    def files(self, paths: list[Path]) -> list[Path]:
        """Folders that hold recordings, each read as one pack, and files given by themselves."""
        return folders_under(paths, _members)

    def size(self, path: Path) -> int:
        """Bytes of the recordings' own files (of a WFDB record, its header)."""
        return sum(member.stat().st_size for member in _members(path))

    def condense(self, path: Path, out: IO[bytes]) -> None:
        """The pack of a recording, or of those that lie in a folder (not in its subfolders)."""
        pack = PackWriter(out)
        for member in _members(path):
            if ties.is_ties(member):
                ties.pack_ties(pack, member, RECORDING)
            else:
                _condense_one(pack, member)

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        """Batches of the pack (or folder, or file) at `path`: one record per recording."""
        builder = BatchBuilder()
        for number, entry in numbered(path, self.condense, wanted):
            self._take(builder, number, entry)
            if len(builder) >= _BATCH_RECORDS or builder.facts >= _BATCH_FACTS:
                yield builder.build()
                builder = BatchBuilder()
        if len(builder):
            yield builder.build()

    def _take(self, builder: BatchBuilder, number: int, entry: Entry) -> None:
        refused = entry.meta.get("refused")
        if refused:
            content = content_hash(orjson.dumps(entry.meta))
            builder.refuse(builder.record(number, entry.meta.get("line"), 0, content), "file", *refused)
        elif entry.meta["kind"] == ties.KIND:
            ties.take_tie(builder, number, entry.meta, self.author_system)
        else:
            self._put(builder, number, unpacked(entry.body), entry.body)

    def _put(self, builder: BatchBuilder, number: int, recording: Recording, body: bytes) -> None:
        writing = facts.write(recording, self.zone)
        record = builder.record(number, None, writing.event_time, content_hash(body))
        who, person = subject_of(recording.subject, self.author_system, Path(recording.key).name)
        patient = builder.patient(*who)
        introduces = person != Person()
        builder.batch.identities.append(IdentityStatement(record, patient, (), person, introduces=introduces))
        put(builder, record, patient, None, writing)


def subject_of(subject: Subject, author_system: str, name: str) -> tuple[PatientKey, Person]:
    """The hospital's number when the file gives one, else the recording's name as a number of its own."""
    if not subject.number:
        return PatientKey(RECORDING, name), Person()
    person = Person(
        family_names=subject.family_names, given_names=subject.given_names,
        birth_date=facts.birth_of(subject.birth_date), sex=subject.sex or None,
    )  # fmt: skip
    return PatientKey(subject.system or author_system, subject.number), person


def _members(path: Path) -> list[Path]:
    """The recordings of a folder: headers of WFDB that are no segment of another, EDF, BDF and aECG files."""
    if not path.is_dir():
        return [path]
    own = [p for p in sorted(path.iterdir()) if p.is_file() and not p.name.startswith(".")]
    segments = wfdb_record.segments_of(path) if any(p.suffix == ".hea" for p in own) else set()
    return [p for p in own if (_reader_of(p) is not None and not (p.suffix == ".hea" and p.stem in segments)) or ties.is_ties(p)]


def _reader_of(path: Path) -> Callable[[Path], Recording] | None:
    """What reads the file, None when it is no recording."""
    suffix = path.suffix.lower()
    if suffix == ".hea":
        return wfdb_record.read_record
    if suffix in _EDF:
        from estran.sources.signal.edf import read_recording

        return read_recording
    if suffix == ".xml" and path.is_file() and aecg.is_aecg(path):
        return aecg.read_recording
    return None


def _condense_one(pack: PackWriter, path: Path) -> None:
    meta: dict[str, Any] = {"name": path.name, "kind": "recording"}
    reader = _reader_of(path)
    try:
        if reader is None:
            raise Unread("unknown-type", "The file is not a recording: EDF, BDF, a WFDB header or an HL7 aECG.")
        with quiet():
            body = reader(path).packed()
    except Unread as refused:
        pack.add({**meta, "refused": (refused.code, refused.reason), "checksum": checksum_or_nothing(path)})
    except OSError:
        pack.add({**meta, "refused": ("malformed", "The file cannot be opened.")})
    else:
        pack.add(meta, body)
