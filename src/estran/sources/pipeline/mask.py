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

from estran.identity.deid import Deidentifier, harmless
from estran.model.codes import Precision
from estran.model.moments import civil

Int32s = npt.NDArray[np.int32]
NO_BIRTH = np.int32(-(2**31))
_MICROS_PER_DAY = 86_400_000_000
_SMALLEST_NUMBER = 100_000  # below, a value is not taken for a number of the hospital
_FEWEST_DIGITS = 4  # of a text that may hold the number of a stay
_DAYS_PER_UNIT = {"h": 1 / 24, "d": 1.0, "wk": 7.0, "mo": 30.4375, "a": 365.25}


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


def coarsen_instants(
    table: pa.Table, births: Int32s, columns: tuple[str, ...], zone: str
) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """Bring instants (microseconds UTC) of the row's birth date to the first of its month, at the same
    time of day: their order among themselves, and before all that comes after birth, stays."""
    changed = np.zeros(table.num_rows, dtype=bool)
    for name in columns:
        micros = pc.fill_null(table[name].cast(pa.int64()), 0).to_numpy()
        near = np.flatnonzero((np.abs(micros // _MICROS_PER_DAY - births) <= 1) & (micros != 0))  # 0: not known
        near = near[civil(micros[near], zone)[0] == births[near]] if len(near) else near
        if not len(near):
            continue
        moved = micros.copy()
        moved[near] -= (births[near] - month_start(births[near])).astype(np.int64) * _MICROS_PER_DAY
        table = _set(table, name, pa.array(moved, pa.int64(), mask=~table[name].is_valid().to_numpy()))
        changed[near] = True
    return table, changed


def hide_ages(facts: pa.Table, births: Int32s) -> tuple[pa.Table, dict[int, float]]:
    """Values that are an age, or any time since birth: beside the fact's date they tell the birth date.

    Years and months lose what is behind the point, shorter units the value. Returns the table and,
    by row, the values as they were.
    """
    known = (births != NO_BIRTH) & facts["value"].is_valid().to_numpy() & facts["start_date"].is_valid().to_numpy()
    altered: dict[int, float] = {}
    values = None
    units, codes = _coded(facts["unit"]) if known.any() else ([], np.zeros(0, dtype=np.int64))
    for unit, days in _DAYS_PER_UNIT.items():
        rows = np.flatnonzero(known & (codes == units.index(unit))) if unit in units else ()
        if not len(rows):
            continue
        values = pc.fill_null(facts["value"], 0).to_numpy().copy() if values is None else values
        since = facts["start_date"].cast(pa.int32()).take(pa.array(rows)).to_numpy() - births[rows]
        told = np.abs(values[rows] * days - since) < (1.0 if days < 30 else 2.0)
        told &= (values[rows] > 0) & ((days < 30) | (values[rows] % 1 != 0))
        for row in rows[told].tolist():
            altered[row] = float(values[row])
            values[row] = np.floor(values[row]) if days > 30 else np.nan
    return (_put_values(facts, values) if altered and values is not None else facts), altered


def hide_numbers(
    facts: pa.Table, patients: Int32s, figures: Callable[[int, int | None], frozenset[float]]
) -> tuple[pa.Table, dict[int, float]]:
    """Values without a unit that are a number, a phone or the birth date of the patient (`figures` of
    the patient and the stay). Returns the table and, by row, the values as they were."""
    values = pc.fill_null(facts["value"], 0).to_numpy()
    likely = (values >= _SMALLEST_NUMBER) & (values % 1 == 0) & facts["unit"].is_null().to_numpy()
    rows = np.flatnonzero(likely).tolist()
    stays = facts["stay_id"].take(pa.array(rows, pa.int64())).to_pylist() if rows else []
    altered = {
        row: float(values[row])
        for row, stay in zip(rows, stays, strict=True)
        if values[row] in figures(int(patients[row]), stay)
    }
    if altered:
        values = values.copy()
        values[list(altered)] = np.nan
        facts = _put_values(facts, values)
    return facts, altered


def _put_values(facts: pa.Table, values: npt.NDArray[np.float64]) -> pa.Table:
    """The column `value`, rows that are NaN or were null being null."""
    return _set(
        facts, "value", pa.array(values, pa.float64(), mask=facts["value"].is_null().to_numpy() | np.isnan(values))
    )


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
            found = self._short[key] = value if harmless(value) else self._for(patient).redact(value)
        return found

    def texts(
        self, column: pa.ChunkedArray | pa.Array, patients: Int32s, stays: pa.ChunkedArray | pa.Array | None = None
    ) -> pa.Array:
        """Masked texts; nulls stay null. `stays` are the stays of the texts' documents."""
        values = column.to_pylist()
        named = stays.to_pylist() if stays is not None else [None] * len(values)
        numbers = self.stay_numbers(sorted({s for s in named if s is not None})) if stays is not None else {}
        masked = [
            None if v is None else self.one(v, int(p), (numbers[s],) if s in numbers else ())
            for v, p, s in zip(values, patients, named, strict=True)
        ]
        return pa.array(masked, pa.string())

    def one(self, value: str, patient: int, also: tuple[str, ...] = ()) -> str:
        """A masked text; `also` lists further numbers to mask in it."""
        return self._for(patient).redact(value, also)

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
    if table[name].null_count == table.num_rows:
        return table, {}
    words, codes = _coded(table[name])
    rows = np.flatnonzero(np.array([word not in safe for word in words] + [False])[codes])
    if not len(rows):
        return table, {}
    # A patient's same value is masked once, however often it comes.
    pairs = patients[rows].astype(np.int64) * len(words) + codes[rows]
    distinct, back = np.unique(pairs, return_inverse=True)
    masked = [masker.short(words[pair % len(words)], pair // len(words)) for pair in distinct.tolist()]
    changed = [text != words[pair % len(words)] for text, pair in zip(masked, distinct.tolist(), strict=True)]
    places = np.flatnonzero(np.array(changed)[back])
    if not len(places):
        return table, {}
    values = table[name].to_pylist()
    altered = {int(rows[place]): values[rows[place]] for place in places.tolist()}
    for place in places.tolist():
        values[rows[place]] = masked[back[place]]
    return _set(table, name, pa.array(values, pa.string())), altered


def mask_stay_numbers(
    table: pa.Table, name: str, patients: Int32s, masker: Masker
) -> tuple[pa.Table, dict[int, str]]:
    """Mask, in the short texts of one column, the number of the stay (`stay_id`) that the row belongs to.

    Returns the table and, by row, the texts that were altered.
    """
    if table[name].null_count == table.num_rows or table["stay_id"].null_count == table.num_rows:
        return table, {}
    words, codes = _coded(table[name])
    likely = np.array([sum(map(str.isdigit, word)) >= _FEWEST_DIGITS for word in words] + [False])[codes]
    rows = np.flatnonzero(likely & table["stay_id"].is_valid().to_numpy()).tolist()
    if not rows:
        return table, {}
    stays = table["stay_id"].take(pa.array(rows)).to_pylist()
    numbers = masker.stay_numbers(sorted(set(stays)))
    altered: dict[int, str] = {}
    values = table[name].to_pylist()
    for row, stay in zip(rows, stays, strict=True):
        number = numbers.get(stay, "")
        if not number or _bare(number) not in _bare(values[row]):
            continue
        masked = masker.one(values[row], int(patients[row]), (number,))
        if masked != values[row]:
            altered[row], values[row] = values[row], masked
    return (_set(table, name, pa.array(values, pa.string())) if altered else table), altered


def _bare(text: str) -> str:
    """Letters and digits only, in one case."""
    return "".join(filter(str.isalnum, text)).casefold()


def _coded(column: pa.ChunkedArray) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The distinct texts of a column and, by row, which it holds (-1: none)."""
    encoded = column.combine_chunks()
    encoded = encoded.chunk(0) if isinstance(encoded, pa.ChunkedArray) else encoded
    encoded = encoded if pa.types.is_dictionary(encoded.type) else encoded.dictionary_encode()
    return encoded.dictionary.to_pylist(), pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int64)


def _set(table: pa.Table, name: str, column: pa.Array | pa.ChunkedArray) -> pa.Table:
    at = table.schema.get_field_index(name)
    if pa.types.is_dictionary(table.schema.field(at).type):
        column = column.dictionary_encode()
    return table.set_column(at, pa.field(name, table.schema.field(at).type), column)
