"""The reference page says what the program does."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from estran.cohort.language.text import parse
from estran.cohort.query import NODES

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "question.md").read_text("utf-8")
TABLES = PAGE.partition("## Joining")[2].partition("Options of a code")[0]
WRITTEN = [
    example
    for line in TABLES.splitlines()
    if line.startswith("| `")
    for cell in (line.split(" | ")[:2] if "## Criteria" not in TABLES[: TABLES.index(line)] else line.split(" | ")[:1])
    for example in re.findall(r"`([^`]+)`", cell)
]


@pytest.mark.parametrize("example", [*PAGE.partition("```\n")[2].partition("```")[0].splitlines(), *WRITTEN])
def test_examples_are_read(example: str) -> None:
    text = f"LOINC:1751-7{example}" if example[0] in "<>=" else example
    parse(re.sub(r"\b([ABC])\b", r"V:\1", text))


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.TAG)
def test_every_node_and_field_is_in_the_page(node: type) -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith("| `") and f"`{node.TAG}`" in line.split(" | ")[0])
    for field in fields(node):
        assert f"`{field.name}`" in line
