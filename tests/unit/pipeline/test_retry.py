"""Quarantined records read anew, once what refused them was mended."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from tests import fresh
from tests.unit.pipeline.test_promises import admission, person, result, values

from estran.settings import Settings
from estran.sources.hl7v2 import Hl7v2Reader
from estran.sources.pipeline.run import ingest, retry
from estran.sources.records import Batch, Refusal


class Mistaken(Hl7v2Reader):
    """A reader with a mistake in it: it refuses whatever it reads."""

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        for batch in super().read(path, name, wanted):
            rows = range(batch.records.num_rows)
            refusals = [Refusal(row, "OBX-3", "malformed", "The result has no code.") for row in rows]
            yield Batch(batch.part, batch.records, refusals=refusals)


def test_a_mended_reader_frees_what_it_refused(tmp_path: Path) -> None:
    site = fresh.site(tmp_path / "site", Settings())
    path = tmp_path / "both.hl7"
    path.write_text("\r".join((admission("20250101080000", "2"), result("20250102080000", person("2"), "5"))), newline="")
    with site.loading() as parts:
        mistaken = dataclasses.replace(parts, readers={"hl7v2": lambda _: Mistaken(site.settings)})
        assert ingest(mistaken, "hl7v2", [path]).total("quarantined") == 2
        assert retry(mistaken) == (0, 2)
        assert retry(parts, "report") == (0, 0)
        assert values(site) == []
        assert retry(parts) == (2, 0)
    assert values(site) == [5.0]
    assert site.warehouse.check() == []
    with site.snapshot().connect() as connection:
        assert connection.execute("select read, loaded, quarantined from raw_load").fetchall() == [(2, 2, 0)]
