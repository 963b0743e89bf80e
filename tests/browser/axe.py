"""axe-core on a page: every rule of WCAG 2.2 A and AA, and the best practices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
COLOURS = ("color-contrast", "link-in-text-block")  # the rules that see a theme
_RUN = """async rules => {
    const runOnly = rules.length ? {type: "rule", values: rules} : {type: "tag", values: %s};
    const found = await axe.run({runOnly, resultTypes: ["violations"], preload: false, elementRef: false});
    return found.violations.map(one => [one.id, one.impact, one.nodes.map(node => node.html.slice(0, 160))]);
}""" % list(TAGS)  # noqa: UP031 (the braces are JavaScript's)
Found = list[tuple[str, str, list[str]]]


def violations(page: Page, rules: Sequence[str] = ()) -> Found:
    """What axe-core finds, of any impact: rule, impact, and where. `rules` instead of all of them."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(Axe().axe_script)
    found: list[Any] = page.evaluate(_RUN, list(rules))
    return [(rule, impact, where) for rule, impact, where in found]


def in_the_dark(page: Page) -> Found:
    """What the rules of colour find in the dark theme, without loading the page again: a theme is nothing but CSS."""
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    return violations(page, COLOURS)
