"""The large site, loaded once for all acceptance tests that only read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.spec import planted, site_kit

from estran.app import Site
from estran.sources.pipeline.run import Report


@dataclass(frozen=True)
class Everything:
    """A site with every set of data and the planted reports; what each load said."""

    site: Site
    reports: dict[str, Report]
    output: str  # all that loading wrote to its streams and logs
