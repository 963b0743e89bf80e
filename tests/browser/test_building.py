"""Building a cohort: by keyboard alone, with undo, saved versions, text form and evidence."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect
from tests.browser.serving import PATIENCE, Opener, Watch
from tests.browser.test_pages import serious

EVERYONE = re.compile(r"≈\s(3[3-9]|4[0-6])\d ")  # 400 patients, as the gate tells them: the noise is of about ten


@pytest.fixture
def page(open_page: Opener) -> Page:
    page = open_page("/cohort")
    fresh(page)
    return page


def fresh(page: Page) -> None:
    with page.expect_response("**/cohort/reset"):
        page.locator("#reset").click()
    expect(page.locator(".criterion")).to_have_count(0)
    expect(page.locator("#total")).to_contain_text(EVERYONE)


class Held:
    """What the page asks of an address from now on, held back until it is let go."""

    def __init__(self, page: Page, address: str | re.Pattern[str]) -> None:
        self._page, self._routes = page, list[Route]()
        page.route(address, self._keep)

    def _keep(self, route: Route) -> None:
        self._routes.append(route)

    def let_go(self, place: int = 0) -> None:
        """The request of this place among them, once it has come."""
        for _ in range(PATIENCE // 20):
            if len(self._routes) > place:
                break
            self._page.wait_for_timeout(20)
        self._routes[place].continue_()


def total(page: Page) -> int:
    return int(re.sub(r"\D", "", page.locator("#total").inner_text().split("patients")[0]))


def tab_to(page: Page, selector: str, most: int = 80, back: bool = False) -> None:
    """Press Tab until the element has the focus: what a person without a mouse does."""
    for _ in range(most):
        if page.evaluate("s => document.activeElement.matches(s)", selector):
            return
        page.keyboard.press("Shift+Tab" if back else "Tab")
    raise AssertionError(f"{selector} is not reached by Tab")


def pick(page: Page, words: str, code: str) -> None:
    expect(page.locator("concept-picker input:focus")).to_have_count(1)  # it comes with the criterion, from the server
    chips = page.locator(".chip", has_text=code)
    before = chips.count()
    page.keyboard.type(words)
    # the answer to all these letters, not to fewer of them, nor the list of another field that is closing
    option = page.locator(f"[role=listbox][data-of='{words}'] [role=option][data-code='{code}']").first
    expect(option).to_be_visible()
    for _ in range(20):
        if option.get_attribute("aria-selected") == "true":
            break
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(chips).to_have_count(before + 1)


def test_a_cohort_is_built_by_keyboard_alone(page: Page) -> None:
    tab_to(page, "#add-code-1")
    page.keyboard.press("Enter")
    expect(page.locator("concept-picker input")).to_be_focused()
    pick(page, "insuffisance card", "I50")
    expect(page.locator("#total")).not_to_contain_text(EVERYONE)
    heart = total(page)
    tab_to(page, "#add-patient-1")
    page.keyboard.press("Enter")
    expect(page.locator(".criterion:nth-child(2) input[name=age_low]")).to_be_focused()
    page.keyboard.type("65")
    tab_to(page, "select[name=sex]")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(page.locator(".steps li")).to_have_count(3)
    expect(page.locator(".steps")).to_contain_text("Femmes")
    assert 0 < total(page) < heart
    tab_to(page, ".criterion:nth-child(2) .not")
    page.keyboard.press("Enter")
    expect(page.locator(".criterion.negated")).to_have_count(1)
    expect(page.locator(".steps .minus")).to_have_count(1)
    assert 0 < total(page) < heart
    assert serious(page) == []


def test_every_kind_of_criterion_counts(page: Page) -> None:
    for kind in ("text", "stay", "document", "patient"):
        page.locator(f"#add-{kind}-1").click()
        expect(page.locator(".criterion")).to_have_count(["text", "stay", "document", "patient"].index(kind) + 1)
    page.locator("input[name=words]").fill("dyspnée")
    page.locator("input[name=words]").press("Tab")
    page.locator("select[name=stay_kind]").select_option("venue")
    page.locator("input[name=days_low]").fill("2")
    page.locator("input[name=days_low]").press("Tab")
    page.locator(".criterion", has_text="Nature").last.locator("select[name=document_kind]").select_option("discharge")
    page.locator("input[name=age_low]").fill("50")
    page.locator("input[name=age_low]").press("Tab")
    expect(page.locator(".steps li")).to_have_count(5)
    expect(page.locator(".criterion.unready")).to_have_count(0)
    for count in page.locator(".criterion output").all():
        expect(count).to_have_text(re.compile(r"^[≈<]"))
    assert 0 < total(page) < 300


def test_a_value_with_its_unit_and_number_of_times(page: Page) -> None:
    page.locator("#add-code-1").click()
    pick(page, "creat", "2160-0")
    expect(page.locator("#total")).to_be_visible()
    page.locator("select[name=comparison]").select_option(">=")
    page.locator("input[name=low]").fill("130,5")
    page.locator("input[name=low]").press("Tab")
    expect(page.locator("select[name=unit] option")).to_have_text(["toute unité", "µmol/L"])
    page.locator("select[name=unit]").select_option("umol/L")
    page.locator("input[name=times]").fill("2")
    page.locator("input[name=times]").press("Tab")
    expect(page.locator(".steps")).to_contain_text("≥ 130,5 µmol/L")
    assert 0 < total(page) < 300


def test_groups_sequence_and_same_stay(page: Page) -> None:
    page.locator("#add-group-1").click()
    expect(page.locator(".group.any")).to_have_count(1)
    inner = page.locator(".group .group")
    for words, code in (("insuf", "I50"), ("diab", "E11")):
        inner.get_by_role("button", name="Code", exact=True).click()
        expect(page.locator("concept-picker:not(.another) input")).to_be_focused()
        pick(page, words, code)
    page.locator("#add-sequence-1").click()
    expect(page.locator(".criterion.sequence")).to_have_count(1)
    pick(page, "I50", "I50")
    expect(page.locator(".sequence concept-picker.another")).to_have_count(1)
    page.locator(".sequence concept-picker:not(.another) input").focus()
    pick(page, "2160-0", "2160-0")
    page.locator("input[name=high]").last.fill("90")
    page.locator("input[name=high]").last.press("Tab")
    expect(page.locator(".steps li")).to_have_count(3)
    expect(page.locator(".steps")).to_contain_text("90")
    loose = total(page)
    inner.locator("input[type=checkbox]").click()  # at once: the edit before it may still be on its way
    expect(inner.locator("input[type=checkbox]")).to_be_checked()
    expect(page.locator(".steps")).to_contain_text("dans le même séjour")
    assert 0 < total(page) <= loose


def test_a_tick_made_while_an_edit_is_on_its_way_stays(page: Page) -> None:
    page.locator("#add-group-1").click()
    box = page.locator(".group .group input[type=checkbox]")
    age = page.locator("input[name=age_low]")
    page.locator("#add-patient-1").click()
    expect(age).to_be_visible()
    held = Held(page, "**/cohort/edit")
    age.fill("65")
    age.press("Tab")
    box.click()
    held.let_go()
    expect(page.locator(".steps")).to_contain_text("≥ 65")
    expect(box).to_be_checked()  # its own edit waits still, and the answer to the first knew nothing of it
    with page.expect_response("**/cohort/edit"):
        held.let_go(1)
    page.reload()
    expect(box).to_be_checked()


def test_edits_taken_back_faster_than_they_are_answered_are_all_taken_back(page: Page) -> None:
    page.locator("#add-patient-1").click()
    age = page.locator("input[name=age_low]")
    for value in ("60", "70", "80"):
        age.fill(value)
        with page.expect_response("**/cohort/edit"):
            age.press("Tab")
    expect(page.locator(".steps")).to_contain_text("≥ 80")
    held = Held(page, "**/cohort/undo")
    for _ in range(3):
        page.locator("#undo").click()
    for place in range(3):
        held.let_go(place)
    expect(age).to_have_value("")


def test_edits_go_on_in_order_when_an_answer_removes_what_asked_for_the_next(page: Page) -> None:
    page.locator("#add-patient-1").click()
    expect(page.locator(".criterion")).to_have_count(1)
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url.rsplit("/", 1)[1]) if r.method == "POST" else None)
    held = Held(page, re.compile("/cohort/(edit|undo)$"))
    page.locator("[id^=not-]").click()  # its answer keeps the button below
    page.locator("[id^=remove-]").dblclick()  # the second of the two is gone when its turn comes
    page.locator("#undo").click()
    page.locator("#add-text-1").click()
    for place in range(5):
        held.let_go(place)
    expect(page.locator("input[name=words]")).to_be_visible()
    expect(page.locator(".criterion")).to_have_count(2)
    assert asked == ["edit", "edit", "edit", "undo", "edit"]


def test_a_version_is_saved_with_the_edits_that_waited(page: Page) -> None:
    page.locator("#add-patient-1").click()
    age = page.locator("input[name=age_low]")
    expect(age).to_be_visible()
    held = Held(page, "**/cohort/edit")
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url.rsplit("/", 1)[1]) if r.method == "POST" else None)
    age.fill("65")
    age.press("Tab")
    page.locator("select[name=sex]").select_option("female")
    page.locator("#save").click()
    page.fill("#cohort-name", "Enregistrée sans attendre")
    page.locator("#saving .main").click()
    held.let_go()
    held.let_go(1)
    page.wait_for_url("**/cohorts?saved=*")
    assert asked == ["edit", "edit", "save"]
    page.get_by_role("button", name="Ouvrir la version 1 de Enregistrée sans attendre").click()
    page.wait_for_url("**/cohort")
    expect(page.locator("input[name=age_low]")).to_have_value("65")
    expect(page.locator("select[name=sex]")).to_have_value("female")


def test_a_count_that_comes_late_closes_nothing(page: Page) -> None:
    held = Held(page, "**/cohort/counts")
    page.locator("#add-patient-1").click()
    expect(page.locator(".criterion output")).to_have_text("…")
    page.locator("#as-text summary").click()
    page.locator("#question").fill("CIM10:I50")
    held.let_go()
    expect(page.locator(".criterion output")).to_have_text("–")  # the late count is there
    expect(page.locator("#question")).to_be_visible()
    expect(page.locator("#question")).to_have_value("CIM10:I50")


def test_enter_takes_no_code_from_the_answer_to_fewer_letters(page: Page) -> None:
    page.locator("#add-code-1").click()
    expect(page.locator("concept-picker input:focus")).to_have_count(1)
    page.keyboard.type("I")
    expect(page.locator("[role=listbox][data-of='I'] [aria-selected=true]")).to_be_visible()
    held = Held(page, "**/concepts?q=I50")
    page.keyboard.type("50")
    page.keyboard.press("Enter")
    held.let_go()
    expect(page.locator("[role=listbox][data-of='I50']")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_contain_text("I50")


def test_undo_and_redo_give_fields_their_values_back(page: Page) -> None:
    page.locator("#add-patient-1").click()
    age = page.locator("input[name=age_low]")
    for value in ("65", "80"):
        age.fill(value)
        age.press("Tab")
        expect(page.locator(".steps")).to_contain_text(f"≥ {value}")
    eighty = total(page)
    page.locator("select[name=sex]").select_option("female")
    expect(page.locator(".steps")).to_contain_text("Femmes")
    page.locator("#undo").click()
    expect(page.locator("select[name=sex]")).to_have_value("")
    page.locator("#undo").click()
    expect(age).to_have_value("65")
    expect(page.locator(".steps")).to_contain_text("≥ 65")
    page.locator("h1").click()
    page.keyboard.press("Control+Shift+z")
    expect(age).to_have_value("80")
    expect(page.locator(".steps")).to_contain_text("≥ 80")
    assert total(page) == eighty


def test_versions_are_saved_opened_and_compared(page: Page) -> None:
    page.locator("#add-patient-1").click()
    for version, age in enumerate(("60", "75"), 1):
        if version > 1:
            page.goto(page.url.split("/cohorts")[0] + "/cohort")
        page.locator("input[name=age_low]").fill(age)
        page.locator("input[name=age_low]").press("Tab")
        expect(page.locator(".steps")).to_contain_text(f"≥ {age}")
        page.locator("#save").click()
        page.fill("#cohort-name", "Sujets âgés")
        page.fill("#cohort-note", f"à partir de {age} ans")
        page.locator("#saving .main").click()
        page.wait_for_url("**/cohorts?saved=*")
    card = page.locator("section", has_text="Sujets âgés")
    expect(card.locator("tbody tr")).to_have_count(2)
    assert serious(page) == []
    card.get_by_role("button", name="Comparer deux versions").click()
    expect(page.locator(".said mark").first).to_contain_text("60")
    assert serious(page) == []
    page.go_back()
    page.get_by_role("button", name="Ouvrir la version 1 de Sujets âgés").click()
    page.wait_for_url("**/cohort")
    expect(page.locator("input[name=age_low]")).to_have_value("60")
    expect(page.locator("#opened")).to_contain_text("Sujets âgés, version 1")


def test_the_text_form_makes_the_tree(page: Page) -> None:
    page.locator("#as-text summary").click()
    page.fill("#question", "CIM10:I50 sauf CIM10:E11")
    page.get_by_role("button", name="Appliquer").click()
    expect(page.locator(".criterion")).to_have_count(2)
    expect(page.locator(".criterion.negated .chip")).to_contain_text("Diabète")
    expect(page.locator(".said")).to_contain_text("Insuffisance cardiaque")


def test_a_mistake_in_the_text_form_is_told_and_changes_nothing(page: Page, watch: Watch) -> None:
    page.locator("#add-patient-1").click()
    expect(page.locator(".criterion")).to_have_count(1)
    page.locator("#as-text summary").click()
    page.fill("#question", "labo:(")
    with page.expect_response(lambda r: r.url.endswith("/cohort/text")) as answer:
        page.get_by_role("button", name="Appliquer").click()
    assert answer.value.status == 422
    expect(page.locator("#said")).not_to_have_text("")
    expect(page.locator(".criterion")).to_have_count(1)
    watch.complaints.clear()  # the browser's own line about the 422


def test_a_search_becomes_a_criterion(page: Page) -> None:
    page.goto(page.url.replace("/cohort", "/search?q=amylose&kind=imaging"))
    page.get_by_role("button", name="Utiliser comme critère").click()
    expect(page.locator("input[name=words]")).to_have_value("amylose")
    expect(page.locator("select[name=document_kind]")).to_have_value("imaging")
    expect(page.locator("#total")).not_to_contain_text(EVERYONE)


def test_patients_are_listed_with_the_reason_why(page: Page) -> None:
    page.locator("#add-code-1").click()
    pick(page, "I50", "I50")
    expect(page.locator(".steps li")).to_have_count(2)
    page.get_by_role("link", name="Voir les patients").click()
    expect(page.locator("tbody tr").first).to_be_visible()
    page.locator("#why-0 button").click()
    expect(page.locator("#why-0")).to_contain_text("Insuffisance cardiaque")
    page.locator("#why-0 a").first.click()
    page.wait_for_url("**/documents/*")


def test_two_codes_make_one_criterion(page: Page) -> None:
    page.locator("#add-code-1").click()
    pick(page, "I50", "I50")
    page.locator("concept-picker.another input").focus()
    pick(page, "E11", "E11")
    expect(page.locator(".criterion")).to_have_count(1)
    expect(page.locator(".criterion .chip")).to_have_count(2)
    page.get_by_role("button", name="Retirer le code I50").click()
    expect(page.locator(".criterion .chip")).to_have_count(1)
