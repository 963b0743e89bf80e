"""The reference of the airlock says what the rules and thresholds are."""

from __future__ import annotations

from pathlib import Path

from estran.release.airlock import PROFILES
from estran.release.airlock.rules import markdown

PAGE = (Path(__file__).parents[4] / "docs" / "reference" / "airlock.md").read_text("utf-8")


def test_the_page_has_every_rule_as_the_code_says_it() -> None:
    assert markdown() in PAGE


def test_the_page_has_every_profile_with_its_thresholds() -> None:
    for profile in PROFILES.values():
        assert f"| `{profile.name}` | 1 to {profile.floor - 1} | {profile.step or 'any'} |" in PAGE
