"""The tables of the OMOP common data model 5.3 and 5.4, and what becomes of each.

Columns are named as in 5.4; `RENAMED` gives the 5.3 names that differ. A column that a file does
not have is read as empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from estran.model.codes import DocumentKind, Origin

# Every table, in reading order: a table's place numbers its records, so it never changes.
ORDER = (
    "cdm_source", "vocabulary", "domain", "concept_class", "relationship", "concept", "concept_ancestor",
    "concept_synonym", "concept_relationship", "source_to_concept_map", "care_site", "person", "death",
    "visit_occurrence", "visit_detail", "observation_period", "condition_occurrence", "drug_exposure",
    "procedure_occurrence", "measurement", "observation", "device_exposure", "specimen", "note", "episode",
    "condition_era", "drug_era", "dose_era", "payer_plan_period", "cost", "provider", "location", "drug_strength",
    "fact_relationship", "episode_event", "note_nlp", "cohort", "cohort_definition", "cohort_attribute",
    "attribute_definition", "metadata",
)  # fmt: skip
PLACE = {name: place for place, name in enumerate(ORDER)}

# Tables that have no place in the warehouse, with the reason that quarantine shows.
UNREAD = {
    "payer_plan_period": "insurance plans have no place in the warehouse",
    "cost": "costs have no place in the warehouse",
    "provider": "a provider is a named professional",
    "location": "an address could lead back to a person",
    "drug_strength": "doses are read from the exposures only",
    "fact_relationship": "links between facts of two tables are not followed",
    "episode_event": "links from an episode to its events are not followed",
    "note_nlp": "texts are analysed again by Estran",
    "cohort": "cohorts are questions to ask again, not data",
    "cohort_definition": "cohorts are questions to ask again, not data",
    "cohort_attribute": "cohorts are questions to ask again, not data",
    "attribute_definition": "cohorts are questions to ask again, not data",
    "metadata": "notes about the database hold no clinical fact",
}

# A column that only this table has: it tells a table whose file name does not.
KEYS = {
    "cdm_source": "cdm_source_name", "vocabulary": "vocabulary_reference", "domain": "domain_concept_id",
    "concept_class": "concept_class_concept_id", "relationship": "is_hierarchical", "concept": "concept_code",
    "concept_ancestor": "ancestor_concept_id", "concept_synonym": "concept_synonym_name",
    "concept_relationship": "concept_id_1", "source_to_concept_map": "source_code_description",
    "care_site": "care_site_name", "person": "year_of_birth", "death": "death_date",
    "visit_occurrence": "visit_start_date", "visit_detail": "visit_detail_start_date",
    "observation_period": "observation_period_id", "condition_occurrence": "condition_occurrence_id",
    "drug_exposure": "drug_exposure_id", "procedure_occurrence": "procedure_occurrence_id",
    "measurement": "measurement_id", "observation": "observation_id", "device_exposure": "device_exposure_id",
    "specimen": "specimen_date", "note": "note_text", "episode": "episode_number",
    "condition_era": "condition_era_id", "drug_era": "drug_era_id", "dose_era": "dose_era_id",
}  # fmt: skip

# 5.4 name → 5.3 name, where they differ.
RENAMED = {
    "admitted_from_concept_id": "admitting_source_concept_id",
    "admitted_from_source_value": "admitting_source_value",
    "discharged_to_concept_id": "discharge_to_concept_id",
    "discharged_to_source_value": "discharge_to_source_value",
    "parent_visit_detail_id": "visit_detail_parent_id",
}


@dataclass(frozen=True)
class Attribute:
    """A column kept beside a fact: a number, a concept id or a text."""

    code: str  # of the vocabulary ESTRAN
    label: str
    column: str
    form: str = "number"  # number, concept, text


@dataclass(frozen=True)
class FactTable:
    """A table each row of which is one document with one fact."""

    name: str
    key: str
    kind: DocumentKind
    title: str
    concept_kind: str
    start: str
    concept: str | None = None  # None: the fact's code is ESTRAN:<table>
    start_time: str | None = None
    end: str | None = None
    end_time: str | None = None
    source_concept: str | None = None
    source_value: str | None = None
    number: str | None = None
    value_concept: str | None = None
    texts: tuple[str, ...] = ()  # the first filled one is the value as text
    operator: str | None = None
    unit_concept: str | None = None
    unit_source: str | None = None
    low: str | None = None
    high: str | None = None
    status: tuple[str, dict[int, int], int] | None = None  # column, status by concept, otherwise
    role: tuple[str, dict[int, str]] | None = None  # column, role by concept
    role_words: tuple[str, frozenset[str]] | None = None  # column of the source's own word, words taken as they are
    visit: bool = True
    origin: Origin = Origin.CODED
    attributes: tuple[Attribute, ...] = ()

    def columns(self) -> set[str]:
        """Every column that is read."""
        single = (
            self.key, self.start, self.concept, self.start_time, self.end, self.end_time, self.source_concept,
            self.source_value, self.number, self.value_concept, self.operator, self.unit_concept, self.unit_source,
            self.low, self.high, self.status and self.status[0], self.role and self.role[0],
            self.role_words and self.role_words[0],
        )  # fmt: skip
        several = (*self.texts, *(a.column for a in self.attributes), "person_id", "visit_occurrence_id")
        return {column for column in (*single, *several) if column}

    def forms(self) -> dict[str, pa.DataType]:
        """What each column that is not text should hold."""
        kinds = {
            a.column: pa.float64() if a.form == "number" else pa.int64() for a in self.attributes if a.form != "text"
        }
        whole = (
            "person_id", "visit_occurrence_id", self.key, self.concept, self.source_concept, self.value_concept,
            self.operator, self.unit_concept, self.status and self.status[0], self.role and self.role[0],
        )  # fmt: skip
        for columns, form in (
            (whole, pa.int64()),
            ((self.number, self.low, self.high), pa.float64()),
            ((self.start, self.end), pa.date32()),
            ((self.start_time, self.end_time), pa.timestamp("us")),
        ):
            kinds |= {column: form for column in columns if column}
        return kinds
