"""Whether what a site said in the clear is to be found where the hub could look; and, to know that the search finds what is there, whether
what it said under masks is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from ahocorasick_rs import BytesAhoCorasick

_PIECE = 4  # numbers in a row: 32 bytes, which do not come about by chance
_MOST = 4  # pieces of a vector
_PART = 2**26


def pieces(values: np.ndarray, plain: float = 0.0) -> list[bytes]:
    """Parts of a vector that nobody else has: no number in them twice, and none that is everybody's."""
    windows = np.lib.stride_tricks.sliding_window_view(values, _PIECE)
    odd = np.flatnonzero([(one != plain).all() and len(set(one)) == _PIECE for one in windows])
    return [values[n : n + _PIECE].tobytes() for n in odd[:: max(1, len(odd) // _MOST)][:_MOST]]


def clear(folder: Path) -> list[bytes]:
    """Of all that the sites below said without masks: as floats, and as the whole numbers that are masked afterwards."""
    found = [piece for path in sorted(folder.glob("site*/clear-*.npy")) for piece in pieces(np.load(path))]
    for path in sorted(folder.glob("site*/steps-*.npy")):
        steps = np.load(path)
        found += pieces(steps, float(np.bincount(steps).argmax()))
    return found


def masked(folder: Path) -> dict[str, bytes]:
    """The middle of each masked vector, by site and round."""
    found = {f"{path.parent.name} {path.stem}": path.read_bytes() for path in folder.glob("site*/masked-*.bin")}
    return {name: one[len(one) // 2 :][:64] for name, one in found.items()}


def searched(places: Iterable[bytes], wanted: Iterable[bytes]) -> set[bytes]:
    """Which of the pieces are there."""
    pieces = sorted(set(wanted))
    if not pieces:
        return set()
    search = BytesAhoCorasick(pieces)
    return {
        pieces[which]
        for place in places
        if place
        for which, _, _ in search.find_matches_as_indexes(place, overlapping=True)
    }


def of_file(path: Path) -> Iterator[bytes]:
    """What is in a file, in parts that lie over each other."""
    with path.open("rb") as held:
        before = b""
        while part := held.read(_PART):
            yield before + part
            before = part[-128:]


def memory(process: int) -> Iterator[bytes]:
    """All that a process may write to, as it is now; nothing of one that has ended."""
    try:
        maps = Path(f"/proc/{process}/maps").read_text()
        held = Path(f"/proc/{process}/mem").open("rb", 0)  # noqa: SIM115 (closed below)
    except OSError:
        return
    with held:
        for line in maps.splitlines():
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if match is None or "[v" in line:
                continue
            begin, end = (int(value, 16) for value in match.groups())
            try:
                held.seek(begin)
                yield held.read(end - begin)
            except (OSError, ValueError, OverflowError):
                continue


def family(process: int) -> list[int]:
    """A process and all below it."""
    try:
        below = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []
    return [process, *(one for child in below for one in family(int(child)))]
