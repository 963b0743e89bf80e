"""A whole house for a whole project: a site with its key and vault, people who are signed in, pictures of what they see."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page
from tests.browser.serving import served
from tests.browser.small_site import PATIENTS, hospital

from estran.app import Site, create_site
from estran.identity.traits import Statement
from estran.keeping.work import work
from estran.portal.visitor import COOKIE
from estran.projects.actors import Actor, Role
from estran.settings import Settings

PICTURES = "ESTRAN_PICTURES"  # the folder that the pictures of docs/ are written to, when it is set
SCREEN = {"width": 1280, "height": 860}
PEOPLE = {
    "chercheuse": Role.RESEARCHER, "clinicienne": Role.CLINICIAN, "methodologiste": Role.METHODOLOGIST, "ingenieure": Role.DATA_ENGINEER,
    "experte": Role.EXPERT, "dpo": Role.DATA_PROTECTION_OFFICER, "verificatrice": Role.METHODOLOGIST,
    **{f"comite{n}": Role.COMMITTEE_MEMBER for n in range(1, 6)},
}  # fmt: skip


def number_of(patient: int) -> str:
    """The hospital number of a patient of the small hospital."""
    return f"80{patient:05}"


def house(folder: Path) -> Site:
    """The small hospital as a site with key and vault; nobody has a password, each is let in by the stage."""
    settings = Settings(
        name="CHU de l’Estran (démonstration)", language="fr", controller="CHU de l’Estran", author_system="CHU",
        dpo_contact="dpo@chu.example", workspace_port=0,
    )  # fmt: skip
    site = create_site(folder / "site", settings)
    with site.warehouse.writer() as writer:
        writer.commit(hospital(PATIENTS))
    with site.vault() as vault:
        made = vault.introduce([Statement((("CHU", number_of(patient)),)) for patient in range(PATIENTS)])
        assert made.identity_ids.tolist() == list(range(PATIENTS))
    for login, role in PEOPLE.items():
        site.state.accounts.add(login, "-", str(role), "fr")
    return site


@dataclass
class Stage:
    """The site as it is served, and a page of each person who came on."""

    site: Site
    base: str
    browser: Browser
    complaints: list[str] = field(default_factory=list)
    pages: dict[str, Page] = field(default_factory=dict)
    taken: int = 0

    def actor(self, login: str) -> Actor:
        account = self.site.state.accounts.find(login)
        assert account is not None
        return Actor.of(account)

    def page(self, login: str, path: str) -> Page:
        """The person's own browser, signed in, at a path; the public when no login is given."""
        if login not in self.pages:
            context = self._signed_in(login)
            page = self.pages[login] = context.new_page()
            page.set_default_timeout(60_000)
            page.on("console", self._heard)
            page.on("pageerror", self._broke)
        self.pages[login].goto(self.base + path)
        return self.pages[login]

    def _heard(self, message: ConsoleMessage) -> None:
        """What the portal's own pages complain of; the notebook in its frame says what it likes."""
        if message.type in ("error", "warning") and str(message.location.get("url", "")).startswith(self.base):
            self.complaints.append(message.text)

    def _broke(self, error: Error) -> None:
        if self.base in (error.stack or ""):
            self.complaints.append(str(error))

    def _signed_in(self, login: str) -> BrowserContext:
        context = self.browser.new_context(viewport=SCREEN, locale="fr-FR", color_scheme="light")  # type: ignore[arg-type]
        if login:
            account = self.site.state.accounts.find(login)
            assert account is not None
            token = self.site.state.sessions.start(account.id)
            context.add_cookies([{"name": COOKIE, "value": token, "url": self.base}])
        return context

    def keys(self) -> list[str]:
        """What the process that holds the key does next, in its own words."""
        done = work(self.site.state, self.site.loading, self.site.datamarts)
        numbers = {job.id for job in done}
        ended = [job for job in self.site.state.jobs.recent() if job.id in numbers]
        assert not any(job.failed for job in ended), [job.outcome for job in ended]
        return [job.outcome for job in reversed(ended)]

    def picture(self, page: Page, name: str, at: str = "") -> None:
        """A picture of what a person sees, numbered, when pictures are asked for; `at` is brought to the top first."""
        self.taken += 1
        folder = os.environ.get(PICTURES)
        if not folder:
            return
        if at:
            page.locator(at).first.evaluate("node => window.scrollTo(0, node.getBoundingClientRect().top + scrollY - 90)")
        page.evaluate("document.fonts.ready")
        drawn = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(96)
        drawn.save(Path(folder) / f"{self.taken:02}-{name}.png", optimize=True)


@contextmanager
def staged(folder: Path, browser: Browser) -> Iterator[Stage]:
    """The house, served."""
    site = house(folder)
    with served(site) as base:
        stage = Stage(site, base, browser)
        yield stage
        for page in stage.pages.values():
            page.context.close()
    site.state.close()


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
