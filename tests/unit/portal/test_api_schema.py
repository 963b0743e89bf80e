"""The API against its own description: schemathesis makes up requests, right and wrong, for ten seconds at most.

Every check but one: a text may fit the description and be no question in the language of questions, which no JSON
schema can tell; such a request is rightly answered 422.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from tests.browser.serving import served
from tests.browser.small_site import Site
from tests.unit.portal.conftest import sign_in

from estran.projects import tokens
from estran.projects.actors import Actor

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed"
)


def test_the_api_answers_as_it_describes_itself(site: Site, tmp_path: Path) -> None:
    busy = replace(site, settings=replace(site.settings, api_requests_per_minute=10**6))
    account = site.state.accounts.find("data_engineer")
    assert account
    token = tokens.make(site.state, Actor.of(account), "schema", ["holdings", "count", "search", "snippets"], 1)
    described = tmp_path / "openapi.json"
    with served(busy) as base:
        with httpx.Client(base_url=base, trust_env=False, timeout=30) as person:
            sign_in(person, "data_engineer")
            described.write_text(json.dumps(person.get("/api/openapi.json").json()), "utf-8")
        asked = [
            "run", str(described), "--url", base, "--header", f"Authorization: Bearer {token}", "--seed", "1", "--max-examples", "10",
            "--max-time", "10", "--no-color", "--generation-database", "none", "--exclude-checks", "positive_data_acceptance",
        ]  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", *asked],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
    site.state.tokens.revoke(account.id)
