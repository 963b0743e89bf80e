"""A notebook is opened, computes a table, tries to speak elsewhere; the airlock refuses a cell of 3 and lets the corrected table out."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.browser.serving import Portal, sign_in
from tests.browser.test_pages import serious

from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.workspaces import bubblewrap
from estran.projects.workspaces.driver import Workspaces
from estran.projects.workspaces.spaces import folders_of, provide

PROJECT = 7
TABLE = "import estran\npatients = estran.load('patients')\ntable = patients.groupby('ward').size().rename('n').reset_index()\n"
CELLS = [
    TABLE + "estran.hand_in(table, 'table.csv')\ntable",
    "estran.hand_in(estran.protect(table), 'corrected.csv')\n'written'",
    'from IPython.display import HTML\nHTML(\'<img src="http://127.0.0.1:%d/x.png"><script>fetch("http://127.0.0.1:%d/y")</script>\')',
]


def ready(portal: Portal) -> str:
    """Why a real notebook cannot be opened here; "" when it can."""
    if lack := bubblewrap.missing():
        return lack
    try:
        bubblewrap.python_of(portal.site.settings)
    except UsageError as error:
        return str(error)
    return ""


@pytest.fixture
def elsewhere() -> Iterator[tuple[int, list[bytes]]]:
    """Another server of the network, and what reached it."""
    opened, reached = socket.create_server(("127.0.0.1", 0)), list[bytes]()

    def listen() -> None:
        while True:
            try:
                found, _ = opened.accept()
            except OSError:
                return
            reached.append(found.recv(100))
            found.close()

    threading.Thread(target=listen, daemon=True).start()
    yield opened.getsockname()[1], reached
    opened.close()


@pytest.fixture
def project(portal: Portal, elsewhere: tuple[int, list[bytes]], tmp_path: Path) -> Iterator[Path]:
    """The folder `out/` of a project of the researcher's, with a notebook at home."""
    if lack := ready(portal):
        pytest.skip(lack)
    site = portal.site
    before, site.settings = site.settings, dataclasses.replace(site.settings, workspace_port=0)
    (tmp_path / "datamart").mkdir()
    rows = ["CARD"] * 42 + ["DIAB"] * 27 + ["HEP"] * 3
    (tmp_path / "datamart" / "patients.csv").write_text(
        "ward,age\n" + "".join(f"{ward},{60 + n % 9}\n" for n, ward in enumerate(rows))
    )
    researcher = site.state.accounts.find("researcher")
    assert researcher is not None
    provide(site, KEY_HOLDER, PROJECT, "Insuffisance cardiaque", tmp_path / "datamart", [researcher.id])
    port = elsewhere[0]
    cells = [cell % (port, port) if "%d" in cell else cell for cell in CELLS]
    book = {
        "cells": [{"cell_type": "code", "metadata": {}, "source": cell, "outputs": [], "execution_count": None} for cell in cells],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}, "nbformat": 4, "nbformat_minor": 4,
    }  # fmt: skip
    (folders_of(site, PROJECT).home / "table.ipynb").write_text(json.dumps(book))
    yield folders_of(site, PROJECT).out
    Workspaces(site).stop(KEY_HOLDER, PROJECT)
    site.settings = before


def person(
    browser: Browser, portal: Portal, login: str, language: str = "fr", theme: str = "light"
) -> tuple[BrowserContext, Page]:
    account = portal.site.state.accounts.find(login)
    assert account is not None
    portal.site.state.accounts.change(account.id, language=language, theme=theme)
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    sign_in(page, portal.base, login)
    return context, page


def run_notebook(page: Page, out: Path) -> None:
    """As the researcher does: open the notebook of the file list, run all of it."""
    lab = page.frame_locator("iframe.lab")
    lab.get_by_text("table.ipynb", exact=True).first.dblclick()
    lab.locator(".jp-Notebook .jp-Cell").first.click()
    lab.get_by_role("menuitem", name="Run", exact=True).click()
    lab.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    until = time.monotonic() + 240
    while not (out / "corrected.csv").exists() and time.monotonic() < until:
        page.wait_for_timeout(500)
    assert (out / "table.csv").read_text() == "ward,n\nCARD,42\nDIAB,27\nHEP,3\n"
    assert (out / "corrected.csv").read_text() == "ward,n\nCARD,40\nDIAB,25\nHEP,[REDACTED]\n"


def hand_in(page: Page, portal: Portal, name: str) -> None:
    page.goto(f"{portal.base}/spaces/{PROJECT}")
    page.get_by_label(name).check()
    page.get_by_label("À quoi ils servent").fill("Tableau 1 de l’article")
    page.get_by_role("button", name="Rendre").press("Enter")
    page.wait_for_url("**/airlock/*")


def test_from_a_notebook_to_a_released_table(
    browser: Browser, portal: Portal, project: Path, elsewhere: tuple[int, list[bytes]]
) -> None:
    context, page = person(browser, portal, "researcher")
    page.goto(portal.base + "/spaces")
    page.get_by_role("link", name="Insuffisance cardiaque").click()
    assert serious(page) == []
    page.get_by_role("button", name="Démarrer").click()
    expect(page.get_by_text("démarre")).to_be_visible()
    page.get_by_role("link", name="Ouvrir le notebook").click()
    run_notebook(page, project)
    page.wait_for_timeout(3_000)
    assert elsewhere[1] == [], "what the notebook shows asked another address"

    hand_in(page, portal, "table.csv")
    expect(page.get_by_text("L'effectif 3 est inférieur à 10.")).to_be_visible()
    expect(page.locator("td.marked")).to_have_count(3)
    assert serious(page) == []
    hand_in(page, portal, "corrected.csv")
    expect(page.get_by_text("Les vérifications n’ont rien trouvé.")).to_be_visible()
    address = page.url

    other, checker = person(browser, portal, "methodologist", "en", "dark")
    checker.goto(portal.base + "/airlock")
    assert serious(checker) == []
    checker.get_by_role("link", name=f"Request {address.rsplit('/', 1)[-1]}", exact=True).click()
    checker.get_by_label("Reason, kept with the request").fill("Counts are redacted and rounded.")
    assert serious(checker) == []
    checker.get_by_role("button", name="Let them leave").press("Enter")
    expect(checker.get_by_text("Counts are redacted and rounded.")).to_be_visible()
    other.close()

    page.reload()
    with page.expect_download() as download:
        page.get_by_role("link", name="Récupérer corrected.csv").click()
    assert Path(download.value.path()).read_text() == (project / "corrected.csv").read_text()
    page.goto(f"{portal.base}/spaces/{PROJECT}")
    page.get_by_role("button", name="Arrêter").click()
    expect(page.get_by_text("arrêté")).to_be_visible()
    context.close()
