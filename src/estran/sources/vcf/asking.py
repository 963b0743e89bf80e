"""Asking the process that reads VCF: what kills, hangs or bloats htslib costs its file, not the load."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from estran.sources.child import Child, TooSlow
from estran.sources.packed import LONGEST_BODY

_HEAD = struct.Struct("<IQ")
_LONGEST_WORDS = 1 << 20
SECONDS, BYTES_PER_SECOND = 120.0, 50_000  # a file may take so long, and so much longer for its size

Answer = tuple[dict[str, Any], bytes]


class Broken(Exception):
    """The process died, hangs, or does not say what it should."""


def ask(path: Path, seconds: float | None = None) -> Iterator[Answer]:
    """What the process says of the file at `path`: words and body, sample after sample. Raises Broken."""
    limit = SECONDS + path.stat().st_size / BYTES_PER_SECOND if seconds is None else seconds
    try:
        name = os.fsencode(path.resolve())
        with _child.asking(limit):
            _child.write(struct.pack("<I", len(name)) + name)
            yield from _answers()
    except (TooSlow, OSError, ValueError, EOFError):
        raise Broken from None


def _answers() -> Iterator[Answer]:
    while True:
        words, size = _HEAD.unpack(_child.read(_HEAD.size))
        if not words:
            return
        if words > _LONGEST_WORDS or size > LONGEST_BODY:
            raise ValueError
        said: dict[str, Any] = json.loads(_child.read(words))
        yield said, _child.read(size)


_child = Child("estran.sources.vcf.child")
