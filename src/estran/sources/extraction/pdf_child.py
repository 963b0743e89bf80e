"""The process that reads PDFs: length and bytes on standard input, length and JSON on standard output."""

from __future__ import annotations

import json
import struct
import sys
from typing import IO, Any

import pypdfium2

from estran.sources.child import bound_memory
from estran.sources.extraction import Unreadable
from estran.sources.extraction.pdf_pages import read

_MEMORY = 3 << 30


def main() -> None:
    """Answer until the input ends."""
    bound_memory(_MEMORY)
    source, out = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(4):
        (size,) = struct.unpack("<I", head)
        data = _exactly(source, size)
        answer = json.dumps(_answer(data)).encode()
        out.write(struct.pack("<I", len(answer)) + answer)
        out.flush()


def _exactly(source: IO[bytes], size: int) -> bytes:
    data = source.read(size)
    if len(data) != size:
        sys.exit(0)
    return data


def _answer(data: bytes) -> dict[str, Any]:
    try:
        return read(data)
    except Unreadable as why:
        return {"refused": (why.code, why.reason)}
    except MemoryError:
        return {"refused": ("malformed", "The PDF needs too much memory to be read.")}
    except (pypdfium2.PdfiumError, ValueError, OverflowError, ArithmeticError, LookupError, TypeError):
        return {"refused": ("malformed", "The PDF is damaged: it cannot be read.")}


if __name__ == "__main__":
    main()
