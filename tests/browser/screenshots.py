"""Pictures of every page: `python -m tests.browser.screenshots ADDRESS LOGIN PASSWORD FOLDER [--document N] [--patient N]`.

Drives a portal that is being served; writes FOLDER/<page>-<language>-<theme>.png. The cohort pictured is given
with --question, in the text form. The account's language and theme are left as they were found last.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright
from tests.browser.serving import ARGUMENTS, chromium, sign_in

LANGUAGES, THEMES = ("fr", "en"), ("light", "dark")
SCREEN = {"width": 1440, "height": 900}
QUESTION = "CIM10:I50 (CIM10:E11 OU LOINC:4548-4>=6.5) âge>=50 SAUF CIM10:K74.6"


def pages(words: str, document: int, patient: int) -> Iterator[tuple[str, str]]:
    """Name and address of each page."""
    yield from [
        ("home", "/"), ("search", f"/search?q={quote(words)}"), ("cohort", "/cohort"), ("patients", "/cohort/patients"),
        ("saved", "/cohorts"), ("document", f"/documents/{document}?q={quote(words)}"), ("timeline", f"/patients/{patient}"),
        ("feeds", "/feeds"),
    ]  # fmt: skip


def settle(page: Page, name: str) -> None:
    if name == "cohort":
        page.wait_for_selector("#total")
    if name == "timeline":
        page.wait_for_selector("patient-timeline[data-painted]")
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(300)


def choose(page: Page, base: str, language: str, theme: str) -> None:
    """Set language and theme in the account menu."""
    page.goto(base + "/")
    for field, value in (("language", language), ("theme", theme)):
        page.locator("#account summary").click()
        page.locator(f"button[name={field}][value={value}]").click()
        page.wait_for_load_state()


def ask(page: Page, base: str, question: str, name: str) -> None:
    """Put the question on the desk and save it once, so that the list of cohorts has something to show."""
    page.goto(base + "/cohort")
    page.locator("#as-text summary").click()
    page.fill("#question", question)
    page.locator("form[action='/cohort/text'] button").click()
    page.wait_for_load_state()
    page.goto(base + "/cohorts")
    if page.locator("section.card").count() == 0:
        page.goto(base + "/cohort")
        page.wait_for_selector("#total")
        page.locator("#save").click()
        page.fill("#cohort-name", name)
        page.fill("#cohort-note", "Première version, pour l'étude de faisabilité")
        page.locator("#saving .main").click()
        page.wait_for_load_state()


def photograph(base: str, login: str, password: str, folder: Path, options: argparse.Namespace) -> list[Path]:
    """Write the pictures; returns where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        written += list(doors(browser, base, folder))
        page = browser.new_context(viewport=SCREEN, locale="fr-FR").new_page()
        page.goto(base + "/sign-in")
        sign_in(page, base, login, password)
        ask(page, base, options.question, options.name)
        for language in LANGUAGES:
            for theme in THEMES:
                choose(page, base, language, theme)
                for name, path in pages(options.words, options.document, options.patient):
                    page.goto(base + path)
                    settle(page, name)
                    written.append(shoot(page, folder / f"{name}-{language}-{theme}.png", name == "cohort"))
        browser.close()
    return written


def doors(browser: Browser, base: str, folder: Path) -> Iterator[Path]:
    """The sign-in page, which follows the browser's language and theme."""
    for language in LANGUAGES:
        for theme in THEMES:
            context = browser.new_context(viewport=SCREEN, locale=language, color_scheme=theme)
            page = context.new_page()
            page.goto(base + "/sign-in")
            page.evaluate("document.fonts.ready")
            yield shoot(page, folder / f"sign-in-{language}-{theme}.png")
            context.close()


def shoot(page: Page, where: Path, whole: bool = False) -> Path:
    page.screenshot(path=str(where), full_page=whole)
    return where


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("address", "login", "password", "folder"):
        parser.add_argument(name)
    parser.add_argument("--document", type=int, default=0)
    parser.add_argument("--patient", type=int, default=1)
    parser.add_argument("--words", default="insuffisance cardiaque")
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--name", default="Insuffisance cardiaque et diabète")
    options = parser.parse_args()
    for path in photograph(options.address.rstrip("/"), options.login, options.password, Path(options.folder), options):
        print(path)


if __name__ == "__main__":
    main()
