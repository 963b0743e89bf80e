"""Whether what a site said in the clear is to be found where the hub could look."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

TARGET = 2**22


def traces(said: np.ndarray, bound: float) -> list[bytes]:
    """Pieces of a site's vector that nobody else has, as floats, as Flower's array files hold them, and as the integers that are masked."""
    steps = np.round((np.clip(said, -bound, bound) + bound) / (2 * bound) * TARGET).astype(np.int64)
    found = []
    for values, plain in ((said, 0), (steps, TARGET // 2)):
        odd = [
            n for n in range(len(values) - 3) if (values[n : n + 4] != plain).all() and len(set(values[n : n + 4])) == 4
        ]
        found += [values[n : n + 4].tobytes() for n in odd[:: max(1, len(odd) // 4)][:4]]
    return found


def searched(place: bytes, wanted: list[bytes]) -> int:
    """How many of the pieces are there."""
    return sum(piece in place for piece in wanted)


def memory(process: int) -> bytes:
    """All that a process may write to, as it is now."""
    found = []
    with Path(f"/proc/{process}/mem").open("rb", 0) as held:
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if match and "[v" not in line:
                begin, end = (int(value, 16) for value in match.groups())
                try:
                    held.seek(begin)
                    found.append(held.read(end - begin))
                except (OSError, ValueError, OverflowError):
                    continue
    return b"".join(found)


def family(process: int) -> list[int]:
    """A process and all below it."""
    below = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(one for child in below for one in family(int(child)))]
