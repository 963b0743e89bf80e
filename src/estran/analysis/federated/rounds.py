"""What travels in a round: parameters to the sites, arrays back, and in the end a result. All of it is JSON or sums."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from estran.analysis.federated.safeguards import Rules
from estran.model.errors import UsageError

Floats = NDArray[np.float64]
Arrays = dict[str, Floats]
Spec = Mapping[str, Any]

SEALED = "sealed."  # arrays so named are added up over the sites for the sites, and never read by the hub
MOST_ROUNDS = 120


@dataclass(frozen=True)
class Params:
    """The parameters of one round: which method, which of its phases, the question, and what the hub knows so far."""

    method: str
    phase: str
    spec: Spec
    state: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0

    def then(self, phase: str, **state: Any) -> Params:
        """The next round; `state` is added to what was known."""
        return Params(self.method, phase, self.spec, {**self.state, **state}, self.number + 1)

    def to_json(self) -> str:
        """Canonical text: equal parameters give equal texts, and floats come back to the last bit."""
        parts = {
            "method": self.method, "phase": self.phase, "spec": self.spec, "state": self.state, "number": self.number,
        }  # fmt: skip
        return json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Params:
        """The round that was written; UsageError when the text is none, or asks for too many rounds."""
        try:
            parts = json.loads(text)
            params = cls(
                str(parts["method"]),
                str(parts["phase"]),
                dict(parts["spec"]),
                dict(parts["state"]),
                int(parts["number"]),
            )
        except (ValueError, KeyError, TypeError):
            raise UsageError("This is not a round of a federated statistic.") from None
        if not 0 <= params.number <= MOST_ROUNDS:
            raise UsageError(f"A federated statistic has at most {MOST_ROUNDS} rounds.")
        return params


@dataclass(frozen=True)
class Sums:
    """The arrays of all sites added up; `sealed` holds those that only the sites can read."""

    values: Arrays
    sealed: Mapping[str, bytes] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Floats:
        return self.values[name]

    def number(self, name: str) -> float:
        """The one number of an array of size one."""
        return float(self.values[name].reshape(-1)[0])

    def count(self, name: str) -> int:
        """The one number of an array of size one, as a count."""
        return round(self.number(name))


@dataclass(frozen=True)
class Result:
    """The end of a method.

    `shown` is JSON and may leave the hub. `exact` holds what `shown` was protected from, for the checks of the hub
    itself; it is not part of the text form and never leaves.
    """

    method: str
    spec: Spec
    shown: Mapping[str, Any]
    exact: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def to_json(self) -> str:
        """What may leave, as text."""
        parts = {"method": self.method, "spec": self.spec, "result": self.shown}
        return json.dumps(parts, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)


@dataclass(frozen=True)
class Here:
    """What a site brings to a round: its own rules, and the secret that the sites share and the hub has not."""

    rules: Rules = field(default_factory=Rules)
    common: bytes = field(default=b"", repr=False)


class Method(Protocol):
    """A statistic played in rounds."""

    @property
    def name(self) -> str:
        """What a question calls it."""

    @property
    def masked(self) -> bool:
        """False when the hub tells the sites apart: their arrays come stacked, in the order of the sites."""

    @property
    def sealed(self) -> bool:
        """True when some arrays are for the sites only, who need a common secret."""

    def start(self, spec: Spec) -> Params:
        """The first round; UsageError when the question is not well formed."""

    def local(self, params: Params, table: pa.Table, here: Here) -> Arrays:
        """What one site answers; NotAllowed with the reason when its rules say no."""

    def step(self, params: Params, sums: Sums) -> Params | Result:
        """The next round, or the end; CheckFailed when there is no answer, with the reason."""
