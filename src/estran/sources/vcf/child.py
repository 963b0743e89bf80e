"""The process that reads VCF: a path on standard input, entries of a pack on standard output."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from estran.sources.child import bound_memory
from estran.sources.packed import LONGEST_BODY
from estran.sources.vcf.parse import Unread, parse

_MEMORY = 6 << 30
HEAD = struct.Struct("<IQ")  # length of the words, length of the body; words of length 0 end the answer


def main() -> None:
    """Answer until the input ends."""
    bound_memory(_MEMORY)
    pa.set_cpu_count(1)
    source, out = sys.stdin.buffer, sys.stdout.buffer
    while head := source.read(4):
        (size,) = struct.unpack("<I", head)
        _answer(Path(source.read(size).decode("utf-8", "surrogateescape")), out)
        out.write(HEAD.pack(0, 0))
        out.flush()


def _answer(path: Path, out: IO[bytes]) -> None:
    try:
        found = parse(path)
        for sample, rows in found.tables():
            words = {"sample": sample, "date": found.date, "assembly": found.assembly}
            body = b"" if rows is None else _stream(rows)
            if rows is None or len(body) > LONGEST_BODY:
                _tell(out, {**words, "refused": ("malformed", "The sample has more variants than can be read.")})
            else:
                _tell(out, words, body)
    except Unread as why:
        _tell(out, {"refused": (why.code, why.reason)})
    except MemoryError:
        _tell(out, {"refused": ("malformed", "The file needs too much memory to be read.")})
    except Exception:  # noqa: BLE001  (nothing that a file says may end the process, nor be told)
        _tell(out, {"refused": ("malformed", "The file is damaged: it cannot be read.")})


def _stream(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as out:
        out.write_table(rows)
    return bytes(sink.getvalue())


def _tell(out: IO[bytes], words: dict[str, Any], body: bytes = b"") -> None:
    said = json.dumps(words).encode()
    out.write(HEAD.pack(len(said), len(body)) + said)
    out.write(body)


if __name__ == "__main__":
    main()
