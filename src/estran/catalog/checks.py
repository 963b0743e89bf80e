"""Estran's own checks, in the three categories of Kahn et al. 2016 (doi:10.13063/2327-9214.1244).

A check counts, among the rows where `applies` holds, those where `violates` does; it fails when they are more than
`threshold` percent. Thresholds are Estran's defaults: what is impossible has 0, what happens has what a
data centre would want to look at. The rules of OHDSI are in `dqd`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Category(StrEnum):
    """Kahn's categories."""

    CONFORMANCE = "conformance"  # values follow the model: they refer to something, codes and units are of the list
    COMPLETENESS = "completeness"  # what should be there is
    PLAUSIBILITY = "plausibility"  # what is there can be believed
    TEMPORAL = "temporal"  # plausibility of dates


@dataclass(frozen=True)
class Check:
    """One rule. `subject` is the table that it speaks of, `origin` who wrote it, `about` what it is told with."""

    key: str
    category: Category
    relation: str
    applies: str
    violates: str
    threshold: float
    origin: str = "estran"
    about: tuple[str, ...] = ()
    rule: int | None = None  # when it is of one concept: its row in the table of rules


C, K, P, T = Category.CONFORMANCE, Category.COMPLETENESS, Category.PLAUSIBILITY, Category.TEMPORAL

_LIVE = "t.status NOT IN (5, 6) AND t.context = 0"
_CODES = "c.vocabulary IN ('CIM10', 'ICD10CM', 'ICD10') AND {codes} AND p.sex IN ('female', 'male')"
# Categories limited to one sex: ICD-10, volume 2 (instruction manual), "Categories limited to, or more likely to
# occur in, female (male) persons", as whole three-character categories.
_FEMALE = (
    "(substr(c.code, 1, 3) BETWEEN 'O00' AND 'O99' OR substr(c.code, 1, 3) BETWEEN 'C51' AND 'C58' "
    "OR substr(c.code, 1, 3) BETWEEN 'D25' AND 'D28' OR substr(c.code, 1, 3) BETWEEN 'N70' AND 'N98' "
    "OR substr(c.code, 1, 3) BETWEEN 'Q50' AND 'Q52' OR substr(c.code, 1, 3) IN ('D06', 'E28', 'F53', 'Z34', 'Z35', 'Z39'))"
)
_MALE = (
    "(substr(c.code, 1, 3) BETWEEN 'C60' AND 'C63' OR substr(c.code, 1, 3) BETWEEN 'N40' AND 'N51' "
    "OR substr(c.code, 1, 3) BETWEEN 'Q53' AND 'Q55' OR substr(c.code, 1, 3) IN ('D29', 'E29'))"
)
_WITHIN = "s.start_date IS NOT NULL AND t.start_date IS NOT NULL AND t.precision >= 2"
_OUTSIDE = "t.start_date < s.start_date - {days} OR t.start_date > s.end_date + {days}"

CHECKS: tuple[Check, ...] = (
    # Conformance
    Check("sex-of-list", C, "patient", "true", "t.sex NOT IN ('female', 'male', 'other', 'unknown')", 0),
    Check("stay-unit-known", C, "stay", "t.unit_id IS NOT NULL", "u.unit_id IS NULL", 0),
    Check("movement-stay-known", C, "movement", "true", "s.stay_id IS NULL", 1),
    Check("movement-unit-known", C, "movement", "t.unit_id IS NOT NULL", "u.unit_id IS NULL", 0),
    Check("document-stay-known", C, "document", "t.stay_id IS NOT NULL", "s.stay_id IS NULL", 1),
    Check("fact-stay-known", C, "fact", "t.stay_id IS NOT NULL", "s.stay_id IS NULL", 1),
    Check("fact-concept-known", C, "fact", "true", "c.concept_id IS NULL", 0),
    Check("fact-standard-code", C, "fact", "t.origin <> 2", "c.vocabulary LIKE 'LOCAL%'", 20),
    Check("unit-parent-known", C, "unit", "t.parent IS NOT NULL", "u.unit_id IS NULL", 0),
    # Completeness
    Check("sex-known", K, "patient", "true", "t.sex = 'unknown'", 2),
    Check("birth-known", K, "patient", "true", "t.birth_month IS NULL", 2),
    Check("residence-known", K, "patient", "true", "t.residence_area IS NULL", 20),
    Check("stay-dated", K, "stay", "true", "t.start_date IS NULL", 0),
    Check("stay-kind-known", K, "stay", "true", "t.kind IS NULL", 5),
    Check("stay-ended", K, "stay", "t.kind = 'venue' AND t.start_date < {today} - 180", "t.end_date IS NULL", 1),
    Check("stay-in-ward", K, "stay", "t.kind = 'venue'", "t.unit_id IS NULL", 10),
    Check("stay-documented", K, "stay_documents", "t.kind = 'venue' AND t.end_date < {today} - 60", "t.documents IS NULL", 5),
    Check("stay-coded", K, "stay_documents", "t.kind = 'venue' AND t.end_date < {today} - 60 AND {pmsi}",
          "coalesce(t.summaries, 0) = 0", 5),
    Check("report-has-text", K, "writing", "true", "t.written IS NULL", 10),
    Check("fact-dated", K, "fact", "true", "t.start_date IS NULL", 1),
    Check("value-has-unit", K, "fact", "c.kind = 'laboratory' AND t.value IS NOT NULL", "t.unit IS NULL", 10),
    # Plausibility
    Check("age-possible", P, "patient", "t.birth_month IS NOT NULL",
          "date_diff('year', t.birth_month, coalesce(t.death_date, {today})) > 120", 0),
    Check("female-code", P, "fact", _LIVE + " AND " + _CODES.format(codes=_FEMALE), "p.sex = 'male'", 0.1),
    Check("male-code", P, "fact", _LIVE + " AND " + _CODES.format(codes=_MALE), "p.sex = 'female'", 0.1),
    Check("limits-in-order", P, "fact", "t.low IS NOT NULL AND t.high IS NOT NULL", "t.low > t.high", 0),
    Check("value-not-negative", P, "fact", "c.kind = 'laboratory' AND t.value IS NOT NULL", "t.value < 0", 1),
    Check("percentage-in-range", P, "fact", "t.unit = '%' AND t.value IS NOT NULL", "t.value NOT BETWEEN 0 AND 100", 1),
    # A value a hundred times beyond its own limits is a matter of units, not of disease.
    Check("value-near-limits", P, "fact", "t.value IS NOT NULL AND (t.high > 0 OR t.low > 0)",
          "coalesce(t.value > 100 * t.high, false) OR coalesce(t.low > 0 AND t.value < t.low / 100, false)", 0.5),
    # Dates
    Check("birth-not-future", T, "patient", "t.birth_month IS NOT NULL", "t.birth_month > {today}", 0),
    Check("death-after-birth", T, "patient", "t.death_date IS NOT NULL AND t.birth_month IS NOT NULL",
          "t.death_date < t.birth_month", 0),
    Check("death-not-future", T, "patient", "t.death_date IS NOT NULL", "t.death_date > {today}", 0),
    Check("stay-ends-after-start", T, "stay", "t.start_date IS NOT NULL AND t.end_date IS NOT NULL",
          "t.end_date < t.start_date OR (t.end_date = t.start_date AND t.precision >= 4 AND t.end_minute < t.start_minute)", 0),
    Check("stay-not-future", T, "stay", "t.start_date IS NOT NULL AND t.status <> 'planned'", "t.start_date > {today} + 1", 0),
    Check("stay-after-birth", T, "stay", "t.start_date IS NOT NULL AND p.birth_month IS NOT NULL",
          "t.start_date < p.birth_month", 0),
    Check("stay-before-death", T, "stay", "t.start_date IS NOT NULL AND p.death_date IS NOT NULL",
          "t.start_date > p.death_date + 1", 0.5),
    Check("stay-not-endless", T, "stay", "t.kind = 'venue' AND t.end_date IS NOT NULL", "t.end_date > t.start_date + 365", 0.5),
    Check("stays-apart", T, "next_stay", "t.next_id IS NOT NULL AND t.end_date IS NOT NULL", "t.next_start < t.end_date", 1),
    Check("movement-ends-after-start", T, "movement", "t.start_date IS NOT NULL AND t.end_date IS NOT NULL",
          "t.end_date < t.start_date", 0),
    Check("movement-within-stay", T, "movement", "s.start_date IS NOT NULL AND t.start_date IS NOT NULL",
          "t.start_date < s.start_date OR t.start_date > s.end_date OR t.end_date > s.end_date", 1),
    Check("document-not-future", T, "document", "t.start_date IS NOT NULL", "t.start_date > {today} + 1", 0.1),
    Check("document-after-birth", T, "document", "t.start_date IS NOT NULL AND p.birth_month IS NOT NULL",
          "t.start_date < p.birth_month", 0),
    Check("fact-not-future", T, "fact", "t.start_date IS NOT NULL AND t.context & 32 = 0 AND t.status <> 2",
          "t.start_date > {today} + 1", 0.1),
    Check("fact-after-birth", T, "fact", "t.start_date IS NOT NULL AND p.birth_month IS NOT NULL AND t.context & 4 = 0",
          "t.start_date < p.birth_month", 0),
    Check("fact-before-death", T, "fact", "t.start_date IS NOT NULL AND p.death_date IS NOT NULL AND t.context & 4 = 0",
          "t.start_date > p.death_date + 30", 1),
    Check("fact-within-stay", T, "fact", _WITHIN + " AND t.context & 8 = 0", _OUTSIDE.format(days=1), 5),
    Check("fact-ends-after-start", T, "fact", "t.start_date IS NOT NULL AND t.end_date IS NOT NULL",
          "t.end_date < t.start_date", 0),
)  # fmt: skip
