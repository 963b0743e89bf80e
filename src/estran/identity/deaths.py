"""Deaths told by a civil register that knows names and no hospital number: matched in the vault, with a score.

A pair is considered when the birth dates are equal, or equal with day and month exchanged. Its score goes
from 0 to 1: likeness of family names (Jaro-Winkler, birth name or any other ever stated), of given names (the
first, or any), and the commune of birth. A pair above `SURE` without rival is taken; one above `DOUBT` is left
to a person; both are kept, sealed, so that nobody is asked twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import orjson
from rapidfuzz.distance import OSA, JaroWinkler

from estran.identity import traits as folding
from estran.identity.folding import fold
from estran.identity.store import Store
from estran.identity.traits import Traits
from estran.model.codes import Precision

SURE, DOUBT = 0.93, 0.75
_RIVAL = 0.05  # a second person this close leaves the choice to somebody
_WEIGHTS = (0.5, 0.35, 0.15)  # family name, given name, commune of birth
_SWAPPED = 0.08  # taken off when day and month are exchanged
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


@dataclass(frozen=True)
class Candidate:
    """Somebody in the vault: folded names, and whether a death is known already."""

    patient_id: int
    families: tuple[str, ...]
    givens: tuple[tuple[str, ...], ...]  # each list of given names that was ever stated, in its order
    sex: str | None
    commune: str | None
    died: dt.date | None


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


class People:
    """Whoever has a birth date known to the day, found by it."""

    def __init__(self, everybody: Iterable[tuple[int, Traits]]) -> None:
        self._by_birth: dict[dt.date, list[Candidate]] = {}
        for patient, traits in everybody:
            birth = folding.birth(traits)
            if birth is not None and birth[1] >= Precision.DAY:
                self._by_birth.setdefault(birth[0], []).append(_candidate(patient, traits))

    def matches(self, death: Death) -> list[tuple[float, Candidate]]:
        """Candidates with their scores above `DOUBT`, best first."""
        if death.birth is None:
            return []
        family, given = _plain(death.family), tuple(map(_plain, death.given))
        found = [(_score(death, family, given, c), c) for c in self._by_birth.get(death.birth, ())]
        swapped = _swapped(death.birth)
        if swapped is not None:
            found += [(_score(death, family, given, c) - _SWAPPED, c) for c in self._by_birth.get(swapped, ())]
        return sorted((pair for pair in found if pair[0] >= DOUBT), key=lambda pair: (-pair[0], pair[1].patient_id))


def is_sure(matches: Sequence[tuple[float, Candidate]]) -> bool:
    """Whether the best match may be taken without asking anybody."""
    if not matches or matches[0][0] < SURE:
        return False
    return len(matches) == 1 or matches[0][0] - matches[1][0] > _RIVAL


def _plain(name: str) -> str:
    """Without accents, case, hyphens or apostrophes."""
    return " ".join("".join(c if c.isalnum() else " " for c in fold(name)).split())


def _candidate(patient: int, traits: Traits) -> Candidate:
    families = tuple(sorted({_plain(name) for name in folding.every(traits, "family_names")}))
    givens = _givens(traits)
    place = str(folding.winner(traits, "birth_place") or "")
    return Candidate(
        patient, families, givens, folding.winner(traits, "sex"), place[:5] if place[:2].isdigit() else None,
        folding.death(traits)[0],
    )  # fmt: skip


def _givens(traits: Traits) -> tuple[tuple[str, ...], ...]:
    stated = folding.lists(traits, "given_names")
    return tuple(dict.fromkeys(tuple(_plain(part) for name in names for part in name.split()) for names in stated))


def _score(death: Death, family: str, given: tuple[str, ...], candidate: Candidate) -> float:
    if candidate.sex in ("female", "male") and death.sex != candidate.sex:
        return 0.0
    if not family or not candidate.families:
        return 0.0
    families = max(JaroWinkler.similarity(family, name) for name in candidate.families)
    givens = max((_given(given, name) for name in candidate.givens), default=0.6)
    if death.birth is not None and death.died < death.birth:
        return 0.0
    place = 0.6 if not candidate.commune or not death.birth_commune else float(candidate.commune == death.birth_commune)
    return sum(weight * part for weight, part in zip(_WEIGHTS, (families, givens, place), strict=True))


def _given(given: tuple[str, ...], names: tuple[str, ...]) -> float:
    """First name against first name: a brother or a twin shares the others. A first name found elsewhere, or second
    names that differ, are worth a doubt, no more."""
    if not given or not names:
        return 0.6
    first = OSA.normalized_similarity(given[0], names[0])
    if len(given) > 1 and len(names) > 1 and OSA.normalized_similarity(given[1], names[1]) < 0.5:
        first -= 0.25
    elsewhere = max(OSA.normalized_similarity(part, name) for part in given for name in names)
    return max(first, min(0.75, elsewhere))


def _swapped(day: dt.date) -> dt.date | None:
    if day.day > 12 or day.day == day.month:
        return None
    return day.replace(month=day.day, day=day.month)


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
