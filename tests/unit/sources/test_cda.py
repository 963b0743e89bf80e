"""CDA R2: the real documents of the ANS, versions and replacements, what is refused."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import io
import random
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from tests.spec import site_kit as kit
from tests.unit.sources import papers

from estran.model.codes import Comparator, Context, DocumentStatus, FactStatus
from estran.model.errors import InputRefused
from estran.settings import Settings
from estran.sources.cda import CdaReader, Setting, open_content
from estran.sources.records import Batch, Code

SPACE = {"h": "urn:hl7-org:v3"}
STATEMENTS = "//h:structuredBody//*[self::h:observation or self::h:procedure or self::h:act or self::h:encounter or self::h:supply or self::h:organizer or self::h:substanceAdministration]"
# A statement is coded by its code, by a translation of it, or by the code of what it is about.
CODED = f"{STATEMENTS}[h:code/@code or h:code/h:translation/@code or h:specimen//h:specimenPlayingEntity/h:code/@code or h:consumable//h:code[@code or h:translation/@code] or h:participant//h:playingDevice/h:code/@code]"
REAL = {
    "BIO-CR-BIO_2021.01_Microbiologie_V1.xml": ("laboratory", 24), "BIO-CR-BIO_2024.01_Microbiologie_V2.xml": ("laboratory", 26),
    "CANCER-CR-GM_2022.01_AnalyseRealisee.xml": ("genomics", 73), "CARD-F-PRC-AVK_2022.01.xml": ("discharge", 26),
    "IMG_CR_IMG_2024.01_CDA-R2-Niveau-1.xml": ("imaging", 0), "LDL-SES_2022.01.xml": ("discharge", 18),
    "SDM-MR_2022.01.xml": ("discharge", 41), "VSM_1.4_2022.01.xml": ("consultation", 15),
}  # fmt: skip


def read(path: Path, name: str = "") -> Batch:
    (batch,) = CdaReader(Settings(author_system="SITE")).read(path, name or path.name)
    return batch


def real(shared: Path, start: str) -> Batch:
    (path,) = (shared / "cda_ans").glob(start + "*")
    return read(path)


def facts(batch: Batch) -> list[dict[str, Any]]:
    rows = batch.facts.to_pylist()
    for row in rows:
        row["name"], row["kind"] = batch.codes[row["code"]][:2], batch.codes[row["code"]].kind
        row["told"] = batch.codes[row["value_code"]][:2] if row["value_code"] is not None else None
    return rows


# Real documents


def says_something(root: etree._ElementTree, statement: etree._Element) -> bool:
    """A statement without code that has a value, or words in the narrative."""
    if statement.xpath("h:value[@code or @value or normalize-space(.) != '']", namespaces=SPACE):
        return True
    (number,) = statement.xpath("h:text/h:reference/@value", namespaces=SPACE)[:1] or [""]
    return bool(number) and bool(root.xpath("normalize-space(//*[@ID = $id])", id=number.lstrip("#")))


@pytest.mark.parametrize("name", list(REAL))
def test_every_coded_entry_is_a_fact(shared: Path, name: str) -> None:
    batch = read(shared / "cda_ans" / name)
    root = etree.parse(str(shared / "cda_ans" / name))
    coded = root.xpath(CODED, namespaces=SPACE)
    told = [e for e in root.xpath(STATEMENTS, namespaces=SPACE) if e not in coded and says_something(root, e)]
    kind, count = REAL[name]
    assert batch.refusals == [] and len(batch.facts) == count == len(coded) + len(told)
    (row,) = batch.documents.to_pylist()
    assert row["kind"] == kind and row["lang"] == "fr" and row["confidential"] is False
    assert row["key"] == root.xpath("string(/*/h:setId/@root)", namespaces=SPACE)
    numbers = [r["fact_no"] for r in facts(batch)]
    assert numbers == list(range(count)) and all((r["parent_fact_no"] or 0) <= r["fact_no"] for r in facts(batch))


def test_the_patient_of_the_real_documents(shared: Path) -> None:
    batch = real(shared, "VSM")
    (statement,) = batch.identities
    assert batch.patients == [("1.2.3.4.567.8.9.10", "1234567890121")] and statement.ins == "279035121518989"
    person = statement.person
    assert person.family_names == ("PAT-TROIS",) and person.given_names == ("DOMINIQUE MARIE-LOUISE", "DOMINIQUE")
    assert (person.birth_date, person.sex, person.postcode, person.city) == (dt.date(1979, 3, 28), "female", "75007", "PARIS")
    assert person.birth_place == "DOMPREMY" and person.phones == ("0144534551", "0647151010") and len(person.mails) == 1
    assert "Sophie NESSI" in person.relatives and person.addresses == ("28 Avenue de Breteuil Escalier A",)


def test_an_antibiogram(shared: Path) -> None:
    rows = facts(real(shared, "BIO-CR-BIO_2024"))
    isolate = next(r for r in rows if r["name"] == ("SNOMED", "112283007"))
    panel = next(r for r in rows if r["parent_fact_no"] == isolate["fact_no"] and r["name"] == ("LOINC", "18769-0"))
    results = [r for r in rows if r["parent_fact_no"] == panel["fact_no"]]
    assert [(r["name"][1], r["comparator"], r["value"], r["unit"], r["told"][1]) for r in results] == [
        ("20-8", Comparator.GE, 0.512, "ug/mL", "R"), ("28-1", Comparator.LT, 0.128, "ug/mL", "I"),
        ("18928-2", Comparator.LT, 0.032, "ug/mL", "S"),
    ]  # fmt: skip
    colour = next(r for r in rows if r["name"] == ("LOINC", "5778-6"))
    assert colour["value_text"] == "paille" and colour["kind"] == "laboratory"  # the words of the narrative


def test_problems_procedures_treatments_and_relatives(shared: Path) -> None:
    batch = real(shared, "VSM")
    rows = {r["name"]: r for r in facts(batch)}
    heart = rows["CIM10", "I21.1"]
    stent = rows["CCAM", "DDAF004"]
    assert (stent["kind"], stent["start_date"]) == ("procedure", dt.date(2018, 1, 14)) and heart["kind"] == "diagnosis"
    kidney = rows["CIM10", "N10"]
    assert (kidney["start_date"], kidney["end_date"], kidney["context"]) == (dt.date(2018, 4, 22), dt.date(2018, 4, 30), 0)
    assert rows["CIM10", "D57.1"]["context"] == Context.FAMILY
    allergy = rows["SNOMED", "416098002"]
    assert allergy["told"] == ("LOCAL/CIS", "60234100") and allergy["start_date"] == dt.date(2018, 6, 3)
    drug = rows["LOCAL/CIS", "63564053"]
    assert (drug["kind"], drug["value"], drug["context"], drug["status"]) == ("drug", 2.0, Context.REPORTED, FactStatus.FINAL)
    named = {batch.codes[a["attribute"]].code for a in batch.attributes.to_pylist() if a["fact_no"] == drug["fact_no"]}
    assert named == {"type", "route", "frequency"}


def test_a_discharge_letter(shared: Path) -> None:
    batch = real(shared, "LDL")
    rows = {r["name"][1]: r for r in facts(batch)}
    assert rows["60019927"]["status"] == FactStatus.GIVEN and rows["62552920"]["status"] == FactStatus.ORDERED
    assert (rows["ECQH010"]["status"], rows["ECQH010"]["context"]) == (FactStatus.ORDERED, Context.PLANNED)
    assert (rows["MED-145"]["value"], rows["MED-145"]["value_text"]) == (0.0, "non")
    (row,) = batch.documents.to_pylist()
    assert "Modalité et date d'entrée en hospitalisation\t29/10/2018, Transfert\n" in row["text"]
    assert row["author_role"] == "Médecin - Médecine interne (SM)" and row["start_date"] == dt.date(2019, 10, 29)
    assert "DAVID" not in str(batch.documents.drop_columns(["text"]).to_pylist())  # no author's name


def test_a_stay_and_no_stay(shared: Path) -> None:
    batch = real(shared, "CARD")
    assert batch.stays == [(0, "1.2.250.1.213.1.1.9", "234567890")] and len(batch.stay_events) == 1
    assert real(shared, "BIO-CR-BIO_2024").stays == []  # a professional's number stands where the stay's is due


def test_level_1_gives_the_text_of_its_pdf(shared: Path) -> None:
    batch = real(shared, "IMG")
    (row,) = batch.documents.to_pylist()
    assert row["text"].startswith("CENTRE D’IMAGERIE SÉGUR\n\nPAT-TROIS Dominique") and "\nConclusion :\n" in row["text"]
    (medium,) = batch.media.to_pylist()
    assert medium["modality"] == "application/pdf" and medium["uri"] == "landing:record=0;document=1"
    (copy,) = real(shared, "BIO-CR-BIO_2024").media.to_pylist()  # beside a narrative, the PDF is a copy of it
    assert copy["modality"] == "application/pdf" and "Leucocytes\t500 /mL" not in str(copy)


def test_the_account_of_the_real_documents(shared: Path, tmp_path: Path) -> None:
    site = kit.make(tmp_path / "site", genetic_data="open")
    files = sorted((shared / "cda_ans").glob("*.xml"))
    report = kit.load(site, "cda", *files)
    assert (len(files), report.total("read"), report.total("loaded"), report.total("quarantined")) == (8, 8, 8, 0)
    assert report.reasons == {} and report.refused_files == {}
    assert kit.value(site, "select count(*) from raw_patient") == 1  # the same INS in all of them
    assert kit.value(site, "select count(*) from document") == 8 and kit.value(site, "select count(*) from fact") == 223
    assert len(kit.found(site, "CIM10:I21.1")) == 1 and len(kit.texts(site, "angioscanner OU scanner")) > 0
    assert kit.findings(site) == []
    again = kit.load(site, "cda", *reversed(files))
    assert (again.total("superseded"), again.total("loaded")) == (8, 0)


# Made documents


def made(
    own: str = "1", *, group: str = "G", version: int = 1, when: str = "20240104160527+0100", replaces: str = "",
    body: str = "", ids: str = '<id root="1.2.3" extension="77"/>', more: str = "", code: str = "11490-0",
) -> bytes:  # fmt: skip
    """A small document; `body` are sections."""
    related = f'<relatedDocument typeCode="RPLC"><parentDocument>{replaces}</parentDocument></relatedDocument>' if replaces else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?><ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
    <id root="1.2.250.99" extension="{own}"/><code code="{code}" codeSystem="2.16.840.1.113883.6.1"/><title>Lettre {version}</title>
    <effectiveTime value="{when}"/><confidentialityCode code="N"/>{more}{f'<setId root="1.2.250.98" extension="{group}"/>' if group else ''}
    <versionNumber value="{version}"/><recordTarget><patientRole>{ids}<patient><name><family>LE GALL</family><given>Yann</given></name>
    <birthTime value="19500214"/></patient></patientRole></recordTarget>{related}
    <component><structuredBody>{body or section(f'Version {version} de {own}.')}</structuredBody></component></ClinicalDocument>""".encode()


def section(text: str, entries: str = "", code: str = "") -> str:
    number = f'<code code="{code}" codeSystem="2.16.840.1.113883.6.1"/>' if code else ""
    return f"<component><section>{number}<title>Titre</title><text>{text}</text>{entries}</section></component>"


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_versions_and_replacements_in_any_order(tmp_path: Path) -> None:
    first, second = made("a", version=1), made("b", version=2)  # the same second: the number decides
    other = made("c", group="H", when="20240105", replaces='<id root="1.2.250.99" extension="b"/><setId root="1.2.250.98" extension="G"/>')
    for number, order in enumerate(([first, second, other], [other, second, first])):
        site = kit.make(tmp_path / f"site{number}")
        kit.load(site, "cda", *(write(tmp_path / f"{number}{place}.xml", data) for place, data in enumerate(order)))
        assert kit.rows(site, "select title from document where status = 0") == [("Lettre 1",)]
        assert kit.texts(site, '"Version 2 de b"') == kit.texts(site, '"Version 1 de a"') == set()
        assert len(kit.texts(site, '"Version 1 de c"')) == 1
    batch = read(write(tmp_path / "two.zip", archive(second, first)))
    assert batch.documents["key"].to_pylist() == ["1.2.250.98^G"] * 2
    later, earlier = batch.records["event_time"].to_pylist()
    assert later == earlier + 1


def archive(*documents: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made_of:
        for number, data in enumerate(documents):
            made_of.writestr(f"{number}.xml", data)
    return out.getvalue()


def test_a_denial_a_plan_and_a_group(tmp_path: Path) -> None:
    entries = """<entry><observation classCode="OBS" moodCode="EVN" negationInd="true"><templateId root="1.3.6.1.4.1.19376.1.5.3.1.4.5"/>
      <code code="282291009" codeSystem="2.16.840.1.113883.6.96"/><value xsi:type="CD" code="E11" codeSystem="2.16.840.1.113883.6.3"/></observation></entry>
      <entry><organizer classCode="BATTERY" moodCode="EVN"><code nullFlavor="NA"/><effectiveTime value="20200101"/><component><observation classCode="OBS" moodCode="EVN">
      <code code="2160-0" codeSystem="2.16.840.1.113883.6.1"/><value xsi:type="PQ" value="98" unit="µmol/l"/><value xsi:type="ST">hémolysé</value>
      <referenceRange><observationRange><value xsi:type="IVL_PQ"><low value="60"/><high value="110"/></value></observationRange></referenceRange></observation></component></organizer></entry>
      <entry><substanceAdministration classCode="SBADM" moodCode="EVN" negationInd="true"><consumable><manufacturedProduct><manufacturedMaterial>
      <code nullFlavor="UNK"><originalText><reference value="#m"/></originalText></code></manufacturedMaterial></manufacturedProduct></consumable></substanceAdministration></entry>
      <entry><observation classCode="OBS" moodCode="EVN"><code code="x" codeSystemName="LOINC"/><statusCode code="nullified"/></observation></entry>"""
    data = made(body=section('Ici <content ID="m">DOLIPRANE 1 g</content>', entries, "11348-0"), code="11502-2")
    batch = read(write(tmp_path / "d.xml", data))
    denied, creatinine, drug, gone = facts(batch)
    assert (denied["name"], denied["context"]) == (("CIM10", "E11"), Context.NEGATED | Context.HISTORY)
    assert (creatinine["value"], creatinine["unit"], creatinine["low"], creatinine["high"]) == (98.0, "umol/L", 60.0, 110.0)
    assert (creatinine["start_date"], creatinine["context"], creatinine["kind"]) == (dt.date(2020, 1, 1), 0, "laboratory")
    assert (drug["name"], drug["value_text"], drug["status"]) == (("LOCAL/CDA", "drug"), "DOLIPRANE 1 g", FactStatus.NOT_GIVEN)
    assert gone["name"] == ("LOINC", "x") and gone["status"] == FactStatus.CANCELLED
    assert [a["value_text"] for a in batch.attributes.to_pylist() if a["value_text"]] == ["hémolysé"]
    assert Code("LOCAL/CDA", "value", "Autre valeur") in batch.codes


def test_confidential_restricted_and_unsure(tmp_path: Path) -> None:
    data = made(more="<languageCode code='en-US'/>").replace(b'confidentialityCode code="N"', b'confidentialityCode code="R"')
    (row,) = read(write(tmp_path / "d.xml", data)).documents.to_pylist()
    assert row["confidential"] is True and row["lang"] == "en" and row["status"] == DocumentStatus.CURRENT


def test_the_ins_alone_names_the_patient(tmp_path: Path) -> None:
    batch = read(write(tmp_path / "d.xml", made(ids='<id root="1.2.250.1.213.1.4.8" extension="150022912345678"/>')))
    assert batch.patients == [("INS", "150022912345678")] and batch.identities[0].ins == "150022912345678"


def level_1(data: bytes, media_type: str = "application/pdf") -> bytes:
    file = f'<nonXMLBody><text mediaType="{media_type}" representation="B64">{base64.b64encode(data).decode()}</text></nonXMLBody>'
    text = made().decode()
    return (text[: text.index("<structuredBody>")] + file + text[text.index("</structuredBody>") + 17 :]).encode()


def test_level_1_of_other_formats(tmp_path: Path) -> None:
    for data, media_type in ((papers.RTF, "text/rtf"), (papers.word_letter(), "application/octet-stream"), (papers.HTML, "text/html")):
        content = open_content(level_1(data, media_type), Setting())
        assert content.text and "Patient" in content.text
    scan = open_content(level_1(papers.scan()), Setting())
    assert scan.text is None and scan.body.media[0].media_type == "application/pdf"  # known, not searchable
    batch = read(write(tmp_path / "d.xml", level_1(b"%PDF-1.4 rubbish")))
    assert [r.reason for r in batch.refusals] == ["The PDF is damaged: it cannot be read."]
    assert len(batch.documents) == len(batch.patients) == 0  # nothing is left of a refused record


# Containers and refusals


def test_archives_and_compressed_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "xdm.zip", "w") as archive:
        archive.writestr("INDEX.HTM", "<html/>")
        archive.writestr("IHE_XDM/SUBSET01/METADATA.XML", "<SubmitObjectsRequest/>")
        archive.writestr("IHE_XDM/SUBSET01/DOC0001.XML", made("a"))
        archive.writestr("IHE_XDM/SUBSET01/DOC0002.XML", made("b", group="H"))
        archive.writestr("../../etc/DOC3.XML", b"<ClinicalDocument/>")
    batch = read(tmp_path / "xdm.zip")
    assert batch.records["record_no"].to_pylist() == [2, 3, 4] and len(batch.documents) == 2
    assert [(r.record, r.code) for r in batch.refusals] == [(2, "unknown-type")]
    (some,) = CdaReader().read(tmp_path / "xdm.zip", "xdm.zip", frozenset({3}))
    assert some.records["record_no"].to_pylist() == [3]
    assert len(read(write(tmp_path / "d.xml.gz", gzip.compress(made()))).documents) == 1
    assert [p.name for p in CdaReader().files([tmp_path])] == ["d.xml.gz", "xdm.zip"]
    (tmp_path / "empty.zip").write_bytes(b"PK\x05\x06" + b"\0" * 18)
    for name, data in (("e.xml", b" "), ("t.xml", b"hello"), ("c.gz", b"\x1f\x8bxx"), ("z.zip", b"PK\x03\x04x")):
        with pytest.raises(InputRefused):
            read(write(tmp_path / name, data))


@pytest.mark.parametrize(
    ("data", "field", "code"),
    [
        (b"<ClinicalDocument", "ClinicalDocument", "malformed"),
        (b"<?xml version='1.0'?><a/>", "ClinicalDocument", "unknown-type"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]>' + made().partition(b"?>")[2], "ClinicalDocument", "malformed"),
        (b"<a>" * 5000, "ClinicalDocument", "malformed"),
        (made(ids=""), "recordTarget/patientRole/id", "no-patient"),
        (made(when="20241399"), "effectiveTime", "malformed"),
        (made(when="99999999"), "effectiveTime", "malformed"),
        (made().replace(b"UTF-8", b"UTF-99"), "ClinicalDocument", "malformed"),
        (made().replace(b"LE GALL", b"LE \xff GALL"), "ClinicalDocument", "malformed"),
        (made(group="").replace(b'<id root="1.2.250.99" extension="1"/>', b""), "id", "missing"),
        (made(body=section("x", "<entry><act><effectiveTime value='x'/></act></entry>")), "act/effectiveTime", "malformed"),
        (made(body="<component><section>" * 40 + "</section></component>" * 40), "section", "malformed"),
    ],
)  # fmt: skip
def test_refusals(tmp_path: Path, data: bytes, field: str, code: str) -> None:
    batch = read(write(tmp_path / "d.xml", data))
    (refusal,) = batch.refusals
    assert (refusal.field, refusal.code) == (field, code) and refusal.reason.endswith(".") and "GALL" not in refusal.reason


def test_latin_1_and_utf_16(tmp_path: Path) -> None:
    text = made(body=section("déjà vu")).decode()
    for charset in ("ISO-8859-1", "UTF-16"):
        batch = read(write(tmp_path / "d.xml", text.replace("UTF-8", charset).encode(charset)))
        assert "déjà vu" in batch.documents["text"][0].as_py()


# Damage


def test_damaged_documents_never_do_more_than_be_refused(shared: Path, tmp_path: Path) -> None:
    luck, path = random.Random(4), tmp_path / "d.xml"
    samples = [(shared / "cda_ans" / name).read_bytes() for name in list(REAL)[2:4]]
    for number in range(60):
        data = bytearray(samples[number % 2])
        for _ in range(luck.choice((1, 2, 20))):
            data[luck.randrange(len(data))] = luck.choice(b'<>"&\x00\xff aZ0') if luck.random() < 0.7 else luck.randrange(256)
        batch = read(write(path, bytes(data[: luck.randrange(1, len(data))] if luck.random() < 0.3 else data)))
        assert len(batch.records) == 1 and len(batch.refusals) + len(batch.documents) >= 1


NAMES = st.sampled_from(["observation", "act", "organizer", "substanceAdministration", "supply", "entryRelationship", "component", "value", "code", "effectiveTime", "low", "high", "doseQuantity", "translation", "originalText", "reference", "specimen", "participant", "section", "text", "table", "tr", "td", "consumable", "observationMedia"])
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["code", "value", "unit", "codeSystem", "displayName", "nullFlavor", "moodCode", "negationInd", "representation", "mediaType", "ID"]),
    st.sampled_from(["", "1", "-", "20200101", "2.16.840.1.113883.6.1", "true", "INT", "B64", "#x", "é", "1e999"]), max_size=4,
)  # fmt: skip
TYPES = st.sampled_from([None, "CD", "PQ", "IVL_PQ", "IVL_TS", "BL", "RTO_PQ_PQ", "TS", "ST", "ED", "INT"])
TREES = st.recursive(
    st.tuples(NAMES, ATTRIBUTES, TYPES, st.just([])),
    lambda inner: st.tuples(NAMES, ATTRIBUTES, TYPES, st.lists(inner, max_size=4)), max_leaves=20,
)  # fmt: skip


def written(tree: Any) -> str:
    name, attributes, kind, children = tree
    told = "".join(f' {k}="{v}"' for k, v in attributes.items()) + (f' xsi:type="{kind}"' if kind else "")
    return f"<{name}{told}>{''.join(map(written, children))}mots</{name}>"


@given(st.lists(TREES, max_size=4))
@settings(max_examples=40, deadline=None)
def test_any_entry(tmp_path_factory: pytest.TempPathFactory, trees: list[Any]) -> None:
    entries = "".join(f"<entry>{written(tree)}</entry>" for tree in trees)
    path = tmp_path_factory.getbasetemp() / "any.xml"
    batch = read(write(path, made(body=section("x", entries))))
    assert len(batch.refusals) + len(batch.documents) == 1


def test_speed(shared: Path) -> None:
    data = (shared / "cda_ans" / "CANCER-CR-GM_2022.01_AnalyseRealisee.xml").read_bytes()  # 163 kB, 73 facts
    start = time.process_time()
    for _ in range(10):
        open_content(data, Setting())
    assert time.process_time() - start < 1.0
