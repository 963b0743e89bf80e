"""What bytes give away: the format they are of, archives within, lines and runs that are too long, invisible characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from estran.release.airlock.findings import Finding, finding

MAGIC = {
    "png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff", "pdf": b"%PDF-", "zip": b"PK\x03\x04", "gzip": b"\x1f\x8b",
    "parquet": b"PAR1", "xz": b"\xfd7zXZ\x00", "7z": b"7z\xbc\xaf\x27\x1c", "rar": b"Rar!\x1a\x07", "zstd": b"\x28\xb5\x2f\xfd",
}  # fmt: skip
_ARCHIVES = ("zip", "gzip", "xz", "7z", "rar", "zstd", "parquet")
_ARCHIVE = re.compile(b"PK\x03\x04|PK\x05\x06|\xfd7zXZ\x00|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|PAR1")
MOST_LINE = 10_000
MOST_RUN = 400
_RUN = re.compile(rf"[A-Za-z0-9+/=_\-]{{{MOST_RUN + 1},}}")
_SEEN = frozenset("\n\r\t")


def format_of(data: bytes) -> str:
    """What the first bytes say: a name of `MAGIC`, or "" for a text or something unknown."""
    return next((name for name, magic in MAGIC.items() if data.startswith(magic)), "")


def archive_in(data: bytes) -> bool:
    """Whether the bytes hold the mark of an archive."""
    return _ARCHIVE.search(data) is not None or any(data.startswith(MAGIC[name]) for name in _ARCHIVES)


def check_lines(text: str, name: str, part: str = "", most: int = MOST_LINE) -> Iterator[Finding]:
    """Lines and runs that are too long, characters that do not show, blanks at the ends of lines."""
    blanks = 0
    for row, line in enumerate(text.split("\n"), start=1):
        if len(line) > most:
            yield finding("long", name, row, part=part, length=len(line), most=most)
        if run := _RUN.search(line):
            yield finding("code", name, row, part=part, length=len(run[0]))
        if unseen := next((c for c in line if _invisible(c)), ""):
            yield finding("hidden", name, row, part=part, what=f"U+{ord(unseen):04X}")
        bare = line.rstrip("\r")
        blanks += bare != bare.rstrip(" \t")
    if blanks > 8:
        yield finding("hidden", name, part=part, what=f"{blanks} × blank at the end of a line")


def _invisible(character: str) -> bool:
    if character.isascii():
        return (character < " " and character not in _SEEN) or character == "\x7f"
    return unicodedata.category(character) in ("Cf", "Co", "Cn", "Cs", "Cc") and character != "\ufeff"
