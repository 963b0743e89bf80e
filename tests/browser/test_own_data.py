"""Data that a project brings: declared by its responsible, accepted, handed in, mapped without seeing a value, read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.serving import Watch, served
from tests.browser.serving import sign_in as enter
from tests.browser.small_site import PASSWORD
from tests.browser.test_pages import serious
from tests.unit.keeping.owndata.conftest import Bench, bench, made

from estran.projects.passwords import hash_of_password

__all__ = ["bench", "made"]
CSV = b"ipp;nom;visit;day;fevg\nIPP0;MARTIN;V1;2024-02-03;35,5\nIPP2;LEFEBVRE;V1;2024-02-30;40\nIPP77;X;V1;2024-02-03;41\n"


@pytest.fixture
def base(bench: Bench) -> Iterator[str]:
    for name, language, theme in (("lea", "fr", "light"), ("dan", "fr", "dark")):
        bench.site.state.accounts.change(
            bench.play.id[name], language=language, theme=theme, password_hash=hash_of_password(PASSWORD)
        )
    bench.keeper.look()
    with served(bench.site) as address:  # type: ignore[arg-type]
        yield address


def test_from_the_declaration_to_the_three_counts(bench: Bench, base: str, browser: Browser, watch: Watch) -> None:
    def arrive(login: str) -> Page:
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        watch.on(page, base)
        enter(page, base, login)
        page.goto(f"{base}/projects/{bench.project}")
        page.get_by_role("link", name="Données apportées par le projet").click()
        return page

    lead = arrive("lea")
    lead.get_by_label("Titre").fill("Registre d’échographies")
    lead.get_by_label("Origine").fill("Équipe de cardiologie, 2019-2024")
    lead.get_by_label("Formalité").select_option("MR-003")
    lead.get_by_label("Conservé jusqu’au").fill(str(dt.date.today() + dt.timedelta(days=90)))
    lead.get_by_label("Information des patients").fill("Lettre de janvier à chaque patient")
    assert serious(lead) == []
    lead.get_by_role("button", name="Déclarer").click()
    expect(lead.get_by_text("en attente d’acceptation")).to_be_visible()
    engineer = arrive("dan")
    engineer.get_by_role("button", name="Accepter").click()
    engineer.get_by_text("Déposer un fichier").first.click()
    engineer.get_by_label("Fichier (CSV ou XML)").first.set_input_files(
        {"name": "echo.csv", "mimeType": "text/csv", "buffer": CSV}
    )
    engineer.get_by_role("button", name="Déposer le fichier").first.click()
    expect(engineer.get_by_role("heading", level=1)).to_contain_text("Décrire les colonnes")
    assert "MARTIN" not in engineer.content() and "IPP0" not in engineer.content()
    engineer.get_by_label("Ce qu’est la colonne visit").select_option("key")
    assert serious(engineer) == []
    engineer.get_by_role("button", name="Faire lire le fichier").press("Enter")
    expect(engineer.get_by_text("en attente", exact=True)).to_be_visible()
    assert bench.keeper.look() == ["own data: file 1 read, 1 rows linked of 3"]
    engineer.reload()
    expect(engineer.get_by_text("La valeur n’est pas un jour.")).to_be_visible()
    assert serious(engineer) == []
    lead.reload()
    expect(lead.get_by_role("row", name="dan,")).to_contain_text("3")
    assert watch.foreign == [] and watch.complaints == []
