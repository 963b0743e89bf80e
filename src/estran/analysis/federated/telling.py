"""A result as tables that a person reads (Markdown); everything in them is in the result's text form as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from estran.analysis.federated.rounds import Result
from estran.analysis.federated.words import Words

Shown = Any


def tell(result: Result, language: str = "en") -> str:
    """The tables of a result, in English or French."""
    return "\n\n".join(_TELLERS[result.method](result.shown, Words(language))) + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], names: int = 1) -> str:
    """A table whose first columns are names and the others numbers."""
    lines = [head, [":---" if n < names else "---:" for n in range(len(head))], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _facts(shown: Shown, words: Words, *names: str) -> str:
    said = [words.fact(words(name), words.count(shown[name])) for name in names if name in shown]
    return " · ".join(said)


def _interval(words: Words, low: float | None, high: float | None) -> str:
    return f"{words.number(low)} ; {words.number(high)}"


def _model(shown: Shown, words: Words) -> Iterator[str]:
    first = shown["coefficients"][0]
    ratio = next((name for name in ("odds_ratio", "rate_ratio", "hazard_ratio") if name in first), "")
    head = [words("term"), words("estimate"), words("standard error"), words("95 % interval"), "p"]
    rows = []
    for one in shown["coefficients"]:
        row = [
            one["term"], words.number(one["estimate"]), words.number(one["error"]),
            _interval(words, one["low"], one["high"]), words.p(one["p"]),
        ]  # fmt: skip
        if ratio:
            estimate, low, high = one[ratio]
            row.append(f"{words.number(estimate)} ({_interval(words, low, high)})")
        rows.append(row)
    yield _table([*head, words(ratio)] if ratio else head, rows)
    measure = "deviance" if "deviance" in shown else "likelihood"
    yield (
        _facts(shown, words, "patients", "events", "excluded", "sites")
        + " · "
        + words.fact(words(measure), words.number(shown[measure], 6))
    )


def _description(shown: Shown, words: Words) -> Iterator[str]:
    if shown["numbers"]:
        head = [words(name) for name in ("variable", "patients", "missing", "mean", "deviation", "range")]
        rows = [
            [
                one["variable"], words.count(one["patients"]), words.count(one["missing"]), words.number(one["mean"]),
                words.number(one["deviation"]),
                _interval(words, one["range"]["low"], one["range"]["high"]) if "range" in one else "–",
            ]
            for one in shown["numbers"]
        ]  # fmt: skip
        yield _table(head, rows)
    for one in shown["categories"]:
        named = {**one["levels"], words("missing"): one["missing"]}
        yield _table(
            [one["variable"], words("patients")], [[name, words.count(count)] for name, count in named.items()]
        )
    yield _facts(shown, words, "sites")


def _contingency(shown: Shown, words: Words) -> Iterator[str]:
    factors = shown["factors"]
    levels = [[*one["levels"], words("all")] for one in factors]
    if len(factors) == 1:
        rows = [[name, words.count(count)] for name, count in zip(levels[0], shown["cells"], strict=True)]
        yield _table([factors[0]["name"], words("patients")], rows)
    else:
        names = [one["name"] for one in factors[:-1]]
        rows = list(_rows(shown["cells"], levels, words))
        yield _table([*names, *(f"{factors[-1]['name']}={level}" for level in levels[-1])], rows, len(names))
    yield _facts(shown, words, "excluded", "sites") + _test(shown.get("test"), words)


def _rows(cells: Any, levels: Sequence[Sequence[str]], words: Words) -> Iterator[list[str]]:
    if len(levels) == 1:
        yield [words.count(count) for count in cells]
        return
    for level, below in zip(levels[0], cells, strict=True):
        for row in _rows(below, levels[1:], words):
            yield [level, *row]


def _test(test: Shown, words: Words) -> str:
    if not test:
        return ""
    if "p_under" in test:
        under = test["p_under"]
        return f" · p {'< ' + words.number(under) if under else '≥ ' + words.number(test['p_at_least'])}"
    named = {
        "chi-square": words.number(test["chi_square"]), "degrees of freedom": str(test["freedom"]),
    }  # fmt: skip
    told = [words.fact(words(name), value) for name, value in named.items()]
    return " · " + ", ".join([*told, words.fact("p", words.p(test["p"]))])


def _quantiles(shown: Shown, words: Words) -> Iterator[str]:
    head = [words(name) for name in ("probability", "estimate", "from", "to", "error")]
    keys = ("probability", "estimate", "low", "high", "error")
    yield words.fact(words("variable"), shown["variable"])
    yield _table(head, [[words.number(one[key]) for key in keys] for one in shown["quantiles"]])
    yield _facts(shown, words, "patients", "missing", "sites")


def _survival(shown: Shown, words: Words) -> Iterator[str]:
    head = [words(name) for name in ("group", "patients", "events", "median", "until")]
    rows = [
        [
            one["group"], words.count(one["patients"]), words.count(one["events"]), words.number(one["median"], 6),
            words.number(one["until"], 6),
        ]
        for one in shown["groups"]
    ]  # fmt: skip
    yield _table(head, rows)
    named = ["day", "survival", "standard error", "95 % interval"]
    for one in shown["groups"]:
        steps = [
            [
                str(s["day"]),
                words.number(s["survival"]),
                words.number(s["error"]),
                _interval(words, s["low"], s["high"]),
            ]
            for s in one["steps"]
        ]
        yield _table([words.fact(one["group"], words(named[0])), *map(words, named[1:])], steps)
    if "logrank" in shown:
        yield f"{words('log-rank')}{_test(shown['logrank'], words)}"
    yield _facts(shown, words, "excluded", "sites")


def _meta(shown: Shown, words: Words) -> Iterator[str]:
    head = [words(name) for name in ("site", "patients", "estimate", "95 % interval", "weight")]
    rows = [
        [
            one["site"], words.count(one["patients"]), words.number(one["estimate"]),
            _interval(words, one["low"], one["high"]), words.number(100 * one["weight"], 3) + " %",
        ]
        for one in shown["sites"]
    ]  # fmt: skip
    for name, key in (("fixed effect", "fixed"), ("random effects", "random")):
        one = shown[key]
        rows.append([words(name), "", words.number(one["estimate"]), _interval(words, one["low"], one["high"]), ""])
    if shown["prediction"]:
        rows.append([words("prediction"), "", "", _interval(words, *shown["prediction"]), ""])
    yield _table(head, rows)
    told = (
        f"Q {words.number(shown['q'])} (p {words.p(shown['q_p'])}), I² {words.number(100 * shown['i2'], 3)} %, "
        f"τ² {words.number(shown['tau2'])}"
    )
    yield words.fact(words("heterogeneity"), told)


_TELLERS: dict[str, Callable[[Shown, Words], Iterator[str]]] = {
    "glm": _model, "cox": _model, "describe": _description, "contingency": _contingency, "quantiles": _quantiles,
    "survival": _survival, "meta": _meta,
}  # fmt: skip
