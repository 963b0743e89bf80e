"""PMSI home care: the table that the documentation shows, loaded by the command line as a hospital would."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.spec.site_kit import findings, found, make, rows, value
from tests.unit.sources.pmsi_lines import FINESS, kind_named, layout_of, vidhosp, write_file, write_line

from estran.cli import main
from estran.sources.pmsi.layout import Kind, Layout, load_kinds

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "sources" / "pmsi.md").read_text("utf-8")
SECTION = PAGE.partition("## Home care, by the hospital's table")[2].partition("\n## ")[0]
Ingest = Callable[..., dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a hospital that copied the example."""
    (example,) = re.findall(r"```toml\n(.*?)```", SECTION, re.DOTALL)
    made = tmp_path / "layouts"
    made.mkdir()
    (made / "had.toml").write_text(example, "utf-8")
    return made


@pytest.fixture
def ingest(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ingest:
    """`estran ingest … --json`, whose account must add up in every file."""

    def run(*words: object) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["estran", "ingest", *map(str, words), "--json"])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said: dict[str, Any] = json.loads(capfd.readouterr().out.strip().splitlines()[-1])
        assert ended.value.code == (4 if said["quarantined"] else 0)
        for account in (said, *said["files"]):
            assert account["read"] == account["loaded"] + account["superseded"] + account["quarantined"]
        return said

    return run


def line(layout: Layout, rank: str, debut: str, fin: str, **more: Any) -> bytes:
    values = {"finess": FINESS, "ipp": "8001", "nda": "9001", "entree": "02012023", "domicile": "6", "sequence": "0001",
              "debut_sequence": "02012023", "mpp": "04", "mpa": "07", "karnofsky": 40, "sous_sequence": rank, "debut": debut,
              "fin": fin, "nature": "04", "dp": "C509"}  # fmt: skip
    return write_line(layout, values | more, dcmpp=[{"code": "Z515"}], das=[{"code": "I10"}, {"code": "E119"}])


def test_the_table_of_the_documentation_loads_home_care(tmp_path: Path, folder: Path, ingest: Ingest) -> None:
    site = make(tmp_path / "site", author_system="CHU", pmsi_layouts=str(folder))
    layout = layout_of("rpss", "X99", load_kinds(folder))
    ingest(site.directory, "pmsi", write_file(tmp_path / "vidhosp.txt", vidhosp("9001", "8001", entree="02012023", sortie="30012023")))
    first, second = line(layout, "0001", "02012023", "08012023"), line(layout, "0002", "09012023", "15012023")
    wrong = line(layout, "0003", "31022023", "15012023")
    other = line(layout, "0001", "02012023", "08012023", ipp="8009", nda="9009")
    sent = write_file(tmp_path / "rpss.20230210.txt", first, second, wrong, second[:115], other, first.replace(b"X99", b"X98"))
    said = ingest(site.directory, "pmsi", sent)
    assert (said["read"], said["loaded"], said["superseded"], said["quarantined"]) == (6, 2, 0, 4)
    assert sorted(reason.partition(":")[0] for reason in said["reasons"]) == ["malformed", "no-patient", "truncated", "unknown-type"]
    changed = line(layout, "0002", "09012023", "15012023", mpp="06", mpa="00")
    later = ingest(site.directory, "pmsi", write_file(tmp_path / "rpss.20230310.txt", first, changed))
    assert (later["read"], later["loaded"], later["superseded"], later["quarantined"]) == (2, 1, 1, 0)

    codes = rows(site, "select distinct role, code from fact join concept using (concept_id) where vocabulary = 'CIM10' order by all")
    assert codes == [("DAS", "E11.9"), ("DAS", "I10"), ("DCMPP", "Z51.5"), ("DP", "C50.9")]
    told = rows(site, "select c.code, v.vocabulary, v.code, v.label_fr, f.start_date from fact f join concept c using (concept_id) "
                      "join concept v on v.concept_id = f.value_concept where c.code in ('prise-en-charge-principale', 'nature-sejour') "
                      "order by all")  # fmt: skip
    week, next_week = dt.date(2023, 1, 2), dt.date(2023, 1, 9)
    assert told == [
        ("nature-sejour", "LOCAL/PMSI-nature-sejour", "04", "Soins palliatifs", week),
        ("nature-sejour", "LOCAL/PMSI-nature-sejour", "04", "Soins palliatifs", next_week),
        ("prise-en-charge-principale", "LOCAL/PMSI-prise-en-charge", "04", "Soins palliatifs", week),
        ("prise-en-charge-principale", "LOCAL/PMSI-prise-en-charge", "06", "Nutrition entérale", next_week),
    ]
    assert rows(site, "select distinct value from fact join concept using (concept_id) where code = '89243-0'") == [(40.0,)]
    assert rows(site, "select max(f.start_date) from fact f join concept using (concept_id) where code = 'fin-sous-sequence'") == [
        (dt.date(2023, 1, 15),)
    ]  # fmt: skip
    assert rows(site, "select title, start_date from document order by 2") == [("RPSS", week), ("RPSS", next_week)]
    assert value(site, "select kind from stay") == "had"
    assert found(site, "CIM10:C50.9") == {"8001"}
    assert findings(site) == []


def _names(kind: Kind) -> set[str]:
    """The fields that mean something in a kind of record."""
    specs = [spec for document in kind.documents for spec in document.facts]
    told = {name for spec in specs for name in (spec.source, spec.date, spec.count, *(a.partition("/")[0] for a in spec.attributes))}
    return {name for name in (kind.stay, kind.patient, kind.start, kind.end, kind.sent, *kind.key, *told) if name}


def test_the_documentation_names_every_field_of_a_rpss() -> None:
    table = "\n".join(row for row in SECTION.splitlines() if row.startswith("|"))
    assert set(re.findall(r"`([a-z_0-9.]{2,})`", table)) == _names(kind_named("rpss"))
