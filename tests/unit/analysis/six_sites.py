"""Six sites of unequal size and case mix, and the pooled computations that the federated ones are held against."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from estran.analysis.federated.rounds import Result

Floats = NDArray[np.float64]
SHARES = [0.38, 0.25, 0.16, 0.10, 0.07, 0.04]
COVARIATES: list[Any] = [
    "age",
    {"name": "sex", "levels": ["female", "male"]},
    "crp",
    {"name": "ward", "levels": ["medicine", "surgery", "intensive"]},
]


MEANS = {"linear": lambda eta: eta, "logistic": lambda eta: 1 / (1 + np.exp(-eta)), "poisson": np.exp}


class Region:
    """All rows, the site of each, and the design matrix without intercept, made apart from the product's code."""

    def __init__(self, rows: int = 3_000, seed: int = 20261122) -> None:
        dice = np.random.default_rng(seed)
        self.site = dice.choice(6, rows, p=SHARES)
        age = np.round(dice.normal(58 + 4 * self.site, 14), 1)
        male = dice.random(rows) < 0.35 + 0.05 * self.site
        crp = np.round(dice.lognormal(2 + 0.15 * self.site, 0.8), 1)
        ward = dice.choice(3, rows, p=[0.5, 0.3, 0.2])
        risk = 0.03 * (age - 65) + 0.4 * male - 0.004 * crp + 0.5 * (ward == 2)
        self.died = (dice.random(rows) < 1 / (1 + np.exp(1.2 - risk))).astype(float)
        self.days = dice.integers(10, 400, rows)
        self.stays = dice.poisson(np.exp(-4.5 + 0.3 * risk) * self.days).astype(float)
        self.cost = np.round(4_000_000 + 900 * risk + dice.normal(0, 500, rows), 2)
        last = np.ceil(dice.exponential(300 / np.exp(risk)))
        leave = np.ceil(dice.uniform(1, 500, rows))
        self.time, self.event = np.minimum(last, leave), (last <= leave).astype(float)
        self.x = np.column_stack([age, male, crp, ward == 1, ward == 2]).astype(float)
        self.male, self.ward = male, ward
        self.table = pa.table({
            "age": age, "sex": np.where(male, "male", "female"), "crp": crp,
            "ward": np.array(["medicine", "surgery", "intensive"])[ward], "died": self.died.astype(bool), "stays": self.stays,
            "logdays": np.log(self.days), "cost": self.cost, "time": self.time.astype(np.int32), "event": self.event,
        })  # fmt: skip

    def sites(self, place: NDArray[np.int64] | None = None) -> dict[str, pa.Table]:
        """A table per site; `place` says which rows go where instead."""
        at = self.site if place is None else place
        return {f"site{n}": self.table.filter(pa.array(at == n)) for n in range(at.max() + 1)}


def estimates(result: Result) -> tuple[Floats, Floats]:
    """Coefficients and standard errors."""
    rows = result.shown["coefficients"]
    return np.array([one["estimate"] for one in rows]), np.array([one["error"] for one in rows])


def close(found: Floats, truth: Floats, relative: float) -> bool:
    """Each within a relative distance of the truth."""
    return bool(np.all(np.abs(found - truth) <= relative * np.abs(truth)))


def pooled_newton(family: str, x: Floats, y: Floats, offset: Floats | float = 0.0) -> tuple[Floats, Floats]:
    """A model on pooled rows by Newton's method on unscaled columns: coefficients and standard errors."""
    design = np.column_stack([np.ones(len(y)), x])
    if family == "linear":
        y = y - y.mean()  # moves the intercept only
    beta = np.zeros(design.shape[1])
    if family == "poisson":
        beta[0] = np.log(y.sum() / np.exp(offset).sum())
    for _ in range(15):
        eta = design @ beta + offset
        mean = MEANS[family](eta)
        weight = {"linear": np.ones(len(y)), "logistic": mean * (1 - mean), "poisson": mean}[family]
        information = design.T @ (design * weight[:, None])
        beta = beta + np.linalg.solve(information, design.T @ (y - mean))
    scale = ((y - design @ beta) ** 2).sum() / (len(y) - len(beta)) if family == "linear" else 1.0
    return beta, np.sqrt(np.diag(np.linalg.inv(information)) * scale)


def pooled_cox(x: Floats, time: Floats, event: Floats, efron: bool) -> tuple[Floats, Floats]:
    """The partial likelihood as the textbook writes it: day by day, event by event, on pooled rows."""
    x = x - x.mean(axis=0)
    beta = np.zeros(x.shape[1])
    for _ in range(7):
        risk = np.exp(x @ beta)
        gradient, information = np.zeros(len(beta)), np.zeros((len(beta), len(beta)))
        for day in np.unique(time[event == 1]):
            alive, dead = time >= day, (time == day) & (event == 1)
            gradient += x[dead].sum(axis=0)
            for turn in range(int(dead.sum())):
                w = risk * alive - (turn / dead.sum() if efron else 0.0) * risk * dead
                mean = w @ x / w.sum()
                gradient -= mean
                information += (x * w[:, None]).T @ x / w.sum() - np.outer(mean, mean)
        beta = beta + np.linalg.solve(information, gradient)
    return beta, np.sqrt(np.diag(np.linalg.inv(information)))
