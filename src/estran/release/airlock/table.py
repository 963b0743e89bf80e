"""A table as it is checked: cells as text, what each column is, which cells are redacted, which are totals."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from estran.identity.folding import fold

_REDACTED = re.compile(r"(?:|nan|na|n/?a|null|none|\.+|\*+|-+|x|[\[(]?(?:redacted|masque|suppressed|c)[\])]?|<\s?\d+)")
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:[ \u00a0\u202f]\d{3})+|\d+)?(?:[.,]\d*)?(?:e[-+]?\d+)?", re.IGNORECASE)
_TOTAL = re.compile(r"(?:sub)?total\w*|totaux|all|ensemble|tous|toutes|overall|margins?")
_EDGE = r"(?:^|[_\W\d])(?:{})(?:$|[_\W\d])"
_COUNT = re.compile(_EDGE.format(
    "n|nb|nombre|counts?|effectifs?|freq|frequency|patients?|deces|deaths?|events?|evenements?|population|total|"
    "cas|cases|risk|risque|numerator|denominator|denom|stays?|sejours?|size"))  # fmt: skip
_STAT = re.compile(_EDGE.format(
    "mean|moyenne|avg|average|median|mediane|sd|std|ecart|var|variance|rate|taux|ratio|pct|percent\\w*|pourcent\\w*|"
    "prop\\w*|share|part|coefs?|coefficients?|estimates?|beta|hazard|hr|or|rr|ci|ic|lower|upper|low|high|p|pvalue|value|"
    "se|err|auc|auroc|score|quantile|q|iqr|surv\\w*|prob\\w*|sum|somme|cost|cout|z|t|min|max|minimum|maximum|dof|"
    "ddl|df|resid\\w*|r2|percentile|youngest|oldest|smd|chi2|specificity|sensitivity|precision|recall|f1") + "|%")  # fmt: skip
_KEY = re.compile(_EDGE.format(
    "years?|annees?|months?|mois|weeks?|semaines?|days?|jours?|dates?|ages?|band|tranche|classe?|group[es]?|sexe?|gender|"
    "code|label|libelle|quarter|trimestre|time|temps|stage|stade|grade|site|centre|region|dept|departement"))  # fmt: skip
_COEFFICIENT = re.compile(_EDGE.format("coefs?|coefficients?|estimates?|beta|hazard|hr|or|rr"))
_EXTREME = re.compile(_EDGE.format("min|max|minimum|maximum|youngest|oldest"))
_MAGNITUDE = re.compile(_EDGE.format("mean|moyenne|avg|average|sum|somme|cost|cout"))
_POPULATION = re.compile(_EDGE.format("population|total|n|denominator|denom|effectifs?"))
Floats = npt.NDArray[np.float64]


class Kind(StrEnum):
    """What a column holds."""

    KEY = "key"  # labels of rows
    COUNT = "count"  # patients, stays...
    MIDPOINT = "midpoint"  # counts rounded to midpoint 6, as OpenSAFELY names them
    STAT = "stat"  # any other number


@dataclass(frozen=True)
class Column:
    """A column: its heading as written, and its numbers (NaN where a cell holds none)."""

    heading: str
    kind: Kind
    values: Floats
    redacted: npt.NDArray[np.bool_]

    @property
    def is_total(self) -> bool:
        return _TOTAL.fullmatch(fold(self.heading).strip()) is not None

    @property
    def is_coefficient(self) -> bool:
        return _COEFFICIENT.search(fold(self.heading)) is not None

    @property
    def is_extreme(self) -> bool:
        return _EXTREME.search(fold(self.heading)) is not None

    @property
    def is_magnitude(self) -> bool:
        return _MAGNITUDE.search(fold(self.heading)) is not None

    @property
    def is_population(self) -> bool:
        return _POPULATION.search(fold(self.heading)) is not None


@dataclass(frozen=True)
class Table:
    """Heading and rows of text, all of the same length."""

    name: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        return tuple(_column(place, head, [row[place] for row in self.rows]) for place, head in enumerate(self.heading))

    def of(self, *kinds: Kind) -> list[int]:
        """Places of the columns of these kinds."""
        return [place for place, column in enumerate(self.columns) if column.kind in kinds]

    @cached_property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """Per row, its labels folded."""
        places = self.of(Kind.KEY)
        return tuple(tuple(fold(row[place]).strip() for place in places) for row in self.rows)

    @cached_property
    def total_rows(self) -> npt.NDArray[np.bool_]:
        return np.array([any(_TOTAL.fullmatch(cell) for cell in key) for key in self.keys], dtype=bool)


def is_redacted(cell: str) -> bool:
    """Whether a cell says that its value is not told: empty, NaN, [REDACTED], <10, *."""
    return _REDACTED.fullmatch(fold(cell).strip()) is not None


def number(cell: str) -> float:
    """The number that a cell holds; NaN when it holds none."""
    text = cell.strip()
    if not text or _NUMBER.fullmatch(text) is None:
        return math.nan
    try:
        return float(re.sub(r"[ \u00a0\u202f]", "", text).replace(",", "."))
    except ValueError:
        return math.nan


def read_csv(text: str, name: str) -> tuple[tuple[str, ...], list[list[str]]]:
    """Heading and rows of a CSV, TSV or semicolon file. ValueError when it holds no table."""
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    found = list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
    rows = [row for row in found if row]
    if not rows:
        raise ValueError(f"{name} is empty")
    return tuple(rows[0]), rows[1:]


def table_of(name: str, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose rows are made as long as the heading."""
    width = len(heading)
    return Table(name, tuple(heading), tuple(tuple(row[:width]) + ("",) * (width - len(row)) for row in rows))


def _column(place: int, heading: str, cells: list[str]) -> Column:
    redacted = np.array([is_redacted(cell) for cell in cells], dtype=bool)
    values = np.array([number(cell) for cell in cells], dtype=np.float64)
    return Column(heading, _kind(place, fold(heading), values, redacted), values, redacted)


def _kind(place: int, heading: str, values: Floats, redacted: npt.NDArray[np.bool_]) -> Kind:
    told = values[~redacted]
    if np.isnan(told).any() or (place == 0 and not heading.strip()):
        return Kind.KEY
    if heading.endswith(("_midpoint6", "_midpoint6_derived")):
        return Kind.MIDPOINT
    if _COUNT.search(heading) and not _STAT.search(heading):
        return Kind.COUNT
    if _KEY.search(heading):
        return Kind.KEY
    whole = len(told) == 0 or bool(np.all((told >= 0) & (told == np.floor(told))))
    return Kind.COUNT if whole and not _STAT.search(heading) else Kind.STAT
