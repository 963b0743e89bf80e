"""The card of a model (after Mitchell et al., 2019): what it is for, of whom it was learned, how, how well it does where, and its limits.

It is made at the hub out of what the sites told: protected counts, their own rounded figures, votes. It holds nothing that they did not tell.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from estran import __version__
from estran.analysis.learning.plan import SECURE, Plan
from estran.cohort.language import json as question_json
from estran.cohort.language.printer import to_text
from estran.hub.governance import FEWEST, Sight
from estran.hub.learning.question import Lesson
from estran.hub.learning.run import Run

FILE_NAME, PAGE_NAME = "card.json", "card.md"
METHODS = {
    "logistic": "Logistic regression, Newton's method on sums over the sites",
    "trees": "Gradient-boosted trees out of histograms summed over the sites",
    "network": "Neural network by federated averaging",
}
_LIMITS = (
    "Learned and tested at the same sites, on patients set apart there: how well it does elsewhere, or later, is not known.",
    "Figures of a site with fewer than ten cases or ten others are not told.",
    "A large poisoned site is not held by the votes of the others: see the reference on learning.",
    "Not a medical device: nobody has assessed it for use in care.",
)


@dataclass(frozen=True)
class Asked:
    """A site in a run: its name, what its job became (ok: it takes part) and what it said."""

    member: str
    name: str
    state: str
    said: str
    answer: Mapping[str, Any]


def make(lesson: Lesson, run: Run, asked: Sequence[Asked], members: Mapping[str, str], network: str) -> dict[str, Any]:
    """The card as an object; `members` by the number of their node."""
    course, plan = run.course(), lesson.plan
    names = {one.member: one.name for one in asked}
    by_member = {members[node]: told for node, told in course["each"].items() if node in members}
    return {
        "name": plan.name, "network": network, "date": dt.datetime.now(dt.UTC).date().isoformat(), "estran": __version__,
        "purpose": plan.purpose, "asked_by": lesson.asker,
        "patients": to_text(question_json.from_object(dict(lesson.cohort)), "en"), "outcome": plan.outcome,
        "inputs": [{"name": one.name, "low": one.low, "high": one.high, "log": one.log} for one in plan.columns],
        "sites": [site(one, by_member) for one in asked],
        "method": {
            "model": plan.model, "sentence": METHODS[plan.model], "aggregation": plan.aggregation, "held_out": plan.held, "bundle_sha256": run.digest,
            "rounds": rounds_of(course, {node: names.get(member, member) for node, member in members.items()}),
        },
        "privacy": _privacy(plan),
        "performance": {"sites_in_sum": course.get("pictured", 0), "all": course["all"], "last_vote": course["last_vote"], "released": course["released"]},
        "limits": [*_LIMITS, *plan.limits],
    }  # fmt: skip


def rounds_of(course: Mapping[str, Any], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rounds so far with the sites, by their name, that did not stay to the end of each; `names` by the number of their node."""
    found = []
    for one in course["rounds"]:
        stayed = one.get("stayed")
        lost = None if stayed is None else sorted(name for node, name in names.items() if node not in stayed)
        found.append({name: value for name, value in one.items() if name != "stayed"} | {"lost": lost})
    return found


def site(one: Asked, figures: Mapping[str, Any]) -> dict[str, Any]:
    """A site as the card tells of it; `figures` by member."""
    took_part = one.state == "ok"
    return {
        "site": one.member, "name": one.name, "took_part": took_part, "message": one.said, "patients": one.answer.get("patients") if took_part else None,
        "performance": figures.get(one.member) if took_part else None,
    }  # fmt: skip


def _privacy(plan: Plan) -> dict[str, Any]:
    budget = plan.privacy
    return {
        "hub_sees": "sums over the sites only" if plan.aggregation == SECURE else "each site's update, in the clear",
        "epsilon": None if budget is None else budget.epsilon, "delta": None if budget is None else budget.delta,
    }  # fmt: skip


def seen(card: dict[str, Any], sight: Sight, own: str) -> dict[str, Any]:
    """The card as somebody of the site `own` may see it: who took part is no secret, numbers are."""
    if sight is Sight.SITES:
        return card
    sites = [seen_site(one, sight, own) for one in card["sites"]]
    total = sight is Sight.TOTAL and card["performance"]["sites_in_sum"] >= FEWEST
    method = card["method"] | {"rounds": seen_rounds(card["method"]["rounds"], sight)}
    return card | {
        "sites": sites,
        "method": method,
        "performance": card["performance"] | ({} if total else {"all": None}),
    }


def seen_site(one: dict[str, Any], sight: Sight, own: str) -> dict[str, Any]:
    """A site of the card likewise."""
    told = sight is Sight.SITES or (sight is Sight.OWN and own and one["site"] == own)
    return one if told else one | {"patients": None, "performance": None}


def seen_rounds(rounds: Sequence[Mapping[str, Any]], sight: Sight) -> list[dict[str, Any]]:
    """The rounds likewise: their loss is a figure of all sites of the sum, which are three at least. Where one was lost, what
    the rounds before and after tell less what this one tells may be near its own, so that only who sees sites is told."""
    return [dict(one) | ({"loss": None} if _hides(one, sight) else {}) for one in rounds]


def _hides(one: Mapping[str, Any], sight: Sight) -> bool:
    return sight is Sight.OWN or (sight is Sight.TOTAL and one.get("lost") != [])


def page(card: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    method, privacy, done = card["method"], card["privacy"], card["performance"]
    budget = (
        "none"
        if privacy["epsilon"] is None
        else f"ε = {privacy['epsilon']:g}, δ = {privacy['delta']:g}, for the whole run"
    )
    purpose = f"Purpose: {card['purpose']}." if card["purpose"] else "No purpose was written down."
    asked_by = f" Asked by {card['asked_by']}." if card["asked_by"] else ""
    return "\n".join([
        f"# {card['name']}", "",
        f"{purpose}{asked_by} {card['network']}, {card['date']}, Estran {card['estran']}.", "",
        "## Data", "", f"Patients: `{card['patients']}`. Outcome: `{card['outcome']}`.", "",
        "| Site | Patients | AUC (95 % CI) | Brier | observed | expected |", "|---|---|---|---|---|---|",
        *[_row(one) for one in card["sites"]],
        _line(f"all, {done['sites_in_sum']} sites", "", done["all"]), "",
        "Counts are protected. Figures are of patients who taught nothing; the interval is DeLong's.", "",
        "| Input | low | high | scale |", "|---|---|---|---|",
        *[f"| {one['name']} | {one['low']:g} | {one['high']:g} | {'log' if one['log'] else 'linear'} |" for one in card["inputs"]], "",
        "## Method", "",
        f"{method['sentence']}; aggregation: {method['aggregation']}; {method['held_out']:.0%} of each site's patients set apart. "
        f"Bundle SHA-256 `{method['bundle_sha256']}`.", "",
        "| Round | sites in the sum | lost | log loss before | for | against | stands |", "|---|---|---|---|---|---|---|",
        *[f"| {one['round']} | {one['sites']} | {_names(one.get('lost'))} | {_or(one.get('loss'))} | {_or(one['for'])} | {_or(one['against'])} | "
          f"{'yes' if one['accepted'] else 'no'} |" for one in method["rounds"]], "",
        "Log loss: of the model that the round began with, on the patients who teach, all sites of the sum together.", "",
        f"Last vote (is it, for the patients here, no worse than the site's own model): {done['last_vote'][0]} for, {done['last_vote'][1]} against; "
        f"{'released' if done['released'] else 'not released'}.", "",
        "## Privacy", "", f"The hub saw {privacy['hub_sees']}. Budget of differential privacy: {budget}.", "",
        "## Limits", "", *[f"- {one}" for one in card["limits"]], "",
    ])  # fmt: skip


def _row(site: Mapping[str, Any]) -> str:
    count = site["patients"]
    shown = "–" if count is None else f"{count['value']:,} ± {count['margin']}"
    return _line(site["name"], shown if site["took_part"] else "did not take part", site["performance"])


def _line(name: str, patients: str, figures: Mapping[str, float] | None) -> str:
    if not figures:
        return f"| {name} | {patients} | – | – | – | – |"
    area = f"{figures['auc']:.3f} ({figures['low']:.3f} to {figures['high']:.3f})"
    return f"| {name} | {patients} | {area} | {figures['brier']:.3f} | {figures['observed']:.3f} | {figures['expected']:.3f} |"


def _names(lost: Sequence[str] | None) -> str:
    return "–" if not lost else ", ".join(lost)


def _or(value: Any) -> str:
    return "–" if value is None else str(value)
