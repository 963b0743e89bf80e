"""The checklist of OWASP ASVS: each piece of evidence that it names exists, and its figures are those of its lines."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "asvs.md").read_text("utf-8")
STATES = ("met", "partly", "not met", "not applicable")
LINES = re.findall(r"^\| (\d+\.\d+\.\d+) \| ([12]) \| ([a-z ]+) \| (.+) \|$", PAGE, re.M)
EVIDENCE = sorted(set(re.findall(r"`((?:src|tests)/[\w/]+\.py):(\w+)`", PAGE)))


@cache
def names(path: str) -> frozenset[str]:
    """Functions, methods, classes and constants of a file."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(found)


@pytest.mark.parametrize(("path", "name"), EVIDENCE)
def test_the_evidence_exists(path: str, name: str) -> None:
    assert name in names(path)


def test_every_requirement_stands_once_with_a_state() -> None:
    numbers = [number for number, *_ in LINES]
    assert len(numbers) == len(set(numbers)) == PAGE.count("\n| ") - PAGE.count("| Requirement |")
    assert {state for _, _, state, _ in LINES} <= set(STATES)
    assert {int(number.split(".")[0]) for number in numbers} == set(range(1, 18))


def test_what_is_met_says_why() -> None:
    for number, _, state, why in LINES:
        assert len(why) > 8 or state == "not applicable", number
        if state == "met":
            assert re.search(r"`|\]\(|There are none|The portal starts|memory is managed", why), number


def test_the_figures_are_those_of_the_lines() -> None:
    counted = Counter(state for _, _, state, _ in LINES)
    said = re.search(r"Of (\d+) requirements.*: (\d+) met, (\d+) partly, (\d+) not met, (\d+) not applicable", PAGE)
    assert said
    assert [int(n) for n in said.groups()] == [len(LINES), *(counted[state] for state in STATES)]


def test_pages_that_are_named_exist() -> None:
    for target in set(re.findall(r"\]\(([\w./-]+\.md)\)", PAGE)):
        assert (ROOT / "docs" / "reference" / target).resolve().is_file(), target
