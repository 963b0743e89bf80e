"""What a site refuses to contribute, judged as if its arrays were read in the clear: masks come on top.

Limits follow those of DataSHIELD (nfilter.tab, nfilter.glm: Gaye et al. 2014, doi:10.1093/ije/dyu188; dsBase) with a
higher floor, and the dominance rule of output checking (n, k) = (2, 0.9) (Brandt et al. 2010; Green et al., ACRO).
A refusal names the variable and the rule, never a count or a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from estran.model.errors import NotAllowed, UsageError

_OTHER = "choose a larger population, or leave this site out"


@dataclass(frozen=True)
class Rules:
    """A site's limits: `floor` patients, `ratio` parameters per patient, share of the two largest for `dominance`."""

    floor: int = 10
    ratio: float = 0.33
    dominance: float = 0.9

    def __post_init__(self) -> None:
        if self.floor < 3 or not 0 < self.ratio <= 0.5 or not 0.5 <= self.dominance < 1:
            raise UsageError(
                "The limits of federated statistics must be: floor 3 or more, ratio up to 0.5, dominance under 1."
            )


def enough(rows: int, rules: Rules) -> None:
    """NotAllowed unless there are at least `floor` complete rows."""
    if rows < rules.floor:
        raise NotAllowed(
            f"Fewer than {rules.floor} patients of this site have all the variables of this analysis.", hint=_OTHER
        )


def not_saturated(parameters: int, rows: int, rules: Rules) -> None:
    """NotAllowed when a model has so many parameters that it describes patients rather than a population."""
    if parameters > rules.ratio * rows:
        raise NotAllowed(
            f"The model has {parameters} parameters, more than {rules.ratio:g} per patient of this site.",
            hint="leave variables out, or choose a larger population",
        )


def categories(counts: Sequence[int] | NDArray[np.int64], variable: str, rules: Rules) -> None:
    """NotAllowed when a category holds some patients, but fewer than `floor`."""
    found = np.asarray(counts)
    if np.any((found > 0) & (found < rules.floor)):
        raise NotAllowed(
            f"A category of {variable} holds fewer than {rules.floor} patients at this site.",
            hint="join categories together",
        )


def events(happened: int, rows: int, what: str, rules: Rules) -> None:
    """NotAllowed when an outcome is too rare, or too common, among the rows."""
    if min(happened, rows - happened) < rules.floor:
        raise NotAllowed(
            f"Fewer than {rules.floor} patients of this site have {what}, or all but so few have.", hint=_OTHER
        )


def spread(values: NDArray[np.float64], variable: str, rules: Rules) -> None:
    """NotAllowed when a numeric variable takes two values of which one is rare, or two patients make up its variance."""
    first, second = float(values.min()), float(values.max())
    if first == second:
        return
    low, high = int(np.count_nonzero(values == first)), int(np.count_nonzero(values == second))
    if low + high == len(values):
        categories([low, high], variable, rules)
    _no_dominance((values - values.mean()) ** 2, f"the variance of {variable}", rules)


def weight(values: NDArray[np.float64], what: str, rules: Rules) -> None:
    """NotAllowed when fewer than `floor` patients carry a weighted sum (Kish's effective number, (Σw)² / Σw²).

    Against a hub that sends coefficients chosen to make all weights vanish but those of a few patients.
    """
    top = float(np.max(np.abs(values), initial=0.0))
    if top == 0:
        return
    part = np.abs(values) / top  # no underflow of the squares
    if part.sum() ** 2 < rules.floor * (part @ part):
        raise NotAllowed(f"This round rests on fewer than {rules.floor} patients of this site ({what}).", hint=_OTHER)


def _no_dominance(parts: NDArray[np.float64], what: str, rules: Rules) -> None:
    total = parts.sum()
    if len(parts) > 2 and total > 0 and np.partition(parts, -2)[-2:].sum() > rules.dominance * total:
        raise NotAllowed(
            f"Two patients of this site make up almost all of {what}.", hint="correct or bound extreme values"
        )
