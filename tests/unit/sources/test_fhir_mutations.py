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
    read, _ = _outcome(_dump({"resourceType": "Bundle", "entry": entries}), "x.json")
    assert read == 3


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
    data = _dump(node) + b"\n" + _dump(SEEDS[-8]) + b"\n"
    fast = _facts(data)
    with patch.object(Desk, "express", lambda *_: False):
        assert _facts(data) == fast


def test_seed_is_everyday() -> None:
    taken: list[bool] = []
    express = Desk.express

    def watched(self: Desk, *arguments: Any) -> bool:
        taken.append(express(self, *arguments))
        return taken[-1]

    with patch.object(Desk, "express", watched):
        _facts(_dump(SEEDS[-8]) + b"\n")
    assert taken == [True]


@pytest.mark.parametrize("depth", [200, 2000])
def test_deep_nesting(depth: int) -> None:
    text = (
        b'{"resourceType":"Composition","id":"1","subject":{"reference":"Patient/1"},"section":'
        + b'[{"section":' * depth
    )
    assert _outcome(text + b"[]" + b"}]" * depth + b"}\n", "x.ndjson") == (1, 1)
