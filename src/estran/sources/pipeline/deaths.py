"""Deaths of the civil register, matched to the patients of the vault."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from estran.identity.deaths import ACCEPTED, REJECTED, Death, Review
from estran.identity.likeness import People, is_sure
from estran.model.errors import UsageError
from estran.sources.deaths import read_deaths
from estran.sources.pipeline.reissue import Reissuer
from estran.sources.pipeline.run import Parts

SOURCE = "insee"
_TOLD_EVERY = 10_000


@dataclass
class Matched:
    """What became of the lines: read = unreadable + unmatched + known + taken + doubtful."""

    read: int = 0
    unreadable: int = 0
    unmatched: int = 0  # nobody here, or a birth that is not known to the day
    known: int = 0  # taken, or left to somebody, by an earlier run
    taken: int = 0
    doubtful: int = 0


def match_deaths(parts: Parts, path: Path, told: Callable[[int], None] = lambda _: None) -> Matched:
    """Match the file at `path`: sure pairs give the patient a date of death, doubtful ones wait for review.

    All is done in one transaction of the vault, then one snapshot; repeating it changes nothing.
    """
    result = Matched()
    with parts.warehouse.writer() as writer:
        with parts.vault.transaction():
            people, claimed = People(parts.vault.everybody()), dict[int, dt.date]()
            for result.read, (_, death) in enumerate(read_deaths(path), start=1):
                _take(parts, people, death, result, claimed)
                if result.read % _TOLD_EVERY == 0:
                    told(result.read)
        Reissuer(writer, parts.vault).run()
    return result


def _first(claimed: dict[int, dt.date], patient_id: int, death: Death) -> bool:
    """Whether no other line of the register has claimed this patient for another day."""
    return claimed.setdefault(patient_id, death.died) == death.died


def _take(
    parts: Parts, people: People, death: Death | None, result: Matched, claimed: dict[int, dt.date]
) -> None:
    if death is None:
        result.unreadable += 1
        return
    matches = people.matches(death.sought)
    if not matches:
        result.unmatched += 1
    elif is_sure(matches) and matches[0][1].died in (None, death.died) and _first(claimed, matches[0][1].patient_id, death):
        new = parts.vault.tell_death(matches[0][1].patient_id, death, SOURCE)
        result.taken, result.known = result.taken + new, result.known + (not new)
    else:
        score, best = matches[0]
        if best.died == death.died:  # the hospital knew
            result.known += 1
            return
        new = parts.vault.reviews.add(parts.vault.death_hash(best.patient_id, death), death, score, best.patient_id)
        result.doubtful, result.known = result.doubtful + new, result.known + (not new)


def settle(parts: Parts, number: int, *, accepted: bool) -> Review:
    """Decide a doubtful pair; an accepted one gives the patient that date of death. UsageError when no pair
    of this number is open."""
    with parts.warehouse.writer() as writer:
        with parts.vault.transaction():
            review = parts.vault.reviews.settle(number, ACCEPTED if accepted else REJECTED)
            if review is None:
                raise UsageError(f"No pair {number} waits for a decision.", hint="estran deaths SITE --review")
            if accepted:
                death = Death(review.family, tuple(review.given.split()), "", None, "", review.died)
                parts.vault.tell_death(review.patient_id, death, SOURCE)
        Reissuer(writer, parts.vault).run()
    return review
