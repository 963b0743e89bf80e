"""The large site, loaded once for all acceptance tests, which only read it."""

from __future__ import annotations

import contextlib
import fcntl
import io
import logging
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.spec import planted, region_truth, site_kit

from estran.app import Site, open_site
from estran.sources.pipeline.run import Report

Inputs = dict[str, list[Path]]  # per format


@dataclass(frozen=True)
class Everything:
    """A site with every set of data and the planted reports; what each load said, on every stream."""

    site: Site
    inputs: Inputs  # the planted reports
    reports: dict[str, Report]
    gibleed: dict[str, int]  # counts while the site held nothing else
    output: str

    def copy(self, directory: Path) -> Site:
        """The same site at another place, to be changed."""
        shutil.copytree(self.site.directory, directory)
        shutil.copy(self.site.key_file, directory.parent / f"{directory.name}.key")
        return open_site(directory)


def load_all(
    site: Site, shared: Path, inputs: Inputs, after: Callable[[str], None] = lambda _: None
) -> dict[str, Report]:
    """Load every feed, in order; `after` is told the name of each."""
    found = {}
    for name, feed in site_kit.feeds(shared).items():
        found[name] = site_kit.load_feed(site, feed)
        after(name)
    for format_name, paths in inputs.items():
        found[f"planted-{format_name}"] = site_kit.load(site, format_name, *paths, name="planted")
    return found


@pytest.fixture(scope="session")
def everything(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Everything:
    """Loaded by the first test process that asks; the others open it."""
    folder = _shared_folder(tmp_path_factory) / "everything"
    with _alone(folder.with_suffix(".lock")):
        if not (folder / "said").exists():
            folder.mkdir()
            (folder / "said").write_bytes(pickle.dumps(_build(folder, shared)))
    said = pickle.loads((folder / "said").read_bytes())
    return Everything(open_site(folder / "site"), *said)


@pytest.fixture(scope="session")
def region(tmp_path_factory: pytest.TempPathFactory) -> region_truth.Region:
    """A small region with two of its hospitals loaded, by the first test process that asks."""
    folder = _shared_folder(tmp_path_factory) / "region"
    with _alone(folder.with_suffix(".lock")):
        if not (folder / "said").exists():
            folder.mkdir()
            (folder / "said").write_bytes(pickle.dumps(region_truth.build(folder / "ouest")))
    return region_truth.reopened(folder / "ouest", *pickle.loads((folder / "said").read_bytes()))


def _shared_folder(factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of the whole run, whichever process asks."""
    folder = factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


def _build(folder: Path, shared: Path) -> tuple[Inputs, dict[str, Report], dict[str, int], str]:
    site, inputs, gibleed = site_kit.make(folder / "site"), planted.write(folder / "inputs"), dict[str, int]()

    def count(name: str) -> None:
        if name == "gibleed":
            gibleed.update((asked, len(site_kit.ask(site, asked))) for asked in site_kit.PUBLISHED)

    with _overheard() as streams:
        reports = load_all(site, shared, inputs, count)
    return inputs, reports, gibleed, streams.getvalue()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _overheard() -> Iterator[io.StringIO]:
    """All that is said on the streams and in logs, at their most talkative."""
    said, logger = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(said), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            yield said
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
