"""Somebody as a hospital writes them: numbers of its own, spelling mistakes, provisional and double identities."""

from __future__ import annotations

from dataclasses import dataclass, replace

from estran.region.calendar import date_of
from estran.region.course import Numbering
from estran.region.dice import Dice
from estran.region.library import Hospital
from estran.region.people import Person

_MISSPELT, _WRONG_BIRTH, _NO_INS, _PROVISIONAL, _DOUBLE, _NO_PHONE = 0.03, 0.004, 0.25, 0.015, 0.012, 0.2


@dataclass(frozen=True, slots=True)
class Traits:
    """What a hospital holds of somebody's identity."""

    birth_name: str
    used_name: str
    given: str
    birth: int
    sex: str
    ins: str
    status: str  # PID-32: VALI, QUAL or PROV
    phone: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """A number of one hospital. `draft` was sent before `traits`; `merged_into` took its place."""

    hospital: Hospital
    person: Person
    ipp: str
    traits: Traits
    draft: Traits | None = None
    merged_into: str = ""


def identify(dice: Dice, numbers: Numbering, person: Person, hospital: Hospital) -> list[Identity]:
    """The identity of a person in a hospital, and the double one that was made by mistake, if any."""
    traits = _traits(dice, person)
    draft = None
    if dice.chance() < _PROVISIONAL:
        draft = replace(_misspelt(dice, traits), ins="", status="PROV", error="provisional")
    found = [Identity(hospital, person, f"8{numbers.take(hospital, 'ipp')}", traits, draft)]
    if dice.chance() < _DOUBLE:
        other = replace(_misspelt(dice, traits), ins="", status="PROV", error="double")
        found.append(Identity(hospital, person, f"8{numbers.take(hospital, 'ipp')}", other, None, found[0].ipp))
    return found


def _traits(dice: Dice, person: Person) -> Traits:
    ins = "" if dice.chance() < _NO_INS else person.nir
    phone = "" if dice.chance() < _NO_PHONE else person.phone
    traits = Traits(
        person.birth_name, person.used_name, person.given, person.birth, person.sex, ins, "VALI" if ins else "QUAL", phone
    )
    if dice.chance() < _MISSPELT:
        traits = replace(_misspelt(dice, traits), ins="", status="PROV")
    if dice.chance() < _WRONG_BIRTH:
        traits = replace(traits, birth=_turned(person.birth), ins="", status="PROV", error="birth")
    return traits


def _misspelt(dice: Dice, traits: Traits) -> Traits:
    """The same names with a letter wrong, or given name and name the other way round."""
    if dice.chance() < 0.1:
        return replace(traits, birth_name=traits.given.upper(), used_name=traits.given.upper(), given=traits.birth_name.title(), error="swapped")
    name = misspell(dice, traits.birth_name)
    used = name if traits.used_name == traits.birth_name else traits.used_name
    return replace(traits, birth_name=name, used_name=used, error="misspelt")


def misspell(dice: Dice, word: str) -> str:
    """A word with one letter doubled, dropped, or exchanged with the next."""
    place = dice.below(max(1, len(word) - 1))
    act = dice.below(3)
    if act == 0 or len(word) < 3:
        return f"{word[:place + 1]}{word[place:]}"
    if act == 1:
        return f"{word[:place]}{word[place + 1:]}".strip()
    return f"{word[:place]}{word[place + 1]}{word[place]}{word[place + 2:]}".strip()


def _turned(birth: int) -> int:
    """Day and month the other way round when that is a date, else the day after."""
    date = date_of(birth)
    if date.day > 12 or date.day == date.month:
        return birth + 1
    return date.replace(month=date.day, day=date.month).toordinal() - 719_163
