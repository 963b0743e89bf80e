"""The reader of HL7 v2 files: every message is loaded or refused, none stops the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from estran.model.errors import InputRefused
from estran.settings import Settings
from estran.sources.hl7v2 import adt, mdm, orders, oru, problems
from estran.sources.hl7v2.framing import Frame, framed, frames, open_file
from estran.sources.hl7v2.gathering import Gathering, Held
from estran.sources.hl7v2.message import Message, first, get, part, parts
from estran.sources.hl7v2.refused import Refused
from estran.sources.records import Batch, content_hash

_SUFFIXES = (".hl7", ".er7", ".txt", ".ndjson", ".jsonl")
# Large batches: a patient, a stay and a code that come again within one are looked up once.
_BATCH_RECORDS, _BATCH_FACTS = 20_000, 400_000
# Which trigger events of each message are read; '' stands for none given.
_EVENTS = {
    "ADT": adt.EVENTS, "MDM": frozenset(("T02", "T04", "T06", "T08", "T10")),
    "ORU": frozenset(("R01", "R30", "R31", "R32", "")), "OUL": frozenset(("R21", "R22", "R23", "R24")),
    "ORM": frozenset(("O01", "")), "OML": frozenset(("O21", "O33", "O35", "O39")), "OMG": frozenset(("O19",)),
    "OMI": frozenset(("O23",)), "OMP": frozenset(("O09",)), "RDE": frozenset(("O01", "O11", "O25")),
    "RDS": frozenset(("O01", "O13")), "RAS": frozenset(("O01", "O17")), "VXU": frozenset(("V04",)),
    "PPR": frozenset(("PC1", "PC2", "PC3")), "DFT": frozenset(("P03", "P11")),
}  # fmt: skip
_TYPE = re.compile(r"[A-Z]{3,6}", re.ASCII)
_EVENT = re.compile(r"[A-Z][A-Z0-9]{2}", re.ASCII)
_BEGINNING = re.compile(rb"(?:MSH|FHS|BHS)[^A-Za-z0-9\s]|\{")
_SNIFFED = 4096


class Hl7v2Reader:
    """HL7 v2 messages from files of any of the usual shapes; see docs/reference/sources/hl7v2.md."""

    format = "hl7v2"

    def __init__(self, settings: Settings) -> None:
        self._held = Held(settings.zone, settings.author_system)
        self._batch_records = min(_BATCH_RECORDS, settings.commit_records)

    def files(self, paths: list[Path]) -> list[Path]:
        """Files given by name, and those of the directories that look like messages; ADT first."""
        found: dict[Path, int] = {}
        for path in paths:
            if path.is_dir():
                inside = (p for p in path.rglob("*") if p.is_file() and _is_named(p))
                found.update((p, rank) for p in inside if (rank := _rank(p)) is not None)
            else:
                found[path] = _rank(path) or 0
        return sorted(found, key=lambda p: (found[p], str(p)))

    def size(self, path: Path) -> int:
        """Bytes of the file as it lies on the disk."""
        return path.stat().st_size

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        """Batches of the messages of `path`; InputRefused when the file cannot be opened."""
        gathering = Gathering(self._held)
        try:
            for number, frame in enumerate(frames(path, name)):
                if wanted is not None and number not in wanted:
                    continue
                self._take(gathering, number, frame)
                if len(gathering.builder) >= self._batch_records or gathering.builder.facts >= _BATCH_FACTS:
                    yield gathering.build()
                    self._held.trim()
                    gathering = Gathering(self._held)
        except OSError as error:
            raise InputRefused("The file cannot be read.", where=str(path), hint=str(error.strerror or error)) from None
        if len(gathering.builder):
            yield gathering.build()

    def judge(self, data: bytes) -> Refused | None:
        """Why a message that was received alone will never load as it is; None when it can.

        Whether its patient is known is another matter: it waits in quarantine until then.
        """
        gathering = Gathering(self._held)
        for number, frame in enumerate(framed(data)):
            self._take(gathering, number, frame)
        self._held.trim()
        refusals = gathering.builder.batch.refusals
        return Refused(refusals[0].field, refusals[0].code, refusals[0].reason) if refusals else None

    def _take(self, gathering: Gathering, number: int, frame: Frame) -> None:
        """Add one message to the batch, or its refusal."""
        builder = gathering.builder
        record = builder.record(number, frame.line, 0, content_hash(frame.data))
        mark = builder.mark()
        try:
            if frame.problem is not None:
                problem = frame.problem
            else:
                message = Message(frame.data, utf8=frame.utf8)
                builder.date_record(record, _read(gathering, message, record, number))
                return
        except Refused as refused:
            problem = refused
        except (ValueError, LookupError, TypeError, ArithmeticError) as error:
            # A rule of HL7 that the reader takes for granted and the message breaks: one message lost
            # to the quarantine, where its replay will tell, rather than a whole file.
            problem = Refused("MSH", "malformed", f"The message is not built as HL7 says ({type(error).__name__}).")
        gathering.undo(mark)
        builder.refuse(record, problem.field, problem.code, problem.reason)


def _read(gathering: Gathering, message: Message, record: int, number: int) -> int:
    kind, event = _type(message)
    if kind == "ACK":
        raise Refused("MSH-9", "unknown-type", "An acknowledgement carries no data.")
    if event not in _EVENTS.get(kind, ()):
        raise _unknown(kind, event)
    if len(message.lines) == 1:
        raise Refused("PID", "truncated", "The message stops after its MSH segment.")
    if kind in ("ORU", "OUL"):
        return oru.read_results(gathering, message, record, number)
    if kind == "MDM":
        return mdm.read_document(gathering, message, record, number, event)
    if kind == "ADT":
        return adt.read_movement(gathering, message, record, event)
    if kind == "PPR":
        return problems.read_problems(gathering, message, record, number)
    if kind == "DFT":
        return problems.read_charges(gathering, message, record, number)
    return orders.read_orders(gathering, message, record, number, kind)


def _type(message: Message) -> tuple[str, str]:
    """Message code and trigger event: MSH-9, the event also from EVN-1."""
    if len(message.msh) < 10:
        raise Refused("MSH-9", "truncated", "The MSH segment stops before the message type (MSH-9).")
    kind, event = _named(message.msh[9])
    if not kind:
        raise Refused("MSH-9", "missing", "The message has no type (MSH-9).")
    if not event and kind in ("ADT", "MDM"):
        evn = message.first("EVN")
        event = first(get(evn, 1)).upper() if evn else ""
        if not event:
            raise Refused("MSH-9", "missing", "The message has no trigger event (MSH-9).")
    return kind, event


@lru_cache(maxsize=1024)
def _named(field: str) -> tuple[str, str]:
    """Message code and trigger event of an MSH-9; senders use a handful."""
    components = parts("" if field == '""' else field)
    return part(components, 1).upper(), part(components, 2).upper()


def _unknown(kind: str, event: str) -> Refused:
    if not _TYPE.fullmatch(kind) or (event and not _EVENT.fullmatch(event)):
        return Refused("MSH-9", "unknown-type", "This message type is not read yet.")
    name = f"{kind}^{event}" if event else kind
    return Refused("MSH-9", "unknown-type", f"Message type {name} is not read yet.")


def _is_named(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(_SUFFIXES)


def _rank(path: Path) -> int | None:
    """0 for a file that begins with an ADT, 1 for other messages, None for something else."""
    try:
        with open_file(path) as stream:
            head = stream.read(_SNIFFED).lstrip(b"\xef\xbb\xbf \t\r\n\x0b")
    except (OSError, EOFError):
        return 1
    if not _BEGINNING.match(head):
        return None
    return 0 if b"ADT" in head.partition(b"\r")[0][:400] else 1
