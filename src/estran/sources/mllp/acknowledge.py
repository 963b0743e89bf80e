"""Acknowledgements (HL7 v2 chapter 2.9): written from the header of what they answer, byte for byte.

AA: durably kept. AE: durably kept, but it can never be loaded as it is and will be found in
quarantine. AR: not kept; the sender holds it and may send it again. A sender that asks for accept
acknowledgements (MSH-15) gets CA, CE, CR by the same rules.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
from typing import NamedTuple

_LONGEST = 250  # bytes of a field that is echoed
_WANTED = {b"AL": "AER", b"": "AER", b"NE": "", b"ER": "ER", b"SU": "A"}  # HL7 table 0155, letters answered
# Codes of a refusal as HL7 table 0357 says them.
_ERRORS = {
    "truncated": "100^Segment sequence error", "missing": "101^Required field missing", "no-patient": "101^Required field missing",
    "malformed": "102^Data type error", "encoding": "102^Data type error", "unknown-type": "200^Unsupported message type",
    "version": "203^Unsupported version id", "busy": "207^Application internal error",
}  # fmt: skip
_numbers = itertools.count(1)


class Header(NamedTuple):
    """What an acknowledgement needs of a message's MSH, as bytes; empty where there is none."""

    separator: bytes = b"|"
    encoding: bytes = b"^~\\&"
    sender: tuple[bytes, bytes] = (b"", b"")  # MSH-3, MSH-4
    receiver: tuple[bytes, bytes] = (b"", b"")  # MSH-5, MSH-6
    kind: bytes = b""  # MSH-9
    control_id: bytes = b""
    processing: bytes = b"P"
    version: bytes = b""
    wanted: bytes | None = None  # MSH-15, None when the sender does not use accept acknowledgements
    charset: bytes = b""

    @property
    def is_acknowledgement(self) -> bool:
        """Whether this answers something itself: an answer is never answered."""
        return self.kind[:3].upper() in (b"ACK", b"MCF")

    @property
    def speaks_version_2(self) -> bool:
        """Whether MSH-12 names a version that is read here; senders that leave it out are taken at their word."""
        return not self.version or self.version.startswith(b"2.") or self.version == b"2"


class Problem(NamedTuple):
    """Why a message is not simply accepted: field, code and sentence of its refusal."""

    field: str
    code: str
    reason: str


def read_header(message: bytes) -> Header:
    """The header of a message, whatever its separators; an empty one when there is no MSH."""
    line = message.lstrip()[:4096].replace(b"\n", b"\r").partition(b"\r")[0]
    if not line.startswith(b"MSH") or len(line) < 8 or line[3:4].isalnum():
        return Header()
    separator = line[3:4]
    fields = [b"", separator, *line[4:].split(separator)]
    fields += [b""] * (20 - len(fields))
    field = [f[:_LONGEST] for f in fields]
    component = field[2][:1] or b"^"
    return Header(
        separator, field[2], (field[3], field[4]), (field[5], field[6]), field[9], field[10], field[11] or b"P",
        field[12].partition(component)[0], field[15] if field[15] else None, field[18],
    )  # fmt: skip


def acknowledge(header: Header, letter: str, problem: Problem | None = None) -> bytes | None:
    """The acknowledgement `letter` (A, E or R) in its frame; None when none is wanted."""
    if header.is_acknowledgement or letter not in _WANTED.get((header.wanted or b"").upper(), "AER"):
        return None
    s, component = header.separator, header.encoding[:1] or b"^"
    event = header.kind.split(component)[1] if component in header.kind else b""
    kind = component.join((b"ACK", event, b"ACK")) if event else b"ACK"
    now = dt.datetime.now().astimezone().strftime("%Y%m%d%H%M%S%z").encode()
    number = f"ESTRAN{os.getpid()}.{next(_numbers)}".encode()
    msh = [
        b"MSH" + s + header.encoding, *header.receiver, *header.sender, now, b"", kind, number, header.processing,
        header.version or b"2.5",
    ]  # fmt: skip
    if header.charset:
        msh += [b"", b"", b"", b"", b"", header.charset]
    code = ("C" if header.wanted is not None else "A") + letter
    segments = [s.join(msh), s.join((b"MSA", code.encode(), header.control_id))]
    if problem is not None:
        reason = _escaped(problem.reason, header)
        segments[1] += s + reason
        segments.append(_error(problem, header, reason))
    return b"\x0b" + b"".join(segment + b"\r" for segment in segments) + b"\x1c\r"


def _error(problem: Problem, header: Header, reason: bytes) -> bytes:
    """ERR as of version 2.5: where (segment and field), what (table 0357), how bad, in words."""
    component = header.encoding[:1] or b"^"
    segment, _, field = problem.field.partition("-")
    where = component.join((segment[:3].encode("ascii", "replace"), b"1", field.encode("ascii", "replace"))) if field else b""
    code = _ERRORS.get(problem.code, _ERRORS["busy"]).encode().replace(b"^", component) + component + b"HL70357"
    return header.separator.join((b"ERR", b"", where, code, b"E", b"", b"", b"", reason))


def _escaped(text: str, header: Header) -> bytes:
    """`text`, a sentence of ours, with the sender's separators escaped."""
    escape = header.encoding[2:3]
    marks = dict(zip(header.separator + header.encoding[:4], b"FSRET", strict=False))
    return b"".join(
        b"%b%c%b" % (escape, marks[b], escape) if b in marks and escape else bytes((b,)) for b in text.encode("ascii", "replace")
    )
