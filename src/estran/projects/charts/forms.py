"""What reviewers fill in: items with their type, unit and range, shown when others say so; and the labels of marks."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from estran.projects.charts.labels import Mark

Value = str | int | float | list[str]
Answers = Mapping[str, Value]


class Kind(StrEnum):
    """Type of an item."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    DATE = "date"
    YES_NO = "yes_no"
    CHOICE = "choice"  # one of a list
    CHOICES = "choices"  # any of a list


class Take(StrEnum):
    """Which of several facts fills an item."""

    FIRST = "first"
    LAST = "last"
    MIN = "min"
    MAX = "max"


@dataclass(frozen=True)
class Fill:
    """The facts that fill an item before anybody does: a code with all below it, within `days` around the patient's
    index date, both ends included; the whole record without them."""

    vocabulary: str
    code: str
    take: Take = Take.LAST
    days: tuple[int, int] | None = None


@dataclass(frozen=True)
class Shown:
    """When an item is shown: another one, asked before it, has one of these answers."""

    item: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Item:
    """One thing to fill in. `unit` is UCUM; a fact in another unit does not fill it."""

    id: str
    label: str
    kind: Kind
    label_en: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False
    visible_if: Shown | None = None
    fill: Fill | None = None

    def said(self, lang: str) -> str:
        """Its question in a language."""
        return self.label_en or self.label if lang == "en" else self.label

    @property
    def options(self) -> tuple[str, ...]:
        """The answers that there are, for items that have a closed list of them."""
        return ("yes", "no") if self.kind is Kind.YES_NO else self.choices


@dataclass(frozen=True)
class Form:
    """A version of a form. `documents` are the kinds of texts to mark, all when there are none."""

    name: str
    items: tuple[Item, ...] = ()
    labels: tuple[Mark, ...] = ()
    attributes: tuple[Mark, ...] = ()
    documents: tuple[str, ...] = ()


def visible(form: Form, answers: Answers) -> list[Item]:
    """The items that these answers show; an item hidden hides those that depend on it."""
    shown: dict[str, Item] = {}
    for item in form.items:
        need = item.visible_if
        if need is None or (need.item in shown and _has(answers.get(need.item), need.values)):
            shown[item.id] = item
    return list(shown.values())


def _has(answer: Value | None, wanted: Sequence[str]) -> bool:
    said = answer if isinstance(answer, list) else [] if answer is None else [str(answer)]
    return bool(set(said) & set(wanted))


def read_answers(form: Form, given: Mapping[str, Sequence[str]]) -> tuple[dict[str, Value], dict[str, str]]:
    """The answers that a page or a program gave as texts, and per item the code of what is wrong with it.

    Wrong answers and those of hidden items are left out. The codes: required, number, integer, date, range, choice.
    """
    answers: dict[str, Value] = {}
    wrong: dict[str, str] = {}
    for item in form.items:
        if item not in visible(form, answers):
            continue
        texts = [text.strip() for text in given.get(item.id, ()) if text.strip()]
        if not texts:
            if item.required:
                wrong[item.id] = "required"
            continue
        value, code = _read(item, texts)
        if code:
            wrong[item.id] = code
        elif value is not None:
            answers[item.id] = value
    return answers, wrong


def _read(item: Item, texts: list[str]) -> tuple[Value | None, str]:
    """The value of an item, or the code of what is wrong."""
    if item.options:
        chosen = [option for option in item.options if option in texts]
        if len(chosen) < len(set(texts)) or (item.kind is not Kind.CHOICES and len(chosen) != 1):
            return None, "choice"
        return (chosen if item.kind is Kind.CHOICES else chosen[0]), ""
    if item.kind in (Kind.INTEGER, Kind.NUMBER):
        return _number(item, texts[-1])
    if item.kind is Kind.DATE:
        try:
            return dt.date.fromisoformat(texts[-1]).isoformat(), ""
        except ValueError:
            return None, "date"
    return texts[-1][:4000], ""


def _number(item: Item, text: str) -> tuple[Value | None, str]:
    text = text.replace("\u202f", "").replace("\xa0", "").replace(" ", "").replace(",", ".")
    try:
        value = int(text) if item.kind is Kind.INTEGER else float(text)
    except ValueError:
        return None, str(item.kind)
    if not math.isfinite(value):
        return None, "number"
    if (item.low is not None and value < item.low) or (item.high is not None and value > item.high):
        return None, "range"
    return value, ""
