"""What a datamart holds: the right values, and nothing that was not asked for."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable
from statistics import fmean
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from tests.unit.projects.datamarts.conftest import Bench, Spec, flat, whole

from estran.cohort.engines import DuckDBEngine
from estran.cohort.language.parser import parse
from estran.identity.keys import SiteKey
from estran.model.errors import UsageError
from estran.projects.datamarts.shelf import Listed
from estran.release.dates import shifts
from estran.release.rekey import ProjectKey
from estran.warehouse import Changes

Build = Callable[[Spec], Listed]


def truth(bench: Bench, concept: int, window: tuple[int, int] | None) -> dict[int, list[tuple[dt.date, int, float]]]:
    """Day, minute and value of each fact of a concept, patient by patient, read without the code under test."""
    snapshot = bench.site.snapshot()
    outcome = DuckDBEngine(snapshot).run(parse("CIM10:I50"))
    found: dict[int, list[tuple[dt.date, int, float]]] = {}
    for patient in outcome.patients:
        index = outcome.index_dates[patient]
        facts = snapshot.patient_facts(patient).to_pylist()
        mine = [f for f in facts if f["concept_id"] == concept and f["context"] == 0 and f["value"] is not None]
        near = [f for f in mine if window is None or window[0] <= (f["start_date"] - index).days <= window[1]]
        found[patient] = sorted((f["start_date"], f["start_minute"], f["value"]) for f in near)
    return found


def column(bench: Bench, made: Listed, name: str) -> dict[int, Any]:
    """A column by patient of the warehouse: the key says who is who."""
    table = pq.read_table(bench.path(made, "parquet/patients.parquet"))
    key = ProjectKey.of(SiteKey("k", bytes(range(32))), made.row.project)
    who = {key.pseudonyms([n])[0]: n for n in bench.site.snapshot().population()}
    return {who[p]: v for p, v in zip(table["patient"].to_pylist(), table[name].to_pylist(), strict=True)}


REDUCED: dict[str, Callable[[list[tuple[dt.date, int, float]]], float | None]] = {
    "first": lambda rows: rows[0][2] if rows else None,
    "last": lambda rows: rows[-1][2] if rows else None,
    "min": lambda rows: min(row[2] for row in rows) if rows else None,
    "max": lambda rows: max(row[2] for row in rows) if rows else None,
    "mean": lambda rows: fmean(row[2] for row in rows) if rows else None,
    "count": len,
    "any": bool,
}


@pytest.mark.parametrize("window", [None, (-30, 400)])
def test_aggregates_are_those_of_the_facts(bench: Bench, build: Build, window: tuple[int, int] | None) -> None:
    given = {"codes": ["LOINC:2160-0"]} | ({"window": list(window)} if window else {})
    made = build(flat(*({"name": f"v_{kind}", "aggregate": kind} | given for kind in REDUCED)))
    expected = truth(bench, 9, window)
    assert any(expected.values()) and len(expected) > 10
    for kind, reduce in REDUCED.items():
        got = column(bench, made, f"v_{kind}")
        assert got.keys() == expected.keys()
        for patient, rows in expected.items():
            want = reduce(rows)
            assert got[patient] == want or math.isclose(got[patient], want, rel_tol=1e-12), (kind, patient)


def test_a_variable_that_nobody_has_and_one_kept_whole_do_not_disturb_the_others(bench: Bench, build: Build) -> None:
    mean = {"name": "creatinine", "codes": ["LOINC:2160-0"], "aggregate": "mean"}
    last = {"name": "potassium", "codes": ["LOINC:2823-3"], "aggregate": "last"}
    nobody = {"name": "amylosis", "codes": ["CIM10:E85"], "aggregate": "count"}
    every = {"name": "every", "codes": ["LOINC:4548-4"], "aggregate": "all"}
    alone = build(flat(mean, last))
    among = build(flat(nobody, mean, every, nobody | {"name": "again"}, last, name="among", shape="tables"))
    for name in ("creatinine", "potassium"):
        assert column(bench, alone, name) == column(bench, among, name)
    assert set(column(bench, among, "again").values()) == {0}


def test_codes_count_with_what_is_below_them_and_dates_and_days_are_those_of_the_facts(
    bench: Bench, build: Build
) -> None:
    heart = {"codes": ["CIM10:I50"], "aggregate": "first"}
    made = build(
        flat(heart | {"name": "day", "of": "date"}, heart | {"name": "gap", "of": "days"}, demographics=["index_date"])
    )
    index = DuckDBEngine(bench.site.snapshot()).run(parse("CIM10:I50")).index_dates
    assert column(bench, made, "day") == index
    assert set(column(bench, made, "gap").values()) == {0}


def test_dates_are_shifted_by_weeks_and_intervals_kept(bench: Bench, build: Build) -> None:
    dates = {"name": "day", "codes": ["LOINC:2823-3"], "aggregate": "last", "of": "date"}
    true = column(bench, build(flat(dates)), "day")
    moved = column(bench, build(flat(dates, dates="shift")), "day")
    key = ProjectKey.of(SiteKey("k", bytes(range(32))), "2026-015")
    gaps = {patient: (moved[patient] - true[patient]).days for patient in true if true[patient]}
    assert gaps == {patient: int(shifts(key, [patient])[0]) for patient in gaps}
    assert len(set(gaps.values())) > 10
    years = column(bench, build(flat(dates, dates="year")), "day")
    assert years == {patient: day and day.year for patient, day in true.items()}


def test_a_true_date_within_the_month_of_birth_becomes_its_first_day(bench: Bench, build: Build) -> None:
    with bench.site.warehouse.writer() as writer, writer.snapshot.connect() as connection:
        table = connection.sql("SELECT * FROM raw_patient WHERE patient_id = 0").to_arrow_table()
        born = dt.date(2024, 2, 1)
        schema = bench.site.snapshot().schema("patient")
        row = table.select(schema.names).to_pylist()[0] | {"birth_month": born}
        writer.commit(Changes(upsert={"patient": type(table).from_pylist([row], schema)}))
    heart = {"name": "day", "codes": ["CIM10:I50"], "aggregate": "first", "of": "date"}
    made = build(flat(heart, demographics=["index_date"]))
    assert column(bench, made, "day")[0] == column(bench, made, "index_date")[0] == born


def test_two_projects_share_no_pseudonym_and_one_keeps_its_own(bench: Bench, build: Build) -> None:
    def names(made: Listed) -> set[str]:
        return set(pq.read_table(bench.path(made, "parquet/patients.parquet"))["patient"].to_pylist())

    one, again, other = names(build(flat())), names(build(flat(name="second"))), names(build(flat(project="2026-016")))
    assert one == again and len(one) > 10
    assert not one & other


def test_only_what_was_asked_for_is_there(bench: Bench, build: Build) -> None:
    made = build(flat({"name": "potassium", "codes": ["LOINC:2823-3"]}, demographics=["sex"]))
    assert pq.read_schema(bench.path(made, "parquet/patients.parquet")).names == ["patient", "sex", "potassium"]
    assert sorted(bench.files(made)) == ["parquet/codes.parquet", "parquet/patients.parquet"]
    everything = build(whole())
    names = {column["name"] for table in everything.manifest["tables"] for column in table["columns"]}
    assert not names & {
        "patient_id",
        "stay_id",
        "document_id",
        "identity_id",
        "record_key",
        "source",
        "unit_id",
        "title",
        "load_id",
    }
    with duckdb.connect(bench.path(everything, "datamart.duckdb"), read_only=True) as connection:
        stays = connection.execute("SELECT min(stay), max(stay) FROM stays").fetchall()[0]
        assert stays[0] == 1 and stays[1] <= 60  # places within the patient, not numbers of the hospital
    assert "ward" not in names


def test_written_dates_leave_the_texts_with_the_shift(bench: Bench, build: Build) -> None:
    made = build(whole())
    texts = pq.read_table(bench.path(made, "parquet/documents.parquet"))["text"].to_pylist()
    told = next(text for text in texts if text and "Hypertension" in text)
    assert "2005" not in told and "depuis [DATE]" in told
    assert "NT-proBNP 6 840 ng/L" in told and "7,4 %" in told and "35 %" in told


def test_a_window_without_an_index_date_is_refused(build: Build) -> None:
    with pytest.raises(UsageError, match="no index date"):
        build(flat({"name": "v", "codes": ["LOINC:2160-0"], "window": [0, 30]}, cohort="sexe:F"))


def test_values_in_several_units_are_refused_until_one_is_chosen(bench: Bench, build: Build) -> None:
    mixed = {"name": "mixed", "codes": ["LOINC:2160-0", "LOINC:2823-3"], "aggregate": "mean"}
    with pytest.raises(UsageError, match="several units") as refused:
        build(flat(mixed))
    assert refused.value.where == "mixed"
    made = build(flat(mixed | {"unit": "mmol/L"}))
    assert max(value for value in column(bench, made, "mixed").values() if value) < 10


def test_omop_rows_have_what_the_model_requires(bench: Bench, build: Build) -> None:
    made = build(whole())
    required = {
        "person": ("person_id", "gender_concept_id", "year_of_birth"),
        "visit_occurrence": ("visit_occurrence_id", "person_id", "visit_start_date", "visit_end_date"),
        "measurement": ("measurement_id", "person_id", "measurement_concept_id", "measurement_date"),
        "condition_occurrence": ("condition_occurrence_id", "person_id", "condition_start_date"),
        "drug_exposure": ("drug_exposure_id", "person_id", "drug_exposure_start_date", "drug_exposure_end_date"),
        "observation_period": ("observation_period_id", "person_id", "observation_period_end_date"),
        "note": ("note_id", "person_id", "note_date", "note_text"),
    }
    people = set(pq.read_table(bench.path(made, "omop/person.parquet"))["person_id"].to_pylist())
    concepts = set(pq.read_table(bench.path(made, "omop/concept.parquet"))["concept_id"].to_pylist())
    rows = 0
    for name, columns in required.items():
        table = pq.read_table(bench.path(made, f"omop/{name}.parquet"))
        assert table.num_rows and all(table[column].null_count == 0 for column in columns), name
        assert set(table["person_id"].to_pylist()) <= people
        assert len(set(table[columns[0]].to_pylist())) == table.num_rows
        rows += table.num_rows if name in ("measurement", "condition_occurrence", "drug_exposure") else 0
    assert (
        set(pq.read_table(bench.path(made, "omop/measurement.parquet"))["measurement_source_concept_id"].to_pylist())
        <= concepts
    )
    procedures = pq.read_table(bench.path(made, "omop/procedure_occurrence.parquet")).num_rows
    assert rows + procedures == pq.read_metadata(bench.path(made, "parquet/facts.parquet")).num_rows


def test_fhir_resources_refer_to_each_other_and_hold_no_null(bench: Bench, build: Build) -> None:
    made = build(whole())
    found = {
        name: [json.loads(line) for line in data.decode().splitlines()]
        for name, data in bench.files(made).items() if name.endswith(".ndjson")
    }  # fmt: skip
    known = {f"{one['resourceType']}/{one['id']}" for rows in found.values() for one in rows}
    assert len(known) == sum(map(len, found.values()))

    def walk(value: Any) -> None:
        assert value is not None and value != {} and value != []
        if isinstance(value, dict):
            assert "reference" not in value or value["reference"] in known
            list(map(walk, value.values()))
        elif isinstance(value, list):
            list(map(walk, value))

    list(map(walk, found.values()))
    facts = sum(
        len(found[f"fhir/{name}.ndjson"]) for name in ("Condition", "Procedure", "MedicationStatement", "Observation")
    )
    assert facts == pq.read_metadata(bench.path(made, "parquet/facts.parquet")).num_rows


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"project": "a/b"}, "letters, digits"),
        ({"surprise": 1}, "not well formed"),
        ({"demographics": ["name"]}, "not well formed"),
        ({"dates": "none", "reason": ""}, "written reason"),
        ({"fingerprint": False, "reason": "no"}, "written reason"),
        ({"formats": ["fhir"]}, "need each fact"),
        ({"stays": {"columns": ["ward"]}}, "one row per patient"),
        ({"texts": True}, "Texts belong to documents"),
        ({"days": 4000}, "is kept from"),
        ({"formats": []}, "No format"),
        ({"variables": [{"name": "v", "codes": ["X"]}]}, "VOCABULARY:code"),
        ({"variables": [{"name": "v", "codes": ["LOINC:0-0"]}]}, "knows none of the codes"),
        ({"variables": [{"name": "V 1", "codes": ["LOINC:2160-0"]}]}, "small letters"),
        ({"variables": [{"name": "v", "codes": ["LOINC:2160-0"], "window": [5, 1]}]}, "ends before it begins"),
        (
            {"variables": [{"name": "v", "codes": ["LOINC:2160-0"], "aggregate": "mean", "of": "date"}]},
            "taken of values",
        ),
        ({"demographics": ["sex"], "variables": [{"name": "sex", "codes": ["LOINC:2160-0"]}]}, "stand twice"),
        ({"shape": "tables", "formats": ["omop"]}, "demographics sex and birth_year"),
    ],
)
def test_a_specification_that_contradicts_itself_is_refused(build: Build, wrong: Spec, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build(flat(**wrong))
