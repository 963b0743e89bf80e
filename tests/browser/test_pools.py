"""The page of a pool: who sent, how the sites differ, every copy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Browser, expect
from tests.browser.serving import Watch, served, sign_in
from tests.pool_kit import Pooling, pooling

from estran.hub.pooling.differences import Held, compare, to_object
from estran.projects.gate import Shown

SITES = ("angers", "brest", "tours")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pooling, str, str]]:
    folder = tmp_path_factory.mktemp("pools")
    made = pooling(folder, *SITES)
    pool = made.ask("umol/L")
    made.net.run(*SITES)
    made.settle(pool, *SITES)
    _another_unit(made, pool, folder / "other")
    with served(made.hub, made.net.house.book) as base:
        yield made, pool, base
    made.hub.state.close()


def _another_unit(made: Pooling, pool: str, folder: Path) -> None:
    """As if one hospital's laboratory told creatinine in mg/dL and called it µmol/L, and knew fewer of the diabetics."""
    held = []
    for part in made.keeper.book.parts(pool, "accepted"):
        shutil.copytree(made.folder(pool) / part.folder, folder / part.member)
        held.append(Held(part.member, folder / part.member, frozenset(), {}))
    path = folder / "tours" / "patients.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT * REPLACE (creatinine / 88.4 AS creatinine, "
            "diabetes AND row_number() OVER (PARTITION BY diabetes ORDER BY patient) % 4 = 0 AS diabetes) "
            f"FROM '{path}') TO '{path}.new' (FORMAT parquet)"
        )
    Path(f"{path}.new").replace(path)
    cells = compare(
        sorted(held, key=lambda one: one.site),
        made.keeper.find(pool).agreed.frozen(),
        lambda n, _: Shown(n // 5 * 5, margin=32),
    )
    made.keeper.book.change(pool, differences=json.dumps({"cells": to_object(cells), "codes": []}))


@pytest.mark.parametrize(("language", "theme"), [("fr", "light"), ("en", "dark")])
def test_the_sites_side_by_side(
    made: tuple[Pooling, str, str], browser: Browser, watch: Watch, language: str, theme: str
) -> None:
    kit, pool, base = made
    account = kit.hub.state.accounts.find("researcher")
    assert account is not None
    kit.hub.state.accounts.change(account.id, language=language, theme=theme)
    page = browser.new_page(viewport={"width": 1440, "height": 1300})
    watch.on(page, base)
    sign_in(page, base, "researcher")
    page.goto(base + "/pools")
    page.click("main a[href^='/pools/']")
    expect(page.locator("h1")).to_have_text("kidney")
    odd = page.locator("tr.odd-one")
    said = {"fr": "unité à vérifier", "en": "unit to be checked"}[language]

    expect(page.locator(".badge", has_text=said)).to_have_count(1)
    expect(odd).to_have_count(2)
    expect(odd.first).to_contain_text("tours")
    expect(page.locator("tbody.variable")).to_have_count(5)
    page.goto(base + f"/datamarts/{kit.keeper.find(pool).datamart}")
    expect(page.locator(f"a[href='/pools/{pool}']")).to_have_count(1)
    assert page.goto(base + "/pools/nosuchpool").status == 404  # type: ignore[union-attr]
    page.close()
    assert watch.foreign == [] and [one for one in watch.complaints if "404" not in one] == []
