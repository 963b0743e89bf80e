"""A review played by four people: two read blind, one settles, kappa is shown, the result is asked about."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect
from tests.browser.keys import Keys
from tests.browser.review_form import FORM
from tests.browser.serving import Opener, Portal, Watch
from tests.browser.small_site import PASSWORD
from tests.browser.test_pages import serious

from estran.cohort.language.text import parse
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.sign_in import create_account


@pytest.fixture(scope="module")
def people(portal: Portal) -> None:
    for login in ("anne", "bruno", "chloe"):
        create_account(portal.site.state, KEY_HOLDER, login, PASSWORD, Role.CLINICIAN)
    account = portal.site.state.accounts.find("methodologist")
    assert account
    Desk(ReadingRoom(portal.site), Actor.of(account)).save("Insuffisance cardiaque codée", parse("CIM10:I50"), "")


def made(open_page: Opener) -> None:
    """The methodologist writes the form, with a mistake first, and makes the list."""
    page = open_page("/reviews/forms", login="methodologist")
    page.get_by_label("Formulaire, en TOML ou en JSON").fill(FORM.replace("max = 2000", "max = 5"))
    page.get_by_role("button", name="Garder le formulaire").click()
    expect(page.get_by_role("alert")).to_contain_text("Ligne 28 : L’intervalle finit avant de commencer.")
    page.get_by_label("Formulaire, en TOML ou en JSON").fill(FORM)
    page.get_by_role("button", name="Garder le formulaire").click()
    expect(page.locator("details summary", has_text="Insuffisance cardiaque")).to_be_visible()
    assert serious(page) == []
    page.goto(page.url.replace("/forms", "/new"))
    page.get_by_label("Nom de la liste").fill("Relecture IC")
    page.get_by_label("Tirés au hasard (0 : tous)").fill("4")
    page.get_by_label("Tirés hors de la cohorte").fill("2")
    page.get_by_label("Formulaire", exact=True).select_option(label="Insuffisance cardiaque, version 1")
    for login in ("anne", "bruno"):
        page.get_by_label(f"{login} relit").check()
    page.get_by_label("chloe arbitre").check()
    assert serious(page) == []
    page.get_by_role("button", name="Faire la liste").click()
    expect(page.get_by_role("heading", name="Relecture IC")).to_be_visible()


def read(page: Page, keys: str) -> None:
    """Decide by keyboard alone."""
    page.get_by_role("link", name=re.compile("Patient suivant|Next patient")).click()
    for place, key in enumerate(keys, start=1):
        expect(page.locator(".over")).to_contain_text(re.compile(rf"(Lus : |Read: ){place - 1} "))
        page.wait_for_load_state()  # until then the page does not hear its keys
        if key == "e":
            page.keyboard.press("e")
        else:
            page.locator("[name=item-failure][value=yes]").check()
            page.keyboard.press("i")


def test_two_blind_readers_a_dispute_its_end_kappa_and_the_result(
    open_page: Opener, portal: Portal, people: None, watch: Watch
) -> None:
    made(open_page)
    anne = open_page("/reviews", login="anne")
    assert serious(anne) == []
    anne.get_by_role("link", name="Relire Relecture IC").click()
    anne.get_by_role("link", name="Patient suivant à lire").click()
    expect(anne.locator("canvas")).to_be_visible()
    assert serious(anne) == []
    anne.locator("[name=item-failure][value=no]").check()
    expect(anne.locator("[data-item=nyha]")).to_be_hidden()
    anne.locator("[name=item-failure][value=yes]").check()
    expect(anne.locator("[data-item=nyha]")).to_be_visible()
    anne.locator("#i-creatinine").fill("9")
    anne.get_by_role("button", name="Inclure").click()
    expect(anne.get_by_role("alert")).to_contain_text("1 réponse est à corriger")
    expect(anne.locator("#wrong-creatinine")).to_contain_text("hors de l’intervalle")
    anne.locator("#i-creatinine").fill("128,5")
    anne.get_by_role("button", name="Inclure").click()
    expect(anne.locator(".over")).to_contain_text("Lus : 1 sur 6")
    anne.wait_for_load_state()
    anne.keyboard.press("u")
    expect(anne.locator(".over")).to_contain_text("Lus : 0 sur 6")
    anne.get_by_role("link", name="Relecture IC").click()
    read(anne, "iiieee")
    expect(anne.get_by_role("status")).to_contain_text("Vous avez tout lu")

    bruno = open_page("/reviews/1", login="bruno", language="en", theme="dark")
    expect(bruno.locator("tbody")).not_to_contain_text("included")
    read(bruno, "iiieie")
    expect(bruno.get_by_role("status")).to_contain_text("You have read everything")
    assert serious(bruno) == []

    chloe = open_page("/reviews", login="chloe")
    chloe.get_by_role("link", name="Arbitrer Relecture IC").click()
    expect(chloe.locator("section:has(#patients) tbody tr")).to_have_count(1)
    assert serious(chloe) == []
    chloe.locator("section:has(#patients) tbody a").click()
    expect(chloe.locator("tr.differs").first).to_contain_text("exclu")
    assert serious(chloe) == []
    chloe.locator("[name=item-failure][value=yes]").check()
    chloe.wait_for_load_state()
    chloe.keyboard.press("i")
    expect(chloe.get_by_text("Aucun patient n’est à arbitrer.")).to_be_visible()

    manager = open_page("/reviews/1/figures", login="methodologist")
    expect(manager.locator("[data-measure=verdict-kappa]")).to_contain_text("0,67")
    expect(manager.locator("section:has(#agreement)")).to_contain_text("83,3")
    expect(manager.locator("section:has(#accuracy)")).to_contain_text("%")
    assert serious(manager) == []
    manager.get_by_label("Nom de la cohorte").fill("IC confirmée")
    manager.get_by_role("button", name="Enregistrer comme cohorte").click()
    manager.get_by_role("button", name="Ouvrir la version 1 de IC confirmée").click()
    expect(manager.locator("#total")).to_contain_text(re.compile(r"<\s10 patients"))
    assert [one for one in watch.complaints if "422" not in one] == []
    watch.complaints.clear()  # the browser tells of the two pages that came back to be corrected
    assert (
        len([line for line in portal.site.state.audit.latest(400) if line.action == "review" and line.patients]) >= 12
    )


def test_a_text_is_marked_by_keyboard_alone_and_settled(
    open_page: Opener, portal: Portal, people: None, watch: Watch
) -> None:
    book = portal.site.state.charts
    if not book.lists():
        made(open_page)
        watch.complaints.clear()  # the browser tells of the page that came back to be corrected
    document = book.texts(1)[0].document_id
    page = open_page(f"/reviews/1/documents/{document}", login="anne")
    assert serious(page) == []
    keys = Keys(page)
    keys.reach("article")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("d")
    expect(page.locator("[data-list] li")).to_have_count(1)
    page.keyboard.press("n")
    expect(page.locator("[data-list] li")).to_contain_text("Diagnostic (Nié)")
    before = page.locator("[data-list] .open").inner_text()
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("[data-list] .open")).not_to_have_text(before)
    page.keyboard.press("Control+z")
    expect(page.locator("[data-list] .open")).to_have_text(before)
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")
    expect(page.locator("[data-list] li")).to_have_text("Aucune annotation pour l’instant.")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("s")
    keys.go(page.get_by_role("button", name="Terminé"))
    expect(page.locator("h1")).to_contain_text("Patient P")
    (kept,) = [one for one in book.marked(1) if one.document_id == document]
    assert kept.done
    assert [span["label"] for span in kept.spans] == ["sign"]
    assert kept.spans[0]["start"] == 0

    bruno = open_page(f"/reviews/1/documents/{document}", login="bruno", language="en", theme="dark")
    expect(bruno.locator("[data-list]")).to_contain_text("No mark yet.")
    Keys(bruno).go(bruno.get_by_role("button", name="Done"))
    expect(bruno.locator("h1")).to_contain_text("Patient P")
    chloe = open_page(f"/reviews/1/settle-text/{document}", login="chloe")
    expect(chloe.locator("tr.differs")).to_have_count(len(kept.spans))
    assert serious(chloe) == []
    keys = Keys(chloe)
    keys.press("[data-take]")
    expect(chloe.locator("[data-list] li")).to_have_count(1)
    keys.go(chloe.get_by_role("button", name="Ces annotations font foi"))
    expect(chloe.get_by_role("heading", name="À arbitrer")).to_be_visible()
    assert [one.final for one in book.marked(1) if one.document_id == document].count(True) == 1
