"""Invented people whom several hospitals know, as their desks write them down: misspelt, married, half known.

Names come from the synthetic region's lists, family names drawn by a law of Zipf. Rates are parameters of `Rates`, the
same for every seed; nothing in them was fitted to a method.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from estran.identity import traits as folding
from estran.identity.traits import Person, Statement, Traits
from estran.region.dice import Dice, Weighted
from estran.region.library import communes, surnames
from estran.region.shelf import toml

_FIRST, _LAST = dt.date(1926, 1, 1).toordinal(), dt.date(2024, 12, 31).toordinal()
_HEARD = (("ph", "f"), ("y", "i"), ("ll", "l"), ("tt", "t"), ("nn", "n"), ("eau", "o"), ("au", "o"), ("ck", "k"), ("qu", "k"), ("th", "t"), ("ss", "s"),
          ("ie", "i"), ("z", "s"), ("mm", "m"), ("rr", "r"), ("ez", "es"), ("c", "ck"), ("i", "y"), ("f", "ph"), ("l", "ll"), ("t", "th"))  # fmt: skip
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Rates:
    """Shares of records, or of people, to which something happens."""

    misspelt: float = 0.06  # of each name, in each record; one in ten of them twice
    no_ins: float = 0.30
    only_used_name: float = 0.10  # of married women: the name in use stands for the birth name
    exchanged_names: float = 0.04  # of married women: the two names the wrong way round
    changed_name: float = 0.04  # of women: another name in use than elsewhere
    other_order: float = 0.03  # of given names
    half_given: float = 0.08  # of compound given names: one half
    one_given: float = 0.5  # only the first is written
    turned: float = 0.01  # day and month
    wrong_part: float = 0.01  # of the birth date
    wrong_date: float = 0.003
    no_place: float = 0.25
    wrong_place: float = 0.02
    wrong_sex: float = 0.003
    no_sex: float = 0.005
    family_as_given: float = 0.003
    twins: float = 0.015
    namesakes: float = 0.005  # names of somebody else
    same_day: float = 0.02  # of these, born on the same day too
    juniors: float = 0.01  # son or daughter with both names of a parent
    sites: tuple[float, ...] = (0.75, 0.18, 0.05, 0.02)  # people known to 1, 2, 3, 4 hospitals


@dataclass(frozen=True)
class Somebody:
    """Who they are; `married` is "" for one name."""

    family: str
    married: str
    given: tuple[str, ...]
    sex: str
    born: dt.date
    place: str
    ins: str


@dataclass(frozen=True)
class Record:
    """What one hospital holds of person `person`."""

    person: int
    family: tuple[str, ...]
    given: tuple[str, ...]
    sex: str | None
    born: dt.date
    place: str | None
    ins: str | None

    @property
    def traits(self) -> Traits:
        """As the vault keeps them."""
        said = Person(self.family, self.given, self.born, sex=self.sex, birth_place=self.place)
        found: Traits = {}
        folding.fold(found, folding.stated(Statement((("IPP", str(self.person)),), said, self.ins, 1, 0)), (1, 0))
        return found


def hospitals(people: int, sites: int, seed: int, rates: Rates | None = None) -> list[list[Record]]:
    """The records of each hospital, nobody twice in one."""
    rates, dice = rates or Rates(), Dice("linkage", seed)
    found: list[list[Record]] = [[] for _ in range(sites)]
    count = Weighted(list(enumerate(rates.sites[:sites], 1)))
    for number, somebody in enumerate(_people(people, dice, rates)):
        for site in dice.shuffled(range(sites))[: dice.draw(count)]:
            found[site].append(_written(number, somebody, dice, rates))
    return found


def _people(number: int, dice: Dice, rates: Rates) -> list[Somebody]:
    names = Weighted([(name, 1 / (rank + 8)) for rank, name in enumerate(_families())])
    places = [c for found in communes().values() for c in found.items]
    found: list[Somebody] = []
    while len(found) < number:
        found.append(_somebody(dice, names, places))
        chance, last = dice.chance(), found[-1]
        if chance < rates.twins:
            sex = last.sex if dice.chance() < 0.6 else "MF"[last.sex == "M"]
            given = next(drawn for _ in range(99) if (drawn := _given(dice, sex, last.born))[0] != last.given[0])
            found.append(replace(last, sex=sex, married="", given=given, ins=_ins(dice, sex, last.born)))
            found[-2] = replace(last, married="")
        elif chance < rates.twins + rates.namesakes:
            other = dice.pick(found)
            born = other.born if dice.chance() < rates.same_day else last.born
            found[-1] = replace(other, born=born, place=last.place, ins=_ins(dice, other.sex, born))
        elif chance < rates.twins + rates.namesakes + rates.juniors:
            day = last.born.toordinal() + dice.between(7_500, 13_500)
            born = dt.date.fromordinal(day)
            found += [replace(last, born=born, married="", ins=_ins(dice, last.sex, born))] if day <= _LAST else []
    return found[:number]


def _families() -> list[str]:
    common = list(toml("names.toml")["family"]["common"])
    rest = [name for name in surnames() if name not in common]
    return common + sorted(rest, key=_mixed)


def _mixed(name: str) -> int:
    """An order of names that is neither the alphabet's nor chance."""
    return sum(ord(c) * 131**n for n, c in enumerate(name)) % 1_000_003


def _somebody(dice: Dice, names: Weighted[str], places: list[object]) -> Somebody:
    sex = "F" if dice.chance() < 0.52 else "M"
    born = dt.date.fromordinal(dice.between(_FIRST, _LAST))
    family = dice.draw(names)
    if dice.chance() < 0.02:
        family = f"{family}-{dice.draw(names)}"
    married = dice.draw(names) if sex == "F" and born.year < 1996 and dice.chance() < 0.55 else ""
    place = dice.pick(places)
    return Somebody(family, married, _given(dice, sex, born), sex, born, place.insee, _ins(dice, sex, born))  # type: ignore[attr-defined]


def _given(dice: Dice, sex: str, born: dt.date) -> tuple[str, ...]:
    era = str(max(1925, min(2005, 1925 + 20 * ((born.year + dice.between(-12, 12) - 1915) // 20))))
    every = toml("names.toml")["female" if sex == "F" else "male"][era]
    return tuple(dict.fromkeys(dice.pick(every) for _ in range(dice.between(1, 3))))


def _ins(dice: Dice, sex: str, born: dt.date) -> str:
    return f"{1 if sex == 'M' else 2}{born:%y%m}{dice.between(1, 95):02d}{dice.between(1, 999):03d}{dice.between(1, 999):03d}"


# What a desk makes of them


def _written(number: int, who: Somebody, dice: Dice, rates: Rates) -> Record:
    family, given = _family(who, dice, rates), _written_given(who, dice, rates)
    if dice.chance() < rates.family_as_given:
        family, given = (given[0].upper(),), (family[0].title(),)
    sex: str | None = who.sex
    if dice.chance() < rates.wrong_sex:
        sex = "MF"[who.sex == "M"]
    if dice.chance() < rates.no_sex:
        sex = None
    place = None if dice.chance() < rates.no_place else who.place
    if place and dice.chance() < rates.wrong_place:
        place = f"{place[:2]}{dice.between(1, 400):03d}"
    ins = None if dice.chance() < rates.no_ins else who.ins
    return Record(
        number,
        family,
        given,
        None if sex is None else {"F": "female", "M": "male"}[sex],
        _born(who, dice, rates),
        place,
        ins,
    )


def _family(who: Somebody, dice: Dice, rates: Rates) -> tuple[str, ...]:
    birth, married = _typed(who.family, dice, rates), _typed(who.married, dice, rates)
    if who.sex == "F" and dice.chance() < rates.changed_name:
        married = "" if married else _typed(dice.pick(_COMMON), dice, rates)
    if not married:
        return (birth,)
    if dice.chance() < rates.only_used_name:
        return (married,)
    return (married, birth) if dice.chance() < rates.exchanged_names else (birth, married)


_COMMON = ("MARTIN", "PETIT", "MOREAU", "LE GALL", "ROUX", "GARCIA", "SIMON", "HAMON")


def _written_given(who: Somebody, dice: Dice, rates: Rates) -> tuple[str, ...]:
    given = list(who.given)
    if len(given) > 1 and dice.chance() < rates.other_order:
        given[0], given[1] = given[1], given[0]
    if "-" in given[0] and dice.chance() < rates.half_given:
        given[0] = given[0].split("-")[0]
    if dice.chance() < rates.one_given:
        given = given[:1]
    return tuple(_typed(name, dice, rates) for name in given)


def _typed(name: str, dice: Dice, rates: Rates) -> str:
    """A name as somebody types it: hyphens and accents as they come, now and then a letter wrong."""
    if not name:
        return name
    if dice.chance() < 0.3:
        name = name.replace("-", " ")
    if dice.chance() < rates.misspelt:
        name = _misspelt(name, dice)
        if dice.chance() < 0.1:
            name = _misspelt(name, dice)
    return name


def _misspelt(name: str, dice: Dice) -> str:
    if dice.chance() < 0.35:
        low = name.lower()
        fit = [(old, new) for old, new in _HEARD if old in low]
        if fit:
            old, new = dice.pick(fit)
            return low.replace(old, new, 1).upper()
    place, act = dice.below(max(1, len(name) - 1)), dice.below(4)
    if act == 0:
        return name[:place] + name[place] + name[place:]
    if act == 1 and len(name) > 3:
        return name[:place] + name[place + 1 :]
    if act == 2:
        return name[:place] + name[place + 1 : place + 2] + name[place] + name[place + 2 :]
    return name[:place] + dice.pick(_ALPHABET) + name[place + 1 :]


def _born(who: Somebody, dice: Dice, rates: Rates) -> dt.date:
    born, chance = who.born, dice.chance()
    if chance < rates.turned:
        return born.replace(day=born.month, month=born.day) if born.day <= 12 else born
    if chance < rates.turned + rates.wrong_part:
        part = dice.below(3)
        if part == 0:
            return born.replace(day=1 + (born.day + dice.between(0, 26)) % 28)
        if part == 1:
            return born.replace(day=min(born.day, 28), month=1 + (born.month + dice.between(0, 10)) % 12)
        return born.replace(day=min(born.day, 28), year=born.year + dice.pick((-10, -1, 1, 10)))
    if chance < rates.turned + rates.wrong_part + rates.wrong_date:
        return dt.date.fromordinal(dice.between(_FIRST, _LAST))
    return born
