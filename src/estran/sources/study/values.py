"""Texts of a study as values: whole columns at once, and which rows do not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from estran.sources.study.sheet import Item, Kind

Bools = npt.NDArray[np.bool_]
LONGEST_WORDS = 200
ORDERS = ("ymd", "dmy")
TYPES = {
    Kind.DATE: pa.date32(), Kind.NUMBER: pa.float64(), Kind.FLAG: pa.bool_(), Kind.CODE: pa.string(), Kind.WORDS: pa.string(),
}  # fmt: skip
_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$"
_YMD = r"^(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?:[T ]\d{2}:\d{2}.{0,20})?$"
_DMY = r"^(?P<d>\d{1,2})[/.-](?P<m>\d{1,2})[/.-](?P<y>\d{4})(?:[T ]\d{2}:\d{2}.{0,20})?$"
_YES, _NO = ("1", "y", "yes", "o", "oui", "true"), ("0", "n", "no", "non", "false")
_FIRST, _LAST = 1850, 2150  # years of a date


@dataclass(frozen=True)
class Typed:
    """A column, and why some of its rows do not fit: word → mask."""

    values: pa.Array
    wrong: dict[str, Bools]


def typed(texts: pa.ChunkedArray, item: Item, order: str) -> Typed:
    """The values of a column; `order` is that of the parts of a date."""
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    stripped = pc.utf8_trim_whitespace(whole)
    stripped = pc.if_else(pc.equal(stripped, ""), pa.scalar(None, pa.string()), stripped)
    return _READ[item.kind](stripped, item, order)


def _numbers(texts: pa.Array, item: Item, _: str) -> Typed:
    dotted = pc.replace_substring(texts, ",", ".")
    fits = pc.fill_null(pc.match_substring_regex(dotted, _NUMBER), True)
    values = pc.if_else(fits, dotted, pa.scalar(None, pa.string())).cast(pa.float64())
    values = pc.if_else(pc.is_finite(values), values, pa.scalar(None, pa.float64()))
    beyond = _false(texts)
    for limit, compare in ((item.low, pc.less), (item.high, pc.greater)):
        if limit is not None:
            beyond |= _mask(compare(values, limit))
    lost = _mask(texts.is_valid()) & ~_mask(values.is_valid())
    return Typed(values, {"not-a-number": lost, "out-of-range": beyond})


def _dates(texts: pa.Array, _: Item, order: str) -> Typed:
    parts = pc.extract_regex(texts, _YMD if order == "ymd" else _DMY)
    there = _mask(parts.is_valid())
    year, month, day = (_ints(pc.struct_field(parts, [name]), there) for name in "ymd")
    sound = there & (year >= _FIRST) & (year <= _LAST) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    months = np.where(sound, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + np.where(sound, day - 1, 0).astype("timedelta64[D]")
    sound &= days.astype("datetime64[M]") == months  # 31 June is no day
    values = pa.array(days.astype(np.int64).astype(np.int32), pa.int32(), mask=~sound).cast(pa.date32())
    return Typed(values, {"not-a-date": _mask(texts.is_valid()) & ~sound})


def _flags(texts: pa.Array, _: Item, __: str) -> Typed:
    lowered = pc.utf8_lower(texts)
    yes, no = (_mask(pc.is_in(lowered, pa.array(words))) for words in (_YES, _NO))
    return Typed(pa.array(yes, mask=~(yes | no)), {"not-yes-no": _mask(texts.is_valid()) & ~(yes | no)})


def _codes(texts: pa.Array, item: Item, order: str) -> Typed:
    if not item.codes:
        return _words(texts, item, order)
    known = _mask(pc.is_in(texts, pa.array([code for code, _ in item.codes], pa.string())))
    return Typed(texts, {"not-in-list": _mask(texts.is_valid()) & ~known})


def _words(texts: pa.Array, _: Item, __: str) -> Typed:
    return Typed(texts, {"too-long": _mask(pc.greater(pc.utf8_length(texts), LONGEST_WORDS))})


_READ: dict[Kind, Callable[[pa.Array, Item, str], Typed]] = {
    Kind.NUMBER: _numbers, Kind.DATE: _dates, Kind.FLAG: _flags, Kind.CODE: _codes, Kind.WORDS: _words,
}  # fmt: skip


def _mask(column: pa.Array) -> Bools:
    return np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False), np.bool_)


def _false(column: Sequence[object]) -> Bools:
    return np.zeros(len(column), np.bool_)


def _ints(texts: pa.Array, there: Bools) -> npt.NDArray[np.int64]:
    filled = pc.if_else(pa.array(there), texts, pa.scalar("0"))
    return np.asarray(pc.fill_null(filled, "0").cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)
