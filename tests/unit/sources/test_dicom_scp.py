"""The storage SCP, with dcmtk as its peer where it is installed and pynetdicom where it is not."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pynetdicom import AE
from tests.spec.site_kit import findings, load, make, rows, value

from estran.app import Site
from estran.sources.dicom.inbox import Inbox, Receiver

SECONDS = 60


class Listening:
    """`estran listen-dicom` as a process of its own."""

    def __init__(self, site: Site) -> None:
        command = [sys.executable, "-m", "estran", "listen-dicom", str(site.directory), "--port", "0", "--every", "0.3", "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.port = json.loads(self.process.stdout.readline())["listening"]

    def end(self, how: int = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(SECONDS)


def objects(folder: Path, count: int) -> list[Path]:
    """Radiographs of one patient."""
    made = pydicom.dcmread(get_testdata_file("MR_small.dcm"))
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    folder.mkdir()
    paths = []
    for n in range(count):
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"1.2.99.{n}"
        made.save_as(folder / f"{n:03d}.dcm")
        paths.append(folder / f"{n:03d}.dcm")
    return paths


def echo_and_store(port: int, paths: list[Path]) -> None:
    """As any modality would."""
    if shutil.which("storescu"):
        subprocess.run(["echoscu", "-aec", "ESTRAN", "127.0.0.1", str(port)], check=True, timeout=SECONDS)
        subprocess.run(["storescu", "-aec", "ESTRAN", "-xf", _profile(paths[0].parent), "Default", "127.0.0.1", str(port), *map(str, paths)],
                       check=True, timeout=SECONDS)  # fmt: skip
        return
    kept: list[Path] = []
    _store(port, paths, kept)
    assert _echo(port) and kept == paths


def _profile(folder: Path) -> str:
    """storescu's default proposes no class of radiographs in explicit little endian by itself."""
    path = folder.parent / "profile.cfg"
    path.write_text(
        "[[TransferSyntaxes]]\n[All]\nTransferSyntax1 = LocalEndianExplicit\nTransferSyntax2 = LittleEndianImplicit\n"
        "[[PresentationContexts]]\n[Images]\nPresentationContext1 = DigitalXRayImageStorageForPresentation\\All\n"
        "[[Profiles]]\n[Default]\nPresentationContexts = Images\n"
    )
    return str(path)


def _echo(port: int) -> bool:
    entity = AE()
    entity.add_requested_context("1.2.840.10008.1.1")
    association = entity.associate("127.0.0.1", port, ae_title="ESTRAN")
    answered = association.is_established and association.send_c_echo().Status == 0
    association.release()
    return answered


def _store(port: int, paths: list[Path], kept: list[Path]) -> None:
    """Send until the line goes dead; `kept` receives what was acknowledged, in order."""
    entity = AE()
    entity.add_requested_context("1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.1.2.1")
    association = entity.associate("127.0.0.1", port, ae_title="ESTRAN")
    for path in paths:
        if not association.is_established:
            break
        try:
            status = association.send_c_store(str(path))
        except (RuntimeError, ValueError):
            break
        if "Status" not in status or status.Status != 0:
            break
        kept.append(path)
    if association.is_established:
        association.release()


def wait_for(site: Site, count: int) -> None:
    """Until the warehouse holds so many documents."""
    for _ in range(SECONDS * 5):
        if value(site, "select count(*) from document") >= count:
            return
        time.sleep(0.2)
    pytest.fail("the images were not loaded in time")


def test_a_modality_stores_and_the_warehouse_finds(tmp_path: Path) -> None:
    site = make(tmp_path / "site", author_system="CHU")
    listening = Listening(site)
    try:
        echo_and_store(listening.port, objects(tmp_path / "objects", 5))
        wait_for(site, 5)
    finally:
        listening.end()
    assert rows(site, "select count(*), count(distinct record_key) from document") == [(5, 5)]
    assert not (site.directory / "spool" / "dicom" / "scp" / "receiving" / "x").exists()
    assert findings(site) == []


_RECEIVE = """
import sys, time
from pathlib import Path
from estran.sources.dicom.inbox import Inbox, Receiver
print(Receiver(Inbox(Path(sys.argv[1]))).start("127.0.0.1", 0), flush=True)
time.sleep(600)
"""


def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    """Killed while it receives, twice; every acknowledged object is in the warehouse, once."""
    paths, kept = objects(tmp_path / "objects", 40), []
    for stop_at in (7, 20, len(paths)):
        receiver = subprocess.Popen([sys.executable, "-c", _RECEIVE, str(tmp_path / "inbox")], stdout=subprocess.PIPE, text=True)
        assert receiver.stdout
        port = int(receiver.stdout.readline())
        sender = threading.Thread(target=_store, args=(port, paths[len(kept) :], kept))
        sender.start()
        while len(kept) < stop_at and sender.is_alive():
            time.sleep(0.001)
        receiver.kill()
        sender.join(SECONDS)
        receiver.wait(SECONDS)
    assert kept == paths
    site, inbox = make(tmp_path / "site", author_system="CHU"), Inbox(tmp_path / "inbox")
    inbox.open()
    report = load(site, "dicom", *inbox.batch())
    assert report.total("read") >= len(paths)  # what was kept and not acknowledged came twice
    assert rows(site, "select count(*), count(distinct record_key) from document") == [(40, 40)]


def test_only_the_title_that_was_given_answers(tmp_path: Path) -> None:
    receiver = Receiver(Inbox(tmp_path / "inbox"), "ESTRAN", ("SCANNER",))
    port = receiver.start("127.0.0.1", 0)
    try:
        for caller, called in (("SCANNER", "OTHER"), ("SOMEONE", "ESTRAN")):
            entity = AE(ae_title=caller)
            entity.add_requested_context("1.2.840.10008.1.1")
            assert not entity.associate("127.0.0.1", port, ae_title=called).is_established
    finally:
        receiver.stop()


def test_an_inbox_keeps_what_it_acknowledged_and_forgets_the_rest(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox")
    inbox.open()
    assert inbox.batch() == []
    for n in range(3):
        (inbox.scratch() / "x").write_bytes(bytes([n]))
        inbox.keep(inbox.scratch() / "x", f"1.2.{n % 2}")  # the third is the first again
    (inbox.scratch() / "half").write_bytes(b"half")
    [batch] = inbox.batch()
    assert len(list(batch.iterdir())) == 2
    again = Inbox(tmp_path / "inbox")  # killed before it could say that the batch is loaded
    again.open()
    assert again.batch() == [batch] and not list(again.scratch().iterdir())
    again.done(batch)
    assert again.batch() == []
