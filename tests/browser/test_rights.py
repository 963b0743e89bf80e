"""A citizen refuses on the public page, the officer follows it: by keyboard alone, light and dark, without a violation."""

from __future__ import annotations

from playwright.sync_api import expect
from tests.browser.serving import Opener, Portal
from tests.browser.test_pages import serious

from estran.projects.actors import KEY_HOLDER
from estran.projects.rights import register
from estran.projects.transparency import put
from estran.state import PublicProject

PROJECT = PublicProject(
    "P12", "Décompensations cardiaques évitables", "Repérer plus tôt les patients dont le cœur fatigue.", "MR-004", "open",
    "CHU de l’Estran, cardiologie",
)  # fmt: skip


def test_a_citizen_refuses_and_the_officer_follows(open_page: Opener, portal: Portal) -> None:
    put(portal.site.state, KEY_HOLDER, PROJECT)
    register(portal.site.state, "datamart P12", "datamart", ["research", "project:P12"], portal.site.snapshot().version)
    page = open_page("/transparency?lang=fr", login="data_protection_officer")
    expect(page.get_by_role("heading", name="Décompensations cardiaques évitables")).to_be_visible()
    assert serious(page) == []
    page.get_by_label("Prénom et nom de la personne concernée").fill("Yseult Dupratelle")
    page.get_by_label("Comment vous répondre").fill("yseult@example.org")
    page.get_by_role("button", name="Envoyer").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Votre demande est arrivée")
    page.goto(portal.base + "/rights")
    expect(page.get_by_role("heading", name="Qui détient une copie")).to_be_visible()
    assert serious(page) == []
    page.locator("section:has(#open) tbody a").first.press("Enter")
    expect(page.get_by_text("yseult@example.org")).to_be_visible()
    page.get_by_label("Numéro de la personne à l’hôpital").fill("8001234")
    page.keyboard.press("Enter")
    expect(page.get_by_text("recherche en cours")).to_be_visible()
    assert serious(page) == []
    page.get_by_label("Réponse donnée").fill("Identité demandée par courrier.")
    page.get_by_role("button", name="Clore la demande").press("Enter")
    expect(page.get_by_role("heading", name="Dernières traitées")).to_be_visible()
    page.goto(portal.base + "/registry")
    expect(page.get_by_role("heading", name="Référentiel")).to_be_visible()
    assert serious(page) == []
    for path in ("/rights", "/registry"):
        assert serious(open_page(path, login="data_protection_officer", language="en", theme="dark")) == []
