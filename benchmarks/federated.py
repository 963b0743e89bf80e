"""Federated regression over six sites of 10,000 patients and 20 covariates, beside statsmodels on the pooled rows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import machine
from benchmarks.tables import table
from estran.analysis.federated import masking
from estran.analysis.federated.methods import METHODS
from estran.analysis.federated.rounds import Here, Params, Result

RESULT = "federated.json"
SITES, ROWS, COVARIATES, DAYS = 6, 10_000, 20, 1_000
_NAMES = [f"x{n}" for n in range(COVARIATES)]
_FOLLOW = {"time": "time", "event": "event", "horizon": DAYS, "covariates": _NAMES}
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "logistic": ("Logistic regression", "glm", {"family": "logistic", "outcome": "died", "covariates": _NAMES}),
    "poisson": (
        "Poisson regression, offset",
        "glm",
        {"family": "poisson", "outcome": "stays", "covariates": _NAMES, "offset": "logdays"},
    ),
    "cox": ("Cox, Efron, common baseline", "cox", _FOLLOW),
    "strata": ("Cox, Efron, baseline per site", "cox", {**_FOLLOW, "baseline": "site"}),
}


def run(work: Path, quiet: Callable[[], None]) -> None:
    """Fit each model both ways in this process; the figures stay in `work`."""
    x, site, columns = _rows()
    whole = pa.table({name: x[:, n] for n, name in enumerate(_NAMES)} | columns)
    tables = [whole.filter(pa.array(site == n)) for n in range(SITES)]
    found: dict[str, Any] = {"machine": machine.describe(), "load": machine.load(), "models": {}}
    for name, (_, method, spec) in MODELS.items():
        quiet()
        one, beta, error = _federated(method, spec, tables)
        peer, truth, truth_error = _pooled(name, x, site, columns)
        one |= {"peer_cpu_s": peer, "beta": _apart(beta, truth), "error": _apart(error, truth_error)}
        found["models"][name] = one
        print(f"  {name}: {one}", flush=True)
    (work / RESULT).write_text(json.dumps(found, indent=1))


def _rows() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Rows whose case mix differs from site to site."""
    dice = np.random.default_rng(5)
    site = np.repeat(np.arange(SITES), ROWS)
    x = dice.normal(0.2 * site[:, None] * (np.arange(COVARIATES) % 3), 1 + np.arange(COVARIATES) / 5)
    x[:, 15:] = dice.random((len(site), 5)) < 0.1 + 0.05 * site[:, None]
    risk = x @ (0.3 * np.cos(np.arange(COVARIATES)) / (1 + np.arange(COVARIATES) / 5))
    days = dice.integers(10, 400, len(site))
    last, leave = np.ceil(dice.exponential(500 / np.exp(risk))), np.ceil(dice.uniform(1, DAYS, len(site)))
    return x, site, {
        "died": (dice.random(len(site)) < 1 / (1 + np.exp(1.5 - risk))).astype(float),
        "stays": dice.poisson(np.exp(-5 + risk / 2) * days).astype(float), "logdays": np.log(days),
        "time": np.minimum(last, leave), "event": (last <= leave).astype(float),
    }  # fmt: skip


def _federated(
    method: str, spec: dict[str, Any], tables: list[pa.Table]
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """All rounds as the network plays them; CPU seconds of the busiest site and of the hub, bytes that a site sends."""
    parties = [masking.Party.new(f"site{n}") for n in range(SITES)]
    roster = {one.name: one.public for one in parties}
    common = bytes(range(32)) if METHODS[method].sealed else b""
    spent, sent, hub, rounds = np.zeros(SITES), 0, 0.0, 0
    params: Params | Result = METHODS[method].start(spec)
    while isinstance(params, Params):
        bound, contributions = masking.context("benchmark", params), []
        for n, (one, party) in enumerate(zip(tables, parties, strict=True)):
            clock = time.process_time()
            arrays = METHODS[method].local(params, one, Here(common=common))
            contributions.append(masking.mask(arrays, party, roster, bound, common))
            spent[n] += time.process_time() - clock
        clock = time.process_time()
        sent, rounds = sent + len(contributions[0].words), rounds + 1
        params = METHODS[method].step(params, masking.unmask(contributions, roster, bound))
        hub += time.process_time() - clock
    rows = params.shown["coefficients"]
    told = {"rounds": rounds, "site_cpu_s": float(spent.max()), "hub_cpu_s": hub, "sent": sent}
    return told, np.array([one["estimate"] for one in rows]), np.array([one["error"] for one in rows])


def _pooled(
    name: str, x: np.ndarray, site: np.ndarray, columns: dict[str, np.ndarray]
) -> tuple[float, np.ndarray, np.ndarray]:
    """statsmodels on all rows: CPU seconds, coefficients, standard errors."""
    import statsmodels.api as sm
    from statsmodels.duration.hazard_regression import PHReg

    clock = time.process_time()
    if name in ("cox", "strata"):
        strata = site if name == "strata" else None
        fitted = PHReg(columns["time"], x, status=columns["event"], ties="efron", strata=strata).fit()
    else:
        law = sm.families.Binomial() if name == "logistic" else sm.families.Poisson()
        y, offset = (columns["died"], None) if name == "logistic" else (columns["stays"], columns["logdays"])
        fitted = sm.GLM(y, sm.add_constant(x), family=law, offset=offset).fit(tol=1e-12)
    return time.process_time() - clock, np.asarray(fitted.params), np.asarray(fitted.bse)


def _apart(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.max(np.abs(found / truth - 1)))


def tell(found: dict[str, Any]) -> list[str]:
    """The part of the document."""
    rows = [
        [
            MODELS[name][0], str(one["rounds"]), f"{one['site_cpu_s']:.2f}", f"{one['hub_cpu_s']:.2f}", f"{one['sent']:,}",
            f"{one['peer_cpu_s']:.2f}", f"{one['beta']:.1e}", f"{one['error']:.1e}",
        ]
        for name, one in found["models"].items()
    ]  # fmt: skip
    head = [
        "Model", "rounds", "busiest site, CPU s", "hub, CPU s", "bytes a site sends", "statsmodels on pooled rows, CPU s",
        "coefficients, largest relative difference", "standard errors",
    ]  # fmt: skip
    return [
        f"{SITES} sites × {ROWS:,} patients × {COVARIATES} covariates of unequal case mix, all rounds with masks in one process, "
        f"without a network. Target: 1e-6. Load: {found['load']}; compare CPU.\n",
        table(head, rows),
    ]
