"""What must not enter the warehouse: names in texts, and moments that are a birth date.

Originals of what was altered stay in the vault, so that a patient's documents can be masked anew
when more becomes known of the identity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from estran.identity.deid import Deidentifier
from estran.model.codes import Precision

Int32s = npt.NDArray[np.int32]
NO_BIRTH = np.int32(-(2**31))
_EPOCH_MONTH = np.datetime64("1970-01", "M")


def month_start(days: Int32s) -> Int32s:
    """First day of the month of each day, in days since 1970."""
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    return np.asarray(months.astype("datetime64[D]").astype(np.int64), dtype=np.int32)


def coarsen(table: pa.Table, births: Int32s, prefix: str) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """Bring `<prefix>_date` to the month where it falls on the row's birth date.

    Returns the table and the mask of rows that changed. `births` holds days, NO_BIRTH if unknown.
    """
    dates = pc.fill_null(table[f"{prefix}_date"].cast(pa.int32()), NO_BIRTH + 1).to_numpy()
    hit = np.asarray(dates == births)
    if not hit.any():
        return table, hit
    rounded = np.where(hit, month_start(np.where(hit, dates, 0)), dates)
    known = table[f"{prefix}_date"].is_valid().to_numpy()
    table = _set(table, f"{prefix}_date", pa.array(rounded, pa.int32(), mask=~known).cast(pa.date32()))
    minutes = table[f"{prefix}_minute"]
    kept = pc.if_else(pa.array(hit), pa.scalar(None, minutes.type), minutes)
    table = _set(table, f"{prefix}_minute", kept)
    precision = pc.fill_null(table["precision"], 0).to_numpy()
    lowered = np.where(hit, np.minimum(precision, Precision.MONTH), precision).astype(np.int8)
    return _set(table, "precision", pa.array(lowered)), hit


def coarsen_moments(
    table: pa.Table, births: Int32s, prefixes: tuple[str, ...]
) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """`coarsen` for each of `prefixes`; the mask says which rows changed at all."""
    changed = np.zeros(table.num_rows, dtype=bool)
    for prefix in prefixes:
        table, hit = coarsen(table, births, prefix)
        changed |= hit
    return table, changed


@dataclass
class Masker:
    """Masks texts with what is known of each patient; deidentifiers are kept for the commit.

    `stay_numbers` gives the hospital's number of a stay, masked in the documents of that stay.
    """

    known: Callable[[int], Deidentifier]
    stay_numbers: Callable[[list[int]], dict[int, str]]

    def __post_init__(self) -> None:
        self._of: dict[int, Deidentifier] = {}
        self._short: dict[tuple[int, str], str] = {}  # titles and values come again and again

    def short(self, value: str, patient: int) -> str:
        """A masked title or value."""
        key = (patient, value)
        found = self._short.get(key)
        if found is None:
            found = self._short[key] = self._for(patient).redact(value)
        return found

    def texts(
        self, column: pa.ChunkedArray | pa.Array, patients: Int32s, stays: pa.ChunkedArray | pa.Array | None = None
    ) -> pa.Array:
        """Masked texts; nulls stay null. `stays` are the stays of the texts' documents."""
        values = column.to_pylist()
        named = stays.to_pylist() if stays is not None else [None] * len(values)
        numbers = self.stay_numbers(sorted({s for s in named if s is not None})) if stays is not None else {}
        masked = [
            None if v is None else self._for(int(p)).redact(v, (numbers[s],) if s in numbers else ())
            for v, p, s in zip(values, patients, named, strict=True)
        ]
        return pa.array(masked, pa.string())

    def _for(self, patient: int) -> Deidentifier:
        found = self._of.get(patient)
        if found is None:
            found = self._of[patient] = self.known(patient)
        return found


def mask_column(
    table: pa.Table, name: str, patients: Int32s, masker: Masker, safe: frozenset[str] = frozenset()
) -> tuple[pa.Table, dict[int, str]]:
    """Mask the short texts of one column, but those that are `safe`, such as labels of codes.

    Returns the table and, by row, the originals of what was altered.
    """
    filled = table[name].is_valid().to_numpy()
    if not filled.any():
        return table, {}
    values = table[name].to_pylist()
    altered: dict[int, str] = {}
    for row in np.flatnonzero(filled).tolist():
        value = values[row]
        if value not in safe:
            masked = masker.short(value, int(patients[row]))
            if masked != value:
                altered[row] = value
                values[row] = masked
    return (_set(table, name, pa.array(values, pa.string())) if altered else table), altered


def _set(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(at, pa.field(name, table.schema.field(at).type), column)
