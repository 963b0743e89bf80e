"""Sites for the acceptance tests: made, loaded and looked at through the house's own doors.

Small inputs are written here as a hospital writes them (HL7 v2, FHIR, reports); the large ones are
the real samples. Nothing of the warehouse is reached but by `Site`, `ingest` and the engines.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyroaring import BitMap
from tests import fresh

import estran
from estran.app import Site, open_site
from estran.cohort.engines import ENGINES
from estran.cohort.language.parser import parse
from estran.cohort.search import search
from estran.settings import Settings
from estran.sources.pipeline.run import Report
from estran.sources.pipeline.run import ingest as run
from estran.warehouse import Scope

SAMPLES = Path(estran.__file__).parent / "samples"
# GiBleed: Eunomia's CreateCohortTable defines the four cohorts; the counts are those it publishes.
PUBLISHED = {
    "OMOP:1118084": 1844,  # celecoxib
    "OMOP:1124300": 850,  # diclofenac
    "OMOP:192671": 479,  # gastrointestinal haemorrhage
    "OMOP:1118084 OU OMOP:1124300": 2694,  # NSAIDs
}


@dataclass(frozen=True)
class Feed:
    """One source of the large site: its name at `--source`, its format, its files."""

    name: str
    format: str
    path: Path


def feeds(shared: Path) -> dict[str, Feed]:
    """Every set of data that a site of this release must take."""
    every = (
        Feed("gibleed", "omop", shared / "omop_gibleed" / "eunomia.duckdb.gz"),
        Feed("synthea27nj", "omop", shared / "omop_synthea27nj" / "Synthea27Nj_5.4.zip"),
        Feed("bulk10", "fhir", shared / "fhir_bulk_smart" / "10-patients"),
        Feed("bulk100", "fhir", shared / "fhir_bulk_smart" / "100-patients"),
        Feed("linuxforhealth", "hl7v2", shared / "hl7v2_linuxforhealth" / "messages.ndjson.gz"),
        Feed("ans", "hl7v2", shared / "hl7v2_ans"),
        Feed("frcore", "fhir", shared / "fhir_fr_core"),
        Feed("cases", "report", SAMPLES / "e3c_fr"),
    )
    return {feed.name: feed for feed in every}


# Making and loading


def make(directory: Path, **settings: Any) -> Site:
    """A new empty site."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    return fresh.site(directory, Settings(**settings))


def load(site: Site, format_name: str, *paths: Path, name: str = "") -> Report:
    """Load files as `estran ingest` does."""
    with site.loading() as parts:
        return run(parts, format_name, list(paths), name=name)


def load_feed(site: Site, feed: Feed, paths: Iterable[Path] = ()) -> Report:
    """Load a feed, or some of its files."""
    return load(site, feed.format, *(list(paths) or [feed.path]), name=feed.name)


# Looking


def digest(site: Site) -> str:
    """What `estran check --digest` prints."""
    with site.vault() as vault:
        keys = vault.natural_keys()
    return site.warehouse.digest(keys.patients, keys.stays)


def findings(site: Site) -> list[str]:
    """What `estran check` finds; the vault is proven too."""
    with site.vault() as vault:
        return [str(finding) for finding in site.warehouse.check()] + vault.check()


def rows(site: Site, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of the newest snapshot; `raw_<table>` views hide nothing."""
    with site.snapshot().connect() as connection:
        return connection.execute(sql, list(values)).fetchall()


def value(site: Site, sql: str, *values: Any) -> Any:
    """The first column of the first row."""
    return rows(site, sql, *values)[0][0]


def ask(
    site: Site, question: str, engine: str = "duckdb", version: int | None = None, scope: Scope = Scope.RESEARCH
) -> BitMap:
    """The patients of a question written as text, on the newest snapshot or an older one."""
    return ENGINES[engine](site.warehouse.snapshot(version, scope)).run(parse(question)).patients


def found(site: Site, question: str, scope: Scope = Scope.RESEARCH) -> set[str]:
    """The hospital numbers of the patients who answer; both engines must say the same."""
    said = [set(ask(site, question, name, None, scope)) for name in ENGINES]
    assert all(patients == said[0] for patients in said), f"the engines differ on {question}"
    with site.vault() as vault:
        keys = vault.natural_keys().patients
    return {line.partition("|")[2] for patient in said[0] for line in keys[patient].split("\n")}


def count(site: Site, question: str, scope: Scope = Scope.RESEARCH) -> int:
    """How many patients answer; both engines must say the same."""
    said = [ask(site, question, name, None, scope) for name in ENGINES]
    assert all(patients == said[0] for patients in said), f"the engines differ on {question}"
    return len(said[0])


def texts(site: Site, words: str) -> set[int]:
    """Documents that the search bar finds."""
    return {hit.document_id for hit in search(site.snapshot(), words, limit=200).hits}


def patient_of(site: Site, number: str, system: str = "CHU") -> int:
    """patient_id of a hospital number, -1 when nobody introduced it."""
    with site.vault() as vault:
        identity = int(vault.resolve([(system, number)])[0])
        return int(vault.patient_of([identity])[0]) if identity >= 0 else -1


def day(number: int) -> dt.date:
    """The calendar date of a count of days since 1970."""
    return dt.date(1970, 1, 1) + dt.timedelta(days=number)


# Writing inputs


def message(*segments: str) -> str:
    """One HL7 v2 message; segments end with a carriage return."""
    return "".join(segment + "\r" for segment in segments)


def msh(kind: str, sent: str, number: object) -> str:
    return f"MSH|^~\\&|SIH|CHU|ESTRAN|CHU|{sent}||{kind}|{number}|P|2.5^FRA^2.10|||||FRA|UNICODE UTF-8"


def pid(ipp: str, family: str = "", given: str = "", birth: str = "", sex: str = "", **more: str) -> str:
    """A PID; `more` may give address (PID-11), phone (PID-13), dossier (PID-18)."""
    name = f"{family}^{given}^^^^^L" if family else ""
    address, phone, dossier = (more.get(n, "") for n in ("address", "phone", "dossier"))
    return f"PID|1||{ipp}^^^CHU^PI||{name}||{birth}|{sex}|||{address}||{phone}|||||{dossier}"


def pv1(venue: str, ward: str = "", kind: str = "I", protected: str = "", **bounds: str) -> str:
    """PV1 with class (2), ward (3), protection (16), number of the venue (19), `start` (44), `end` (45)."""
    fields = dict.fromkeys(range(1, 46), "")
    fields |= {1: "1", 2: kind, 3: ward, 16: protected, 19: f"{venue}^^^CHU^VN" if venue else ""}
    fields |= {44: bounds.get("start", ""), 45: bounds.get("end", "")}
    return "PV1|" + "|".join(fields.values()).rstrip("|")


def adt(event: str, when: str, patient: str, *segments: str, number: object = "") -> str:
    """An ADT that happened at `when`."""
    head = msh(f"ADT^{event}", when, number or f"{event}{when}")
    return message(head, f"EVN|{event}|{when}||||{when}", patient, *segments)


def oru(when: str, patient: str, order: str, *results: str, visit: str = "", code: str = "", label: str = "") -> str:
    """A report of results: one order, its OBX and NTE lines."""
    obr = f"OBR|1||{order}^LABO|{code}^{label}^{'LN' if code[:1].isdigit() else 'L'}|||{when}"
    return message(msh("ORU^R01", when, order), patient, *([visit] if visit else []), obr, *results)


def write_messages(path: Path, *messages: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(messages).encode())
    return path


def write_lines(path: Path, records: Iterable[dict[str, Any]]) -> Path:
    """NDJSON: FHIR resources, or reports."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
    return path


def written(folder: Path, feed: Feed) -> list[Path]:
    """The feed's files one by one, as they would be handed over."""
    return sorted(p for p in feed.path.iterdir() if p.is_file()) if feed.path.is_dir() else [feed.path]


def count_facts(directory: Path) -> int:
    """Facts of the newest snapshot of a site that another process is loading."""
    with open_site(directory).snapshot().connect() as connection:
        return int(connection.execute("select count(*) from fact").fetchall()[0][0])
