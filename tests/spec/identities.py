"""Who is in the inputs: names, numbers, addresses and birth dates, read by other means than the product's.

JSON by `json`, XML by `xml`, HL7 by splitting, OMOP by CSV and DuckDB: nothing of `estran` is used here.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import duckdb


@dataclass
class Identity:
    """What one input record says of a person."""

    names: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)  # of the person
    others: set[str] = field(default_factory=set)  # of stays, and phones and mails
    addresses: set[str] = field(default_factory=set)
    birth: dt.date | None = None


def everyone(shared: Path) -> list[Identity]:
    """Every person of every feed that holds identities."""
    found = [*_fhir(shared / "fhir_bulk_smart"), *_fhir(shared / "fhir_fr_core"), *_xml(shared / "fhir_fr_core")]
    found += [*_linuxforhealth(shared / "hl7v2_linuxforhealth"), *_ans(shared / "hl7v2_ans")]
    return [*found, *_omop(shared)]


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(".ndjson.gz"):
            yield from map(json.loads, gzip.decompress(path.read_bytes()).splitlines())
        elif path.suffix == ".json":
            yield json.loads(path.read_bytes())


def _fhir(folder: Path) -> Iterator[Identity]:
    for node in _lines(folder):
        kind, found = node.get("resourceType"), Identity()
        if kind in ("Patient", "Practitioner", "RelatedPerson"):
            _person(node, found)
        if kind == "Patient":
            found.numbers |= {node["id"], *(i.get("value", "") for i in node.get("identifier", ()))}
            found.birth = dt.date.fromisoformat(node["birthDate"]) if len(node.get("birthDate", "")) == 10 else None
        elif kind == "Encounter":
            found.others |= {node["id"], *(i.get("value", "") for i in node.get("identifier", ()))}
        for name in ("subject", "patient", "individual", "actor", "performer", "requester"):
            target = node.get(name)
            if isinstance(target, dict) and kind != "MedicationRequest":
                found.names |= {target.get("display", "")}
        if found != Identity():
            yield found


def _person(node: dict[str, Any], found: Identity) -> None:
    for name in node.get("name", ()):
        found.names |= {name.get("family", ""), name.get("text", ""), *name.get("given", ())}
    found.others |= {t.get("value", "") for t in node.get("telecom", ()) if node["resourceType"] == "Patient"}
    for address in node.get("address", ()) if node["resourceType"] == "Patient" else ():
        found.addresses |= {*address.get("line", ())}
    for extension in node.get("extension", ()):
        if "mothersMaidenName" in extension.get("url", ""):
            found.names.add(extension["valueString"])


def _xml(folder: Path) -> Iterator[Identity]:
    for path in sorted(folder.glob("Encounter*.xml")):
        root = ElementTree.fromstring(path.read_text("utf-8"))
        shown = root.find("{*}subject/{*}display")
        name = shown.get("value", "").partition("(")[0] if shown is not None else ""
        numbers = {e.get("value", "") for e in root.findall("{*}identifier/{*}value")}
        yield Identity(names={name}, others=numbers)


def _linuxforhealth(folder: Path) -> Iterator[Identity]:
    lines = gzip.decompress((folder / "messages.ndjson.gz").read_bytes()).splitlines()
    for line in lines:
        row = json.loads(line)
        text = row if isinstance(row, str) else next(v for v in row.values() if isinstance(v, str) and "MSH" in v)
        yield from of_message(text)


def _ans(folder: Path) -> Iterator[Identity]:
    for path in sorted([*folder.glob("*.er7"), *folder.glob("*.hl7")]):
        yield from of_message(path.read_bytes().decode("utf-8", "replace"))


def of_message(text: str) -> Iterator[Identity]:
    """The people of one HL7 v2 message."""
    found = Identity()
    for line in re.split(r"[\r\n]+", text):
        fields = line.split("|")

        def get(number: int, fields: list[str] = fields) -> list[list[str]]:
            value = fields[number] if number < len(fields) else ""
            return [r.split("^") for r in value.split("~")]

        if line.startswith("PID"):
            found.numbers |= {r[0] for n in (2, 3, 4) for r in get(n)}
            found.names |= {part for n in (5, 6, 9) for r in get(n) for part in r[:3]}
            found.addresses |= {r[0].partition("&")[0] for r in get(11)}
            found.others |= {r[0] for n in (13, 14, 18, 19, 20, 21) for r in get(n)}
            found.others |= {part for r in get(13) + get(14) for part in r if "@" in part}
            birth = get(7)[0][0][:8]
            if re.fullmatch(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2][1-9]|[123]0|31)", birth):
                found.birth = dt.date(int(birth[:4]), int(birth[4:6]), int(birth[6:]))
        elif line.startswith("NK1"):
            found.names |= {part for r in get(2) for part in r[:3]}
            found.addresses |= {r[0].partition("&")[0] for r in get(4)}
            found.others |= {r[0] for r in get(5)}
        elif line.startswith("PV1"):
            found.others |= {get(19)[0][0]}
        elif line.startswith("MRG"):
            found.numbers |= {r[0] for r in get(1)}
    if found != Identity():
        yield found


def _omop(shared: Path) -> Iterator[Identity]:
    with zipfile.ZipFile(shared / "omop_synthea27nj" / "Synthea27Nj_5.4.zip") as archive:
        for entry in archive.namelist():
            if Path(entry).name.upper() == "PERSON.CSV":
                text = io.TextIOWrapper(archive.open(entry), "utf-8")
                for row in csv.DictReader(text):
                    yield _row({k.lower(): v for k, v in row.items()})
    yield from _gibleed(shared / "omop_gibleed" / "eunomia.duckdb.gz")


def _gibleed(path: Path) -> Iterator[Identity]:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".duckdb") as copy:
        copy.write(gzip.decompress(path.read_bytes()))
        copy.flush()
        with duckdb.connect(copy.name, read_only=True) as connection:
            schema = connection.execute(
                "select table_schema from information_schema.tables where lower(table_name) = 'person'"
            ).fetchall()[0][0]
            found = connection.execute(f"select * from {schema}.person")
            names = [c[0].lower() for c in found.description]
            for row in found.fetchall():
                yield _row({k: "" if v is None else str(v) for k, v in zip(names, row, strict=True)})


def _row(row: dict[str, str]) -> Identity:
    try:
        birth = dt.date(*(int(float(row[f"{part}_of_birth"])) for part in ("year", "month", "day")))
    except ValueError:
        birth = None
    return Identity(numbers={row["person_source_value"], row["person_id"]}, birth=birth)
