"""The people of a shard: who they are, where they live, where they are treated, who they are to one another."""

from __future__ import annotations

import unicodedata
from bisect import bisect
from dataclasses import dataclass, replace

from estran.region.calendar import date_of
from estran.region.dice import Dice, Weighted
from estran.region.library import Commune, Hospital, communes, surnames
from estran.region.plan import SHARD_PATIENTS, Plan
from estran.region.shelf import toml

# Ages of people who come to hospital: older than the population (share per decade of age).
_AGES = Weighted([(0, 0.06), (10, 0.05), (20, 0.08), (30, 0.1), (40, 0.1), (50, 0.13), (60, 0.17), (70, 0.18), (80, 0.11), (90, 0.02)])
_ERAS = (1925, 1945, 1965, 1985, 2005)
_CHRONIC = (("I10", 40, 0.45), ("E785", 40, 0.28), ("E1198", 40, 0.2), ("E6604", 20, 0.15), ("J448", 50, 0.08), ("F412", 18, 0.1))
_SHARED, _THIRD = 0.07, 0.15  # people known to a second hospital; of these, to a third one
_TWINS, _HOMONYMS = 0.03, 0.004


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who does not exist. Days are counted from 1970."""

    number: int  # within the region
    sex: str  # M or F
    birth: int
    birth_name: str
    used_name: str
    given: str
    second: str
    street: str
    commune: Commune
    phone: str
    mail: str
    nir: str  # thirteen digits and their key; a test authority goes with it
    born_in: Commune
    chronic: frozenset[str]
    homes: tuple[Hospital, ...]  # hospitals where the person is known, the usual one first
    mother: int | None = None
    twin: int | None = None


def draw_people(plan: Plan, shard: int, dice: Dice) -> list[Person]:
    """The people of a shard, births matched with a mother of the same shard."""
    first = shard * SHARD_PATIENTS
    people: list[Person] = []
    for number in range(first, first + plan.size(shard)):
        people.append(_person(plan, dice, number))
        if len(people) > 1 and dice.chance() < _HOMONYMS:
            people[-1] = _homonym(dice, people[-1], people[dice.below(len(people) - 1)])
    return _families(plan, dice, people)


def _person(plan: Plan, dice: Dice, number: int) -> Person:
    sex = "F" if dice.chance() < 0.52 else "M"
    decade = dice.draw(_AGES)
    birth = plan.end - 1 - int((decade + 10 * dice.chance()) * 365.25)
    home = _home(plan, dice)
    department = dice.pick(home.departments) if home.departments else "49"
    commune = dice.draw(communes()[department])
    name, given = _surname(dice), _given(dice, sex, birth)
    born_in = dice.draw(communes()[dice.pick(tuple(communes()))]) if dice.chance() < 0.4 else commune
    used = _surname(dice) if sex == "F" and decade >= 30 and dice.chance() < 0.55 else name
    years = (plan.end - birth) // 365
    chronic = frozenset(code for code, age, share in _CHRONIC if dice.chance() < share and years >= age)
    return Person(
        number, sex, birth, name, used, given, _given(dice, sex, birth), _street(dice), commune, _phone(dice),
        _mail(dice, given, used), _nir(dice, sex, birth, born_in), born_in, chronic, _homes(plan, dice, home),
    )  # fmt: skip


def _home(plan: Plan, dice: Dice) -> Hospital:
    sizes = Weighted([(h, h.size) for h in plan.hospitals])
    return dice.draw(sizes)


def _homes(plan: Plan, dice: Dice, home: Hospital) -> tuple[Hospital, ...]:
    others = [h for h in plan.hospitals if h is not home]
    found = [home]
    for chance in (_SHARED, _THIRD):
        if dice.chance() >= chance:
            break
        found.append(others.pop(dice.below(len(others))))
    return tuple(found)


def _surname(dice: Dice) -> str:
    if dice.chance() < 0.35:
        return dice.pick(toml("names.toml")["family"]["common"])  # type: ignore[no-any-return]
    name = dice.pick(surnames())
    return f"{name}-{dice.pick(surnames())}" if dice.chance() < 0.02 else name


def _given(dice: Dice, sex: str, birth: int) -> str:
    year = date_of(birth).year + dice.between(-12, 12)
    era = _ERAS[max(0, bisect(_ERAS, year) - 1)]
    return dice.pick(toml("names.toml")["female" if sex == "F" else "male"][str(era)])  # type: ignore[no-any-return]


def _street(dice: Dice) -> str:
    street = toml("names.toml")["street"]
    number = f"{dice.between(1, 120)}{' bis' if dice.chance() < 0.04 else ''}"
    return f"{number} {dice.pick(street['kinds'])} {dice.pick(street['names'])}"


def _phone(dice: Dice) -> str:
    head = "06" if dice.chance() < 0.65 else "02"
    return " ".join([head, *(f"{dice.below(100):02d}" for _ in range(4))])


def _mail(dice: Dice, given: str, name: str) -> str:
    if dice.chance() < 0.45:
        return ""
    words = "".join(c for c in unicodedata.normalize("NFD", f"{given}.{name}".lower()) if c.isascii() and (c.isalnum() or c == "."))
    return f"{words}{dice.below(100)}@exemple.fr"


def _nir(dice: Dice, sex: str, birth: int, place: Commune) -> str:
    """Thirteen digits as INSEE makes them, with their key."""
    born = date_of(birth)
    body = f"{1 if sex == 'M' else 2}{born.year % 100:02d}{born.month:02d}{place.insee}{dice.between(1, 999):03d}"
    return f"{body}{97 - int(body) % 97:02d}"


def _homonym(dice: Dice, person: Person, other: Person) -> Person:
    """Another person with the names of `other`, sometimes born on the same day."""
    birth = other.birth if dice.chance() < 0.2 else person.birth
    return replace(
        person, sex=other.sex, birth_name=other.birth_name, used_name=other.birth_name, given=other.given, birth=birth,
        nir=_nir(dice, other.sex, birth, person.born_in),
    )  # fmt: skip


def _families(plan: Plan, dice: Dice, people: list[Person]) -> list[Person]:
    """Children born within the period get a mother among the women of the shard, twins the same one."""
    mothers = [n for n, p in enumerate(people) if p.sex == "F" and 19 <= (plan.end - p.birth) / 365.25 <= 42]
    free = iter(mothers)
    done: set[int] = set()
    for place, child in enumerate(people):
        if child.birth < plan.start or place in done:
            continue
        mother = next(free, None)
        if mother is None:
            break
        people[place] = _child(child, people[mother], None)
        done.add(place)
        later = next((n for n in range(place + 1, len(people)) if people[n].birth >= plan.start and n not in done), None)
        if later is not None and dice.chance() < _TWINS:
            people[later] = _child(replace(people[later], birth=child.birth), people[mother], child.number)
            people[place] = replace(people[place], twin=people[later].number)
            done.add(later)
    return people


def _child(child: Person, mother: Person, twin: int | None) -> Person:
    nir = child.nir[:1] + f"{date_of(child.birth).year % 100:02d}{date_of(child.birth).month:02d}" + child.nir[5:13]
    return replace(
        child, birth_name=mother.used_name, used_name=mother.used_name, street=mother.street, commune=mother.commune,
        phone=mother.phone, mail="", homes=mother.homes[:1], mother=mother.number, twin=twin, chronic=frozenset(),
        nir=f"{nir}{97 - int(nir) % 97:02d}",
    )  # fmt: skip
