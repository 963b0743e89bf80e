"""Criteria without children: what is looked for in the tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cached_property
from typing import ClassVar

from estran.cohort.query.base import Node, Part, refuse
from estran.cohort.query.ranges import DateRange, IntRange, ValueRange
from estran.model.codes import LIVE_STATUS, Context, DocumentKind, FactStatus, Impact, Origin, Precision, Sex, StayKind
from estran.terminology.systems import canonical
from estran.text.parse import parse as parse_text

LIVE = tuple(sorted(LIVE_STATUS))
RECORDED = (Origin.CODED, Origin.TEXT)
AFFIRMED = (Context.AFFIRMED,)
MAX_TIMES = 10_000
MAX_APART = 100_000
MAX_POSITION = 2**31 - 1
_GENE = re.compile(r"[A-Z][A-Z0-9._\-]{0,39}")
_CHROMOSOME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._\-]{0,99}")


@dataclass(frozen=True)
class Code(Part):
    """One member of a code set: VOCABULARY:code, with everything below it unless told otherwise."""

    vocabulary: str
    code: str
    descendants: bool = True
    excluded: bool = False

    def check(self) -> None:
        for text in (self.vocabulary, self.code):
            if not text.strip() or text != text.strip() or not text.isprintable():
                raise refuse("A code is written VOCABULARY:code, neither part being empty.", "for example CIM10:I50")
        object.__setattr__(self, "code", canonical(self.vocabulary, self.code))  # I500 and I50.0 are one code

    def __str__(self) -> str:
        return f"{self.vocabulary}:{self.code}"


def check_codes(codes: tuple[Code, ...]) -> None:
    """Raise UsageError when the set holds nothing to look for, or something twice."""
    if not any(not code.excluded for code in codes):
        raise refuse("The code set is empty.", "give at least one code that is not excluded")
    if len(set(codes)) != len(codes):
        raise refuse("A code stands twice in the code set.", "keep it once")


def check_distinct(name: str, values: tuple[object, ...]) -> None:
    """Raise UsageError when a closed list of choices is repetitive or holds blanks."""
    if len(set(values)) != len(values):
        raise refuse(f"'{name}' holds a value twice.", "keep each value once")
    if any(isinstance(v, str) and (not v.strip() or v != v.strip() or not v.isprintable()) for v in values):
        raise refuse(f"'{name}' holds an empty value.", "remove it, or write it without spaces around")


@dataclass(frozen=True)
class CodeCriterion(Node):
    """Facts of a code set, live and affirmed unless told otherwise.

    `value`: see ValueRange. `values`: coded results (value_concept), with descendants. `dates`: the
    fact's start. `age`: completed years at the fact's start. `contexts`: exact combinations, None is
    any. `precision`: at least this one. `parent`: the fact it hangs from is one of these codes.
    `times`: at least n distinct facts in the scope (patient, or the stay of a same-stay scope...);
    `apart`: each at least that many days after the one before, which only dated facts can be.
    """

    TAG: ClassVar[str] = "code"
    EVENTS: ClassVar[bool] = True

    codes: tuple[Code, ...]
    value: ValueRange | None = None
    values: tuple[Code, ...] = ()
    dates: DateRange | None = None
    age: IntRange | None = None
    roles: tuple[str, ...] = ()
    statuses: tuple[FactStatus, ...] = LIVE
    contexts: tuple[Context, ...] | None = AFFIRMED
    origins: tuple[Origin, ...] = RECORDED
    precision: Precision | None = None
    parent: tuple[Code, ...] = ()
    times: int = 1
    apart: int | None = None

    def check(self) -> None:
        check_codes(self.codes)
        for name in ("values", "parent"):
            if getattr(self, name):
                check_codes(getattr(self, name))
        for name in ("roles", "statuses", "contexts", "origins"):
            check_distinct(name, getattr(self, name) or ())
        if not self.statuses or not self.origins or self.contexts == ():
            raise refuse("An empty list of choices can match nothing.", "leave the option out, or give one choice")
        if not 1 <= self.times <= MAX_TIMES:
            raise refuse("The number of times is out of reach.", f"give a number from 1 to {MAX_TIMES}")
        if self.apart is not None and (self.times < 2 or self.apart < 1 or self.apart > MAX_APART):
            raise refuse("'apart' is a number of days between at least two facts.", "give times >= 2 and apart >= 1")

    @cached_property
    def plain(self) -> bool:
        """Whether only the code set counts: what presence bitmaps answer."""
        return all(getattr(self, f.name) == f.default for f in fields(self) if f.name != "codes")


@dataclass(frozen=True)
class TextCriterion(Node):
    """Documents whose text answers a text question: words, "phrases", prefix*, proximity, and/or/not."""

    TAG: ClassVar[str] = "text"
    EVENTS: ClassVar[bool] = True

    query: str
    kinds: tuple[DocumentKind, ...] = ()
    dates: DateRange | None = None

    def check(self) -> None:
        if self.query != self.query.strip() or not self.query:
            raise refuse("The text to look for is empty.", 'write words, or a phrase like "insuffisance cardiaque"')
        if not self.query.isprintable():
            raise refuse("The text to look for holds a control character.", "write it on one line")
        check_distinct("kinds", self.kinds)
        parse_text(self.query)


@dataclass(frozen=True)
class Demographic(Node):
    """What is true of the patient; every condition given must hold, an unknown value satisfies none.

    `age` is in completed years at the snapshot's date, also for the dead. `alive`: no date nor
    source of a death is known. `areas`: codes of residence areas.
    """

    TAG: ClassVar[str] = "patient"

    sexes: tuple[Sex, ...] = ()
    age: IntRange | None = None
    alive: bool | None = None
    areas: tuple[str, ...] = ()
    born: IntRange | None = None

    def check(self) -> None:
        check_distinct("sexes", self.sexes)
        check_distinct("areas", self.areas)
        if not (self.sexes or self.age or self.alive is not None or self.areas or self.born):
            raise refuse("This criterion asks nothing of the patient.", "give a sex, an age, alive, an area, a birth year")


@dataclass(frozen=True)
class StayCriterion(Node):
    """Stays, each condition given holding. `days`: end date minus start date; an open stay has none.

    `units`: codes of units, each with everything below it. `age`: completed years at the start.
    """

    TAG: ClassVar[str] = "stay"
    EVENTS: ClassVar[bool] = True

    kinds: tuple[StayKind, ...] = ()
    days: IntRange | None = None
    entries: tuple[str, ...] = ()
    exits: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    dates: DateRange | None = None
    age: IntRange | None = None

    def check(self) -> None:
        for name in ("kinds", "entries", "exits", "units"):
            check_distinct(name, getattr(self, name))


@dataclass(frozen=True)
class MovementCriterion(Node):
    """Active movements of a known stay. `dates`: their start. `units` with everything below."""

    TAG: ClassVar[str] = "movement"
    EVENTS: ClassVar[bool] = True

    units: tuple[str, ...] = ()
    responsibilities: tuple[str, ...] = ()
    dates: DateRange | None = None

    def check(self) -> None:
        check_distinct("units", self.units)
        check_distinct("responsibilities", self.responsibilities)


@dataclass(frozen=True)
class DocumentCriterion(Node):
    """Documents by kind, unit (with everything below it) and date."""

    TAG: ClassVar[str] = "document"
    EVENTS: ClassVar[bool] = True

    kinds: tuple[DocumentKind, ...] = ()
    units: tuple[str, ...] = ()
    dates: DateRange | None = None

    def check(self) -> None:
        check_distinct("kinds", self.kinds)
        check_distinct("units", self.units)


@dataclass(frozen=True)
class MediaCriterion(Node):
    """Documents with a medium (image series, signal, slide) of one of the modalities, any when none is given."""

    TAG: ClassVar[str] = "media"
    EVENTS: ClassVar[bool] = True

    modalities: tuple[str, ...] = ()
    dates: DateRange | None = None

    def check(self) -> None:
        check_distinct("modalities", self.modalities)


@dataclass(frozen=True)
class VariantCriterion(Node):
    """Documents with a variant of one of the genes, or that begins in a region, of one of the impacts.

    `genes` in any case; `chrom` with or without "chr"; `low` and `high`: first and last position, both included, in
    the assembly of the file; a chromosome without either is meant whole. What is given holds of one and the same
    variant. `dates`: the document's start.
    """

    TAG: ClassVar[str] = "variant"
    EVENTS: ClassVar[bool] = True

    genes: tuple[str, ...] = ()
    chrom: str | None = None
    low: int | None = None
    high: int | None = None
    impacts: tuple[Impact, ...] = ()
    dates: DateRange | None = None

    def check(self) -> None:
        object.__setattr__(self, "genes", tuple(gene.upper() for gene in self.genes))
        check_distinct("genes", self.genes)
        check_distinct("impacts", self.impacts)
        if not self.genes and self.chrom is None:
            raise refuse("The variant has neither a gene nor a place.", "write gène:BRCA1 or variant:13:32316461-32400268")
        if any(not _GENE.fullmatch(gene) for gene in self.genes):
            raise refuse("A gene is named by its symbol.", "write for example gène:BRCA1")
        self._check_place()

    def _check_place(self) -> None:
        if self.chrom is None:
            if self.low is not None or self.high is not None:
                raise refuse("A position needs its chromosome.", "write for example variant:13:32316461-32400268")
            return
        if not _CHROMOSOME.fullmatch(self.chrom):
            raise refuse("There is no such chromosome.", "write for example variant:13 or variant:X")
        short = self.chrom[3:] if self.chrom[:3].lower() == "chr" and len(self.chrom) > 3 else self.chrom
        object.__setattr__(self, "chrom", "MT" if short == "M" else short)
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        if len(bounds) == 1:  # open on a side
            object.__setattr__(self, "low", self.low or 1)
            object.__setattr__(self, "high", self.high or MAX_POSITION)
        if any(not 1 <= bound <= MAX_POSITION for bound in bounds) or bounds != sorted(bounds):
            raise refuse("There is no such region.", "write its first position, a hyphen and its last position")


@dataclass(frozen=True)
class PermissionCriterion(Node):
    """Patients with a permission of this kind and scope running on the snapshot's date."""

    TAG: ClassVar[str] = "permission"

    kind: str
    scope: str

    def check(self) -> None:
        check_distinct("kind", (self.kind,))
        check_distinct("scope", (self.scope,))


@dataclass(frozen=True)
class CohortRef(Node):
    """A cohort kept under a name; `tree.resolve` replaces it before the question runs."""

    TAG: ClassVar[str] = "cohort"

    name: str

    def check(self) -> None:
        check_distinct("name", (self.name,))


@dataclass(frozen=True)
class IdList(Node):
    """Patients by their number in this warehouse."""

    TAG: ClassVar[str] = "patients"

    ids: tuple[int, ...]

    def check(self) -> None:
        if any(not 0 <= number < 2**31 for number in self.ids):
            raise refuse("A patient number is out of reach.", "patient numbers go from 0 to 2147483647")
        if tuple(sorted(set(self.ids))) != self.ids:
            object.__setattr__(self, "ids", tuple(sorted(set(self.ids))))


@dataclass(frozen=True)
class Everyone(Node):
    """Every visible patient."""

    TAG: ClassVar[str] = "everyone"
