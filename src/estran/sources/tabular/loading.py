"""Loading by a mapping: files, or a database from where the last load of it ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from estran.sources.pipeline.run import Parts, Progress, Report
from estran.sources.pipeline.run import ingest as run
from estran.sources.tabular.database import extracted
from estran.sources.tabular.shelf import Shelf


def ingest_mapped(
    parts: Parts, shelf: Shelf, format_name: str, name: str, paths: list[Path], *,
    progress: Callable[[Progress], None] = lambda _: None, environment: Mapping[str, str] = os.environ,
) -> Report:  # fmt: skip
    """Load `paths` (format csv) or the database of the mapping (sql) by the mapping `name` of `shelf`.

    The watermark moves once everything is committed: after a crash, what was read is read again and found
    to be there already. Raises what `ingest` raises, and UsageError when the database cannot be reached.
    """
    if format_name != "sql":
        return run(parts, format_name, paths, name=name, progress=progress)
    with extracted(shelf.get(name), shelf.watermarks(name), environment) as extract:
        report = run(parts, "sql", [*extract.files, *paths], name=name, progress=progress)
        if not report.refused_files:
            shelf.set_watermarks(name, extract.marks)
    return report
