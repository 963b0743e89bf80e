"""What a site keeps of the studies that it takes part in: its keys and rows, sealed, and every answer it gave.

Two answers under the same pads would give their difference away; so a round is answered once, and the same bytes go
out when it is asked again. Rows and keys go when the study ends, or a week after it began.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from estran.analysis.federated.masking import Party
from estran.hub.agent.ledger import Answer
from estran.hub.database import Database
from estran.hub.study import Announcement, Asked
from estran.hub.wire import File
from estran.identity.keys import Cipher
from estran.model.errors import NotAllowed

FILE_NAME = "studies.sqlite"
_VERSION = 1
_SCHEMA = """
CREATE TABLE study (
  id TEXT PRIMARY KEY, asked TEXT NOT NULL, rows BLOB, expires REAL NOT NULL, ended INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE attempt (
  study TEXT REFERENCES study (id), number INTEGER, key BLOB NOT NULL, announced TEXT NOT NULL, roster TEXT NOT NULL DEFAULT '',
  secret BLOB, PRIMARY KEY (study, number)) WITHOUT ROWID;
CREATE TABLE answer (
  study TEXT REFERENCES study (id), attempt INTEGER, round INTEGER, digest TEXT NOT NULL, body TEXT NOT NULL, words BLOB,
  PRIMARY KEY (study, attempt, round)) WITHOUT ROWID;
CREATE TABLE peer (member TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, since REAL NOT NULL) WITHOUT ROWID
"""


@dataclass(frozen=True)
class Attempt:
    """A site in one attempt: its key and what it announced; the others' announcements and the sites' common secret,
    empty until they are known."""

    study: str
    number: int
    party: Party
    announced: Announcement
    roster: tuple[Announcement, ...]
    secret: bytes = field(repr=False)


class StudyBook:
    """The file. `cipher` is the site's: whoever has the file alone reads neither rows nor keys."""

    def __init__(self, folder: Path, cipher: Cipher | None = None) -> None:
        self.db, self._cipher = Database(folder / FILE_NAME, _SCHEMA, _VERSION), cipher or Cipher(bytes(32))

    def close(self) -> None:
        """Give the file back."""
        self.db.close()

    # Studies

    def study(self, study: str) -> Asked | None:
        """The question of a study that this site accepted and that has not ended; None when there is none."""
        found = self.db.one("SELECT asked FROM study WHERE id = ? AND NOT ended", (study,))
        return None if found is None else Asked.read(orjson.loads(found[0]))

    def begin(self, study: str, asked: Asked, rows: pa.Table, expires: float) -> None:
        """Keep a study with its rows; NotAllowed when one of this id was there before."""
        with self.db.writing():
            if self.db.one("SELECT 1 FROM study WHERE id = ?", (study,)):
                raise NotAllowed("This study has ended here, or asks something else now.")
            sealed = self._cipher.seal(_bytes(rows), f"study/{study}/rows".encode())
            said = orjson.dumps(asked.to_object()).decode()
            self.db.write("INSERT INTO study VALUES (?, ?, ?, ?, 0)", (study, said, sealed, expires))

    def rows(self, study: str) -> pa.Table:
        """The rows of a study that goes on."""
        found = self.db.one("SELECT rows FROM study WHERE id = ?", (study,))
        if found is None or found[0] is None:
            raise NotAllowed("This study has ended here, or asks something else now.")
        with pa.ipc.open_stream(self._cipher.open(bytes(found[0]), f"study/{study}/rows".encode())) as reader:
            return reader.read_all()

    def end(self, study: str) -> None:
        """Forget rows, keys and answers; the trace stays, so that no study of this id begins again."""
        with self.db.writing():
            self.db.write("UPDATE study SET ended = 1, rows = NULL WHERE id = ?", (study,))
            for table in ("attempt", "answer"):
                self.db.write(f"DELETE FROM {table} WHERE study = ?", (study,))

    def end_those_past(self, now: float) -> None:
        """End studies whose time is over."""
        for row in self.db.rows("SELECT id FROM study WHERE NOT ended AND expires <= ?", (now,)):
            self.end(str(row[0]))

    # Attempts

    def attempt(self, study: str, number: int) -> Attempt | None:
        """An attempt that this site announced a key for."""
        found = self.db.one("SELECT * FROM attempt WHERE study = ? AND number = ?", (study, number))
        if found is None:
            return None
        announced = Announcement.read(orjson.loads(found["announced"]))
        key = X25519PrivateKey.from_private_bytes(self._open(found["key"], study, number, "key"))
        roster = tuple(map(Announcement.read, orjson.loads(found["roster"] or "[]")))
        secret = b"" if found["secret"] is None else self._open(found["secret"], study, number, "secret")
        return Attempt(study, number, Party(announced.member, key), announced, roster, secret)

    def announce(self, study: str, number: int, party: Party, announced: Announcement) -> None:
        """Keep a new key and what was said of it."""
        with self.db.writing():
            sealed = self._seal(party.key.private_bytes_raw(), study, number, "key")
            said = orjson.dumps(announced.to_object()).decode()
            self.db.write(
                "INSERT INTO attempt (study, number, key, announced) VALUES (?, ?, ?, ?)", (study, number, sealed, said)
            )

    def settle(self, study: str, number: int, roster: Sequence[Announcement]) -> None:
        """Keep the list of sites of an attempt."""
        said = orjson.dumps([one.to_object() for one in roster]).decode()
        self.db.write("UPDATE attempt SET roster = ? WHERE study = ? AND number = ?", (said, study, number))

    def keep_secret(self, study: str, number: int, secret: bytes) -> None:
        """Keep the secret that the sites of an attempt share."""
        sealed = self._seal(secret, study, number, "secret")
        self.db.write("UPDATE attempt SET secret = ? WHERE study = ? AND number = ?", (sealed, study, number))

    # Answers

    def answered(self, study: str, attempt: int, number: int) -> tuple[str, Answer] | None:
        """What was answered in a round, behind the digest of its parameters; None when it was not asked yet."""
        found = self.db.one(
            "SELECT * FROM answer WHERE study = ? AND attempt = ? AND round = ?", (study, attempt, number)
        )
        if found is None:
            return None
        files = () if found["words"] is None else (File("words", bytes(found["words"])),)
        return str(found["digest"]), Answer("ok", "", orjson.loads(found["body"]), files)

    def answer(self, study: str, attempt: int, number: int, digest: str, answer: Answer) -> None:
        """Keep an answer before it is told."""
        words = answer.files[0].data if answer.files else None
        body = orjson.dumps(answer.body).decode()
        self.db.write("INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?)", (study, attempt, number, digest, body, words))

    # Other sites

    def meet(self, peers: Iterable[tuple[str, str]], now: float) -> None:
        """Pin the certificates (member, fingerprint) at first sight; NotAllowed when one is another than before."""
        with self.db.writing():
            for member, fingerprint in peers:
                self.db.write("INSERT OR IGNORE INTO peer VALUES (?, ?, ?)", (member, fingerprint, now))
                found = self.db.one("SELECT fingerprint FROM peer WHERE member = ?", (member,))
                if found is None or found[0] != fingerprint:
                    raise NotAllowed(f"The site {member} comes with another certificate than before.")

    def peers(self) -> list[tuple[str, str, float]]:
        """Members, fingerprints of their certificates, and when they were first met."""
        rows = self.db.rows("SELECT member, fingerprint, since FROM peer ORDER BY member")
        return [(str(row[0]), str(row[1]), float(row[2])) for row in rows]

    def forget(self, member: str) -> bool:
        """Let a site come with a new certificate; False when it was never met."""
        return bool(self.db.write("DELETE FROM peer WHERE member = ?", (member,)))

    def _seal(self, plain: bytes, study: str, number: int, what: str) -> bytes:
        return self._cipher.seal(plain, f"attempt/{study}/{number}/{what}".encode())

    def _open(self, sealed: bytes, study: str, number: int, what: str) -> bytes:
        return self._cipher.open(bytes(sealed), f"attempt/{study}/{number}/{what}".encode())


def _bytes(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    whole: bytes = sink.getvalue().to_pybytes()
    return whole
