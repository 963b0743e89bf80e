"""What people do on the pages, done without a mouse: Tab, arrows, Enter, Space and letters; no click, no script.

`Keys` fails when something is not reached, when the focus is not seen or lies under something else. The flows of the
criteria of a cohort are in test_building.py, those of a whole review in test_reviews.py.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.keys import Keys
from tests.browser.serving import Portal
from tests.browser.small_site import PASSWORD
from tests.browser.visitors import Visitors
from tests.browser.whole_site import (
    ANNE,
    BRUNO,
    CHIEF,
    CHLOE,
    DIM,
    ENGINEER,
    LEAD,
    MATE,
    MEMBER,
    METHOD,
    OFFICER,
    People,
    Whole,
)

from estran.projects.life.machine import Step
from estran.projects.rights_desk import RightsJob

At = Callable[[str, str], Keys]
LATER = f"0606{dt.date.today().year + 1}"  # typed alike where the day comes first and where the month does


@pytest.fixture
def at(visitors: Visitors, hall: Portal) -> Iterator[At]:
    """Somebody at an address, in French."""

    def arrived(login: str, address: str) -> Keys:
        page = visitors.page(login, "fr")
        page.goto(hall.base + address)
        return Keys(page)

    yield arrived
    complaints, visitors.watch.complaints = visitors.watch.complaints, []
    assert complaints == []


def test_signing_in_and_counting_a_question(browser: Browser, hall: Portal) -> None:
    context = browser.new_context(locale="fr-FR", reduced_motion="reduce")
    keys = Keys(context.new_page())
    page = keys.page
    page.goto(hall.base + "/cohort")
    keys.write("#login", LEAD)
    keys.write("#password", PASSWORD)
    keys.go("main form button")
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.locator("#total")).to_contain_text("≈")
    keys.press("#as-text summary")
    keys.write("#question", "CIM10:I50 âge>=50")
    keys.go("form[action='/cohort/text'] button")
    expect(page.locator(".steps")).to_contain_text("50")
    keys.press("#save")
    keys.write("#cohort-name", "Sans souris")
    keys.go("#saving .main")
    expect(page.locator("body")).to_contain_text("Sans souris")
    context.close()


def test_searching_and_reading(at: At) -> None:
    keys = at(ENGINEER, "/search")
    keys.write("#q", "dyspnée")
    keys.page.keyboard.press("Enter")
    keys.page.wait_for_url("**/search?q=*")
    keys.go(".hit h2 a")
    keys.go("main a[href^='/patients/']")
    keys.page.wait_for_selector("patient-timeline[data-painted]")
    keys.press("patient-timeline canvas", "n")
    expect(keys.page.locator("patient-timeline [role=status]")).not_to_have_text("")


def test_a_project_from_its_idea_to_its_advice(at: At) -> None:
    """Researcher, methodologist, researcher, methodologist: proposed, counted, pre-selected, written, signed, advised."""
    lead = at(LEAD, "/projects")
    lead.go("main a[href='/projects/new']")
    lead.write("#f-propose-title", "Un projet sans souris")
    lead.write("#f-propose-sites", "CHU de l’Estran")
    lead.go("main form button.main")
    expect(lead.page.get_by_role("heading", level=1)).to_have_text("Un projet sans souris")
    here = "/projects/" + lead.page.url.rsplit("/", 1)[1]
    lead.step("attach")
    lead.step("say", text="Combien de patients faut-il ?")
    lead.step("intend", letter="Nous voudrions savoir ce que les mains fatiguées savent faire.")
    at(METHOD, here).step("preselect", reason="Question claire, effectif suffisant.")
    lead = at(LEAD, here)
    lead.press("#do-write summary")
    lead.write(lead.page.get_by_label("Nom de la variable 1"), "NT-proBNP")
    lead.write(lead.page.get_by_label("Code de la variable 1"), "LOINC:33762-6")
    lead.write(lead.page.get_by_label("Justification de la variable 1"), "Décrit la sévérité de la maladie")
    lead.step("write", objectives="Savoir.", summary="Nous regardons.", legal_basis="public-task", months="24")
    lead.step("sign", charter=True)
    lead.step("submit")
    method = at(METHOD, here)
    method.step("advise", opinion="favourable", text="Méthode solide.")
    expect(method.page.locator("section:has(#thread)")).to_contain_text("Méthode solide.")


def test_a_member_votes_and_the_chair_concludes(at: At, everything: Whole) -> None:
    chair = at(MEMBER, "/projects")
    chair.go(f"main a[href='/projects/{everything.numbers['judged']}']")
    chair.go(f"main a[href='/projects/{everything.numbers['judged']}/committee']")
    chair.step("vote", vote="accept", reason="Une bonne question.")
    expect(chair.page.locator("section:has(#votes)")).to_contain_text("Une bonne question.")
    chair.step("accept", reason="Le comité soutient le projet.")
    expect(chair.page.locator("section:has(#decision)")).to_contain_text("Le comité soutient le projet.")


def test_a_project_from_its_expert_to_its_decision(at: At, everything: Whole) -> None:
    """Advised already: an expert asked and heard, a session called, interests declared, votes, conditions."""
    people = People(everything.site)
    number = people.asked("Un projet jugé sans souris")
    people.take(number, "max", Step.ADVISE, opinion="favourable", text="Méthode solide.")
    here = f"/projects/{number}"
    method = at(METHOD, here)
    method.step("ask", expert=str(people.id["eve"]), due=LATER)
    at("expert", here).step("opine", opinion="favourable", text="Utile et faisable.")
    method = at(METHOD, here)
    method.press("#do-call summary")
    method.write("#f-call-day", LATER)
    method.tick(*(f"#do-call input[name=members][value='{people.id[f'm{n}']}']" for n in range(1, 5)))
    method.step("call", chair=str(people.id["m1"]), quorum="2")
    at("member4", f"{here}/committee").step("declare", conflict=True, reason="Nous publions ensemble.")
    people.vote(number, m2="conditions")
    chair = at(MEMBER, f"{here}/committee")
    chair.step("declare")
    chair.step("vote", vote="conditions", reason="Une bonne question, à préciser.")
    chair.step("condition", reason="Le comité soutient le projet.", conditions="Arrondir l’âge")
    expect(chair.page.locator("section:has(#decision)")).to_contain_text("Arrondir l’âge")


def test_a_project_from_its_conditions_to_its_opening(at: At, everything: Whole) -> None:
    """A condition lifted, five pieces filed, the charter signed, the project opened."""
    people = People(everything.site)
    number = people.asked("Un projet ouvert sans souris")
    people.weighed(number)
    people.vote(number, m1="conditions", m2="conditions", m3="conditions")
    people.take(number, "m1", Step.CONDITION, reason="D’accord.", conditions="Arrondir l’âge")
    here = f"/projects/{number}"
    method = at(METHOD, here)
    method.step("lift", condition="1", proof="L’âge est donné en années.")
    method.step("confirm")
    for piece in people.project(number).route.pieces:
        method.step("file", piece=str(piece), reference=f"GED-{piece}", day="05012026")
    at(MATE, here).step("sign", charter=True)
    handler = at(ENGINEER, here)
    handler.step("open")
    expect(handler.page.locator(".stations [aria-current=step]")).to_have_text("Projets ouverts")


def test_a_project_from_its_opening_to_its_end(at: At, everything: Whole) -> None:
    """Amended twice, suspended and resumed, closed, its outputs told, archived, destroyed, ended."""
    people = People(everything.site)
    number = people.asked("Un projet clos sans souris")
    people.weighed(number)
    people.accept(number)
    people.open(number)
    here = f"/projects/{number}"
    lead = at(LEAD, here)
    lead.step("amend", reason="Le recueil dure.", months="6")
    at(METHOD, here).step("grant", reason="Accordé.")
    lead.page.reload()
    lead.press("#do-amend summary")
    lead.write("#do-amend input[name=variables_name]", "Troponine")
    lead.write("#do-amend textarea[name=variables_why]", "Mesure la souffrance du cœur")
    lead.step("amend", reason="Une question de plus.")
    at(MEMBER, here).step("approve", reason="Utile.")
    handler = at(ENGINEER, here)
    expect(handler.page.locator("section:has(#amendments) .badge.good")).to_have_count(2)
    handler.step("suspend", reason="Une vérification.")
    handler.step("resume", reason="Tout va bien.")
    lead.page.reload()
    lead.step("close", reason="L’étude est finie.")
    lead.step("output", kind="publication", title="Sans souris", reference="doi:10.1000/1", day="01062026", found="Rien.")
    handler.page.reload()
    handler.step("archive", what="Protocole", how="Archives, cote 7", day="01012046")
    handler.step("destroy", what="Datamarts", how="Par l’entrepôt", day="02062026")
    handler.step("end")
    expect(handler.page.locator("section:has(#steps) li").first).to_contain_text("projet terminé")


def test_a_call_for_projects_is_published(at: At) -> None:
    keys = at(METHOD, "/projects")
    keys.press("summary:has-text('Publier un appel')")
    keys.write("#call-title", "Appel sans souris")
    keys.write("#call-deadline", LATER)
    keys.write("#call-grid", "Originalité=10")
    keys.go("form[action='/projects/calls'] button")
    expect(keys.page.get_by_role("rowheader", name="Appel sans souris")).to_be_visible()
    keys.write("#address", "max@chu.example")
    keys.go("form[action='/projects/notices'] button")
    expect(keys.page.locator("#address")).to_have_value("max@chu.example")


def test_a_file_is_handed_in_to_the_airlock(at: At, everything: Whole) -> None:
    keys = at(LEAD, "/spaces")
    keys.go(f"main a[href='/spaces/{everything.numbers['space']}']")
    keys.tick(keys.page.get_by_label("effectifs.csv"))
    keys.write(keys.page.get_by_label("À quoi ils servent"), "Tableau 1")
    keys.go(keys.page.get_by_role("button", name="Rendre"))
    assert "/airlock/" in keys.page.url


def test_a_datamart_is_asked_for(at: At, everything: Whole) -> None:
    keys = at(ENGINEER, f"/projects/{everything.numbers['open']}")
    keys.go("main a[href$='/datamart']")
    keys.write("#name", "clavier")
    keys.choose("#recipient", MATE)
    keys.write("#days", "90")
    keys.choose("main select[name=kind]", "max")
    keys.tick("input[name=demographic][value=died]", "input[name=form][value=csv]")
    keys.go("main form button.main")
    expect(keys.page.locator("section:has(#data) tbody tr", has_text="clavier")).to_contain_text("demandé")


def test_a_file_is_let_out(at: At) -> None:
    keys = at(METHOD, "/airlock")
    keys.go("main a[href='/airlock/1']")
    keys.write("#reason", "Arrondi, aucune petite case.")
    keys.go("button[value=release]")
    expect(keys.page.get_by_text("Arrondi, aucune petite case.")).to_be_visible()


def test_a_citizen_refuses(browser: Browser, hall: Portal) -> None:
    context = browser.new_context(locale="fr-FR", reduced_motion="reduce")
    keys = Keys(context.new_page())
    keys.page.goto(hall.base + "/sign-in")
    keys.go("main a[href='/transparency']")
    keys.press("a[href='#ask']")
    keys.choose("#scope", "texts")
    keys.write("#name", "Yseult Dupratelle")
    keys.write("#birth", "03031954")
    keys.write("#contact", "yseult@example.org")
    keys.write("#message", "Je refuse.")
    keys.go("main form button.main")
    expect(keys.page.get_by_role("status")).to_contain_text("Votre demande est arrivée")
    context.close()


def test_the_officer_carries_an_opposition_out(at: At, everything: Whole) -> None:
    keys = at(OFFICER, "/rights")
    keys.choose("#scope", "warehouse")
    keys.write("#proof", "GED 2026-88")
    keys.write("#number", "8000022")
    keys.go("form[action='/rights'] button")
    expect(keys.page.get_by_text("recherche en cours")).to_be_visible()
    number = int(keys.page.url.rsplit("/", 1)[1])
    everything.site.state.requests.answered(number, 31)  # the process that holds the key found who it is
    keys.page.reload()
    keys.go(f"form[action='/rights/{number}/carry-out'] button")
    assert everything.site.state.jobs.last(RightsJob.CARRY_OUT, str(number)), "the holder of the key carries it out"
    keys.write("#outcome", "Opposition enregistrée, courrier envoyé.")
    keys.go(f"form[action='/rights/{number}/close'] button")
    expect(keys.page.get_by_role("heading", name="Dernières traitées")).to_be_visible()


def test_a_review_is_made_read_and_settled(at: At, everything: Whole) -> None:
    maker = at(METHOD, "/reviews")
    maker.go("main a[href='/reviews/new']")
    maker.write("#name", "Relecture au clavier")
    maker.write("#sample", "4")
    maker.choose("#readings", "1")
    maker.tick(f"input[name=reader][value={ANNE}]", f"input[name=adjudicator][value={BRUNO}]")
    maker.go("main form button.main")
    expect(maker.page.get_by_role("heading", level=1)).to_have_text("Relecture au clavier")
    reader = at(ANNE, "/reviews")
    reader.go("main a[href='/reviews/1']")
    reader.go("main a.button.main")
    reader.press("[name=item-failure]", "Space")
    before = len(everything.site.state.charts.said(1))
    with reader.page.expect_navigation():
        reader.page.keyboard.press("e")
    assert len(everything.site.state.charts.said(1)) == before + 1
    settler = at(CHLOE, "/reviews")
    settler.go("main a[href='/reviews/1/settle']")
    settler.go(f"main a[href='/reviews/1/settle/{everything.numbers['disputed']}']")
    settler.press("[name=item-failure]", "Space")
    settler.write("#comment", "Les deux lectures discutées.")
    settler.go(".verdicts .include")
    assert settler.page.locator("[role=alert]").count() == 0


def test_a_variable_is_looked_up_and_a_problem_noted(at: At) -> None:
    keys = at(DIM, "/catalogue")
    keys.write("#q", "creatinine")
    keys.page.keyboard.press("Enter")
    keys.page.wait_for_url("**/catalogue?q=*")
    keys.go("section:has(#variables) tbody a")
    keys.write("#text", "En mg/L avant 2019.")
    keys.go("form[action='/catalogue/notes'] button")
    expect(keys.page.get_by_text("En mg/L avant 2019.")).to_be_visible()
    keys.go("form[action^='/catalogue/notes/'] button")
    expect(keys.page.get_by_text("résolu", exact=True)).to_be_visible()


def test_rows_behind_a_failed_check(at: At) -> None:
    keys = at(DIM, "/quality")
    keys.go("main a[href^='/quality?all=1']")
    keys.go("main a[href^='/quality/checks/residence-known']")
    keys.go("main a[href*='rows=1']")
    keys.go("section:has(#rows) tbody a")
    assert "/patients/" in keys.page.url


def test_official_figures_are_given_and_steering_read(at: At) -> None:
    keys = at(DIM, "/official")
    keys.hand_in("#file", "figures.csv", b"month;figure;code;value\n2023-05;stays;;11\n")
    keys.go("main form button.main")
    expect(keys.page.locator("section:has(#all) tbody")).to_contain_text("2023-05")
    keys = at(DIM, "/steering")
    keys.press("section:has(#ways) summary")
    expect(keys.page.locator("section:has(#ways) table")).to_be_visible()
    keys.go("section:has(#beds) tbody tr:nth-child(2) a")
    expect(keys.page.locator("section:has(#beds) tbody tr:nth-child(2) a")).to_have_attribute("aria-current", "true")


def test_the_trail_is_read_proved_and_acknowledged(at: At) -> None:
    keys = at(OFFICER, "/audit")
    keys.go("button[name=now]")
    expect(keys.page.get_by_role("status")).to_contain_text("le journal est intègre")
    keys.write("[name=note]", "vu")
    keys.go("form[action^='/audit/reviews/'] button")
    expect(keys.page.locator("section:has(#reviews) tbody tr").first).to_contain_text(OFFICER)
    keys.write("#patient", "P0")
    keys.choose("#action", "document")
    keys.go("section:has(#lines) form button")
    expect(keys.page.locator("#readers")).to_have_text("Qui a lu le patient P0")


def test_data_of_a_project_are_declared_accepted_handed_in_and_mapped(at: At, everything: Whole) -> None:
    here = f"/projects/{everything.numbers['open']}"
    lead = at(LEAD, here)
    lead.go(f"main a[href='{here}/data']")
    lead.write("#own-title", "Mesures de la main")
    lead.write("#own-origin", "Équipe de cardiologie")
    lead.choose("#own-ground", "MR-003")
    lead.write("#own-until", LATER)
    lead.write("#own-information", "Lettre de janvier à chaque patient")
    lead.go("section:has(#declare) form button")
    taker = at(ENGINEER, f"{here}/data")
    taker.go("section:has(#d-2) button[value=accept]")
    taker.press("section:has(#d-2) summary:has-text('Déposer')")
    taker.hand_in("#file-2", "mesures.csv", b"ipp;visite;force\n8000022;V1;31\n")
    taker.go("section:has(#d-2) form[action$='/files'] button")
    taker.choose("#use-2", "number")
    taker.go("main form button.main")
    expect(taker.page.locator("section:has(#d-2) tbody")).to_contain_text("en attente")


def test_a_record_and_its_original_are_asked_for(at: At) -> None:
    keys = at(MATE, "/care")
    keys.write("#patient", "P22")
    keys.write("#reason", "Je reprends ce patient aux urgences ce soir.")
    keys.go("form[action='/care'] button")
    assert keys.page.url.endswith("/patients/22")
    keys = at(MATE, "/documents/0/original")
    keys.write("#why", "Bilan avant une chirurgie en urgence, ce soir.")
    keys.go("main form button.main")
    assert "/originals/" in keys.page.url


def test_a_list_of_numbers_is_handed_in(at: At) -> None:
    keys = at(ENGINEER, "/lists")
    keys.write("#list-name", "Inclus de mars")
    keys.hand_in("#list-file", "inclus.csv", b"ipp\n" + b"\n".join(b"8%06d" % n for n in range(30)))
    keys.go("form[action='/lists'] button")
    expect(keys.page.locator("section:has(#asked)")).to_contain_text("Inclus de mars")


def test_an_account_is_made_bounded_and_closed(at: At) -> None:
    keys = at(CHIEF, "/people")
    keys.write("#login", "clavier")
    keys.write("#password", PASSWORD)
    keys.choose("#role", "clinician")
    keys.go("form[action='/people'] button")
    keys.page.goto(keys.page.url.split("/people")[0] + "/people/clavier")
    keys.write("#wards", "CARD")
    keys.write("#since", "01012023")
    keys.tick("input[name=kinds][value=discharge]")
    keys.go("form[action$='/perimeter'] button")
    expect(keys.page.locator("#wards")).to_have_value("CARD")
    expect(keys.page.locator("#since")).to_have_value("2023-01-01")
    keys.go("form[action$='/disable'] button")
    expect(keys.page.get_by_role("button", name="Rouvrir le compte")).to_be_visible()


def test_a_token_is_made(at: At) -> None:
    keys = at(ENGINEER, "/account/security")
    keys.tick("input[name=scope]")
    keys.write("#token-name", "Carnet")
    keys.write("#token-days", "30")
    keys.go("form[action='/account/security/tokens'] button")
    keys.go("main a[href='/account/security']")
    expect(keys.page.locator("main")).to_contain_text("Carnet")
