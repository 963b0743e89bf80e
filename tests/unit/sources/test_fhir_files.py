"""Files: their forms, their order, and what happens when they are damaged."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest

from estran.model.errors import InputRefused
from estran.settings import Settings
from estran.sources.fhir import BATCH_RESOURCES, FhirReader
from estran.sources.fhir.markup import elements, resource_types
from estran.sources.records import Batch, PatientKey

PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "name": [{"family": "Le Goff", "given": ["Anne", "Marie"]}],
    "birthDate": "1950-02-03",
}
WEIGHT = {
    "resourceType": "Observation",
    "id": "w1",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2024-01-01",
    "valueQuantity": {"value": 70.5, "system": "http://unitsofmeasure.org", "code": "kg"},
}


def read(path: Path, name: str = "", wanted: frozenset[int] | None = None) -> list[Batch]:
    return list(FhirReader(Settings()).read(path, name or path.name, wanted))


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def lines(*nodes: Any) -> bytes:
    return b"".join(orjson.dumps(n) + b"\n" for n in nodes)


def refusals(batches: list[Batch]) -> list[tuple[int, int | None, str]]:
    return sorted(
        (b.records["record_no"][r.record].as_py(), b.records["line"][r.record].as_py(), r.code)
        for b in batches
        for r in b.refusals
    )


def test_bad_lines_leave_the_others_alone(tmp_path: Path) -> None:
    data = (
        b"\xef\xbb\xbf"
        + lines(WEIGHT)
        + b"\n"
        + b'{"resourceType": "Obs\n'
        + b'{"resourceType":"Patient","id":"\xe9"}\n'
        + b"[1]\n"
        + lines({"a": 1}, PATIENT)
        + b'{"resourceType":"Patient","id":"p'
    )
    batches = read(put(tmp_path / "x.ndjson", data))
    assert refusals(batches) == [
        (1, 3, "malformed"),
        (2, 4, "encoding"),
        (3, 5, "malformed"),
        (4, 6, "missing"),
        (6, 8, "truncated"),
    ]
    assert sum(b.records.num_rows for b in batches) == 7
    assert {b.part for b in batches} == {"Observation", "Patient", ""}
    assert [b.documents.num_rows for b in batches] == [1, 0, 0]


def test_truncated_gzip_keeps_what_came_before(tmp_path: Path) -> None:
    whole = gzip.compress(lines(*({**WEIGHT, "id": f"w{i}", "x": i * "y"} for i in range(3000))), 1)
    batches = read(put(tmp_path / "x.ndjson.gz", whole[: len(whole) // 2]))
    read_, refused = sum(b.records.num_rows for b in batches), [r for b in batches for r in b.refusals]
    assert 100 < read_ < 3000
    assert [r.code for r in refused] == ["truncated"]
    assert sum(b.documents.num_rows for b in batches) == read_ - 1


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.json", b"hello"),
        ("x.json", b""),
        ("x.json", b"[1,2]"),
        ("x.xml", b"<Patient"),
        ("x.xml", b"<a/>"),
        (
            "x.xml",
            b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><Patient xmlns="http://hl7.org/fhir">&e;</Patient>',
        ),
        ("x.json", "{}".encode("utf-16")),
        ("x.json.gz", b"\x1f\x8b\x08\x00garbage"),
        ("x.zip", b"PK\x03\x04garbage"),
        ("x.ndjson", b"\xff\xfe{\x00}\x00\n\x00"),
    ],
)
def test_nothing_to_read_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    with pytest.raises(InputRefused) as error:
        read(put(tmp_path / name, data))
    assert error.value.what.endswith(".")


def test_empty_ndjson_has_no_record(tmp_path: Path) -> None:
    assert read(put(tmp_path / "x.ndjson", b"")) == []


def test_wanted_records_only(tmp_path: Path) -> None:
    path = put(tmp_path / "x.ndjson", lines(*({**WEIGHT, "id": f"w{i}"} for i in range(10))))
    (batch,) = read(path, wanted=frozenset({3, 7}))
    assert batch.records["record_no"].to_pylist() == [3, 7]
    assert batch.records["line"].to_pylist() == [4, 8]
    assert batch.documents["key"].to_pylist() == ["Observation/w3", "Observation/w7"]


def test_batches_hold_twenty_thousand(tmp_path: Path) -> None:
    path = put(tmp_path / "x.ndjson", lines(*({**WEIGHT, "id": f"w{i}"} for i in range(BATCH_RESOURCES + 5))))
    assert [b.records.num_rows for b in read(path)] == [BATCH_RESOURCES, 5]


def test_patients_come_first(tmp_path: Path) -> None:
    put(tmp_path / "a.ndjson", lines(WEIGHT))
    put(tmp_path / "b.ndjson.gz", gzip.compress(lines({"resourceType": "Encounter", "id": "e"})))
    put(tmp_path / "c.xml", b'<Organization xmlns="http://hl7.org/fhir"/>')
    put(tmp_path / "d.json", json.dumps(PATIENT, indent=1).encode())
    put(tmp_path / "e.json", b'{"resourceType" : "Bundle"}')
    put(tmp_path / "notes.txt", b"x")
    reader = FhirReader(Settings())
    assert [p.name for p in reader.files([tmp_path])] == ["d.json", "e.json", "c.xml", "b.ndjson.gz", "a.ndjson"]
    assert reader.size(tmp_path / "notes.txt") == 1
    with pytest.raises(InputRefused):
        reader.files([tmp_path / "absent"])


BUNDLE = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "urn:uuid:w",
            "resource": {
                **WEIGHT,
                "id": None,
                "subject": {"reference": "urn:uuid:1-2"},
                "encounter": {"reference": "urn:uuid:m"},
            },
        },
        {"fullUrl": "urn:uuid:1-2", "resource": {k: v for k, v in PATIENT.items() if k != "id"}},
        {
            "fullUrl": "urn:uuid:v",
            "resource": {
                "resourceType": "Encounter",
                "id": "v",
                "status": "finished",
                "class": {"code": "IMP"},
                "subject": {"reference": "urn:uuid:1-2"},
                "serviceProvider": {"reference": "urn:uuid:o"},
            },
        },
        {
            "fullUrl": "urn:uuid:m",
            "resource": {
                "resourceType": "Encounter",
                "id": "m",
                "partOf": {"reference": "urn:uuid:v"},
                "class": {"code": "IMP"},
                "identifier": [{"type": {"coding": [{"code": "MN"}]}, "system": "s", "value": "9"}],
                "subject": {"reference": "urn:uuid:1-2"},
            },
        },
        {
            "fullUrl": "urn:uuid:o",
            "resource": {
                "resourceType": "Organization",
                "id": "o",
                "name": "Cardiologie",
                "type": [{"coding": [{"code": "UF"}]}],
            },
        },
        {"request": {"method": "DELETE", "url": "Observation/3"}},
        {
            "fullUrl": "urn:uuid:n",
            "resource": {
                "resourceType": "DocumentReference",
                "id": "n",
                "status": "current",
                "subject": {"reference": "urn:uuid:1-2"},
                "content": [{"attachment": {"url": "urn:uuid:b", "contentType": "text/plain"}}],
            },
        },
        {
            "fullUrl": "urn:uuid:b",
            "resource": {"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": "Qm9uam91cg=="},
        },
        {
            "fullUrl": "urn:uuid:x",
            "resource": {"resourceType": "Binary", "id": "x", "contentType": "text/plain", "data": "QQ=="},
        },
        7,
    ],
}


def test_bundle_entries_find_each_other(tmp_path: Path) -> None:
    batches = {b.part: b for b in read(put(tmp_path / "x.json", orjson.dumps(BUNDLE)))}
    assert refusals(list(batches.values())) == [(5, None, "missing"), (8, None, "unknown-type"), (9, None, "malformed")]
    weight, stays = batches["Observation"], batches["Encounter"]
    assert weight.patients == [PatientKey("fhir", "Patient/1-2")] == batches["Patient"].patients
    assert weight.documents["key"].to_pylist() == ["Observation/w"]
    assert [s.value for s in weight.stays] == ["Encounter/v"]  # the movement leads to its stay
    assert stays.movements["key"].to_pylist() == ["s|9"]
    assert stays.units[0] == ("Organization/o", "Cardiologie", "UF")
    assert batches["DocumentReference"].documents["text"].to_pylist() == ["Bonjour"]
    assert sorted(n for b in batches.values() for n in b.records["record_no"].to_pylist()) == list(range(10))


def test_history_bundle_orders_versions(tmp_path: Path) -> None:
    entries = [
        {"fullUrl": "http://s/Observation/w1", "resource": {**WEIGHT, "meta": {"versionId": v}}} for v in ("2", "1")
    ]
    entries.append({"resource": WEIGHT, "response": {"status": "200", "lastModified": "2024-05-01T00:00:00Z"}})
    (batch,) = read(
        put(tmp_path / "x.json", orjson.dumps({"resourceType": "Bundle", "type": "history", "entry": entries}))
    )
    assert batch.records["event_time"].to_pylist() == [2, 1, 1_714_521_600_000_000]
    assert set(batch.documents["key"].to_pylist()) == {"Observation/w1"}


XML = """<?xml version="1.0" encoding="UTF-8"?>
<Patient xmlns="http://hl7.org/fhir"><!-- a comment -->
  <id value="p1"/>
  <extension url="http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"><valueString value="Kerbrat"/></extension>
  <active value="true"/>
  <name><family value="Le Goff"/><given value="Anne"/><given value="Marie"><extension url="x"><valueInteger value="1"/></extension></given></name>
  <birthDate value="1950-02-03"/>
</Patient>"""


def test_xml_gives_the_same_as_json(tmp_path: Path) -> None:
    node = {
        **PATIENT,
        "active": True,
        "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName", "valueString": "Kerbrat"}
        ],
    }
    node["name"] = [
        {
            "family": "Le Goff",
            "given": ["Anne", "Marie"],
            "_given": [None, {"extension": [{"url": "x", "valueInteger": 1}]}],
        }
    ]
    (xml,) = read(put(tmp_path / "x.xml", XML.encode()))
    (spaced,) = read(put(tmp_path / "y.json", json.dumps(node, indent=2).encode()))
    assert xml.identities == spaced.identities and xml.identities[0].person.relatives == ("Kerbrat",)
    assert xml.records["content"] == spaced.records["content"]  # spacing and form do not matter


def test_xml_bundle_and_unknown_elements(tmp_path: Path) -> None:
    inner = XML.partition("\n")[2]
    data = f"""<Bundle xmlns="http://hl7.org/fhir"><type value="collection"/>
      <entry><resource>{inner}</resource></entry>
      <entry><resource><Patient><nonsense value="1"/></Patient></resource></entry>
      <entry><resource><Observation><status value="final"/><valueQuantity><value value="a"/></valueQuantity></Observation></resource></entry>
      <entry><request><method value="DELETE"/></request></entry></Bundle>"""
    batches = {b.part: b for b in read(put(tmp_path / "x.xml", data.encode()))}
    assert refusals(list(batches.values())) == [(1, 9, "malformed"), (2, 10, "malformed"), (3, 11, "missing")]
    assert len(batches["Patient"].identities) == 1
    assert batches["Observation"].refusals[0].field == "Observation.valueQuantity.value"


def test_zip(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a/obs.ndjson", lines(WEIGHT, {**WEIGHT, "id": "w2"}))
        archive.writestr("b/bad.json", b"{")
        archive.writestr("c/pat.json", orjson.dumps(PATIENT))
        archive.writestr("readme.txt", b"x")
    batches = read(put(tmp_path / "x.zip", out.getvalue()))
    assert [(b.part, b.records["record_no"].to_pylist()) for b in batches] == [
        ("Patient", [0]),
        ("Observation", [1, 2]),
        ("", [3]),
    ]
    assert refusals(batches) == [(3, None, "malformed")]


def test_table_of_elements_is_that_of_the_schema(shared: Path) -> None:
    """`r4_elements.json` says what the R4 schema says, for every type it holds."""
    with gzip.open(shared / "fhir_r4_schema" / "fhir.schema.json.gz") as packed:
        schema = orjson.loads(packed.read())["definitions"]
    checked = 0
    for kind in sorted(
        {*resource_types(), "Patient_Contact", "Observation_Component", "Quantity", "Extension", "Dosage"}
    ):
        for name, told in elements(kind).items():
            item = schema[kind]["properties"][name]
            assert told.startswith("*") == (item.get("type") == "array"), (kind, name)
            target = (item.get("items") or item).get("$ref", "").rsplit("/", 1)[-1]
            assert not target or told.lstrip("*") == target
            checked += 1
    assert checked > 500
