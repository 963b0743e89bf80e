"""Messages: what is signed is what is read, and nothing else is."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from estran.hub.wire import File, Message, Refused, seal, unseal

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
MESSAGE = Message(
    "nextjob",
    "n",
    "a",
    "hub",
    7,
    NOW,
    NOW + dt.timedelta(minutes=1),
    {"x": [1, "é"]},
    (File("f", b"one"), File("g", b"")),
)
SEALED = seal(MESSAGE, KEY)


def opened(data: bytes) -> Message:
    return unseal(data, lambda sender: KEY.public_key() if sender == "a" else None)


def test_what_was_sealed_is_read() -> None:
    assert opened(SEALED) == MESSAGE


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_no_byte_can_be_changed(place: int, by: int) -> None:
    changed = bytearray(SEALED)
    changed[place] ^= by
    try:
        found = opened(bytes(changed))
    except Refused:
        return
    assert found == MESSAGE  # the white space or the spelling of the envelope, which is no part of what is said


@pytest.mark.parametrize("cut", [0, 1, 100, len(SEALED) - 1])
def test_a_message_cut_short_or_made_longer_is_refused(cut: int) -> None:
    for data in (SEALED[:cut], SEALED + b"x"):
        with pytest.raises(Refused):
            opened(data)


def test_a_stranger_and_another_key_are_refused() -> None:
    other = seal(MESSAGE, Ed25519PrivateKey.generate())
    with pytest.raises(Refused, match="signature"):
        opened(other)
    with pytest.raises(Refused) as refused:
        unseal(SEALED, lambda sender: None)
    assert refused.value.code == "unknown"


def test_another_version_is_told_which_are_spoken() -> None:
    head, _, rest = SEALED.partition(b"\n")
    newer = json.dumps(json.loads(head) | {"protocol_version": "estran-hub-9"}).encode() + b"\n" + rest
    with pytest.raises(Refused, match="estran-hub-1") as refused:
        opened(newer)
    assert refused.value.code == "version"


def test_files_cannot_change_places() -> None:
    two = seal(Message("k", "n", "a", "hub", 1, NOW, NOW, {}, (File("f", b"one"), File("g", b"two"))), KEY)
    head, _, _ = two.partition(b"\n")
    with pytest.raises(Refused, match="file"):
        opened(head + b"\ntwoone")
