"""Engines: the memory engine is the truth, the others must agree with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from estran.cohort.engines.duckdb import DuckDBEngine
from estran.cohort.engines.memory import MemoryEngine
from estran.cohort.engines.outcome import Breakdown, Engine, Match, Outcome, Step

if TYPE_CHECKING:
    from estran.warehouse import Snapshot

ENGINES: dict[str, Callable[[Snapshot], Engine]] = {"duckdb": DuckDBEngine, "memory": MemoryEngine}

__all__ = ["ENGINES", "Breakdown", "DuckDBEngine", "Engine", "Match", "MemoryEngine", "Outcome", "Step"]
