"""Resources of FHIR as tests write them, and what is read of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from estran.settings import Settings
from estran.sources.fhir import FhirReader
from estran.sources.records import Batch

WHO = {"reference": "Patient/p1"}
STAY = {"reference": "Encounter/e1"}


def loinc(code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://loinc.org", "code": code, "display": display}]}


def sct(code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://snomed.info/sct", "code": code, "display": display}]}


def one(code: str) -> dict[str, Any]:
    return {"coding": [{"code": code}]}


def reading(folder: Path) -> Callable[..., Batch]:
    """What a file of these resources becomes: `id`s are given to those without."""

    def read(*nodes: dict[str, Any]) -> Batch:
        path = folder / "some.ndjson"
        path.write_bytes(b"\n".join(orjson.dumps({"id": f"x{i}", **node}) for i, node in enumerate(nodes)) + b"\n")
        (batch,) = FhirReader(Settings()).read(path, path.name)
        return batch

    return read


def told(table: Any, **wanted: Any) -> None:
    row = table if isinstance(table, dict) else table.to_pylist()[0]
    assert {name: row[name] for name in wanted} == wanted


def attributes(batch: Batch) -> list[tuple[str, Any, str | None, str | None]]:
    codes = batch.codes
    return [
        (
            codes[a["attribute"]].code,
            a["value"],
            None if a["value_code"] is None else codes[a["value_code"]].code,
            a["value_text"],
        )
        for a in batch.attributes.to_pylist()
    ]


GLUCOSE = {
    "resourceType": "Observation",
    "id": "g1",
    "status": "final",
    "meta": {"lastUpdated": "2024-03-01T10:00:00.500Z"},
    "category": [
        {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
    ],
    "code": loinc("2345-7", "Glucose"),
    "subject": WHO,
    "encounter": STAY,
    "effectiveDateTime": "2024-03-01T08:30:00+01:00",
    "issued": "2024-03-01T10:00:00+01:00",
    "valueQuantity": {
        "value": 5.4,
        "unit": "mmol/L",
        "system": "http://unitsofmeasure.org",
        "code": "mmol/L",
        "comparator": "<",
    },
    "referenceRange": [{"low": {"value": 3.9}, "high": {"value": 6.1}}],
}
