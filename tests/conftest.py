"""Fixtures shared by every test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings

from estran.projects import passwords

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

pytest_plugins = ["tests.kept"]
# A busy machine is no fault of a test. Every run tries the same examples, so that a change that breaks nothing is never
# refused for what chance finds that day; with ESTRAN_SLOW each run tries others, and more of them.
settings.register_profile(
    "house", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="ESTRAN_SLOW" not in os.environ
)
settings.load_profile("house")
ROOT = Path(__file__).resolve().parent.parent
# Tests sign in hundreds of times, and guessing is nobody's aim: the least that argon2 does. What the product's own hashes
# cost is tested in test_passwords.py; the processes that tests start hash as in a hospital.
passwords._hasher = passwords._light = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


# Files that read one large site: together in one process, since another would only wait for it to be built.
ONE_SITE = {"test_cases.py": "everything", "test_loading.py": "everything", "test_privacy.py": "everything",
            "test_catalogue.py": "region", "test_region.py": "region"}  # fmt: skip
WHOLE = {"test_every_page.py", "test_keyboard.py"}  # read and change one site that takes seconds to fill

# Each of these takes twenty seconds or more: begun first, so that no process is left alone with one at the end.
LONG = {
    *ONE_SITE, "test_crash.py", "test_pmsi_wholes.py", "test_pages.py", "test_projects.py", "test_workspace.py", "test_reviews.py",
    "test_building.py", "test_vcf.py", "test_pmsi_records.py", "test_engines_agree.py", "test_omop_typed.py", "test_feeds.py",
    "test_unload.py", "test_disclosure.py", "test_order.py", "test_promises.py", "test_upkeep.py", "test_mllp.py",
    "test_cli.py", "test_whole_project.py",
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: 0 if item.path.name in WHOLE else 1 if item.path.name in LONG else 2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling:
    """Each file goes to one process, which builds its sites once."""
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            folder, _, name = file.rpartition("/")
            if folder == "tests/browser" and name in WHOLE:
                return "whole"
            return ONE_SITE.get(name, file) if folder == "tests/spec" else file

    return Files(config, log)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data kept beside the checkout; tests that need it are left out where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not beside the checkout")
    return folder
