"""Finding somebody by name, birth and sex in the vault, with a score: a register or a study may know no hospital number.

A pair is considered when the birth dates are equal, or equal with day and month exchanged. Its score goes
from 0 to 1: likeness of family names (Jaro-Winkler, birth name or any other ever stated), of given names (the
first, or any), and the commune of birth. A pair above `SURE` without rival may be taken; one above `DOUBT` is left
to a person.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import OSA, JaroWinkler

from estran.identity import traits as folding
from estran.identity.folding import fold
from estran.identity.traits import Traits
from estran.model.codes import Precision

SURE, DOUBT = 0.93, 0.75
_RIVAL = 0.05  # a second person this close leaves the choice to somebody
_WEIGHTS = (0.5, 0.35, 0.15)  # family name, given name, commune of birth
_SWAPPED = 0.08  # taken off when day and month are exchanged


@dataclass(frozen=True)
class Sought:
    """Whom somebody looks for. `sex` is female, male or "" (unknown); `birth` None when it is not known to the day."""

    family: str
    given: tuple[str, ...]
    sex: str
    birth: dt.date | None
    commune: str = ""


@dataclass(frozen=True)
class Candidate:
    """Somebody in the vault: folded names, and whether a death is known already."""

    patient_id: int
    families: tuple[str, ...]
    givens: tuple[tuple[str, ...], ...]  # each list of given names that was ever stated, in its order
    sex: str | None
    commune: str | None
    died: dt.date | None


class People:
    """Whoever has a birth date known to the day, found by it."""

    def __init__(self, everybody: Iterable[tuple[int, Traits]]) -> None:
        self._by_birth: dict[dt.date, list[Candidate]] = {}
        for patient, traits in everybody:
            birth = folding.birth(traits)
            if birth is not None and birth[1] >= Precision.DAY:
                self._by_birth.setdefault(birth[0], []).append(_candidate(patient, traits))

    def matches(self, sought: Sought) -> list[tuple[float, Candidate]]:
        """Candidates with their scores above `DOUBT`, best first."""
        if sought.birth is None:
            return []
        family, given = _plain(sought.family), tuple(map(_plain, sought.given))
        found = [(_score(sought, family, given, c), c) for c in self._by_birth.get(sought.birth, ())]
        swapped = _swapped(sought.birth)
        if swapped is not None:
            found += [(_score(sought, family, given, c) - _SWAPPED, c) for c in self._by_birth.get(swapped, ())]
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


def _score(sought: Sought, family: str, given: tuple[str, ...], candidate: Candidate) -> float:
    if candidate.sex in ("female", "male") and sought.sex and sought.sex != candidate.sex:
        return 0.0
    if not family or not candidate.families:
        return 0.0
    families = max(JaroWinkler.similarity(family, name) for name in candidate.families)
    givens = max((_given(given, name) for name in candidate.givens), default=0.6)
    place = 0.6 if not candidate.commune or not sought.commune else float(candidate.commune == sought.commune)
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
