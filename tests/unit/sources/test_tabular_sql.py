"""Tables of a live database: SQLite always, PostgreSQL where its server is installed (a cluster of this test's)."""

from __future__ import annotations

import datetime as dt
import decimal
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from tests.ports import free_port
from tests.spec import site_kit as kit

from estran.app import Site
from estran.model.errors import EstranError, UsageError
from estran.sources.pipeline.run import Report
from estran.sources.tabular import database, loading
from estran.sources.tabular.database import extracted
from estran.sources.tabular.loading import ingest_mapped
from estran.sources.tabular.mapping import read_mapping

MAPPING = """\
estran: 1
patients: {system: CHU}
database: {url_env: ESTRAN_TEST_BASE}
tables:
  - name: patients
    table: patient
    patient:
      key: ipp
      introduces: true
      birth_date: naissance
      sex: {map: sexe, to: {M: male, F: female}}
  - name: sejours
    table: sejour
    patient: {key: ipp}
    stay: {key: nda, kind: venue, start: entree, end: sortie}
  - name: resultats
    query: >
      SELECT r.id, r.nda, s.ipp, r.code, r.valeur, r.unite, r.quand, r.modifie
      FROM resultat r JOIN sejour s ON s.nda = r.nda
    incremental: {column: modifie, overlap: 60}
    version: modifie
    patient: {key: ipp}
    stay: {key: nda}
    document: {key: id, kind: laboratory, start: quand}
    facts:
      - {code: {vocabulary: LOCAL/labo, code: code}, value: valeur, unit: unite}
"""
metadata = sa.MetaData()
patient = sa.Table(
    "patient", metadata, sa.Column("ipp", sa.String(20), primary_key=True), sa.Column("naissance", sa.Date),
    sa.Column("sexe", sa.String(1)), sa.Column("nom", sa.String(80)),
)  # fmt: skip
stay = sa.Table(
    "sejour", metadata, sa.Column("nda", sa.BigInteger, primary_key=True), sa.Column("ipp", sa.String(20)),
    sa.Column("entree", sa.DateTime), sa.Column("sortie", sa.DateTime),
)  # fmt: skip
result = sa.Table(
    "resultat", metadata, sa.Column("id", sa.BigInteger, primary_key=True), sa.Column("nda", sa.BigInteger),
    sa.Column("code", sa.String(10)), sa.Column("valeur", sa.Numeric(10, 3, asdecimal=True)),
    sa.Column("unite", sa.String(10)), sa.Column("quand", sa.DateTime), sa.Column("modifie", sa.DateTime),
)  # fmt: skip
DAY = dt.datetime(2024, 3, 1, 8, 0)


def binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    found += [Path(p) for p in [shutil.which("initdb")] if p and not found]
    return found[-1].parent if found else None


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of this test's own, on a free port of the loopback."""
    tools = binaries()
    if tools is None:
        pytest.skip("PostgreSQL's server is not installed: its tests are left out")
    folder = Path(f"/tmp/estran-pg-{os.getpid()}")  # a socket's path is short, and its owner may not read pytest's
    folder.mkdir(mode=0o755)
    user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, "postgres", "postgres")
    port = free_port()
    options = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"

    def call(*command: object) -> None:
        subprocess.run([str(part) for part in command], check=True, cwd=folder, stdout=subprocess.DEVNULL, **user)

    (folder / "pw").write_text("sesame")
    (folder / "pw").chmod(0o644)
    try:
        call(tools / "initdb", "-D", folder / "d", "-U", "estran", "-A", "scram-sha-256", "--pwfile", folder / "pw", "-N", "--locale=C.UTF-8")
        call(tools / "pg_ctl", "-D", folder / "d", "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://estran:sesame@127.0.0.1:{port}/postgres"
        finally:
            call(tools / "pg_ctl", "-D", folder / "d", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def base(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """A filled database, its address in the environment."""
    url = f"sqlite:///{tmp_path}/his.sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres")
    monkeypatch.setenv("ESTRAN_TEST_BASE", url)
    engine = sa.create_engine(url)
    metadata.drop_all(engine)
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(patient.insert(), [
            {"ipp": f"{n:04d}", "naissance": dt.date(1950 + n, 2, 3), "sexe": "FM"[n % 2], "nom": "LEGUÉNEC"} for n in range(5)
        ])  # fmt: skip
        connection.execute(stay.insert(), [
            {"nda": 10 + n, "ipp": f"{n % 5:04d}", "entree": DAY, "sortie": DAY + dt.timedelta(days=n) if n else None} for n in range(6)
        ])  # fmt: skip
    add(engine, range(20), DAY)
    yield engine
    engine.dispose()


def add(engine: sa.Engine, ids: range, changed: dt.datetime, value: float = 1.5) -> None:
    rows = [
        {"id": n, "nda": 10 + n % 6, "code": "NA" if n % 2 else "K", "valeur": decimal.Decimal(str(value + n)), "unite": "mmol/L",
         "quand": DAY + dt.timedelta(minutes=n), "modifie": changed}
        for n in ids
    ]  # fmt: skip
    with engine.begin() as connection:
        connection.execute(result.delete().where(result.c.id.in_(ids)))
        connection.execute(result.insert(), rows)


def new_site(folder: Path, text: str = MAPPING) -> Site:
    (folder / "his.yaml").write_text(text)
    site = kit.make(folder / "site")
    site.shelf.keep(folder / "his.yaml")
    return site


def ingest(site: Site) -> Report:
    with site.loading() as parts:
        return ingest_mapped(parts, site.shelf, "sql", "his", [])


def values(site: Site) -> list[tuple[Any, ...]]:
    return kit.rows(site, "SELECT value, unit, start_date, start_minute FROM fact ORDER BY start_minute, value")


def expected(ids: range, value: float = 1.5) -> list[tuple[Any, ...]]:
    return [(value + n, "mmol/L", DAY.date(), 480 + n) for n in ids]


def test_tables_and_queries_are_loaded_then_only_what_is_new(base: sa.Engine, tmp_path: Path) -> None:
    site = new_site(tmp_path)
    first = ingest(site)
    assert {f.part: (f.read, f.loaded) for f in first.files} == {"patients": (5, 5), "sejours": (6, 6), "resultats": (20, 20)}
    assert values(site) == expected(range(20))
    assert kit.rows(site, "SELECT count(*), count(end_date) FROM stay") == [(6, 5)]

    add(base, range(20, 23), DAY + dt.timedelta(hours=1))
    add(base, range(3), DAY + dt.timedelta(hours=2), value=100.5)  # corrected
    second = ingest(site)
    assert {f.part: (f.read, f.loaded) for f in second.files}["resultats"] == (23, 6)  # the overlap is read again
    assert values(site) == sorted(expected(range(3), 100.5) + expected(range(3, 23)), key=lambda r: r[3])
    before = kit.digest(site)

    third = ingest(site)  # what shares the highest mark is read again, and found to be there
    assert {f.part: (f.read, f.superseded) for f in third.files}["resultats"] == (3, 3)
    assert kit.digest(site) == before
    assert kit.findings(site) == []


def test_a_crash_before_the_commit_moves_no_mark(base: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while loading, or between the commit and the mark: no loss, no duplicate."""
    site = new_site(tmp_path)

    def dies(*_: object, **__: object) -> Report:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(loading, "run", dies)
        with pytest.raises(KeyboardInterrupt):
            ingest(site)
    assert site.shelf.watermarks("his") == {}
    with monkeypatch.context() as patched:
        patched.setattr(type(site.shelf), "set_watermarks", dies)
        with pytest.raises(KeyboardInterrupt):
            ingest(site)
    assert site.shelf.watermarks("his") == {}
    again = ingest(site)
    assert again.total("superseded") == again.total("read") == 31
    assert values(site) == expected(range(20))
    assert site.shelf.watermarks("his")["resultats"]["value"].startswith("2024-03-01")


@pytest.mark.parametrize("base", ["sqlite"], indirect=True)
def test_replay_needs_no_database(base: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of a patient who is unknown yet wait, and come back from the landed file."""
    hidden = MAPPING.replace("table: patient\n", "query: SELECT * FROM patient WHERE ipp <> '0001'\n")
    site = new_site(tmp_path, hidden)
    report = ingest(site)
    assert report.total("quarantined") > 0
    waiting = len(values(site))
    with base.begin() as connection:
        connection.execute(result.delete())
    (tmp_path / "his.yaml").write_text(MAPPING)
    site.shelf.keep(tmp_path / "his.yaml")
    report = ingest(site)
    assert report.replayed > 0
    assert waiting < len(values(site)) == 20
    assert values(site) == expected(range(20))


def test_nothing_is_written_to_the_database(base: sa.Engine, tmp_path: Path) -> None:
    """A query that writes is refused by the server, and its table alone."""
    writes = "DELETE FROM patient RETURNING *"
    if base.dialect.name == "postgresql":  # a sentence that reads, but for its effect
        with base.begin() as connection:
            connection.exec_driver_sql("CREATE SEQUENCE IF NOT EXISTS counter")
        writes = "SELECT nextval('counter')::text AS ipp, 'M' AS sexe, NULL AS naissance"
    text = MAPPING.replace("table: patient\n", f"query: {writes}\n")
    with pytest.raises(EstranError), extracted(read_mapping(text, "m.yaml"), {}):
        pass
    with base.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(patient)) == 5


def test_the_password_is_never_shown(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTRAN_TEST_BASE", postgres.replace("sesame", "wrongword"))
    with pytest.raises(UsageError) as caught, extracted(read_mapping(MAPPING, "m.yaml"), {}):
        pass
    assert "wrongword" not in str(caught.value)
    monkeypatch.setenv("THE_WORD", "sesame")
    bare = postgres.replace(":sesame@", "@")
    text = MAPPING.replace("{url_env: ESTRAN_TEST_BASE}", f"{{url: '{bare}', password_env: THE_WORD}}")
    text = text[: text.index("  - name: sejours")].replace("table: patient", "query: SELECT 1 AS ipp, 'M' AS sexe, NULL AS naissance")
    with extracted(read_mapping(text, "m.yaml"), {}) as extract:
        assert extract.rows == {"patients": 1}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("{url_env: ESTRAN_NOT_SET}", "ESTRAN_NOT_SET is not set"),
        ("{url: 'sqlite:////nowhere/at/all.sqlite'}", "no such SQLite file"),
        ("{url: 'martian://host/base'}", "address"),
    ],
)
def test_a_database_that_cannot_be_reached_is_told_so(address: str, words: str) -> None:
    text = MAPPING.replace("{url_env: ESTRAN_TEST_BASE}", address)
    with pytest.raises(UsageError, match=words), extracted(read_mapping(text, "m.yaml"), {}):
        pass


def test_values_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that changes its kind on the way (SQLite lets it) is text; bytes and nulls pass."""
    monkeypatch.setattr(database, "_ROWS", 100)
    engine = sa.create_engine(f"sqlite:///{tmp_path}/odd.sqlite")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE odd (ipp, a, b, c)")
        rows = [(n, None if n < 600 else n, n if n < 600 else f"x{n}", b"\xc3\xa9") for n in range(610)]
        connection.exec_driver_sql("INSERT INTO odd VALUES (?, ?, ?, ?)", rows)
    engine.dispose()
    monkeypatch.setenv("ESTRAN_TEST_BASE", f"sqlite:///{tmp_path}/odd.sqlite")
    text = MAPPING[: MAPPING.index("  - name: patients")]
    text += "  - {name: odd, table: odd, patient: {key: ipp, introduces: true}, incremental: {column: ipp}}\n"
    with extracted(read_mapping(text, "m.yaml"), {"odd": {"kind": "number", "value": "5"}}) as extract:
        table = pq.read_table(extract.files[0])
    assert (extract.rows, extract.marks) == ({"odd": 605}, {"odd": {"kind": "number", "value": "609"}})
    assert table["a"][-1].as_py() == "609"
    assert (table["b"][0].as_py(), table["b"][-1].as_py(), table["c"][0].as_py()) == ("5", "x609", "é")
    assert table["ipp"].to_pylist() == list(range(5, 610))
