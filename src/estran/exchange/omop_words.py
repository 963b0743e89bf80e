"""The vocabulary tables of an OMOP export, and the number of each concept.

A code of OMOP keeps its number, and so does a code that the site knows to be the same thing (an edge of distance 0 down to
it). Any other is a concept of the site's own from 2,000,000,000 on, as OHDSI reserves that range: standard when its
vocabulary is one that OMOP takes its standard concepts from, else with 0 for the standard concept beside it.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa

from estran.exchange.cdm import conform
from estran.exchange.holding import Holding
from estran.model.errors import UsageError
from estran.sources.omop.units import UNITS

OWN = 2_000_000_000
_LARGEST = 2**31 - 1 - OWN
_HERE = Path(__file__).parent / "ohdsi"
# Vocabularies whose codes OMOP takes its standard concepts from.
_STANDARD = ("LOINC", "SNOMED", "RXNORM", "RXNORMEXT", "OMOPEXT", "CVX", "CPT4", "HCPCS", "ICD10PCS", "CIMO3")
# What OMOP calls our vocabularies, where it has them; the reader knows the way back.
_NAMES = {"RXNORM": "RxNorm", "RXNORMEXT": "RxNorm Extension", "OMOPEXT": "OMOP Extension", "MESH": "MeSH", "MEDDRA": "MedDRA",
          "CIMO3": "ICDO3", "NCIT": "NCIt"}  # fmt: skip
_DOMAINS = {
    "diagnosis": "Condition", "procedure": "Procedure", "drug": "Drug", "laboratory": "Measurement", "device": "Device",
}  # fmt: skip
_LONGEST = 20  # characters of a vocabulary_id


@dataclass(frozen=True)
class Fixed:
    """A row of `concept` that an export names itself."""

    concept_id: int
    name: str
    domain: str
    vocabulary: str
    concept_class: str
    standard: str
    code: str


@cache
def fixed() -> tuple[Fixed, ...]:
    """Concepts of sexes, visits, types, units, routes and operators, as OHDSI numbers them."""
    with (_HERE / "concepts.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    return tuple(Fixed(int(row[0]), *row[1:]) for row in rows)


def unit_numbers() -> dict[str, int]:
    """The standard unit concept of each UCUM code that has one."""
    known = {one.concept_id for one in fixed() if one.domain == "Unit"}
    return {code: number for number, code in sorted(UNITS.items(), reverse=True) if number in known}


def vocabulary_id(house: str) -> str:
    """What a vocabulary is called in the export: at most 20 characters, the same one always."""
    name = _NAMES.get(house, house)
    if len(name) <= _LONGEST:
        return name
    return f"{name[:11]}~{hashlib.sha256(house.encode()).hexdigest()[:8]}"


def long_names(holding: Holding) -> dict[str, str]:
    """The vocabularies whose name is too long, by what they are called in the export."""
    rows = holding.connection.execute("SELECT shown, vocabulary FROM vocabulary_name ORDER BY 1").fetchall()
    return {shown: house for shown, house in rows if len(house) > _LONGEST}


def prepare(holding: Holding) -> None:
    """Number the concepts: temporary tables `known`, `unit_number` and `fixed_concept`. UsageError for too many of them."""
    con = holding.connection
    if holding.number("SELECT coalesce(max(concept), 0) FROM h_concept") > _LARGEST:
        raise UsageError("The site has more concepts than OMOP has numbers for its own.")
    houses = [row[0] for row in con.execute("SELECT DISTINCT vocabulary FROM h_concept ORDER BY 1").fetchall()]
    names = pa.table(
        {"vocabulary": pa.array(houses, pa.string()), "shown": pa.array(map(vocabulary_id, houses), pa.string())}
    )
    units = unit_numbers()
    given = {
        "vocabulary_name": names,
        "unit_number": pa.table(
            {"unit": pa.array(units, pa.string()), "unit_concept": pa.array(units.values(), pa.int32())}
        ),
        "fixed_concept": pa.Table.from_pylist([vars(one) for one in fixed()]),
    }
    for name, table in given.items():
        con.register(f"given_{name}", table)
        con.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM given_{name}")
    con.execute(_TWIN)
    con.execute(_KNOWN)


# Codes that stand right above a concept of OMOP are that concept.
_TWIN = """
CREATE TEMP TABLE twin AS
SELECT e.above AS concept, min(TRY_CAST(o.code AS INTEGER)) AS number, any_value(e.below) AS below
FROM h_ancestor e JOIN h_concept n ON n.concept = e.above JOIN h_concept o ON o.concept = e.below
WHERE e.distance = 0 AND e.above <> e.below AND n.vocabulary <> 'OMOP' AND o.vocabulary = 'OMOP' AND TRY_CAST(o.code AS INTEGER) IS NOT NULL
GROUP BY e.above"""
_WHENS = " ".join(f"WHEN '{kind}' THEN '{domain}'" for kind, domain in _DOMAINS.items())
_DOMAIN = f"CASE c.kind {_WHENS} ELSE 'Observation' END"
_LISTED = ", ".join(f"'{one}'" for one in _STANDARD)
# `written` says whether the concept has a row of its own: a code that is a concept of OMOP gives that one its name.
_KNOWN = f"""
CREATE TEMP TABLE known AS
SELECT c.concept, c.vocabulary, c.code, coalesce(c.label_en, c.label_fr, c.code) AS name, c.valid_from, c.valid_to, v.shown AS vocabulary_id,
       {_DOMAIN} AS domain,
       CASE WHEN c.vocabulary = 'OMOP' THEN coalesce(TRY_CAST(c.code AS INTEGER), {OWN} + c.concept)
            ELSE coalesce(t.number, {OWN} + c.concept) END AS number,
       CASE WHEN c.vocabulary = 'OMOP' THEN c.standard WHEN t.number IS NOT NULL THEN coalesce(o.standard, false)
            ELSE c.vocabulary IN ({_LISTED}) END AS standard,
       t.number IS NULL AND c.vocabulary <> 'OMOP-META' AS written
FROM h_concept c JOIN vocabulary_name v USING (vocabulary) LEFT JOIN twin t USING (concept) LEFT JOIN h_concept o ON o.concept = t.below"""

_MINE = """
FROM known k LEFT JOIN (SELECT number, any_value(vocabulary_id) AS vocabulary_id, any_value(code) AS code FROM known
                        WHERE NOT written AND vocabulary <> 'OMOP' AND number < 2000000000 GROUP BY number) own ON own.number = k.number
WHERE k.written AND k.number NOT IN (SELECT concept_id FROM fixed_concept)
QUALIFY row_number() OVER (PARTITION BY k.number ORDER BY k.concept) = 1"""
_SINCE, _UNTIL = "DATE '1970-01-01'", "DATE '2099-12-31'"


def queries(holding: Holding) -> dict[str, str]:
    """The vocabulary tables, in the order in which their references can be checked."""
    return {
        "concept": _concepts(),
        "vocabulary": conform("vocabulary", {
            "vocabulary_id": "id", "vocabulary_name": "name", "vocabulary_reference": "reference", "vocabulary_concept_id": "0",
        }, _VOCABULARIES),
        "domain": _list("domain", "domain_id"),
        "concept_class": _list("concept_class", "concept_class_id"),
        "relationship": _RELATIONSHIP,
        "concept_ancestor": conform("concept_ancestor", {
            "ancestor_concept_id": "above", "descendant_concept_id": "below", "min_levels_of_separation": "low",
            "max_levels_of_separation": "high",
        }, _ANCESTORS),
        "concept_relationship": conform("concept_relationship", {
            "concept_id_1": "first", "concept_id_2": "second", "relationship_id": "relation", "valid_start_date": _SINCE,
            "valid_end_date": _UNTIL,
        }, _MAPS),
        "concept_synonym": conform("concept_synonym", {
            "concept_id": "number", "concept_synonym_name": "synonym", "language_concept_id": "language",
        }, _SYNONYMS),
    }  # fmt: skip


def _concepts() -> str:
    named = conform("concept", {
        "concept_id": "concept_id", "concept_name": "name", "domain_id": "domain", "vocabulary_id": "vocabulary",
        "concept_class_id": "concept_class", "standard_concept": "nullif(standard, '')", "concept_code": "code",
        "valid_start_date": _SINCE, "valid_end_date": _UNTIL,
    }, "FROM fixed_concept")  # fmt: skip
    own = conform("concept", {
        "concept_id": "k.number", "concept_name": "k.name", "domain_id": "k.domain",
        "vocabulary_id": "coalesce(own.vocabulary_id, k.vocabulary_id)", "concept_class_id": "'Undefined'",
        "standard_concept": "CASE WHEN k.standard THEN 'S' END", "concept_code": "coalesce(own.code, k.code)",
        "valid_start_date": f"coalesce(k.valid_from, {_SINCE})", "valid_end_date": f"coalesce(k.valid_to, {_UNTIL})",
    }, _MINE)  # fmt: skip
    return f"{named} UNION ALL {own} ORDER BY 1"


_VOCABULARIES = """
FROM (SELECT DISTINCT vocabulary AS id, vocabulary AS name, NULL AS reference FROM fixed_concept
      UNION SELECT k.vocabulary_id, k.vocabulary, 'Estran: name in the warehouse' FROM known k
      WHERE k.vocabulary <> 'OMOP-META' AND k.vocabulary_id NOT IN (SELECT vocabulary FROM fixed_concept)) GROUP BY ALL ORDER BY 1"""
_DOMAIN_NAMES = "SELECT domain AS id FROM fixed_concept UNION SELECT domain FROM known"
_CLASS_NAMES = "SELECT concept_class AS id FROM fixed_concept UNION SELECT 'Undefined'"


def _list(table: str, key: str) -> str:
    names = _DOMAIN_NAMES if table == "domain" else _CLASS_NAMES
    return conform(table, {key: "id", f"{table}_name": "id", f"{table}_concept_id": "0"}, f"FROM ({names}) ORDER BY 1")


_RELATIONSHIP = conform("relationship", {
    "relationship_id": "id", "relationship_name": "name", "is_hierarchical": "'0'", "defines_ancestry": "'0'",
    "reverse_relationship_id": "reverse", "relationship_concept_id": "0",
}, """FROM (VALUES ('Mapped from', 'Standard to Non-standard map (OMOP)', 'Maps to'),
                   ('Maps to', 'Non-standard to Standard map (OMOP)', 'Mapped from')) r(id, name, reverse) ORDER BY 1""")  # fmt: skip
# A concept is above itself, as in OHDSI's own tables; two codes of one thing are one concept here.
_ANCESTORS = """
FROM (SELECT a.number AS above, b.number AS below, min(e.distance) AS low, max(e.distance) AS high
      FROM h_ancestor e JOIN known a ON a.concept = e.above JOIN known b ON b.concept = e.below
      WHERE a.number <> b.number AND a.number IN (SELECT number FROM known WHERE written) AND b.number IN (SELECT number FROM known WHERE written)
      GROUP BY ALL
      UNION ALL SELECT number, number, 0, 0 FROM known WHERE written AND standard GROUP BY number) ORDER BY 1, 2"""
_MAPS = """
FROM (SELECT a.number AS first, b.number AS second, 'Maps to' AS relation
      FROM h_map m JOIN known a ON a.concept = m.source JOIN known b ON b.concept = m.target
      WHERE a.number <> b.number AND a.number IN (SELECT number FROM known WHERE written) AND b.number IN (SELECT number FROM known WHERE written)
        AND m.relation = 'equivalent'
      GROUP BY ALL
      UNION ALL SELECT number, number, 'Maps to' FROM known WHERE written AND standard GROUP BY number) ORDER BY 1, 2"""
_FRENCH, _ENGLISH = 4180190, 4180186
_SYNONYMS = f"""
FROM (SELECT k.number, s.synonym, CASE WHEN s.lang LIKE 'fr%' THEN {_FRENCH} ELSE {_ENGLISH} END AS language
      FROM h_synonym s JOIN known k USING (concept) WHERE k.written
      UNION SELECT k.number, c.label_fr, {_FRENCH} FROM known k JOIN h_concept c USING (concept)
      WHERE k.written AND c.label_fr IS NOT NULL AND c.label_en IS NOT NULL) ORDER BY ALL"""
