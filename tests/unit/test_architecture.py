"""The one-page architecture tells the truth: every `path:name` in it exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`([\w/.]+\.py)(?::(\w+))?`", PAGE)))


def _defined(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_what_the_page_names_exists(path: str, name: str) -> None:
    assert (ROOT / path).is_file(), f"{path} is not there"
    assert not name or name in _defined(ROOT / path), f"{path} has no {name}"


def test_the_page_names_enough_to_be_useful() -> None:
    assert len(NAMED) >= 25


def test_every_room_is_on_the_page() -> None:
    rooms = {p.name for p in (ROOT / "src" / "estran").iterdir() if (p / "__init__.py").is_file()}
    assert {room for room in rooms if f"`{room}`" not in PAGE} == set()


@pytest.mark.parametrize("page", ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"])
def test_links_of_the_papers_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text("utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []
