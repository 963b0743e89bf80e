"""What leaves in a foreign format is what that format says it should be, and adds up to what the site shows."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import meds
import pyarrow as pa
import pyarrow.parquet as pq
import pyshacl
import pytest
import rdflib
from tests.spec import dashboard, site_kit
from tests.spec.inventing import invent
from tests.unit.exchange.conftest import PATIENTS, Dock
from tests.unit.projects.datamarts.conftest import whole
from tests.unit.sources.test_tabular_sql import binaries, postgres

from estran.catalog import measuring
from estran.cohort.engines import ENGINES
from estran.cohort.language.parser import parse
from estran.exchange import cdm, parcel
from estran.exchange.omop_words import vocabulary_id
from estran.model.errors import InputRefused, NotAllowed, StoreError, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.datamarts.manifest import FILE, Manifest
from estran.projects.exporting import Format, Wish, unpack
from estran.projects.holdings_file import Syntax, write_holdings
from estran.sources.omop import OmopReader
from estran.state import AuditFilter

__all__ = ["postgres"]
Exported = dict[Format, tuple[Path, Manifest]]
GUIDE = "https://interop.esante.gouv.fr/ig/fhir/eds/StructureDefinition/"


def totals(dock: Dock) -> dict[str, int]:
    tables = {"person": "patient", "stay": "stay", "fact": "fact"}
    with dock.site.snapshot().connect() as con:
        return {name: con.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] for name, table in tables.items()}


@pytest.mark.parametrize("form", [Format.OMOP, Format.FHIR, Format.MEDS])
def test_every_row_is_written_once_or_left_for_a_reason(dock: Dock, exported: Exported, form: Format) -> None:
    account = exported[form][1]["account"][form]
    for relation, rows in totals(dock).items():
        left = sum(one["rows"] for one in account["not_expressed"] if one["what"] == relation)
        assert account["read"][relation] == rows == sum(account["written"][relation].values()) + left
    reasons = {one["reason"] for one in account["not_expressed"] if one["what"] == "fact"}
    assert any("negated" in reason for reason in reasons), "the suspected amyloses are not affirmed"


def test_the_manifest_tells_every_file(exported: Exported) -> None:
    for folder, manifest in exported.values():
        there = {path.relative_to(folder.parent).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert {one["path"] for one in manifest["files"]} == there
        assert json.loads((folder.parent / FILE).read_text("utf-8")) == manifest


# OMOP


@pytest.fixture(scope="module")
def database(exported: Exported, shared: Path) -> duckdb.DuckDBPyConnection:
    """The export in the tables of OHDSI's own DDL for DuckDB."""
    con = duckdb.connect()
    ddl = (shared / "omop_cdm54_ddl" / "OMOPCDM_duckdb_5.4_ddl.sql").read_text("utf-8")
    con.execute(ddl.replace("@cdmDatabaseSchema.", ""))
    for path in sorted(exported[Format.OMOP][0].glob("*.parquet")):
        con.execute(f"INSERT INTO {path.stem} SELECT * FROM read_parquet('{path}')")
    return con


def test_omop_passes_the_rules_of_the_dashboard(database: duckdb.DuckDBPyConnection, shared: Path) -> None:
    results = dashboard.run(database, shared / "omop_dqd_csv")
    shape = ("cdmTable", "cdmField", "cdmDatatype")
    of_rows = [one for one in results if one.name not in shape]
    for applied in (results, of_rows):
        failed = [f"{one.name} {one.table}.{one.field}" for one in applied if not one.passed]
        assert len(failed) <= 0.02 * len(applied), failed
    assert len(of_rows) > 300
    hard = {"isRequired", "isPrimaryKey", "isForeignKey", "fkDomain", "isStandardValidConcept", *shape}
    assert not [one for one in results if one.name in hard and not one.passed]


def test_omop_has_the_columns_of_the_ddl(exported: Exported, database: duckdb.DuckDBPyConnection) -> None:
    for path in exported[Format.OMOP][0].glob("*.parquet"):
        assert pq.read_schema(path).names == [column.name for column in cdm.tables()[path.stem]]
    sexes = database.execute("SELECT gender_concept_id, count(*) FROM person GROUP BY 1").fetchall()
    assert sum(count for _, count in sexes) == PATIENTS and {number for number, _ in sexes} == {8507, 8532}
    main = database.execute(
        "SELECT count(*) FROM condition_occurrence WHERE condition_status_concept_id = 32902"
    ).fetchall()
    with database.cursor() as con:
        told = con.execute(
            "SELECT count(*) FROM condition_occurrence WHERE condition_status_source_value = 'DP'"
        ).fetchall()
    assert main == told != [(0,)]


@pytest.mark.skipif(binaries() is None, reason="PostgreSQL's server is not installed")
def test_omop_csv_loads_into_postgresql_with_keys_and_references(
    dock: Dock, shared: Path, postgres: str, tmp_path: Path
) -> None:
    import psycopg

    dock.exporter().export(Wish(Format.OMOP, csv=True), tmp_path / "csv")
    scripts = shared / "omop_cdm54_ddl"
    with psycopg.connect(postgres.replace("+psycopg", "")) as con, con.cursor() as cursor:
        cursor.execute((scripts / "OMOPCDM_postgresql_5.4_ddl.sql").read_text().replace("@cdmDatabaseSchema.", ""))  # type: ignore[arg-type]
        for path in sorted((tmp_path / "csv" / "omop").glob("*.csv")):
            with cursor.copy(f"COPY {path.stem} FROM STDIN WITH (FORMAT csv, HEADER true)") as copy:  # type: ignore[arg-type]
                copy.write(path.read_bytes())
        for name in ("primary_keys", "constraints"):
            cursor.execute(
                (scripts / f"OMOPCDM_postgresql_5.4_{name}.sql").read_text().replace("@cdmDatabaseSchema.", "")
            )  # type: ignore[arg-type]
        cursor.execute("SELECT count(*) FROM person")
        assert cursor.fetchone() == (PATIENTS,)


def test_a_site_made_of_the_export_counts_the_same_cohorts(dock: Dock, exported: Exported, tmp_path: Path) -> None:
    """Twenty here; `benchmarks/omop_round_trip.py` asks as many as wanted of a site of any size."""
    again = site_kit.make(tmp_path / "again")
    report = site_kit.load(again, "omop", exported[Format.OMOP][0])
    assert report.total("read") == report.total("loaded") + report.total("superseded") + report.total("quarantined")
    questions = invent(dock.site.snapshot(), 20, seed=5, words=("furosémide", "dyspnée"))
    counts = [
        [len(ENGINES["duckdb"](snapshot).run(parse(question)).patients) for question in questions]
        for snapshot in (dock.site.snapshot(), again.snapshot())
    ]
    assert counts[0] == counts[1], [q for q, a, b in zip(questions, *counts, strict=True) if a != b]
    assert sum(count > 0 for count in counts[0]) >= 10


def test_a_vocabulary_with_a_long_name_comes_back_under_it(tmp_path: Path) -> None:
    house = "LOCAL/omop-condition_occurrence"
    shown = vocabulary_id(house)
    assert len(shown) == 20 and shown != house and vocabulary_id("GHM") == "GHM"
    rows = pa.table({"concept_id": [2_000_000_001, 2_000_000_002], "concept_name": ["a", "b"], "vocabulary_id": [shown, "GHM"],
                     "concept_code": ["x", "05M092"], "domain_id": ["Condition", "Observation"]})  # fmt: skip
    told = {b"estran.vocabularies": json.dumps({shown: house, "OTHER": "SNOMED"}).encode()}
    pq.write_table(rows.replace_schema_metadata(told), tmp_path / "concept.parquet")
    (batch,) = OmopReader().read(tmp_path / "concept.parquet", "concept.parquet")
    assert batch.vocabulary is not None and batch.vocabulary.concepts is not None
    found = set(zip(*(batch.vocabulary.concepts[name].to_pylist() for name in ("vocabulary", "code")), strict=True))
    assert found == {("OMOP", "2000000001"), ("OMOP", "2000000002"), (house, "x"), ("GHM", "05M092")}


# FHIR


def resources(exported: Exported) -> dict[str, list[dict[str, Any]]]:
    folder = exported[Format.FHIR][0]
    return {
        path.stem: [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for path in folder.glob("*.ndjson")
    }


def test_fhir_resources_are_valid_and_refer_to_each_other(exported: Exported, shared: Path) -> None:
    schema = json.loads(gzip.decompress((shared / "fhir_r4_schema" / "fhir.schema.json.gz").read_bytes()))
    found = resources(exported)
    known = {f"{name}/{one['id']}" for name, rows in found.items() for one in rows}
    assert len(known) == sum(map(len, found.values()))
    assert {"Patient", "Encounter", "Observation", "Condition", "Procedure", "Medication", "MedicationRequest",
            "MedicationAdministration", "DocumentReference", "Claim", "Coverage", "Organization"} <= found.keys()  # fmt: skip
    for name, rows in found.items():
        judge = jsonschema.Draft7Validator({"definitions": schema["definitions"], "$ref": f"#/definitions/{name}"})
        for one in rows[:12] + rows[-3:]:
            assert not [error.message for error in judge.iter_errors(one)], one
        for one in rows:
            walk(one, known)


def walk(value: Any, known: set[str]) -> None:
    assert value is not None and value != {} and value != []
    if isinstance(value, dict):
        assert "reference" not in value or value["reference"] in known
        for one in value.values():
            walk(one, known)
    elif isinstance(value, list):
        for one in value:
            walk(one, known)


def coded(concept: dict[str, Any]) -> set[str]:
    return {coding.get("code", "") for coding in concept.get("coding", [])}


def test_resources_that_name_a_profile_of_the_common_core_meet_it(exported: Exported) -> None:
    """What each profile requires, read off the guide's FSH (`fhir_eds_socle`)."""
    named = Counter[str]()
    for rows in resources(exported).values():
        for one in rows:
            for profile in one.get("meta", {}).get("profile", []):
                named[profile.removeprefix(GUIDE)] += 1
                MEETS[profile.removeprefix(GUIDE)](one)
    assert named["EDSPatient"] == PATIENTS
    assert named["EDSClaimRSS"] + named["FrMedicationNonproprietaryName"] > 0


def _patient(one: dict[str, Any]) -> None:
    assert one["gender"] in ("male", "female", "unknown")
    assert not one.keys() & {"name", "address", "telecom", "identifier"}, "nothing identifying leaves"


def _summary(one: dict[str, Any]) -> None:
    assert one["use"] == "claim" and coded(one["type"]) == {"PMSIMCO"} and coded(one["priority"]) == {"normal"}
    roles = Counter(next(iter(coded(each["type"][0]))) for each in one["diagnosis"])
    assert roles["DP"] == 1 and roles["DR"] <= 1 and roles.keys() <= {"DP", "DR", "DA", "DAD"}
    assert [coded(each["code"]) for each in one["supportingInfo"]] == [{"0"}, {"1"}]
    assert all(each["valueString"] and coded(each["category"]) == {"RUM"} for each in one["supportingInfo"])


def _measured(one: dict[str, Any]) -> None:
    assert coded(one["category"][0]) == {"vital-signs"} and one["effectiveDateTime"]
    assert one["valueQuantity"].keys() >= {"value", "unit", "system", "code"}


def _medication(one: dict[str, Any]) -> None:
    assert one["code"] and one["ingredient"][0]["itemCodeableConcept"]


def _prescription(one: dict[str, Any]) -> None:
    assert one["dosageInstruction"] and one["medicationReference"]


def _given(one: dict[str, Any]) -> None:
    assert one["dosage"] and one["medicationReference"] and one.keys() & {"effectiveDateTime", "effectivePeriod"}


MEETS = {
    "EDSPatient": _patient, "EDSClaimRSS": _summary, "EDSObservationBodyHeight": _measured, "EDSObservationBodyWeight": _measured,
    "FrMedicationNonproprietaryName": _medication, "FrMedicationUcd": _medication, "EDSMedicationRequest": _prescription,
    "EDSMedicationAdministration": _given,
}  # fmt: skip


# MEDS


def test_meds_is_valid_and_in_order(exported: Exported) -> None:
    folder = exported[Format.MEDS][0]
    subjects: list[int] = []
    for path in (folder / meds.data_subdirectory).glob("*.parquet"):
        table = pq.read_table(path)
        meds.DataSchema.validate(table)
        assert not set(subjects) & set(table["subject_id"].to_pylist())
        subjects += table["subject_id"].to_pylist()
        rows = list(zip(table["subject_id"].to_pylist(), table["time"].to_pylist(), strict=True))
        assert rows == sorted(rows, key=lambda row: (row[0], row[1] is not None, row[1] or 0))
        codes = set(table["code"].to_pylist())
        assert {meds.birth_code, "GENDER//female", "LOINC//2160-0"} <= codes
    assert len(set(subjects)) == PATIENTS
    described = pq.read_table(folder / meds.code_metadata_filepath)
    meds.CodeMetadataSchema.validate(described)
    parents = dict(zip(described["code"].to_pylist(), described["parent_codes"].to_pylist(), strict=True))
    assert parents["CIM10//I50.0"] == ["CIM10//I50"]
    splits = pq.read_table(folder / meds.subject_splits_filepath)
    meds.SubjectSplitSchema.validate(splits)
    assert set(splits["split"].to_pylist()) == {meds.train_split, meds.tuning_split, meds.held_out_split}
    meds.DatasetMetadataSchema.validate(json.loads((folder / meds.dataset_metadata_filepath).read_text("utf-8")))


# Sealed packages


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    folder, found = tmp_path_factory.mktemp("keys"), {}
    for name in ("hub", "thief"):
        key = X25519PrivateKey.generate()
        found[name], found[f"{name}.pub"] = folder / f"{name}.key", folder / f"{name}.pub"
        found[name].write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
        public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
        found[f"{name}.pub"].write_bytes(public)
    return found


def test_a_national_package_opens_for_its_recipient_alone(dock: Dock, keys: dict[str, Path], tmp_path: Path) -> None:
    package = tmp_path / "national.estran"
    made = dock.exporter().export(
        Wish(Format.NATIONAL, recipient=keys["hub.pub"], claims_match=True, reason="test"), package
    )
    assert made["national_claims_match"] and made["framework"].startswith("outside the reference framework")
    assert set(made["account"]) == {"omop", "fhir"} and made["anonymous"] is False
    sealed = package.read_bytes()
    assert b"person_id" not in sealed and b"Patient" not in sealed
    assert unpack(package, keys["hub"], tmp_path / "open") == made
    assert (tmp_path / "open" / "omop" / "person.parquet").is_file()
    altered = bytearray(sealed)
    altered[len(altered) // 2] ^= 1
    for name, data, key in (("thief", sealed, "thief"), ("altered", altered, "hub"), ("cut", sealed[:-20], "hub")):
        bad = tmp_path / f"{name}.estran"
        bad.write_bytes(data)
        with pytest.raises(InputRefused):
            unpack(bad, keys[key], tmp_path / name)
        assert not (tmp_path / name).exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_a_package_without_its_end_or_out_of_order_is_refused(keys: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "noise").write_bytes(os.urandom(3 * parcel.CHUNK))
    stream = io.BytesIO()
    parcel.seal(tmp_path / "in", stream, parcel.read_public_key(keys["hub.pub"]))
    sealed, head, size = stream.getvalue(), len(parcel.MAGIC) + 32, parcel.CHUNK + 16
    first, second, rest = sealed[head : head + size], sealed[head + size : head + 2 * size], sealed[head + 2 * size :]
    private = parcel.read_private_key(keys["hub"])
    for number, body in enumerate((first + second, second + first + rest, first + rest, b"")):
        path, target = tmp_path / f"{number}.estran", tmp_path / str(number)
        path.write_bytes(sealed[:head] + body)
        target.mkdir()
        with pytest.raises(InputRefused, match="not for this key, or was altered"):
            parcel.open_parcel(path, private, target)


# Who may, and all or nothing


def test_only_the_key_holder_exports_a_whole_site_and_every_asking_is_recorded(dock: Dock, tmp_path: Path) -> None:
    for role in (Role.DATA_ENGINEER, Role.RESEARCHER, Role.ADMINISTRATOR):
        with pytest.raises(NotAllowed):
            dock.exporter(Actor("x", role, 1)).export(Wish(Format.MEDS), tmp_path / "no")
    with pytest.raises(NotAllowed):
        dock.exporter().export(Wish(Format.MEDS, project="2026-404"), tmp_path / "no")
    lines = list(dock.site.state.audit.find(AuditFilter(action="export"), 4, 0))
    assert [line.allowed for line in lines] == [False] * 4 and not (tmp_path / "no").exists()
    with pytest.raises(UsageError, match="no datamart"):
        dock.exporter().export(Wish(Format.MEDS, project="2026-404", reason="asked by the committee"), tmp_path / "no")
    assert not list(tmp_path.iterdir())


def test_a_project_gets_its_datamart_and_nothing_else(dock: Dock, tmp_path: Path) -> None:
    reason = "committee of 3 May, project 2026-014"
    marts = dock.exporter()._datamarts
    made = marts.build(whole(formats=["parquet"]), "anne", reason)
    facts = next(table["rows"] for table in made.manifest["tables"] if table["name"] == "facts")
    for form in (Format.OMOP, Format.FHIR, Format.MEDS):
        told = dock.exporter().export(Wish(form, project="2026-014", reason=reason), tmp_path / form)
        assert told["project"] == "2026-014" and not told["national_claims_match"]
        assert told["account"][form]["read"]["fact"] == facts == sum(told["account"][form]["written"]["fact"].values())
    people = pq.read_table(tmp_path / "omop" / "omop" / "person.parquet")
    pseudonyms = set(people["person_source_value"].to_pylist())
    assert people["person_id"].to_pylist() == list(range(1, len(pseudonyms) + 1)) and all(
        len(one) == 26 for one in pseudonyms
    )
    patients = (tmp_path / "fhir" / "fhir" / "Patient.ndjson").read_text("utf-8").splitlines()
    assert {json.loads(line)["id"] for line in patients} == pseudonyms
    marts.destroy(made.row.id, "the test is over")
    with pytest.raises(UsageError, match="no datamart"):
        dock.exporter().export(Wish(Format.MEDS, project="2026-014", reason=reason), tmp_path / "gone")


def test_nothing_is_left_of_an_export_that_fails(dock: Dock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr("estran.exchange.meds._about", fail)
    with pytest.raises(StoreError):
        dock.exporter().export(Wish(Format.MEDS), tmp_path / "x" / "out")
    assert not list((tmp_path / "x").iterdir())
    with pytest.raises(UsageError, match="sealed for its recipient"):
        dock.exporter().export(Wish(Format.NATIONAL), tmp_path / "x" / "out")


# The catalogue


def test_the_catalogue_is_valid_healthdcat_and_tells_no_exact_count(dock: Dock, shared: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Nothing was measured"):
        write_holdings(dock.site, KEY_HOLDER, tmp_path / "c.ttl", Syntax.TURTLE)
    measuring.measure(dock.site.snapshot(), dock.site.state)
    for syntax in Syntax:
        write_holdings(dock.site, KEY_HOLDER, tmp_path / f"c.{syntax}", syntax)
    graph = rdflib.Graph().parse(tmp_path / "c.ttl", format="turtle")
    linked = rdflib.Graph().parse(tmp_path / "c.jsonld", format="json-ld")
    assert len(graph) == len(linked) > 200
    shapes = shared / "healthdcat_ap" / "hdap-validator-sensitivity-shape.ttl"
    valid, _, report = pyshacl.validate(graph, shacl_graph=str(shapes))
    assert valid, report
    health = rdflib.Namespace("http://healthdataportal.eu/ns/health#")
    told = [int(number) for number in graph.objects(None, health.numberOfUniqueIndividuals)]
    assert len(told) == 1 and told[0] % dock.site.settings.count_step == 0
    exact = totals(dock)
    records = [int(number) for number in graph.objects(None, health.numberOfRecords)]
    assert records and records[0] != exact["fact"]


def test_a_package_that_swells_is_not_unpacked(keys: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "zeros").write_bytes(bytes(4 << 20))
    path, target = tmp_path / "bomb.estran", tmp_path / "out"
    with path.open("wb") as stream:
        parcel.seal(tmp_path / "in", stream, parcel.read_public_key(keys["hub.pub"]))
    target.mkdir()
    assert path.stat().st_size < 100_000
    with pytest.raises(InputRefused, match="more than it may"):
        parcel.open_parcel(path, parcel.read_private_key(keys["hub"]), target, 1 << 20)
    parcel.open_parcel(path, parcel.read_private_key(keys["hub"]), target)
