"""Checkpoints of the audit trail: what the chain was at a line, signed.

Each is kept twice: in the database, and in a file outside it (`SITE/audit/checkpoints.jsonl`), which is
written first. Somebody who owns the database alone can therefore not make one unsaid.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import orjson
import sqlalchemy as sa

from estran.state.schema import audit_checkpoint
from estran.state.transactions import reading, writing

_TAIL = 16_384  # bytes: some thirty checkpoints


class Kind(StrEnum):
    """What a checkpoint says besides the state of the chain."""

    SEAL = "seal"  # nothing more
    KEY = "key"  # `subject` is a key that may make seals: the portal's
    CUT = "cut"  # the lines up to this one may be gone: their time was over


@dataclass(frozen=True)
class Checkpoint:
    """The chain at `line`, when `count` lines had ever been written. `signer` is an Ed25519 public key."""

    kind: Kind
    line: int
    chain: str
    count: int
    at: dt.datetime
    subject: str
    signer: str
    signature: str = ""

    def signed_bytes(self) -> bytes:
        """What the signature is of."""
        return orjson.dumps(["estran-audit 1", *asdict(self).values()][:-1])

    def as_line(self) -> bytes:
        """One line of the file."""
        return orjson.dumps(asdict(self)) + b"\n"

    @classmethod
    def of_line(cls, line: bytes) -> Checkpoint:
        """The checkpoint that a line of the file holds; ValueError when it holds none."""
        try:
            row = orjson.loads(line)
            texts = [str(row[name]) for name in ("subject", "signer", "signature")]
            at = dt.datetime.fromisoformat(row["at"])
            return cls(Kind(row["kind"]), int(row["line"]), str(row["chain"]), int(row["count"]), at, *texts)
        except (KeyError, TypeError, ValueError):
            raise ValueError("not a checkpoint") from None


class Checkpoints:
    """Those in the database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def keep(self, *made: Checkpoint) -> None:
        """Add checkpoints; one that is there already is left."""
        column = audit_checkpoint.c.signature
        with writing(self._engine) as connection:
            known = set(connection.scalars(sa.select(column).where(column.in_([one.signature for one in made]))))
            rows = [asdict(one) for one in made if one.signature not in known]
            if rows:
                connection.execute(audit_checkpoint.insert(), rows)

    def all(self) -> list[Checkpoint]:
        """All of them, the oldest first. ValueError when the database holds one that cannot be read."""
        columns = [column for column in audit_checkpoint.columns if column.name != "id"]
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(*columns).order_by(audit_checkpoint.c.line, audit_checkpoint.c.id))
            return [Checkpoint(**dict(row._mapping) | {"kind": Kind(row.kind)}) for row in rows]


class CheckpointFile:
    """Those in a file, one JSON object a line; only ever added to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, made: Checkpoint) -> None:
        """On disk when it returns. A line that a crash left unfinished is closed first."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n") and self.path.stat().st_size > 0
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, (b"\n" if torn else b"") + made.as_line())
            os.fsync(handle)
        finally:
            os.close(handle)

    def tail(self) -> list[Checkpoint]:
        """The last checkpoints, oldest first; lines that hold none are left out."""
        if not self.path.is_file():
            return []
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - _TAIL))
            lines = file.read().splitlines()
        found = []
        for line in lines:
            with contextlib.suppress(ValueError):
                found.append(Checkpoint.of_line(line))
        return found

    def all(self) -> tuple[list[Checkpoint], list[int]]:
        """The checkpoints, and the numbers of the lines (from 1) that hold none."""
        found, strange = [], []
        lines = self.path.read_bytes().splitlines() if self.path.is_file() else []
        for number, line in enumerate(lines, start=1):
            try:
                found.append(Checkpoint.of_line(line))
            except ValueError:
                strange.append(number)
        return found, strange
