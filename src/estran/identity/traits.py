"""What is known of a person, as a fold of statements that does not depend on their order.

For each field the fold keeps every distinct value ever stated with the latest stamp that stated it.
The winner is the value with the greatest stamp; all values serve to mask texts. Joining two folds
is a maximum per value: associative, commutative, idempotent, so resends, late messages and merges
all end in the same state.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

import orjson

from estran.model.codes import Precision, Sex

Stamp = tuple[int, int]  # event_time in microseconds UTC, content hash
Number = tuple[str, str]  # assigning authority, value


@dataclass(frozen=True)
class Person:
    """The identity traits that one record states; None or empty means it does not say."""

    family_names: tuple[str, ...] = ()
    given_names: tuple[str, ...] = ()
    birth_date: dt.date | None = None
    birth_precision: Precision = Precision.DAY
    sex: str | None = None
    addresses: tuple[str, ...] = ()
    postcode: str | None = None
    city: str | None = None
    commune: str | None = None
    phones: tuple[str, ...] = ()
    mails: tuple[str, ...] = ()
    relatives: tuple[str, ...] = ()
    birth_place: str | None = None
    death_date: dt.date | None = None
    deceased: bool | None = None
    death_source: str | None = None  # who told the death: hospital when nobody says, insee
    other_numbers: tuple[str, ...] = ()
    provisional: bool | None = None  # the identity is not sure: provisional, doubtful or invented for the moment


@dataclass(frozen=True)
class Statement:
    """`numbers`, the first being the record's own, belong to one person with these traits."""

    numbers: tuple[Number, ...]
    person: Person = field(default_factory=Person)
    ins: str | None = None
    event_time: int = 0  # microseconds UTC
    content: int = 0  # hash of the record, breaks ties

    def __post_init__(self) -> None:
        if not self.numbers:
            raise ValueError("a statement names at least one number")


@dataclass(frozen=True)
class Known:
    """All that was ever stated of one patient, to be masked in the patient's texts."""

    family_names: tuple[str, ...] = ()
    given_names: tuple[str, ...] = ()
    relatives: tuple[str, ...] = ()
    birth_dates: tuple[dt.date, ...] = ()
    addresses: tuple[str, ...] = ()
    postcodes: tuple[str, ...] = ()
    cities: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    mails: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()


# Places of the fields in the stored form: append only.
_FIELDS = (
    "family_names", "given_names", "birth", "sex", "addresses", "postcode", "city", "commune", "phones",
    "mails", "relatives", "birth_place", "death_date", "deceased", "other_numbers", "ins",
    "death_source", "provisional",
)  # fmt: skip
_PLACE = {name: place for place, name in enumerate(_FIELDS)}
_LISTS = frozenset(
    _PLACE[n]
    for n in ("family_names", "given_names", "addresses", "phones", "mails", "relatives", "other_numbers", "birth")
)
_ROW = frozenset(_PLACE[n] for n in ("birth", "sex", "postcode", "commune", "death_date", "deceased", "death_source"))
_UNMASKED = frozenset(_PLACE[n] for n in ("sex", "commune", "death_date", "deceased", "death_source", "provisional"))
_PERSON_FIELDS = tuple(f.name for f in fields(Person) if f.name in _PLACE)

Value = Any  # str, bool, or tuple of str; (iso date, precision) for birth
Traits = dict[int, dict[Value, Stamp]]


def stated(statement: Statement) -> dict[int, Value]:
    """Values that a statement gives, by field."""
    person = statement.person
    values: dict[int, Value] = {}
    for name in _PERSON_FIELDS:
        value = getattr(person, name)
        if value is not None and value != ():
            values[_PLACE[name]] = value
    if person.death_date:
        values[_PLACE["death_date"]] = person.death_date.isoformat()
    if person.sex == Sex.UNKNOWN:
        del values[_PLACE["sex"]]
    if person.birth_date:
        values[_PLACE["birth"]] = (person.birth_date.isoformat(), int(person.birth_precision))
    if statement.ins:
        values[_PLACE["ins"]] = statement.ins
    return values


@dataclass(frozen=True)
class Folded:
    """What a statement changed: anything stored, the patient's row, the masks of texts."""

    stored: bool
    row: bool
    masks: bool


def fold(traits: Traits, values: dict[int, Value], stamp: Stamp) -> Folded:
    """Add to `traits`, in place, what was stated at `stamp`."""
    stored = row = masks = False
    for place, value in values.items():
        held = traits.get(place)
        if held is None:
            traits[place] = {value: stamp}
            stored, row, masks = True, row or place in _ROW, masks or place not in _UNMASKED
            continue
        before = held.get(value)
        if before is not None and before >= stamp:
            continue
        old = _winner(held)
        held[value] = stamp
        turned = place in _ROW and _winner(held) != old
        stored, row = True, row or turned
        masks = masks or (before is None and place not in _UNMASKED) or (turned and place == _PLACE["birth"])
    return Folded(stored, row, masks)


def join(many: Iterable[Traits]) -> Traits:
    """The fold of several folds: the traits of a group of identities."""
    joined: Traits = {}
    for traits in many:
        for place, held in traits.items():
            target = joined.setdefault(place, {})
            for value, stamp in held.items():
                if value not in target or target[value] < stamp:
                    target[value] = stamp
    return joined


def _rank(item: tuple[Value, Stamp]) -> tuple[Stamp, str]:
    """Two values under one stamp are settled by the values themselves."""
    return item[1], repr(item[0])


def _winner(held: dict[Value, Stamp] | None) -> Value:
    if not held:
        return None
    if len(held) == 1:
        return next(iter(held))
    return max(held.items(), key=_rank)[0]


def winner(traits: Traits, name: str) -> Value:
    """The value of field `name` that holds, or None."""
    return _winner(traits.get(_PLACE[name]))


def _stamp_of(traits: Traits, name: str) -> Stamp | None:
    held = traits.get(_PLACE[name])
    return max(held.values()) if held else None


def every(traits: Traits, name: str) -> tuple[Any, ...]:
    """Every value ever stated for `name`, in sorted order; lists are flattened."""
    held = traits.get(_PLACE[name], {})
    if _PLACE[name] in _LISTS:
        return tuple(sorted({item for value in held for item in value}))
    return tuple(sorted(held))


def lists(traits: Traits, name: str) -> tuple[tuple[str, ...], ...]:
    """Every list ever stated for `name`, each in the order in which it was said."""
    return tuple(sorted(tuple(value) for value in traits.get(_PLACE[name], {})))


def dump(traits: Traits) -> bytes:
    """Stored form. Stamps are listed once: one statement usually gives all fields."""
    stamps: dict[Stamp, int] = {}
    rows = [
        (place, value, stamps.setdefault(stamp, len(stamps)))
        for place, held in sorted(traits.items())
        for value, stamp in held.items()
    ]
    return orjson.dumps((list(stamps), rows))


def load(data: bytes) -> Traits:
    """Inverse of `dump`."""
    stamps, rows = orjson.loads(data)
    stamps = [(s[0], s[1]) for s in stamps]
    traits: Traits = {}
    for place, value, at in rows:
        traits.setdefault(place, {})[tuple(value) if place in _LISTS else value] = stamps[at]
    return traits


def birth(traits: Traits) -> tuple[dt.date, Precision] | None:
    """The birth date that holds, with its precision."""
    value = winner(traits, "birth")
    return (dt.date.fromisoformat(value[0]), Precision(value[1])) if value else None


def birth_month(traits: Traits) -> dt.date | None:
    """First day of the month of birth (January when only the year is known)."""
    known = birth(traits)
    return known[0].replace(day=1) if known else None


def death(traits: Traits) -> tuple[dt.date | None, str | None]:
    """Date of death and how sure it is: 'dated', 'undated', or None for no death known.

    A later statement that the person lives takes an earlier death back.
    """
    date, said = winner(traits, "death_date"), winner(traits, "deceased")
    if said is False:
        alive_at, dead_at = _stamp_of(traits, "deceased"), _stamp_of(traits, "death_date")
        if alive_at and (not dead_at or alive_at >= dead_at):
            return None, None
    if date:
        return dt.date.fromisoformat(date), "dated"
    return None, "undated" if said else None


def residence_area(traits: Traits) -> str | None:
    """Département of the commune or postcode stated last; None when it is not a French code."""
    commune, postcode = _stamp_of(traits, "commune"), _stamp_of(traits, "postcode")
    by_commune = commune is not None and (postcode is None or commune >= postcode)
    code = str(winner(traits, "commune" if by_commune else "postcode") or "").strip().upper()
    if len(code) != 5 or not code[2:].isdigit() or not code[0].isdigit():
        return None
    size = 3 if code[:2] in ("97", "98") else 2
    return code[:size]


def known_of(traits: Traits, numbers: Iterable[str]) -> Known:
    """All that masks need of a patient; `numbers` are those by which the hospital finds them."""
    births = sorted(
        {dt.date.fromisoformat(d) for d, precision in traits.get(_PLACE["birth"], {}) if precision >= Precision.DAY}
    )
    return Known(
        family_names=every(traits, "family_names"),
        given_names=every(traits, "given_names"),
        relatives=every(traits, "relatives"),
        birth_dates=tuple(births),
        addresses=every(traits, "addresses"),
        postcodes=every(traits, "postcode"),
        cities=tuple(sorted({*every(traits, "city"), *every(traits, "birth_place")})),
        phones=every(traits, "phones"),
        mails=every(traits, "mails"),
        numbers=tuple(sorted({*numbers, *every(traits, "other_numbers"), *every(traits, "ins")})),
    )
