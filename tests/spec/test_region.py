"""The synthetic region: the same bytes from the same seed, raw feeds that load whole, a warehouse equal to its truth."""

from __future__ import annotations

import json
import tomllib
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

import duckdb
import pyarrow as pa
import pypdfium2 as pdfium
import pytest
from tests.spec.region_truth import LOADED, PLAN, Beside, Region, differences
from tests.spec.site_kit import findings
from typer.testing import CliRunner

from estran.app import open_site
from estran.cli import app
from estran.model.errors import UsageError
from estran.model.feeds import read_feeds
from estran.region.plan import Plan
from estran.region.run import make, make_shard


def _digest(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_shard_is_the_same_in_any_process(tmp_path: Path) -> None:
    plan = Plan(patients=1_030, seed=3, sites=9)
    make_shard(plan, 1, tmp_path / "here")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(make_shard, plan, 1, tmp_path / "there").result()
    here = _digest(tmp_path / "here")
    assert here == _digest(tmp_path / "there")
    assert len(here) > 60


def test_another_seed_makes_other_people(tmp_path: Path) -> None:
    for seed in (1, 2):
        make_shard(Plan(patients=20, seed=seed), 0, tmp_path / str(seed))
    people = [(tmp_path / str(seed) / "truth/people/people-00000.parquet").read_bytes() for seed in (1, 2)]
    assert people[0] != people[1]


def test_the_command_makes_a_region_and_ingest_loads_it(tmp_path: Path) -> None:
    run = CliRunner().invoke
    made = run(app, ["region", str(tmp_path / "r"), "--patients", "12", "--sites", "nine", "--texts", "1", "--processes", "1", "--json"])
    told = json.loads(made.stdout.splitlines()[-1])
    assert made.exit_code == 0 and told["patients"] == 12 and told["truth"]["people"] == 12
    assert sorted(p.name for p in (tmp_path / "r").iterdir()) == [
        "angers", "brest", "ico", "insee", "lemans", "nantes", "orleans", "rennes", "tours", "truth", "vendee"
    ]  # fmt: skip
    busiest = max((tmp_path / "r").glob("*/feeds"), key=lambda p: sum(f.stat().st_size for f in p.rglob("*.hl7"))).parent
    loaded = run(app, ["ingest", str(busiest), "--all", "--json"])
    assert loaded.exit_code == 0, loaded.stdout
    assert json.loads(loaded.stdout.splitlines()[-1])["quarantined"] == 0


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(UsageError):
        make(PLAN, tmp_path)


def test_a_hospital_describes_itself_without_anything_of_this_machine(region: Region) -> None:
    for folder in ("angers", "brest", "nantes", "rennes", "tours", "ico"):
        text = (region.out / folder / "estran.toml").read_text("utf-8")
        feeds = tomllib.loads(text)["feed"]
        assert feeds[0]["format"] == "hl7v2"
        assert all(not Path(f["path"]).is_absolute() and set(f) == {"name", "format", "path"} for f in feeds)
        assert str(region.out) not in text


@pytest.mark.parametrize("hospital", LOADED)
def test_every_record_is_accounted_for(region: Region, hospital: str) -> None:
    site, reports = region.sites[hospital]
    for name, report in reports.items():
        assert report.total("read") == report.total("loaded") + report.total("superseded"), name
        assert not report.reasons, name
        assert not report.refused_files
        assert report.unknown_stays == 0
    assert findings(site) == []


@pytest.mark.parametrize("hospital", LOADED)
@pytest.mark.parametrize("subject", ["stays", "movements", "diagnoses", "conditions", "labs", "susceptibilities", "drugs", "texts"])
def test_the_warehouse_equals_the_truth(region: Region, hospital: str, subject: str) -> None:
    """Late, double, corrected, withdrawn and cancelled messages included: there is nothing to explain."""
    beside = Beside(region.out, region.sites[hospital][0])
    pair = getattr(beside, subject)()
    missing, extra = differences(pair)
    assert not missing and not extra, (sum(missing.values()), sum(extra.values()), list(missing)[:3], list(extra)[:3])
    assert pair[0] or (subject == "conditions" and hospital == "brest")  # whose server sends no FHIR


@pytest.mark.parametrize("hospital", LOADED)
def test_double_identities_are_one_patient(region: Region, hospital: str) -> None:
    expected, found = Beside(region.out, region.sites[hospital][0]).patients()
    assert found == expected


def test_spans_and_mentions_stand_where_the_truth_says(region: Region) -> None:
    texts = {}
    for line in (region.out / "brest/feeds/comptes-rendus/comptes-rendus-00000.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        texts[row["id"]] = row["text"]
    truth = region.out / "truth"
    for table in ("spans", "mentions"):
        rows = duckdb.sql(f"select document, start, \"end\", text from '{truth}/{table}/*.parquet' where hospital = 'brest'").fetchall()
        assert len(rows) > 200
        assert all(texts[document][start:end] == words for document, start, end, words in rows)


def test_contexts_are_of_every_sort(region: Region) -> None:
    rows = duckdb.sql(f"select distinct context from '{region.out}/truth/mentions/*.parquet'").fetchall()
    assert {row[0] for row in rows} == {"affirmed", "negated", "hypothetical", "family", "history"}


def test_texts_do_not_compress_like_a_form(region: Region) -> None:
    """A report of two thousand characters keeps hundreds of bytes under zstd, read one after the other."""
    texts = []
    for hospital in ("brest", "tours"):
        for line in (region.out / hospital / "feeds/comptes-rendus/comptes-rendus-00000.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            if row["kind"] == "CRH":
                texts.append(row["text"])
    data = "\n".join(texts).encode()
    left = len(pa.Codec("zstd", 3).compress(data, asbytes=True)) * 2_000 / len(data)
    assert left >= 780
    assert 1_500 < len(data) / len(texts) < 3_000


def test_planted_effects_are_told(region: Region) -> None:
    told = json.loads((region.out / "truth/planted.json").read_text())
    assert told == region.summary.planted
    assert told["hazard_ratio"]["value"] == 1.8
    assert [(told["links"]["pairs"],)] == duckdb.sql(f"select count(*) from '{region.out}/truth/links/*.parquet'").fetchall()


def test_the_auc_told_is_that_of_the_truth(region: Region) -> None:
    rows = duckdb.sql(f"select risk, event from '{region.out}/truth/outcomes/*.parquet' where index = 'readmission'").fetchall()
    came, away = [r for r, e in rows if e], [r for r, e in rows if not e]
    auc = sum((a > b) + (a == b) / 2 for a in came for b in away) / (len(came) * len(away))
    assert region.summary.planted["model"]["auc_of_true_risk"] == pytest.approx(auc, abs=0.01)


def test_people_known_to_several_hospitals_have_several_numbers(region: Region) -> None:
    rows = duckdb.sql(f"select hospital_a, ipp_a, hospital_b, ipp_b from '{region.out}/truth/links/*.parquet'").fetchall()
    held = set(duckdb.sql(f"select hospital, ipp from '{region.out}/truth/identities/*.parquet'").fetchall())
    assert rows
    assert all(a != b and (a, x) in held and (b, y) in held for a, x, b, y in rows)


def test_letters_that_leave_as_pages_name_who_the_truth_says(region: Region) -> None:
    rows = duckdb.sql(f"select document, text from '{region.out}/truth/letters/*.parquet' where hospital = 'nantes'").fetchall()
    pages = {path.stem.rpartition("_")[2]: _words(path) for path in (region.out / "nantes/feeds/pdf").glob("*.pdf")}
    assert {document for document, _ in rows} == set(pages)
    assert all("".join(text.split()) in pages[document] for document, text in rows)


def _words(path: Path) -> str:
    """The text of a PDF without its spaces."""
    with closing(pdfium.PdfDocument(path)) as document:
        return "".join("".join(page.get_textpage().get_text_range().split()) for page in document)


def test_the_demo_opens_a_hospital_of_a_region(tmp_path: Path) -> None:
    command = ["demo", str(tmp_path / "d"), "--region", "--patients", "10", "--no-serve", "--json"]
    first, again = (CliRunner().invoke(app, command) for _ in range(2))
    assert first.exit_code == again.exit_code == 0, first.output + again.output
    told = json.loads(first.stdout.splitlines()[0])
    site = open_site(Path(told["site"]))
    assert site.directory == tmp_path / "d" / "angers"
    assert len(read_feeds(site.directory / "estran.toml")) == len(list(site.directory.glob("feeds/*")))
    assert site.snapshot().counts["patient"] > 0
    assert len(list(site.directory.glob("warehouse/snapshots/*.json"))) > 1
    assert json.loads(again.stdout.splitlines()[0])["site"] == told["site"]
    assert (tmp_path / "d" / "truth" / "planted.json").stat().st_mtime_ns < (tmp_path / "d" / "angers.key").stat().st_mtime_ns
