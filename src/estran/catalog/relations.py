"""The relations that checks look at: a table, and what of other tables it is joined with.

`t` is the row under check; `p` its patient, `s` its stay, `c` its concept, `u` its unit, `d` its document.
`columns` name the row to whoever may read it: pseudonymous numbers, dates, and what is wrong with it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Relation:
    """`source` is the FROM clause; `patient` the expression of the patient, "" when no patient is concerned."""

    source: str
    columns: tuple[str, ...]
    patient: str = "t.patient_id"


_P = "LEFT JOIN patient p ON p.patient_id = t.patient_id"
_S = "LEFT JOIN stay s ON s.stay_id = t.stay_id"
_U = "LEFT JOIN unit u ON u.unit_id = t.unit_id"
_D = "LEFT JOIN document d ON d.document_id = t.document_id"
_SPAN = ("t.start_date", "t.end_date")

RELATIONS: dict[str, Relation] = {
    "patient": Relation("patient t", ("t.patient_id", "t.sex", "t.birth_month", "t.death_date")),
    "stay": Relation(f"stay t {_P} {_U}", ("t.patient_id", "t.stay_id", "t.kind", *_SPAN, "t.source")),
    # Each inpatient stay with the next one of the same patient.
    "next_stay": Relation(
        """(SELECT *, lead(start_date) OVER w AS next_start, lead(stay_id) OVER w AS next_id FROM stay
            WHERE kind = 'venue' AND parent_stay IS NULL AND start_date IS NOT NULL
            WINDOW w AS (PARTITION BY patient_id ORDER BY start_date, coalesce(end_date, start_date), stay_id)) t""",
        ("t.patient_id", "t.stay_id", *_SPAN, "t.next_id", "t.next_start"),
    ),
    "stay_documents": Relation(
        """(SELECT s.*, n.documents, n.summaries FROM stay s LEFT JOIN (
            SELECT stay_id, count(*) AS documents, count(*) FILTER (kind = 'pmsi') AS summaries FROM document
            WHERE stay_id IS NOT NULL GROUP BY stay_id) n USING (stay_id)) t""",
        ("t.patient_id", "t.stay_id", "t.kind", *_SPAN, "t.source"),
    ),
    "movement": Relation(
        f"movement t {_P} {_S} {_U}", ("t.patient_id", "t.stay_id", *_SPAN, "s.start_date AS stay_start", "s.end_date AS stay_end", "t.source")
    ),
    "document": Relation(
        f"document t {_P} {_S} {_U}", ("t.patient_id", "t.document_id", "t.kind", "t.start_date", "p.death_date", "t.source")
    ),
    "note": Relation(
        f"(SELECT x.text, d.* FROM text x JOIN document d ON d.document_id = x.document_id) t {_P} {_S}",
        ("t.patient_id", "t.document_id", "t.kind", "t.start_date", "t.source"),
    ),
    "writing": Relation(
        "(SELECT d.*, x.document_id AS written FROM document d LEFT JOIN text x ON x.document_id = d.document_id "
        "WHERE d.kind IN ('discharge', 'consultation', 'operative', 'letter', 'emergency', 'pathology', 'imaging')) t",
        ("t.patient_id", "t.document_id", "t.kind", "t.start_date", "t.source"),
    ),
    "fact": Relation(
        f"fact t {_P} {_S} LEFT JOIN concept c ON c.concept_id = t.concept_id",
        ("t.patient_id", "t.document_id", "t.stay_id", "c.vocabulary || ':' || c.code AS concept", *_SPAN, "t.value", "t.unit",
         "s.start_date AS stay_start", "s.end_date AS stay_end", "p.death_date"),
    ),
    # Distinct codes as sources send them, with the concept they came to stand for.
    "code": Relation(
        "(SELECT DISTINCT coalesce(local_concept_id, concept_id) AS code, concept_id FROM fact_by_concept WHERE origin <> 2) t "
        "LEFT JOIN concept c ON c.concept_id = t.concept_id",
        ("t.code", "c.vocabulary || ':' || c.code AS concept"), patient="",
    ),
    "unit": Relation("unit t LEFT JOIN unit u ON u.unit_id = t.parent", ("t.unit_id", "t.code", "t.label"), patient=""),
    "concept": Relation("concept t", ("t.concept_id", "t.vocabulary", "t.code"), patient=""),
    "concept_ancestor": Relation(
        "concept_ancestor t LEFT JOIN concept a ON a.concept_id = t.ancestor_id "
        "LEFT JOIN concept c ON c.concept_id = t.descendant_id", ("t.ancestor_id", "t.descendant_id"), patient="",
    ),
    "concept_synonym": Relation(
        "concept_synonym t LEFT JOIN concept c ON c.concept_id = t.concept_id", ("t.concept_id", "t.synonym"), patient=""
    ),
}  # fmt: skip
