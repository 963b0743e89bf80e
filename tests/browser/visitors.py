"""A browser window for each person of the whole site."""

from __future__ import annotations

from playwright.sync_api import Browser, BrowserContext, Page
from tests.browser.serving import Portal, Watch
from tests.browser.whole_site import Opened, Whole


class Visitors:
    """A browser window for each person, kept open from page to page."""

    def __init__(self, browser: Browser, portal: Portal, everything: Whole) -> None:
        self._browser, self._portal, self._everything = browser, portal, everything
        self.base = portal.base
        self._pages: dict[tuple[str, str], Page] = {}
        self.watch = Watch()

    def page(self, login: str, language: str) -> Page:
        """The window of this person; without a name, of somebody who did not sign in."""
        key = (login, "" if login else language)
        if key not in self._pages:
            context = self._browser.new_context(
                locale=language, reduced_motion="reduce", viewport={"width": 1440, "height": 900}
            )
            self._pages[key] = self._opened(context, login)
        if login:
            account = self._portal.site.state.accounts.find(login)
            assert account
            self._portal.site.state.accounts.change(account.id, language=language, theme="light")
        return self._pages[key]

    def address(self, opened: Opened) -> str:
        """Where a page is, with the numbers of this site in it."""
        return self.base + self._everything.address(opened)

    def _opened(self, context: BrowserContext, login: str) -> Page:
        if login:
            self._everything.enter(context, self._portal.base, login, "fr", "light")
        page = context.new_page()
        self.watch.on(page, self._portal.base)
        return page

    def close(self) -> None:
        """Shut all windows."""
        for page in self._pages.values():
            page.context.close()
