"""PDF, read by PDFium in a process of its own.

PDFium is C++ and its input comes from outside: `estran.sources.child` says why that matters.
"""

from __future__ import annotations

import datetime as dt
import json
import struct
from typing import Any

from estran.sources.child import Child, TooSlow
from estran.sources.extraction import LONGEST, Extracted, Unreadable, finished

SECONDS = 60.0  # for one document


def extract(data: bytes, media_type: str = "") -> Extracted:
    """Text in reading order. Raises Unreadable: locked, damaged, only pictures, too slow, too large."""
    answer = _ask(data)
    if "refused" in answer:
        raise Unreadable(*answer["refused"])
    modified = dt.datetime.fromisoformat(answer["modified"]) if answer["modified"] else None
    return finished(
        answer["text"], answer["pages"], tuple(answer["header"]), tuple(answer["footer"]),
        warnings=tuple(answer["warnings"]), title=answer["title"], modified=modified,
    )


def _ask(data: bytes) -> dict[str, Any]:
    """The child's answer about one document."""
    try:
        with _child.asking(SECONDS):
            _child.write(struct.pack("<I", len(data)) + data)
            (size,) = struct.unpack("<I", _child.read(4))
            if size > 8 * LONGEST:
                raise EOFError
            answer: dict[str, Any] = json.loads(_child.read(size))
            return answer
    except TooSlow:
        return {"refused": ("malformed", "The PDF takes too long to be read.")}
    except (OSError, ValueError, EOFError):
        return {"refused": ("malformed", "The PDF is damaged: it cannot be read.")}


_child = Child("estran.sources.extraction.pdf_child")
