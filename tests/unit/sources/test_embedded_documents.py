"""Documents inside HL7 v2 messages and FHIR attachments: their text, and a CDA document's coded entries."""

from __future__ import annotations

import base64
from pathlib import Path

import orjson
import pytest
from tests.unit.sources import papers
from tests.unit.sources.test_cda import level_1, made, section
from tests.unit.sources.test_hl7v2_documents import embedded

from estran.settings import Settings
from estran.sources.fhir import FhirReader

GLUCOSE = """<entry><observation classCode="OBS" moodCode="EVN"><code code="2345-7" codeSystem="2.16.840.1.113883.6.1"/>
<effectiveTime value="20240301"/><value xsi:type="PQ" value="5.1" unit="mmol/l"/></observation></entry>"""


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (papers.plain_pdf("Patient suivi."), "application/pdf"), (papers.RTF, "application/rtf"),
        (papers.word_letter(), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (level_1(papers.plain_pdf("Patient suivi.")), "application/pdf"),
    ],
)  # fmt: skip
def test_a_message_carries_a_document(tmp_path: Path, data: bytes, media_type: str) -> None:
    reading = embedded(tmp_path, data)
    assert "Patient" in reading.rows("documents")[0]["text"]
    (medium,) = reading.rows("media")
    assert medium["modality"] == media_type


def test_a_restricted_document_makes_its_message_confidential(tmp_path: Path) -> None:
    data = made().replace(b'confidentialityCode code="N"', b'confidentialityCode code="R"')
    assert embedded(tmp_path, data).rows("documents")[0]["confidential"] is True


def test_a_message_carries_coded_entries(tmp_path: Path) -> None:
    reading = embedded(tmp_path, made(body=section("Glycémie normale.", GLUCOSE)))
    assert reading.rows("documents")[0]["text"] == "Titre\nGlycémie normale."
    (fact,) = reading.batch.facts.to_pylist()
    assert (fact["document"], fact["fact_no"], fact["value"], fact["unit"]) == (0, 0, 5.1, "mmol/L")
    assert reading.batch.codes[fact["code"]][:2] == ("LOINC", "2345-7")


@pytest.mark.parametrize(
    ("data", "media_type"),
    [(papers.plain_pdf("Patient suivi."), "application/pdf"), (papers.RTF, "text/rtf"),
     (made(body=section("Patient suivi.")), "application/xml"), (level_1(papers.plain_pdf("Patient suivi.")), "text/xml")],
)  # fmt: skip
def test_an_attachment_is_a_document(tmp_path: Path, data: bytes, media_type: str) -> None:
    node = {
        "resourceType": "DocumentReference", "id": "a", "status": "current", "subject": {"reference": "Patient/1"},
        "content": [{"attachment": {"contentType": media_type, "data": base64.b64encode(data).decode()}}],
    }  # fmt: skip
    path = tmp_path / "d.ndjson"
    path.write_bytes(orjson.dumps(node) + b"\n")
    (batch,) = FhirReader(Settings()).read(path, path.name)
    assert batch.refusals == [] and "Patient" in batch.documents["text"][0].as_py()
