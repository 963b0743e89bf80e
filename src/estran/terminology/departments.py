"""The départements of France by code (INSEE, code officiel géographique), in which a residence is told."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def departments() -> dict[str, str]:
    """Name by code, in order of code; Corsica as 2A and 2B, the five overseas ones with three digits."""
    text = (resources.files("estran.terminology") / "departments.tsv").read_text("utf-8")
    return dict(line.split("\t") for line in text.splitlines())
