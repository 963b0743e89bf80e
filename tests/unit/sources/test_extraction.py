"""Text of documents: layout, what is left out, and what is refused."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import io
import os
import random
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from tests.unit.sources import papers

from estran.sources.extraction import DOCX, HTML, ODT, RTF, Extracted, Unreadable, extract, pdf
from estran.sources.extraction.layout import Page, Word, compose

HEADER, FOOTER = "CHU de Bretagne - Cardiologie", "Document confidentiel"
TABLE = "\n".join("\t".join(row) for row in papers.RESULTS)


def why(data: bytes, media_type: str = "") -> str:
    with pytest.raises(Unreadable) as refused:
        extract(data, media_type)
    assert refused.value.reason.endswith(".")
    return refused.value.reason


def squeezed(text: str) -> str:
    return " ".join(text.split())


# PDF


@pytest.mark.parametrize("offset", [0.0, 1.7])
def test_columns_are_read_one_after_the_other(offset: float) -> None:
    text = squeezed(extract(papers.two_columns(offset)).text)
    left, right = papers.latin(papers.LEFT), papers.latin(papers.RIGHT)
    assert text.startswith("Compte rendu d'hospitalisation") and f"{left} {right}" in text
    assert text.endswith("compensée, contrôle dans un mois.")


def test_a_margin_column_is_set_apart_from_the_letter() -> None:
    text = extract(papers.hospital_letter()).text
    staff, letter = text.split("Rennes, le 3 avril 2021")
    assert staff.startswith("CENTRE HOSPITALIER") and staff.rstrip().endswith("Mme F. GIRARD") and "\t" not in text
    assert squeezed(letter).startswith(papers.latin(papers.LEFT)) and "GIRARD" not in letter


def test_a_running_header_is_given_once_and_page_numbers_never() -> None:
    found = extract(papers.long_letter(3))
    assert found.pages == 3 and found.text.count("\f") == 2
    assert found.header == ("CHU de Bretagne - Cardiologie - M. LE GALL Yann",) and found.footer == (FOOTER,)
    assert found.text.count("LE GALL") == 1 and found.text.startswith("CHU de Bretagne")
    assert found.text.count(FOOTER) == 1 and found.text.endswith(FOOTER) and "Page" not in found.text
    assert all(f"Contenu propre de la page {n}." in found.text for n in ("une", "deux", "trois"))


def test_one_page_keeps_its_letterhead() -> None:
    text = extract(papers.long_letter(1)).text
    assert "LE GALL" in text and "Page 1/1" in text  # part of the footer's sentence, which did not come back


def test_table_rows_stay_together() -> None:
    assert TABLE in extract(papers.results_table()).text.replace("\n\n", "\n")


def test_a_scan_is_refused_with_what_to_do() -> None:
    assert why(papers.scan()).startswith("The PDF holds images only: ")
    found = extract(papers.scan(text_page=True))
    assert found.warnings == ("1 of 2 pages hold images only.",)
    assert found.text == "Une page de texte.\n\f[page scannée, sans texte / scanned page, no text]"


def test_locked_damaged_and_empty_pdfs() -> None:
    assert why(papers.locked()) == "The document is locked by a password."
    assert why(b"%PDF-1.7\nrubbish") == "The PDF is damaged: it cannot be read."
    assert why(papers.pdf(lambda _: None)) == "The document holds no text."
    assert why(b"") == why(b"\0\0 ") == "The document is empty."


def test_the_date_of_last_change() -> None:
    assert extract(papers.plain_pdf("a b")).modified == dt.datetime(2024, 1, 4, 16, 5, tzinfo=dt.UTC)


def test_a_child_that_dies_or_sleeps_costs_its_document_only(monkeypatch: pytest.MonkeyPatch) -> None:
    data = papers.plain_pdf("Bonjour.")
    assert extract(data).text == "Bonjour."
    process = pdf._child._process
    assert process is not None
    process.kill()
    process.wait()
    assert extract(data).text == "Bonjour."
    monkeypatch.setattr(pdf, "SECONDS", -1.0)
    assert why(data) == "The PDF takes too long to be read."
    monkeypatch.undo()
    assert extract(data).text == "Bonjour." and pdf._child._owner == os.getpid()


@pytest.mark.parametrize("name", ["IMG_CR_IMG_2024.01_CDA-R2-Niveau-1.xml", "BIO-CR-BIO_2024.01_Microbiologie_V2.xml"])
def test_real_pdfs(shared: Path, name: str) -> None:
    root = etree.parse(str(shared / "cda_ans" / name)).getroot()
    (b64,) = root.xpath("//*[@representation='B64'][@mediaType='application/pdf']/text()")
    found = extract(base64.b64decode(b64))
    if name.startswith("IMG"):
        assert found.pages == 1 and "Résultats :\n" in found.text and "CENTRE D’IMAGERIE SÉGUR" in found.text
    else:
        assert found.pages == 3 and len(found.header) == 4
        assert "\nMicroscopie\tRésultat\nLeucocytes\t500 /mL\nErythrocytes\t200 /mL\n" in found.text
        assert "\nAntibiogramme (CMI)\tAmoxicilline\t>=0,512 (µg/ml)\tR\nAmpicilline\t<0,128 (µg/ml)\tI\n" in found.text


def line(y: float, *pieces: tuple[float, str]) -> list[Word]:
    return [Word(x, y, x + 5 * len(text), y + 10, text) for x, text in pieces]


def test_words_cut_at_the_end_of_a_line() -> None:
    words = [*line(700, (50, "une"), (75, "hospi\u00ad")), *line(687, (50, "talisation"), (105, "courte,")),
             *line(674, (50, "peut\u00ad")), *line(661, (50, "être"), (75, "le")), *line(648, (50, "Loire\u00ad")),
             *line(635, (50, "Atlantique"))]  # fmt: skip
    (text,) = compose([Page(words, 600, 800)]).pages
    assert squeezed(text) == "une hospitalisation courte, peut-être le Loire-Atlantique"


def test_a_label_and_its_long_value_stay_on_one_row() -> None:
    rows = [line(700 - 13 * n, (50, f"Rubrique {n}"), (250, f"une valeur assez longue numéro {n}")) for n in range(8)]
    (text,) = compose([Page([w for row in rows for w in row], 600, 800)]).pages
    assert text.split("\n")[3] == "Rubrique 3\tune valeur assez longue numéro 3"


# DOCX, ODT, RTF, HTML, text


def check_letter(found: Extracted) -> None:
    assert found.header == (HEADER,) and found.footer == (FOOTER,) and found.pages == 2
    assert found.text.startswith(HEADER + "\nCompte rendu de consultation\n") and found.text.endswith("Suite au verso.\n" + FOOTER)
    assert "\n\fSuite" in found.text.replace("\f\n", "\f")


def test_docx() -> None:
    found = extract(papers.word_letter())
    check_letter(found)
    assert "Patient vu ce jour pour palpitations.\tECG normal.\nPas de syncope\n" in found.text and TABLE in found.text
    assert "Caché" not in found.text and (found.title, found.modified) == (
        "Consultation", dt.datetime(2024, 3, 2, 9, 30, tzinfo=dt.UTC),
    )  # fmt: skip


def test_docx_leaves_out_deleted_text_and_keeps_text_boxes_once() -> None:
    w = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    box = "<w:txbxContent><w:p><w:r><w:t>encadré</w:t></w:r></w:p></w:txbxContent>"
    body = (
        "<w:p><w:r><w:t>a</w:t></w:r><w:del><w:r><w:delText>x</w:delText></w:r></w:del><w:ins><w:r><w:t>b</w:t></w:r></w:ins></w:p>"
        f"<w:p><w:r><mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r></w:p>"
        "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>1</w:t></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>2</w:t></w:r></w:p></w:tc><w:tc/></w:tr></w:tbl>"
        "</w:tc><w:tc><w:p><w:r><w:t>3</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
    )
    text = extract(zipped({"word/document.xml": f"<w:document {w}><w:body>{body}</w:body></w:document>"})).text
    assert text == "ab\nencadré\n\n1 2\t3"


def test_odt() -> None:
    found = extract(papers.writer_letter())
    check_letter(found)
    assert "Patient vu ce jour pour palpitations.\tECG normal.\n- Pas de syncope\n" in found.text and TABLE in found.text


def test_rtf() -> None:
    found = extract(papers.RTF)
    check_letter(found)
    assert "Patient âgé de 65 ans, œdème discret {bilatéral}.\nECG normal—sinusal.\nDvořák\nLien\n" in found.text
    assert "Analyse\tRésultat\tUnité\nCréatinine\t98\tµmol/L\nFin du tableau. 😀\n" in found.text
    assert not any(word in found.text for word in ("Secret", "invisible", "HYPERLINK", "xyz", "Arial", "8950"))
    assert found.modified == dt.datetime(2024, 3, 2, 9, 30)


def test_html() -> None:
    found = extract(papers.HTML)
    assert found.text == (
        "Compte rendu\nPatient vu ce jour\npour palpitations.\n- Pas de syncope\nAnalyse\tRésultat\nCréatinine\t98\n\fSuite."
    )
    assert found.pages == 2 and found.title == "Consultation"
    assert "caché" not in found.text and "alert" not in found.text


def test_text() -> None:
    assert extract("déjà\r\nvu".encode("cp1252"), "text/plain").text == "déjà\nvu"
    assert extract("déjà".encode("utf-16"), "text/plain").text == "déjà"
    assert extract("д".encode("koi8-r"), "text/plain; charset=koi8-r").text == "д"
    assert extract(b"ok", "text/plain; charset=zlib_codec").text == "ok"


# Refusals


def zipped(parts: dict[str, str | bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        for name, content in parts.items():
            package.writestr(name, content)
    return out.getvalue()


def test_bombs_are_refused_before_they_grow() -> None:
    bomb = zipped({"word/document.xml": b" " * (101 << 20)})
    assert len(bomb) < 1_000_000 and "unpack to more" in why(bomb)
    lying = bomb.replace((101 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert why(lying)
    laughs = '<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'
    assert "document type" in why(zipped({"word/document.xml": laughs}))
    deep = zipped({"word/document.xml": "<a>" * 100_000})
    assert "not well formed" in why(deep)
    repeated = "<table:table-row table:number-rows-repeated='1000000000'><table:table-cell/></table:table-row>"
    space = "urn:oasis:names:tc:opendocument:xmlns:"
    flat = f"<office:document xmlns:office='{space}office:1.0' xmlns:table='{space}table:1.0' xmlns:text='{space}text:1.0'><office:body><office:text>{repeated}<text:p>a<text:s text:c='2000000000'/>b</text:p></office:text></office:body></office:document>"
    assert extract(flat.encode(), ODT).text == "a b"


def test_locked_and_old_office_files() -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504
    assert why(ole + "EncryptedPackage".encode("utf-16-le")) == "The document is locked by a password."
    assert "Word format of before 2007" in why(ole)
    locked = zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "<a/>", "META-INF/manifest.xml": "<m><encryption-data/></m>"})
    assert why(locked, ODT) == "The document is locked by a password."


def test_strangers() -> None:
    assert "no format that can be read" in why(b"\x89PNG\r\n\x1a\n", "image/png")
    assert why(b"hello", "application/pdf") == "The document is not of the format that it is said to be."
    assert why(zipped({"xl/workbook.xml": "<a/>"})) == "The package is neither a DOCX nor an ODT document."
    assert why(b"PK\x03\x04 cut short", DOCX) == "The package is damaged: it cannot be unpacked."
    assert why(b"{\\rtf1" + b"{" * 2000, RTF) == "The RTF is nested too deep."
    assert why(b"<html><body> </body></html>", HTML) == "The document holds no text."


SAMPLES = {
    "pdf": papers.long_letter(2), "docx": papers.word_letter(), "odt": papers.writer_letter(), "rtf": papers.RTF,
    "html": papers.HTML, "txt": "Bonjour é".encode(),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(SAMPLES))
def test_damaged_documents_never_do_more_than_be_refused(kind: str) -> None:
    luck, sample = random.Random(kind), SAMPLES[kind]
    for _ in range(60):
        data = bytearray(sample)
        for _ in range(luck.choice((1, 3, 30))):
            data[luck.randrange(len(data))] = luck.randrange(256)
        cut = luck.randrange(len(data)) if luck.random() < 0.4 else len(data)
        try:
            assert extract(bytes(data[:cut]), "text/plain").text.strip()
        except Unreadable as refused:
            assert refused.reason.endswith(".")


PIECES = st.sampled_from(
    [b"{", b"}", b"\\", b"\\u-1?", b"\\'e9", b"\\bin9999", b"\\cell ", b"\\row", b"\\trowd", b"\\*", b"\\header ", b"\\uc-5 ",
     b"\\f1", b"\\fonttbl", b"\\page ", b"\\par\n", b"\\u55357 ", b"\\v", b"text ", b"\\nestcell", b"\xff"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_rtf(pieces: list[bytes]) -> None:
    with contextlib.suppress(Unreadable):
        extract(b"{\\rtf1 x" + b"".join(pieces))


TAGS = st.sampled_from(["<table>", "<tr>", "<td>", "</td>", "</tr>", "</table>", "<p>", "<li>", "<br>", "a", "&#0;", "<pre>", "</p>", "<script>", "<x y=", "<div hidden>"])


@given(st.lists(TAGS, max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_html(pieces: list[str]) -> None:
    with contextlib.suppress(Unreadable):
        extract(("<html>" + "".join(pieces)).encode())


numbers = st.floats(0, 1000)


@given(st.lists(st.lists(st.builds(Word, numbers, numbers, numbers, numbers, st.sampled_from(["a", "b\u00ad", "Page 1/2", "12"])), max_size=30), max_size=4))
@settings(max_examples=100, deadline=None)
def test_any_layout(pages: list[list[Word]]) -> None:
    found = compose([Page(words, 600.0, 800.0) for words in pages])
    assert len(found.pages) == len(pages)
