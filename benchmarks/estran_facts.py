"""The questions asked of Estran: the real engine over the real store, warm."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from benchmarks import machine, questions
from benchmarks.facts import Size
from benchmarks.store import footprint, settings
from benchmarks.timing import timed, timed_each
from estran.cohort.engines import DuckDBEngine
from estran.cohort.language.text import parse
from estran.projects.concepts import ConceptShelf
from estran.projects.patients import read_timeline
from estran.warehouse import Snapshot, Warehouse

PATIENTS_READ = 200
OTHERS = 9  # further Boolean questions, no concept of which was asked about before


def measure(size: Size, directory: Path) -> dict[str, Any]:
    """Timings in milliseconds and counts of every question."""
    snapshot = Warehouse.open(directory, settings(size)).snapshot()
    started = time.perf_counter()
    engine = DuckDBEngine(snapshot)
    found: dict[str, Any] = {"footprint": footprint(snapshot), "counts": {}, "times": {}, "load": machine.load()}
    for question in questions.COUNTED:
        node = parse(question.text)
        found["times"][question.name] = timed(lambda node=node: engine.run(node))
        found["counts"][question.name] = len(engine.run(node))
    others = [parse(questions.another_boolean(n)) for n in range(1, OTHERS + 1)]
    found["times"]["boolean_other"] = timed_each(engine.run, others)
    found["times"]["reading"] = timed(lambda: parse(questions.BOOLEAN.text))
    found |= {"open_s": time.perf_counter() - started}
    _breakdowns(engine, found)
    _timelines(snapshot, size, found)
    found["buckets"] = len(snapshot.buckets)
    found["memory_mb"] = machine.memory_mb()
    return found


def _breakdowns(engine: DuckDBEngine, found: dict[str, Any]) -> None:
    for name, text in (("breakdown", questions.BOOLEAN.text), ("everyone", "tous()")):
        node = parse(text)
        found["times"][name] = timed(lambda node=node: engine.run(node).breakdown)
        cells = engine.run(node).breakdown.sex_age
        found["counts"][name] = sorted([sex, band, count] for (sex, band), count in cells.items())


def _timelines(snapshot: Snapshot, size: Size, found: dict[str, Any]) -> None:
    chance = random.Random(7)
    chosen = chance.sample(range(size.patients), 2 * PATIENTS_READ)
    shelf = ConceptShelf(snapshot)

    def facts_and_labels(patient: int) -> None:
        rows = snapshot.patient_facts(patient)
        shelf.of_ids(rows.column("concept_id").to_pylist())
        rows.to_pylist()

    found["times"]["timeline"] = timed_each(facts_and_labels, chosen[:PATIENTS_READ])
    found["times"]["page"] = timed_each(lambda p: read_timeline(snapshot, shelf, p), chosen[PATIENTS_READ:])
    found["counts"]["timeline"] = [len(snapshot.patient_facts(p)) for p in chosen[:PATIENTS_READ]]
    found["patients_read"] = chosen[:PATIENTS_READ]
