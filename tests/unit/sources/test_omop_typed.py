"""Columns read at once in their own types mean exactly what the same columns read as text mean."""

from __future__ import annotations

import io
import os
from functools import cache
from pathlib import Path

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from estran.sources.omop import OmopReader
from estran.sources.omop.delimited import read_blocks, read_header
from estran.sources.omop.facts import fact_batch
from estran.sources.omop.facttables import FACT_TABLES
from estran.sources.omop.interning import Context
from estran.sources.records import Batch

TABLE = FACT_TABLES["measurement"]
HEADER = (
    "measurement_id", "person_id", "measurement_concept_id", "measurement_date", "measurement_datetime",
    "operator_concept_id", "value_as_number", "value_as_concept_id", "unit_concept_id", "unit_source_value",
    "range_low", "range_high", "visit_occurrence_id", "measurement_source_value",
)  # fmt: skip
GOOD = (
    "1", "7", "3025315", "2013-05-17", "2013-05-17 08:30:00", "4172703", "48.1", "", "9529", "kg", "10", "150", "38",
    "29463-7",
)  # fmt: skip
ODD = (
    "", "NULL", "\\N", " ", "nan", "-nan", "NaN", "inf", "-inf", "NA", "1e3", "+5", "-0", "1.", "1_000", "0x1F", " 12 ",
    "12.0", "12.5", "007", "9223372036854775808", "1e400", "true", "2024-01-02", "2024-1-2", "20240102", "2024-02-30",
    "2024-01-02 03", "2024-01-02 03:04", "2024-01-02T03:04:05", "2024-01-02 03:04:05.123456", "2024-01-02 03:04:05.1234567",
    "2024-01-02 24:00:00", "2024-01-02 03:04:05Z", "2024-01-02T03:04:05+02:00", "1700-01-01", "9999-12-31", "mg/L",
    "measurement_id", "'12'", "12é",
)  # fmt: skip


@cache
def database() -> duckdb.DuckDBPyConnection:
    """Opened once: it takes longer than to read a few lines."""
    return duckdb.connect()


def batches(content: str, typed: bool, size: int = 1 << 20) -> list[Batch]:
    with io.BytesIO(content.encode()) as stream, database().cursor() as con:
        header = read_header(stream)
        blocks = read_blocks(stream, header, header.names, 0, size, TABLE.forms() if typed else None)
        return [fact_batch(con, block, TABLE, Context("Europe/Paris", "omop", {})) for block in blocks]


def said(found: list[Batch]) -> list[tuple[object, ...]]:
    """All that a batch says, in plain values."""
    tables = ("records", "refused", "documents", "facts", "attributes")
    return [(b.patients, b.stays, b.codes, *(getattr(b, n).to_pylist() for n in tables)) for b in found]


@settings(deadline=None, max_examples=1_000 if "ESTRAN_SLOW" in os.environ else 40)
@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.sampled_from(ODD)), max_size=6), st.sampled_from((200, 1 << 20)))
def test_typed_columns_say_what_texts_say(odd: list[tuple[int, str]], size: int) -> None:
    lines = [GOOD, *([*GOOD[:place], value, *GOOD[place + 1 :]] for place, value in odd), GOOD]
    content = "\n".join(",".join(line) for line in (HEADER, *lines)) + "\n"
    assert said(batches(content, typed=True, size=size)) == said(batches(content, typed=False, size=size))


def test_good_columns_are_read_in_their_types() -> None:
    content = "\n".join(",".join(line) for line in (HEADER, GOOD, GOOD)) + "\n"
    with io.BytesIO(content.encode()) as stream:
        header = read_header(stream)
        (block,) = read_blocks(stream, header, header.names, 0, forms=TABLE.forms())
    kinds = dict(zip(block.table.column_names, block.table.schema.types, strict=True))
    assert kinds["measurement_id"] == kinds["value_as_concept_id"] == pa.int64()
    assert (kinds["measurement_date"], kinds["measurement_datetime"]) == (pa.date32(), pa.timestamp("us"))
    assert (kinds["value_as_number"], kinds["unit_source_value"]) == (pa.float64(), pa.string())


def test_rows_of_a_view_keep_their_numbers(tmp_path: Path) -> None:
    """A view without an order of its own: a replay must find the same row under the same number."""
    path = tmp_path / "site.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE odd AS SELECT range AS n FROM range(300000) ORDER BY hash(range)")
        con.execute(
            "CREATE VIEW measurement AS SELECT n AS measurement_id, n % 50 AS person_id, 3025315 AS measurement_concept_id, "
            "DATE '2024-01-02' AS measurement_date FROM odd"
        )
    numbers = []
    for batch in (b for b in OmopReader().read(path, path.name) if b.part == "measurement"):
        numbers += zip(batch.records["record_no"].to_pylist(), batch.documents["key_int"].to_pylist(), strict=True)
    first = numbers[0][0]
    assert numbers == [(first + n, n) for n in range(300_000)]
