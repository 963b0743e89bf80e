"""Building whole or not at all, building again, oppositions, expiry, who may."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import duckdb
import orjson
import pyarrow as pa
import pytest
from pyroaring import BitMap
from tests.unit.opposing import oppose
from tests.unit.projects.datamarts.conftest import REASON, Bench, Spec, flat, whole

from estran.exchange import omop
from estran.identity.keys import SiteKey
from estran.model.errors import NotAllowed, UsageError
from estran.model.tables import TABLES
from estran.projects.actors import Actor, Role
from estran.projects.datamarts.shelf import Listed, Pass
from estran.release.rekey import ProjectKey
from estran.state.datamarts import MartState
from estran.warehouse import Changes

Build = Callable[[Spec], Listed]
YESTERDAY = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)


def member(bench: Bench, made: Listed) -> tuple[int, str]:
    """A patient of a datamart, and the pseudonym there."""
    patient = int(BitMap.deserialize(made.row.members)[3])
    return patient, ProjectKey.of(SiteKey("k", bytes(range(32))), made.row.project).pseudonyms([patient])[0]


def another_load(bench: Bench) -> None:
    """A later snapshot: a new potassium for a patient with heart failure."""
    fact = {
        "patient_id": 0, "start_date": dt.date(2024, 2, 9), "start_minute": 600, "concept_id": 12, "document_id": 0,
        "fact_no": 900, "precision": 4, "value": 9.9, "unit": "mmol/L", "status": 0, "context": 0, "origin": 0,
    }  # fmt: skip
    with bench.site.warehouse.writer() as writer:
        writer.commit(Changes(append={"fact": pa.Table.from_pylist([fact], TABLES["fact"])}))


def contents(path: str) -> dict[str, list[tuple[object, ...]]]:
    with duckdb.connect(path, read_only=True) as connection:
        names = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]
        return {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in names}


def test_built_again_from_its_manifest_a_snapshot_later_every_byte_is_the_same(bench: Bench, build: Build) -> None:
    first = build(whole())
    another_load(bench)
    again = bench.shelf.build(first.manifest, "", REASON)
    assert again.row.snapshot == first.row.snapshot < bench.site.snapshot().version
    assert (again.row.number, again.row.recipient) == (2, "anne")
    before, after = bench.files(first), bench.files(again)
    assert before.keys() == after.keys()
    for name in before:
        assert before[name] == after[name] or name == "datamart.duckdb", name
    assert contents(bench.path(first, "datamart.duckdb")) == contents(bench.path(again, "datamart.duckdb"))
    assert again.manifest["reproducible"] == first.manifest["reproducible"]
    assert again.manifest["withdrawn"] is None
    assert bench.shelf.verify(first.row.id, rebuild=True).same
    refreshed = bench.shelf.refresh(first.row.id, REASON)
    assert refreshed.manifest["reproducible"] != first.manifest["reproducible"], "the newest snapshot has one more fact"


@pytest.mark.parametrize("scope", ["research", "project:2026-014"])
def test_who_objects_is_gone_from_every_file_and_the_new_manifest_says_so(
    bench: Bench, build: Build, scope: str
) -> None:
    first = build(whole())
    patient, pseudonym = member(bench, first)
    held = [name for name, data in bench.files(first).items() if pseudonym.encode() in data]
    assert "csv/patients.csv" in held and "fhir/Patient.ndjson" in held
    if scope == "research":
        oppose(bench.site.warehouse, patient, scope, YESTERDAY)
    else:
        row = {"patient_id": patient, "scope": scope, "kind": "opposition", "from_date": YESTERDAY}
        with bench.site.warehouse.writer() as writer:
            writer.commit(Changes(append={"permission": pa.Table.from_pylist([row], TABLES["permission"])}))
    assert [one.due for one in bench.shelf.all()] == ["withdrawn"]
    again = bench.shelf.build(first.manifest, "", REASON)
    assert not any(pseudonym.encode() in data for data in bench.files(again).values())
    rows = [made.manifest["tables"][0]["rows"] for made in (first, again)]
    assert rows[0] - rows[1] == 1
    told = {"since_number": 1, "since_snapshot": first.row.snapshot, "patients": {"fewer_than": 10}}
    assert again.manifest["withdrawn"] == told
    proof = bench.shelf.verify(first.row.id, rebuild=True)
    assert proof.withdrawn and proof.same is False and proof.whole


def test_what_is_due_is_replaced_and_what_it_replaces_destroyed(bench: Bench, build: Build) -> None:
    first = build(whole())
    oppose(bench.site.warehouse, member(bench, first)[0], "warehouse", YESTERDAY)
    (made,) = bench.shelf.refresh_due(REASON).made
    assert made.row.number == 2
    assert not (bench.folder / first.row.folder).exists()
    assert bench.shelf.one(first.row.id).row.state == MartState.DELETED
    assert bench.shelf.refresh_due(REASON) == Pass()


def test_a_build_that_fails_leaves_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(omop, "write", fails)
    with pytest.raises(OSError, match="No space"):
        bench.shelf.build(whole(), "anne", REASON)
    assert [path for path in bench.folder.rglob("*") if path.is_file()] == []
    assert bench.site.state.datamarts.all() == []


def test_what_a_power_cut_leaves_is_never_seen_and_swept(bench: Bench) -> None:
    in_a = dt.datetime.now(dt.UTC) + dt.timedelta(days=9)
    row = bench.site.state.datamarts.reserve("2026-014", "heart", "anne", 1, "{}", "key-holder", in_a)
    draft = bench.folder / "2026-014" / "heart" / f".{row.id}.0badcafe"
    draft.mkdir(parents=True)
    (draft / "patients.parquet").write_bytes(b"half")
    assert bench.shelf.all()[0].due == "unfinished"
    bench.shelf.expire()
    assert not draft.exists()
    assert bench.shelf.all()[0].row.state == MartState.DELETED


def test_time_runs_out_and_leaves_a_certificate(bench: Bench, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    made = build(flat(days=1))
    kept = build(flat(days=30, name="kept"))
    assert bench.shelf.expire() == []
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)
    monkeypatch.setattr("estran.projects.datamarts.shelf.now", lambda: later)
    (gone,) = bench.shelf.expire()
    assert gone.row.id == made.row.id and not (bench.folder / made.row.folder).exists()
    certificate = orjson.loads(gone.row.certificate)
    assert certificate["files"] == made.manifest["files"] and certificate["why"] == "expired"
    assert gone.row.members == b"" and bench.files(kept)
    with pytest.raises(UsageError, match="destroyed already"):
        bench.shelf.destroy(made.row.id, "again")


def test_an_altered_a_missing_and_an_added_file_are_found(bench: Bench, build: Build) -> None:
    made = build(whole())
    assert bench.shelf.verify(made.row.id).whole
    folder = bench.folder / made.row.folder
    with (folder / "csv" / "patients.csv").open("ab") as file:
        file.write(b"x\n")
    (folder / "csv" / "stays.csv").unlink()
    (folder / "more.csv").write_text("x")
    (folder / "manifest.json").write_text("{}")
    proof = bench.shelf.verify(made.row.id)
    assert not proof.whole
    assert set(proof.wrong) == {"csv/patients.csv", "csv/stays.csv", "more.csv", "manifest.json"}


def test_the_manifest_says_what_it_was_made_of(bench: Bench, build: Build) -> None:
    made = build(whole())
    manifest = made.manifest
    assert manifest["snapshot"]["version"] == bench.site.snapshot().version
    assert {"estran", "duckdb", "pyarrow", "numpy", "python"} == manifest["libraries"].keys()
    assert manifest["question"] == "CIM10:I50"
    assert manifest["vocabularies"] == {"ATC": 1, "CCAM": 1, "CIM10": 2, "LOINC": 2}
    rows = {table["name"]: table["rows"] for table in manifest["tables"]}
    assert rows["patients"] == len(contents(bench.path(made, "datamart.duckdb"))["patients"])
    assert rows["facts"] > rows["stays"] > rows["documents"] > 0
    assert (bench.folder / made.row.folder).stat().st_mode & 0o077 == 0


def test_the_key_holder_gives_a_reason_that_is_kept(bench: Bench) -> None:
    with pytest.raises(UsageError, match="needs a reason"):
        bench.shelf.build(flat(), "anne", "")
    bench.shelf.build(flat(), "anne", REASON)
    line = next(line for line in bench.site.state.audit.latest() if line.action == "build-datamart")
    assert REASON in line.reason and line.target == "datamart:2026-015/flat for:anne" and "I50" in line.query


def account(bench: Bench, login: str) -> Actor:
    found = bench.site.state.accounts.find(login)
    assert found is not None
    return Actor.of(found)


def test_nobody_at_the_portal_builds_without_an_accepted_project(bench: Bench) -> None:
    for role in Role:
        with pytest.raises(NotAllowed) as refused:
            bench.of(account(bench, str(role))).build(flat(), "anne", REASON)
        builders = (Role.OWNER, Role.DATA_ENGINEER)
        assert ("There is no project of this number." in refused.value.what) is (role in builders)
        line = bench.site.state.audit.latest(1)[0]
        assert (line.action, line.allowed, line.login) == ("build-datamart", False, str(role))
    assert bench.site.state.datamarts.all() == []


def test_one_sees_ones_own_datamarts_only(bench: Bench) -> None:
    bench.shelf.build(flat(), "researcher", REASON)
    other = bench.shelf.build(flat(name="other"), "clinician", REASON)
    assert [one.row.name for one in bench.of(account(bench, "researcher")).all()] == ["flat"]
    assert len(bench.of(account(bench, "data_engineer")).all()) == 2
    for login, said in (("researcher", "another person"), ("auditor", "does not include")):
        with pytest.raises(NotAllowed, match=said):
            bench.of(account(bench, login)).one(other.row.id)


def test_a_leaked_file_names_its_recipient_and_nobody_else(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = [bench.shelf.build(whole(), login, REASON) for login in ("anne", "bertrand", "chloe", "denis")]
    leaked = tmp_path_factory.mktemp("found") / "found.csv"
    with duckdb.connect() as connection:
        facts = bench.path(made[2], "parquet/facts.parquet")
        connection.execute(
            f"COPY (SELECT variable, days, value FROM '{facts}' USING SAMPLE 60% (bernoulli, 7) ORDER BY random()) TO '{leaked}'"
        )
    found = bench.shelf.trace(leaked)
    assert found.recipients == 4
    assert [one.recipient for one in found.suspects if one.named] == ["chloe"]
    exact = bench.shelf.build(whole(fingerprint=False, reason="values compared to the last digit"), "anne", REASON)
    unmarked = bench.shelf.trace(Path(bench.path(exact, "parquet/facts.parquet")))
    assert not any(one.named for one in unmarked.suspects)
