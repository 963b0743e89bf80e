"""Reports in JSON Lines and in text files with a header."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from pathlib import Path

import pytest

from estran.model.codes import DocumentStatus, Precision
from estran.model.errors import InputRefused
from estran.sources.records import Batch, Code
from estran.sources.report import ReportReader

CASES = Path(__file__).resolve().parents[3] / "src" / "estran" / "samples" / "e3c_fr" / "cases.jsonl.gz"
FULL = {
    "ipp": "8012345", "ipp_system": "CHU", "birth_name": "LE GALL", "family_name": "MARTIN", "given_name": ["Anne", "Marie"],
    "birth_date": "1950-02-14", "sex": "F", "nda": "V77", "id": "CR1", "kind": "CRH", "title": "CRH cardiologie",
    "date": "2023-03-26T03:30", "updated": "2023-03-27T10:00:00+02:00", "unit": {"code": "2305", "label": "Cardiologie"},
    "author_role": "médecin", "lang": "fr", "text": "Insuffisance cardiaque décompensée.",
    "codes": [
        {"vocabulary": "CIM10", "code": "I50.1", "label": "Insuffisance ventriculaire gauche", "kind": "diagnosis"},
        {"vocabulary": "labo", "code": "BNP", "value": 850, "unit": "ng/l", "date": "2023-03-25"},
        {"vocabulary": "LN", "code": "8884-9", "value": "sinusal"},
    ],
}  # fmt: skip


def read(tmp_path: Path, *lines: dict | str | bytes, name: str = "r.jsonl", wanted: frozenset[int] | None = None) -> Batch:
    raw = b"\n".join(x if isinstance(x, bytes) else (x if isinstance(x, str) else json.dumps(x)).encode() for x in lines)
    path = tmp_path / name
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    (batch,) = ReportReader(author_system="SITE").read(path, name, wanted)
    return batch


def test_a_full_report(tmp_path: Path) -> None:
    batch = read(tmp_path, FULL)
    assert batch.refusals == []
    (row,) = batch.documents.to_pylist()
    assert (row["key"], row["kind"], row["title"], row["author_role"]) == ("CR1", "discharge", "CRH cardiologie", "médecin")
    assert (row["start_date"], row["start_minute"], row["precision"]) == (dt.date(2023, 3, 26), 150, Precision.MINUTE)
    assert batch.patients == [("CHU", "8012345")] and batch.stays == [(0, "CHU", "V77")]
    assert batch.units == [("2305", "Cardiologie", "UF")]
    when = dt.datetime(2023, 3, 27, 8, 0, tzinfo=dt.UTC).timestamp() * 1e6
    assert batch.records["event_time"].to_pylist() == [when]
    (statement,) = batch.identities
    assert statement.introduces and statement.person.family_names == ("LE GALL", "MARTIN")
    assert statement.person.given_names == ("Anne", "Marie") and statement.person.sex == "female"
    assert statement.person.birth_date == dt.date(1950, 2, 14) and statement.person.birth_precision == Precision.DAY
    assert batch.codes == [
        Code("CIM10", "I50.1", "Insuffisance ventriculaire gauche", kind="diagnosis"), Code("LOCAL/labo", "BNP"),
        Code("LOINC", "8884-9"),
    ]  # fmt: skip
    facts = batch.facts.select(["value", "unit", "value_text", "start_date"]).to_pylist()
    assert facts[1] == {"value": 850.0, "unit": "ng/L", "value_text": None, "start_date": dt.date(2023, 3, 25)}
    assert (facts[2]["value_text"], facts[2]["start_date"]) == ("sinusal", dt.date(2023, 3, 26))


def test_a_number_alone_introduces_nobody(tmp_path: Path) -> None:
    batch = read(tmp_path, {"ipp": 12, "id": "1", "text": "bonjour", "date": "14/02/2020", "version": 3, "status": "cancelled"})
    (statement,) = batch.identities
    assert not statement.introduces and batch.patients == [("SITE", "12")]
    (row,) = batch.documents.to_pylist()
    assert (row["start_date"], row["precision"], row["status"]) == (dt.date(2020, 2, 14), 2, DocumentStatus.CANCELLED)
    assert batch.records["event_time"].to_pylist() == [3] and row["kind"] == "other"


def test_every_published_case_is_a_patient_of_its_own() -> None:
    (batch,) = ReportReader().read(CASES, CASES.name)
    assert len(batch.records) == len(batch.documents) == len(batch.patients) == 1436 and batch.refusals == []
    assert batch.patients[0][0] == "case" and batch.patients[0][1].endswith("#EN101008") and all(i.introduces for i in batch.identities)
    row = batch.documents.slice(0, 1).to_pylist()[0]
    assert (row["kind"], row["lang"], row["start_date"], row["precision"]) == ("case", "fr", None, 0)
    assert row["title"] == (
        "The Pan African Medical Journal — https://www.panafrican-med-journal.com/content/article/4/12/full/ — CC BY 4.0"
    )
    assert row["text"].startswith("Cas n° 1 Un cycliste âgé de 17 ans")


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"id": ""}, "id", "missing"), ({"ipp": None}, "ipp", "no-patient"), ({"date": "26/13/2023"}, "date", "malformed"),
        ({"date": "hier"}, "date", "malformed"), ({"birth_date": "1950-02-30"}, "birth_date", "malformed"),
        ({"sex": "X?"}, "sex", "malformed"), ({"kind": "poème"}, "kind", "unknown-type"),
        ({"text": 12}, "text", "malformed"), ({"text": " ", "codes": []}, "text", "missing"),
        ({"version": "deux", "updated": None}, "version", "malformed"), ({"updated": "2023-99"}, "updated", "malformed"),
        ({"codes": "I50"}, "codes", "malformed"), ({"codes": [{"code": ""}]}, "codes[0].code", "missing"),
        ({"codes": [{"code": "1", "date": "x"}]}, "codes[0].date", "malformed"), ({"nda": ["V"]}, "nda", "malformed"),
        ({"given_name": [1]}, "given_name", "malformed"), ({"status": "perdu"}, "status", "malformed"),
        ({"unit": {"code": {}}}, "unit.code", "malformed"), ({"date": "0001-01-01"}, "date", "malformed"),
    ],
)  # fmt: skip
def test_a_bad_field_refuses_its_line_only(tmp_path: Path, change: dict, field: str, code: str) -> None:
    batch = read(tmp_path, FULL, FULL | change, FULL | {"id": "CR3"})
    (refusal,) = batch.refusals
    assert (refusal.record, refusal.field, refusal.code) == (1, field, code)
    assert len(batch.documents) == 2 and len(batch.records) == 3 and batch.records["line"].to_pylist() == [1, 2, 3]
    assert "MARTIN" not in refusal.reason and len(batch.identities) == 2


@pytest.mark.parametrize("line", [b"{", b"[1]", b"null", b'"x"', b"\xff\xfe{", b"{}\x00", b'{"id": NaN}'])
def test_lines_that_are_no_object(tmp_path: Path, line: bytes) -> None:
    batch = read(tmp_path, FULL, line, b"", FULL | {"id": "2"})
    assert [r.record for r in batch.refusals] == [1] and len(batch.documents) == 2
    assert batch.records["line"].to_pylist() == [1, 2, 4]


def test_latin_1_lines(tmp_path: Path) -> None:
    line = json.dumps(FULL, ensure_ascii=False).encode("latin-1")
    assert read(tmp_path, line).documents["author_role"].to_pylist() == ["médecin"]


TEXT = "ipp: 123\nnda: V9\ndate: 03/04/2021\nkind: lettre\nnom: DURAND\nprenom: Léo\n\nCher confrère,\n\nBien à vous."


@pytest.mark.parametrize("name", ["lettre_7.txt", "lettre_7.txt.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig"])
def test_a_text_file_with_a_header(tmp_path: Path, name: str, encoding: str) -> None:
    batch = read(tmp_path, TEXT.replace("\n", "\r\n").encode(encoding), name=name)
    (row,) = batch.documents.to_pylist()
    assert (row["key"], row["kind"], row["start_date"]) == ("lettre_7", "letter", dt.date(2021, 4, 3))
    assert row["text"] == "Cher confrère,\n\nBien à vous."
    assert batch.identities[0].person.given_names == ("Léo",) and batch.patients == [("SITE", "123")]


@pytest.mark.parametrize(
    ("text", "field"),
    [("Cher confrère,\n\nBien à vous.", "header"), ("date: 2020-01-01\n\nx", "ipp"), ("ipp: 1\n\n", "text"), ("ipp: 1", "text")],
)
def test_a_text_file_without_its_header(tmp_path: Path, text: str, field: str) -> None:
    batch = read(tmp_path, text, name="a.txt")
    assert [r.field for r in batch.refusals] == [field] and len(batch.documents) == 0


def test_files_replays_and_unreadable_ones(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.txt", "c.jsonl.gz", ".hidden.txt", "notes.md"):
        (tmp_path / name).write_bytes(b"")
    reader = ReportReader()
    assert [p.name for p in reader.files([tmp_path])] == ["a.txt", "b.jsonl", "c.jsonl.gz"]
    assert reader.size(tmp_path / "b.jsonl") == 0 and list(reader.read(tmp_path / "b.jsonl", "b.jsonl")) == []
    replay = read(tmp_path, FULL, FULL | {"id": "2"}, name="r.jsonl", wanted=frozenset({1}))
    assert replay.documents["key"].to_pylist() == ["2"] and replay.records["record_no"].to_pylist() == [1]
    (tmp_path / "bad.jsonl.gz").write_bytes(gzip.compress(b'{"id": 1}\n' * 1000)[:-20])
    for path in (tmp_path / "bad.jsonl.gz", tmp_path / "notes.md"):
        with pytest.raises(InputRefused):
            list(reader.read(path, path.name))
    with pytest.raises(InputRefused):
        reader.files([tmp_path / "absent"])
