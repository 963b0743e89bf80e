"""The checks of OHDSI's DataQualityDashboard on a CDM in DuckDB, written anew after their descriptions.

Every check of the tables of rules (`OMOP_CDMv5.4_*_Level.csv`) is made, table by table, field by field and concept by
concept. A check that no row is concerned by does not apply; one applies and fails when more of its rows violate it, in
percent, than its threshold. The concept checks are those of the concepts that the database holds.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

_DEATH_GRACE, _VISIT_GRACE = 60, 7  # days
_OBSERVED = {"PERSON"}


@dataclass(frozen=True)
class Checked:
    """One check: how many rows violate it, of how many it concerns."""

    name: str
    table: str
    field: str
    threshold: float
    violated: int
    concerned: int

    @property
    def passed(self) -> bool:
        return 100 * self.violated <= self.threshold * self.concerned


def run(con: duckdb.DuckDBPyConnection, rules: Path) -> list[Checked]:
    """Every check that concerns a row of the database."""
    board = _Board(con, rules)
    return [one for one in (*board.tables(), *board.fields(), *board.concepts()) if one.concerned]


class _Board:
    def __init__(self, con: duckdb.DuckDBPyConnection, rules: Path) -> None:
        self.con, self.rules = con, rules
        held = con.execute(
            "SELECT lower(table_name), lower(column_name), data_type FROM information_schema.columns"
        ).fetchall()
        self.types = {(table, column): kind for table, column, kind in held}
        self.names = {table for table, _, _ in held}
        self.rows = {name: self._one(f"SELECT count(*) FROM {name}") for name in self.names}

    def _one(self, sql: str) -> int:
        return int(self.con.execute(sql).fetchall()[0][0])

    def _rules(self, level: str) -> list[dict[str, str]]:
        with (self.rules / f"OMOP_CDMv5.4_{level}_Level.csv").open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.DictReader(stream))

    def tables(self) -> Iterator[Checked]:
        for row in self._rules("Table"):
            table = row["cdmTableName"].lower()
            if row["schema"] == "CDM":
                yield Checked("cdmTable", table, "", 0, int(table not in self.names), 1)
            if row["measurePersonCompleteness"] == "Yes" and self.rows.get(table):
                missing = self._one(f"SELECT count(*) FROM person ANTI JOIN {table} USING (person_id)")
                threshold = float(row["measurePersonCompletenessThreshold"])
                yield Checked("measurePersonCompleteness", table, "", threshold, missing, self.rows["person"])
            if row["measureObservationPeriodOverlap"] == "Yes":
                overlap = self._one(
                    "SELECT count(DISTINCT a.person_id) FROM observation_period a JOIN observation_period b ON a.person_id = b.person_id "
                    "AND a.observation_period_id <> b.observation_period_id AND a.observation_period_start_date <= b.observation_period_end_date + 1 "
                    "AND b.observation_period_start_date <= a.observation_period_end_date + 1"
                )
                yield Checked("measureObservationPeriodOverlap", table, "", 0, overlap, self.rows["person"])

    def fields(self) -> Iterator[Checked]:
        for row in self._rules("Field"):
            table, field = row["cdmTableName"].lower(), row["cdmFieldName"].lower().strip('"')
            if table not in self.names:
                continue
            yield Checked("cdmField", table, field, 0, int((table, field) not in self.types), 1)
            if row["cdmDatatype"] == "integer":
                yield Checked("cdmDatatype", table, field, 0, int(self.types.get((table, field)) != "INTEGER"), 1)
            if self.rows[table] and (table, field) in self.types:
                for name, among, violates in self._of_field(row, table, f't."{field}"'):
                    threshold = float(row[f"{name}Threshold"] or 0)
                    yield self._count(name, table, field, threshold, among, violates)

    def _count(self, name: str, table: str, field: str, threshold: float, among: str, violates: str) -> Checked:
        if name == "sourceValueCompleteness":
            found = self.con.execute(
                f"SELECT count(DISTINCT {among}) FILTER ({violates}), count(DISTINCT {among}) FROM {table} t"
            )
        else:
            joins = (
                "LEFT JOIN person p ON p.person_id = t.person_id"
                if (table, "person_id") in self.types and table != "person"
                else ""
            )
            joins += " LEFT JOIN death d ON d.person_id = t.person_id" if joins and table != "death" else ""
            if name == "withinVisitDates":
                joins += " JOIN visit_occurrence v ON v.visit_occurrence_id = t.visit_occurrence_id"
            found = self.con.execute(
                f"SELECT count(*) FILTER (({among}) AND ({violates})), count(*) FILTER ({among}) FROM {table} t {joins}"
            )
        violated, concerned = found.fetchall()[0]
        return Checked(name, table, field, threshold, int(violated), int(concerned))

    def _of_field(self, row: dict[str, str], table: str, value: str) -> Iterator[tuple[str, str, str]]:
        given = f"{value} IS NOT NULL"
        if row["isRequired"] == "Yes":
            yield "isRequired", "true", f"{value} IS NULL"
        if row["measureValueCompleteness"] == "Yes":
            yield "measureValueCompleteness", "true", f"{value} IS NULL"
        if row["isPrimaryKey"] == "Yes":
            key = value.removeprefix("t.")
            yield "isPrimaryKey", "true", f"{value} IN (SELECT {key} FROM {table} GROUP BY 1 HAVING count(*) > 1)"
        yield from self._references(row, value, given)
        if row["sourceValueCompleteness"] == "Yes":
            yield (
                "sourceValueCompleteness",
                f"coalesce({value}, '')",
                f't."{row["standardConceptFieldName"].lower()}" = 0',
            )
        yield from self._plausible(row, table, value, given)

    def _references(self, row: dict[str, str], value: str, given: str) -> Iterator[tuple[str, str, str]]:
        known = "SELECT concept_id FROM concept"
        if row["isForeignKey"] == "Yes":
            other, key = row["fkTableName"].lower(), row["fkFieldName"].lower()
            if other in self.names:
                yield "isForeignKey", given, f"{value} NOT IN (SELECT {key} FROM {other} WHERE {key} IS NOT NULL)"
            if row["fkDomain"]:
                domains = ", ".join(f"'{one.strip()}'" for one in row["fkDomain"].split(","))
                yield (
                    "fkDomain",
                    f"{given} AND {value} <> 0",
                    f"{value} NOT IN ({known} WHERE domain_id IN ({domains}))",
                )
            if row["fkClass"]:
                yield (
                    "fkClass",
                    f"{given} AND {value} <> 0",
                    f"{value} NOT IN ({known} WHERE concept_class_id = '{row['fkClass']}')",
                )
        if row["isStandardValidConcept"] == "Yes":
            yield (
                "isStandardValidConcept",
                f"{given} AND {value} <> 0",
                f"{value} NOT IN ({known} WHERE standard_concept = 'S' AND invalid_reason IS NULL)",
            )
        for name in ("standardConceptRecordCompleteness", "sourceConceptRecordCompleteness"):
            if row[name] == "Yes":
                yield name, given if "unit" in value else "true", f"{value} = 0"

    def _plausible(self, row: dict[str, str], table: str, value: str, given: str) -> Iterator[tuple[str, str, str]]:
        for name, sign in (("plausibleValueLow", "<"), ("plausibleValueHigh", ">")):
            if row[name]:
                yield name, given, f"CAST({value} AS {_type(row[name])}) {sign} {_bound(row[name])}"
        start = "make_date({0}.year_of_birth, coalesce({0}.month_of_birth, 1), coalesce({0}.day_of_birth, 1))"
        if row["plausibleTemporalAfter"] == "Yes" and row["plausibleTemporalAfterTableName"]:
            other = row["plausibleTemporalAfterTableName"].lower()
            before = (
                start.format("t" if table == "person" else "p")
                if other == "person"
                else f"t.{row['plausibleTemporalAfterFieldName'].lower()}"
            )
            yield "plausibleTemporalAfter", given, f"CAST({before} AS DATE) > CAST({value} AS DATE)"
        if row["plausibleAfterBirth"] == "Yes":
            yield (
                "plausibleAfterBirth",
                given,
                f"CAST({value} AS DATE) < {start.format('t' if table == 'person' else 'p')}",
            )
        if row["plausibleStartBeforeEnd"] == "Yes":
            end = f"t.{row['plausibleStartBeforeEndFieldName'].lower()}"
            yield (
                "plausibleStartBeforeEnd",
                f"{given} AND {end} IS NOT NULL",
                f"CAST({value} AS TIMESTAMP) > CAST({end} AS TIMESTAMP)",
            )
        for name in ("plausibleDuringLife", "plausibleBeforeDeath"):
            if row[name] == "Yes" and table not in ("death", "person"):
                yield (
                    name,
                    f"{given} AND d.death_date IS NOT NULL",
                    f"CAST({value} AS DATE) > d.death_date + {_DEATH_GRACE}",
                )
        if row["withinVisitDates"] == "Yes":
            low, high = f"v.visit_start_date - {_VISIT_GRACE}", f"v.visit_end_date + {_VISIT_GRACE}"
            yield "withinVisitDates", given, f"CAST({value} AS DATE) NOT BETWEEN {low} AND {high}"

    def concepts(self) -> Iterator[Checked]:
        """Sexes, units and bounds of the concepts that occur."""
        for row in self._rules("Concept"):
            table, field, concept = row["cdmTableName"].lower(), row["cdmFieldName"].lower(), row["conceptId"]
            if table not in self.names or not self.rows[table]:
                continue
            source = f"FROM {table} t JOIN person p USING (person_id) WHERE t.{field} IN ({concept})"
            if row["plausibleGender"]:
                wrong = f"p.gender_concept_id <> {8507 if row['plausibleGender'].lower() == 'male' else 8532}"
                yield self._concept("plausibleGender", row, source, wrong)
            if row["plausibleGenderUseDescendants"]:
                within = f"SELECT descendant_concept_id FROM concept_ancestor WHERE ancestor_concept_id IN ({concept})"
                below = source.replace(f"IN ({concept})", f"IN ({within})")
                wrong = (
                    f"p.gender_concept_id <> {8507 if row['plausibleGenderUseDescendants'].lower() == 'male' else 8532}"
                )
                yield self._concept("plausibleGenderUseDescendants", row, below, wrong)
            if row["plausibleUnitConceptIds"] and table == "measurement":
                wrong = f"coalesce(t.unit_concept_id, -1) NOT IN ({row['plausibleUnitConceptIds'].replace('-1', 'NULL, -1')})"
                yield self._concept(
                    "plausibleUnitConceptIds", row, f"{source} AND t.value_as_number IS NOT NULL", wrong
                )

    def _concept(self, name: str, row: dict[str, str], source: str, wrong: str) -> Checked:
        violated, concerned = self.con.execute(f"SELECT count(*) FILTER ({wrong}), count(*) {source}").fetchall()[0]
        threshold = float(row[f"{name}Threshold"] or 0)
        return Checked(name, row["cdmTableName"].lower(), row["conceptName"], threshold, int(violated), int(concerned))


def _type(bound: str) -> str:
    return "DATE" if bound.startswith(("'", "DATEADD")) else "DOUBLE"


def _bound(text: str) -> str:
    if text.startswith("DATEADD"):
        return "current_date + 1"
    if text.startswith("'"):
        return f"DATE '{text[1:5]}-{text[5:7]}-{text[7:9]}'"
    return f"year(current_date) + {text.partition('+')[2]}" if text.upper().startswith("YEAR") else text
