"""A whole project in a browser: ten people, from an idea to its closing, a committee of five with one conflict."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.browser.serving import Opener, Portal
from tests.browser.small_site import PASSWORD
from tests.browser.test_pages import serious

from estran.cohort.language.parser import parse
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.life import open_project
from estran.projects.sign_in import create_account

MEMBERS = ["committee_member", *(f"member{n}" for n in range(2, 6))]
SOON = (dt.date.today() + dt.timedelta(days=20)).isoformat()
TITLE = "Insuffisance cardiaque et diabète"


@pytest.fixture(scope="module")
def room(portal: Portal) -> Iterator[Portal]:
    """The site with a committee of five, and a counted cohort of the researcher."""
    state = portal.site.state
    for login in MEMBERS[1:]:
        create_account(state, KEY_HOLDER, login, PASSWORD, Role.COMMITTEE_MEMBER, "fr")
    account = state.accounts.find("researcher")
    assert account
    desk = Desk(ReadingRoom(portal.site), Actor.of(account))
    desk.save(TITLE, parse("CIM10:I50 ET CIM10:E11"), "")
    yield portal


def do(page: Page, step: str, **fields: str | bool | list[str]) -> None:
    """Take a step on the page of a project, as a person does."""
    section = page.locator(f"#do-{step}")
    if section.get_attribute("open") is None:
        section.locator("summary").click()
    for name, value in fields.items():
        field = page.locator(f"#f-{step}-{name}")
        if isinstance(value, bool):
            field.set_checked(value)
        elif isinstance(value, list):
            for login in value:
                section.get_by_label(login, exact=True).check()
        elif field.evaluate("node => node.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    with page.expect_navigation():
        section.locator("form > button").click()


def test_a_project_from_idea_to_closing(open_page: Opener, room: Portal) -> None:
    lead = open_page("/projects", "researcher")
    lead.get_by_role("link", name="Proposer un projet").click()
    lead.get_by_label("Titre").fill(TITLE)
    lead.get_by_label("Sites, un par ligne").fill("Rennes")
    lead.get_by_label("clinician", exact=True).check()
    lead.get_by_role("button", name="Proposer un projet").click()
    expect(lead.get_by_role("heading", level=1)).to_have_text(TITLE)
    here = lead.url.removeprefix(room.base)
    number = here.rsplit("/", 1)[1]

    # The thread: researcher and methodologist, two browsers at once.
    method = open_page(here, "methodologist")
    do(lead, "say", text="Le NT-proBNP suffit-il ?")
    do(method, "say", text="Oui, avec la créatinine.")
    expect(method.locator("section:has(#thread)")).to_contain_text("Le NT-proBNP suffit-il ?")

    # Letter, pre-selection, request: a variable without its reason keeps it back.
    expect(lead.locator("#do-intend")).to_contain_text("Aucune cohorte dénombrée n’est jointe.")
    lead.goto(lead.url)
    lead.locator("#do-attach summary").click()
    lead.locator("#do-attach button").click()
    expect(lead.locator("section:has(#counts)")).to_contain_text("≈")
    do(lead, "intend", letter="Nous voudrions savoir.")
    method.goto(room.base + here)
    do(method, "preselect", reason="Question claire.")
    lead.goto(room.base + here)
    lead.locator("#do-write summary").click()
    lead.get_by_label("Nom de la variable 1").fill("NT-proBNP")
    lead.get_by_label("Code de la variable 1").fill("LOINC:33762-6")
    do(lead, "write", objectives="Décrire.", legal_basis="public-task", months="24", public_interest=True, informed=True)
    do(lead, "sign", charter=True)
    expect(lead.locator("#do-submit")).to_contain_text("Ces variables n’ont pas de justification : NT-proBNP.")
    lead.locator("#do-write summary").click()
    lead.get_by_label("Justification de la variable 1").fill("Définit la population étudiée")
    do(lead, "write")
    assert serious(lead) == []
    do(lead, "submit")
    expect(lead.locator(".stations [aria-current=step]")).to_have_text("Demandes")

    # Advice, expert, session.
    method.goto(room.base + here)
    do(method, "advise", opinion="favourable", text="Méthode solide.")
    method.locator("#do-ask summary").click()
    method.locator("#f-ask-expert").select_option(label="expert")
    do(method, "ask", due=SOON)
    expert = open_page(here, "expert")
    do(expert, "opine", opinion="favourable", text="Utile et faisable.")
    method.goto(room.base + here)
    method.locator("#do-call summary").click()
    method.locator("#f-call-chair").select_option(label="committee_member")
    do(method, "call", members=MEMBERS, day=SOON, quorum="3")

    _committee(open_page, room, here, lead)

    # Pieces, signatures, opening.
    method.goto(room.base + here)
    for piece in ("registry", "conformity", "directory", "information", "impact"):
        do(method, "file", piece=piece, reference=f"GED-{piece}", day="2026-01-05")
    expect(method.locator("#do-open")).to_contain_text("Toute l’équipe n’a pas signé la charte.")
    mate = open_page(here, "clinician")
    do(mate, "sign", charter=True)
    engineer = open_page(here, "data_engineer")
    do(engineer, "open")
    expect(engineer.locator(".stations [aria-current=step]")).to_have_text("Projets ouverts")
    assert [v.name for v in open_project(room.site.state, number).variables] == ["NT-proBNP"]

    # An amendment, then closing.
    lead.goto(room.base + here)
    do(lead, "amend", reason="Le recrutement a tardé.", months="6")
    engineer.goto(room.base + here)
    do(engineer, "grant", reason="Justifié.")
    lead.goto(room.base + here)
    do(lead, "close", reason="L’étude est finie.")
    do(lead, "output", kind="publication", title="Notre article", reference="doi:10.1000/1", day="2026-06-01")
    engineer.goto(room.base + here)
    do(engineer, "archive", what="Protocole et code", how="Archives, cote 7", day="2046-01-01")
    do(engineer, "destroy", what="Datamart", how="Clés effacées", day="2026-06-02")
    do(engineer, "end")
    expect(engineer.locator("section:has(#steps) li").first).to_contain_text("projet terminé")
    assert serious(engineer) == []
    lead.goto(room.base + "/projects/outputs")
    expect(lead.get_by_role("rowheader", name="Notre article")).to_be_visible()
    assert serious(lead) == []
    stranger = open_page("/projects", "teacher")
    expect(stranger.get_by_text(TITLE)).to_have_count(0)


def _committee(open_page: Opener, room: Portal, here: str, lead: Page) -> None:
    """Five members: one declares a conflict, three vote (two of them at the same time), the chair concludes."""
    hall = here + "/committee"
    five = [open_page(hall, login, theme="dark" if login == "member3" else "light") for login in MEMBERS]
    for page in five[:4]:
        expect(page.get_by_role("heading", name="Votes")).to_have_count(0)
        do(page, "declare")
    do(five[4], "declare", conflict=True, reason="Nous publions ensemble.")
    expect(five[4].get_by_role("status")).to_contain_text("conflit d’intérêts")
    one, two = five[1], five[2]
    for page in (one, two):
        page.locator("#do-vote summary").click() if page.locator("#do-vote").get_attribute("open") is None else None
        page.locator("#f-vote-reason").fill("Une bonne question.")
    for page in (one, two):  # both pages were drawn before either voted
        page.locator("#do-vote button").click(no_wait_after=True)
    for page in (one, two):
        expect(page.get_by_role("heading", name="Votes")).to_be_visible()
    chair = five[0]
    chair.goto(room.base + hall)
    expect(chair.locator("section:has(#session)")).to_contain_text("2 votes sur 3")
    do(chair, "vote", vote="accept", reason="D’accord.")
    expect(chair.locator("section:has(#votes)")).to_contain_text("En l’état des votes : Accepté")
    assert serious(chair) == []
    five[4].goto(room.base + hall)
    expect(five[4].locator("body")).not_to_contain_text("Une bonne question.")
    expect(five[4].locator("#do-vote")).to_have_count(0)
    assert serious(five[4]) == []
    do(chair, "accept", reason="Le comité soutient le projet.")
    lead.goto(room.base + here)
    expect(lead.locator("section:has(#decision)")).to_contain_text("Le comité soutient le projet.")
    expect(lead.locator("body")).not_to_contain_text("Une bonne question.")
    expect(lead.locator("section:has(#opinions)")).to_contain_text("Expert 1")


@pytest.mark.parametrize(("language", "theme"), [("en", "dark"), ("fr", "light")])
def test_the_board_and_its_forms_are_accessible(open_page: Opener, room: Portal, language: str, theme: str) -> None:
    page = open_page("/projects", "methodologist", language=language, theme=theme)
    assert serious(page) == []
    page.locator("summary", has_text="Publier un appel" if language == "fr" else "Publish a call").click()
    page.locator("#call-title").fill(f"GIRCI {theme}")
    page.locator("#call-deadline").fill(SOON)
    page.locator("#call-grid").fill("Originality=10\nFeasibility=10")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("rowheader", name=f"GIRCI {theme}")).to_be_visible()
    page.locator("#address").fill("max@chu.example")
    page.keyboard.press("Enter")
    expect(page.locator("#address")).to_have_value("max@chu.example")
    page.goto(room.base + "/projects/new")
    assert serious(page) == []
