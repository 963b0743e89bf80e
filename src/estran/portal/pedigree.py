"""Geometry of a pedigree: rows of generations, a mother above the line of her children, twins from one point of it.

Symbols follow Bennett et al., "Practice resource-focused revision: standardized pedigree nomenclature update",
J. Genet. Couns. 31, 2022: square for a man, circle for a woman, diamond when the sex is neither or not known, a stroke
through it after death, an arrow for the person whose page it is, "?" under twins of unknown zygosity.
"""

from __future__ import annotations

from dataclasses import dataclass

from estran.projects.family import Family, Member, Ties

STEP, ROW, SIZE = 104.0, 132.0, 38.0  # between people, between generations, of a symbol
_MARGIN, _TOP = 56.0, 26.0
_DROP = 34.0  # from the line of brothers and sisters to the symbol


@dataclass(frozen=True)
class Symbol:
    """A person; `x`, `y` is the middle of the symbol."""

    member: Member
    x: float
    y: float

    @property
    def shape(self) -> str:
        """square, circle or diamond."""
        return {"male": "square", "female": "circle"}.get(self.member.line.sex, "diamond")


@dataclass(frozen=True)
class Pedigree:
    """A drawing: symbols, straight lines (x1, y1, x2, y2), and the places of "?" between twins."""

    symbols: tuple[Symbol, ...]
    lines: tuple[tuple[float, float, float, float], ...]
    unsure: tuple[tuple[float, float], ...]
    width: float
    height: float


def pedigree(family: Family) -> Pedigree:
    """Lay a family out."""
    shown = {member.line.patient_id: member for member in family.members}
    drawing = _Drawing(family.ties, set(shown))
    symbols = tuple(Symbol(shown[person], round(x, 1), y) for person, (x, y) in drawing.places.items())
    lines, unsure = drawing.lines()
    deepest = max((symbol.y for symbol in symbols), default=0.0)
    return Pedigree(symbols, tuple(lines), tuple(unsure), drawing.next - STEP + 2 * _MARGIN, deepest + SIZE / 2 + 42)


class _Drawing:
    """People placed one family branch after the other, from the oldest generation down."""

    def __init__(self, ties: Ties, people: set[int]) -> None:
        self.ties, self.people = ties, people
        self.places: dict[int, tuple[float, float]] = {}
        self.next = 0.0  # where the next person without children goes, from the left
        levels = self._levels()
        top = min(levels.values())
        for person in sorted(people, key=lambda one: (levels[one], one)):
            if person not in self.places and self._above(person) is None:
                for twin in (person, *(t for t in ties.twins_of(person) if t in people and self._above(t) is None)):
                    self._place(twin, levels[twin] - top)

    def _above(self, person: int) -> int | None:
        mother = self.ties.mother_of(person)
        return mother if mother in self.people else None

    def _levels(self) -> dict[int, int]:
        """Generations counted from the patient, older ones below 0; whoever is tied to nobody stands at 0."""
        levels, edge = {self.ties.patient_id: 0}, [self.ties.patient_id]
        while edge:
            one = edge.pop()
            for mother, child in self.ties.mothers:
                self._level(levels, edge, one, (mother, child), 1)
            for pair in self.ties.twins:
                self._level(levels, edge, one, pair, 0)
        return {person: levels.get(person, 0) for person in self.people}

    @staticmethod
    def _level(levels: dict[int, int], edge: list[int], one: int, pair: tuple[int, int], down: int) -> None:
        first, then = pair
        other, step = (then, down) if one == first else (first, -down) if one == then else (None, 0)
        if other is not None and other not in levels:
            levels[other] = levels[one] + step
            edge.append(other)

    def _place(self, person: int, level: int) -> float:
        """Children first: a mother stands above the middle of hers."""
        if person in self.places:
            return self.places[person][0]
        self.places[person] = (0.0, 0.0)  # a circle of mothers, which only an error makes, ends here
        below = [self._place(child, level + 1) for child in self.ties.children_of(person) if child in self.people]
        if below:
            x = (below[0] + below[-1]) / 2
        else:
            x, self.next = _MARGIN + self.next, self.next + STEP
        self.places[person] = (x, _TOP + SIZE / 2 + level * ROW)
        return x

    def lines(self) -> tuple[list[tuple[float, float, float, float]], list[tuple[float, float]]]:
        found: list[tuple[float, float, float, float]] = []
        unsure: list[tuple[float, float]] = []
        for mother, (x, y) in self.places.items():
            children = [child for child in self.ties.children_of(mother) if child in self.places]
            if children:
                bar = self.places[children[0]][1] - SIZE / 2 - _DROP
                tops = [self._hang(group, bar, found, unsure) for group in self._births(children)]
                found.append((x, y + SIZE / 2, x, bar))
                found.append((min([x, *tops]), bar, max([x, *tops]), bar))
        alone = [one for one in self.places if self._above(one) is None]
        for group in self._births(alone):
            if len(group) > 1:
                self._hang(group, self.places[group[0]][1] - SIZE / 2 - _DROP / 2, found, unsure)
        return found, unsure

    def _births(self, people: list[int]) -> list[list[int]]:
        """The people, those of one birth together."""
        groups: dict[int, list[int]] = {}
        for person in people:
            groups.setdefault(min([person, *(t for t in self.ties.twins_of(person) if t in people)]), []).append(person)
        return list(groups.values())

    def _hang(self, group: list[int], bar: float, found: list[tuple[float, float, float, float]], unsure: list[tuple[float, float]]) -> float:
        """Lines from one point of the bar to those of one birth; where that point is."""
        spots = [self.places[person] for person in group]
        middle = round(sum(x for x, _ in spots) / len(spots), 1)
        found.extend((middle, bar, round(x, 1), y - SIZE / 2) for x, y in spots)
        if len(group) > 1:
            unsure.append((middle, spots[0][1] - SIZE / 2 - 2))
        return middle
