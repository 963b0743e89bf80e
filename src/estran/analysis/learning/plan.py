"""What is to be learned, from what, and how: one plan that every site reads before it says yes.

Everything by which rows become numbers (bounds of columns, bins) is in the plan and never taken from data: nothing has
to be told by a site to scale a column, and a row counts for no more than its bounds.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MODELS = ("logistic", "trees", "network")
SECURE, TRIMMED, KRUM = "secure", "trimmed", "krum"
AGGREGATIONS = (SECURE, TRIMMED, KRUM)
FEWEST_SITES = 3
_ROUNDS = {"logistic": 8, "trees": 8, "network": 12}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


@dataclass(frozen=True)
class Column:
    """A column of the training table and its bounds, in its unit: values beyond count as the bound. `log` for what spreads over
    orders of magnitude; then `low` is above 0."""

    name: str
    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        """ValueError when the bounds make no sense."""
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError(f"The bounds of column '{self.name}' make no sense.")


@dataclass(frozen=True)
class Privacy:
    """Differential privacy of each patient towards everybody, the hub and the other sites included: (epsilon, delta) for the
    whole run, where two data sets are neighbours when one patient of one site is another (Dwork and Roth, 2014)."""

    epsilon: float
    delta: float = 1e-6
    clip: float = 1.0

    def __post_init__(self) -> None:
        """ValueError when the budget is none."""
        if self.epsilon <= 0 or not 0 < self.delta < 1 or self.clip <= 0:
            raise ValueError("A privacy budget has epsilon > 0, 0 < delta < 1 and clip > 0.")


@dataclass(frozen=True)
class Plan:
    """A plan.

    `outcome` is a column of 0 and 1. `rounds`: models put to the vote at most (0: the usual number of the model). `largest`: rows by which a site weighs at most. `held`: part of the
    patients of a site that only validates. `clip`: longest change of the network's weights that a site may ask for. `tolerance`: by
    how much (log loss) a candidate may be worse than the model before at a site that lets it pass.
    """

    name: str
    outcome: str
    columns: tuple[Column, ...]
    model: str = "logistic"
    rounds: int = 0
    seed: int = 1
    largest: int = 20_000
    held: float = 0.25
    tolerance: float = 0.005
    clip: float = 2.0
    ridge: float = 1.0
    hidden: int = 16
    epochs: int = 4
    rate: float = 0.1
    depth: int = 3
    trees: int = 4
    bins: int = 32
    aggregation: str = SECURE
    exposure_accepted: bool = False
    privacy: Privacy | None = None
    purpose: str = ""
    limits: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        """ValueError with what is wrong."""
        if not _NAME.fullmatch(self.name):
            raise ValueError("A plan is named by at most 40 letters, digits, - and _.")
        if not self.columns or len({one.name for one in self.columns} | {self.outcome}) <= len(self.columns):
            raise ValueError("A plan has columns, each once, and the outcome is none of them.")
        if self.model not in MODELS or self.aggregation not in AGGREGATIONS:
            raise ValueError(f"Models are {', '.join(MODELS)}; aggregations {', '.join(AGGREGATIONS)}.")
        if not (0 < self.held < 1 and 1 <= self.depth <= 6 and 2 <= self.bins <= 256 and self.largest >= 100):
            raise ValueError("held, depth, bins or largest is out of range.")
        self._check_modes()

    def _check_modes(self) -> None:
        if self.aggregation != SECURE and not self.exposure_accepted:
            raise ValueError(
                "Robust aggregation shows the hub each site's update: write exposure_accepted = true to have it so."
            )
        if self.aggregation != SECURE and self.model != "network":
            raise ValueError("Robust aggregation is for networks (hidden = 0 is a logistic regression).")
        if self.privacy is not None and self.model != "network":
            raise ValueError("Differential privacy is for networks (hidden = 0 is a logistic regression).")

    @property
    def secure(self) -> bool:
        """Whether the hub sees sums only."""
        return self.aggregation == SECURE

    @property
    def most_rounds(self) -> int:
        """Models that are put to the vote at most."""
        return self.rounds or _ROUNDS[self.model]

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Plan:
        """A plan out of TOML or JSON; ValueError with what is wrong."""
        known = {one.name for one in dataclasses.fields(cls)}
        unknown = sorted(set(given) - known)
        if unknown:
            raise ValueError(f"A plan knows no field '{unknown[0]}'.")
        try:
            values = dict(given)
            values["columns"] = tuple(Column(**one) for one in values.get("columns", ()))
            values["limits"] = tuple(str(one) for one in values.get("limits", ()))
            if values.get("privacy") is not None:
                values["privacy"] = Privacy(**values["privacy"])
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"A field of the plan is missing or of another kind: {error}.") from None

    def told(self) -> dict[str, Any]:
        """Inverse of `read`."""
        return dataclasses.asdict(self)
