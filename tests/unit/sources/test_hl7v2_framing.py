"""Files, frames, characters and separators."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest
from tests.unit.sources.test_hl7v2_support import PID, PV1, facts, message, read

from estran.model.errors import InputRefused
from estran.settings import Settings
from estran.sources.hl7v2 import Hl7v2Reader
from estran.sources.hl7v2.message import plain

ONE = message("ADT^A28", PID)
TWO = message("ADT^A28", "PID|1||43^^^CHU^PI||Brûlé^Noël", control="2")
BOTH = [("CHU", "42"), ("CHU", "43")]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ((ONE + TWO).encode(), [1, 3]),
        ((ONE + TWO).replace("\r", "\n").encode(), [1, 3]),
        ((ONE + TWO).replace("\r", "\r\n").encode(), [1, 3]),
        ((ONE + "\r\n" + TWO).encode(), [1, 4]),
        (b"\xef\xbb\xbf" + (ONE + TWO).encode(), [1, 3]),
        (f"\x0b{ONE}\x1c\r\x0b{TWO}\x1c\r".encode(), [1, 4]),
        (f"FHS|^~\\&|X\rBHS|^~\\&|X\r{ONE}{TWO}BTS|2\rFTS|1\r".encode(), [3, 5]),
        (gzip.compress((ONE + TWO).encode()), [1, 3]),
    ],
)
def test_messages_are_found_however_they_are_wrapped(tmp_path: Path, content: bytes, lines: list[int]) -> None:
    reading = read(tmp_path, content)
    assert reading.refusals == []
    assert reading.batch.patients == BOTH
    assert reading.batch.records["line"].to_pylist() == lines
    assert [i.person.given_names for i in reading.batch.identities] == [("Zoé",), ("Noël",)]


def test_a_batch_trailer_is_no_part_of_the_message(tmp_path: Path) -> None:
    alone, in_batch = read(tmp_path, ONE), read(tmp_path, f"BHS|^~\\&|X\r{ONE}BTS|1\r")
    assert alone.batch.records["content"] == in_batch.batch.records["content"]


@pytest.mark.parametrize("packed", [False, True])
def test_ndjson(tmp_path: Path, packed: bool) -> None:
    lines = [orjson.dumps({"source": "x", "hl7": ONE}), b"{", b'{"hl7": 3}', b'{"hl7": ""}', b"", orjson.dumps({"hl7": TWO})]
    content = b"\n".join(lines)
    reading = read(tmp_path, gzip.compress(content) if packed else content, "m.ndjson.gz" if packed else "m.ndjson")
    assert reading.batch.patients == BOTH
    assert reading.refusals == [(1, "hl7", "malformed"), (2, "hl7", "malformed"), (3, "MSH", "malformed")]
    assert reading.batch.records["line"].to_pylist() == [1, 2, 3, 4, 6]


def test_only_wanted_records_are_read(tmp_path: Path) -> None:
    reading = read(tmp_path, ONE + TWO + ONE, wanted=frozenset({1}))
    assert reading.batch.patients == [("CHU", "43")]
    assert reading.batch.records["record_no"].to_pylist() == [1]


def test_messages_larger_than_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("estran.sources.hl7v2.framing._BLOCK", 50)
    monkeypatch.setattr("estran.sources.hl7v2.framing._read.__defaults__", (50,))
    reading = read(tmp_path, (ONE + TWO) * 20)
    assert reading.batch.records.num_rows == 40
    assert reading.batch.records["line"].to_pylist() == list(range(1, 81, 2))


@pytest.mark.parametrize(
    ("content", "refusal"),
    [
        (b"", ("MSH", "malformed")),
        (b"\r\n \x00", ("MSH", "malformed")),
        (b"PID|1||42\r", ("MSH", "malformed")),
        (b"MSH|", ("MSH-2", "truncated")),
        (b"MSH|^~\\&|SIL|CHU\r", ("MSH-9", "truncated")),
        (b"MSH|^~\\&|||||||ADT^A01\r", ("PID", "truncated")),
        (b"MSH|^^\\&|||||||ADT^A01\rPID|1||42\r", ("MSH-2", "malformed")),
        (b"MSH|^~\\|||||||ADT^A01\rPID|1||42\r", ("MSH-2", "malformed")),
        (b"MSH|^~\\&||||||||1\rPID|1||42\r", ("MSH-9", "missing")),
        (b"MSH|^~\\&|||||||ADT\rPID|1||42\r", ("MSH-9", "missing")),
        (b"MSH|^~\\&|||||||ADT^A01\rEVN||2024\r", ("PID", "missing")),
        (b"MSH|^~\\&|||||||ADT^A01\rPID|1||\r", ("PID-3", "no-patient")),
        (b"MSH|^~\\&|||||||ADT^A01\rPID|1||1^^^X^SS\r", ("PID-3", "no-patient")),
        (b"MSH|^~\\&|||||||ADT^A01\rPID|1||42\rPV", ("segment 3", "truncated")),
        (b"MSH|^~\\&|||||||ADT^A01\rPID|1||42\rwhat is this\r", ("segment 3", "malformed")),
        (b"MSH|^~\\&|||||||ADT^A01\rPID|1||42\rPID|2||43\r", ("PID", "malformed")),
        (b"MSH|^~\\&|||||2024ABCD||ADT^A01\rPID|1||42\r", ("MSH-7", "malformed")),
        (b"\x0bMSH|^~\\&|||||||ADT^A28\rPID|1||42\r", ("MLLP", "truncated")),
        (b"MSH|^~\\&|||||||SIU^S12\rPID|1||42\r", ("MSH-9", "unknown-type")),
        (b"MSH|^~\\&|||||||ACK^A01\rMSA|AA|1\r", ("MSH-9", "unknown-type")),
        ("﻿MSH|^~\\&|||||||ADT^A28\rPID|1||42\r".encode("utf-16"), ("MSH-18", "encoding")),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, content: bytes, refusal: tuple[str, str]) -> None:
    reading = read(tmp_path, content)
    assert reading.refusals == [(0, *refusal)]
    assert reading.batch.records.num_rows == 1


def test_reasons_are_sentences(tmp_path: Path) -> None:
    reading = read(tmp_path, message("SIU^S12^SIU_S12", PID) + message("ACK^A01", "MSA|AA|1") + message("ZÉT^1", PID))
    assert [r.reason for r in reading.batch.refusals] == [
        "Message type SIU^S12 is not read yet.",
        "An acknowledgement carries no data.",
        "This message type is not read yet.",
    ]


def test_one_bad_message_does_not_stop_the_file(tmp_path: Path) -> None:
    bad = message("ORU^R01", PID, PV1, "OBR|1||9^L|BIO", "OBX|1|NM|718-7^Hb^LN||13|g/dL|||||F|||yesterday")
    reading = read(tmp_path, ONE + bad + TWO)
    assert reading.refusals == [(1, "OBX-14", "malformed")]
    assert reading.batch.patients == BOTH
    assert (reading.batch.stays, reading.batch.codes, reading.batch.documents.num_rows) == ([], [], 0)


def test_a_cut_gzip_keeps_what_came_before(tmp_path: Path) -> None:
    import random

    noise = "".join(random.Random(1).choices("abcdefghijklmnop", k=200_000))
    long = message("MDM^T02", PID, "TXA|1|DS|TX|||||||||D1", f"OBX|1|TX|X||{noise}||||||F")
    reading = read(tmp_path, gzip.compress((ONE + long).encode())[:-5000], "m.hl7.gz")
    assert reading.refusals[-1] == (reading.batch.records.num_rows - 1, "file", "truncated")


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputRefused):
        list(Hl7v2Reader(Settings()).read(tmp_path / "absent.hl7", "absent.hl7"))


def charset(declared: str, encoding: str) -> bytes:
    return message("ADT^A28", PID).replace("UNICODE UTF-8", declared).encode(encoding)


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("8859/1", "latin-1"), ("8859/15", "iso8859-15"), ("UNICODE UTF-8", "utf-8"), ("UNICODE", "utf-8"),
        ("", "utf-8"), ("", "latin-1"), ("8859/1~UNICODE UTF-8", "latin-1"), ("ISO 8859/9", "iso8859-9"),
    ],
)  # fmt: skip
def test_characters(tmp_path: Path, declared: str, encoding: str) -> None:
    reading = read(tmp_path, charset(declared, encoding))
    assert [(i.person.family_names, i.person.given_names) for i in reading.batch.identities] == [(("ÉLIE",), ("Zoé",))]


def test_windows_characters_in_latin1(tmp_path: Path) -> None:
    text = message("ADT^A28", "PID|1||42^^^CHU^PI||D’ŒUVRE^Zoé").replace("UNICODE UTF-8", "8859/1")
    assert read(tmp_path, text.encode("cp1252")).batch.identities[0].person.family_names == ("D’ŒUVRE",)


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [("UNICODE UTF-8", "latin-1"), ("ASCII", "utf-8"), ("8859/1", "utf-8"), ("KLINGON", "utf-8")],
)
def test_a_wrong_declaration_is_refused(tmp_path: Path, declared: str, encoding: str) -> None:
    reading = read(tmp_path, charset(declared, encoding))
    assert reading.refusals == [(0, "MSH-18", "encoding")]
    assert "MSH-18" in reading.batch.refusals[0].reason


def test_other_separators(tmp_path: Path) -> None:
    text = "MSH!*%#$!SIL!CHU!!!2024!!ORU*R01!1!P!2.5\rPID!1!!42*5*M11*CHU$1.2.3*PI%7****SS!!A^B*C|D\r"
    text += "OBR!1!!9*L!BIO\rOBX!1!ST!X*Mot*L!!100 % sûr#F#~ \\ oui!!!!!!F\r"
    reading = read(tmp_path, text.replace("100 % sûr", "100 sûr"))
    assert reading.refusals == []
    person = reading.batch.identities[0].person
    assert (person.family_names, person.given_names, person.other_numbers) == (("A^B",), ("C|D",), ("7",))
    assert facts(reading, "value_text") == [("100 sûr!~ \\ oui",)]


def test_repetition_separator_beyond_ascii(tmp_path: Path) -> None:
    text = message("ADT^A28", "PID|1||42^^^CHU^PI˜99^^^X^SS||ÉLIE^Zoé").replace("^~\\&", "^˜\\&")
    person = read(tmp_path, text).batch.identities[0].person
    assert person.other_numbers == ("99",)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("plain", "plain"), ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"), ("x\\.br\\y", "x\ny"),
        ("\\X41C3A9\\", "Aé"), ("\\XE9\\", "é"), ("\\H\\gras\\N\\", "gras"), ("C:\\temp\\x", "C:\\temp\\x"),
        ("seul\\", "seul\\"), ("\\XZZ\\", "\\XZZ\\"), ("a\\.sp+2\\b", "a\nb"), ("\\.in+4\\c", "c"), ("\\C2842\\d", "d"),
    ],
)  # fmt: skip
def test_escapes(written: str, meant: str) -> None:
    assert plain(written) == meant


def test_files_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "b.hl7").write_text(message("ADT^A01", PID))
    (tmp_path / "a.txt").write_text(message("ORU^R01", PID))
    (tmp_path / "notes.txt").write_text("MSH is explained here")
    (tmp_path / "c.csv").write_text("MSH|")
    (tmp_path / "d.er7.gz").write_bytes(gzip.compress(message("ADT^A02", PID).encode()))
    reader = Hl7v2Reader(Settings())
    assert [p.name for p in reader.files([tmp_path])] == ["b.hl7", "d.er7.gz", "a.txt"]
    assert [p.name for p in reader.files([tmp_path / "c.csv"])] == ["c.csv"]
    assert reader.size(tmp_path / "c.csv") == 4
