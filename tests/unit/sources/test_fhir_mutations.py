"""Whatever is done to a file, the reader answers with records and refusals, never an exception."""

from __future__ import annotations

import gzip
import json
import tempfile
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from estran.model.errors import InputRefused
from estran.settings import Settings
from estran.sources.fhir import FhirReader
from estran.sources.fhir.desk import Desk

SAMPLE = Path(str(resources.files("estran") / "samples" / "fhir_bulk"))


def _seeds() -> list[dict[str, Any]]:
    seeds = []
    for path in sorted(SAMPLE.glob("*.gz")):
        with gzip.open(path) as packed:
            seeds.append(orjson.loads(packed.readline()))
    for node in seeds:
        if node.get("resourceType") == "DocumentReference":
            node["content"][0]["attachment"]["data"] = "Qm9uam91cg=="
    quantity = {"value": 1.5, "system": "http://unitsofmeasure.org", "code": "mg"}
    code = {"coding": [{"system": "http://loinc.org", "code": "1-1", "display": "x"}], "text": "y"}
    who: dict[str, Any] = {"subject": {"reference": "Patient/1"}, "id": "1"}
    return [
        *seeds,
        *_about_care(who, code, quantity),
        *_about_results_and_drugs(who, code, quantity),
        {
            "resourceType": "DiagnosticReport",
            **who,
            "code": code,
            "conclusionCode": [code],
            "category": [code],
            "presentedForm": [{"contentType": "text/html", "data": "PGI+YTwvYj4="}],
        },
        {
            "resourceType": "Composition",
            **who,
            "type": code,
            "relatesTo": [{"code": "replaces", "targetReference": {"reference": "Composition/0"}}],
            "section": [{"title": "t", "text": {"div": "<div>x</div>"}, "section": []}],
        },
        {
            "resourceType": "Consent",
            "status": "active",
            "id": "1",
            "patient": {"reference": "Patient/1"},
            "dateTime": "2024",
            "scope": {"coding": [{"code": "research"}]},
            "provision": {"type": "deny", "period": {"start": "2024-01-01"}},
        },
        {
            "resourceType": "FamilyMemberHistory",
            "id": "1",
            "patient": {"reference": "Patient/1"},
            "condition": [{"code": code}],
        },
        {"resourceType": "Medication", "id": "1", "code": code},
    ]


def _about_results_and_drugs(
    who: dict[str, Any], code: dict[str, Any], quantity: dict[str, Any]
) -> list[dict[str, Any]]:
    return [
        {
            "resourceType": "Observation",
            "status": "final",
            **who,
            "code": code,
            "effectiveDateTime": "2024-01-01T10:00:00Z",
            "issued": "2024-01-01T11:00:00Z",
            "valueQuantity": quantity,
            "encounter": {"reference": "Encounter/1"},
            "category": [{"coding": [{"code": "laboratory"}]}],
            "referenceRange": [{"low": quantity, "high": quantity}],
        },
        {
            "resourceType": "Observation",
            **who,
            "code": code,
            "interpretation": [code],
            "note": [{"text": "t"}],
            "component": [
                {"code": code, "valueRange": {"low": quantity}},
                {"code": code, "valueRatio": {"numerator": quantity, "denominator": quantity}},
            ],
        },
        {
            "resourceType": "MedicationRequest",
            **who,
            "intent": "order",
            "medicationReference": {"reference": "#m"},
            "contained": [{"resourceType": "Medication", "id": "m", "code": code}],
            "dosageInstruction": [
                {
                    "route": code,
                    "timing": {"repeat": {"frequency": 1, "period": 2, "periodUnit": "d"}},
                    "doseAndRate": [{"doseRange": {"low": quantity, "high": quantity}}],
                }
            ],
        },
    ]


def _about_care(who: dict[str, Any], code: dict[str, Any], quantity: dict[str, Any]) -> list[dict[str, Any]]:
    span = {"start": "2024-01-01", "end": "2024-01-03"}
    patient = {"patient": who["subject"], "id": "1"}
    series = [{"uid": "1.2.3", "modality": {"code": "CT"}, "bodySite": {"code": "x"}}]
    answers = [{"linkId": "1", "text": "?", "answer": [{"valueQuantity": quantity, "item": []}], "item": []}]
    return [
        {"resourceType": "ServiceRequest", **who, "intent": "order", "code": code, "occurrencePeriod": span},
        {"resourceType": "Specimen", **who, "type": code, "collection": {"collectedDateTime": "2024", "method": code}},
        {"resourceType": "ImagingStudy", **who, "started": "2024-01-01", "procedureCode": [code], "series": series},
        {"resourceType": "Flag", **who, "code": code, "period": span, "category": [code]},
        {"resourceType": "CarePlan", **who, "category": [code], "period": span, "activity": [{"detail": {"code": code}}]},
        {"resourceType": "QuestionnaireResponse", **who, "authored": "2024-01-01", "item": answers},
        {"resourceType": "EpisodeOfCare", **patient, "status": "active", "period": span},
        {
            "resourceType": "RelatedPerson",
            **patient,
            "name": [{"family": "A", "given": ["B"]}],
            "relationship": [{"coding": [{"code": "MTH"}]}],
            "identifier": [{"system": "CHU", "value": "1"}],
            "telecom": [{"value": "02"}],
        },
        {
            "resourceType": "Claim",
            **patient,
            "type": {"coding": [{"code": "PMSIMCO"}]},
            "created": "2024",
            "billablePeriod": span,
            "item": [{"encounter": [{"reference": "Encounter/1"}]}],
            "supportingInfo": [{"code": {"coding": [{"code": "0"}]}, "valueString": "8"}],
            "diagnosis": [{"diagnosisCodeableConcept": code, "type": [{"coding": [{"code": "DP"}]}]}],
            "procedure": [{"procedureCodeableConcept": code, "date": "2024"}],
        },
    ]


SEEDS = _seeds()
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.just([]),
    st.just({}),
    st.just([None]),
    st.just([[]]),
    st.just({"coding": [None]}),
    st.just("2024-13-45"),
    st.just("9999-12-31T23:59:59-12:00"),
    st.just(10**30),
    st.just(" "),
    st.just("0001-01-01T00:00:00+14:00"),
    st.just([{"a": 1}]),
    st.just({"reference": 3}),
)


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in items:
        found += _places(inner, (*path, key))
    return found


def _changed(node: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = deepcopy(node)
    holder = copy
    for step in path[:-1]:
        holder = holder[step]
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return copy


@st.composite
def mutants(draw: st.DrawFn) -> dict[str, Any]:
    node = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 3))):
        places = _places(node)
        if places:
            node = _changed(node, draw(st.sampled_from(places)), draw(st.one_of(JUNK, st.just(...))))
    return node


def _outcome(data: bytes, name: str) -> tuple[int, int]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        batches = list(FhirReader(Settings()).read(path, name))
    for batch in batches:
        rows = batch.records.num_rows
        assert all(0 <= r.record < rows and r.reason.endswith(".") for r in batch.refusals)
        refused = {r.record for r in batch.refusals}
        assert not refused & set(batch.documents["record"].to_pylist())
        for table in (batch.documents, batch.facts, batch.stay_events):
            table.validate(full=True)
    return sum(b.records.num_rows for b in batches), sum(len(b.refusals) for b in batches)


def _dump(node: Any) -> bytes:
    return json.dumps(node).encode()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutants())
@example({"resourceType": "Patient", "id": "1", "extension": [{"url": None}]})
def test_changed_elements_never_raise(node: dict[str, Any]) -> None:
    if node.get("resourceType") == "Bundle":
        return
    read, _ = _outcome(_dump(node) + b"\n" + _dump(SEEDS[0]) + b"\n", "x.ndjson")
    assert read == 2


@settings(max_examples=50, deadline=None)
@given(mutants(), mutants())
def test_changed_bundles_never_raise(one: dict[str, Any], two: dict[str, Any]) -> None:
    entries = [{"fullUrl": "urn:uuid:1", "resource": one}, {"resource": two}, {"fullUrl": two, "resource": one}]
    for node in (one, two):
        gone = {"method": "DELETE", "url": f"{node.get('resourceType')}/{node.get('id')}"}
        entries.append({"request": gone, "response": {"lastModified": "2024-01-01T00:00:00Z"}})
        entries.append({"request": {"method": "PUT", "url": node.get("id")}, "resource": {**node, "id": None}})
    read, _ = _outcome(_dump({"resourceType": "Bundle", "entry": entries}), "x.json")
    assert read == 7


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(["x.ndjson", "x.json", "x.xml", "x.ndjson.gz", "x.zip"]), st.data())
def test_changed_bytes_never_raise(name: str, data: st.DataObject) -> None:
    whole = b"".join(orjson.dumps(s) + b"\n" for s in SEEDS[:4])
    if name.endswith(".gz"):
        whole = gzip.compress(whole)
    if name.endswith("xml"):
        whole = b'<Patient xmlns="http://hl7.org/fhir"><id value="1"/><name><family value="a"/></name></Patient>'
    buffer = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 4))):
        buffer[data.draw(st.integers(0, len(buffer) - 1))] = data.draw(st.integers(0, 255))
    try:
        _outcome(bytes(buffer[: data.draw(st.integers(0, len(buffer)))]), name)
    except InputRefused as error:
        assert error.what


def _facts(data: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.ndjson"
        path.write_bytes(data)
        batch = next(b for b in FhirReader(Settings()).read(path, path.name) if b.part == "Observation")
    facts = batch.facts.to_pylist()
    for fact in facts:
        fact["code"] = batch.codes[fact["code"]]
    return (
        [(r.record, r.field, r.code) for r in batch.refusals],
        batch.documents.to_pylist(),
        facts,
        batch.patients,
        batch.stays,
    )


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(_places(SEEDS[-8])), st.one_of(JUNK, st.just(...))), max_size=2))
def test_the_fast_lane_writes_what_the_slow_one_writes(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    node = SEEDS[-8]
    for path, value in changes:
        if path in _places(node) and path != ("resourceType",):
            node = _changed(node, path, value)
    data = _dump(SEEDS[-8]) + b"\n" + _dump(node) + b"\n" + _dump(SEEDS[-8]) + b"\n"
    fast = _facts(data)
    with patch.object(Desk, "express", lambda *_: False):
        assert _facts(data) == fast


def _everything(data: bytes, name: str = "x.ndjson") -> Any:
    """All that a file states, whichever way it is read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        batches = list(FhirReader(Settings()).read(path, name))
    found = []
    for batch in batches:
        facts = [{**f, "code": batch.codes[f["code"]]} for f in batch.facts.to_pylist()]
        refusals = [(r.record, r.field, r.code, r.reason) for r in batch.refusals]
        found.append((batch.part, batch.records.to_pylist(), refusals, batch.documents.to_pylist(), facts, batch.patients))
    return sorted(found, key=lambda one: str(one[0]))


def _both_ways(data: bytes, name: str = "x.ndjson") -> int:
    """Observations that took the fast lane; both lanes must say the same."""
    taken: list[bool] = []
    express = Desk.express

    def watched(self: Desk, *arguments: Any) -> bool:
        taken.append(express(self, *arguments))
        return taken[-1]

    with patch.object(Desk, "express", watched):
        fast = _everything(data, name)
    with patch.object(Desk, "express", lambda *_: False):
        assert _everything(data, name) == fast
    return sum(taken)


_TWO_CODINGS = {"coding": [{"system": "urn:x", "code": "1"}, {"system": "http://loinc.org", "code": "2-2"}], "text": "z"}
_META = {"lastUpdated": "2024-02-03T04:05:06.789+02:00", "profile": ["http://x"], "versionId": "3"}


@pytest.mark.parametrize(
    ("change", "lane"),
    [
        ({}, 2),
        ({"code": _TWO_CODINGS}, 2),
        ({"meta": _META}, 2),
        ({"meta": {"versionId": "12"}}, 2),
        ({"meta": {"lastUpdated": "yesterday"}}, 1),
        ({"meta": {"security": [{"code": "R"}]}}, 1),
        ({"status": "preliminary"}, 2),
        ({"status": "entered-in-error", "performer": [{"reference": "Practitioner/1"}]}, 2),
        ({"valueQuantity": {"value": 3, "comparator": "<", "system": "http://unitsofmeasure.org", "code": "mg"}}, 2),
        ({"valueQuantity": {"value": "3", "system": "http://unitsofmeasure.org", "code": "mg"}}, 1),
        ({"valueQuantity": {"value": True, "system": "http://unitsofmeasure.org", "code": "mg"}}, 1),
        ({"subject": {"reference": "#p"}}, 1),
        ({"subject": {"reference": "Group/1"}}, 1),
        ({"subject": {"reference": "Patient/2", "display": "é"}, "encounter": {"reference": "#e"}}, 2),
        ({"referenceRange": [{"low": {"value": 1}}, {"high": {"value": 2}}]}, 1),
        ({"referenceRange": None, "category": None, "encounter": None}, 1),
        ({"interpretation": [_TWO_CODINGS]}, 1),
        ({"effectiveDateTime": "2024-01", "issued": None}, 2),
        ({"effectiveDateTime": "2024-W05-1T10:00:00Z"}, 2),
        ({"effectiveDateTime": "2024-10-27T02:30:00+01:00", "issued": "2024-10-27T02:30:00+02:00"}, 2),
        ({"id": " "}, 1),
    ],
)
def test_the_lanes_agree(change: dict[str, Any], lane: int) -> None:
    nodes = [SEEDS[-8], {**SEEDS[-8], "id": "2"}, {**SEEDS[-8], **change}]
    assert _both_ways(b"".join(_dump(node) + b"\n" for node in nodes)) == lane
    bundle = {"resourceType": "Bundle", "entry": [{"resource": n, "fullUrl": f"urn:uuid:{i}"} for i, n in enumerate(nodes)]}
    _both_ways(_dump(bundle), "x.json")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), min_size=1, max_size=3))
@example([(600, 0xFF)])
def test_the_lanes_agree_on_changed_bytes(changes: list[tuple[int, int]]) -> None:
    line = bytearray(orjson.dumps(SEEDS[-8] | {"text": {"div": "<div>é</div>"}, "performer": [{"display": "é"}]}))
    for place, byte in changes:
        line[place % len(line)] = byte
    _both_ways(_dump(SEEDS[-8]) + b"\n" + bytes(line) + b"\n" + _dump(SEEDS[-8]) + b"\n")


def test_seed_is_everyday() -> None:
    taken: list[bool] = []
    express = Desk.express

    def watched(self: Desk, *arguments: Any) -> bool:
        taken.append(express(self, *arguments))
        return taken[-1]

    with patch.object(Desk, "express", watched):
        _facts((_dump(SEEDS[-8]) + b"\n") * 3)  # the first line of a file tells its type
    assert taken == [True, True]


@pytest.mark.parametrize("depth", [200, 2000])
def test_deep_nesting(depth: int) -> None:
    text = (
        b'{"resourceType":"Composition","id":"1","subject":{"reference":"Patient/1"},"section":'
        + b'[{"section":' * depth
    )
    assert _outcome(text + b"[]" + b"}]" * depth + b"}\n", "x.ndjson") == (1, 1)
