"""The mapping language as pydantic models: what a mapping may say, and nothing else.

In most places a text is the name of a column and a group is an expression (`expressions`). A title,
a role and a language are written as they are, and as an expression in a group.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, PlainValidator
from pydantic_core import PydanticCustomError

from estran.model.codes import Context, DocumentKind, FactStatus, Sex, StayKind
from estran.sources.tabular.expressions import (
    Choose,
    Coalesce,
    Column,
    Condition,
    Constant,
    Expression,
    Mapped,
    Misfit,
    condition,
    expression,
)
from estran.terminology.systems import LOCAL, STANDARD, is_standard, local_vocabulary

COMPARATORS = ("<", "<=", ">", ">=", "=")
FACT_STATUSES = {status.name.lower(): int(status) for status in FactStatus}
CONTEXTS = {context.name.lower(): int(context) for context in Context if context.name} | {"affirmed": 0}
STAY_STATUSES = ("planned", "active", "finished", "cancelled")
DOCUMENT_STATUSES = {"current": 0, "preliminary": 1, "cancelled": 2}
LEVELS = ("bed", "UF", "UM", "service", "pole", "site", "entity")
ENCODINGS = ("utf-8", "latin-1", "iso-8859-1", "iso-8859-15", "cp1252", "utf-16", "utf-16-le", "utf-16-be")
_FORMAT = re.compile(r"(?:[^%']|%[YymdHIMSfbBjp])+$")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}$")
PRECISIONS = {"year": 0, "month": 1, "day": 2, "hour": 3, "minute": 4}


@dataclass(frozen=True)
class Instant:
    """Where a moment is read: an expression, how it is written, how exact it is."""

    of: Expression
    format: str | None = None
    precision: int | None = None  # codes.Precision; None: as it is written


def _checked(read: Callable[[Any], Any]) -> PlainValidator:
    """A validator whose complaint carries the path inside the value."""

    def validate(given: Any) -> Any:
        try:
            return read(given)
        except Misfit as misfit:
            raise PydanticCustomError("misfit", "{message}", {"message": misfit.message, "path": misfit.path}) from None

    return PlainValidator(validate)


def _moment(given: Any) -> tuple[Instant, ...]:
    parts = given if isinstance(given, list) else [given]
    if not parts:
        raise Misfit("Give at least one column.")
    found = []
    for place, part in enumerate(parts):
        try:
            found.append(_instant(part))
        except Misfit as misfit:
            raise Misfit(misfit.message, ((place, *misfit.path) if isinstance(given, list) else misfit.path)) from None
    return tuple(found)


def _instant(given: Any) -> Instant:
    if not isinstance(given, dict):
        return Instant(expression(given))
    rest = {name: value for name, value in given.items() if name not in ("format", "precision")}
    form, precision = given.get("format"), given.get("precision")
    if form is not None and (not isinstance(form, str) or not _FORMAT.match(form)):
        raise Misfit("A format is made of %Y %m %d %H %M %S %f %y %b %B %j %I %p and plain characters.", ("format",))
    if precision is not None and precision not in PRECISIONS:
        raise Misfit("The precision is one of: " + ", ".join(PRECISIONS) + ".", ("precision",))
    return Instant(expression(rest), form, PRECISIONS[precision] if precision else None)


def _words(given: Any) -> Expression:
    """A text as it is, or an expression."""
    if isinstance(given, str | int | float) and not isinstance(given, bool):
        return Constant(str(given))
    return expression(given)


def _choice(allowed: Collection[str]) -> PlainValidator:
    """One of these words, or an expression that gives them by `map`."""

    def read(given: Any) -> Expression:
        if isinstance(given, str):
            if given not in allowed:
                raise Misfit(f"This is not one of: {', '.join(allowed)}. For a column, write {{map: …, to: …}}.")
            return Constant(given)
        found = expression(given)
        for part in _leaves(found):
            _within(part, allowed)
        return found

    return _checked(read)


def _leaves(node: Expression) -> list[Expression]:
    if isinstance(node, Choose):
        return [*_leaves(node.then), *(_leaves(node.other) if node.other else [])]
    return [leaf for part in node.parts for leaf in _leaves(part)] if isinstance(node, Coalesce) else [node]


def _within(node: Expression, allowed: Collection[str]) -> None:
    if isinstance(node, Constant):
        given = [node.value]
    elif isinstance(node, Mapped) and not node.keeps:
        given = [value for _, value in node.table] + ([node.otherwise] if node.otherwise is not None else [])
    else:
        raise Misfit("Only `map` and `constant` tell the words that come out here.")
    for value in given:
        if value not in allowed:
            raise Misfit(f"'{value}' is not one of: {', '.join(allowed)}.", ("to",))


def _vocabulary(given: Any) -> str:
    if not isinstance(given, str) or not given.strip():
        raise Misfit("Name a vocabulary.")
    if is_standard(given):
        return given
    if given.startswith(LOCAL) and local_vocabulary(given.removeprefix(LOCAL)) == given:
        return given
    raise Misfit(f"A vocabulary is one of {', '.join(STANDARD)}, or LOCAL/ and a name without spaces.")


def _name(given: Any) -> str:
    if not isinstance(given, str) or not _NAME.match(given):
        raise Misfit("A name is made of letters, digits, - and _, begins with a letter and has at most 40.")
    return given


def _pattern(given: Any) -> tuple[str, ...]:
    patterns = given if isinstance(given, list) else [given]
    for pattern in patterns:
        if not isinstance(pattern, str) or not pattern.strip() or "/" in pattern or "\\" in pattern:
            raise Misfit("This is not a pattern of file names (such as labs_*.csv), without folders.")
    return tuple(patterns)


def _zone(given: Any) -> str:
    if given == "site":
        return ""
    try:
        return ZoneInfo(str(given)).key
    except (ValueError, OSError, KeyError):
        raise Misfit("This is neither 'site' nor a time zone such as Europe/Paris.") from None


Expr = Annotated[Expression, _checked(expression)]
Words = Annotated[Expression, _checked(_words)]
When = Annotated[Condition, _checked(condition)]
Moments = Annotated[tuple[Instant, ...], _checked(_moment)]
VocabularyName = Annotated[str, _checked(_vocabulary)]
Name = Annotated[str, _checked(_name)]
Patterns = Annotated[tuple[str, ...], _checked(_pattern)]
Zone = Annotated[str, _checked(_zone)]
ConceptKind = Literal["diagnosis", "procedure", "drug", "laboratory", "observation", "demographic", "device", "other"]


class Spec(BaseModel):
    """A part of a mapping."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Csv(Spec):
    """How delimited files are written; what is not said is found out."""

    delimiter: str | None = Field(None, min_length=1, max_length=1)
    quoted: bool | None = None
    encoding: Literal[ENCODINGS] | None = None  # type: ignore[valid-type]
    columns: tuple[str, ...] | None = None  # names, when the file has no header


class Lookup(Spec):
    """A dictionary beside the data: one row per key."""

    files: Patterns
    key: Name
    csv: Csv | None = None


class Numbers(Spec):
    """Whose numbers these are."""

    system: str = Field(min_length=1, max_length=120)


class Database(Spec):
    """Where tables are read from; the address never holds a password."""

    url: str | None = None
    url_env: str | None = None
    password_env: str | None = None


class Alias(Spec):
    """A further number of the same person."""

    key: Expr
    system: str = Field(min_length=1, max_length=120)


class Patient(Spec):
    """Who a row is about, and what it says of that person."""

    key: Expr
    system: str | None = None
    introduces: bool = False
    aliases: tuple[Alias, ...] = ()
    ins: Expr | None = None
    birth_date: Moments | None = None
    sex: Annotated[Expression, _choice([str(s) for s in Sex])] | None = None
    family_names: tuple[Expr, ...] = ()
    given_names: tuple[Expr, ...] = ()
    address: Expr | None = None
    postcode: Expr | None = None
    city: Expr | None = None
    commune: Expr | None = None
    phone: Expr | None = None
    mail: Expr | None = None
    birth_place: Expr | None = None
    death_date: Moments | None = None
    deceased: When | None = None


class Unit(Spec):
    """A ward."""

    code: Expr
    label: Expr | None = None
    level: Annotated[Expression, _choice(LEVELS)] = Constant("UF")


class Stay(Spec):
    """The stay a row is about; with `start` or `kind` the row states it, else it only names it."""

    key: Expr
    system: str | None = None
    kind: Annotated[Expression, _choice([str(k) for k in StayKind])] | None = None
    start: Moments | None = None
    end: Moments | None = None
    entry_mode: Expr | None = None
    exit_mode: Expr | None = None
    unit: Unit | None = None
    parent: Expr | None = None
    status: Annotated[Expression, _choice(STAY_STATUSES)] | None = None
    confidential: When | None = None

    @property
    def states(self) -> bool:
        """Whether the row says something of the stay."""
        return self.start is not None or self.kind is not None


class Movement(Spec):
    """A stretch of the stay in one ward."""

    key: Expr
    unit: Unit | None = None
    responsibility: Annotated[Expression, _choice(("lodging", "medical", "care"))] = Constant("lodging")
    start: Moments
    end: Moments | None = None
    status: Annotated[Expression, _choice(("active", "cancelled"))] = Constant("active")


class Term(Spec):
    """A code of a vocabulary, with the same thing in other vocabularies beside it."""

    vocabulary: VocabularyName
    code: Expr
    label: Expr | None = None
    lang: Literal["fr", "en"] = "fr"
    kind: ConceptKind = "other"
    also: tuple[Term, ...] = ()


class Attribute(Spec):
    """What few facts have: route, site, method… Exactly one of value, text, coded."""

    code: str = Field(min_length=1, max_length=80)
    label: str = ""
    vocabulary: VocabularyName = "ESTRAN"
    value: Expr | None = None
    text: Expr | None = None
    coded: Term | None = None


class Measure(Spec):
    """One of several columns that each hold a result."""

    column: Expr
    code: Term
    unit: Words | None = None
    low: Expr | None = None
    high: Expr | None = None


class Fact(Spec):
    """A fact per row, per distinct value, or per measure of the row."""

    id: Name | None = None
    when: When | None = None
    distinct: tuple[Expr, ...] = ()
    parent: Name | None = None
    code: Term | None = None
    measures: tuple[Measure, ...] = ()
    value: Expr | None = None
    measure: Expr | None = None
    text: Expr | None = None
    value_code: Term | None = None
    comparator: Annotated[Expression, _choice(COMPARATORS)] | None = None
    unit: Expr | None = None
    low: Expr | None = None
    high: Expr | None = None
    start: Moments | None = None
    end: Moments | None = None
    status: Annotated[Expression, _choice(list(FACT_STATUSES))] = Constant("final")
    role: Words | None = None
    context: Annotated[Expression, _choice(list(CONTEXTS))] = Constant("affirmed")
    attributes: tuple[Attribute, ...] = ()


class Document(Spec):
    """A document per row (with `key`), or of the rows that share the columns of `group`."""

    kind: Annotated[Expression, _choice([str(k) for k in DocumentKind])]
    title: Words = Constant("")
    start: Moments
    key: Expr | None = None
    group: tuple[Expr, ...] = ()
    known_at: Moments | None = None
    unit: Unit | None = None
    author_role: Words | None = None
    status: Annotated[Expression, _choice(list(DOCUMENT_STATUSES))] = Constant("current")
    confidential: When | None = None
    lang: Words | None = None
    text: Expr | None = None


class MapTo(Spec):
    """The code of another vocabulary that a row gives for its own."""

    vocabulary: VocabularyName
    code: Expr
    relation: Literal["equivalent", "broader", "narrower"] = "equivalent"


class Vocabulary(Spec):
    """Rows that are codes with labels, not patients."""

    name: VocabularyName
    code: Expr
    label: Expr | None = None
    lang: Literal["fr", "en"] = "fr"
    kind: ConceptKind = "other"
    maps: tuple[MapTo, ...] = ()


class Incremental(Spec):
    """Only rows whose `column` is not below the highest one loaded, `overlap` (seconds, units) less."""

    column: Name
    overlap: float = Field(0, ge=0)


class Table(Spec):
    """One table or kind of file, and what its rows become."""

    name: Name
    files: Patterns | None = None
    table: str | None = None
    query: str | None = None
    incremental: Incremental | None = None
    csv: Csv | None = None
    when: When | None = None
    joins: dict[str, Expr] = {}
    version: Expr | None = None
    patient: Patient | None = None
    stay: Stay | None = None
    movement: Movement | None = None
    document: Document | None = None
    facts: tuple[Fact, ...] = ()
    vocabulary: Vocabulary | None = None


class Mapping(Spec):
    """A whole mapping."""

    estran: Literal[1]
    description: str = ""
    zone: Zone = ""
    ignore_offsets: bool = False
    decimal: Literal[".", ","] = "."
    empty: tuple[str, ...] = ()
    csv: Csv = Field(default_factory=lambda: Csv.model_validate({}))
    patients: Numbers | None = None
    stays: Numbers | None = None
    database: Database | None = None
    lookups: dict[Name, Lookup] = {}
    tables: tuple[Table, ...] = Field(min_length=1)


__all__ = ["Column", "Condition", "Expression", "Fact", "Instant", "Mapping", "Table", "Term"]
