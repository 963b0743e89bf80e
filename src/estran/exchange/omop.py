"""OMOP CDM 5.4 (https://ohdsi.github.io/CommonDataModel/cdm54.html): one Parquet or CSV file per table.

Every file has the columns of OHDSI's DDL, in its order and types, so that it loads into it as it is; tables that hold
nothing are left out. The vocabulary tables hold the concepts of the holding, and those that the export names itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import pyarrow as pa

from estran.exchange import omop_rows as rows
from estran.exchange import omop_words as words
from estran.exchange.account import Account
from estran.exchange.holding import Holding
from estran.exchange.tables import csv_of_parquet, write_parquet
from estran.sources.omop.containers import MARK, NAMES

_BATCH = 131_072
_OF_RELATION = {"person": "h_person", "stay": "h_stay", "movement": "h_movement", "fact": "h_fact", "note": "h_note",
                "unit": "h_unit", "attribute": "h_attribute"}  # fmt: skip


def write(holding: Holding, folder: Path, *, csv: bool = False) -> Account:
    """Write the tables into a new folder; StoreError when a row of the holding is neither written nor accounted for."""
    folder.mkdir()
    account = Account()
    words.prepare(holding)
    rows.prepare(holding)
    _read(holding, account)
    for name, query in words.queries(holding).items():
        _table(holding, folder, name, query, account, "")
    for name, (relation, query) in rows.whole(holding).items():
        _table(holding, folder, name, query, account, relation)
    for name, (relation, part) in rows.PARTS.items():
        _parts(holding, folder, name, part, account, relation)
    account.close()
    if csv:
        csv_of_parquet(folder)
    return account


def _table(holding: Holding, folder: Path, name: str, query: str, account: Account, relation: str) -> None:
    path = folder / f"{name}.parquet"
    names = words.long_names(holding) if name == "concept" else {}
    first = holding.connection.sql(query).to_arrow_reader(_BATCH)
    written = write_parquet(path, _marked(first.schema, names), first)
    account.wrote(relation, name, written)
    if not written:
        path.unlink()


def _parts(holding: Holding, folder: Path, name: str, part: rows.Part, account: Account, relation: str) -> None:
    """A table whose rows are numbered on from part to part."""
    path = folder / f"{name}.parquet"
    schema = holding.connection.sql(f"SELECT * FROM ({part(holding, -1, 0)}) LIMIT 0").to_arrow_table().schema
    written = write_parquet(path, _marked(schema), _numbered(holding, part))
    account.wrote(relation, name, written)
    if not written:
        path.unlink()


def _marked(schema: pa.Schema, names: Mapping[str, str] | None = None) -> pa.Schema:
    """So that the reader knows its own: in these files an event without a datetime is known by its month only."""
    return schema.with_metadata({MARK: b"cdm5.4"} | ({NAMES: orjson.dumps(names)} if names else {}))


def _numbered(holding: Holding, part: rows.Part) -> Iterator[pa.RecordBatch]:
    offset = 0
    for number in holding.parts:
        for batch in holding.connection.sql(part(holding, number, offset)).to_arrow_reader(_BATCH):
            offset += batch.num_rows
            yield batch


def _read(holding: Holding, account: Account) -> None:
    """What there is, and what of it has no place."""
    account.read = {name: holding.number(f"SELECT count(*) FROM {view}") for name, view in _OF_RELATION.items()}
    account.read["death"] = holding.number("SELECT count(*) FROM h_person WHERE died")
    account.leave(
        "person", holding.counts("SELECT 'year of birth unknown', count(*) FROM h_person WHERE birth_year IS NULL")
    )
    account.leave("death", holding.counts(_DEATHS))
    account.leave("stay", holding.counts(_STAYS))
    account.leave("movement", holding.counts(_MOVEMENTS))
    account.leave("note", holding.counts(_NOTES))
    places = holding.counts(rows.PLACES)
    account.leave("fact", {reason: count for reason, count in places.items() if reason})
    _attributes(holding, account)
    found = holding.connection.execute(rows.LOST)
    names = [column[0] for column in found.description or ()]
    account.lost = {name: int(count) for name, count in zip(names, found.fetchall()[0], strict=True) if count}


def _attributes(holding: Holding, account: Account) -> None:
    """Attributes are columns of OMOP when it has some; the others are left, code by code."""
    listed = ", ".join(f"'{one}'" for one in rows.EXPRESSED)
    told = f"t.vocabulary = 'ESTRAN' AND t.code IN ({listed}) AND k.domain = 'Drug' AND {rows.REASONS} IS NULL"
    sql = f"""SELECT CASE WHEN {told} THEN '' ELSE 'no column for ' || coalesce(t.vocabulary || ':' || t.code, 'it') END, count(*)
        FROM h_attribute a LEFT JOIN known t ON t.concept = a.attribute
        LEFT JOIN h_fact f ON f.document = a.document AND f.number = a.number AND f.part = a.part
        LEFT JOIN who w ON w.person = f.person LEFT JOIN known k ON k.concept = f.concept GROUP BY ALL"""
    counts = holding.counts(sql)
    account.wrote("attribute", "drug_exposure", counts.pop("", 0))
    account.leave("attribute", counts)


_DEATHS = """
SELECT CASE WHEN death_date IS NULL THEN 'date of death unknown' ELSE 'of a patient who has no row in person' END, count(*)
FROM h_person WHERE died AND (death_date IS NULL OR birth_year IS NULL) GROUP BY ALL"""
_STAYS = """
SELECT CASE WHEN start_date IS NULL THEN 'no start' ELSE 'of a patient who has no row in person' END, count(*)
FROM h_stay ANTI JOIN visited USING (stay) GROUP BY ALL"""
_MOVEMENTS = """
SELECT CASE WHEN start_date IS NULL THEN 'no start' ELSE 'its stay has no row' END, count(*)
FROM h_movement m LEFT JOIN visited v USING (stay) WHERE v.stay IS NULL OR m.start_date IS NULL GROUP BY ALL"""
_NOTES = """
SELECT CASE WHEN w.person IS NULL THEN 'of a patient who has no row in person' WHEN text IS NULL THEN 'no text' ELSE 'no date' END, count(*)
FROM h_note LEFT JOIN who w USING (person) WHERE w.person IS NULL OR text IS NULL OR start_date IS NULL GROUP BY ALL"""
