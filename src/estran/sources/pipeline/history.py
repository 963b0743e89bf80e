"""What has come already: the files of a source that were read to their end."""

from __future__ import annotations

from estran.sources.pipeline.run import Parts


def finished(parts: Parts, source: str) -> set[str]:
    """Digests, as the landing gives them, of the files that a load of `source` read to the end."""
    with parts.warehouse.snapshot().connect() as connection:
        rows = connection.execute(
            "select file_no from raw_load where source = ? group by file_no having bool_and(complete)", [source]
        ).fetchall()
    return {parts.vault.file(number).sha256 for (number,) in rows}
