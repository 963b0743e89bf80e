"""The page and the picture of the reference are those that the table makes."""

from __future__ import annotations

import re
from pathlib import Path

from lxml import etree

from estran.projects.life.drawing import drawn, markdown
from estran.projects.life.machine import TABLE, Stage

REFERENCE = Path(__file__).parents[4] / "docs" / "reference"


def test_the_page_is_the_generated_one() -> None:
    assert (REFERENCE / "projects.md").read_text("utf-8") == markdown(), "estran project machine --markdown"


def test_the_picture_is_the_generated_one_and_shows_every_change_of_stage() -> None:
    text = (REFERENCE / "project-life.svg").read_text("utf-8")
    assert text == drawn(), "estran project machine --svg"
    words = " ".join(etree.fromstring(text.encode()).itertext())
    assert all(str(stage) in words for stage in Stage)
    assert all(re.search(rf"\b{move.step}\b", words) for move in TABLE if move.to and move.sources)
