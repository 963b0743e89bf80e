"""Deaths as INSEE publishes them: 198 characters a line, names and places, no hospital."""

from __future__ import annotations

from estran.region.calendar import hl7_day
from estran.region.dice import Dice
from estran.region.identities import misspell
from estran.region.people import Person


def death_line(person: Person, day: int, dice: Dice) -> str:
    """NAME*GIVEN NAMES/, sex, birth, commune of birth, country, death, commune of death, number of the act."""
    name = misspell(dice, person.birth_name) if dice.chance() < 0.02 else person.birth_name
    names = f"{name}*{person.given.upper()} {person.second.upper()}/"
    sex = "1" if person.sex == "M" else "2"
    return (
        f"{names:<80.80}{sex}{hl7_day(person.birth)}{person.born_in.insee}{person.born_in.name.upper():<30.30}{'':<30}"
        f"{hl7_day(day)}{person.commune.insee}{dice.between(1, 999):<9}{'':<22}\n"
    )
