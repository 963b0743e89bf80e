"""What the tests of the HL7 v2 reader share: messages in, one batch as plain Python out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from estran.settings import Settings
from estran.sources.hl7v2 import Hl7v2Reader
from estran.sources.records import Batch

MSH = "MSH|^~\\&|SIL|CHU|EDS|CHU|{when}||{kind}|{control}|P|2.5|||||FRA|UNICODE UTF-8"
PID = "PID|1||42^^^CHU^PI||ÉLIE^Zoé^^^^^L||19700102|F"
PV1 = "PV1|1|I|UF12||||||||||||||||V7^^^CHU^VN"


def message(kind: str, *segments: str, when: str = "20240311120000", control: str = "1") -> str:
    """A message with the usual header, segments ended by CR."""
    return "\r".join((MSH.format(kind=kind, when=when, control=control), *segments)) + "\r"


@dataclass
class Reading:
    """One file read: its only batch and its tables as rows without their nulls."""

    batch: Batch

    def rows(self, table: str) -> list[dict[str, Any]]:
        found = getattr(self.batch, table).to_pylist()
        return [{name: value for name, value in row.items() if value is not None} for row in found]

    @property
    def refusals(self) -> list[tuple[int, str, str]]:
        return [(r.record, r.field, r.code) for r in self.batch.refusals]

    @property
    def times(self) -> list[int]:
        return self.batch.records["event_time"].to_pylist()


def read(folder: Path, content: str | bytes, name: str = "m.hl7", wanted: frozenset[int] | None = None) -> Reading:
    """Read `content` as a file called `name`."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_path(path, wanted)


def read_path(path: Path, wanted: frozenset[int] | None = None) -> Reading:
    (batch,) = list(Hl7v2Reader(Settings()).read(path, path.name, wanted))
    return Reading(batch)


def facts(reading: Reading, *names: str) -> list[tuple[Any, ...]]:
    """The named columns of every fact; `code` and `value_code` as codes, `unit` as written."""
    codes = reading.batch.codes
    found = []
    for row in reading.batch.facts.to_pylist():
        for name in ("code", "value_code"):
            row[name] = None if row[name] is None else codes[row[name]].code
        found.append(tuple(row[name] for name in names))
    return found


def test_a_message_is_read(tmp_path: Path) -> None:
    reading = read(tmp_path, message("ADT^A28", PID))
    assert reading.refusals == []
    assert reading.batch.patients == [("CHU", "42")]
