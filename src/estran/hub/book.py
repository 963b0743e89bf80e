"""What a hub remembers: its members, the questions put to them, the jobs of each, what each answered.

Everything is on disk before anybody is told; a message that was taken once is never taken again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from sqlite3 import Row
from typing import Any

import orjson

from estran.hub.database import Database
from estran.hub.file_table import SCHEMA, SIZE, TO_2, FileTable
from estran.hub.keys import Public
from estran.hub.wire import File, Message, Refused
from estran.model.errors import UsageError

FILE_NAME = "hub.sqlite"
# Rows that may be long are in tables with row numbers: in the others SQLite reads whole rows to compare their keys.
_VERSION = 2
_SCHEMA = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE member (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, profile TEXT NOT NULL DEFAULT '', entities TEXT NOT NULL DEFAULT '[]',
  certificate TEXT NOT NULL DEFAULT '', fingerprint TEXT NOT NULL DEFAULT '', box TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL, invited REAL NOT NULL, joined REAL, seen REAL, release TEXT NOT NULL DEFAULT '',
  kinds TEXT NOT NULL DEFAULT '[]', every REAL NOT NULL DEFAULT 0, received INTEGER NOT NULL DEFAULT 0,
  sent INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE invitation (
  fingerprint TEXT PRIMARY KEY, member TEXT NOT NULL REFERENCES member (id), certificate TEXT NOT NULL,
  expires REAL NOT NULL, used REAL) WITHOUT ROWID;
CREATE TABLE nonce (member TEXT, nonce TEXT, at REAL NOT NULL, PRIMARY KEY (member, nonce)) WITHOUT ROWID;
CREATE TABLE question (
  id TEXT PRIMARY KEY, asked REAL NOT NULL, login TEXT NOT NULL, title TEXT NOT NULL, query TEXT NOT NULL,
  body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX question_asked ON question (asked);
CREATE TABLE job (
  id TEXT PRIMARY KEY, question TEXT REFERENCES question (id), member TEXT NOT NULL REFERENCES member (id), kind TEXT NOT NULL,
  body TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL, taken REAL, state TEXT NOT NULL, answered REAL,
  said TEXT NOT NULL DEFAULT '', answer TEXT NOT NULL DEFAULT '{{}}', digest TEXT NOT NULL DEFAULT '');
CREATE INDEX job_member ON job (member, state, created);
CREATE INDEX job_question ON job (question);
CREATE INDEX job_kind ON job (kind, created);{SCHEMA};
CREATE TABLE refusal (member TEXT, code TEXT, times INTEGER NOT NULL, last REAL NOT NULL, PRIMARY KEY (member, code)) WITHOUT ROWID
"""
_STEPS = {1: f"CREATE INDEX IF NOT EXISTS job_kind ON job (kind, created);\n{TO_2}"}
OPEN = ("queued", "taken", "approval")  # states of a job that still waits for its answer
ASK_AGAIN = "UPDATE job SET state = 'queued', said = '', answer = '{}', answered = NULL, digest = ''"
_IS_OPEN = f"state IN {OPEN}"
_NONCES_KEPT = 3_600.0  # seconds, beyond the window in which a message is looked at


@dataclass(frozen=True)
class Member:
    """A site, a linkage unit; `state` is invited, active or withdrawn. `every`: seconds between two of its visits."""

    id: str
    name: str
    kind: str
    profile: str
    entities: tuple[str, ...]
    public: Public | None
    state: str
    joined: float | None
    seen: float | None
    release: str
    kinds: tuple[str, ...]
    every: float


@dataclass(frozen=True)
class JobRecord:
    """A job as the hub keeps it. `state`: queued, taken, approval, ok, refused, unsupported, failed or expired;
    passed when it was carried for another hub, who has the answer."""

    id: str
    question: str | None
    member: str
    kind: str
    body: dict[str, Any]
    created: float
    expires: float
    taken: float | None
    state: str
    answered: float | None
    said: str
    answer: dict[str, Any]


@dataclass(frozen=True)
class Question:
    """A question put to the network; `query` is the question's JSON."""

    id: str
    asked: float
    login: str
    title: str
    query: str
    body: dict[str, Any]

    @property
    def moment(self) -> dt.datetime:
        """When it was asked."""
        return dt.datetime.fromtimestamp(self.asked, dt.UTC)


class HubBook:
    """The hub's file."""

    def __init__(self, folder: Path) -> None:
        self.db = Database(folder / FILE_NAME, _SCHEMA, _VERSION, _STEPS)
        self._files = FileTable(self.db, durable=True)
        self._files.mend(self._lost)

    def close(self) -> None:
        """Give the file back."""
        self.db.close()

    def meta(self, name: str) -> str:
        """A word kept under a name; "" when there is none."""
        found = self.db.one("SELECT value FROM meta WHERE name = ?", (name,))
        return "" if found is None else str(found[0])

    def set_meta(self, values: dict[str, str]) -> None:
        """Keep words under their names."""
        with self.db.writing():
            for item in values.items():
                self.db.write("INSERT OR REPLACE INTO meta VALUES (?, ?)", item)

    # Members

    def invite(self, name: str, kind: str, certificate: str, fingerprint: str, now: float, expires: float) -> str:
        """A member to be, and the certificate it may join with; its id. UsageError when it is a member already."""
        member = slug(name)
        with self.db.writing():
            known = self.member(member)
            if known is not None and known.state == "active":
                raise UsageError("This site is a member already.", where=known.name)
            self.db.write(
                "INSERT INTO member (id, name, kind, state, invited) VALUES (?, ?, ?, 'invited', ?) "
                "ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind, state = 'invited', invited = excluded.invited",
                (member, name, kind, now),
            )
            self.db.write(
                "INSERT INTO invitation VALUES (?, ?, ?, ?, NULL)", (fingerprint, member, certificate, expires)
            )
        return member

    def invitation(self, fingerprint: str, now: float) -> tuple[str, str] | None:
        """Member and certificate of an invitation that still holds."""
        of = "fingerprint = ? AND expires > ?"
        found = self.db.one(f"SELECT member, certificate FROM invitation WHERE {of}", (fingerprint, now))
        return None if found is None else (str(found[0]), str(found[1]))

    def join(self, invitation: str, member: str, public: Public, body: dict[str, Any], now: float) -> None:
        """An invited member says who it is, once: the same again changes nothing, another is Refused."""
        with self.db.writing():
            known = self.member(member)
            if known is not None and known.state == "active" and known.public == public:
                return
            if known is None or known.state != "invited":
                raise Refused("uninvited", "This invitation was used by another.")
            self.db.write("UPDATE invitation SET used = ? WHERE fingerprint = ?", (now, invitation))
            self.db.write(
                "UPDATE member SET state = 'active', certificate = ?, fingerprint = ?, box = ?, joined = ?, seen = ?, profile = ?, "
                "entities = ?, received = 0, sent = 0 WHERE id = ?",
                (public.certificate, public.fingerprint, public.box, now, now, str(body.get("profile", ""))[:20],
                 _json(_names(body.get("entities"), 50)), member),
            )  # fmt: skip

    def withdraw(self, member: str) -> bool:
        """A member is one no more; False when it was none."""
        with self.db.writing():
            self.db.write("DELETE FROM invitation WHERE member = ?", (member,))
            # Nobody will answer them, and another organisation of this name must not be given them.
            self.db.write(f"UPDATE job SET state = 'expired' WHERE member = ? AND {_IS_OPEN}", (member,))
            return bool(
                self.db.write("UPDATE member SET state = 'withdrawn' WHERE id = ? AND state <> 'withdrawn'", (member,))
            )

    def left(self, member: str, now: float) -> None:
        """A member that stays with the hub has closed its connection."""
        self.set_meta({f"left/{member}": str(now)})

    def gone(self) -> dict[str, float]:
        """When members went away, by their ids."""
        rows = self.db.rows("SELECT name, value FROM meta WHERE name LIKE 'left/%'")
        return {str(row[0]).removeprefix("left/"): float(row[1]) for row in rows}

    def member(self, member: str) -> Member | None:
        """A member, whatever its state."""
        found = self.db.one("SELECT * FROM member WHERE id = ?", (member,))
        return None if found is None else _member(found)

    def members(self, kind: str = "", *, active: bool = False) -> list[Member]:
        """Members by name."""
        found = map(_member, self.db.rows("SELECT * FROM member ORDER BY name"))
        return [one for one in found if (not kind or one.kind == kind) and (not active or one.state == "active")]

    def certificates(self, now: float) -> list[str]:
        """Those with which a handshake may end: of members, and of invitations that still hold."""
        rows = self.db.rows(
            "SELECT certificate FROM member WHERE state = 'active' UNION "
            "SELECT certificate FROM invitation WHERE expires > ?", (now,)
        )  # fmt: skip
        return [str(row[0]) for row in rows]

    # Messages

    def take(self, message: Message, now: float) -> None:
        """Note that a message of a member was taken; Refused when it, or a later one, was before."""
        with self.db.writing():
            found = self.db.one("SELECT received FROM member WHERE id = ?", (message.sender,))
            if self.db.one("SELECT 1 FROM nonce WHERE member = ? AND nonce = ?", (message.sender, message.nonce)):
                raise Refused("replayed", "This very message was taken before.")
            if found is None or message.sequence <= found[0]:
                last = 0 if found is None else int(found[0])
                raise Refused("reordered", "A later message of this sender was taken before.", last)
            heard = (message.sequence, now, message.sender)
            self.db.write("UPDATE member SET received = ?, seen = ? WHERE id = ?", heard)
            self.db.write("INSERT INTO nonce VALUES (?, ?, ?)", (message.sender, message.nonce, now))
            past = now - _NONCES_KEPT
            self.db.write("DELETE FROM nonce WHERE member = ? AND at < ?", (message.sender, past))

    def describe(self, member: str, body: dict[str, Any]) -> None:
        """What a member says of itself at a visit: its release, the kinds of jobs it knows, how often it comes."""
        every = body.get("every")
        said = (str(body.get("release", ""))[:40], _json(_names(body.get("kinds"), 100)),
                float(every) if isinstance(every, int | float) else 0.0)  # fmt: skip
        with self.db.writing():
            self.db.write(
                "UPDATE member SET release = ?, kinds = ?, every = ? WHERE id = ? AND (release, kinds, every) <> (?, ?, ?)",
                (*said, member, *said),
            )

    def refused(self, member: str, code: str, now: float) -> None:
        """Count a message that was not taken; `member` is "" when nobody knows whose it was."""
        with self.db.writing():
            self.db.write(
                "INSERT INTO refusal VALUES (?, ?, 1, ?) ON CONFLICT (member, code) DO UPDATE SET times = times + 1, last = excluded.last",
                (member, code, now),
            )

    def refusals(self) -> list[tuple[str, str, int]]:
        """Member, reason and number of the messages that were not taken."""
        rows = self.db.rows("SELECT member, code, times FROM refusal ORDER BY last DESC")
        return [(str(row[0]), str(row[1]), int(row[2])) for row in rows]

    # Questions and jobs

    def ask(
        self,
        question: Question,
        jobs: Sequence[tuple[str, str, dict[str, Any]]],
        expires: float,
        files: Sequence[File] = (),
    ) -> None:
        """Keep a question and one job (member, kind, body) for each who is asked, at once."""
        with self.db.writing():
            self.forget_old_files(question.asked)
            self.db.write(
                "INSERT INTO question VALUES (?, ?, ?, ?, ?, ?)",
                (question.id, question.asked, question.login, question.title, question.query, _json(question.body)),
            )
            for member, kind, body in jobs:
                self.add_job(question.id, member, kind, body, question.asked, expires, files)

    def add_job(
        self, question: str | None, member: str, kind: str, body: dict[str, Any], now: float, expires: float,
        files: Collection[File] = (), job: str = "",
    ) -> str:  # fmt: skip
        """Queue one more job; its id, the one given or a new one."""
        job = job or secrets.token_hex(16)
        with self.db.writing():
            self.db.write(
                "INSERT INTO job (id, question, member, kind, body, created, expires, state) VALUES (?, ?, ?, ?, ?, ?, ?, 'queued')",
                (job, question, member, kind, _json(body), now, expires),
            )
            if files:
                self._files.keep(job, "job", files)
        return job

    def next_job(self, member: str, holding: Collection[str], now: float) -> tuple[JobRecord, tuple[File, ...]] | None:
        """The oldest job for a member that it does not hold already, one that waits for a yes there included: a
        site that came back from a backup may not know of it. Those past their time end first. Pieces of a long package
        come after all else: no question, and no refusal of a patient, waits behind them."""
        waiting = (
            f"SELECT * FROM job WHERE member = ? AND {_IS_OPEN} AND expires > ? "
            "ORDER BY coalesce(kind = 'pool-life' AND json_extract(body, '$.what') = 'piece', 0), created, id"
        )
        with self.db.writing():
            self._expire(member, now)
            for row in self.db.rows(waiting, (member, now)):
                if row["id"] not in holding:
                    self.db.write(
                        "UPDATE job SET state = 'taken', taken = coalesce(taken, ?) WHERE id = ?", (now, row["id"])
                    )
                    return _job(row), self.files(row["id"], "job")
        return None

    def has_job(self, member: str, holding: Collection[str]) -> bool:
        """Whether a job waits that the member does not hold; changes nothing."""
        rows = self.db.rows(f"SELECT id FROM job WHERE member = ? AND {_IS_OPEN}", (member,))
        return any(row[0] not in holding for row in rows)

    def answer(
        self, member: str, job: str, state: str, said: str, body: dict[str, Any], files: Sequence[File], now: float
    ) -> str:
        """Keep what a member answered: "kept", "again" (the same once more) or "other" (another than the first, which
        stays); Refused when it was not asked."""
        digest = answer_digest(state, said, body, files)
        with self.db.writing():
            found = self.db.one("SELECT state, digest FROM job WHERE id = ? AND member = ?", (job, member))
            if found is None:
                raise Refused("unasked", "This member was given no such job.")
            if found["state"] not in OPEN and found["digest"]:
                return "again" if found["digest"] == digest else "other"
            if found["state"] == "expired":
                return "late"
            final = state != "approval"
            self.db.write(
                "UPDATE job SET state = ?, said = ?, answer = ?, answered = ?, digest = ? WHERE id = ?",
                (state, said, _json(body), now if final else None, digest if final else "", job),
            )
            self._files.keep(job, "answer", files)
        return "kept"

    def asks_tokens(self, question: str) -> bool:
        """Whether a site answered a question and was not asked for the tokens that it said it has."""
        return self.db.one(
            "SELECT 1 FROM job WHERE question = ? AND kind = 'count' AND state = 'ok' AND json_extract(answer, '$.tokens') = 1 "
            "AND member NOT IN (SELECT member FROM job WHERE question = ? AND kind = 'tokens')", (question, question),
        ) is not None  # fmt: skip

    def question(self, question: str) -> Question | None:
        """A question by its id."""
        found = self.db.one("SELECT * FROM question WHERE id = ?", (question,))
        return None if found is None else _question(found)

    def questions(self, login: str = "", limit: int = 50) -> list[Question]:
        """The last questions, the newest first: of one person, or of all."""
        rows = self.db.rows("SELECT * FROM question WHERE ? IN ('', login) ORDER BY asked DESC LIMIT ?", (login, limit))
        return [_question(row) for row in rows]

    def jobs(self, question: str, kind: str = "") -> list[JobRecord]:
        """The jobs of a question, in the order they were made."""
        of = "WHERE question = ? AND ? IN ('', kind)"
        return [_job(row) for row in self.db.rows(f"SELECT * FROM job {of} ORDER BY created, id", (question, kind))]

    def jobs_by_id(self, jobs: Sequence[str]) -> list[JobRecord]:
        """Jobs by their ids, in the order they were made."""
        marks = ", ".join("?" * len(jobs))
        rows = self.db.rows(f"SELECT * FROM job WHERE id IN ({marks}) ORDER BY created, id", jobs)
        return [_job(row) for row in rows]

    def job(self, job: str) -> JobRecord | None:
        """A job by its id."""
        found = self.db.one("SELECT * FROM job WHERE id = ?", (job,))
        return None if found is None else _job(found)

    def give_up(self, job: str) -> None:
        """Wait for an answer no longer: one that comes late is not kept, and what came is dropped."""
        with self.db.writing():
            self.db.write(f"UPDATE job SET state = 'expired' WHERE id = ? AND {_IS_OPEN}", (job,))
            self._files.drop("job = ?", (job,))

    def of_kind(self, kind: str) -> list[JobRecord]:
        """Every job of a kind, in the order they were made."""
        return [_job(row) for row in self.db.rows("SELECT * FROM job WHERE kind = ? ORDER BY created, id", (kind,))]

    def files(self, job: str, side: str) -> tuple[File, ...]:
        """The files that went with a job ("job") or came with its answer ("answer"). A job whose body names answers under
        `sent` (what a file is called, and the job that it came with) takes their files along."""
        sent = self.db.rows(_SENT_ON, (job,)) if side == "job" else ()
        return self._files.of(job, side) + tuple(File(str(row[0]), self._files.open(row[1])) for row in sent)

    def holds(self, job: str) -> bool:
        """Whether files of a job, or of its answer, are here; none is read."""
        return self.db.one("SELECT 1 FROM file WHERE job = ? LIMIT 1", (job,)) is not None

    def sent(self, question: str) -> dict[str, frozenset[str]]:
        """Names of the files that came with the answers to a question, by job; the files themselves stay where they are."""
        rows = self.db.rows(
            "SELECT job.id, file.name FROM job JOIN file ON file.job = job.id WHERE question = ? AND side = 'answer'",
            (question,),
        )
        return {
            str(job): frozenset(str(one[1]) for one in some) for job, some in groupby(sorted(rows, key=_first), _first)
        }

    def having(self, name: str) -> list[str]:
        """Questions to which files of a name came that are still there."""
        of = "job JOIN file ON file.job = job.id WHERE side = 'answer' AND file.name = ? AND question IS NOT NULL"
        return [str(row[0]) for row in self.db.rows(f"SELECT DISTINCT question FROM {of}", (name,))]

    def forget_files(self, question: str, name: str) -> None:
        """Drop the files of a name that came with the answers to a question, and all that were sent on of them."""
        jobs = "job IN (SELECT id FROM job WHERE question = ?)"
        self._files.drop(f"{jobs} AND (side = 'job' OR name = ?)", (question, name))

    def drop_files(self, job: str, side: str) -> None:
        """Drop the files that went with a job, or came with its answer."""
        self._files.drop("job = ? AND side = ?", (job, side))

    def forget_old_files(self, now: float) -> None:
        """Drop all files of jobs whose time is over, but for sketches: what they say is what was shown. What came for pools
        waits for who keeps them, with the key at hand, and is dropped there; what is carried for the pools of another hub does not."""
        kept = "kind IN ('pool', 'pool-life') AND state = 'ok' AND json_extract(body, '$.first_id') IS NULL"
        past = f"SELECT id FROM job WHERE expires < ? AND NOT ({kept})"
        self._files.drop(f"job IN ({past}) AND name <> 'sketch'", (now,))

    def sizes(self, question: str, name: str) -> int:
        """Bytes of all files of a name that came with the answers to a question."""
        found = self.db.one(
            f"SELECT sum({SIZE}) FROM job JOIN file ON file.job = job.id WHERE question = ? AND side = 'answer' AND name = ?",
            (question, name),
        )  # fmt: skip
        return 0 if found is None or found[0] is None else int(found[0])

    def _lost(self, job: str, side: str) -> None:
        """What a hub restored from a backup has no more: an answer is asked for once more, and counted then; a job whose
        own files are gone can be done by nobody."""
        if side == "job":
            self.db.write(f"UPDATE job SET state = 'expired' WHERE id = ? AND {_IS_OPEN}", (job,))
            return
        self.db.write(f"{ASK_AGAIN} WHERE id = ? AND state = 'ok'", (job,))
        of = f"question = (SELECT question FROM job WHERE id = ?) AND kind = 'link' AND {_IS_OPEN}"
        self._files.drop(f"job IN (SELECT id FROM job WHERE {of})", (job,))
        self.db.write(f"DELETE FROM job WHERE {of}", (job,))

    def _expire(self, member: str, now: float) -> None:
        past = f"member = ? AND {_IS_OPEN} AND expires <= ?"
        self.db.write(f"UPDATE job SET state = 'expired' WHERE {past}", (member, now))


_SENT_ON = """
SELECT sent.key, file.data FROM job, json_each(job.body, '$.sent') AS sent JOIN file ON file.job = sent.value
WHERE job.id = ? AND file.side = 'answer' AND file.name = substr(sent.key, 1, instr(sent.key, '/') - 1) ORDER BY sent.key"""


def answer_digest(state: str, said: str, body: dict[str, Any], files: Sequence[File]) -> str:
    """What stands for an answer: equal for equal answers only."""
    parts = [state, said, body, [[one.name, one.digest] for one in files]]
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def slug(name: str) -> str:
    """The id of a member: its name in small letters, digits and hyphens; UsageError when nothing is left."""
    import unicodedata

    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    found = "-".join("".join(c if c.isalnum() else " " for c in plain).split())[:60]
    if not found or found == "hub":
        raise UsageError("A member needs a name of letters or digits, other than 'hub'.")
    return found


def _first(row: Row) -> str:
    return str(row[0])


def _names(value: Any, most: int) -> list[str]:
    """Names that a member gave, as many and as long as is sensible."""
    return [str(name)[:120] for name in value][:most] if isinstance(value, list) else []


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


_public = lru_cache(maxsize=1024)(Public)  # reading a certificate takes longer than all the rest of a message


def _member(row: Row) -> Member:
    public = _public(row["certificate"], row["box"]) if row["certificate"] else None
    return Member(
        row["id"], row["name"], row["kind"], row["profile"], tuple(orjson.loads(row["entities"])), public, row["state"],
        row["joined"], row["seen"], row["release"], tuple(orjson.loads(row["kinds"])), row["every"],
    )  # fmt: skip


def _job(row: Row) -> JobRecord:
    return JobRecord(
        row["id"], row["question"], row["member"], row["kind"], orjson.loads(row["body"]), row["created"], row["expires"],
        row["taken"], row["state"], row["answered"], row["said"], orjson.loads(row["answer"]),
    )  # fmt: skip


def _question(row: Row) -> Question:
    return Question(row["id"], row["asked"], row["login"], row["title"], row["query"], orjson.loads(row["body"]))
