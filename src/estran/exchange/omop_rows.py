"""Each clinical table of OMOP CDM 5.4 as SQL over the relations of a holding, part by part.

Where the model says nothing, OHDSI's conventions for CDM 5.4 do (https://ohdsi.github.io/CommonDataModel/cdm54.html): a
stay that has not ended ends on the day of the extraction; what has no standard concept has 0 and its source concept; a
diagnosis, act or drug read in a text has the type NLP.
"""

from __future__ import annotations

from collections.abc import Callable

from estran.exchange.cdm import conform
from estran.exchange.holding import Holding, wall
from estran.model.codes import Context, FactStatus, Origin, Precision
from estran.sources.omop.stays import STILL_HERE

_EHR, _NLP, _NOTE_TYPE, _UTF8 = 32817, 32858, 32831, 32678
_DRUG_TYPES = {FactStatus.ORDERED: 32838, FactStatus.DISPENSED: 32825, FactStatus.GIVEN: 32818}
_OPERATORS = (4172703, 4171756, 4171754, 4172704, 4171755)  # =, <, <=, >, >=: the order of codes.Comparator
_ROUTES = {"PO": 4132161, "IV": 4171047, "SC": 4142048, "IM": 4302612}  # HL7 v2 table 0162
_STATUSES = {"DP": 32902, "principal": 32902, "DAS": 32908, "DAD": 32908, "associated": 32908, "cause of death": 32891}
# Modes of entry and exit of the PMSI: home, another hospital or ward.
_MODES = {"8": 8536, "7": 8717, "6": 8717}
_VISITS = {
    "venue": 9201,
    "emergency": 9203,
    "consultation": 9202,
    "session": 9202,
    "had": 8536,
    "psy": 8971,
    "smr": 8920,
}
TABLE_OF = {
    "Condition": "condition_occurrence", "Drug": "drug_exposure", "Procedure": "procedure_occurrence",
    "Measurement": "measurement", "Device": "device_exposure", "Observation": "observation",
}  # fmt: skip


def _stamp(date: str, minute: str, clock: str) -> str:
    """A datetime. A true midnight is a microsecond later: a bare one says, in OMOP, that the time is not known."""
    return f"{wall(date, minute, clock)} + to_microseconds(CASE WHEN {minute} = 0 THEN 1 ELSE 0 END)"


def _start(alias: str) -> str:
    """The datetime of a start: a day without a time is its midnight, what is known by its month only has none."""
    midnight = f"CASE WHEN {alias}.precision >= {int(Precision.DAY)} THEN CAST({alias}.start_date AS TIMESTAMP) END"
    return f"coalesce({_stamp(f'{alias}.start_date', f'{alias}.start_minute', 'b')}, {midnight})"


def _case(value: str, words: dict[str, int], otherwise: str = "0") -> str:
    whens = " ".join(f"WHEN '{word}' THEN {number}" for word, number in words.items())
    return f"CASE {value} {whens} ELSE {otherwise} END"


# Why a fact has no place. The first reason that holds is told.
REASONS = f"""
CASE WHEN w.person IS NULL THEN 'of a patient who has no row in person'
     WHEN k.concept IS NULL THEN 'its code is unknown'
     WHEN f.origin = {int(Origin.DERIVED)} THEN 'computed from other facts'
     WHEN f.status IN ({int(FactStatus.NOT_GIVEN)}, {int(FactStatus.CANCELLED)}) THEN 'not done: the tables hold what happened'
     WHEN f.context <> {int(Context.AFFIRMED)} THEN 'negated, hypothetical, of the family or of the past'
     WHEN f.start_date IS NULL THEN 'no date' END"""
_JOINS = "LEFT JOIN who w USING (person) LEFT JOIN known k ON k.concept = f.concept"
PLACES = f"SELECT coalesce({REASONS}, ''), count(*) FROM h_fact f {_JOINS} GROUP BY ALL"
LOST = f"""
SELECT count(*) FILTER (f.local IS NOT NULL AND NOT k.standard) AS "a local code beside one that is not standard in OMOP",
       count(*) FILTER (f.value_concept IS NOT NULL AND NOT coalesce(v.standard, false)) AS "a coded value that is not standard in OMOP: kept as text",
       count(*) FILTER (length(f.value_text) > 50) AS "a value as text beyond 50 characters: cut",
       count(*) FILTER (f.parent IS NOT NULL) AS "the fact that it hangs from",
       count(*) FILTER (f.precision < 2) AS "a date known by its month or year only: told as its first day",
       count(*) FILTER (f.value IS NOT NULL AND k.domain IN ('Condition', 'Procedure', 'Device')) AS "a number that the table has no column for",
       count(*) FILTER (f.role IS NOT NULL AND k.domain NOT IN ('Condition', 'Drug')) AS "a role that the table has no column for"
FROM h_fact f {_JOINS} LEFT JOIN known v ON v.concept = f.value_concept WHERE {REASONS} IS NULL"""


def prepare(holding: Holding) -> None:
    """Temporary tables: `who` is exported, the stays that are (`visited`), areas with a number (`place_of`)."""
    con = holding.connection
    con.execute("CREATE TEMP TABLE who AS SELECT person FROM h_person WHERE birth_year IS NOT NULL")
    con.execute(
        "CREATE TEMP TABLE visited AS SELECT stay FROM h_stay SEMI JOIN who USING (person) WHERE start_date IS NOT NULL"
    )
    con.execute("""CREATE TEMP TABLE place_of AS SELECT area, row_number() OVER (ORDER BY area) AS location_id
                   FROM (SELECT DISTINCT area FROM h_person SEMI JOIN who USING (person) WHERE area IS NOT NULL)""")


# Tables that are written whole


def whole(holding: Holding) -> dict[str, tuple[str, str]]:
    """Table → the relation whose rows it holds ("" for none), and its query."""
    return {
        "location": ("", conform("location", {"location_id": "location_id", "location_source_value": "area"},
                                 "FROM place_of ORDER BY 1")),
        "care_site": ("unit", conform("care_site", {
            "care_site_id": "unit + 1", "care_site_name": "coalesce(label, code)", "care_site_source_value": "code",
            "place_of_service_concept_id": "0", "place_of_service_source_value": "level",
        }, "FROM h_unit ORDER BY 1")),
        "person": ("person", conform("person", {
            "person_id": "p.person", "gender_concept_id": _case("p.sex", {"male": 8507, "female": 8532}), "year_of_birth": "p.birth_year",
            "month_of_birth": "p.birth_month", "race_concept_id": "0", "ethnicity_concept_id": "0", "location_id": "a.location_id",
            "person_source_value": "p.source", "gender_source_value": "p.sex", "gender_source_concept_id": "0",
        }, "FROM h_person p SEMI JOIN who USING (person) LEFT JOIN place_of a USING (area) ORDER BY 1")),
        "death": ("death", conform("death", {
            "person_id": "person", "death_date": "death_date", "death_type_concept_id": str(_EHR),
        }, "FROM h_person SEMI JOIN who USING (person) WHERE death_date IS NOT NULL ORDER BY 1")),
        "cdm_source": ("", _source(holding)),
    }  # fmt: skip


def _source(holding: Holding) -> str:
    name, holder = (text.replace("'", "''") for text in (holding.name, holding.holder))
    day = f"DATE '{holding.released}'"
    return conform("cdm_source", {
        "cdm_source_name": f"'{name}'", "cdm_source_abbreviation": f"'{name}'", "cdm_holder": f"'{holder}'",
        "source_description": f"'Estran, snapshot {holding.snapshot}'", "cdm_etl_reference": "'Estran, docs/reference/exports.md'",
        "source_release_date": day, "cdm_release_date": day, "cdm_version": "'v5.4'", "cdm_version_concept_id": "756265",
        "vocabulary_version": "'Estran'",
    }, "FROM (SELECT 1)")  # fmt: skip


# Tables that are written part by part: `offset` is the number of rows written before


Part = Callable[[Holding, int, int], str]


def visits(holding: Holding, part: int, offset: int) -> str:
    """The stays: their own number, one more than the warehouse's."""
    going = f"CASE WHEN s.end_date IS NULL THEN '{STILL_HERE}' ELSE s.exit_mode END"
    return conform("visit_occurrence", {
        "visit_occurrence_id": "s.stay + 1", "person_id": "s.person", "visit_concept_id": _case("s.kind", _VISITS),
        "visit_start_date": "s.start_date", "visit_start_datetime": _start("s"),
        "visit_end_date": _end("s", holding), "visit_end_datetime": _stamp("s.end_date", "s.end_minute", "e"),
        "visit_type_concept_id": str(_EHR), "care_site_id": "u.unit + 1", "visit_source_value": "s.kind",
        "visit_source_concept_id": "0",
        "admitted_from_concept_id": f"CASE WHEN s.entry_mode IS NOT NULL THEN {_case('s.entry_mode', _MODES)} END", "admitted_from_source_value": "s.entry_mode",
        "discharged_to_concept_id": f"CASE WHEN {going} IS NOT NULL THEN {_case('s.exit_mode', _MODES)} END", "discharged_to_source_value": going,
    }, f"FROM h_stay s SEMI JOIN visited v USING (stay) LEFT JOIN h_unit u ON u.unit = s.unit {_clocks('s')} "
       f"WHERE s.part = {part} ORDER BY 1")  # fmt: skip


def details(holding: Holding, part: int, offset: int) -> str:
    """The movements within stays."""
    rows = f"""FROM (SELECT m.*, s.kind, s.end_date AS stay_end, row_number() OVER (ORDER BY m.person, m.start_date, m.start_minute, m.movement) AS n
        FROM h_movement m SEMI JOIN visited v USING (stay) JOIN h_stay s ON s.stay = m.stay AND s.part = m.part
        WHERE m.part = {part} AND m.start_date IS NOT NULL) m
        LEFT JOIN h_unit u ON u.unit = m.unit {_clocks("m")} ORDER BY 1"""
    return conform("visit_detail", {
        "visit_detail_id": f"{offset} + m.n", "person_id": "m.person", "visit_detail_concept_id": _case("m.kind", _VISITS),
        "visit_detail_start_date": "m.start_date", "visit_detail_start_datetime": _stamp("m.start_date", "m.start_minute", "b"),
        "visit_detail_end_date": f"coalesce(m.end_date, greatest(m.stay_end, m.start_date), greatest(m.start_date, DATE '{holding.released}'))",
        "visit_detail_end_datetime": _stamp("m.end_date", "m.end_minute", "e"), "visit_detail_type_concept_id": str(_EHR),
        "care_site_id": "u.unit + 1", "visit_detail_source_value": "m.responsibility", "visit_detail_source_concept_id": "0",
        "visit_occurrence_id": "m.stay + 1",
    }, rows)  # fmt: skip


def notes(holding: Holding, part: int, offset: int) -> str:
    """The de-identified texts of dated documents."""
    rows = f"""FROM (SELECT n.*, row_number() OVER (ORDER BY n.person, n.document) AS n FROM h_note n SEMI JOIN who USING (person)
        WHERE n.part = {part} AND n.start_date IS NOT NULL AND n.text IS NOT NULL) n
        LEFT JOIN visited v USING (stay) LEFT JOIN clock b ON b.day = n.start_date ORDER BY 1"""
    return conform("note", {
        "note_id": f"{offset} + n.n", "person_id": "n.person", "note_date": "n.start_date",
        "note_datetime": _stamp("n.start_date", "n.start_minute", "b"), "note_type_concept_id": str(_NOTE_TYPE),
        "note_class_concept_id": "0", "note_title": "n.title", "note_text": "n.text", "encoding_concept_id": str(_UTF8),
        "language_concept_id": "CASE WHEN n.lang LIKE 'en%' THEN 4180186 WHEN n.lang LIKE 'fr%' THEN 4180190 ELSE 0 END",
        "visit_occurrence_id": "v.stay + 1", "note_source_value": "n.kind",
    }, rows)  # fmt: skip


def periods(holding: Holding, part: int, offset: int) -> str:
    """From the first to the last dated event or stay of each person."""
    dates = f"""SELECT f.person, f.start_date AS first, f.start_date AS last FROM h_fact f {_JOINS}
        WHERE f.part = {part} AND {REASONS} IS NULL
        UNION ALL SELECT s.person, s.start_date, coalesce(greatest(s.end_date, s.start_date), s.start_date)
        FROM h_stay s SEMI JOIN visited v USING (stay) WHERE s.part = {part}"""
    return conform("observation_period", {
        "observation_period_id": f"{offset} + row_number() OVER (ORDER BY person)", "person_id": "person",
        "observation_period_start_date": "min(first)", "observation_period_end_date": "max(last)",
        "period_type_concept_id": str(_EHR),
    }, f"FROM ({dates}) GROUP BY person ORDER BY 1")  # fmt: skip


def facts(domain: str) -> Part:
    """The facts of one domain."""

    def query(holding: Holding, part: int, offset: int) -> str:
        table = TABLE_OF[domain]
        return conform(table, _COLUMNS[domain]() | {f"{table}_id": f"{offset} + f.event"}, _of_domain(domain, part))

    return query


def _of_domain(domain: str, part: int) -> str:
    return f"""
        FROM (SELECT f.*, k.number AS main, k.standard, k.code, k.domain,
                     row_number() OVER (ORDER BY f.person, f.start_date, f.start_minute NULLS FIRST, f.document, f.number) AS event
              FROM h_fact f {_JOINS} WHERE f.part = {part} AND {REASONS} IS NULL AND k.domain = '{domain}') f
        LEFT JOIN known l ON l.concept = f.local LEFT JOIN known v ON v.concept = f.value_concept
        LEFT JOIN visited s ON s.stay = f.stay LEFT JOIN unit_number u ON u.unit = f.unit {_clocks("f")} {_attributes(domain, part)}
        ORDER BY 1"""


def _attributes(domain: str, part: int) -> str:
    """What OMOP has a column for among the attributes of a fact."""
    if domain != "Drug":
        return ""
    named = ", ".join(
        f"max(a.value) FILTER (k.code = '{one}') AS {one}" for one in ("quantity", "days_supply", "refills")
    )
    return f"""LEFT JOIN (SELECT a.document, a.number, {named}, max(a.value_text) FILTER (k.code = 'sig') AS sig
        FROM h_attribute a JOIN known k ON k.concept = a.attribute WHERE a.part = {part} AND k.vocabulary = 'ESTRAN'
        GROUP BY ALL) a ON a.document = f.document AND a.number = f.number"""


EXPRESSED = ("quantity", "days_supply", "refills", "sig")  # attributes of drugs, of the vocabulary ESTRAN


def _clocks(alias: str) -> str:
    return f"LEFT JOIN clock b ON b.day = {alias}.start_date LEFT JOIN clock e ON e.day = {alias}.end_date"


def _end(alias: str, holding: Holding) -> str:
    return f"coalesce({alias}.end_date, greatest({alias}.start_date, DATE '{holding.released}'))"


def _event(prefix: str, start: str, end: str = "") -> dict[str, str]:
    """The columns that every table of events has."""
    found = {
        "person_id": "f.person", f"{prefix}_concept_id": "CASE WHEN f.standard THEN f.main ELSE 0 END",
        f"{start}_date": "f.start_date", f"{start}_datetime": _start("f"),
        f"{prefix}_type_concept_id": f"CASE WHEN f.origin = {int(Origin.TEXT)} THEN {_NLP} ELSE {_EHR} END",
        "visit_occurrence_id": "s.stay + 1", f"{prefix}_source_value": "coalesce(l.code, f.code)",
        f"{prefix}_source_concept_id": "CASE WHEN f.standard THEN coalesce(l.number, f.main) ELSE f.main END",
    }  # fmt: skip
    if end:
        found |= {f"{end}_date": "f.end_date", f"{end}_datetime": _stamp("f.end_date", "f.end_minute", "e")}
    return found


_UNIT = "coalesce(u.unit_concept, CASE WHEN f.unit IS NOT NULL THEN 0 END)"
_VALUE = {
    "value_as_number": "f.value", "unit_concept_id": _UNIT, "unit_source_value": "f.unit",
    "value_as_concept_id": "CASE WHEN v.number IS NOT NULL THEN CASE WHEN v.standard THEN v.number ELSE 0 END END",
    "value_source_value": "coalesce(f.value_text, v.vocabulary || ':' || v.code)",
}  # fmt: skip


def _conditions() -> dict[str, str]:
    status = f"CASE WHEN f.status = {int(FactStatus.PRELIMINARY)} THEN 32899 WHEN f.role IS NOT NULL THEN {_case('f.role', _STATUSES)} END"
    more = {"condition_status_concept_id": status, "condition_status_source_value": "f.role"}
    return _event("condition", "condition_start", "condition_end") | more


def _drugs() -> dict[str, str]:
    kinds = " ".join(f"WHEN f.status = {int(status)} THEN {number}" for status, number in _DRUG_TYPES.items())
    end = "coalesce(f.end_date, f.start_date)"
    return _event("drug", "drug_exposure_start", "drug_exposure_end") | {
        "drug_type_concept_id": f"CASE WHEN f.origin = {int(Origin.TEXT)} THEN {_NLP} {kinds} ELSE {_EHR} END",
        "drug_exposure_end_date": end, "verbatim_end_date": "f.end_date", "quantity": "coalesce(a.quantity, f.value)",
        "days_supply": "a.days_supply", "refills": "a.refills", "sig": "a.sig", "route_source_value": "f.role",
        "route_concept_id": f"CASE WHEN f.role IS NOT NULL THEN {_case('f.role', _ROUTES)} END", "dose_unit_source_value": "f.unit",
    }  # fmt: skip


def _measurements() -> dict[str, str]:
    operators = " ".join(f"WHEN {place} THEN {number}" for place, number in enumerate(_OPERATORS))
    more = {"operator_concept_id": f"CASE f.comparator {operators} END", "range_low": "f.low", "range_high": "f.high"}
    return _event("measurement", "measurement") | _VALUE | more


_COLUMNS: dict[str, Callable[[], dict[str, str]]] = {
    "Condition": _conditions,
    "Drug": _drugs,
    "Procedure": lambda: _event("procedure", "procedure", "procedure_end"),
    "Measurement": _measurements,
    "Observation": lambda: _event("observation", "observation") | _VALUE | {"value_as_string": "f.value_text"},
    "Device": lambda: _event("device", "device_exposure_start", "device_exposure_end"),
}
PARTS: dict[str, tuple[str, Part]] = {
    "visit_occurrence": ("stay", visits),
    "visit_detail": ("movement", details),
    **{TABLE_OF[domain]: ("fact", facts(domain)) for domain in _COLUMNS},
    "observation_period": ("", periods),
    "note": ("note", notes),
}
