"""A datamart as FHIR R4 resources, one file of lines (NDJSON) per type (https://hl7.org/fhir/R4).

Patient, Encounter, Observation, Condition, Procedure, MedicationStatement and DocumentReference. References stay inside
the datamart; an element without a value is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from estran.exchange.tables import files_as_views
from estran.terminology.systems import uri_of

_BATCH = 65_536
_KINDS = {  # of a code: the resource, and where its date goes
    "Condition": ("diagnosis", "onsetDateTime"),
    "Procedure": ("procedure", "performedDateTime"),
    "MedicationStatement": ("drug", "effectiveDateTime"),
}
_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_SUBJECT = "{'reference': 'Patient/' || patient}"
_ENCOUNTER = "CASE WHEN stay IS NOT NULL THEN {'reference': 'Encounter/' || patient || '-' || stay} END"
_CODE = "{'coding': [{'system': system, 'code': own, 'display': label}]}"


def write(tables: Mapping[str, Path], folder: Path) -> None:
    """Write the resources that the datamart has something for into a new folder."""
    folder.mkdir()
    held = {name: pq.read_schema(path).names for name, path in tables.items()}
    with files_as_views(tables) as connection:
        _lines(connection, folder / "Patient.ndjson", "patients", _patient(held["patients"]))
        if "stays" in held:
            _lines(connection, folder / "Encounter.ndjson", "stays", _encounter(held["stays"]))
        if "facts" in held:
            _facts(connection, folder, held["facts"])
        if "documents" in held:
            _lines(connection, folder / "DocumentReference.ndjson", "documents", _document(held["documents"]))


def _lines(connection: duckdb.DuckDBPyConnection, path: Path, source: str, resource: Mapping[str, str]) -> None:
    """One line per row of the source, in its order. Merging a resource into nothing takes its nulls out."""
    body = ", ".join(f"'{name}': {value}" for name, value in resource.items())
    query = f"SELECT CAST(json_merge_patch('{{}}', to_json({{{body}}})) AS VARCHAR) AS line FROM {source}"
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for batch in connection.sql(query).to_arrow_reader(_BATCH):
            file.writelines(f"{line}\n" for line in batch.column(0).to_pylist())


def _facts(connection: duckdb.DuckDBPyConnection, folder: Path, columns: list[str]) -> None:
    codes = connection.execute("SELECT DISTINCT split_part(code, ':', 1) FROM codes ORDER BY 1").fetchall()
    systems = [(row[0], uri_of(row[0])) for row in codes]
    connection.register(
        "given_systems", pa.table({"vocabulary": [s[0] for s in systems], "system": [s[1] for s in systems]})
    )
    stay = "f.stay" if "stay" in columns else "CAST(NULL AS BIGINT) AS stay"
    connection.execute(f"""
        CREATE TEMP TABLE event AS
        SELECT f.file_row_number + 1 AS event, f.patient, {stay}, f.date, f.comparator, f.value, f.unit, c.kind, s.system,
               c.label_fr AS label, substr(f.code, instr(f.code, ':') + 1) AS own
        FROM numbered_facts f JOIN codes c USING (code) JOIN given_systems s ON s.vocabulary = split_part(f.code, ':', 1)""")
    for resource, (kind, date) in _KINDS.items():
        rows = f"(FROM event WHERE kind = '{kind}' ORDER BY event)"
        _lines(connection, folder / f"{resource}.ndjson", rows, _statement(resource, date))
    others = ", ".join(f"'{kind}'" for kind, _ in _KINDS.values())
    rows = f"(FROM event WHERE kind IS NULL OR kind NOT IN ({others}) ORDER BY event)"
    _lines(connection, folder / "Observation.ndjson", rows, _OBSERVATION)


def _statement(resource: str, date: str) -> dict[str, str]:
    code = "medicationCodeableConcept" if resource == "MedicationStatement" else "code"
    status = {} if resource == "Condition" else {"status": "'completed'"}
    start = {"resourceType": f"'{resource}'", "id": "'f' || event"}
    return (
        start
        | status
        | {code: _CODE, "subject": _SUBJECT, _context(resource): _ENCOUNTER, date: "CAST(date AS VARCHAR)"}
    )


def _context(resource: str) -> str:
    return "context" if resource == "MedicationStatement" else "encounter"


_OBSERVATION = {
    "resourceType": "'Observation'", "id": "'f' || event", "status": "'final'", "code": _CODE, "subject": _SUBJECT,
    "encounter": _ENCOUNTER, "effectiveDateTime": "CAST(date AS VARCHAR)",
    "valueQuantity": "CASE WHEN value IS NOT NULL THEN {'value': value, 'comparator': nullif(comparator, '='), 'unit': unit, "
                     "'system': CASE WHEN unit IS NOT NULL THEN 'http://unitsofmeasure.org' END, 'code': unit} END",
}  # fmt: skip


def _patient(columns: list[str]) -> dict[str, str]:
    found = {"resourceType": "'Patient'", "id": "patient"}
    found |= {"gender": "sex"} if "sex" in columns else {}
    found |= {"birthDate": "CAST(birth_year AS VARCHAR)"} if "birth_year" in columns else {}
    if "death_date" in columns:
        return found | {"deceasedDateTime": "CAST(death_date AS VARCHAR)"}
    return found | ({"deceasedBoolean": "died"} if "died" in columns else {})


def _encounter(columns: list[str]) -> dict[str, str]:
    act = "{'system': '" + _ACT + "', 'code': " + (
        "CASE kind WHEN 'venue' THEN 'IMP' WHEN 'emergency' THEN 'EMER' WHEN 'had' THEN 'HH' ELSE 'AMB' END" if "kind" in columns else "'AMB'"
    ) + "}"  # fmt: skip
    period = ", ".join(f"'{end}': CAST(\"{end}\" AS VARCHAR)" for end in ("start", "end") if end in columns)
    found = {
        "resourceType": "'Encounter'",
        "id": "patient || '-' || stay",
        "status": "'finished'",
        "class": act,
        "subject": _SUBJECT,
    }
    return found | ({"period": "{" + period + "}"} if period else {})


def _document(columns: list[str]) -> dict[str, str]:
    text = "'data': base64(encode(text))" if "text" in columns else "'title': kind"
    return {
        "resourceType": "'DocumentReference'", "id": "patient || '-d' || document", "status": "'current'",
        "type": "{'text': kind}", "subject": _SUBJECT,
        "context": "CASE WHEN date IS NOT NULL THEN {'period': {'start': CAST(date AS VARCHAR)}} END",
        "content": "[{'attachment': {'contentType': 'text/plain; charset=utf-8', " + text + "}}]",
    }  # fmt: skip
