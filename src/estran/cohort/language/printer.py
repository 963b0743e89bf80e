"""From nodes to the text form; reading it again gives the same nodes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from enum import IntEnum
from itertools import accumulate
from typing import Any

from estran.cohort.language import options
from estran.cohort.language.json import context_name
from estran.cohort.language.words import DOMAINS, RESERVED_PREFIXES, RESERVED_WORDS, SEX_WORDS, Lang, fold, word
from estran.cohort.query import (
    And,
    AtLeast,
    Code,
    CodeCriterion,
    CohortRef,
    DateRange,
    Demographic,
    DocumentCriterion,
    During,
    Everyone,
    Family,
    FollowUp,
    IdList,
    IntRange,
    MediaCriterion,
    MovementCriterion,
    Node,
    Not,
    Occurrence,
    Or,
    PermissionCriterion,
    Rank,
    Same,
    Sequence,
    StayCriterion,
    TextCriterion,
    ValueRange,
    VariantCriterion,
    Washout,
    Window,
)

_OR, _AND, _NOT, _RELATION, _ALONE = range(5)
_WORD = re.compile(r"[^\W_]+")
_PHRASE = re.compile(r'"[^"]*"')
_VOCABULARY = re.compile(r"[A-Za-z][\w/.\-]*")


def to_text(query: Node, lang: Lang = "fr") -> str:
    """The text form in a language; `parse` reads either and gives `query` back."""
    return _Printer(lang).at(query, _OR)


def quote(text: str) -> str:
    """Between single quotes, where anything may stand."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def string(text: str) -> str:
    """As it is when it is a simple word, else quoted."""
    return text if options.BARE.fullmatch(text) else quote(text)


def number(value: float) -> str:
    """The shortest way to write a number."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def integers(value: IntRange) -> str:
    """`>=18`, `<=65`, `=18..65`, `=18`."""
    if value.low is None:
        return f"<={value.high}"
    if value.high is None:
        return f">={value.low}"
    return f"={value.low}" if value.low == value.high else f"={value.low}..{value.high}"


def dates(value: DateRange) -> str:
    """`2019-01-01..2020-12-31`, open on a side."""
    return "..".join("" if bound is None else bound.isoformat() for bound in (value.start, value.end))


def value_range(value: ValueRange) -> str:
    """What follows a code: `<30'g/L'`."""
    if value.low is not None and value.high is not None and not (value.low_open or value.high_open):
        same = value.low == value.high
        shown = f"={number(value.low)}" + ("" if same else f"..{number(value.high)}")
    else:
        low = "" if value.low is None else (">" if value.low_open else ">=") + number(value.low)
        shown = low + ("" if value.high is None else ("<" if value.high_open else "<=") + number(value.high))
    return shown + ("" if value.unit is None else unit_text(value.unit))


def code(value: Code, marked: bool = True) -> str:
    """`CIM10:I50`, with `=` or `-` before it inside a set."""
    reserved = value.vocabulary in DOMAINS or fold(value.vocabulary) in RESERVED_PREFIXES
    plain = _VOCABULARY.fullmatch(value.vocabulary) and not reserved
    vocabulary = value.vocabulary if plain else quote(value.vocabulary)
    name = value.code if options.CODE.fullmatch(value.code) else quote(value.code)
    mark = "-" if value.excluded else "" if value.descendants else "="
    return f"{mark if marked else ''}{vocabulary}:{name}"


def code_set(values: tuple[Code, ...]) -> str:
    """`{CIM10:E10, =CIM10:E11}`."""
    return "{" + ", ".join(code(one) for one in values) + "}"


def _closed(query: str) -> bool:
    """Whether a text may stand between parentheses as it is."""
    outside = re.sub(r'"[^"]*"', "", query)
    depths = list(accumulate((char == "(") - (char == ")") for char in outside))
    return '"' not in outside and min(depths, default=0) == 0 == (depths or [0])[-1]


def unit_text(text: str) -> str:
    """As it is when it cannot be mistaken for a part of the number, else quoted."""
    plain = options.UNIT.fullmatch(text) and not re.match(r"[eE][+\-\d]", text)
    return text if plain else quote(text)


class _Printer:
    def __init__(self, lang: Lang) -> None:
        self.lang = lang

    def word(self, name: str, number: int = 0) -> str:
        return word(name, self.lang).format(number)

    def at(self, node: Node, level: int) -> str:
        """The node, between parentheses when it binds less tightly than `level`."""
        own, shown = _PRINT[type(node)](self, node)
        return shown if own >= level else f"({shown})"

    def call(self, name: str, children: tuple[Node, ...], number: int = 0) -> tuple[int, str]:
        return _ALONE, f"{self.word(name, number)}({', '.join(self.at(child, _OR) for child in children)})"

    def either(self, node: Or) -> tuple[int, str]:
        return _OR, f" {self.word('or')} ".join(self.at(child, _AND) for child in node.of)

    def both(self, node: And) -> tuple[int, str]:
        shown = [self.at(node.of[0], _NOT)]
        for child in node.of[1:]:
            if isinstance(child, Not):
                shown.append(f"{self.word('except')} {self.at(child.child, _NOT)}")
            else:
                shown.append(f"{self.word('and')} {self.at(child, _NOT)}")
        return _AND, " ".join(shown)

    def sequence(self, node: Sequence) -> tuple[int, str]:
        shown = f"{self.at(node.first, _ALONE)} {self.word('then')} {self.at(node.then, _ALONE)}"
        bounds = "..".join("" if b is None else str(b) for b in (node.delay.low, node.delay.high))
        return _RELATION, f"{shown} [{bounds} {self.word(node.unit.value)}]"

    def during(self, node: During) -> tuple[int, str]:
        return _RELATION, f"{self.at(node.event, _ALONE)} {self.word('during')} {self.at(node.within, _ALONE)}"

    def occurrence(self, node: Occurrence) -> tuple[int, str]:
        name = {Rank.FIRST: "first", Rank.LAST: "last", Rank.NTH: "nth"}[node.rank]
        return self.call(name, (node.child,), node.number)

    def coded(self, node: CodeCriterion) -> tuple[int, str]:
        single = len(node.codes) == 1
        shown = code(node.codes[0], marked=False) if single else code_set(node.codes)
        shown += value_range(node.value) if node.value else ""
        given = [self.word("no descendants")] if single and not node.codes[0].descendants else []
        given += self.options(node, ("times", "apart", "dates", "age", "roles", "statuses"))
        given += [f"{self.word('contexts')}={self.contexts(node)}"] if node.contexts != _PLAIN.contexts else []
        given += self.options(node, ("origins", "precision", "values", "parent"))
        return _ALONE, shown + (f"[{', '.join(given)}]" if given else "")

    def contexts(self, node: CodeCriterion) -> str:
        return self.word("any") if node.contexts is None else "|".join(map(context_name, node.contexts))

    def options(self, node: Node, names: tuple[str, ...]) -> list[str]:
        """The fields that are not at their default, as options."""
        defaults = {f.name: f.default for f in fields(node)}
        given = ((name, getattr(node, name)) for name in names)
        return [self.option(name, value) for name, value in given if value != defaults[name]]

    def option(self, name: str, value: Any) -> str:
        if isinstance(value, DateRange):
            return dates(value)
        if isinstance(value, IntRange):
            return self.word(name) + integers(value)
        if name == "times":
            return self.word(name, value)
        if name == "alive":
            return self.word("alive" if value else "dead")
        if isinstance(value, tuple) and isinstance(value[0], Code):
            return f"{self.word(name)}={code_set(value)}"
        values = value if isinstance(value, tuple) else (value,)
        return f"{self.word(name)}={'|'.join(self.choice(name, one) for one in values)}"

    def choice(self, name: str, value: Any) -> str:
        if name == "sexes":
            return SEX_WORDS[self.lang][value]
        return value.name.lower() if isinstance(value, IntEnum) else string(str(value))

    def text(self, node: TextCriterion) -> tuple[int, str]:
        given = self.options(node, ("kinds", "dates"))
        return _ALONE, self.searched(node.query) + (f"[{', '.join(given)}]" if given else "")

    def searched(self, query: str) -> str:
        alone = _WORD.fullmatch(query) and fold(query) not in RESERVED_WORDS
        if alone or _PHRASE.fullmatch(query):
            return query
        return f"{self.word('text')}:" + (f"({query})" if _closed(query) else quote(query))

    def demographic(self, node: Demographic) -> tuple[int, str]:
        given = self.options(node, ("sexes", "age", "alive", "areas", "born"))
        if len(given) == 1 and node.age:
            return _ALONE, given[0]
        if len(given) == 1 and node.sexes:
            return _ALONE, given[0].replace("=", ":", 1)
        return _ALONE, f"{self.word('patient')}({', '.join(given)})"

    def variant(self, node: VariantCriterion) -> tuple[int, str]:
        """`gène:BRCA1[impact=HIGH]`, `variant:13:1-5[gène=BRCA1]`."""
        shown = f"{self.word('genes')}:{'|'.join(node.genes)}"
        if node.chrom is not None:
            shown = f"{self.word('variant')}:{node.chrom}" + (f":{node.low}-{node.high}" if node.low is not None else "")
        given = self.options(node, ("genes",) if node.chrom is not None else ())
        given += self.options(node, ("impacts", "dates"))
        return _ALONE, shown + (f"[{', '.join(given)}]" if given else "")

    def leaf(self, name: str, node: Node) -> tuple[int, str]:
        given = self.options(node, tuple(f.name for f in fields(node)))
        return _ALONE, f"{self.word(name)}({', '.join(given)})"


_PLAIN = CodeCriterion((Code("X", "x"),))
_PRINT: dict[type[Node], Callable[[_Printer, Any], tuple[int, str]]] = {
    And: _Printer.both,
    Or: _Printer.either,
    Not: lambda p, n: (_NOT, f"{p.word('not')} {p.at(n.child, _NOT)}"),
    AtLeast: lambda p, n: p.call("at least", n.of, n.number),
    Same: lambda p, n: p.call(f"same {n.unit.value}", (n.child,)),
    Window: lambda p, n: p.call("window", n.of, n.days),
    Family: lambda p, n: p.call(n.kin.value, (n.child,)),
    Sequence: _Printer.sequence,
    During: _Printer.during,
    Occurrence: _Printer.occurrence,
    FollowUp: lambda p, n: p.call("follow-up", (n.child,), n.days),
    Washout: lambda p, n: p.call("wash-out", (n.child, n.without), n.days),
    CodeCriterion: _Printer.coded,
    TextCriterion: _Printer.text,
    Demographic: _Printer.demographic,
    StayCriterion: lambda p, n: p.leaf("stay", n),
    MovementCriterion: lambda p, n: p.leaf("movement", n),
    DocumentCriterion: lambda p, n: p.leaf("document", n),
    MediaCriterion: lambda p, n: p.leaf("media", n),
    VariantCriterion: _Printer.variant,
    PermissionCriterion: lambda p, n: p.leaf("permission", n),
    CohortRef: lambda p, n: (_ALONE, f"{p.word('cohort')}:{string(n.name)}"),
    IdList: lambda p, n: (_ALONE, f"{p.word('patients')}({', '.join(map(str, n.ids))})"),
    Everyone: lambda p, n: (_ALONE, f"{p.word('everyone')}()"),
}
