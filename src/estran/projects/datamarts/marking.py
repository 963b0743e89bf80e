"""Which columns of a datamart carry a fingerprint, and which are the attributes of a row, read and written alike."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from estran.projects.datamarts.spec import Aggregate, Of, Spec
from estran.release.fingerprint import Floats, Ints, Marks, Words

_SEXES = ("female", "male", "other", "unknown")
_NONE = -(2**31)


def carriers(spec: Spec) -> list[str]:
    """Columns of the table of the patients that hold values."""
    kept = (Aggregate.FIRST, Aggregate.LAST, Aggregate.MIN, Aggregate.MAX, Aggregate.MEAN)
    return [one.name for one in spec.columns if one.of is Of.VALUE and one.aggregate in kept]


def mark_patients(table: pa.Table, names: list[str], marks: Marks, recipient: str) -> pa.Table:
    """The patients with the recipient's marks in these columns."""
    first, second = _of_patients(table)
    for name in names:
        words = np.full(len(table), marks.name(name), np.uint64)
        table = _replaced(table, name, marks.put(floats(table.column(name)), words, first, second, recipient))
    return table


def mark_facts(table: pa.Table, marks: Marks, recipient: str) -> pa.Table:
    """Facts with the recipient's marks."""
    values = marks.put(floats(table.column("value")), _names(table, marks), *_of_facts(table), recipient)
    return _replaced(table, "value", values)


def read_patients(table: pa.Table, names: list[str], marks: Marks) -> Floats:
    """What the columns that are there say of each bit."""
    first, second = _of_patients(table)
    there = [name for name in names if name in table.column_names]
    votes = [
        marks.read(floats(table.column(name)), np.full(len(table), marks.name(name), np.uint64), first, second)
        for name in there
    ]
    return np.sum(votes, axis=0) if votes else np.zeros(0)


def read_facts(table: pa.Table, marks: Marks) -> Floats:
    """What the facts say of each bit."""
    return marks.read(floats(table.column("value")), _names(table, marks), *_of_facts(table))


def floats(column: pa.ChunkedArray) -> Floats:
    """A column as numbers, NaN where there is none."""
    numbers = column.cast(pa.float64(), safe=False)
    return np.asarray(pc.fill_null(numbers, float("nan")).to_numpy(), np.float64)


def _replaced(table: pa.Table, name: str, values: Floats) -> pa.Table:
    return table.set_column(
        table.column_names.index(name), table.schema.field(name), pa.array(values, mask=np.isnan(values))
    )


def _of_patients(table: pa.Table) -> tuple[Ints, Ints]:
    sex = pc.index_in(table.column("sex"), pa.array(_SEXES)) if "sex" in table.column_names else None
    return _whole(sex, len(table)), _whole(table.column("age") if "age" in table.column_names else None, len(table))


def _of_facts(table: pa.Table) -> tuple[Ints, Ints]:
    days = table.column("days") if "days" in table.column_names else None
    return _whole(days, len(table)), np.zeros(len(table), np.int64)


def _whole(column: pa.ChunkedArray | None, rows: int) -> Ints:
    if column is None:
        return np.full(rows, _NONE, np.int64)
    return np.asarray(pc.fill_null(column.cast(pa.int64(), safe=False), _NONE).to_numpy(), np.int64)


def _names(table: pa.Table, marks: Marks) -> Words:
    """What stands for the variable of each row."""
    coded = table.column("variable").combine_chunks().dictionary_encode()
    words = np.array([marks.name(str(name)) for name in coded.dictionary.to_pylist()] or [0], np.uint64)
    found: Words = words[np.asarray(pc.fill_null(coded.indices, 0).to_numpy(zero_copy_only=False), np.int64)]
    return found
