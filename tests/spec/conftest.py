"""The large site, loaded once for all acceptance tests that only read it."""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.spec import planted, site_kit

from estran.app import Site
from estran.sources.pipeline.run import Report


@dataclass
class Everything:
    """A site with every set of data and the planted reports; what each load said, on every stream."""

    site: Site
    inputs: dict[str, list[Path]]  # per format, of the planted reports
    reports: dict[str, Report] = field(default_factory=dict)
    gibleed: dict[str, int] = field(default_factory=dict)  # counts while the site held nothing else
    output: str = ""

    def load(self, shared: Path) -> dict[str, Report]:
        """Load every feed, in order."""
        found = {}
        for name, feed in site_kit.feeds(shared).items():
            found[name] = site_kit.load_feed(self.site, feed)
            if not self.gibleed:
                self.gibleed = {asked: len(site_kit.ask(self.site, asked)) for asked in site_kit.PUBLISHED}
        for format_name, paths in self.inputs.items():
            found[f"planted-{format_name}"] = site_kit.load(self.site, format_name, *paths, name="planted")
        return found


@pytest.fixture(scope="session")
def everything(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Everything:
    """Loaded once; tests that change anything make a site of their own."""
    folder = tmp_path_factory.mktemp("everything")
    whole = Everything(site_kit.make(folder / "site"), planted.write(folder / "inputs"))
    said, log = io.StringIO(), io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            whole.reports = whole.load(shared)
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(level)
    whole.output = said.getvalue() + log.getvalue()
    return whole
