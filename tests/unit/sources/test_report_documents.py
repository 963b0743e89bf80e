"""Reports as files: named after their patient, or listed in an index; what waits, and what is refused."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import random
from pathlib import Path

import pytest
from tests.spec import site_kit as kit
from tests.unit.sources import papers

from estran.model.errors import InputRefused, UsageError
from estran.sources.packed import PackWriter, entries, is_pack
from estran.sources.records import Batch
from estran.sources.report import ReportReader, naming, reader

NAME = "8012345_V77_20210403_CRH.pdf"
PATIENT = {"ipp": "8012345", "family_name": "LE GALL", "given_name": "Yann", "birth_date": "1950-02-14", "sex": "M", "id": "intro", "text": "Entrée."}


def read(path: Path, name: str = "", **how: str) -> Batch:
    """As the pipeline does: what is condensed is read from its pack."""
    report = ReportReader(author_system="SITE", **how)  # type: ignore[arg-type]
    if report.condenses(path):
        out = io.BytesIO()
        report.condense(path, out)
        pack = path.with_name(path.name + ".pack")
        pack.write_bytes(out.getvalue())
        (batch,) = report.read(pack, str(path))
        pack.unlink()
        return batch
    (batch,) = report.read(path, name or path.name)
    return batch


def folder(path: Path, **files: bytes) -> Path:
    path.mkdir(exist_ok=True)
    for name, data in files.items():
        (path / ".".join(name.rsplit("__", 1))).write_bytes(data)
    return path


# Names


def test_what_a_name_says() -> None:
    assert naming.named(NAME) == {"ipp": "8012345", "nda": "V77", "date": "2021-04-03", "kind": "CRH", "id": NAME[:-4]}
    assert naming.named("a/b/8012345__202104031530_courrier_CR12.docx") == {
        "ipp": "8012345", "date": "2021-04-03T15:30", "kind": "courrier", "id": "CR12",
    }  # fmt: skip
    assert naming.named("letter.pdf") is None and naming.named("_V_20200101_CRH.pdf") is None
    assert naming.named("CRH-8012345-3.pdf", "{kind}-{ipp}-{version}") == {
        "kind": "CRH", "ipp": "8012345", "version": "3", "id": "CRH-8012345-3",
    }  # fmt: skip
    assert naming.named("scan 001 8012345.pdf", "{*} {ipp}") == {"ipp": "8012345", "id": "scan 001 8012345"}


@pytest.mark.parametrize("pattern", ["{ipp", "{kind}", "{ipp}_{ipp}", "{ipp}_{birth}", "[{ipp}", ""])
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(UsageError):
        naming.named(NAME, pattern)


def test_a_document_named_after_its_patient(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(papers.long_letter(2))
    batch = read(path)
    (row,) = batch.documents.to_pylist()
    assert batch.patients == [("SITE", "8012345")] and batch.stays == [(0, "SITE", "V77")]
    assert not batch.identities[0].introduces
    assert (row["kind"], row["start_date"], row["key"]) == ("discharge", dt.date(2021, 4, 3), NAME[:-4])
    assert row["text"].startswith("CHU de Bretagne - Cardiologie - M. LE GALL Yann\n")
    made = dt.datetime(2024, 1, 4, 16, 5, tzinfo=dt.UTC)
    assert batch.records["event_time"].to_pylist() == [made.timestamp() * 1e6]  # orders the versions
    (medium,) = batch.media.to_pylist()
    assert medium["modality"] == "application/pdf" and medium["shape"].endswith(" bytes, 2 pages")
    assert medium["uri"] == "landing:record=0" and len(medium["checksum"]) == 64


@pytest.mark.parametrize(
    ("ending", "data"),
    [("docx", papers.word_letter()), ("odt", papers.writer_letter()), ("rtf", papers.RTF), ("html", papers.HTML)],
)
def test_every_format(tmp_path: Path, ending: str, data: bytes) -> None:
    path = tmp_path / f"1_V_20210403_courrier.{ending}"
    path.write_bytes(data)
    (row,) = read(path).documents.to_pylist()
    assert row["kind"] == "letter" and "Patient" in row["text"]


def test_a_text_file_is_named_or_has_a_header(tmp_path: Path) -> None:
    named, headed = tmp_path / "1_V_20210403_CRO.txt", tmp_path / "2_V_20210403_CRO.txt"
    named.write_text("Compte rendu\n\nIntervention sans incident.", "utf-8")
    headed.write_text("ipp: 9\nid: X\n\nTexte.", "utf-8")
    assert read(named).documents["text"].to_pylist() == ["Compte rendu\n\nIntervention sans incident."]
    assert read(headed).patients == [("SITE", "9")]


def test_a_line_may_carry_its_document(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    line = {"ipp": "1", "id": "A", "kind": "CRC", "media_type": "application/rtf", "data": base64.b64encode(papers.RTF).decode()}
    path.write_text(json.dumps(line) + "\n" + json.dumps({**line, "id": "B", "data": "%%"}), "utf-8")
    batch = read(path)
    assert "Patient âgé" in batch.documents["text"][0].as_py()
    assert [(r.record, r.field, r.reason) for r in batch.refusals] == [(1, "data", "The data is not valid Base64.")]


# Indexes

INDEX = """file;ipp;nda;date;kind;title;ipp_system
a.pdf;8012345;V77;03/04/2021;CRH;Cardiologie;CHU
sub/b.docx;8012345;;2021-04-05;courrier;;CHU
missing.pdf;1;;;CRH;;
../secret.pdf;1;;;CRH;;
/etc/passwd;1;;;CRH;;
;1;;;CRH;;
scan.pdf;1;;;CRH;;
c.xls;1;;;CRH;;
"""


def index_folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.pdf").write_bytes(papers.plain_pdf("secret"))
    here = folder(tmp_path / "in", a__pdf=papers.plain_pdf("Compte rendu cardiologique."), scan__pdf=papers.scan(), c__xls=b"\x09\x08xls")
    folder(here / "sub", b__docx=papers.word_letter())
    (here / "index.csv").write_text(INDEX, "utf-8-sig")
    (here / "link.pdf").symlink_to(tmp_path / "secret.pdf")
    return here


def test_an_index_says_whose_documents_are(tmp_path: Path) -> None:
    here = index_folder(tmp_path)
    with (here / "index.csv").open("a") as out:
        out.write("link.pdf;1;;;CRH;;\n")
    assert [p.name for p in ReportReader().files([here])] == ["index.csv", "link.pdf"]
    batch = read(here / "index.csv")
    assert batch.records["line"].to_pylist() == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    first, second = batch.documents.to_pylist()
    assert (first["key"], first["title"], first["kind"], first["start_date"]) == ("a", "Cardiologie", "discharge", dt.date(2021, 4, 3))
    assert (second["key"], second["title"], second["kind"]) == ("b", "Consultation", "letter")
    assert batch.patients == [("CHU", "8012345")] and [m["uri"] for m in batch.media.to_pylist()] == ["landing:record=0", "landing:record=1"]
    assert [(r.record, r.code, r.reason) for r in batch.refusals] == [
        (2, "missing", "The file that the index names is not there."),
        (3, "malformed", "The index names a file outside its own folder."),
        (4, "malformed", "The index names a file outside its own folder."),
        (5, "missing", "The line of the index names no file."),
        (6, "missing", "The PDF holds images only: recognise its characters with an OCR program, then load the PDF that it makes."),
        (7, "unknown-type", "The document is of no format that can be read: PDF, DOCX, ODT, RTF, HTML, text."),
        (8, "malformed", "The index names a file outside its own folder."),
    ]  # fmt: skip


def test_an_index_of_json_lines(tmp_path: Path) -> None:
    here = folder(tmp_path / "in", a__txt=b"ipp: not a header")
    lines = [json.dumps({"file": "a.txt", "ipp": 8, "id": "X", "codes": [{"vocabulary": "CIM10", "code": "I10"}]}), "[]", "{", "x" * 300_000]
    (here / "index.jsonl").write_text("\n".join(lines), "utf-8")
    batch = read(here / "index.jsonl")
    assert batch.documents["text"].to_pylist() == ["ipp: not a header"] and len(batch.facts) == 1
    assert [r.code for r in batch.refusals] == ["malformed"] * 3


def test_indexes_that_are_none(tmp_path: Path) -> None:
    for text in ("", "a;b\n1;2\n"):
        (tmp_path / "index.csv").write_text(text)
        with pytest.raises(InputRefused):
            read(tmp_path / "index.csv")
        assert ReportReader().files([tmp_path]) == [tmp_path / "index.csv"]


def test_the_same_folder_makes_the_same_pack(tmp_path: Path) -> None:
    here, packs = index_folder(tmp_path), []
    for _ in range(2):
        out = io.BytesIO()
        ReportReader().condense(here / "index.csv", out)
        packs.append(out.getvalue())
    assert packs[0] == packs[1] and str(tmp_path).encode() not in packs[0]


# The whole way


def test_documents_wait_for_their_patient_and_come_back(tmp_path: Path) -> None:
    site = kit.make(tmp_path / "site", author_system="CHU")
    here = index_folder(tmp_path)
    (here / "link.pdf").unlink()
    blank = papers.plain_pdf("Consentement signé.")  # the same bytes for two patients: the name tells them apart
    for ipp in ("8012345", "999"):
        (here / f"{ipp}_V77_20210403_autre.pdf").write_bytes(blank)
        (here / f"{ipp}_V77_20210403_CRH.pdf").write_bytes(blank)
    (here / "letter.pdf").write_bytes(blank)
    report = kit.load(site, "report", here)
    assert (report.total("read"), report.total("loaded"), report.total("quarantined")) == (13, 0, 13)
    assert sorted(report.reasons.values()) == [1, 1, 1, 1, 1, 2, 2, 4]
    unknown = sum(count for reason, count in report.reasons.items() if "no-patient" in reason and "name" not in reason)
    assert unknown == 4 and sum("unknown-type" in reason for reason in report.reasons) == 2
    for path in here.rglob("*"):  # replay needs nothing but the landing
        path.unlink() if path.is_file() else None
    told = kit.load(site, "report", kit.write_lines(tmp_path / "p.jsonl", [PATIENT]))
    assert (told.total("loaded"), told.replayed) == (1, 3)
    titles = kit.rows(site, "select kind, text from document join text using (document_id) order by 1, 2")
    assert [kind for kind, _ in titles] == ["discharge", "discharge", "letter", "other"]
    assert kit.texts(site, "cardiologique") and kit.value(site, "select count(*) from media") == 3
    assert kit.value(site, "select count(*) from raw_quarantine") == 10 and kit.findings(site) == []


def test_a_corrected_document_replaces_the_first(tmp_path: Path) -> None:
    late = papers.plain_pdf("Version corrigée.", made=dt.datetime(2024, 2, 1, tzinfo=dt.UTC))
    early = papers.plain_pdf("Version première.", made=dt.datetime(2024, 1, 1, tzinfo=dt.UTC))
    intro = kit.write_lines(tmp_path / "p.jsonl", [PATIENT])
    for number, order in enumerate(([early, late], [late, early])):
        site = kit.make(tmp_path / f"site{number}", author_system="CHU")
        paths = [folder(tmp_path / f"{number}{place}", **{NAME.replace(".", "__"): data}) / NAME for place, data in enumerate(order)]
        kit.load(site, "report", intro, *paths)
        assert len(kit.texts(site, "corrigée")) == 1 and kit.texts(site, "première") == set()


# Bounds and damage


def test_long_lines_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_LONGEST_LINE", 1000)
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"ipp":"1","id":"a","text":"x"}\n' + b"y" * 5000 + b"\n\n" + b'{"ipp":"1","id":"b","text":"x"}\n')
    batch = read(path)
    assert batch.records["line"].to_pylist() == [1, 2, 4] and batch.documents["key"].to_pylist() == ["a", "b"]
    assert [(r.record, r.reason) for r in batch.refusals] == [(1, "The record is longer than a record may be.")]


def test_large_documents_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / NAME
    with path.open("wb") as out:
        out.truncate(300 << 20)  # sparse: takes no place on the disk
    batch = read(path)
    assert [r.reason for r in batch.refusals] == ["The document is larger than 200 MB."]


def test_batches_of_long_texts_end_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_BATCH_CHARACTERS", 100)
    path = tmp_path / "r.jsonl"
    path.write_text("".join(json.dumps({"ipp": "1", "id": str(n), "text": "x" * 60}) + "\n" for n in range(5)))
    assert [len(b.records) for b in ReportReader().read(path, path.name)] == [2, 2, 1]


def test_a_document_may_come_without_a_pack(tmp_path: Path) -> None:
    path = tmp_path / "anything"
    path.write_bytes(papers.plain_pdf("Bonjour."))
    (batch,) = ReportReader(author_system="SITE").read(path, NAME)
    assert batch.documents["text"].to_pylist() == ["Bonjour."]
    with pytest.raises(InputRefused):
        list(ReportReader().read(path, "anything.xls"))


def test_damaged_packs(tmp_path: Path) -> None:
    out, luck = io.BytesIO(), random.Random(7)
    writer = PackWriter(out)
    for number in range(3):
        writer.add({"line": number, "name": NAME}, papers.RTF)
    whole, path = out.getvalue(), tmp_path / "p"
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(luck.choice((1, 5))):
            data[luck.randrange(14, len(data))] = luck.randrange(256)
        path.write_bytes(bytes(data[: luck.randrange(15, len(data))]))
        assert is_pack(path)
        try:
            for batch in ReportReader().read(path, NAME):
                assert len(batch.records) >= len(batch.documents)
        except InputRefused:
            pass
    path.write_bytes(whole)
    assert len(list(entries(path))) == 3
