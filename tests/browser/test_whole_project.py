"""A whole project in a browser: twelve people, from an idea to the result that everybody may read.

`ESTRAN_PICTURES=docs/images/whole-project` also takes the pictures of docs/tutorials/a-whole-project.md.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pyroaring import BitMap
from tests.browser.serving import PATIENCE
from tests.browser.stage import Stage, do, number_of, staged
from tests.browser.test_pages import serious

from estran.model.errors import UsageError
from estran.projects.life import ProjectsDesk
from estran.projects.life.machine import Step
from estran.projects.workspaces import bubblewrap
from estran.projects.workspaces.driver import socket_of
from estran.projects.workspaces.spaces import folders_of
from estran.state.spaces import space_key

COMMITTEE = [f"comite{n}" for n in range(1, 6)]
TITLE = "Insuffisance cardiaque selon l’âge"
SUMMARY = "Nous comptons, par tranche d’âge, les personnes hospitalisées pour un cœur fatigué, afin de mieux préparer leur suivi."
FOUND = "Près de la moitié des personnes hospitalisées pour insuffisance cardiaque ont de 60 à 79 ans."
SOON = (dt.date.today() + dt.timedelta(days=20)).isoformat()
CELLS = [
    "import estran, pandas\npatients = estran.load('patients')\n"
    "bands = pandas.cut(patients['age'], [0, 30, 60, 80, 200], right=False, labels=['moins de 30', '30-59', '60-79', '80 et plus'])\n"
    "table = bands.value_counts(sort=False).rename_axis('âge').rename('n').reset_index()\nestran.hand_in(table, 'table.csv')\ntable",
    "estran.hand_in(estran.protect(table), 'corrected.csv')",
    'from IPython.display import HTML\nHTML(\'<img src="http://127.0.0.1:%d/x.png"><script>fetch("http://127.0.0.1:%d/y")</script>\')',
]
SMALL, CORRECTED = "âge,n\nmoins de 30,3\n30-59,51\n60-79,60\n80 et plus,17\n", "âge,n\nmoins de 30,[REDACTED]\n30-59,50\n60-79,60\n80 et plus,15\n"


@pytest.fixture
def stage(tmp_path: Path, browser: Browser) -> Iterator[Stage]:
    if lack := bubblewrap.missing():
        pytest.skip(lack)
    expect.set_options(timeout=60_000)
    with staged(tmp_path, browser) as made:
        try:
            bubblewrap.python_of(made.site.settings)
        except UsageError as error:
            pytest.skip(str(error))
        yield made
    expect.set_options(timeout=PATIENCE)


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


def by_desk(stage: Stage, login: str, number: str, step: Step, **given: str) -> None:
    """A step that other tests take on the page."""
    desk = ProjectsDesk(stage.site.state, stage.site.settings, stage.actor(login))
    desk.take(number, step, {name: [value] for name, value in given.items()})


def test_a_whole_project(stage: Stage, elsewhere: tuple[int, list[bytes]]) -> None:
    here = idea(stage)
    number = here.rsplit("/", 1)[1]
    request(stage, here)
    committee(stage, here)
    opening(stage, here, number)
    mart = datamart(stage, here)
    table(stage, here, number, elsewhere[0])
    assert elsewhere[1] == [], "what the notebook shows asked another address"
    patient_refuses(stage, mart)
    closing(stage, here, number)
    assert stage.complaints == [], "a page complained on its console"


def idea(stage: Stage) -> str:
    """A question is counted and saved; a project is proposed with it."""
    lead = stage.page("chercheuse", "/cohort")
    lead.locator("#as-text summary").click()
    lead.fill("#question", "CIM10:I50")
    lead.locator("form[action='/cohort/text'] button").click()
    expect(lead.locator("#total")).to_contain_text("≈ 1")
    stage.picture(lead, "idea")
    lead.locator("#save").click()
    lead.fill("#cohort-name", TITLE)
    lead.locator("#saving .main").click()
    lead.wait_for_url("**/cohorts?saved=*")
    lead.goto(stage.base + "/projects/new")
    lead.get_by_label("Titre").fill(TITLE)
    lead.get_by_label("Sites, un par ligne").fill("Rennes")
    lead.get_by_label("clinicienne", exact=True).check()
    lead.get_by_role("button", name="Proposer un projet").click()
    expect(lead.get_by_role("heading", level=1)).to_have_text(TITLE)
    expect(lead.locator("#do-intend")).to_contain_text("Aucune cohorte dénombrée n’est jointe.")
    lead.locator("#do-attach summary").click()
    with lead.expect_navigation():
        lead.locator("#do-attach form > button").click()
    expect(lead.locator("section:has(#counts)")).to_contain_text("≈")
    return lead.url.removeprefix(stage.base)


def request(stage: Stage, here: str) -> None:
    """Researcher and methodologist, two browsers at once; a variable without its reason keeps the request back."""
    lead, method = stage.pages["chercheuse"], stage.page("methodologiste", here)
    do(lead, "say", text="Le NT-proBNP suffit-il pour décrire la sévérité ?")
    do(method, "say", text="Oui ; tenez-vous-en à la dernière valeur.")
    expect(method.locator("section:has(#thread)")).to_contain_text("Le NT-proBNP suffit-il")
    stage.picture(method, "thread", "section:has(#thread)")
    do(lead, "intend", letter="Nous voudrions décrire ces patients selon leur âge.")
    method.goto(stage.base + here)
    do(method, "preselect", reason="Question claire.")
    lead.goto(stage.base + here)
    lead.locator("#do-write summary").click()
    lead.get_by_label("Nom de la variable 1").fill("NT-proBNP")
    lead.get_by_label("Code de la variable 1").fill("LOINC:33762-6")
    do(lead, "write", objectives="Décrire l’âge à la première hospitalisation.", summary=SUMMARY, legal_basis="public-task", months="24")
    do(lead, "sign", charter=True)
    expect(lead.locator("#do-submit")).to_contain_text("Ces variables n’ont pas de justification : NT-proBNP.")
    lead.locator("#do-write summary").click()
    lead.get_by_label("Justification de la variable 1").fill("Décrit la sévérité de la maladie")
    stage.picture(lead, "request", "#do-write")
    do(lead, "write")
    do(lead, "submit")
    expect(lead.locator(".stations [aria-current=step]")).to_have_text("Demandes")


def committee(stage: Stage, here: str) -> None:
    """Five members, one of whom declares a conflict; two vote at the same time; the chair concludes under conditions."""
    number, experte = here.rsplit("/", 1)[1], stage.actor("experte")
    by_desk(stage, "methodologiste", number, Step.ADVISE, opinion="favourable", text="Méthode solide.")
    by_desk(stage, "methodologiste", number, Step.ASK, expert=str(experte.account_id), due=SOON)
    by_desk(stage, "experte", number, Step.OPINE, opinion="favourable", text="Utile et faisable.")
    method = stage.page("methodologiste", here)
    method.locator("#do-call summary").click()
    method.locator("#f-call-chair").select_option(label="comite1")
    do(method, "call", members=COMMITTEE, day=SOON, quorum="3")
    hall = here + "/committee"
    five = [stage.page(login, hall) for login in COMMITTEE]
    for page in five[:4]:
        expect(page.get_by_role("heading", name="Votes")).to_have_count(0)
        do(page, "declare")
    do(five[4], "declare", conflict=True, reason="Nous publions ensemble.")
    expect(five[4].get_by_role("status")).to_contain_text("conflit d’intérêts")
    stage.picture(five[4], "conflict")
    for page in five[1:3]:
        page.locator("#f-vote-vote").select_option("conditions")
        page.locator("#f-vote-reason").fill("Une bonne question, à préciser.")
    for page in five[1:3]:  # both pages were drawn before either voted
        page.locator("#do-vote form > button").click(no_wait_after=True)
    for page in five[1:3]:
        expect(page.get_by_role("heading", name="Votes")).to_be_visible()
    chair = stage.page("comite1", hall)
    expect(chair.locator("section:has(#session)")).to_contain_text("2 votes sur 3")
    do(chair, "vote", vote="accept", reason="D’accord.")
    expect(chair.locator("section:has(#votes)")).to_contain_text("En l’état des votes :")
    stage.picture(chair, "committee", "section:has(#seats)")
    hidden = stage.page("comite5", hall)
    expect(hidden.locator("body")).not_to_contain_text("Une bonne question")
    expect(hidden.locator("#do-vote")).to_have_count(0)
    do(chair, "condition", reason="Le comité soutient le projet.", conditions="Arrondir l’âge à l’année")


def opening(stage: Stage, here: str, number: str) -> None:
    """Conditions lifted, contract pieces filed, everybody signed: the project opens."""
    method = stage.page("methodologiste", here)
    do(method, "lift", proof="Le datamart donne l’âge en années.")
    do(method, "confirm")
    for piece in ("registry", "conformity", "directory", "information"):
        by_desk(stage, "methodologiste", number, Step.FILE, piece=piece, reference=f"GED-{piece}", day="2026-01-05")
    do(method, "file", piece="impact", reference="GED-impact", day="2026-01-05")
    expect(method.locator("#do-open")).to_contain_text("Toute l’équipe n’a pas signé la charte.")
    stage.picture(method, "pieces", ".project aside")
    by_desk(stage, "clinicienne", number, Step.SIGN, charter="1")
    do(stage.page("ingenieure", here), "open")


def datamart(stage: Stage, here: str) -> str:
    """Asked for on the project's page within what was granted, built where the key is."""
    engineer = stage.pages["ingenieure"]
    expect(engineer.locator(".stations [aria-current=step]")).to_have_text("Projets ouverts")
    engineer.get_by_role("link", name="Construire un datamart").click()
    expect(engineer.get_by_role("cell", name="LOINC:33762-6")).to_be_visible()
    engineer.get_by_label("Nom", exact=True).fill("age")
    engineer.get_by_label("Destinataire").select_option("chercheuse")
    assert serious(engineer) == []
    stage.picture(engineer, "datamart-asked")
    engineer.get_by_role("button", name="Demander la construction").click()
    expect(engineer.locator("section:has(#data)")).to_contain_text("demandé")
    assert stage.keys() == ["datamart 1, rows 132"]
    engineer.reload()
    expect(engineer.locator("section:has(#data) tbody tr")).to_contain_text("131")
    engineer.get_by_role("button", name="Ouvrir un espace de travail à l’équipe").click()
    expect(engineer.get_by_role("link", name="Espace de travail", exact=True)).to_be_visible()
    assert serious(engineer) == []
    stage.picture(engineer, "data", "section:has(#data)")
    engineer.get_by_role("link", name="age", exact=True).click()
    expect(engineer.get_by_role("heading", level=1)).to_have_text("age")
    return engineer.url.removeprefix(stage.base)


def table(stage: Stage, here: str, number: str, port: int) -> None:
    """A notebook computes a table; the airlock refuses its cell of 3, and a person lets the corrected one out."""
    folders = folders_of(stage.site, space_key(number))
    book = {
        "cells": [{"cell_type": "code", "metadata": {}, "source": cell % (port, port) if "%d" in cell else cell, "outputs": [], "execution_count": None} for cell in CELLS],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}, "nbformat": 4, "nbformat_minor": 4,
    }  # fmt: skip
    (folders.home / "table.ipynb").write_text(json.dumps(book))
    lead = stage.page("chercheuse", here)
    lead.get_by_role("link", name="Espace de travail", exact=True).click()
    space = lead.url
    assert serious(lead) == []
    lead.get_by_role("button", name="Démarrer").click()
    until = time.monotonic() + 240
    while socket_of(stage.site, space_key(number)) is None and time.monotonic() < until:
        lead.wait_for_timeout(200)
    lead.get_by_role("link", name="Ouvrir le notebook").click()
    run_notebook(lead, folders.out)
    stage.picture(lead, "notebook")
    refused = hand_in(lead, space, "table.csv")
    expect(lead.get_by_text("L'effectif 3 est inférieur à 10.")).to_be_visible()
    expect(lead.locator("td.marked").first).to_contain_text("3")
    assert serious(lead) == []
    stage.picture(lead, "refused")
    released = hand_in(lead, space, "corrected.csv")
    assert refused != released
    expect(lead.get_by_text("Les vérifications n’ont rien trouvé.")).to_be_visible()
    stage.site.state.accounts.change(stage.actor("verificatrice").account_id or 0, language="en", theme="dark")
    checker = stage.page("verificatrice", released)
    checker.get_by_label("Reason, kept with the request").fill("Counts are redacted and rounded.")
    assert serious(checker) == []
    stage.picture(checker, "airlock")
    checker.get_by_role("button", name="Let them leave").press("Enter")
    expect(checker.get_by_text("Counts are redacted and rounded.")).to_be_visible()
    lead.reload()
    with lead.expect_download() as download:
        lead.get_by_role("link", name="Récupérer corrected.csv").click()
    assert Path(download.value.path()).read_text() == CORRECTED


def run_notebook(page: Page, out: Path) -> None:
    """As a researcher does: open the notebook of the file list, run all of it."""
    lab = page.frame_locator("iframe.lab")
    lab.get_by_text("table.ipynb", exact=True).first.dblclick()
    lab.locator(".jp-Notebook .jp-Cell").first.click()
    prompts = lab.locator(".jp-Cell .jp-InputPrompt")
    until = time.monotonic() + 120
    while prompts.first.inner_text() == "[ ]:" and time.monotonic() < until:  # what is asked while the kernel connects is forgotten
        lab.get_by_role("menuitem", name="Run", exact=True).click()
        lab.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_timeout(5_000)
    expect(prompts.nth(2)).to_have_text(re.compile(r"\[\d+\]:"), timeout=240_000)
    assert (out / "table.csv").read_text() == SMALL
    assert (out / "corrected.csv").read_text() == CORRECTED


def hand_in(page: Page, space: str, name: str) -> str:
    """The address of the request to let a file of out/ leave."""
    page.goto(space)
    page.get_by_label(name).check()
    page.get_by_label("À quoi ils servent").fill("Tableau 1 de l’article")
    page.get_by_role("button", name="Rendre").click()
    page.wait_for_url("**/airlock/*")
    return "/airlock/" + page.url.rsplit("/", 1)[1]


def patient_refuses(stage: Stage, mart: str) -> None:
    """A person of the datamart refuses on the public page; the next refresh is one smaller, and says so."""
    (row,) = stage.site.state.datamarts.all()
    patient = int(BitMap.deserialize(row.members)[7])
    public = stage.page("", "/transparency")
    expect(public.get_by_role("heading", name=TITLE)).to_be_visible()
    public.get_by_label("Prénom et nom de la personne concernée").fill("Une personne")
    public.get_by_label("Comment vous répondre").fill("par courrier")
    public.get_by_role("button", name="Envoyer").click()
    expect(public.get_by_role("status")).to_contain_text("Votre demande est arrivée")
    officer = stage.page("dpo", "/rights")
    officer.locator("section:has(#open) tbody a").first.click()
    officer.get_by_label("Numéro de la personne à l’hôpital").fill(number_of(patient))
    with officer.expect_navigation():
        officer.get_by_role("button", name="Rechercher la personne").click()
    assert stage.keys() == ["found"]
    officer.reload()
    with officer.expect_navigation():
        officer.get_by_role("button", name="Exécuter").click()
    assert stage.keys()[0].startswith("carried out: R")
    officer.goto(stage.base + "/rights")
    expect(officer.locator("section:has(#holders)")).to_contain_text("datamart 1")
    stage.picture(officer, "opposition", "section:has(#holders)")
    engineer = stage.page("ingenieure", mart)
    expect(engineer.get_by_text("à rafraîchir")).to_be_visible()
    engineer.get_by_role("button", name="Rafraîchir").click()
    expect(engineer.get_by_role("status")).to_contain_text("Un rafraîchissement est demandé")
    assert stage.keys() == ["datamart 2, rows 131"]
    engineer.goto(stage.base + "/datamarts/2")
    expect(engineer.get_by_role("row", name="Parti")).to_contain_text("moins de 10 patients")
    expect(engineer.locator("section:has(#h-tables) tbody tr").first).to_contain_text("130")
    assert serious(engineer) == []
    stage.picture(engineer, "refreshed")
    officer.goto(stage.base + "/rights")
    expect(officer.locator("section:has(#holders)")).to_contain_text("datamart 2")
    expect(officer.locator("section:has(#holders)")).not_to_contain_text("datamart 1")
    officer.goto(stage.base + "/audit")
    officer.get_by_role("button", name="Vérifier maintenant").click()
    expect(officer.get_by_role("status")).to_contain_text("le journal est intègre")
    stage.picture(officer, "audit")


def closing(stage: Stage, here: str, number: str) -> None:
    """Files destroyed, certificate, register of outputs; the public reads what was found."""
    lead = stage.page("chercheuse", here)
    do(lead, "close", reason="L’étude est finie.")
    do(lead, "output", kind="publication", title="L’âge de l’insuffisance cardiaque", reference="doi:10.1000/1", day="2026-06-01", found=FOUND)
    engineer = stage.page("ingenieure", here)
    expect(engineer.locator("#do-destroy")).to_contain_text("Datamarts dont les fichiers sont encore là : 1.")
    assert stage.keys() == ["datamarts -1, own data -0, workspace -0"]
    engineer.reload()
    do(engineer, "archive", what="Protocole et code", how="Archives, cote 7", day="2046-01-01")
    expect(engineer.locator("#do-destroy")).to_contain_text("Les fichiers de l’espace de travail sont encore là")
    assert stage.keys() == ["datamarts -0, own data -0, workspace -1"]
    engineer.reload()
    do(engineer, "destroy", what="Datamarts et espace de travail", how="Par l’entrepôt", day="2026-06-02")
    ends = engineer.locator("section:has(#ends)")
    expect(ends).to_contain_text("Datamart age 1")
    expect(ends).to_contain_text("Datamart age 2")
    expect(ends).to_contain_text("Les fichiers de l’espace de travail sont détruits.")
    do(engineer, "end")
    expect(engineer.locator("section:has(#steps) li").first).to_contain_text("projet terminé")
    assert serious(engineer) == []
    stage.picture(engineer, "closed", "section:has(#ends)")
    assert not any((stage.site.directory / "datamarts").rglob("*.parquet")) and not any((stage.site.directory / "workspaces").rglob("*.ipynb"))
    public = stage.page("", "/transparency")
    told = public.locator(f"#project-{number}")
    for words in (TITLE, SUMMARY, FOUND, "doi:10.1000/1", "CHU de l’Estran (Rennes)"):
        expect(told).to_contain_text(words)
    for login in ("chercheuse", "clinicienne"):
        expect(public.locator("body")).not_to_contain_text(login)
    assert serious(public) == []
    stage.picture(public, "public", f"#project-{number}")
    lead.goto(stage.base + "/projects/outputs")
    expect(lead.get_by_role("rowheader", name="L’âge de l’insuffisance cardiaque")).to_be_visible()
