"""MEDS 0.4 (https://github.com/Medical-Event-Data-Standard/meds): events in Parquet shards, codes, splits, dataset.json.

A subject is in one shard, its events in order of time, those without a time first. Codes are `VOCABULARY//code`, with the
names that MEDS gives to birth and death; columns beside the five of the standard are listed in dataset.json.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow as pa

from estran import __version__
from estran.exchange.account import Account
from estran.exchange.holding import Holding, wall
from estran.exchange.tables import write_parquet
from estran.model.codes import Context, FactStatus, Origin

VERSION = "0.4.1"
_BATCH = 131_072
DATA = pa.schema([
    pa.field("subject_id", pa.int64(), nullable=False), pa.field("time", pa.timestamp("us")),
    pa.field("code", pa.string(), nullable=False), pa.field("numeric_value", pa.float32()),
    pa.field("text_value", pa.large_string()), pa.field("unit", pa.string()), pa.field("comparator", pa.string()),
    pa.field("visit_id", pa.int64()),
])  # fmt: skip
CODES = pa.schema([
    pa.field("code", pa.string(), nullable=False), pa.field("description", pa.string()),
    pa.field("parent_codes", pa.list_(pa.string())),
])  # fmt: skip
SPLITS = pa.schema([pa.field("subject_id", pa.int64(), nullable=False), pa.field("split", pa.string(), nullable=False)])
# Why a fact is no event. The first reason that holds is told.
_REASONS = f"""
CASE WHEN p.person IS NULL THEN 'of a patient who has no row' WHEN c.concept IS NULL THEN 'its code is unknown'
     WHEN f.origin = {int(Origin.DERIVED)} THEN 'computed from other facts'
     WHEN f.status IN ({int(FactStatus.NOT_GIVEN)}, {int(FactStatus.CANCELLED)}) THEN 'not done: events are what happened'
     WHEN f.context <> {int(Context.AFFIRMED)} THEN 'negated, hypothetical, of the family or of the past'
     WHEN f.start_date IS NULL THEN 'no date' END"""
_FACTS = "h_fact f LEFT JOIN h_person p USING (person) LEFT JOIN h_concept c ON c.concept = f.concept"


def write(holding: Holding, folder: Path) -> Account:
    """Write the data set into a new folder; StoreError when a row is neither written nor accounted for."""
    (folder / "data").mkdir(parents=True)
    (folder / "metadata").mkdir()
    account = _read(holding)
    con = holding.connection
    for part in holding.parts:
        # The events of a part are told apart by relation while they are counted, and lose that column in the shard.
        reader = con.sql(_events(part)).to_arrow_reader(_BATCH)
        write_parquet(folder / "data" / f"{part}.parquet", DATA, _counted(reader, account))
    codes = con.sql(_CODES).to_arrow_reader(_BATCH)
    account.wrote("", "metadata/codes", write_parquet(folder / "metadata" / "codes.parquet", CODES, codes))
    splits = con.sql(_SPLITS).to_arrow_reader(_BATCH)
    account.wrote(
        "", "metadata/subject_splits", write_parquet(folder / "metadata" / "subject_splits.parquet", SPLITS, splits)
    )
    (folder / "metadata" / "dataset.json").write_bytes(orjson.dumps(_about(holding), option=orjson.OPT_INDENT_2))
    account.close()
    return account


def _about(holding: Holding) -> dict[str, object]:
    created = dt.datetime.fromisoformat(f"{holding.released}T00:00:00+00:00")
    return {
        "dataset_name": holding.name, "dataset_version": str(holding.snapshot), "etl_name": "estran", "etl_version": __version__,
        "meds_version": VERSION, "created_at": created.isoformat(), "code_modifier_columns": ["unit", "comparator"],
        "raw_source_id_columns": ["visit_id"],
    }  # fmt: skip


def _read(holding: Holding) -> Account:
    account = Account()
    for name in ("person", "stay", "fact", "note"):
        account.read[name] = holding.number(f"SELECT count(*) FROM h_{name}")
    reasons = holding.counts(f"SELECT coalesce({_REASONS}, ''), count(*) FROM {_FACTS} GROUP BY ALL")
    account.leave("fact", {reason: count for reason, count in reasons.items() if reason})
    account.leave("stay", {"no start": holding.number("SELECT count(*) FROM h_stay WHERE start_date IS NULL")})
    account.leave(
        "note",
        holding.counts("""SELECT CASE WHEN text IS NULL THEN 'no text' ELSE 'no date' END, count(*) FROM h_note
                                            WHERE text IS NULL OR start_date IS NULL GROUP BY ALL"""),
    )
    return account


def _counted(reader: pa.RecordBatchReader, account: Account) -> Iterator[pa.Table]:
    """The events without the column that says which relation each comes from: those are counted."""
    for batch in reader:
        table = pa.Table.from_batches([batch])
        for counted in table["relation"].value_counts().to_pylist():
            relation = counted["values"] or ""
            account.wrote(relation, "data" if relation else "data: births, deaths, ends of stays", counted["counts"])
        yield table.drop_columns(["relation"]).cast(DATA)


def _event(relation: str, person: str, time: str, code: str, more: str, source: str) -> str:
    values = (
        more
        or "NULL::FLOAT AS numeric_value, NULL::VARCHAR AS text_value, NULL::VARCHAR AS unit, NULL::VARCHAR AS comparator, NULL::BIGINT AS visit_id"
    )
    return f"SELECT {relation} AS relation, CAST({person} AS BIGINT) AS subject_id, {time} AS time, {code} AS code, {values} {source}"


def _events(part: int) -> str:
    """Everything about the subjects of a part."""
    mine = f"part = {part}"
    stay = f"FROM h_stay s LEFT JOIN clock k ON k.day = s.start_date WHERE s.part = {part} AND s.start_date IS NOT NULL"
    ended = f"FROM h_stay s LEFT JOIN clock k ON k.day = s.end_date WHERE s.part = {part} AND s.start_date IS NOT NULL AND s.end_date IS NOT NULL"
    visit = "NULL::FLOAT AS numeric_value, NULL::VARCHAR AS text_value, NULL::VARCHAR AS unit, NULL::VARCHAR AS comparator, CAST(s.stay AS BIGINT) AS visit_id"
    fact = """CAST(f.value AS FLOAT) AS numeric_value, coalesce(f.value_text, v.vocabulary || '//' || v.code) AS text_value, f.unit,
        ['=', '<', '<=', '>', '>='][f.comparator + 1] AS comparator, CAST(f.stay AS BIGINT) AS visit_id"""
    note = "NULL::FLOAT AS numeric_value, n.text AS text_value, NULL::VARCHAR AS unit, NULL::VARCHAR AS comparator, CAST(n.stay AS BIGINT) AS visit_id"
    born = "make_timestamp(CAST(birth_year AS BIGINT), CAST(coalesce(birth_month, 1) AS BIGINT), 1, 0, 0, 0.0)"
    parts = [
        _event("'person'", "person", "NULL::TIMESTAMP", "'GENDER//' || coalesce(sex, 'unknown')", "", f"FROM h_person WHERE {mine}"),
        _event("NULL", "person", born, "'MEDS_BIRTH'", "", f"FROM h_person WHERE birth_year IS NOT NULL AND {mine}"),
        _event("NULL", "person", "CAST(death_date AS TIMESTAMP)", "'MEDS_DEATH'", "",
               f"FROM h_person WHERE death_date IS NOT NULL AND {mine}"),
        _event("'stay'", "s.person", _moment("s.start_date", "s.start_minute"), "'VISIT//' || coalesce(s.kind, 'unknown')", visit, stay),
        _event("NULL", "s.person", _moment("s.end_date", "s.end_minute"), "'VISIT_END//' || coalesce(s.exit_mode, 'unknown')", visit, ended),
        _event("'fact'", "f.person", _moment("f.start_date", "f.start_minute"), "c.vocabulary || '//' || c.code", fact,
               f"FROM {_FACTS} LEFT JOIN h_concept v ON v.concept = f.value_concept LEFT JOIN clock k ON k.day = f.start_date "
               f"WHERE f.part = {part} AND {_REASONS} IS NULL"),
        _event("'note'", "n.person", _moment("n.start_date", "n.start_minute"), "'NOTE//' || coalesce(n.kind, 'other')", note,
               f"FROM h_note n LEFT JOIN clock k ON k.day = n.start_date WHERE n.part = {part} AND n.text IS NOT NULL AND n.start_date IS NOT NULL"),
    ]  # fmt: skip
    return f"SELECT * FROM ({' UNION ALL '.join(parts)}) ORDER BY subject_id, time NULLS FIRST, code, numeric_value, text_value, visit_id"


def _moment(date: str, minute: str) -> str:
    return f"coalesce({wall(date, minute, 'k')}, CAST({date} AS TIMESTAMP))"


_CODES = """
WITH used AS (
    SELECT DISTINCT c.concept, c.vocabulary || '//' || c.code AS code, coalesce(c.label_en, c.label_fr) AS description
    FROM h_concept c WHERE c.vocabulary <> 'OMOP-META')
SELECT u.code, any_value(u.description) AS description, list(DISTINCT p.vocabulary || '//' || p.code ORDER BY p.vocabulary || '//' || p.code)
       FILTER (p.concept IS NOT NULL AND e.distance = 1) AS parent_codes
FROM used u LEFT JOIN h_ancestor e ON e.below = u.concept LEFT JOIN h_concept p ON p.concept = e.above
GROUP BY u.code
UNION ALL SELECT 'MEDS_BIRTH', 'Birth, to the month', NULL UNION ALL SELECT 'MEDS_DEATH', 'Death, to the day', NULL ORDER BY 1"""
# The same subject is in the same split in every export of a site, about 80, 10 and 10 in a hundred: by the upper half of
# the number times 2^32 over the golden ratio.
_DRAWN = "(CAST(person AS BIGINT) * 2654435761) % 4294967296 / 4294967296"
_SPLITS = f"""
SELECT CAST(person AS BIGINT) AS subject_id,
       CASE WHEN {_DRAWN} < 0.8 THEN 'train' WHEN {_DRAWN} < 0.9 THEN 'tuning' ELSE 'held_out' END AS split
FROM h_person ORDER BY 1"""
