"""`estran hub pool`: asked, approved at the sites, gathered, compared, closed from the command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests import fresh
from tests.browser.small_site import hospital
from tests.pool_kit import QUESTION, VARIABLES
from tests.spec.test_cli import Command, estran
from tests.unit.projects.opened import opened

from estran.app import Site
from estran.cohort.language import json as question_json
from estran.cohort.language.text import parse
from estran.projects.actors import Role
from estran.settings import Settings

__all__ = ["estran"]  # a fixture

SPEC = """
project = "{project}"
name = "kidney"
cohort = "CIM10:I10"
demographics = ["sex", "age"]
formats = ["parquet"]
days = 200

[[variables]]
name = "creatinine"
codes = ["LOINC:2160-0"]
aggregate = "last"
unit = "umol/L"
"""


def with_project(site: Site) -> str:
    account = site.state.accounts.add("jdoe", "!none", Role.RESEARCHER)
    return opened(site.state, [account.id], cohort=question_json.dumps(parse(QUESTION)), variables=VARIABLES)


def test_the_life_of_a_pool(tmp_path: Path, estran: Command) -> None:
    hub, spec = tmp_path / "hub", tmp_path / "kidney.toml"
    site = fresh.site(hub, Settings())
    assert estran("hub", "init", hub, "--name", "Essai", "--json").code == 0
    sites = []
    for name in ("angers", "brest"):
        made = fresh.site(tmp_path / name, Settings())
        with made.warehouse.writer() as writer:
            writer.commit(hospital(60))
        assert estran("hub", "invite", hub, name, "--out", tmp_path / f"{name}.invitation").code == 0
        assert estran("hub", "join", tmp_path / name, tmp_path / f"{name}.invitation", "--hub", hub).code == 0
        spec.write_text(SPEC.format(project=with_project(made)), "utf-8")
        built = estran("datamart", "build", tmp_path / name, spec, "--for", "jdoe", "--json")
        assert built.code == 0, built.err
        sites += ["--site", f"{name}={built.json['project']}"]
    spec.write_text(SPEC.format(project=with_project(site)), "utf-8")
    pool = estran("hub", "pool", "ask", hub, spec, "--for", "jdoe", *sites, "--json").json["pool"]
    assert estran("hub", "pool", "gather", hub, "--json").json["pools"][0]["taken"] == []
    states = {one["site"]: one["state"] for one in estran("hub", "pool", "status", hub, pool, "--json").json["sites"]}
    assert states == {"angers": "approval", "brest": "approval"}, "somebody of each site says yes first"
    for name in states:
        (waiting,) = (
            one["job"]
            for one in estran("hub", "jobs", tmp_path / name, "--json").json["jobs"]
            if one["state"] == "approval"
        )
        assert estran("hub", "approve", tmp_path / name, waiting).code == 0
    assert estran("hub", "pool", "gather", hub, "--json").json["pools"][0]["taken"] == [], "who left is asked first"
    done = estran("hub", "pool", "gather", hub, "--json").json["pools"][0]
    assert done["taken"] == ["angers", "brest"] and done["datamart"]
    assert estran("datamart", "verify", hub, done["datamart"], "--json").json["whole"]
    found = estran("hub", "pool", "differences", hub, pool[:6], "--json").json["variables"]
    assert [one["variable"] for one in found] == ["sex", "age", "creatinine"] and len(found[0]["sites"]) == 2
    assert "creatinine" in estran("hub", "pool", "differences", hub, pool).out
    assert estran("hub", "pool", "ask", hub, pool, "--site", "brest", "--json").json["asked"] == ["brest"]
    out = ("hub", "pool", "drop", hub, pool[:6], "--site", "brest")
    assert estran(*out).code == 2, "with a reason"
    dropped = estran(*out, "--reason", "a test", "--certificate", tmp_path / "drop.json", "--json").json["certificate"]
    assert dropped["site"] == "brest" and json.loads((tmp_path / "drop.json").read_text()) == dropped
    assert "brest is out of pool" in estran(*out, "--reason", "once more").out
    told = {one["site"]: one for one in estran("hub", "pool", "status", hub, pool, "--json").json["sites"]}
    assert told["brest"]["state"] == "dropped" and told["brest"]["dropped"]["reason"] == "a test"
    assert told["angers"]["state"] == "accepted" and told["angers"]["dropped"] is None
    assert told["brest"]["dropped"]["at"][:10] in estran("hub", "pool", "status", hub, pool).out
    assert "dropped" in estran("hub", "pool", "status", hub, pool).out
    assert (
        estran("hub", "pool", "close", hub, pool, "--reason", "a test", "--certificate", tmp_path / "end.json").code
        == 0
    )
    assert {one["what"] for one in json.loads((tmp_path / "end.json").read_text())["copies"]} == {
        "key",
        "partition",
        "datamart",
    }
    assert estran("hub", "pool", "gather", hub).code == 0 and estran("hub", "pool", "gather", hub).code == 0
    assert estran("hub", "pool", "status", hub, pool, "--json").json["complete"]
    assert [one["state"] for one in estran("hub", "pool", "status", hub, "--json").json["pools"]] == ["closed"]
    assert estran("hub", "pool", "status", hub, "none").code == 2
