"""CSV and Parquet extracts by a mapping: what comes out, what is refused and where, and hostile files."""

from __future__ import annotations

import datetime as dt
import gzip
import random
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.spec import site_kit as kit
from typer.testing import CliRunner

from estran.app import Site
from estran.cli import app as cli
from estran.model.errors import CheckFailed, InputRefused, UsageError
from estran.sources.pipeline.run import Report, retry
from estran.sources.records import Batch
from estran.sources.tabular import TabularReader
from estran.sources.tabular import inputs as tabular_inputs
from estran.sources.tabular import segments as tabular_segments
from estran.sources.tabular.loading import ingest_mapped
from estran.sources.tabular.mapping import Faulty, read_mapping
from estran.sources.tabular.shelf import Draft

MAPPING = """\
estran: 1
decimal: ","
empty: ["-", NC]
patients: {system: CHU}
csv: {delimiter: ";"}
lookups:
  analyses: {files: analyses.csv, key: code}
tables:
  - name: analyses
    files: analyses.csv
    vocabulary: {name: LOCAL/labo, code: code, label: libelle, kind: laboratory, maps: [{vocabulary: LOINC, code: loinc}]}
  - name: patients
    files: patients.csv
    csv: {delimiter: ";", encoding: latin-1}
    patient:
      key: ipp
      introduces: true
      family_names: [nom]
      given_names: [prenom]
      birth_date: {column: naissance, format: "%d/%m/%Y"}
      sex: {map: sexe, to: {"1": male, "2": female}}
      aliases: [{key: ancien, system: OLD}]
      city: ville
  - name: sejours
    files: sejours.csv.gz
    patient: {key: ipp}
    stay:
      key: nda
      kind: {map: type, to: {H: venue, C: consultation, U: emergency}}
      start: {column: entree, format: "%d/%m/%Y %H:%M"}
      end: {column: sortie, format: "%d/%m/%Y %H:%M"}
      unit: {code: uf, label: service}
      confidential: {equals: secret, to: O}
  - name: resultats
    files: resultats*.csv
    when: {not: {equals: etat, to: test}}
    patient: {key: ipp}
    stay: {key: nda}
    document:
      group: [nda, demande]
      kind: laboratory
      title: Biologie
      start: {column: date, format: "%d/%m/%Y %H:%M"}
    facts:
      - code: {vocabulary: LOCAL/labo, code: code}
        measure: resultat
        unit: {coalesce: [unite, analyses.unite]}
        low: borne_basse
        high: borne_haute
        status: {map: etat, to: {V: final, P: preliminary, X: cancelled}}
  - name: constantes
    files: constantes.csv
    patient: {key: ipp}
    stay: {key: nda}
    document: {key: id, kind: nursing, title: Constantes, start: [{column: quand}, {column: jour, precision: day}]}
    facts:
      - start: quand
        measures:
          - {column: fc, code: {vocabulary: LOINC, code: {constant: 8867-4}}, unit: /min}
          - {column: temp, code: {vocabulary: LOINC, code: {constant: 8310-5}}, unit: °C}
  - name: lettres
    files: lettres.csv
    csv: {delimiter: ","}
    version: version
    patient: {key: ipp}
    document: {key: id, kind: letter, title: titre, start: jour, text: texte}
"""
FILES = {
    "analyses.csv": "code;libelle;loinc;unite\nNA;Sodium;2951-2;mmol/L\nK;Potassium;2823-3;mmol/L\nCRP;CRP;1988-5;mg/L\nASP;Aspect;;\n",
    "patients.csv": (
        "IPP;Nom;Prenom;Naissance;Sexe;Ancien;Ville\n"
        "0001;LEGUÉNEC;Anaïs;05/03/1961;2;A9;Brest\n0002;MARTIN;Luc;17/11/1950;1;-;Rennes\n"
        "0003;PETIT;Jo;31/02/1950;1;;Nantes\n0004;ROUX;Al;01/01/1970;3;;Tours\n"
    ),
    "sejours.csv.gz": (
        "ipp;nda;type;entree;sortie;uf;service;secret\n"
        "0001;S1;H;02/01/2024 10:30;09/01/2024 16:00;3111;Cardiologie;N\n"
        "0002;S2;U;03/01/2024 23:50;;4000;Urgences;O\n0002;S3;C;04/01/2024;04/01/2024 09:00;4100;Consult;N\n"
        "0009;S9;H;02/01/2024 10:30;;3111;Cardiologie;N\n"
    ),
    "resultats.csv": (
        "ipp;nda;demande;date;code;resultat;unite;borne_basse;borne_haute;etat\n"
        "0001;S1;D1;02/01/2024 11:00;NA;138,5;;135;145;V\n"
        "0001;S1;D1;02/01/2024 11:00;CRP;<5;mg/l;;;V\n"
        "0002;S2;D2;04/01/2024 01:00;K;hémolysé;;;;V\n"
        "0001;S1;D1;02/01/2024 11:00;ASP;Limpide;;;;P\n"
        "0002;S2;D2;04/01/2024 01:00;NA;NC;;;;X\n"
        "0001;S1;D3;02/01/2024 12:00;NA;140;;x;;V\n"
        "0001;S1;D3;02/01/2024 12:00;K;4,1;;;;V\n"
        "0001;S1;D4;02/01/2024 12:00;K;4,1;;;;?\n"
        "0001;S1;D9;02/01/2024 12:00;K;1;;;;test\n"
        "0001;S1;D5\n"
    ),
    "constantes.csv": (
        "id;ipp;nda;jour;quand;fc;temp\n1;0001;S1;2024-01-03;2024-01-03 08:00;72;37,2\n"
        "2;0001;S1;2024-01-03;;80;\n3;0001;S1;2024-01-03;2024-01-03T08:00:00+03:00;vite;-\n"
    ),
    "lettres.csv": (
        "id,ipp,jour,titre,version,texte\n"
        'L1,0001,2024-01-10,Courrier,1,"Madame LEGUÉNEC Anaïs,\nva bien."\n'
        'L1,0001,2024-01-10,Courrier,2,"Madame LEGUÉNEC va mieux"\n'
        "L2,0002,2024-01-10,Courrier,1,\n"
    ),
}  # fmt: skip


def write(folder: Path, files: dict[str, str] = FILES, mapping: str = MAPPING) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        raw = text.encode("latin-1" if name.startswith("patients") else "utf-8")
        (folder / name).write_bytes(gzip.compress(raw, mtime=0) if name.endswith(".gz") else raw)
    (folder / "labo.yaml").write_text(mapping, "utf-8")
    return folder


def ingest(site: Site, folder: Path, *paths: Path) -> Report:
    name = site.shelf.keep(folder / "labo.yaml")
    with site.loading() as parts:
        return ingest_mapped(parts, site.shelf, "csv", name, list(paths) or [folder])


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Report, Path]:
    folder = write(tmp_path_factory.mktemp("extract"))
    site = kit.make(tmp_path_factory.mktemp("sites") / "chu")
    return site, ingest(site, folder), folder


def quarantined(site: Site) -> list[tuple[Any, ...]]:
    return kit.rows(site, "SELECT part, line, field, code FROM raw_quarantine ORDER BY ALL")


def facts(site: Site) -> list[tuple[Any, ...]]:
    return kit.rows(
        site,
        "SELECT coalesce(l.code, c.code), value, comparator, f.unit, value_text, low, high, f.status, f.start_date, "
        "f.start_minute, f.precision FROM raw_fact f JOIN raw_concept c USING (concept_id) "
        "JOIN raw_document d USING (document_id) LEFT JOIN raw_concept l ON l.concept_id = f.local_concept_id "
        "ORDER BY d.file_no, d.record_no, fact_no",
    )


def test_the_account_is_complete(hospital: tuple[Site, Report, Path]) -> None:
    site, report, _ = hospital
    counts = {f.part: (f.read, f.loaded, f.superseded, f.quarantined) for f in report.files}
    assert counts == {
        "analyses": (4, 4, 0, 0),
        "patients": (4, 2, 0, 2),
        "sejours": (4, 2, 0, 2),
        "resultats": (5, 2, 0, 3),  # documents of a group are records; the row that a filter leaves out is none
        "constantes": (3, 3, 0, 0),
        "lettres": (3, 1, 1, 1),
    }
    assert kit.findings(site) == []
    assert quarantined(site) == [
        ("lettres", 5, "texte", "missing"),
        ("patients", 4, "naissance", "malformed"),
        ("patients", 5, "sexe", "unknown-value"),
        ("resultats", 7, "borne_basse", "malformed"),
        ("resultats", 9, "etat", "unknown-value"),
        ("resultats", 11, "row", "truncated"),
        ("sejours", 4, "entree", "malformed"),
        ("sejours", 5, "patient", "no-patient"),
    ]


def test_reasons_hold_no_value(hospital: tuple[Site, Report, Path]) -> None:
    said = " ".join(hospital[1].reasons)
    assert "The naissance is not a date written as %d/%m/%Y." in said
    assert "The value of etat is not in the mapping's list." in said
    assert not any(word in said for word in ("LEGUÉNEC", "31/02", "0003", "vite"))


def test_results(hospital: tuple[Site, Report, Path]) -> None:
    """Decimal commas, comparators, text where there is no number, units of the lookup, several rows a document."""
    day, second = dt.date(2024, 1, 2), dt.date(2024, 1, 4)
    held = [f for f in facts(hospital[0]) if f[0] in ("NA", "K", "CRP", "ASP")]
    assert held == [
        ("NA", 138.5, None, "mmol/L", None, 135.0, 145.0, 0, day, 660, 4),
        ("CRP", 5.0, 1, "mg/L", None, None, None, 0, day, 660, 4),
        ("ASP", None, None, None, "Limpide", None, None, 1, day, 660, 4),
        ("K", None, None, "mmol/L", "hémolysé", None, None, 0, second, 60, 4),
        ("NA", None, None, "mmol/L", None, None, None, 6, second, 60, 4),
    ]
    assert len(kit.ask(hospital[0], "LOINC:2951-2")) == 1  # by the dictionary's map


def test_several_columns_each_a_fact(hospital: tuple[Site, Report, Path]) -> None:
    held = [f for f in facts(hospital[0]) if f[0] in ("8867-4", "8310-5")]
    third = dt.date(2024, 1, 3)
    assert [(f[0], f[1], f[3], f[4], f[8], f[9], f[10]) for f in held] == [
        ("8867-4", 72.0, "/min", None, third, 480, 4),
        ("8310-5", 37.2, "Cel", None, third, 480, 4),
        ("8867-4", 80.0, "/min", None, third, None, 2),
        ("8867-4", None, "/min", "vite", third, 360, 4),
    ]


def test_stays_and_people(hospital: tuple[Site, Report, Path]) -> None:
    site = hospital[0]
    stays = kit.rows(site, "SELECT kind, start_date, start_minute, end_minute, status, confidential FROM raw_stay ORDER BY 2")
    assert stays == [
        ("venue", dt.date(2024, 1, 2), 630, 960, "finished", False),
        ("emergency", dt.date(2024, 1, 3), 1430, None, "active", True),
    ]
    assert kit.rows(site, "SELECT code, label FROM raw_unit ORDER BY 1") == [("3111", "Cardiologie"), ("4000", "Urgences")]
    assert kit.patient_of(site, "0001") == kit.patient_of(site, "A9", "OLD") >= 0
    assert kit.patient_of(site, "-", "OLD") == -1
    assert kit.rows(site, "SELECT sex, birth_month FROM patient ORDER BY 2") == [
        ("male", dt.date(1950, 11, 1)),
        ("female", dt.date(1961, 3, 1)),
    ]


def test_texts_are_masked_and_versions_kept_apart(hospital: tuple[Site, Report, Path]) -> None:
    assert kit.rows(hospital[0], "SELECT text FROM text") == [("Madame [NOM] va mieux",)]


def test_a_mapping_put_right_sets_free_what_it_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "extract")
    site = kit.make(tmp_path / "chu")
    ingest(site, folder)
    fixed = MAPPING.replace('"2": female}', '"2": female, "3": other}').replace("X: cancelled}", 'X: cancelled, "?": final}')
    (folder / "labo.yaml").write_text(fixed, "utf-8")
    site.shelf.keep(folder / "labo.yaml")
    assert site.shelf.version("labo") == 2
    with site.loading() as parts:
        freed, left = retry(parts, "csv/labo")
    assert (freed, left) == (2, 6)
    assert kit.patient_of(site, "0004") >= 0
    whole = kit.make(tmp_path / "whole")  # the same as if the mapping had been right from the start
    ingest(whole, folder)
    assert kit.digest(site) == kit.digest(whole)


def test_order_of_files_and_repeats_have_no_say(tmp_path: Path, hospital: tuple[Site, Report, Path]) -> None:
    folder = write(tmp_path / "extract")
    site = kit.make(tmp_path / "chu")
    for names in (("analyses.csv", "lettres.csv", "resultats.csv"), ("constantes.csv", "sejours.csv.gz"), ("patients.csv",)):
        ingest(site, folder, *(folder / name for name in names))
    before = kit.digest(site)
    assert before == kit.digest(hospital[0])
    again = ingest(site, folder)
    assert (again.total("loaded"), again.total("quarantined")) == (0, 0)
    assert kit.digest(site) == before


def run(*words: object) -> dict[str, Any]:
    result = CliRunner().invoke(cli, [str(word) for word in (*words, "--json")])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return orjson.loads(result.stdout.splitlines()[-1]) | {"exit": result.exit_code}


def test_the_command_line(tmp_path: Path) -> None:
    """Check, load, keep a mended mapping, try again what it had refused."""
    folder = write(tmp_path / "extract")
    mapping, site = folder / "labo.yaml", kit.make(tmp_path / "chu").directory
    with pytest.raises(CheckFailed):
        run("mapping", "check", mapping, folder)
    (folder / "bad.yaml").write_text(MAPPING.replace("kind: letter", "kind: mail"))
    with pytest.raises(Faulty, match=r"bad.yaml line \d+, field tables\[5\].document.kind: This is not one of"):
        run("mapping", "check", folder / "bad.yaml")
    loaded = run("ingest", site, "csv", "--mapping", mapping, folder / "analyses.csv", folder / "patients.csv")
    assert (loaded["exit"], loaded["read"], loaded["loaded"], loaded["quarantined"]) == (4, 8, 6, 2)
    mapping.write_text(MAPPING.replace('"2": female}', '"2": female, "3": other}'), "utf-8")
    assert run("mapping", "keep", site, mapping)["version"] == 2
    assert run("ingest", site, "csv", "--source", "labo", folder / "patients.csv")["loaded"] == 1
    for words in (("csv", folder), ("fhir", "--mapping", mapping, folder), ("csv", "--mapping", mapping, "--source", "x", folder)):
        with pytest.raises(UsageError):
            run("ingest", site, *words)


# Files of every shape ----------------------------------------------------------------------------------

SIMPLE = """\
estran: 1
tables:
  - name: labs
    files: [labs.csv, labs.tsv, labs.parquet]
    csv: {OPTIONS}
    patient: {key: ipp, introduces: true}
    document: {DOCUMENT, kind: laboratory, start: date}
    facts:
      - {code: {vocabulary: LOCAL/x, code: code}, value: value}
"""


def read(path: Path, options: str = "", document: str = "key: id", **more: Any) -> list[Batch]:
    text = SIMPLE.replace("OPTIONS", options).replace("DOCUMENT", document)
    reader = TabularReader(Draft(read_mapping(text, "m.yaml"), [path]), "csv/labs")
    return list(reader.read(path, path.name, more.get("wanted")))


def summary(batches: list[Batch]) -> tuple[int, int, list[Any]]:
    rows = [v for b in batches for v in b.facts["value"].to_pylist()]
    return sum(len(b.records) for b in batches), sum(len(b.refused) for b in batches), rows


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"id,ipp,date,code,value\n1,7,2024-01-02,a,1.5\n", ""),
        (b"\xef\xbb\xbfID;IPP;Date;Code;Value\r\n1;7;2024-01-02;a;1.5\r\n", ""),
        ("id|ipp|date|code|value\n1|7|2024-01-02|é|1.5".encode("utf-16"), "encoding: utf-16, delimiter: '|'"),
        ('"id","ipp","date","code","value"\n"1","7","20240102","é\nx","1.5"\n'.encode("cp1252"), "encoding: cp1252"),
        (b"1\t7\t2024-01-02\ta\t1.5\n", "columns: [id, ipp, date, code, value], delimiter: \"\t\", quoted: false"),
        (b'id,ipp,date,code,value\n1,7,2024-01-02 00:00,"5"" x",1.5\n', ""),
    ],
)  # fmt: skip
def test_dialects_and_encodings(tmp_path: Path, content: bytes, options: str) -> None:
    (tmp_path / "labs.csv").write_bytes(content)
    batches = read(tmp_path / "labs.csv", options)
    assert summary(batches) == (1, 0, [1.5])
    assert batches[0].records["line"].to_pylist() == [1 if "columns" in options else 2]


def test_parquet_reads_like_csv(tmp_path: Path) -> None:
    rows = [{"id": n, "ipp": str(n % 5), "date": dt.date(2024, 1, 2), "code": "ab"[n % 2], "value": n / 2} for n in range(50)]
    table = pa.Table.from_pylist(rows)
    pq.write_table(table.set_column(3, "code", table["code"].dictionary_encode()), tmp_path / "labs.parquet")
    pa.csv.write_csv(table, tmp_path / "labs.csv")
    (one,), (other,) = read(tmp_path / "labs.parquet"), read(tmp_path / "labs.csv")
    assert one.facts.equals(other.facts)
    assert (one.patients, one.codes) == (other.patients, other.codes)
    assert one.documents["start_date"].equals(other.documents["start_date"])


def test_instants_come_to_the_clocks_of_the_site(tmp_path: Path) -> None:
    """A zone in the type or in the text counts, also on the two nights when clocks change."""
    moments = [dt.datetime(2024, 7, 1, 22, 30, tzinfo=dt.UTC), dt.datetime(2024, 10, 27, 1, 30, tzinfo=dt.UTC)]
    table = pa.table({"id": [1, 2], "ipp": ["a", "a"], "date": moments, "code": ["x", "x"], "value": [1, 2]})
    pq.write_table(table, tmp_path / "labs.parquet")
    (batch,) = read(tmp_path / "labs.parquet")
    said = list(zip(batch.documents["start_date"].to_pylist(), batch.documents["start_minute"].to_pylist(), strict=True))
    assert said == [(dt.date(2024, 7, 2), 30), (dt.date(2024, 10, 27), 210)]  # 02:30 for the second time
    (tmp_path / "labs.csv").write_text("id,ipp,date,code,value\n1,a,2024-07-01T22:30:00Z,x,1\n2,a,2024-10-27T02:30:00+01:00,x,2\n")
    (batch,) = read(tmp_path / "labs.csv")
    assert list(zip(batch.documents["start_date"].to_pylist(), batch.documents["start_minute"].to_pylist(), strict=True)) == said


def test_groups_are_whole_whatever_the_cuts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of one document lie some rows apart; segments never part them, and replay finds them again."""
    chance = random.Random(4)
    rows = sorted(((n // 4 + chance.randrange(3), n) for n in range(1200)), key=lambda r: r[1])
    lines = [f"{n},p{g % 7},2024-01-02,c{n % 3},{n},g{g}" for g, n in rows]
    (tmp_path / "labs.csv").write_text("\n".join(["id,ipp,date,code,value,g", *lines, ""]))
    whole = read(tmp_path / "labs.csv", document="group: [g]")
    monkeypatch.setattr(tabular_segments, "SEGMENT", 60)
    cut = read(tmp_path / "labs.csv", document="group: [g]")
    assert len(cut) > 10 > len(whole)
    numbers = [n for b in whole for n in b.records["record_no"].to_pylist()]
    contents = [n for b in whole for n in b.records["content"].to_pylist()]
    assert numbers == [n for b in cut for n in b.records["record_no"].to_pylist()]
    assert contents == [n for b in cut for n in b.records["content"].to_pylist()]
    assert len(numbers) == len({(f"g{g}", g % 7) for g, _ in rows})
    wanted = frozenset(numbers[5:300:50])
    again = read(tmp_path / "labs.csv", document="group: [g]", wanted=wanted)
    found = {n: c for b in again for n, c in zip(b.records["record_no"].to_pylist(), b.records["content"].to_pylist(), strict=True)}
    assert found == {n: c for n, c in zip(numbers, contents, strict=True) if n in wanted}


ODD = ["infinity", "-infinity", "epoch", "nan", "1e400", "-1e-400", "294247-01-10 04:00:54.775807", "0001-01-01 (BC)", "0000-00-00",
       "9" * 400, "2024-02-30", "24:00", "2024-01-01T25:00:00Z", "2024-01-01 10:00:00+99:99", "1_000", "0x10", "۱۲", "\u200b7", "NaN", "<", "<<5"]  # fmt: skip


@pytest.mark.parametrize("column", ["date", "value", "ipp", "id", "code", "version", "measure"])
def test_odd_values_are_loaded_or_refused(tmp_path: Path, column: str) -> None:
    """Whatever a cell holds costs its own row at most."""
    text = SIMPLE.replace("OPTIONS", "").replace("DOCUMENT", "key: id").replace("value: value", "value: value, low: low")
    text = text.replace("    patient:", "    version: version\n    patient:").replace("low: low}", "low: low}\n      - {code: {vocabulary: LOCAL/x, code: code}, measure: measure}")
    names = ["id", "ipp", "date", "code", "value", "version", "measure", "low"]
    sound = dict(zip(names, ["1", "7", "2024-01-02", "a", "1.5", "3", "<5", ""], strict=True))
    rows = [sound | {"id": str(n)} | {column: odd} for n, odd in enumerate([*ODD, sound[column]])]
    pa.csv.write_csv(pa.Table.from_pylist(rows), tmp_path / "labs.csv")
    reader = TabularReader(Draft(read_mapping(text, "m.yaml"), []), "csv/labs")
    (batch,) = reader.read(tmp_path / "labs.csv", "labs.csv")
    refused = set(batch.refused["record"].to_pylist())
    assert refused | set(batch.documents["record"].to_pylist()) == set(range(len(rows)))
    assert len(rows) - 1 not in refused
    assert len(refused) >= 10 or column not in ("date", "value")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("labs.csv", b"", "name its columns"),
        ("labs.csv", b"id,ipp\n1,2\n", "no column"),
        ("labs.csv.gz", gzip.compress(b"id,ipp,date,code,value\n" * 9, mtime=0)[:-9], "unpacked"),
        ("labs.csv.gz", b"id,ipp,date,code,value\n", "unpacked"),
        ("labs.csv.gz", gzip.compress(b"id,ipp,date,code,value\n" + b"x" * 3_000_000, mtime=0), "longer than"),
        ("labs.csv", b"x" * 3_000_000, "longer than"),
        ("labs.parquet", b"PAR1 and nothing", "damaged"),
        ("labs.csv", b"\xff\xfe\x00", "encoding"),
        ("../../etc/passwd", b"root:x", "pattern"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, words: str
) -> None:
    monkeypatch.setattr(tabular_inputs, "LONGEST_LINE", 1_000_000)
    (tmp_path / "file").write_bytes(content)
    text = SIMPLE.replace("OPTIONS", "encoding: utf-16" if words == "encoding" else "").replace("DOCUMENT", "key: id")
    reader = TabularReader(Draft(read_mapping(text, "m.yaml"), []), "csv/labs")
    with pytest.raises(InputRefused, match=words):
        list(reader.read(tmp_path / "file", name))


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_no_damage_of_a_file_brings_the_reading_down(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Every record is loaded or refused, or the file is refused as a whole."""
    folder = tmp_path_factory.mktemp("damaged")
    clean = b"id,ipp,date,code,value\n" + b"".join(b'%d,7,2024-01-%02d,"a,%d",1.5\n' % (n, 1 + n % 28, n) for n in range(12))
    raw = bytearray(clean)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    (folder / "labs.csv").write_bytes(bytes(raw))
    for document in ("key: id", "group: [code]"):
        try:
            batches = read(folder / "labs.csv", document=document)
        except InputRefused:
            continue
        for batch in batches:
            refused = set(batch.refused["record"].to_pylist())
            assert refused | set(batch.documents["record"].to_pylist()) == set(range(len(batch.records)))


def test_no_damage_of_a_parquet_file_brings_the_reading_down(tmp_path: Path) -> None:
    pq.write_table(pa.table({n: ["1", "2"] for n in ("id", "ipp", "date", "code", "value")}), tmp_path / "sound.parquet")
    sound, chance = (tmp_path / "sound.parquet").read_bytes(), random.Random(2)
    refused = 0
    for _ in range(25):
        raw = bytearray(sound)
        for _ in range(chance.randint(1, 5)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        (tmp_path / "labs.parquet").write_bytes(bytes(raw))
        try:
            read(tmp_path / "labs.parquet")
        except InputRefused:
            refused += 1
    assert refused > 5
