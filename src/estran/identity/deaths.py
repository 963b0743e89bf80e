"""Deaths told by a civil register that knows names and no hospital number: matched in the vault, with a score.

Who is found, and how surely, is said by `likeness`. A sure pair is taken; a doubtful one is left to a person; both are
kept, sealed, so that nobody is asked twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import orjson

from estran.identity.likeness import Sought
from estran.identity.store import Store

REVIEWS = """CREATE TABLE death_review (review_no INTEGER PRIMARY KEY, hash INTEGER NOT NULL UNIQUE, sealed BLOB NOT NULL)"""

OPEN, ACCEPTED, REJECTED = "open", "accepted", "rejected"


@dataclass(frozen=True)
class Death:
    """One line of the register. `birth` is None when it is not known to the day."""

    family: str
    given: tuple[str, ...]
    sex: str
    birth: dt.date | None
    birth_commune: str
    died: dt.date

    @property
    def sought(self) -> Sought:
        """Whom to look for; nobody died before being born."""
        birth = None if self.birth is not None and self.died < self.birth else self.birth
        return Sought(self.family, self.given, self.sex, birth, self.birth_commune)


@dataclass(frozen=True)
class Review:
    """A doubtful pair, for whoever holds the key: the register's line and the patient."""

    number: int
    patient_id: int
    score: float
    died: dt.date
    family: str
    given: str
    state: str = OPEN


class Reviews:
    """Doubtful pairs, sealed in the vault."""

    def __init__(self, store: Store) -> None:
        self._store = store
        if not store.rows("SELECT 1 FROM sqlite_master WHERE name = 'death_review'"):
            with store.transaction():
                store.write(REVIEWS)

    def add(self, hashed: int, death: Death, score: float, patient_id: int) -> bool:
        """Leave a pair to somebody; False when it was there already. `hashed` names the pair."""
        if self._store.row("SELECT 1 FROM death_review WHERE hash = ?", (hashed,)) is not None:
            return False
        number = int((self._store.row("SELECT coalesce(max(review_no), 0) + 1 FROM death_review") or (1,))[0])
        review = Review(number, patient_id, round(score, 3), death.died, death.family, " ".join(death.given))
        self._store.write("INSERT INTO death_review VALUES (?, ?, ?)", (number, hashed, self._sealed(review, hashed)))
        return True

    def every(self, state: str = OPEN) -> Iterator[Review]:
        """The pairs in this state, oldest first."""
        rows = self._store.rows("SELECT review_no, hash, sealed FROM death_review ORDER BY review_no")
        for number, hashed, sealed in rows:
            review = self._opened(number, hashed, sealed)
            if review.state == state:
                yield review

    def settle(self, number: int, state: str) -> Review | None:
        """Note what somebody decided; None when there is no such open pair."""
        row = self._store.row("SELECT hash, sealed FROM death_review WHERE review_no = ?", (number,))
        review = self._opened(number, int(row[0]), row[1]) if row else None
        if row is None or review is None or review.state != OPEN:
            return None
        settled = replace(review, state=state)
        sealed = self._sealed(settled, int(row[0]))
        self._store.write("UPDATE death_review SET sealed = ? WHERE review_no = ?", (sealed, number))
        return settled

    def forget(self, patients: Iterable[int]) -> None:
        """Erase the pairs of these patients."""
        gone = set(patients)
        rows = self._store.rows("SELECT review_no, hash, sealed FROM death_review")
        for number, hashed, sealed in rows:
            if self._opened(number, hashed, sealed).patient_id in gone:
                self._store.write("DELETE FROM death_review WHERE review_no = ?", (number,))

    def _sealed(self, review: Review, hashed: int) -> bytes:
        row = (review.patient_id, review.score, review.died.isoformat(), review.family, review.given, review.state)
        return self._store.seal(orjson.dumps(row), "death_review", review.number, hashed)

    def _opened(self, number: int, hashed: int, sealed: bytes) -> Review:
        patient, score, died, family, given, state = orjson.loads(
            self._store.unseal(sealed, "death_review", number, hashed)
        )
        return Review(number, patient, score, dt.date.fromisoformat(died), family, given, state)
