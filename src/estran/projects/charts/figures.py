"""The figures of a review: agreement of its readers, and how right the cohort that it came from is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from estran.projects.charts.agreement import cohen_kappa, fleiss_kappa, krippendorff_alpha
from estran.projects.charts.forms import Form, Item, Kind
from estran.projects.charts.intervals import Estimate, ratio, wilson
from estran.projects.charts.labels import spans_of
from estran.projects.charts.results import Chart, Text, Verdict
from estran.projects.charts.span_agreement import Both, span_f1
from estran.state import ListRecord

ORDER = tuple(Verdict)


@dataclass(frozen=True)
class Figure:
    """One measure of one thing: `about` is "verdict", an item or a label, "" for all labels; `kind` names the measure."""

    about: str
    kind: str
    estimate: Estimate


@dataclass(frozen=True)
class Agreement:
    """All of them, and the table of verdicts of two readers: rows the first, columns the second, in the order of ORDER."""

    figures: tuple[Figure, ...]
    same: Estimate  # the share of patients of whom all readers said the same
    table: tuple[tuple[int, ...], ...]
    readers: tuple[str, ...]  # of the table, when the same two read everything


def agreement(form: Form, charts: Sequence[Chart], texts: Sequence[Text]) -> Agreement:
    """How far readers agree on what was read more than once, whatever was settled since.

    With two readings: Cohen's kappa of verdicts, plain and linearly weighted (exclude, doubt, include), of items with
    choices, alpha of numbers, F1 of spans. With three: Fleiss' kappa and Krippendorff's alpha.
    """
    read = [one.readings for one in charts if len(one.readings) > 1]
    said = [[one.verdict for one in readings] for readings in read]
    figures = [*_verdicts(said), *(one for item in form.items for one in _item(item, charts)), *_spans(form, texts)]
    pairs = [(one[0], one[1]) for one in said if len(one) == 2]
    table = tuple(tuple(pairs.count((a, b)) for b in ORDER) for a in ORDER)
    people = {tuple(one.login for one in readings) for readings in read}
    names = next(iter(people)) if len(people) == 1 else ()
    same = wilson(sum(len(set(one)) == 1 for one in said), len(said))
    return Agreement(tuple(figures), same, table if pairs else (), names if len(names) == 2 else ())


def _verdicts(said: Sequence[Sequence[str]]) -> list[Figure]:
    pairs = [(one[0], one[1]) for one in said if len(one) == 2]
    if not said:
        return []
    if len(pairs) < len(said):
        many = [one for one in said if len(one) > 1]
        return [Figure("verdict", "fleiss", fleiss_kappa(many)), Figure("verdict", "alpha", krippendorff_alpha(many))]
    return [Figure("verdict", "kappa", cohen_kappa(pairs)), Figure("verdict", "weighted", cohen_kappa(pairs, ORDER, 1))]


def _item(item: Item, charts: Sequence[Chart]) -> list[Figure]:
    """Agreement on one item, where at least two readers answered it."""
    answers = [[r.answers[item.id] for r in one.readings if item.id in r.answers] for one in charts]
    both = [one for one in answers if len(one) > 1]
    if not both or item.kind in (Kind.TEXT, Kind.CHOICES):
        return []
    if item.kind in (Kind.INTEGER, Kind.NUMBER):
        return [Figure(item.id, "alpha_interval", krippendorff_alpha(both, interval=True))]
    if all(len(one) == 2 for one in both) and item.options:
        return [Figure(item.id, "kappa", cohen_kappa([(one[0], one[1]) for one in both]))]
    return [Figure(item.id, "alpha", krippendorff_alpha(both))]


def _spans(form: Form, texts: Sequence[Text]) -> list[Figure]:
    pairs = [Both(spans_of(a.spans), spans_of(b.spans)) for t in texts if len(t.markings) == 2 for a, b in [t.markings]]
    if not pairs:
        return []
    labels = ["", *(one.id for one in form.labels)] if len(form.labels) > 1 else [""]
    kinds = (("f1_exact", False), ("f1_overlap", True))
    found = [Figure(label, kind, span_f1(pairs, overlap, label)) for label in labels for kind, overlap in kinds]
    return [one for one in found if one.estimate.value is not None]


@dataclass(frozen=True)
class Accuracy:
    """How right a cohort is against what the review holds.

    Doubts that hold, and patients still waiting, are counted apart and in no figure. Sensitivity and specificity need
    a random sample outside the cohort, and the sizes of both, as they were shown.
    """

    predictive: Estimate  # positive predictive value
    negative: Estimate  # negative predictive value
    sensitivity: Estimate
    specificity: Estimate
    doubtful: int
    waiting: int
    sampled: bool


def accuracy(record: ListRecord, charts: Sequence[Chart]) -> Accuracy:
    """Wilson's intervals for the predictive values; for the two others those recovered from them (see `ratio`)."""
    held = [(one.patient.selected, one.holds.verdict) for one in charts if one.holds]

    def count(selected: bool, verdict: Verdict) -> int:
        return held.count((selected, verdict))

    right, wrong = count(True, Verdict.INCLUDE), count(True, Verdict.EXCLUDE)
    missed, rightly = count(False, Verdict.INCLUDE), count(False, Verdict.EXCLUDE)
    predictive, negative = wilson(right, right + wrong), wilson(rightly, rightly + missed)
    size, rest = record.selected, record.others
    found = _caught(ratio(wilson(missed, missed + rightly), predictive), rest, size)
    left = _caught(ratio(wilson(wrong, right + wrong), negative), size, rest)
    doubtful = sum(verdict == Verdict.DOUBT for _, verdict in held)
    return Accuracy(predictive, negative, found, left, doubtful, len(charts) - len(held), record.sampled)


def _caught(odds: Estimate, other: int, own: int) -> Estimate:
    """own / (own + other x ratio): the share of the true ones that is on their own side."""
    if odds.value is None or not own or not other:
        return Estimate(None)
    low, value, high = (None if x is None else own / (own + other * x) for x in (odds.high, odds.value, odds.low))
    return Estimate(value, 0.0 if low is None else low, high, odds.n)
