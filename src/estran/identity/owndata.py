"""Whose the subjects of a project's own data are: known here and nowhere else.

A subject is what a data set calls a person (a record, a subject key, a number), kept as a keyed hash. A link holds no
value; a doubtful pair is sealed until somebody decides it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import orjson

from estran.identity.keys import KeyedHash
from estran.identity.likeness import Sought
from estran.identity.store import Store

_TABLES = {
    "own_link": "CREATE TABLE own_link (data_no INTEGER, subject INTEGER, identity_id INTEGER NOT NULL, "
    "PRIMARY KEY (data_no, subject)) WITHOUT ROWID",
    "own_review": "CREATE TABLE own_review (review_no INTEGER PRIMARY KEY, data_no INTEGER NOT NULL, subject INTEGER NOT NULL, "
    "identity_id INTEGER NOT NULL, sealed BLOB NOT NULL)",
}
TABLES = tuple(_TABLES)


@dataclass(frozen=True)
class OwnReview:
    """A doubtful pair, for whoever holds the key: whom the data set names, and the identity that resembles them."""

    number: int
    data: int
    subject: int
    identity: int
    score: float
    sought: Sought


class OwnLinks:
    """Subjects of the data sets of all projects."""

    def __init__(self, store: Store, hashing: KeyedHash) -> None:
        self._store, self._hashing = store, hashing
        known = {row[0] for row in store.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if lacking := [sql for name, sql in _TABLES.items() if name not in known]:
            with store.transaction():
                for sql in lacking:
                    store.write(sql)

    def subject(self, data: int, name: str) -> int:
        """The keyed hash of what a data set calls somebody."""
        return self._hashing.of("own_subject", str(data), name)

    def key(self, data: int, name: str) -> int:
        """The keyed hash by which a row of a data set is found again."""
        return self._hashing.of("own_key", str(data), name)

    def put(self, data: int, whose: Mapping[int, int]) -> None:
        """Link subjects to identities; a subject linked before is linked anew."""
        with self._store.transaction():
            rows = ((data, subject, identity) for subject, identity in whose.items())
            self._store.write_many("INSERT OR REPLACE INTO own_link VALUES (?, ?, ?)", rows)

    def of(self, data: int) -> dict[int, int]:
        """Subject → identity."""
        rows = self._store.rows("SELECT subject, identity_id FROM own_link WHERE data_no = ?", (data,))
        return {int(subject): int(identity) for subject, identity in rows}

    def doubt(self, data: int, subject: int, identity: int, score: float, sought: Sought) -> None:
        """Leave a pair to somebody; again does nothing."""
        if self._store.row("SELECT 1 FROM own_review WHERE data_no = ? AND subject = ?", (data, subject)):
            return
        with self._store.transaction():
            number = self._store.counter("own_review")
            birth = sought.birth.isoformat() if sought.birth else ""
            plain = orjson.dumps((round(score, 3), sought.family, sought.given, sought.sex, birth))
            sealed = self._store.seal(plain, "own_review", number, data, subject)
            self._store.write(
                "INSERT INTO own_review VALUES (?, ?, ?, ?, ?)", (number, data, subject, identity, sealed)
            )
            self._store.set_counter("own_review", number + 1)

    def doubts(self, data: int) -> Iterator[OwnReview]:
        """The pairs that wait, oldest first."""
        sql = "SELECT review_no, subject, identity_id, sealed FROM own_review WHERE data_no = ? ORDER BY review_no"
        for number, subject, identity, sealed in self._store.rows(sql, (data,)):
            score, family, given, sex, birth = orjson.loads(
                self._store.unseal(sealed, "own_review", number, data, subject)
            )
            day = dt.date.fromisoformat(birth) if birth else None
            yield OwnReview(number, data, subject, identity, score, Sought(family, tuple(given), sex, day))

    def settle(self, review: OwnReview, *, accepted: bool) -> None:
        """Take a pair off the list; an accepted one becomes a link."""
        with self._store.transaction():
            self._store.write("DELETE FROM own_review WHERE review_no = ?", (review.number,))
            if accepted:
                self.put(review.data, {review.subject: review.identity})

    def drop(self, data: int, subjects: Iterable[int]) -> None:
        """Forget whose these subjects are, and whom they resemble."""
        pairs = [(data, subject) for subject in subjects]
        with self._store.transaction():
            for table in TABLES:
                self._store.write_many(f"DELETE FROM {table} WHERE data_no = ? AND subject = ?", pairs)
            if pairs:
                self._store.forget()

    def end(self, data: int) -> None:
        """Forget everything about a data set."""
        with self._store.transaction():
            for table in TABLES:
                self._store.write(f"DELETE FROM {table} WHERE data_no = ?", (data,))
            self._store.forget()
