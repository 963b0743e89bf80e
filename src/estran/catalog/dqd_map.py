"""Where the tables and fields of OMOP CDM 5.4 are in Estran, and why those that are not are not.

A field is an SQL expression over the relation of its table. What has no field here has a reason: it is said
on the page of the reference that is made from this map (`catalog.dqd_page`).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mapped:
    """`start` and `end` are the dates of the row; `where` picks the rows of the table out of the relation."""

    relation: str
    fields: dict[str, str]
    where: str = "true"
    unique: str = ""  # what must be different in each row, when it is a key of the table
    missing: dict[str, str] = field(default_factory=dict)  # fields without one, and why


_TIMED = "CASE WHEN t.{0}_minute IS NOT NULL THEN t.{0}_date END"
START, END = "t.start_date", "t.end_date"
_NO_TYPE = "Estran keeps the source of each row instead of a type concept."
_NO_PROVIDER = "Who wrote or cared is kept as a role, never as a person."
_AS_WRITTEN = "The word of the source is kept as a local concept, not as a text."
_ATTRIBUTE = "Few facts have it: it is an attribute of the fact, whose rules are not tabulated by field."


def _clinical(prefix: str, kind: str, start: str, end: str = "", *, values: bool = False) -> Mapped:
    """The facts of a kind of concept as one of OMOP's event tables."""
    fields = {
        "person_id": "t.patient_id", f"{prefix}_concept_id": "t.concept_id", "visit_occurrence_id": "t.stay_id",
        f"{start}_date": START, f"{start}_datetime": _TIMED.format("start"),
    }  # fmt: skip
    if end:
        fields |= {f"{end}_date": END, f"{end}_datetime": _TIMED.format("end")}
    if values:
        fields |= {"value_as_number": "t.value", "value_as_concept_id": "t.value_concept", "unit_concept_id": "t.unit"}
    if prefix == "measurement":
        fields |= {"range_low": "t.low", "range_high": "t.high"}
    if prefix == "condition":
        fields["condition_status_concept_id"] = "t.role"
    missing = {
        f"{prefix}_type_concept_id": _NO_TYPE, "provider_id": _NO_PROVIDER, f"{prefix}_source_value": _AS_WRITTEN,
        "quantity": _ATTRIBUTE, "days_supply": _ATTRIBUTE, "refills": _ATTRIBUTE, "route_concept_id": _ATTRIBUTE,
        "sig": _ATTRIBUTE, "route_source_value": _ATTRIBUTE,
        f"{prefix}_source_concept_id": "A local code stays beside its standard one only when there are two.",
        "visit_detail_id": "A fact hangs on its stay; the movement follows from its date.",
    }  # fmt: skip
    return Mapped("fact", fields, f"c.kind = '{kind}' AND t.origin <> 2", missing=missing)


TABLES: dict[str, Mapped] = {
    "PERSON": Mapped(
        "patient",
        {"person_id": "t.patient_id", "gender_concept_id": "nullif(t.sex, 'unknown')", "year_of_birth": "year(t.birth_month)",
         "month_of_birth": "month(t.birth_month)", "location_id": "t.residence_area"},
        unique="t.patient_id",
        missing={
            "day_of_birth": "A birth date never enters the warehouse: month and year only.",
            "birth_datetime": "A birth date never enters the warehouse: month and year only.",
            "race_concept_id": "Not collected: French law forbids it.", "ethnicity_concept_id": "Not collected: French law forbids it.",
            "race_source_value": "Not collected: French law forbids it.", "race_source_concept_id": "Not collected: French law forbids it.",
            "ethnicity_source_value": "Not collected: French law forbids it.",
            "ethnicity_source_concept_id": "Not collected: French law forbids it.",
            "person_source_value": "Hospital numbers stay in the vault.", "provider_id": _NO_PROVIDER,
        },
    ),
    "DEATH": Mapped(
        "patient", {"person_id": "t.patient_id", "death_date": "t.death_date", "death_type_concept_id": "t.death_source"},
        "t.death_date IS NOT NULL", missing={"death_datetime": "A death is known to the day."},
    ),
    "VISIT_OCCURRENCE": Mapped(
        "stay",
        {"visit_occurrence_id": "t.stay_id", "person_id": "t.patient_id", "visit_concept_id": "t.kind", "care_site_id": "t.unit_id",
         "visit_start_date": START, "visit_start_datetime": _TIMED.format("start"), "visit_end_date": END,
         "visit_end_datetime": _TIMED.format("end"), "admitted_from_concept_id": "t.entry_mode",
         "discharged_to_concept_id": "t.exit_mode", "visit_type_concept_id": "t.source"},
        unique="t.stay_id",
        missing={"preceding_visit_occurrence_id": "Stays contain each other; which one came before follows from dates.",
                 "provider_id": _NO_PROVIDER, "visit_source_value": _AS_WRITTEN},
    ),
    "VISIT_DETAIL": Mapped(
        "movement",
        {"visit_detail_id": "t.movement_id", "person_id": "t.patient_id", "visit_occurrence_id": "t.stay_id", "care_site_id": "t.unit_id",
         "visit_detail_concept_id": "t.responsibility", "visit_detail_start_date": START,
         "visit_detail_start_datetime": _TIMED.format("start"), "visit_detail_end_date": END,
         "visit_detail_end_datetime": _TIMED.format("end"), "visit_detail_type_concept_id": "t.source"},
        unique="t.movement_id", missing={"provider_id": _NO_PROVIDER},
    ),
    "CONDITION_OCCURRENCE": _clinical("condition", "diagnosis", "condition_start", "condition_end"),
    "DRUG_EXPOSURE": _clinical("drug", "drug", "drug_exposure_start", "drug_exposure_end"),
    "PROCEDURE_OCCURRENCE": _clinical("procedure", "procedure", "procedure", "procedure_end"),
    "MEASUREMENT": _clinical("measurement", "laboratory", "measurement", values=True),
    "OBSERVATION": _clinical("observation", "observation", "observation", values=True),
    "DEVICE_EXPOSURE": _clinical("device", "device", "device_exposure_start", "device_exposure_end"),
    "NOTE": Mapped(
        "note",
        {"note_id": "t.document_id", "person_id": "t.patient_id", "note_date": START, "note_datetime": _TIMED.format("start"),
         "note_type_concept_id": "t.source", "note_class_concept_id": "t.kind", "note_title": "t.title", "note_text": "t.text",
         "language_concept_id": "t.lang", "visit_occurrence_id": "t.stay_id"},
        unique="t.document_id", missing={"provider_id": _NO_PROVIDER, "encoding_concept_id": "All texts are UTF-8."},
    ),
    "CARE_SITE": Mapped(
        "unit", {"care_site_id": "t.unit_id", "care_site_name": "t.label", "care_site_source_value": "t.code",
                 "place_of_service_concept_id": "t.level"}, unique="t.unit_id",
    ),
    "CONCEPT": Mapped(
        "concept", {"concept_id": "t.concept_id", "concept_name": "coalesce(t.label_en, t.label_fr)", "vocabulary_id": "t.vocabulary",
                    "concept_code": "t.code", "domain_id": "t.kind", "valid_start_date": "t.valid_from", "valid_end_date": "t.valid_to"},
        unique="t.concept_id",
    ),
    "CONCEPT_ANCESTOR": Mapped(
        "concept_ancestor", {"ancestor_concept_id": "t.ancestor_id", "descendant_concept_id": "t.descendant_id",
                             "min_levels_of_separation": "t.distance"},
    ),
    "CONCEPT_SYNONYM": Mapped(
        "concept_synonym", {"concept_id": "t.concept_id", "concept_synonym_name": "t.synonym", "language_concept_id": "t.lang"},
    ),
}  # fmt: skip

_DERIVED = "Computed from other tables by OMOP; Estran computes such periods when they are asked for."
_MONEY = "Money is not part of the warehouse."
_VOCABULARIES = "Vocabularies are kept in the tables concept, concept_ancestor, concept_synonym and concept_map only."
ABSENT: dict[str, str] = {
    "CONDITION_ERA": _DERIVED, "DRUG_ERA": _DERIVED, "DOSE_ERA": _DERIVED, "OBSERVATION_PERIOD": _DERIVED,
    "COST": _MONEY, "PAYER_PLAN_PERIOD": _MONEY, "PROVIDER": _NO_PROVIDER,
    "LOCATION": "An address never enters the warehouse: the area of residence is a column of the patient.",
    "CDM_SOURCE": "Each load is a row of the table load.", "METADATA": "Each load is a row of the table load.",
    "COHORT": "Cohorts are questions, kept in the application's database.",
    "COHORT_DEFINITION": "Cohorts are questions, kept in the application's database.",
    "NOTE_NLP": "What a text says is a fact of its document, with origin text.",
    "FACT_RELATIONSHIP": "Facts are grouped by parent_fact_no, patients by relation.",
    "EPISODE": "An episode is a fact.", "EPISODE_EVENT": "An episode is a fact.",
    "SPECIMEN": "A specimen is an attribute of the facts read on it.",
    "VOCABULARY": _VOCABULARIES, "DOMAIN": _VOCABULARIES, "CONCEPT_CLASS": _VOCABULARIES, "RELATIONSHIP": _VOCABULARIES,
    "CONCEPT_RELATIONSHIP": _VOCABULARIES, "SOURCE_TO_CONCEPT_MAP": _VOCABULARIES, "DRUG_STRENGTH": _VOCABULARIES,
}  # fmt: skip
# Which alias of a relation proves that a reference leads somewhere.
REFERENCES: dict[tuple[str, str], str] = {
    **{(relation, "PERSON"): "p.patient_id" for relation in ("stay", "movement", "fact", "note")},
    **{(relation, "VISIT_OCCURRENCE"): "s.stay_id" for relation in ("movement", "fact", "note")},
    **{(relation, "CARE_SITE"): "u.unit_id" for relation in ("stay", "movement")},
    ("fact", "CONCEPT"): "c.concept_id",
    ("concept_synonym", "CONCEPT"): "c.concept_id",
}
CODED = {"t.concept_id"}  # fields that hold a concept of Estran, and not a word of a closed list
