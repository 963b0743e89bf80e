"""The warehouse of a hospital of the synthetic region beside its truth, subject by subject."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from estran.app import Site, open_site, set_up
from estran.model.feeds import read_feeds
from estran.model.moments import of_parts
from estran.model.site_file import FILE_NAME
from estran.region.plan import Plan
from estran.region.run import Summary, make
from estran.sources.pipeline.run import Report
from estran.sources.pipeline.run import ingest as run
from estran.terminology.systems import canonical
from estran.terminology.units import ucum

Rows = Counter[tuple[Any, ...]]


def load_all(folder: Path) -> tuple[Site, dict[str, Report]]:
    """What `estran ingest SITE --all` does."""
    site, reports = set_up(folder), {}
    for feed in read_feeds(folder / FILE_NAME):
        with site.loading() as parts:
            reports[feed.name] = run(parts, feed.format, [folder / feed.path], name=feed.name)
    return site, reports


PLAN = Plan(patients=150, seed=7)
LOADED = ("brest", "nantes")  # local codes and coded reports; LOINC, FHIR and MDM


@dataclass(frozen=True)
class Region:
    """150 people in six hospitals, two of which are loaded as they describe themselves."""

    out: Path
    summary: Summary
    sites: dict[str, tuple[Site, dict[str, Report]]]


def build(out: Path) -> tuple[Summary, dict[str, dict[str, Report]]]:
    """Make the region and load its two hospitals."""
    summary = make(PLAN, out)
    return summary, {name: load_all(out / name)[1] for name in LOADED}


def reopened(out: Path, summary: Summary, reports: dict[str, dict[str, Report]]) -> Region:
    return Region(out, summary, {name: (open_site(out / name), reports[name]) for name in LOADED})


class Beside:
    """One hospital: rows expected from the truth, rows found in the warehouse."""

    def __init__(self, out: Path, site: Site) -> None:
        self._truth, self._hospital = out / "truth", site.directory.name
        self._warehouse = site.snapshot().connect()
        self._births: dict[str, dt.date] = {}
        self._births = self._birth_of()
        with site.vault() as vault:
            keys = vault.natural_keys()
        self._stays = {number: key.rpartition("|")[2].partition("\n")[0] for number, key in keys.stays.items()}
        self.numbers = {
            number: frozenset(line.rpartition("|")[2] for line in key.split("\n")) for number, key in keys.patients.items()
        }

    def expected(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the hospital's truth, a stay's number first; `{table}` is a table of it."""
        with duckdb.connect() as own:
            own.execute("set threads = 1")
            tables = {p.name: f"(select * from '{p}/*.parquet' where hospital = '{self._hospital}')" for p in self._truth.iterdir() if p.is_dir() and p.name not in ("people", "relations", "links")}
            rows = own.execute(sql.format(**tables)).fetchall()
        return [tuple(_told(v, self._births.get(row[0])) if isinstance(v, dt.datetime) else v for v in row) for row in rows]

    def _birth_of(self) -> dict[str, dt.date]:
        """Stay number, and the birth date that the hospital knows."""
        return dict(self.expected("select nda, birth_date from {stays} join {identities} using (ipp)"))

    def found(self, sql: str) -> list[tuple[Any, ...]]:
        return self._warehouse.execute(sql).fetchall()

    def stays(self) -> tuple[Rows, Rows]:
        """Number, kind, bounds, status, way out."""
        truth = self.expected("select nda, kind, start, \"end\", status, exit_mode from {stays}")
        held = self.found(f"select stay_id, kind, {_moment('start')}, {_moment('end')}, status, exit_mode from raw_stay")
        return Counter(truth), Counter((self._stays[row[0]], *row[1:]) for row in held)

    def movements(self) -> tuple[Rows, Rows]:
        """Stay, ward, beginning, end when it was told, status."""
        truth = self.expected("select nda, unit, start, \"end\", status from {movements}")
        held = self.found(
            f"select stay_id, code, {_moment('start')}, {_moment('end')}, status from raw_movement join unit using (unit_id) where source = 'hl7v2/adt'"
        )
        return Counter(truth), Counter((self._stays[row[0]], *row[1:]) for row in held)

    def diagnoses(self) -> tuple[Rows, Rows]:
        """Stay, code, role in the PMSI; each once per stay."""
        truth = [(n, canonical("CIM10", c), role) for n, c, role in self.expected("select distinct nda, code, role from {diagnoses} where feed = 'pmsi'")]
        held = self.found(
            "select distinct stay_id, code, role from fact join document d using (document_id, bucket) join concept using (concept_id) "
            "where d.source = 'pmsi/pmsi' and vocabulary = 'CIM10'".replace("distinct stay_id", "distinct d.stay_id")
        )
        return Counter(truth), Counter((self._stays[row[0]], *row[1:]) for row in held)

    def conditions(self) -> tuple[Rows, Rows]:
        """Stay and code of the diagnoses that the FHIR server gave."""
        truth = [(n, canonical("CIM10", c)) for n, c in self.expected("select nda, code from {diagnoses} where feed = 'fhir'")]
        held = self.found(
            "select d.stay_id, code from fact join document d using (document_id, bucket) join concept using (concept_id) "
            "where d.source = 'fhir/fhir' and vocabulary = 'CIM10'"
        )
        return Counter(truth), Counter((self._stays[row[0]], *row[1:]) for row in held)

    def labs(self) -> tuple[Rows, Rows]:
        """Stay, local code, LOINC when given, moment, value, unit (UCUM)."""
        truth = self.expected("select nda, code, loinc, sampled, value, unit from {labs} where status = 'final'")
        held = self.found(
            f"select d.stay_id, coalesce(own.code, c.code), c.code, {_moment('fact.start')}, fact.value, fact.unit "
            "from fact join document d using (document_id, bucket) join concept c on c.concept_id = fact.concept_id "
            "left join concept own on own.concept_id = fact.local_concept_id "
            "where d.source = 'hl7v2/labo' and d.kind = 'laboratory' and fact.value is not null"
        )
        wanted = Counter((n, code, loinc or code, when, round(v, 4), ucum(unit) if unit else None) for n, code, loinc, when, v, unit in truth)
        return wanted, Counter((self._stays[r[0]], r[1], r[2], r[3], round(r[4], 4), r[5]) for r in held)

    def susceptibilities(self) -> tuple[Rows, Rows]:
        """Stay, germ, antibiotic, result: each result hangs off its germ."""
        truth = self.expected("select nda, germ, 'ATB-' || antibiotic, result from {susceptibilities}")
        held = self.found(
            "select d.stay_id, germ.code, drug.code, said.code from fact join document d using (document_id, bucket) "
            "join fact isolate on isolate.document_id = fact.document_id and isolate.fact_no = fact.parent_fact_no and isolate.bucket = fact.bucket "
            "join concept germ on germ.concept_id = isolate.value_concept join concept drug on drug.concept_id = coalesce(fact.local_concept_id, fact.concept_id) "
            "join concept said on said.concept_id = fact.value_concept where d.source = 'hl7v2/labo'"
        )
        return Counter(truth), Counter((self._stays[row[0]], *row[1:]) for row in held)

    def drugs(self) -> tuple[Rows, Rows]:
        """Stay, ATC, moment, dose, what became of it (a coded report tells orders from doses by its kind)."""
        truth = self.expected("select nda, atc, moment, case when feed = 'fhir' and status = 'ordered' then null else dose end, status from {drugs}")
        held = self.found(
            f"select d.stay_id, code, {_moment('fact.start')}, fact.value, case when d.kind = 'prescription' then 'ordered' when fact.status = 5 then "
            "'not given' else 'given' end from fact join document d using (document_id, bucket) join concept using (concept_id) "
            "where vocabulary = 'ATC' and d.kind in ('prescription', 'administration', 'chemotherapy')"
        )
        return Counter(truth), Counter((self._stays[row[0]], *row[1:]) for row in held)

    def texts(self) -> tuple[Rows, Rows]:
        """Documents per kind and stay that are current and hold a text."""
        truth = self.expected("select nda, kind from {documents} where status = 'final' and characters > 0")
        held = self.found("select d.stay_id, d.kind from document d join text using (document_id, bucket) where d.status < 2 and d.kind not in ('laboratory', 'nursing', 'pmsi') and text is not null")
        return Counter(truth), Counter((self._stays[row[0]], *row[1:]) for row in held)

    def patients(self) -> tuple[set[frozenset[str]], set[frozenset[str]]]:
        """Which numbers are one patient: double identities merged, nobody else."""
        rows = self.expected("select coalesce(merged_into, ipp), ipp from {identities}")
        groups: dict[str, set[str]] = {}
        for kept, own in rows:
            groups.setdefault(kept, set()).add(own)
        known = {own for _, own in rows}
        return {frozenset(g) for g in groups.values()}, {numbers & known for numbers in self.numbers.values()}


def _moment(name: str) -> str:
    """SQL of a moment, as the truth writes it; midnight when the warehouse keeps no time of day."""
    table, _, column = name.rpartition(".")
    column = f"{table}.{column}" if table else column
    return f"({column}_date + to_minutes(coalesce({column}_minute, 0)::int))"


def differences(pair: tuple[Rows, Rows]) -> tuple[Rows, Rows]:
    """What is missing from the warehouse, and what it holds too much of."""
    expected, found = pair
    return expected - found, found - expected


def _told(moment: dt.datetime, birth: dt.date | None) -> dt.datetime:
    """A wall-clock time as the warehouse keeps it: minutes elapsed since local midnight, on days of 25 hours too; of
    the day of birth only the month, so that no moment is a birth date."""
    if moment.date() == birth:
        return moment.replace(day=1, hour=0, minute=0)
    found = of_parts(moment.year, moment.month, moment.day, moment.hour, moment.minute, "Europe/Paris")
    return dt.datetime(1970, 1, 1) + dt.timedelta(days=found.date, minutes=found.minute or 0)
