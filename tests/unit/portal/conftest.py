"""A real small site, and a portal on it without a browser."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

import httpx
import pytest
from tests.browser.serving import served
from tests.browser.small_site import PASSWORD, Site, build

TRUST = ssl.create_default_context()  # read once: each client would read the certificates of the whole world anew


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built = build(tmp_path_factory.mktemp("site"), language="en", patients=60)
    yield built
    built.state.close()


@pytest.fixture(scope="session")
def base(site: Site) -> Iterator[str]:
    with served(site) as address:
        yield address


@pytest.fixture
def client(base: str) -> Iterator[httpx.Client]:
    """Somebody who just arrived."""
    with httpx.Client(base_url=base, trust_env=False, timeout=30, verify=TRUST) as opened:
        yield opened


def token(answer: httpx.Response) -> str:
    """The form token of a page."""
    found = re.search(r'name="csrf" value="([^"]+)"', answer.text)
    assert found
    return found[1]


@pytest.fixture
def signed_in(client: httpx.Client) -> httpx.Client:
    sign_in(client, "data_engineer")
    return client


def sign_in(client: httpx.Client, login: str, password: str = PASSWORD) -> httpx.Response:
    csrf = token(client.get("/sign-in"))
    return client.post("/sign-in", data={"csrf": csrf, "login": login, "password": password})
