"""The questions that are timed: as a person types them, and in SQL for the peers."""

from __future__ import annotations

from dataclasses import dataclass, field

# Frequent and less frequent concepts of the generator's law, none of them a favourite of the bitmaps:
# together the fifty concepts hold about 5 % of all facts.
EITHER = tuple(range(20, 520, 20))  # A1 ... A25
ALSO = tuple(range(10, 410, 20))  # B1 ... B20
NEVER = (600, 700, 800, 900, 1000)  # C1 ... C5
MEASURED, ABOVE, FIRST_DAY, LAST_DAY = 10, 120.0, "2015-01-01", "2019-12-31"
BEFORE, AFTER, DAYS = 15, 10, 30


@dataclass(frozen=True)
class Question:
    """`text` for Estran; `sql` counts patients from tables fact(...), patient(...), wanted(side, concept_id)."""

    name: str
    title: str
    text: str
    sql: str
    target_ms: float | None = None
    wanted: dict[str, tuple[int, ...]] = field(default_factory=dict)


def _code(number: int) -> str:
    return f"BENCH:C{number:05d}"


def _any(numbers: tuple[int, ...]) -> str:
    return "(" + " OR ".join(map(_code, numbers)) + ")"


BOOLEAN = Question(
    "boolean",
    "Boolean cohort of 50 concepts: (A1 or … A25) and (B1 or … B20) and not (C1 or … C5)",
    f"{_any(EITHER)} AND {_any(ALSO)} AND NOT {_any(NEVER)}",
    """SELECT count(*) FROM (
         SELECT patient_id FROM fact JOIN wanted USING (concept_id) GROUP BY patient_id
         HAVING bool_or(side = 'a') AND bool_or(side = 'b') AND NOT bool_or(side = 'c')) found""",
    5,
    {"a": EITHER, "b": ALSO, "c": NEVER},
)


def another_boolean(number: int) -> str:
    """The Boolean cohort over fifty other concepts of about the same frequency."""
    moved = [tuple(c + number for c in group) for group in (EITHER, ALSO, NEVER)]
    return f"{_any(moved[0])} AND {_any(moved[1])} AND NOT {_any(moved[2])}"


VALUE = Question(
    "value",
    "A value and a date: one laboratory concept above 120 between 2015 and 2019",
    f"{_code(MEASURED)} > {ABOVE:g} [{FIRST_DAY}..{LAST_DAY}]",
    f"""SELECT count(DISTINCT patient_id) FROM fact WHERE concept_id = {MEASURED} AND value > {ABOVE}
        AND start_date BETWEEN DATE '{FIRST_DAY}' AND DATE '{LAST_DAY}'""",
    30,
)
SEQUENCE = Question(
    "sequence",
    f"B within {DAYS} days after A",
    f"{_code(BEFORE)} PUIS {_code(AFTER)} [0..{DAYS} jours]",
    f"""SELECT count(DISTINCT a.patient_id) FROM fact a JOIN fact b ON a.patient_id = b.patient_id
        AND b.start_date BETWEEN a.start_date AND a.start_date + {DAYS}
        WHERE a.concept_id = {BEFORE} AND b.concept_id = {AFTER}""",
    200,
)
COUNTED = (BOOLEAN, VALUE, SEQUENCE)


def breakdown_sql(day: str, divide: str) -> str:
    """Sex and age band of the Boolean cohort on the date of its first A; `divide` is whole division."""
    months = "((extract(year FROM first) - extract(year FROM birth_month)) * 12 + extract(month FROM first) - extract(month FROM birth_month))"
    age = f"CAST(floor({months} / 12.0) AS integer)"
    return f"""WITH hits AS (
          SELECT patient_id, min(CASE WHEN side = 'a' THEN start_date END) AS first
          FROM fact JOIN wanted USING (concept_id) GROUP BY patient_id
          HAVING bool_or(side = 'a') AND bool_or(side = 'b') AND NOT bool_or(side = 'c'))
        SELECT sex, least(greatest({age}, 0) {divide} 10 * 10, 90) AS band, count(*)
        FROM hits JOIN patient USING (patient_id) GROUP BY 1, 2 ORDER BY 1, 2"""
