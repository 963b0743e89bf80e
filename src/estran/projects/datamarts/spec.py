"""What a datamart holds: nothing that is not named here leaves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from estran.cohort.query import Code, Node
from estran.model.codes import DocumentKind
from estran.model.errors import UsageError
from estran.release.dates import DatePolicy

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,59}")
_LONGEST = 1830  # days for which a datamart may be asked: five years


class Aggregate(StrEnum):
    """What becomes of the facts of a variable; ALL keeps each of them, in the table `facts`."""

    FIRST = "first"
    LAST = "last"
    MIN = "min"
    MAX = "max"
    MEAN = "mean"
    COUNT = "count"
    ANY = "any"
    ALL = "all"


class Of(StrEnum):
    """What is taken of a fact: its value, its date by the date policy, its days from the index date."""

    VALUE = "value"
    DATE = "date"
    DAYS = "days"


class Demographic(StrEnum):
    """Columns of the patients. Ages from 90 on are told as 90; a birth is told by its year."""

    SEX = "sex"
    AGE = "age"
    BIRTH_YEAR = "birth_year"
    DIED = "died"
    DEATH_DATE = "death_date"
    RESIDENCE_AREA = "residence_area"
    INDEX_DATE = "index_date"


class StayColumn(StrEnum):
    """Columns of the stays."""

    KIND = "kind"
    START = "start"
    END = "end"
    DAYS = "days"
    LENGTH = "length"
    ENTRY_MODE = "entry_mode"
    EXIT_MODE = "exit_mode"
    WARD = "ward"


class Form(StrEnum):
    """Formats in which a datamart is written."""

    PARQUET = "parquet"
    DUCKDB = "duckdb"
    CSV = "csv"
    OMOP = "omop"
    FHIR = "fhir"


@dataclass(frozen=True)
class Window:
    """Days around the index date, both included; None is without end."""

    low: int | None = None
    high: int | None = None

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and self.low > self.high:
            raise UsageError(
                "A window ends before it begins.", hint="write the earlier day first, for example [-365, 0]"
            )

    @property
    def open(self) -> bool:
        """Whether it leaves nothing out."""
        return self.low is None and self.high is None


@dataclass(frozen=True)
class Variable:
    """A concept set and what is made of its facts. Codes count with everything below them."""

    name: str
    codes: tuple[Code, ...]
    aggregate: Aggregate
    of: Of = Of.VALUE
    window: Window = Window()
    unit: str = ""
    justification: str = ""

    def __post_init__(self) -> None:
        if not _COLUMN.fullmatch(self.name):
            raise UsageError("A variable is named in small letters, digits and _.", where=self.name)
        if not self.codes:
            raise UsageError("A variable needs at least one code.", where=self.name)
        if self.aggregate in (Aggregate.MIN, Aggregate.MAX, Aggregate.MEAN) and self.of is not Of.VALUE:
            raise UsageError(f"'{self.aggregate}' is taken of values.", where=self.name, hint="use first or last")


@dataclass(frozen=True)
class Stays:
    """The table of the stays."""

    columns: tuple[StayColumn, ...]
    window: Window = Window()


@dataclass(frozen=True)
class Documents:
    """The table of the documents; all kinds when none is named."""

    kinds: tuple[DocumentKind, ...] = ()
    window: Window = Window()


@dataclass(frozen=True)
class OwnPart:
    """Columns of a table that the project brought itself, by the number of the data set."""

    data: int
    table: str
    columns: tuple[str, ...]

    @property
    def named(self) -> dict[str, str]:
        """Each column with its name in the datamart."""
        return {name: f"own_{name}" for name in self.columns}


@dataclass(frozen=True)
class Spec:
    """A datamart as it was asked for. UsageError when its parts contradict each other."""

    project: str
    name: str
    cohort: Node
    demographics: tuple[Demographic, ...]
    variables: tuple[Variable, ...]
    stays: Stays | None
    documents: Documents | None
    texts: bool
    flat: bool
    dates: DatePolicy
    reason: str  # why dates are true, or values exact
    fingerprint: bool
    formats: tuple[Form, ...]
    days: int
    own: tuple[OwnPart, ...] = ()

    def __post_init__(self) -> None:
        for given in (self.project, self.name):
            if not NAME.fullmatch(given):
                raise UsageError("Projects and datamarts are named with letters, digits, - and _.", where=given)
        if not 1 <= self.days <= _LONGEST:
            raise UsageError(f"A datamart is kept from 1 to {_LONGEST} days.", where="days")
        if not self.formats:
            raise UsageError("No format is asked for.", hint=f"use {', '.join(Form)}")
        self._check_names()
        self._check_shape()
        self._check_reason()

    def _check_names(self) -> None:
        names = ["patient", *self.demographics, *(one.name for one in self.variables)]
        names += [name for one in self.own for name in one.named.values()]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError("A column would stand twice.", where=twice)

    def _check_shape(self) -> None:
        if self.texts and self.documents is None:
            raise UsageError("Texts belong to documents.", hint="add a [documents] table")
        if self.flat and (self.stays or self.documents or self.every):
            raise UsageError("A flat datamart has one row per patient.", hint='use shape = "tables"')
        asked = {Form.OMOP, Form.FHIR} & set(self.formats)
        if self.flat and asked:
            raise UsageError(f"{' and '.join(sorted(asked))} need each fact.", hint='use shape = "tables"')
        if Form.OMOP in self.formats and not {Demographic.SEX, Demographic.BIRTH_YEAR} <= set(self.demographics):
            raise UsageError("omop needs the demographics sex and birth_year.", where="demographics")

    def _check_reason(self) -> None:
        if self.dates is DatePolicy.TRUE and len(self.reason.strip()) < 10:
            raise UsageError("True dates need a written reason.", hint="say in `reason` why intervals do not do")
        if not self.fingerprint and len(self.reason.strip()) < 10:
            raise UsageError(
                "Values without a fingerprint need a written reason.", hint="say in `reason` why they must be exact"
            )

    @property
    def every(self) -> tuple[Variable, ...]:
        """Variables of which each fact is kept."""
        return tuple(one for one in self.variables if one.aggregate is Aggregate.ALL)

    @property
    def columns(self) -> tuple[Variable, ...]:
        """Variables with one value per patient."""
        return tuple(one for one in self.variables if one.aggregate is not Aggregate.ALL)

    @property
    def needs_index(self) -> bool:
        """Whether something is counted from the index date."""
        windows = [one.window for one in (*self.variables, self.stays, self.documents) if one is not None]
        return any(not one.open for one in windows) or any(one.of is Of.DAYS for one in self.variables)
