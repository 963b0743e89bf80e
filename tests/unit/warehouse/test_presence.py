"""The presence file: what is written is read, unchanged concepts are the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from estran.model.errors import StoreError
from estran.warehouse import Presence, bitmap, members
from estran.warehouse.presence import write_presence

SETS = st.sets(st.integers(0, 2**31 - 1), max_size=12) | st.builds(
    lambda start, length: set(range(start, start + length)), st.integers(0, 70_000), st.integers(1, 400)
)
STATES = st.dictionaries(st.integers(0, 30), st.tuples(SETS, SETS), max_size=12)


def content(presence: Presence) -> dict[int, tuple[BitMap, BitMap]]:
    return {int(c): (presence.patients([c]), presence.stays([c])) for c in presence.concepts}


@settings(max_examples=60, deadline=None)
@given(states=st.lists(STATES, min_size=1, max_size=4))
def test_a_file_holds_the_last_state_of_every_concept(
    states: list[dict[int, tuple[set[int], set[int]]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, current, expected = tmp_path_factory.mktemp("presence"), Presence(None), {}
    for number, state in enumerate(states):
        changed = {c: (BitMap(p), BitMap(s)) for c, (p, s) in state.items()}
        expected = {c: pair for c, pair in {**expected, **changed}.items() if pair[0]}
        path = folder / f"{number}.bits"
        size, count = write_presence(path, current, changed)
        assert size == path.stat().st_size and count == len(expected)
        current = Presence(path)
        assert content(current) == expected


def test_sets_are_united_over_concepts(tmp_path: Path) -> None:
    sets = {c: (BitMap([c, 100]), BitMap([c + 1000])) for c in (1, 5, 9)}
    write_presence(tmp_path / "a", Presence(None), sets)
    presence = Presence(tmp_path / "a")
    assert presence.patients([1, 9, 77]) == BitMap([1, 9, 100])
    assert presence.stays(np.array([5, 5, 9])) == BitMap([1005, 1009])
    assert presence.patients([]) == BitMap() and presence.patients([2]) == BitMap()
    first = presence.patients([1])
    first.clear()
    assert presence.patients([1]) == BitMap([1, 100])


@pytest.mark.parametrize("damage", [b"", b"short", b"ESTRPRE1" + b"\xff" * 8, b"something else entirely, long enough"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "a").write_bytes(damage)
    with pytest.raises(StoreError):
        Presence(tmp_path / "a")


def test_numbers_become_bitmaps_and_come_back() -> None:
    values = np.array([5, 1, 4_000_000_000, 1], np.int64)
    assert members(bitmap(values)).tolist() == [1, 5, 4_000_000_000]
    assert members(BitMap()).tolist() == [] and bitmap([3, 2]) == BitMap([2, 3])
