"""Pictures of every page: `python -m tests.browser.screenshots DOCS [NAME...]`.

Drives a portal on the whole small site, and one on the hub of small hospitals, and writes DOCS/images/<page>-<language>-<theme>.png, with 256 colours: the pages
of every day in both languages and themes, the others in French and light, and in English and dark. Then DOCS/screenshots.md.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from tests.browser.captions import document
from tests.browser.hub_site import PAGES as HUB_PAGES
from tests.browser.hub_site import hub_site
from tests.browser.serving import ARGUMENTS, chromium, served
from tests.browser.whole_site import ENGINEER, PAGES, QUESTION, Opened, Whole, whole

SCREEN = {"width": 1440, "height": 900}
NAMES = {
    "/": "home", "/sign-in": "sign-in", "/search": "search", "/cohort": "cohort", "/cohort/patients": "patients", "/cohorts": "saved",
    "/documents/{document_id}": "document", "/patients/{patient_id}": "timeline", "/feeds": "feeds",
}  # fmt: skip
TWICE = (("fr", "light"), ("en", "dark"))
ALWAYS = (*TWICE, ("fr", "dark"), ("en", "light"))


def name_of(route: str) -> str:
    """The name of a page's pictures: /projects/{number}/committee is projects-committee, /projects/{number} projects-one."""
    if route in NAMES:
        return NAMES[route]
    parts = re.sub(r"(/\{[^}]*\})+$", "/one", route)
    return "-".join(part for part in parts.split("/") if part and "{" not in part)


def looks(route: str) -> tuple[tuple[str, str], ...]:
    """Languages and themes in which a page is pictured."""
    return ALWAYS if route in NAMES else TWICE


def file_of(route: str, language: str, theme: str) -> str:
    """The name of a picture."""
    return f"{name_of(route)}-{language}-{theme}.png"


def photograph(
    made: Whole, base: str, browser: Browser, folder: Path, names: list[str], of: Mapping[str, Opened]
) -> None:
    """Write the pictures of the pages of these names, among `of`; of all of them without a name."""
    folder.mkdir(parents=True, exist_ok=True)
    for language, theme in ALWAYS:
        pages: dict[str, Page] = {}
        for route, opened in of.items():
            if (names and name_of(route) not in names) or (language, theme) not in looks(route):
                continue
            if opened.login not in pages:
                pages[opened.login] = _window(made, base, browser, opened.login, language, theme)
            page = pages[opened.login]
            _open(page, base + made.address(opened), opened)
            _shoot(page, folder / file_of(route, language, theme), full=route == "/cohort")
        for page in pages.values():
            page.context.close()


def _window(made: Whole, base: str, browser: Browser, login: str, language: str, theme: str) -> Page:
    scheme = "dark" if theme == "dark" else "light"
    context = browser.new_context(viewport=SCREEN, locale=language, color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    if login:
        made.enter(context, base, login, language, theme)
    page = context.new_page()
    if login == ENGINEER and made.hub is None:
        _ask(page, base)
    return page


def _ask(page: Page, base: str) -> None:
    """Put a question on the desk, so that the cohort builder has something to show."""
    page.goto(base + "/cohort")
    page.locator("#as-text summary").click()
    page.fill("#question", QUESTION)
    page.locator("form[action='/cohort/text'] button").click()
    page.wait_for_selector("#total")


def _open(page: Page, address: str, opened: Opened) -> None:
    page.goto(address)
    page.wait_for_selector(opened.wait)
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(200)


def _shoot(page: Page, where: Path, full: bool) -> None:
    page.screenshot(path=str(where), full_page=full)
    with Image.open(where) as picture:
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(where, optimize=True)
    print(where, flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("docs", type=Path)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as kept, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        for pages, make in ((PAGES, whole), (HUB_PAGES, hub_site)):
            if options.names and not {name_of(route) for route in pages} & set(options.names):
                continue
            made = make(Path(kept) / make.__name__)
            with served(made.site, made.hub) as base:
                photograph(made, base, browser, options.docs / "images", options.names, pages)
            made.site.state.close()
        browser.close()
    text = document(lambda route: [(*look, file_of(route, *look)) for look in looks(route)])
    (options.docs / "screenshots.md").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
