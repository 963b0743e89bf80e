"""The effects planted in the region, so that every later analysis can be judged on recovering its own.

    hazard ratio      after a first stay for heart failure, death comes 1.8 times as fast to diabetics
    drug and event    a fluoroquinolone multiplies by 4 the odds of an Achilles tendinopathy within 60 days
    epidemic week     one week holds six times the influenza of its season
    model             the chance of readmission within 30 days follows a known logistic score
    links             people known to several hospitals, under different numbers
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from math import cos, exp, log, pi
from typing import Any

from estran.region.dice import Dice, Weighted
from estran.region.plan import Plan

HAZARD_RATIO, YEARLY_HAZARD = 1.8, 0.22
ODDS_RATIO, TENDON_RISK = 4.0, 0.012
TENDON_DAYS = 60
EPIDEMIC_FACTOR = 6.0
QUINOLONES = frozenset(("ofloxacine", "ciprofloxacine", "levofloxacine"))
INTERCEPT, PER_YEAR, PER_STAY, PER_DAY = -3.1, 0.028, 0.45, 0.05
_BINS = 200


def days_to_death(dice: Dice, *, is_diabetic: bool) -> float:
    """Days from discharge to death after a first stay for heart failure (exponential law)."""
    hazard = YEARLY_HAZARD * (HAZARD_RATIO if is_diabetic else 1.0) / 365.25
    return -log(1 - dice.chance()) / hazard


def tendon_risk(*, is_exposed: bool) -> float:
    """Chance of a tendinopathy in the days that follow a stay."""
    if not is_exposed:
        return TENDON_RISK
    odds = ODDS_RATIO * TENDON_RISK / (1 - TENDON_RISK)
    return odds / (1 + odds)


def readmission_risk(years: int, earlier_stays: int, days: float) -> float:
    """Chance of coming back within 30 days: age, stays so far, length of the stay."""
    score = INTERCEPT + PER_YEAR * (years - 60) + PER_STAY * min(earlier_stays, 4) + PER_DAY * min(days, 20)
    return 1 / (1 + exp(-score))


def epidemic_monday(plan: Plan) -> int:
    """The Monday of the epidemic week: early February of the middle winter of the period."""
    middle = dt.date.fromordinal(719_163 + plan.start + plan.days // 2)
    winter = dt.date(middle.year, 2, 3).toordinal() - 719_163
    while winter < plan.start:
        winter += 365
    while winter + 7 > plan.end and winter - 365 >= plan.start:
        winter -= 365
    if not plan.start <= winter <= plan.end - 7:  # a period without any February
        winter = plan.start + plan.days // 2
    return winter - (winter + 3) % 7


@lru_cache(maxsize=8)
def season(plan: Plan, kind: str) -> Weighted[int]:
    """Days of the period in proportion to a season's activity: `flu`, `winter`, or any other (flat)."""
    monday = epidemic_monday(plan)

    def weight(day: int) -> float:
        if not kind:
            return 1.0
        phase = cos(2 * pi * ((day - monday - 3) % 365.25) / 365.25)  # 1 at the heart of winter
        if kind != "flu":
            return 1.2 + phase
        usual = max(0.02, exp(6 * (phase - 1)))
        return usual * (EPIDEMIC_FACTOR if monday <= day < monday + 7 else 1.0)

    return Weighted([(day, weight(day)) for day in range(plan.start, plan.end)])


@dataclass
class Observed:
    """What came of the plan in one shard; adds up over shards."""

    counts: Counter[str] = field(default_factory=Counter)
    weeks: Counter[int] = field(default_factory=Counter)  # influenza by Monday
    came_back: list[int] = field(default_factory=lambda: [0] * _BINS)  # by risk
    stayed_away: list[int] = field(default_factory=lambda: [0] * _BINS)

    def flu(self, day: int) -> None:
        self.weeks[day - (day + 3) % 7] += 1

    def exit(self, risk: float, *, is_readmitted: bool) -> None:
        (self.came_back if is_readmitted else self.stayed_away)[min(int(risk * _BINS), _BINS - 1)] += 1

    def add(self, other: Observed) -> None:
        self.counts.update(other.counts)
        self.weeks.update(other.weeks)
        self.came_back = [a + b for a, b in zip(self.came_back, other.came_back, strict=True)]
        self.stayed_away = [a + b for a, b in zip(self.stayed_away, other.stayed_away, strict=True)]

    def auc(self) -> float | None:
        """Area under the curve of the true risk, ties counted half; None without both outcomes."""
        below, won = 0, 0.0
        for came, away in zip(self.came_back, self.stayed_away, strict=True):
            won += came * (below + away / 2)
            below += away
        pairs = sum(self.came_back) * below
        return won / pairs if pairs else None


def report(plan: Plan, seen: Observed) -> dict[str, Any]:
    """What `truth/planted.json` says: each effect, how it was planted, and what came of it."""
    n = seen.counts
    exposed, cases = n["quinolone"], n["quinolone_tendon"]
    others, other_cases = n["no_quinolone"], n["no_quinolone_tendon"]
    odds = _odds(cases, exposed), _odds(other_cases, others)
    monday = epidemic_monday(plan)
    auc = seen.auc()
    return {
        "hazard_ratio": {
            "value": HAZARD_RATIO, "yearly_hazard": YEARLY_HAZARD, "index": "first stay with principal diagnosis I500",
            "exposure": "E1198 among its diagnoses", "outcome": "death, from the end of the index stay",
            "exposed": n["hf_diabetic"], "unexposed": n["hf_other"], "deaths_exposed": n["hf_diabetic_death"],
            "deaths_unexposed": n["hf_other_death"], "table": "truth/outcomes",
        },
        "drug_event": {
            "odds_ratio": ODDS_RATIO, "exposure": "J01MA in the stay", "outcome": "consultation with M766",
            "within_days": TENDON_DAYS, "exposed": exposed, "exposed_cases": cases, "unexposed": others,
            "unexposed_cases": other_cases, "observed_odds_ratio": odds[0] / odds[1] if odds[1] else None,
        },
        "epidemic": {
            "monday": dt.date.fromordinal(719_163 + monday).isoformat(), "factor": EPIDEMIC_FACTOR,
            "diagnosis": "J101", "cases": seen.weeks[monday],
            "weeks_before": [seen.weeks[monday - 7 * k] for k in range(8, 0, -1)],
        },
        "model": {
            "outcome": "another stay within 30 days of the end of a stay of kind venue",
            "logit": {"intercept": INTERCEPT, "age - 60": PER_YEAR, "earlier stays, at most 4": PER_STAY, "days, at most 20": PER_DAY},
            "auc_of_true_risk": auc, "stays": sum(seen.came_back) + sum(seen.stayed_away),
            "readmitted": sum(seen.came_back), "table": "truth/outcomes",
        },
        "links": {"people_known_to_several_hospitals": n["shared"], "pairs": n["links"], "table": "truth/links"},
    }  # fmt: skip


def _odds(cases: int, total: int) -> float:
    return cases / (total - cases) if total > cases else 0.0
