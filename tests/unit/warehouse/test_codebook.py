"""A code is found by halves exactly where a plain scan finds it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from estran.warehouse.codebook import CodeBook

NAMES = st.sampled_from(["ICD10", "LOINC", "LOCAL/labo", "é", ""])
CODES = st.text(st.sampled_from("A1.é€𝕏 -"), max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, CODES), max_size=40), st.lists(st.tuples(NAMES, CODES), max_size=10))
def test_as_a_scan(held: list[tuple[str, str]], others: list[tuple[str, str]]) -> None:
    rows = pa.table(
        {
            "concept_id": pa.array(range(len(held)), pa.int32()),
            "vocabulary": pa.array([name for name, _ in held], pa.string()),
            "code": pa.array([code for _, code in held], pa.string()),
        }
    )
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "concept.parquet")
        pq.write_table(rows, path)
        book = CodeBook(path)
    for name, code in {*held, *others}:
        assert book.find(name, code) == [n for n, one in enumerate(held) if one == (name, code)]
