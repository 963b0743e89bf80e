"""What a full-text search asks for: a tree of frozen nodes, validated at birth.

Words are compared by stem (see `text.analysis`), everywhere the same way: plural, feminine, case
and accents make no difference, and nothing else does — there is no silent fuzziness.

| node | a document matches when |
|---|---|
| `Word` | one of its words has the stem |
| `Phrase` | the words follow each other, in this order |
| `Prefix` | a folded word begins with the letters |
| `Near` | every two of the words stand, in any order, at most `distance` words apart somewhere |
| `Filtered("title", q)` | its title matches `q` |
| `Filtered("kind", Word(k))` | its kind is `k` (`model.codes.DocumentKind`) |
| `And`, `Or`, `Not` | Boolean |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from estran.model.codes import DocumentKind
from estran.model.errors import UsageError
from estran.text import analysis

SHORTEST_PREFIX: Final = 2
LARGEST_DISTANCE: Final = 50
MOST_NEAR: Final = 8

TextQuery: TypeAlias = "Word | Phrase | Prefix | Near | Filtered | And | Or | Not"


@dataclass(frozen=True, slots=True)
class Word:
    """One word, as typed; text that folds to several words is read as their phrase."""

    text: str

    def __post_init__(self) -> None:
        _terms(self.text)

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems to look for, one after the other."""
        return _terms(self.text)


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that follow each other."""

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        _terms(" ".join(self.words))

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems to look for, one after the other."""
        return _terms(" ".join(self.words))


@dataclass(frozen=True, slots=True)
class Prefix:
    """The beginning of one word, two letters at least."""

    text: str

    def __post_init__(self) -> None:
        found = analysis.words(self.text)
        if len(found) != 1:
            raise UsageError("A star must follow the beginning of one word.", hint="write one word before the star")
        if len(found[0]) < SHORTEST_PREFIX or not found[0][0].isalpha():
            raise UsageError(
                "The beginning of a word before a star is too short or begins with a digit.",
                hint=f"give {SHORTEST_PREFIX} letters or more before the star",
            )

    @property
    def folded(self) -> str:
        """The letters to look for, folded."""
        return analysis.words(self.text)[0]


@dataclass(frozen=True, slots=True)
class Near:
    """Words within `distance` of one another, taken two by two: neighbours are 1 apart.

    For three words and more, each pair must be near somewhere, not all pairs at the same place:
    that is what can be answered exactly over millions of texts.
    """

    words: tuple[str, ...]
    distance: int

    def __post_init__(self) -> None:
        if not 1 <= self.distance <= LARGEST_DISTANCE:
            raise UsageError("A distance is between 1 and 50 words.", hint='write for example "douleur thorax"~5')
        if len(self.stems) > MOST_NEAR:
            raise UsageError(f"Proximity is for {MOST_NEAR} words at most.", hint="give fewer words")

    @property
    def stems(self) -> tuple[str, ...]:
        """The distinct stems to look for."""
        return tuple(dict.fromkeys(_terms(" ".join(self.words))))


@dataclass(frozen=True, slots=True)
class Filtered:
    """A question about the title or the kind of the document instead of its text."""

    field: Literal["title", "kind"]
    query: TextQuery

    def __post_init__(self) -> None:
        if self.field not in ("title", "kind"):
            raise UsageError("Documents have no such field.", hint="use title or kind")
        if self.field == "kind" and not (isinstance(self.query, Word) and self.query.text in set(DocumentKind)):
            raise UsageError("This is not a kind of document.", hint=f"use one of {', '.join(DocumentKind)}")
        if self.field == "title" and any(isinstance(node, Filtered) for node in walk(self.query)):
            raise UsageError("A title: part cannot hold another field.", hint="write title:(…) AND kind:…")


@dataclass(frozen=True, slots=True)
class And:
    """Every part matches."""

    parts: tuple[TextQuery, ...]

    def __post_init__(self) -> None:
        _at_least_one(self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """One part at least matches."""

    parts: tuple[TextQuery, ...]

    def __post_init__(self) -> None:
        _at_least_one(self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not match."""

    part: TextQuery


def walk(query: TextQuery) -> list[TextQuery]:
    """`query` and every node below it, parents first."""
    if isinstance(query, And | Or):
        return [query, *(node for part in query.parts for node in walk(part))]
    if isinstance(query, Not):
        return [query, *walk(query.part)]
    if isinstance(query, Filtered):
        return [query, *walk(query.query)]
    return [query]


def is_bounded(query: TextQuery) -> bool:
    """Whether a match must hold something asked for, and not only lack something."""
    if isinstance(query, And):
        return any(is_bounded(part) for part in query.parts)
    if isinstance(query, Or):
        return all(is_bounded(part) for part in query.parts)
    return is_bounded(query.query) if isinstance(query, Filtered) else not isinstance(query, Not)


def wanted(query: TextQuery) -> list[TextQuery]:
    """The leaves about the text that a match may hold (nothing under a Not): what to highlight."""
    if isinstance(query, And | Or):
        return [leaf for part in query.parts for leaf in wanted(part)]
    return [] if isinstance(query, Not | Filtered) else [query]


def _terms(text: str) -> tuple[str, ...]:
    found = analysis.words(text)
    if not found:
        raise UsageError("A searched word holds no letter and no digit.", hint="type at least one word")
    return tuple(map(analysis.stem, found))


def _at_least_one(parts: tuple[TextQuery, ...]) -> None:
    if not parts:
        raise UsageError("A group of the search is empty.", hint="put words between the parentheses")
