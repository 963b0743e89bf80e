"""One number for the logical content of a warehouse.

Two sites that were given the same records in another order, in other pieces, with other keys or
another bucket size have the same digest. No id enters it: patients and stays by their natural keys,
concepts and units by their codes, facts under their document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import duckdb
import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from estran.warehouse.presence import members
from estran.warehouse.snapshot import Snapshot


def digest(snapshot: Snapshot, patients: Mapping[int, str], stays: Mapping[int, str]) -> str:
    """SHA-256 in hexadecimal of the logical content.

    `patients` and `stays` map ids to natural keys. Retired documents and links to stays that
    nobody introduced do not count; opposition hides nothing here. Loads and quarantine are left out.
    """
    total = hashlib.sha256()
    for part in parts(snapshot, patients, stays).items():
        total.update(repr(part).encode())
    return total.hexdigest()


def parts(snapshot: Snapshot, patients: Mapping[int, str], stays: Mapping[int, str]) -> dict[str, tuple[int, int, int]]:
    """Per kind of content its number of rows and two sums of row hashes, to find what differs."""
    with snapshot.connect() as connection:
        _register(connection, snapshot, patients, stays)
        connection.execute(_PREPARE)
        return {name: _sums(connection, query) for name, query in _PARTS.items()}


def _sums(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, int, int]:
    count, low, high = connection.execute(f"SELECT count(*), {_SUMS} FROM ({query})").fetchall()[0]
    return int(count), int(low or 0), int(high or 0)


def _register(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, patients: Mapping[int, str], stays: Mapping[int, str]
) -> None:
    for name, keys in (("patient_keys", patients), ("stay_keys", stays)):
        ids = pa.array(list(keys), pa.int32())
        connection.register(name, pa.table({"id": ids, "key": pa.array(list(keys.values()), pa.string())}))
    retired = [snapshot.retired(bucket) for bucket in snapshot.record.hidden]
    every = members(BitMap.union(*retired)) if retired else np.zeros(0, np.int64)
    connection.register("retired_now", pa.table({"document_id": every.astype(np.int32)}))


_SUMS = "sum((row & 18446744073709551615::UHUGEINT)::UBIGINT), sum((row >> 64)::UBIGINT)"  # halves of an MD5


def _row(*columns: str) -> str:
    """SQL of the MD5, as a number, of one string that says every column, nulls apart from empty strings."""
    shown = ", ".join(f"coalesce(CAST({column} AS VARCHAR), chr(1))" for column in columns)
    return f"md5_number(concat_ws(chr(31), {shown})) AS row"


def _columns(alias: str, names: str) -> list[str]:
    return [f"{alias}.{name}" for name in names.split()]


_PREPARE = """
CREATE OR REPLACE TEMP TABLE concept_code AS SELECT concept_id AS id, vocabulary || ':' || code AS code FROM raw_concept;
CREATE OR REPLACE TEMP TABLE unit_code AS SELECT unit_id AS id, code FROM raw_unit;
CREATE OR REPLACE TEMP TABLE patient_key AS SELECT id, key FROM patient_keys;
CREATE OR REPLACE TEMP TABLE stay_key AS
    SELECT s.stay_id AS id, coalesce(k.key, '?') AS key FROM raw_stay s LEFT JOIN stay_keys k ON s.stay_id = k.id
    WHERE s.status <> 'cancelled';
"""

_FACTS = f"""
SELECT document_id, {_SUMS} FROM (
    SELECT f.document_id, {
    _row(
        "c.code",
        "l.code",
        "v.code",
        "s.key",
        *_columns(
            "f",
            "fact_no parent_fact_no start_date start_minute end_date end_minute precision known_at value "
            "value_text comparator unit low high status role context origin",
        ),
    )
}
    FROM raw_fact f LEFT JOIN concept_code c ON f.concept_id = c.id
    LEFT JOIN concept_code l ON f.local_concept_id = l.id LEFT JOIN concept_code v ON f.value_concept = v.id
    LEFT JOIN stay_key s ON f.stay_id = s.id
    ANTI JOIN retired_now r ON f.document_id = r.document_id
) GROUP BY document_id"""

_ATTRIBUTES = f"""
SELECT document_id, {_SUMS} FROM (
    SELECT a.document_id, {_row("c.code", "v.code", *_columns("a", "fact_no value value_text"))}
    FROM raw_fact_attribute a LEFT JOIN concept_code c ON a.attribute_id = c.id
    LEFT JOIN concept_code v ON a.value_concept = v.id
) GROUP BY document_id"""

_MEDIA = f"""
SELECT document_id, {_SUMS} FROM (
    SELECT m.document_id, {_row(*_columns("m", "modality uri shape sampling checksum"))} FROM raw_media m
) GROUP BY document_id"""

_VARIANTS = f"""
SELECT document_id, {_SUMS} FROM (
    SELECT v.document_id, {
    _row(
        *_columns(
            "v", "chrom pos ref alt gene effect impact hgvs_c hgvs_p zygosity allele_fraction depth filter"
        )
    )
} FROM raw_variant v
) GROUP BY document_id"""

_LINKS = f"""
SELECT document_id, {_SUMS} FROM (
    SELECT l.document_id, {_row("s.key", "l.kind")} FROM raw_stay_link l JOIN stay_key s ON l.stay_id = s.id
) GROUP BY document_id"""

_DOCUMENTS = f"""
WITH facts(id, low, high) AS ({_FACTS}), attributes(id, low, high) AS ({_ATTRIBUTES}),
     medias(id, low, high) AS ({_MEDIA}), variants(id, low, high) AS ({_VARIANTS}),
     links(id, low, high) AS ({_LINKS})
SELECT {
    _row(
        "p.key",
        "s.key",
        "u.code",
        *_columns("d", "kind title start_date start_minute precision known_at author_role status confidential lang"),
        "t.text",
        "f.low",
        "f.high",
        "a.low",
        "a.high",
        "m.low",
        "m.high",
        "v.low",
        "v.high",
        "l.low",
        "l.high",
    )
}
FROM raw_document d LEFT JOIN patient_key p ON d.patient_id = p.id LEFT JOIN stay_key s ON d.stay_id = s.id
LEFT JOIN unit_code u ON d.unit_id = u.id LEFT JOIN raw_text t ON d.document_id = t.document_id
LEFT JOIN facts f ON d.document_id = f.id LEFT JOIN attributes a ON d.document_id = a.id
LEFT JOIN medias m ON d.document_id = m.id LEFT JOIN variants v ON d.document_id = v.id
 LEFT JOIN links l ON d.document_id = l.id
ANTI JOIN retired_now r ON d.document_id = r.document_id"""

_PARTS: dict[str, str] = {
    "patient": f"""SELECT {
        _row(
            "p.key",
            *_columns(
                "t",
                "sex birth_month death_date death_source death_certainty last_news residence_area staff confidential",
            ),
        )
    }
        FROM raw_patient t LEFT JOIN patient_key p ON t.patient_id = p.id""",
    "relation": f"""SELECT {_row("p.key", "o.key", "t.kind", "t.rank", "t.source")} FROM raw_relation t
        LEFT JOIN patient_key p ON t.patient_id = p.id LEFT JOIN patient_key o ON t.other_id = o.id""",
    "permission": f"""SELECT {_row("p.key", *_columns("t", "scope kind from_date to_date given_by proof"))}
        FROM raw_permission t LEFT JOIN patient_key p ON t.patient_id = p.id""",
    "stay": f"""SELECT {
        _row(
            "p.key",
            "s.key",
            "u.code",
            "o.key",
            *_columns(
                "t",
                "kind start_date start_minute end_date end_minute precision entry_mode exit_mode confidential status",
            ),
        )
    }
        FROM raw_stay t LEFT JOIN patient_key p ON t.patient_id = p.id LEFT JOIN stay_keys s ON t.stay_id = s.id
        LEFT JOIN unit_code u ON t.unit_id = u.id LEFT JOIN stay_key o ON t.parent_stay = o.id""",
    "movement": f"""SELECT {
        _row(
            "p.key",
            "s.key",
            "u.code",
            *_columns("t", "responsibility start_date start_minute end_date end_minute precision status"),
        )
    }
        FROM raw_movement t LEFT JOIN patient_key p ON t.patient_id = p.id LEFT JOIN stay_key s ON t.stay_id = s.id
        LEFT JOIN unit_code u ON t.unit_id = u.id""",
    "document": _DOCUMENTS,
}
