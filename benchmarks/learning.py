"""Learning over six sites of unequal size and case mix, beside the same model on the pooled rows and on each site's own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.tables import table
from estran.analysis.learning import course as courses
from estran.analysis.learning.learner import State
from estran.analysis.learning.measures import auc
from estran.analysis.learning.plan import Column, Plan, Privacy
from estran.analysis.learning.rows import Rows, Split, rows_of, split
from estran.analysis.learning.site import LEARNERS, contribution, no_worse, vote

RESULT = "learning.json"
COLUMNS = (
    Column("age", 0, 100), Column("creatinine", 20, 800, True), Column("crp", 0.5, 400, True), Column("haemoglobin", 4, 20),
    Column("albumin", 10, 55), Column("sodium", 110, 160), Column("stays", 0, 10),
)  # fmt: skip
# Patients, mean age, part of emergencies, how often CRP is measured (albumin less often).
MIX = (
    (2400, 71, 0.7, 0.9),
    (1600, 62, 0.4, 0.8),
    (900, 45, 0.2, 0.4),
    (700, 78, 0.8, 0.7),
    (400, 55, 0.3, 0.6),
    (300, 82, 0.9, 0.5),
)
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "logistic": ("Logistic regression", {"model": "logistic"}),
    "trees": ("Gradient-boosted trees, 8 × 4 of depth 3", {"model": "trees"}),
    "network": ("Neural network, 16 hidden", {"model": "network"}),
    "private8": (
        "Logistic by averaging, ε = 8, δ = 1e-5",
        {"model": "network", "hidden": 0, "rounds": 6, "privacy": Privacy(8.0, 1e-5)},
    ),
    "private3": (
        "Logistic by averaging, ε = 3, δ = 1e-5",
        {"model": "network", "hidden": 0, "rounds": 6, "privacy": Privacy(3.0, 1e-5)},
    ),
}
POISONED: dict[str, tuple[str, dict[str, Any]]] = {
    "newton": ("secure, logistic by Newton", {"model": "logistic"}),
    "secure": ("secure, logistic by averaging", {"model": "network", "hidden": 0}),
    "capped": ("the same, no site weighs more than 500 rows", {"model": "network", "hidden": 0, "largest": 500}),
    "trimmed": ("trimmed mean", {"model": "network", "hidden": 0, "aggregation": "trimmed", "exposure_accepted": True}),
    "krum": ("Krum", {"model": "network", "hidden": 0, "aggregation": "krum", "exposure_accepted": True}),
}
ATTACKS = {
    "turned": "sends its answer turned round",
    "longer": "the same, ten times as long",
    "labels": "learns with the outcome turned round",
}
LENGTHS = {"turned": 1.0, "longer": 10.0}
_HELD = 0.01  # of AUC from the model without a bad site
Table = dict[str, np.ndarray]


def tables(seed: int = 11, times: int = 1) -> list[Table]:
    """A table of each site; nobody in it exists."""
    return [_site(np.random.default_rng((seed, n)), patients * times, *rest) for n, (patients, *rest) in enumerate(MIX)]


def _site(dice: np.random.Generator, patients: int, age: float, acute: float, measured: float) -> Table:
    ill = dice.random(patients) < acute
    ages = np.clip(dice.normal(age, 14, patients), 0, 100)
    creatinine = np.exp(dice.normal(4.3 + 0.006 * (ages - 50) + 0.3 * ill, 0.4))
    crp = np.exp(dice.normal(1.5 + 2.2 * ill, 1.0))
    haemoglobin = dice.normal(14 - 0.02 * (ages - 50) - 1.2 * ill, 1.6)
    albumin = dice.normal(41 - 0.06 * (ages - 50) - 4 * ill, 4.5)
    sodium = dice.normal(139 - 1.5 * ill, 4)
    stays = np.minimum(dice.poisson(0.5 + 0.8 * ill), 10).astype(float)
    frail = np.maximum(ages - 65, 0) / 10
    odds = -4.4 + 0.35 * frail + 0.9 * np.log(creatinine / 80) * (1 + 0.4 * frail) + 0.25 * np.log(crp) * (albumin < 36)
    odds += 0.22 * np.maximum(11 - haemoglobin, 0) + 0.10 * np.abs(sodium - 139) + 0.25 * stays
    died = (dice.random(patients) < 1 / (1 + np.exp(-odds))).astype(float)
    for values, often in (
        (crp, measured),
        (albumin, measured - 0.2),
        (creatinine, 0.95),
        (haemoglobin, 0.95),
        (sodium, 0.95),
    ):
        values[dice.random(patients) > often] = np.nan
    return {
        "age": ages, "creatinine": creatinine, "crp": crp, "haemoglobin": haemoglobin, "albumin": albumin, "sodium": sodium, "stays": stays,
        "died": died,
    }  # fmt: skip


def plan_of(**more: Any) -> Plan:
    """Death from age, laboratory values and earlier stays."""
    return Plan("benchmark", "died", COLUMNS, **more)


def learned(plan: Plan, given: list[Table]) -> courses.Course:
    """The run in this process; with one table, the model of that table alone."""
    splits = [split(plan, rows_of(plan, one)) for one in given]
    fewest, courses.FEWEST_SITES = courses.FEWEST_SITES, min(courses.FEWEST_SITES, len(given))
    try:
        return courses.rehearse(
            plan, lambda state, _: [contribution(plan, state, one) for one in splits],
            lambda standing, candidate: [vote(plan, standing, candidate, one) for one in splits],
        )  # fmt: skip
    finally:
        courses.FEWEST_SITES = fewest


def auc_of(plan: Plan, model: State) -> float:
    """On new patients of all six sites, three times as many as taught."""
    rows = _pooled_rows(plan, tables(12, 3))
    return auc(rows.y, LEARNERS[plan.model].scores(plan, model, rows.x))


def _pooled(given: list[Table]) -> Table:
    return {name: np.concatenate([one[name] for one in given]) for name in given[0]}


def _pooled_rows(plan: Plan, given: list[Table]) -> Rows:
    return rows_of(plan, _pooled(given))


def compared(plan: Plan) -> dict[str, Any]:
    """The AUC of the same model on the pooled rows, and on each site's own."""
    secure = plan_of(
        **{name: value for name, value in vars(plan).items() if name in ("model", "rounds", "hidden", "privacy")}
    )
    own = tables()
    return {
        "pooled": auc_of(secure, learned(secure, [_pooled(own)]).standing),
        "alone": [auc_of(secure, learned(secure, [one]).standing) for one in own],
    }


def poisoned(plan: Plan, bad: int, attack: str, own: list[State]) -> dict[str, Any]:
    """One site of six does what `attack` says, as code that was tampered with could, and votes for everything. `own`: the sites' own models,
    with which the others compare the last one before it is released."""
    splits = [split(plan, rows_of(plan, one)) for one in tables()]
    turned = splits[bad].train
    wrong = Split(Rows(turned.x, 1 - turned.y), splits[bad].held)
    bound = LEARNERS[plan.model].bound(plan)

    def answers(state: State, _: int) -> list[np.ndarray]:
        said = [contribution(plan, state, one) for one in splits]
        if attack == "labels":
            said[bad] = contribution(plan, state, wrong)
        else:
            said[bad] = np.clip(np.concatenate([said[bad][:1], -LENGTHS[attack] * said[bad][1:]]), -bound, bound)
        return said

    def votes(before: State, after: State) -> list[bool]:
        return [number == bad or no_worse(plan, before, after, one) for number, one in enumerate(splits)]

    course = courses.rehearse(plan, answers, votes)
    last = [number == bad or no_worse(plan, own[number], course.standing, one) for number, one in enumerate(splits)]
    return {
        "auc": auc_of(plan, course.standing), "refused": sum(one.accepted is False for one in course.rounds), "released": bool(courses.carried(last)),
    }  # fmt: skip


def spoiled() -> dict[str, Any]:
    """Each site of six as the bad one, in each attack, with each aggregation."""
    found: dict[str, Any] = {}
    for name, (_, more) in POISONED.items():
        plan = plan_of(**more)
        alone = plan_of(**{key: value for key, value in more.items() if key in ("model", "hidden")})
        own = [courses.alone(alone, split(alone, rows_of(alone, one))) for one in tables()]
        clean = auc_of(plan, learned(plan, tables()).standing)
        found[name] = {"clean": clean} | {
            attack: [poisoned(plan, bad, attack, own) for bad in range(len(MIX))] for attack in ATTACKS
        }
        print(f"  poisoned, {name}: {found[name]}", flush=True)
    return found


def run(work: Path, quiet: Callable[[], None]) -> None:
    """Every model three ways, and one poisoned site; the figures stay in `work`."""
    found: dict[str, Any] = {"machine": machine.describe(), "load": machine.load(), "models": {}, "poisoned": {}}
    for name, (_, more) in MODELS.items():
        quiet()
        plan, clock = plan_of(**more), time.process_time()
        course = learned(plan, tables())
        spent = time.process_time() - clock
        found["models"][name] = {
            "auc": auc_of(plan, course.standing),
            **compared(plan),
            "rounds": len(course.rounds),
            "cpu_s": spent,
        }
        print(f"  {name}: {found['models'][name]}", flush=True)
    quiet()
    found["poisoned"] = spoiled()
    (work / RESULT).write_text(json.dumps(found, indent=1))


def tell(found: dict[str, Any]) -> list[str]:
    """The part of the document."""
    rows = [
        [
            MODELS[name][0], f"{one['auc']:.4f}", f"{one['pooled']:.4f}", f"{one['auc'] - one['pooled']:+.4f}",
            f"{max(one['alone']):.4f}", f"{min(one['alone']):.4f}", _reached(one), str(one["rounds"]), f"{one['cpu_s']:.2f}",
        ]
        for name, one in found["models"].items()
    ]  # fmt: skip
    head = [
        "Model",
        "federated, AUC",
        "pooled",
        "difference",
        "best site alone",
        "worst site alone",
        "target",
        "rounds",
        "CPU s, all sites",
    ]
    sizes = ", ".join(f"{patients:,}" for patients, *_ in MIX)
    return [
        f"Death out of age, five laboratory values and earlier stays; {len(MIX)} synthetic sites of {sizes} patients that differ in age, emergencies "
        "and what is measured; AUC on three times as many new patients of all. In one process, without masks. Target: within 0.01 of pooled, and "
        f"above each site alone; noise for privacy is drawn anew each time. Load: {found['load']}; compare CPU.\n",
        table(head, rows),
        "One site of six is bad: it sends something else than it learned, and votes for everything. AUC of the model that stands at the end, by "
        f"which site it is ({sizes} patients). Plain: held, within {_HELD} of the same without a bad site. *Italics*: stopped, worse, but the last vote (is it, for "
        "the patients here, no worse than the site's own model) does not release it. **Bold**: not held, worse and released.\n",
        table(
            ["Aggregation", "the bad site", "without", *[f"{patients:,}" for patients, *_ in MIX]],
            _spoiled(found["poisoned"]),
        ),
    ]


def _reached(one: dict[str, Any]) -> str:
    missed = [
        *(["more than 0.01 from pooled"] if abs(one["auc"] - one["pooled"]) > _HELD else []),
        *(["a site alone is better"] if one["auc"] <= max(one["alone"]) else []),
    ]
    return f"missed: {', '.join(missed)}" if missed else "reached"


def _spoiled(found: dict[str, Any]) -> list[list[str]]:
    return [
        [POISONED[name][0], sentence, f"{one['clean']:.4f}", *[_verdict(one["clean"], each) for each in one[attack]]]
        for name, one in found.items()
        for attack, sentence in ATTACKS.items()
    ]


def _verdict(clean: float, one: dict[str, Any]) -> str:
    value = f"{one['auc']:.4f}"
    if one["auc"] >= clean - _HELD:
        return value
    return f"**{value}**" if one["released"] else f"*{value}*"
