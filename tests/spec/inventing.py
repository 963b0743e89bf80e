"""Cohorts invented from what a site holds: the same seed and the same site give the same questions, as text.

They use what an OMOP database can say: codes with their hierarchy, values, dates, roles of diagnoses, ages, sexes, deaths,
kinds and lengths of stays, words of texts, and every way of joining them in time and within a stay.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from estran.warehouse import LIVE, Snapshot

_KINDS = "('diagnosis', 'procedure', 'drug', 'laboratory', 'observation')"
_CODES = f"""
SELECT c.vocabulary, c.code, c.kind, count(DISTINCT f.patient_id) AS n, quantile_cont(f.value, [0.25, 0.5, 0.75]) AS cuts,
       any_value(f.unit) AS unit, count(DISTINCT f.unit) AS units, min(f.start_date) AS first, max(f.start_date) AS last
FROM fact f JOIN concept c USING (concept_id) WHERE {LIVE} AND c.kind IN {_KINDS} AND f.start_date IS NOT NULL
GROUP BY ALL ORDER BY n DESC, c.vocabulary, c.code LIMIT 200"""
_LOCAL = f"""
SELECT c.vocabulary, c.code, count(*) AS n FROM fact f JOIN concept c ON c.concept_id = f.local_concept_id JOIN concept m ON m.concept_id = f.concept_id
WHERE {LIVE} AND m.vocabulary = 'LOINC' AND length(c.vocabulary) <= 20 GROUP BY ALL ORDER BY n DESC, 1, 2 LIMIT 20"""
_ROLES = f"SELECT DISTINCT role FROM fact f WHERE {LIVE} AND role IN ('DP', 'DR', 'DAS', 'DAD') ORDER BY 1"
_STAYS = "SELECT DISTINCT kind FROM stay WHERE kind IS NOT NULL ORDER BY 1"


@dataclass(frozen=True)
class Known:
    """A code of the site, and where its values and dates lie."""

    code: str
    kind: str
    cuts: tuple[float, ...]
    unit: str
    years: tuple[int, int]


def invent(snapshot: Snapshot, number: int, seed: int, words: tuple[str, ...] = ()) -> list[str]:
    """As many different questions as asked for."""
    with snapshot.connect() as connection:
        codes = [_known(row) for row in connection.execute(_CODES).fetchall()]
        local = [f"{_written(v, c)}" for v, c, _ in connection.execute(_LOCAL).fetchall()]
        roles = [row[0] for row in connection.execute(_ROLES).fetchall()]
        kinds = [row[0] for row in connection.execute(_STAYS).fetchall()]
    inventor = _Inventor(random.Random(seed), codes, local, roles, kinds, words)
    found: dict[str, None] = {}
    while len(found) < number:
        found.setdefault(inventor.question(2))
    return list(found)


def _written(vocabulary: str, code: str) -> str:
    return f"{vocabulary}:{code}" if code.replace(".", "").replace("-", "").isalnum() else f"{vocabulary}:'{code}'"


def _known(row: tuple[Any, ...]) -> Known:
    vocabulary, code, kind, _, cuts, unit, units, first, last = row
    valued = kind in ("laboratory", "observation") and cuts is not None and cuts[0] is not None and units == 1
    return Known(_written(vocabulary, code), kind, tuple(cuts) if valued else (), unit or "", (first.year, last.year))


class _Inventor:
    def __init__(
        self,
        dice: random.Random,
        codes: list[Known],
        local: list[str],
        roles: list[str],
        kinds: list[str],
        words: tuple[str, ...],
    ) -> None:
        self.dice, self.codes, self.local, self.roles, self.kinds, self.words = dice, codes, local, roles, kinds, words

    def question(self, depth: int) -> str:
        """A tree at most so deep."""
        if depth == 0:
            return self.leaf()
        ways: list[Callable[[int], str]] = [
            lambda d: self.leaf(), self.both, self.both, self.either, self.without, self.then, self.same_stay,
            self.some_of, self.close, self.rank, self.during,
        ]  # fmt: skip
        return self.dice.choice(ways)(depth)

    def leaf(self) -> str:
        chance = self.dice.random()
        if chance < 0.7:
            return self.event()
        if chance < 0.8:
            low = self.dice.randrange(0, 90, 5)
            return f"âge {low}..{low + self.dice.choice([10, 20, 40])}"
        if chance < 0.88:
            return f"sexe:{self.dice.choice('FH')}"
        if chance < 0.92 and self.words:
            return f'texte:("{self.dice.choice(self.words)}")'
        return self.stay()

    def event(self) -> str:
        """Facts of a code, with a value, a year, a role or a repetition."""
        if self.local and self.dice.random() < 0.1:
            return self.dice.choice(self.local)
        known = self.codes[min(int(self.dice.expovariate(12 / len(self.codes))), len(self.codes) - 1)]
        chance = self.dice.random()
        if known.cuts and chance < 0.5:
            sign, cut = self.dice.choice(["<", ">=", ">", "<="]), self.dice.choice(known.cuts)
            return f"{known.code}{sign}{cut:.6f}"
        if known.kind == "diagnosis" and self.roles and chance < 0.3:
            return f"{known.code}[role={self.dice.choice(self.roles)}]"
        if chance < 0.6:
            return f"{known.code}[{self.dice.randint(*known.years)}]"
        return f"{known.code}[{self.dice.randint(2, 3)}x]" if chance < 0.75 else known.code

    def stay(self) -> str:
        if not self.kinds:
            return self.event()
        return f"séjour(type={self.dice.choice(self.kinds)}, durée>={self.dice.randint(0, 5)})"

    def both(self, depth: int) -> str:
        return f"({self.question(depth - 1)} ET {self.question(depth - 1)})"

    def either(self, depth: int) -> str:
        return f"({self.question(depth - 1)} OU {self.question(depth - 1)})"

    def without(self, depth: int) -> str:
        return f"({self.event()} SAUF {self.question(depth - 1)})"

    def then(self, depth: int) -> str:
        return f"({self.event()} PUIS {self.event()} [{self.dice.randint(0, 3)}..{self.dice.randint(3, 400)} jours])"

    def same_stay(self, depth: int) -> str:
        return f"MÊME SÉJOUR({self.event()} ET {self.event()})"

    def some_of(self, depth: int) -> str:
        return f"AU MOINS 2 DE({self.event()}, {self.event()}, {self.leaf()})"

    def close(self, depth: int) -> str:
        return f"DANS {self.dice.choice([1, 7, 30, 365])} JOURS({self.event()}, {self.event()})"

    def rank(self, depth: int) -> str:
        return f"({self.dice.choice(['PREMIER', 'DERNIER'])}({self.event()}) PUIS {self.event()} [{self.dice.randint(1, 90)} jours])"

    def during(self, depth: int) -> str:
        return f"({self.event()} PENDANT {self.stay()})"
