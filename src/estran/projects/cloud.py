"""Words that stand out: the concepts of a patient, or of a cohort, beside those of the whole site.

Of a patient, a concept weighs as a term does in a text: TF-IDF with a logarithmic term frequency (Salton and Buckley,
Inf. Process. Manag. 24, 1988), where the documents are the site's patients and the frequency is days.

Of a cohort, a concept weighs by its log-odds against the other patients of the site, with an informative Dirichlet
prior taken from the site, divided by its standard error (Monroe, Colaresi and Quinn, "Fightin' Words", Political
Analysis 16, 2008, equations 15 to 22; each patient counts once). What is drawn is computed from counts as the gate
shows them: a size can be turned back into a count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from estran.projects.concepts import Concept, ConceptShelf
from estran.projects.gate import Answer, ResultGate, Shown
from estran.projects.patients import Event, Timeline
from estran.warehouse import Snapshot

WORDS = 20  # of a cohort, each of which is one answer of the gate
OF_PATIENT = 30
SIZES = 6
KINDS = frozenset({"diagnosis", "procedure", "laboratory", "drug", "observation"})
_ADMINISTRATIVE = ("LOCAL/PMSI", "GHM", "GHS")
_CLOSER = 150  # concepts that noise may bring among the words
_PRIOR = 10.0  # patients that the prior is worth
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Word:
    """A concept of a cloud. `size` goes from 1 to SIZES with the weight; `inside` counts patients of the cohort, or
    days of the patient; `site` counts patients of the site."""

    concept: Concept
    weight: float
    size: int
    inside: Shown
    site: Shown


class Prevalence:
    """How many visible patients of a snapshot have each concept itself (not what is below it)."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.population = snapshot.population()
        self.ids, self.counts = self.among(self.population)

    def among(self, patients: BitMap) -> tuple[Ints, Ints]:
        """The concepts that somebody in the site has, sorted, with their number of `patients`."""
        counts: Counter[int] = Counter()
        for bucket in self._snapshot.buckets:
            presence = self._snapshot.presence(bucket)
            for concept in presence.held().tolist():  # by number: what the scope or the perimeter closes is not in a pair
                counts[concept] += presence.pair(concept)[0].intersection_cardinality(patients)
        ids = np.array(sorted(counts), np.int64)
        return ids, np.array([counts[concept] for concept in ids.tolist()], np.int64)

    def of(self, concept: int) -> int:
        """Of one concept."""
        place = int(np.searchsorted(self.ids, concept))
        return int(self.counts[place]) if place < len(self.ids) and self.ids[place] == concept else 0

    def patients(self, concept: int) -> BitMap:
        """Who has it."""
        parts = [self._snapshot.presence(bucket).patients([concept]) for bucket in self._snapshot.buckets]
        return BitMap.union(*parts) & self.population if parts else BitMap()


def log_odds(inside: Floats, outside: Floats, sizes: tuple[float, float]) -> Floats:
    """Weight of each concept: patients who have it in the cohort and outside of it; `sizes` of both.

    In standard errors: above 0 it stands out, above 1.96 it is not to be had by chance nineteen times out of twenty.
    """
    share = (inside + outside) / max(sum(sizes), 1)
    prior = _PRIOR * np.clip(share, 1e-6, 1 - 1e-6)
    odds = [
        np.log((have + prior) / np.maximum(size - have + _PRIOR - prior, 1e-6))
        for have, size in zip((inside, outside), sizes, strict=True)
    ]
    weights: Floats = (odds[0] - odds[1]) / np.sqrt(1 / (inside + prior) + 1 / (outside + prior))
    return weights


def of_cohort(
    prevalence: Prevalence, shelf: ConceptShelf, gate: ResultGate, patients: BitMap, answer: Answer,
    but: Collection[tuple[str, str]] = (),
) -> tuple[Word, ...]:  # fmt: skip
    """The words of an answered set, the heaviest first; none of `but`, the codes that the question names.

    Which words come forward is decided on noisy counts too, so that a word that comes or goes tells of nobody.
    Raises NotAllowed when a quota is used up.
    """
    if answer.shown.below:
        return ()
    near = _closest(prevalence, shelf, patients, but)
    counts = {str(concept.concept_id): count for concept, count in near}
    noisy = gate.cells(answer, "cloud", counts)
    known = shelf.of_ids(int(number) for number in noisy)  # of a set close by, when it was asked before
    first = [known[number] for number in _heaviest(prevalence, noisy, answer.shown) if number in known][:WORDS]
    shown = gate.answers({one.concept_id: prevalence.patients(one.concept_id) & patients for one in first})
    told = [(one, shown[one.concept_id].shown) for one in first if not shown[one.concept_id].shown.below]
    return _words(prevalence, gate, told, answer.shown)


def _closest(
    prevalence: Prevalence, shelf: ConceptShelf, patients: BitMap, but: Collection[tuple[str, str]]
) -> list[tuple[Concept, int]]:
    """The concepts that may become words, with their patients."""
    ids, inside = prevalence.among(patients)
    everybody = prevalence.counts.astype(float)
    sizes = float(len(patients)), float(len(prevalence.population) - len(patients))
    weights = log_odds(inside.astype(float), everybody - inside, sizes)
    found: list[tuple[Concept, int]] = []
    order = [place for place in np.argsort(-weights, kind="stable").tolist() if weights[place] > 0][: 4 * _CLOSER]
    known = shelf.of_ids(ids[order].tolist())
    for place in order:
        concept = known.get(int(ids[place]))
        if concept and _telling(concept) and (concept.vocabulary, concept.code) not in but:
            found.append((concept, int(inside[place])))
    return found[:_CLOSER]


def _heaviest(prevalence: Prevalence, noisy: Mapping[str, Shown], total: Shown) -> list[int]:
    ids = [int(number) for number, one in noisy.items() if not one.below]
    inside = np.array([noisy[str(number)].value for number in ids], float)
    weights = _weights(inside, [prevalence.of(number) for number in ids], total.value, len(prevalence.population))
    return [ids[place] for place in np.argsort(-weights, kind="stable").tolist() if weights[place] > 0]


def _weights(inside: Floats, site: Iterable[int], size: int, population: int) -> Floats:
    inside = np.minimum(inside, size)
    outside = np.maximum(np.array(list(site), float) - inside, 0)
    return log_odds(inside, outside, (float(size), float(max(population - size, 1))))


def _words(
    prevalence: Prevalence, gate: ResultGate, told: list[tuple[Concept, Shown]], total: Shown
) -> tuple[Word, ...]:
    site = [_of_site(prevalence, gate, concept.concept_id) for concept, _ in told]
    everybody = gate.show(len(prevalence.population), "population")
    inside = np.array([shown.value for _, shown in told], float)
    weights = _weights(inside, [one.value for one in site], total.value, everybody.value)
    return _sized([(concept, weight, shown, beside) for (concept, shown), weight, beside in zip(told, weights.tolist(), site, strict=True)])


def of_patient(prevalence: Prevalence, shelf: ConceptShelf, gate: ResultGate, found: Timeline) -> tuple[Word, ...]:
    """The words of a patient whose timeline was read, the heaviest first."""
    days = Counter(code for code, _ in {(event.code, event.start.date) for event in _coded(found.events)})
    known = shelf.of_codes(_pair(code) for code in days)
    everybody = gate.show(len(prevalence.population), "population")
    words = []
    for code, count in days.items():
        concept = known.get(_pair(code))
        if concept is not None and _telling(concept):
            site = _of_site(prevalence, gate, concept.concept_id)
            rare = np.log(max(everybody.value, 2) / max(min(site.value, everybody.value), site.below / 2, 1))
            words.append((concept, float((1 + np.log(count)) * rare), Shown(count), site))
    return _sized(words)


def _telling(concept: Concept) -> bool:
    """Whether a concept says something of patients: how a stay was invoiced does not."""
    return concept.kind in KINDS and not concept.vocabulary.startswith(_ADMINISTRATIVE)


def _coded(events: Iterable[Event]) -> Iterable[Event]:
    return (event for event in events if event.code)


def _pair(code: str) -> tuple[str, str]:
    """Vocabulary and code as an event tells them; a local vocabulary holds no colon either."""
    vocabulary, _, rest = code.partition(":")
    return vocabulary, rest


def _of_site(prevalence: Prevalence, gate: ResultGate, concept: int) -> Shown:
    return gate.show(prevalence.of(concept), f"concept/{concept}/own")


def _sized(words: list[tuple[Concept, float, Shown, Shown]]) -> tuple[Word, ...]:
    """With the weight as a size, between the lightest and the heaviest."""
    words = sorted((one for one in words if one[1] > 0), key=lambda one: (-one[1], one[0].concept_id))[:OF_PATIENT]
    if not words:
        return ()
    low, high = words[-1][1], words[0][1]
    places = [(weight - low) / (high - low) if high > low else 0.5 for _, weight, _, _ in words]
    return tuple(
        Word(concept, weight, 1 + int((SIZES - 1) * place + 0.5), inside, site)
        for (concept, weight, inside, site), place in zip(words, places, strict=True)
    )
