"""MIMIC-III's demo through YAML mappings alone: what the warehouse holds equals what its files say.

The files are read a second time here, by plain DuckDB, and both are compared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.spec import site_kit as kit

import estran
from estran.app import Site
from estran.sources.pipeline.run import Report
from estran.sources.tabular.loading import ingest_mapped
from estran.sources.tabular.shelf import FOLDER, Shelf

MAPPING = Path(estran.__file__).parent / "samples" / "mappings" / "mimic3.yaml"
# Of the 758,355 rows; `ESTRAN_WHOLE=1 pytest tests/spec/test_mimic.py` takes all of them.
CHARTS = "NULL" if os.environ.get("ESTRAN_WHOLE") else "10_000"
NOT_MAPPED = ("callout.parquet", "caregivers.parquet", "d_cpt.parquet")
Direct = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def demo(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The demo's folder, its largest table cut to some of its rows."""
    folder = tmp_path_factory.mktemp("mimic")
    for file in (shared / "mimic3_demo").glob("*.parquet"):
        if not file.name.startswith("chartevents"):
            (folder / file.name).symlink_to(file)
    with duckdb.connect() as con:
        con.execute("SET timezone = 'UTC'")
        rows = f"SELECT * FROM '{shared}/mimic3_demo/chartevents_*.parquet' LIMIT {CHARTS}"
        con.execute(f"COPY ({rows}) TO '{folder}/chartevents_1.parquet'")
    yield folder


@pytest.fixture(scope="module")
def loaded(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Report]:
    site = kit.make(tmp_path_factory.mktemp("sites") / "mimic", zone="Etc/UTC")
    shelf = Shelf(site.directory / FOLDER)
    name = shelf.keep(MAPPING)
    with site.loading() as parts:
        return site, ingest_mapped(parts, shelf, "csv", name, [demo])


@pytest.fixture(scope="module")
def direct(demo: Path) -> Iterator[Direct]:
    """Rows of a query over the files; `{table}` is the file of a table."""
    with duckdb.connect() as con:
        con.execute("SET timezone = 'UTC'")
        for file in demo.glob("*.parquet"):
            con.execute(f'CREATE VIEW "{file.stem.removesuffix("_1")}" AS SELECT * FROM \'{file}\'')
        yield lambda sql: con.execute(sql).fetchall()


def test_every_row_is_accounted_for(loaded: tuple[Site, Report], direct: Direct) -> None:
    site, report = loaded
    assert report.total("read") == report.total("loaded") > 0
    assert (report.total("superseded"), report.total("quarantined"), report.reasons) == (0, 0, {})
    assert not report.refused_files
    assert kit.findings(site) == []
    per_row = {f.part: f.read for f in report.files}
    for table in ("patients", "admissions", "transfers", "icustays", "prescriptions", "chartevents", "outputevents"):
        assert per_row[table] == direct(f"SELECT count(*) FROM {table}")[0][0], table
    grouped = direct("SELECT count(*) FROM (SELECT DISTINCT subject_id, hadm_id, charttime FROM labevents)")
    assert per_row["labevents"] == grouped[0][0]


@pytest.mark.parametrize(
    ("table", "vocabulary"),
    [
        ("labevents", "LOCAL/mimic3-lab"), ("prescriptions", "LOCAL/mimic3-drug"), ("diagnoses_icd", "ICD9CM"),
        ("cptevents", "CPT4"), ("drgcodes", "LOCAL/mimic3-drg"),
    ],
)  # fmt: skip
def test_facts_are_as_many_as_rows(loaded: tuple[Site, Report], direct: Direct, table: str, vocabulary: str) -> None:
    kind = "diagnosis" if table == "diagnoses_icd" else "%"
    held = kit.value(
        loaded[0],
        "SELECT count(*) FROM fact f JOIN document d USING (document_id) JOIN raw_concept c "
        "ON c.concept_id = coalesce(f.local_concept_id, f.concept_id) WHERE c.vocabulary = ? AND d.kind LIKE ?",
        vocabulary,
        kind,
    )
    assert held == direct(f"SELECT count(*) FROM {table}")[0][0]


def test_values_of_the_laboratory(loaded: tuple[Site, Report], direct: Direct) -> None:
    """Per analyte: results, numbers, sum, extremes, quartiles, and texts where there is no number."""
    figures = """count(*), count({value}), round(sum({value}), 4), min({value}), max({value}),
        quantile_cont({value}, [0.25, 0.5, 0.75]), count({text})"""
    held = kit.rows(
        loaded[0],
        f"SELECT c.code, {figures.format(value='f.value', text='f.value_text')} FROM fact f JOIN raw_concept c "
        "ON c.concept_id = coalesce(f.local_concept_id, f.concept_id) "
        "WHERE c.vocabulary = 'LOCAL/mimic3-lab' GROUP BY 1 ORDER BY 1",
    )
    text = "CASE WHEN valuenum IS NULL THEN value END"
    assert held == direct(
        f"SELECT itemid::VARCHAR, {figures.format(value='valuenum', text=text)} FROM labevents GROUP BY 1 ORDER BY 1"
    )
    assert len(held) == 439


def test_analytes_are_found_by_loinc(loaded: tuple[Site, Report], direct: Direct) -> None:
    """The dictionary's own map makes the local code and LOINC one."""
    site = loaded[0]
    expected = direct(
        "SELECT count(DISTINCT subject_id) FROM labevents JOIN d_labitems USING (itemid) WHERE loinc_code = '2160-0'"
    )
    assert len(kit.ask(site, "LOINC:2160-0")) == expected[0][0] > 0  # creatinine
    potassium = (
        "SELECT count(DISTINCT subject_id) FROM labevents JOIN d_labitems USING (itemid) "
        "WHERE loinc_code = '2823-3' AND valuenum > 6"
    )
    assert len(kit.ask(site, "LOINC:2823-3>6")) == direct(potassium)[0][0] > 0


def test_lengths_of_stays(loaded: tuple[Site, Report], direct: Direct) -> None:
    minutes = "(end_date - start_date) * 1440 + end_minute - start_minute"
    held = kit.rows(loaded[0], f"SELECT {minutes} AS length, count(*) FROM stay GROUP BY 1 ORDER BY 1")
    said = "date_diff('minute', date_trunc('minute', {0}), date_trunc('minute', {1}))"
    assert held == direct(f"SELECT {said.format('admittime', 'dischtime')} AS m, count(*) FROM admissions GROUP BY 1 ORDER BY 1")
    modes = kit.rows(loaded[0], "SELECT entry_mode, exit_mode, count(*) FROM stay GROUP BY ALL ORDER BY ALL")
    assert modes == direct("SELECT admission_location, discharge_location, count(*) FROM admissions GROUP BY ALL ORDER BY ALL")
    for responsibility, table in (("lodging", "transfers"), ("care", "icustays")):
        spans = f"SELECT {minutes} AS m, count(*) FROM movement WHERE responsibility = ? GROUP BY 1 ORDER BY 1"
        told = direct(f"SELECT {said.format('intime', 'outtime')} AS m, count(*) FROM {table} GROUP BY 1 ORDER BY 1")
        assert kit.rows(loaded[0], spans, responsibility) == told


def test_wards(loaded: tuple[Site, Report], direct: Direct) -> None:
    held = kit.rows(
        loaded[0],
        "SELECT u.code, count(*) FROM movement m JOIN raw_unit u USING (unit_id) "
        "WHERE responsibility = 'lodging' GROUP BY 1 ORDER BY 1",
    )
    assert held == direct("SELECT 'ward ' || curr_wardid AS w, count(*) FROM transfers WHERE curr_wardid IS NOT NULL GROUP BY 1 ORDER BY 1")


def test_counts_of_icd_codes(loaded: tuple[Site, Report], direct: Direct) -> None:
    """Codes get their point back; the rest of the count is the files'."""
    sql = (
        "SELECT replace(c.code, '.', ''), f.role, count(*) FROM fact f JOIN document d USING (document_id) "
        "JOIN raw_concept c ON c.concept_id = f.concept_id WHERE d.kind = ? AND c.vocabulary = 'ICD9CM' GROUP BY ALL ORDER BY ALL"
    )
    role = "CASE WHEN seq_num = 1 THEN 'principal' ELSE 'associated' END"
    assert kit.rows(loaded[0], sql, "diagnosis") == direct(f"SELECT icd9_code, {role} AS r, count(*) FROM diagnoses_icd GROUP BY ALL ORDER BY ALL")
    assert kit.rows(loaded[0], sql, "procedure") == direct("SELECT icd9_code, NULL, count(*) FROM procedures_icd GROUP BY ALL ORDER BY ALL")
    label = kit.value(loaded[0], "SELECT label_en FROM raw_concept WHERE vocabulary = 'ICD9CM' AND code = '428.0'")
    assert label == "Congestive heart failure, unspecified"
    failing = direct("SELECT count(DISTINCT subject_id) FROM diagnoses_icd WHERE icd9_code = '4280'")
    assert len(kit.ask(loaded[0], "ICD9CM:428.0")) == failing[0][0]


def test_specimen_organism_antibiotic(loaded: tuple[Site, Report], direct: Direct) -> None:
    """Every susceptibility hangs off its isolate, which hangs off its specimen."""
    held = kit.rows(
        loaded[0],
        """
        SELECT s.code, o.code, a.code, r.code, f.value, f.comparator, count(*)
        FROM fact f JOIN raw_concept a ON a.concept_id = f.concept_id AND a.vocabulary = 'LOCAL/mimic3-antibiotic'
        JOIN fact p ON p.document_id = f.document_id AND p.fact_no = f.parent_fact_no
        JOIN raw_concept o ON o.concept_id = p.concept_id AND o.vocabulary = 'LOCAL/mimic3-organism'
        JOIN fact q ON q.document_id = p.document_id AND q.fact_no = p.parent_fact_no
        JOIN raw_concept s ON s.concept_id = q.concept_id AND s.vocabulary = 'LOCAL/mimic3-specimen'
        LEFT JOIN raw_concept r ON r.concept_id = f.value_concept
        GROUP BY ALL ORDER BY ALL
        """,
    )
    comparator = "CASE dilution_comparison WHEN '<=' THEN 2 WHEN '=>' THEN 4 WHEN '=' THEN 0 END"
    assert held == direct(
        f"SELECT spec_itemid::VARCHAR, org_itemid::VARCHAR, ab_itemid::VARCHAR, interpretation, dilution_value, {comparator} AS c, "
        "count(*) FROM microbiologyevents WHERE ab_itemid IS NOT NULL GROUP BY ALL ORDER BY ALL"
    )
    named = "SELECT label_en FROM raw_concept WHERE vocabulary = 'LOCAL/mimic3-organism' AND code = '80002'"
    assert kit.value(loaded[0], named) == direct("SELECT any_value(org_name) FROM microbiologyevents WHERE org_itemid = 80002")[0][0]
    isolates = kit.value(
        loaded[0],
        "SELECT count(*) FROM fact JOIN raw_concept USING (concept_id) WHERE vocabulary = 'LOCAL/mimic3-organism'",
    )
    key = "subject_id, hadm_id, spec_itemid, chartdate, charttime, org_itemid, isolate_num"
    assert isolates == direct(f"SELECT count(*) FROM (SELECT DISTINCT {key} FROM microbiologyevents WHERE org_itemid IS NOT NULL)")[0][0]


def test_people(loaded: tuple[Site, Report], direct: Direct) -> None:
    held = kit.rows(loaded[0], "SELECT sex, count(*), count(death_date), min(birth_month) FROM patient GROUP BY 1 ORDER BY 1")
    sex = "CASE gender WHEN 'F' THEN 'female' ELSE 'male' END"
    assert held == direct(f"SELECT {sex} AS s, count(*), count(dod), date_trunc('month', min(dob))::DATE FROM patients GROUP BY 1 ORDER BY 1")


def test_the_same_files_again_change_nothing(loaded: tuple[Site, Report], demo: Path) -> None:
    site = loaded[0]
    before = kit.digest(site)
    with site.loading() as parts:
        shelf = Shelf(site.directory / FOLDER)
        report = ingest_mapped(parts, shelf, "csv", "mimic3", [demo / "microbiologyevents.parquet", demo / "transfers.parquet"])
    assert report.total("superseded") == report.total("read") == 992 + 524
    assert kit.digest(site) == before
