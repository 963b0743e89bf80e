"""A datamart with what its project brought itself, and the commands that bring it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.spec import site_kit as kit
from tests.unit.keeping.owndata.conftest import Bench
from tests.unit.opposing import oppose
from typer.testing import CliRunner

from estran.cli import app
from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.datamarts.shelf import Datamarts, Listed
from estran.release.dates import shifts
from estran.release.rekey import ProjectKey

ROWS = "ipp;day;fevg;nyha\nIPP0;2024-02-03;35,5;2\nIPP2;2024-02-05;44;1\nIPP4;2024-02-05;x;1\n"
USES = {"ipp": "patient", "day": "date", "fevg": "number", "nyha": "code"}
VISITS = "ipp;visit;sbp\nIPP0;1;140\nIPP0;2;150\nIPP2;1;120\n"


def build(bench: Bench, **more: Any) -> tuple[Listed, Datamarts]:
    spec = {
        "project": bench.project, "name": "echo", "cohort": "sexe:F", "demographics": ["sex"], "formats": ["parquet"],
        "own": [{"data": bench.data, "columns": ["day", "fevg", "nyha"]}],
    }  # fmt: skip
    shelf = Datamarts(bench.site, KEY_HOLDER, bench.site.workshop)
    return shelf.build(spec | more, "lea", "committee of 3 May, 2026"), shelf


def test_own_variables_join_by_the_projects_key(bench: Bench) -> None:
    bench.bring(ROWS, uses=USES)
    made, shelf = build(bench)
    path = bench.site.directory / "datamarts" / made.row.folder / "parquet" / "patients.parquet"
    rows = {row["patient"]: row for row in pq.read_table(path).to_pylist()}
    key, number = ProjectKey.of(bench.site.key, bench.project), kit.patient_of(bench.site, "IPP0")
    mine = rows[key.pseudonyms([number])[0]]
    shifted = dt.date(2024, 2, 3) + dt.timedelta(days=int(shifts(key, [number])[0]))
    assert (mine["own_fevg"], mine["own_nyha"], mine["own_day"]) == (35.5, "2", shifted)
    assert len(rows) == 7 and sum(row["own_fevg"] is not None for row in rows.values()) == 2
    columns = {one["name"]: one for one in made.manifest["tables"][0]["columns"]}
    assert columns["own_fevg"]["own"] == bench.data and "own" not in columns["sex"]
    assert made.manifest["own"][0]["formality"] == "MR-003"
    assert shelf.verify(made.row.id, rebuild=True).same is True
    bench.bring(ROWS.replace("44", "45"), uses=USES)
    proof = shelf.verify(made.row.id, rebuild=True)
    assert (proof.same, proof.own_changed, proof.whole) == (False, True, True)
    oppose(bench.site.warehouse, number, f"project:{bench.project}", bench.site.today())
    again, _ = build(bench)
    held = pq.read_table(bench.site.directory / "datamarts" / again.row.folder / "parquet" / "patients.parquet")
    assert sorted(value for value in held["own_fevg"].to_pylist() if value is not None) == [45.0]


def test_several_rows_per_patient_are_a_table(bench: Bench) -> None:
    bench.bring(VISITS, uses={"ipp": "patient", "visit": "key", "sbp": "number"})
    own = [{"data": bench.data, "columns": ["sbp"]}]
    with pytest.raises(UsageError, match="several rows"):
        build(bench, own=own)
    made, _ = build(bench, own=own, shape="tables")
    table = pq.read_table(
        bench.site.directory / "datamarts" / made.row.folder / "parquet" / f"own_{bench.data}_data.parquet"
    )
    assert sorted(table["own_sbp"].to_pylist()) == [120.0, 140.0, 150.0]
    with pytest.raises(UsageError, match="no such table or column"):
        build(bench, own=[{"data": bench.data, "columns": ["weight"]}])
    with pytest.raises(UsageError, match="no accepted data set"):
        build(bench, own=[{"data": 99, "columns": ["sbp"]}])


def test_the_commands_declare_bring_and_end(bench: Bench, tmp_path: Path) -> None:
    runner, site = CliRunner(), str(bench.site.directory)

    def run(*words: str) -> tuple[int, Any]:
        done = runner.invoke(app, ["project", "data", *words, "--json"])
        return done.exit_code, json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout

    until = str(dt.date.today() + dt.timedelta(days=30))
    code, made = run(
        "declare", site, bench.project, "Diary", "--for", "lea", "--origin", "Team", "--formality", "consent",
        "--information", "Signed consent of each patient", "--until", until,
    )  # fmt: skip
    assert code == 0
    data = str(made["data"])
    assert run("accept", site, data)[0] == 0
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "rows.toml").write_text('link = "number"\n[uses]\nipp = "patient"\nfevg = "number"\n')
    code, read = run("import", site, data, str(tmp_path / "rows.csv"), "--recipe", str(tmp_path / "rows.toml"))
    assert code == 4 and (read["read"], read["linked"], read["reasons"]) == (3, 2, {"not-a-number": 1})
    told = runner.invoke(app, ["project", "data", "lines", site, str(read["file"])]).stdout
    assert "4;data;fevg;not-a-number" in told and "IPP" not in told
    assert run("refresh", site, data)[1]["removed"] == 0
    assert run("end", site, data, "--because", "published")[0] == 0
    listed = {one["data"]: one for one in run("list", site, bench.project)[1]["data"]}
    assert listed[int(data)]["state"] == "ended" and listed[int(data)]["certificate"]["why"] == "published"
