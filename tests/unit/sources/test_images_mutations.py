"""Damaged images and recordings: a refusal or a record, never an exception, never without end."""

from __future__ import annotations

import functools
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from tests.unit.sources.test_signal import AECG, edf

from estran.sources.dicom.reader import DicomReader
from estran.sources.signal.reader import SignalReader
from estran.sources.signal.recording import Unread
from estran.sources.signal.wfdb_header import read_header
from estran.sources.signal.wfdb_marks import read_annotations

DICOM = ("CT_small.dcm", "MR_small_bigendian.dcm", "reportsi.dcm", "test-SR.dcm", "liver_1frame.dcm", "rtplan.dcm",
         "MR_small_implicit.dcm", "image_dfl.dcm", "priv_SQ.dcm", "ExplVR_LitEndNoMeta.dcm")  # fmt: skip
HEADER = b"p/3 2 125 300 16:57:09.000 26/10/2137\np_layout 0\n~ 100\np_1 200\n"
PLAIN = b"100 2 360/12(4) 650000 10:00:00 01/02/2003\n100.dat 212x2:3+4 200(1)/mV 11 1024 995 -22131 0 MLII\n100.dat 212\n"
SECONDS = 20
slow = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)

edits = st.lists(
    st.tuples(st.sampled_from(("flip", "cut", "drop", "twice", "fill")), st.floats(0, 1), st.integers(0, 255), st.integers(1, 40)),
    min_size=1, max_size=8,
)  # fmt: skip


def damaged(raw: bytes, changes: list[tuple[str, float, int, int]]) -> bytes:
    body = bytearray(raw)
    for how, where, value, size in changes:
        at = int(where * max(len(body) - 1, 0))
        if how == "flip" and body:
            body[at] = value
        elif how == "cut":
            del body[at:]
        elif how == "drop":
            del body[at : at + size]
        elif how == "twice":
            body[at:at] = body[at : at + size * 16]
        else:
            body[at : at + size] = bytes([value]) * size
    return bytes(body)


def account(reader: DicomReader | SignalReader, content: bytes, name: str) -> None:
    """One file is one record, whatever is in it; twice the same."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        started = time.perf_counter()
        batches = [[(b.records.to_pylist(), b.facts.num_rows, len(b.refusals)) for b in reader.read(path, name)] for _ in range(2)]
        assert time.perf_counter() - started < SECONDS
        assert batches[0] == batches[1] and len(batches[0]) == 1 and len(batches[0][0][0]) == 1


@functools.cache
def original(name: str) -> bytes:
    return Path(get_testdata_file(name)).read_bytes()[:40_000]


@functools.cache
def night() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return edf(Path(folder) / "night.edf").read_bytes()[:200_000]


@slow
@given(st.sampled_from(DICOM), edits)
def test_damaged_dicom(name: str, changes: list[tuple[str, float, int, int]]) -> None:
    account(DicomReader("Europe/Paris", "CHU"), damaged(original(name), changes), "one")


@slow
@given(edits)
def test_damaged_edf(changes: list[tuple[str, float, int, int]]) -> None:
    raw = night()
    account(SignalReader("Europe/Paris", "CHU"), damaged(raw[:2000], changes) + raw[2000:], "one.edf")


@slow
@given(edits)
def test_damaged_aecg(changes: list[tuple[str, float, int, int]]) -> None:
    account(SignalReader("Europe/Paris", "CHU"), damaged((AECG % "1 2 3 4 5").encode(), changes), "one.xml")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.sampled_from((HEADER, PLAIN)), edits)
def test_damaged_wfdb_headers(raw: bytes, changes: list[tuple[str, float, int, int]]) -> None:
    try:
        header = read_header(damaged(raw, changes))
    except Unread as refused:
        assert refused.reason.endswith(".")
        return
    for name in (*header.files, *(n for n, _ in header.segments)):
        assert name == "~" or (Path(name).name == name and ".." not in Path(name).parts and ":" not in name)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=400))
def test_any_bytes_as_annotations(raw: bytes) -> None:
    try:
        found = read_annotations(raw)
    except Unread as refused:
        assert refused.reason.endswith(".")
        return
    assert len(found.beats) == sum(found.kinds.values())


@slow
@given(st.sampled_from((HEADER, PLAIN)), edits)
def test_damaged_wfdb_records(raw: bytes, changes: list[tuple[str, float, int, int]]) -> None:
    account(SignalReader("Europe/Paris", "CHU"), damaged(raw, changes), "100.hea")
