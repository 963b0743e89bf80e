"""What an agent must not lose: the jobs it took, the answers it made, and how far it got in talking to its hub."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Row
from typing import Any

import orjson

from estran.hub.database import Database
from estran.hub.file_table import SCHEMA, TO_2, FileTable
from estran.hub.wire import File

FILE_NAME = "agent.sqlite"
# Rows that may be long are in tables with row numbers: in the others SQLite reads whole rows to compare their keys.
_AT_ONCE = 100  # numbers of messages set aside by one write to disk
_VERSION = 2
_SCHEMA = f"""
CREATE TABLE counter (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE job (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, body TEXT NOT NULL, question TEXT NOT NULL, expires REAL NOT NULL,
  taken REAL NOT NULL, proof BLOB NOT NULL, state TEXT NOT NULL, said TEXT NOT NULL DEFAULT '',
  answer TEXT NOT NULL DEFAULT '{{}}', told INTEGER NOT NULL DEFAULT 0);
CREATE INDEX job_state ON job (state, told);{SCHEMA}"""
_STEPS = {1: TO_2}


@dataclass(frozen=True)
class Job:
    """What a hub asks of this member. `expires` is by the hub's clock, seconds since 1970."""

    id: str
    kind: str
    body: dict[str, Any]
    question: str = ""
    expires: float = 0.0
    files: tuple[File, ...] = ()

    def file(self, name: str) -> bytes | None:
        """The bytes of a file, None when there is none of this name."""
        return next((one.data for one in self.files if one.name == name), None)


@dataclass(frozen=True)
class Answer:
    """What comes of a job. `state`: ok, refused, unsupported, failed, or approval for as long as somebody must say yes."""

    state: str
    said: str = ""
    body: dict[str, Any] = field(default_factory=dict)
    files: tuple[File, ...] = ()


@dataclass(frozen=True)
class Held:
    """A job and where it stands: taken, approval, approved, or the state of its answer."""

    job: Job
    state: str
    said: str


class Ledger:
    """The agent's file. A job is here before it is done; its answer stays until the hub's receipt.

    No job waits for the disk: one that a power failure undoes is given by the hub again, and one whose answer it undoes is
    done again, of which the hub keeps the first. What a person decided waits.
    """

    def __init__(self, folder: Path) -> None:
        self.db = Database(folder / FILE_NAME, _SCHEMA, _VERSION, _STEPS)
        self._files = FileTable(self.db, durable=False)
        self._sent = self._set_aside = 0
        self._files.mend(self._lost)

    def close(self) -> None:
        """Give the file back."""
        self.db.close()

    # Talking

    def next_sequence(self) -> int:
        """A number for the next message to the hub, never given twice: whoever is killed leaves a gap."""
        if self._sent >= self._set_aside:
            with self.db.writing():
                self._sent = max(self._sent, int(self._counter("sent")))
                self._set_aside = self._sent + _AT_ONCE
                self.db.write("INSERT OR REPLACE INTO counter VALUES ('sent', ?)", (self._set_aside,))
        self._sent += 1
        return self._sent

    def count_from(self, last: int) -> None:
        """The hub has taken a message of this number: the next ones have greater ones."""
        self._sent = max(self._sent, last)

    @property
    def offset(self) -> float:
        """Seconds by which the hub's clock is ahead of this one."""
        return self._counter("offset")

    def set_offset(self, value: float) -> None:
        """Keep how far the hub's clock is ahead; small changes are not worth a write."""
        if abs(value - self.offset) > 1.0:
            self.db.write("INSERT OR REPLACE INTO counter VALUES ('offset', ?)", (value,))

    def _counter(self, name: str) -> float:
        found = self.db.one("SELECT value FROM counter WHERE name = ?", (name,))
        return 0.0 if found is None else float(found[0])

    # Jobs

    def take(self, job: Job, proof: bytes) -> bool:
        """Keep a job with the signed text that asked for it; False when it is at work already.

        One that was answered, and is given all the same, is told or done again: the hub has lost the answer, as after
        a restore, and would give this job for ever.
        """
        with self.db.writing(durable=False):
            known = self.db.one("SELECT state, told FROM job WHERE id = ?", (job.id,))
            if known is not None:
                return bool(known["told"]) and self._again(job, known["state"])
            self.db.write(
                "INSERT INTO job (id, kind, body, question, expires, taken, proof, state) VALUES (?, ?, ?, ?, ?, ?, ?, 'taken')",
                (job.id, job.kind, _json(job.body), job.question, job.expires, time.time(), proof),
            )
            self._files.keep(job.id, "job", job.files)
        return True

    def _again(self, job: Job, state: str) -> bool:
        """What went with an answer is gone by now: it is made anew. A refusal is only told again."""
        if state in ("approval", "approved", "taken"):
            return False
        self.db.write(
            "UPDATE job SET state = ?, told = 0 WHERE id = ?", (state if state == "refused" else "taken", job.id)
        )
        self._files.drop("job = ?", (job.id,))
        self._files.keep(job.id, "job", job.files)
        return True

    def waiting(self) -> list[Job]:
        """Jobs to be done now, the oldest first."""
        rows = self.db.rows("SELECT * FROM job WHERE state IN ('taken', 'approved') ORDER BY taken, id")
        return [self._job(row) for row in rows]

    def approved(self, job: str) -> bool:
        """Whether somebody of the site said yes to a job."""
        return self.db.one("SELECT 1 FROM job WHERE id = ? AND state = 'approved'", (job,)) is not None

    def decide(self, job: str, *, yes: bool, said: str = "") -> bool:
        """Somebody of the site says yes or no to a job that waits for it; False when none of this id does."""
        state, told = ("approved", 1) if yes else ("refused", 0)
        with self.db.writing():
            changed = self.db.write(
                "UPDATE job SET state = ?, said = ?, told = ? WHERE id = ? AND state = 'approval'",
                (state, said, told, job),
            )
        return bool(changed)

    def answer(self, job: str, answer: Answer) -> None:
        """Keep an answer, to be told to the hub."""
        with self.db.writing(durable=False):
            self.db.write(
                "UPDATE job SET state = ?, said = ?, answer = ?, told = 0 WHERE id = ?",
                (answer.state, answer.said, _json(answer.body), job),
            )
            self._files.keep(job, "answer", answer.files)

    def untold(self) -> Iterator[tuple[str, Answer]]:
        """Answers that the hub has not acknowledged, with the ids of their jobs; the files of one at a time are read, for those
        that a hub carries may be many and long."""
        rows = self.db.rows(
            "SELECT * FROM job WHERE told = 0 AND state NOT IN ('taken', 'approved') ORDER BY taken, id"
        )
        for row in rows:
            files = self._files.of(row["id"], "answer")
            yield row["id"], Answer(row["state"], row["said"], orjson.loads(row["answer"]), files)

    def told(self, job: str) -> None:
        """The hub has the answer: what was kept for it goes, the trace stays."""
        with self.db.writing(durable=False):
            self.db.write("UPDATE job SET told = 1 WHERE id = ?", (job,))
            self._files.drop(
                "job = ? AND (side = 'answer' OR (SELECT state FROM job WHERE id = ?) <> 'approval')", (job, job)
            )

    def holding(self) -> list[str]:
        """Ids of the jobs that the hub need not give again."""
        return [
            str(row[0])
            for row in self.db.rows("SELECT id FROM job WHERE told = 0 OR state IN ('approval', 'approved', 'taken')")
        ]

    def held(self, limit: int = 100) -> list[Held]:
        """The last jobs, the newest first."""
        rows = self.db.rows("SELECT * FROM job ORDER BY taken DESC LIMIT ?", (limit,))
        return [Held(self._job(row), row["state"], row["said"]) for row in rows]

    def _job(self, row: Row) -> Job:
        return Job(
            row["id"],
            row["kind"],
            orjson.loads(row["body"]),
            row["question"],
            row["expires"],
            self._files.of(row["id"], "job"),
        )

    def _lost(self, job: str, _side: str) -> None:
        """What a power failure or a backup took is given again by the hub, who does not hear that it is held; but not
        what waits for a person."""
        said = "What came with this job was lost at the site."
        waited = (
            "UPDATE job SET state = 'failed', said = ?, told = 0 WHERE id = ? AND state IN ('approval', 'approved')"
        )
        if not self.db.write(waited, (said, job)):
            self._files.drop("job = ?", (job,))
            self.db.write("DELETE FROM job WHERE id = ?", (job,))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
