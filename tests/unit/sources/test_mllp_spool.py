"""The spool: what is kept comes back, whatever the instant at which the process or the disk stopped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estran.model.errors import StoreError
from estran.sources.mllp import Spool
from estran.sources.mllp.feeder import Feeder, _batch
from estran.sources.pipeline.run import Report

KEY = bytes(range(32))
SECRET = b"MSH|^~\\&|DUPRATELLE"


def _spool(folder: Path) -> Spool:
    return Spool(folder / "spool", KEY)


def _killed(spool: Spool) -> None:
    """As kill -9 leaves it: nothing closed, the lock gone."""
    os.close(spool._held)


def _all(spool: Spool) -> list[bytes]:
    return [message for path in spool.waiting() for message in spool.read(path).messages]


def test_messages_come_back_in_order_and_are_sealed_on_the_disk(tmp_path: Path) -> None:
    spool = _spool(tmp_path)
    spool.keep([SECRET, b"two"])
    spool.keep([b"three"])
    assert spool.waiting() == []
    spool.turn()
    spool.keep([b"four"])
    spool.close()
    assert _all(spool) == [SECRET, b"two", b"three", b"four"]
    assert all(spool.read(path).whole for path in spool.waiting())
    for path in (tmp_path / "spool").iterdir():
        assert b"DUPRATELLE" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0


def test_a_kill_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    spool = _spool(tmp_path)
    spool.keep([b"one", b"two"])
    _killed(spool)
    spool = _spool(tmp_path)
    assert _all(spool) == [b"one", b"two"]
    spool.keep([b"three"])  # in a segment of its own
    spool.turn()
    assert [spool.read(p).messages for p in spool.waiting()] == [[b"one", b"two"], [b"three"]]
    spool.close()


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 400), noise=st.binary(max_size=40))
def test_a_torn_tail_is_left_out(tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes) -> None:
    """Power lost while writing: the file ends anywhere, or in rubbish; whole messages before it stay."""
    folder = tmp_path_factory.mktemp("torn")
    messages = [bytes([65 + n]) * 20 * n for n in range(1, 6)]
    spool = _spool(folder)
    spool.keep(messages)
    _killed(spool)
    (path,) = (folder / "spool").glob("*.open")
    path.write_bytes(path.read_bytes()[:cut] + noise)
    spool = _spool(folder)
    found = _all(spool)
    assert found == messages[: len(found)]
    ends, at = [], 16
    for message in messages:
        at += 4 + len(message) + 16
        ends.append(at)
    assert len(found) >= sum(end <= cut for end in ends)
    for path in spool.waiting():
        assert spool.forget(path)
    spool.close()


def test_segments_cannot_be_swapped_or_altered(tmp_path: Path) -> None:
    spool = _spool(tmp_path)
    spool.keep([b"one", b"two", b"three"])
    spool.turn()
    (path,) = spool.waiting()
    data = bytearray(path.read_bytes())
    data[16 + 4 + 3 + 16 + 4 + 1] ^= 1
    path.write_bytes(data)
    assert spool.read(path) == ([b"one"], False)
    assert spool.forget(path) is False, "what was closed whole and is not any more is kept aside"
    assert [p.suffix for p in (tmp_path / "spool").iterdir() if p.suffix != ".lock"] == [".damaged"]
    spool.close()


def test_one_listener_per_source(tmp_path: Path) -> None:
    spool = _spool(tmp_path)
    with pytest.raises(StoreError):
        _spool(tmp_path)
    spool.close()
    _spool(tmp_path).close()


def test_the_feeder_deletes_only_what_was_committed(tmp_path: Path) -> None:
    spool, loaded, said = _spool(tmp_path), [], []

    def load(files: list[Path]) -> Report:
        if len(loaded) < 2:
            loaded.append([])
            raise StoreError("Another process is writing to this warehouse.") if len(loaded) == 1 else ValueError("secret")
        loaded.append([path.read_bytes() for path in files])
        return Report("hl7v2/mllp")

    feeder = Feeder(spool, load, 0.1, said.append)
    spool.keep([b"one"])
    assert (feeder.step(), feeder.step()) == (False, False)
    spool.keep([b"two", b"three"])
    assert feeder.step() and spool.waiting() == [] and spool.size() == 0
    assert loaded[-1] == [b"\x0bone\x1c\r", b"\x0btwo\x1c\r\x0bthree\x1c\r"]
    assert said[0].startswith("Another process is writing") and "ValueError" in said[1] and "secret" not in str(said)
    assert not feeder.step()
    spool.close()


def test_a_micro_batch_is_bounded(tmp_path: Path) -> None:
    paths = []
    for number in range(250):
        (path := tmp_path / f"{number:03d}").write_bytes(b"x")
        paths.append(path)
    assert _batch(paths) == paths[:200]
    with paths[1].open("r+b") as file:
        file.truncate(300 << 20)  # a hole, nothing on the disk
    assert _batch(paths) == paths[:1]
    assert _batch(paths[1:]) == paths[1:2]
