"""Asking a question of every engine, in the text form."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from tests.engines.tables import dataset

from estran.cohort.engines import ENGINES, Engine, Outcome
from estran.cohort.language.text import parse
from estran.warehouse import Snapshot

Ask = Callable[[str, str], Outcome]
each_engine = pytest.mark.parametrize("engine", list(ENGINES))


class Hospital:
    """A dataset in a real warehouse with three patients per bucket, and every engine over it."""

    def __init__(self, **tables: str) -> None:
        self.snapshot: Snapshot = dataset(**tables).write(Path(mkdtemp()) / "warehouse")
        self.engine: Callable[[str], Engine] = lru_cache(lambda name: ENGINES[name](self.snapshot))

    def ask(self, engine: str, question: str) -> Outcome:
        return self.engine(engine).run(parse(question))

    def patients(self, engine: str, question: str) -> list[int]:
        return list(self.ask(engine, question).patients)


def chapter(*cases: tuple[str, list[int]]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Every question of a chapter, with the patients it must find, on every engine."""

    def apply(test: Callable[..., None]) -> Callable[..., None]:
        return each_engine(pytest.mark.parametrize(("question", "patients"), cases)(test))

    return apply
