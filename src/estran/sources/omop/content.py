"""A stable 64-bit hash of every row of a table, without a loop over rows.

It finds identical resends and breaks ties, so it must never change between versions of Python,
Arrow or DuckDB: it is written out here. It is not made to resist an attacker.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Uint64s = npt.NDArray[np.uint64]
Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_P1, _P2, _P3 = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9)
_63, _ONE = np.uint64(63), np.uint64(1)
_AT_ONCE = 16_384  # slices hashed together: their state stays in the processor's cache
_NULL = np.uint64(0x27D4EB2F165667C5)
# Masks that keep the first n bytes of a little-endian word.
_MASKS = np.array([(1 << (8 * n)) - 1 for n in range(9)], dtype=np.uint64)


def hash_slices(data: Bytes, starts: Int64s, lengths: Int64s) -> Uint64s:
    """Hash of each byte slice of `data`."""
    result = np.empty(len(starts), dtype=np.uint64)
    words = data[: len(data) // 8 * 8].view("<u8")
    # Words are read past the end of a slice: the last slices are hashed in a copy that goes on.
    inside = int(np.argmax(np.append(starts + lengths + 16 > len(words) * 8, True)))
    for first in range(0, inside, _AT_ONCE):
        part = slice(first, min(first + _AT_ONCE, inside))
        result[part] = _hash_some(words, starts[part], lengths[part])
    if inside < len(starts):
        base = int(starts[inside:].min())
        words = np.append(data[base:], np.zeros(16 + (base - len(data)) % 8, np.uint8)).view("<u8")
        result[inside:] = _hash_some(words, starts[inside:] - base, lengths[inside:])
    return _finish(result)


def _hash_some(words: Uint64s, starts: Int64s, lengths: Int64s) -> Uint64s:
    """Eight bytes of every slice at a time, put together from two aligned words."""
    state = lengths.astype(np.uint64) * _P1
    place, shift = starts >> 3, ((starts & 7) * 8).astype(np.uint64)
    back, low = _63 - shift, words[place]
    whole = int(lengths.min()) // 8
    for _ in range(whole):
        place = place + 1
        high = words[place]
        state, low = _step(state, (low >> shift) | ((high << back) << _ONE)), high
    left = lengths - 8 * whole
    active = np.flatnonzero(left > 0)
    shift, back, place, low, left = shift[active], back[active], place[active], low[active], left[active]
    while len(active):
        place = place + 1
        high = words[place]
        word = ((low >> shift) | ((high << back) << _ONE)) & _MASKS[np.minimum(left, 8)]
        state[active] = _step(state[active], word)
        left = left - 8
        more = np.flatnonzero(left > 0)
        active, place, left = active[more], place[more], left[more]
        shift, back, low = shift[more], back[more], high[more]
    return state


def hash_columns(table: pa.Table) -> Int64s:
    """Hash of each row of `table` over all of its columns, in their order."""
    state = np.full(len(table), _P3, dtype=np.uint64)
    for name in table.column_names:
        state = _step(state, _words(table[name]))
    return _finish(state).view(np.int64)


def _step(state: Uint64s, word: Uint64s) -> Uint64s:
    state = state ^ (word * _P2)
    state = (state << np.uint64(31)) | (state >> np.uint64(33))
    state *= _P1
    return state


def _finish(state: Uint64s) -> Uint64s:
    state = state ^ (state >> np.uint64(33))
    state = state * _P2
    state = state ^ (state >> np.uint64(29))
    state = state * _P3
    return state ^ (state >> np.uint64(32))


def _words(column: pa.ChunkedArray) -> Uint64s:
    """One word per value: the value itself when it is a number, the hash of its bytes otherwise."""
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_temporal(column.type)):
        column = column.cast(pa.large_string())
    array = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_large_string(array.type):
        words = _hash_strings(array)
    elif pa.types.is_floating(array.type):
        words = array.fill_null(0).to_numpy().astype(np.float64).view(np.uint64)
    else:
        width = pa.int32() if array.type.bit_width == 32 and pa.types.is_temporal(array.type) else pa.int64()
        numbers = array.cast(width) if pa.types.is_temporal(array.type) else array
        words = numbers.fill_null(0).to_numpy().astype(np.int64).view(np.uint64)
    if array.null_count:
        words = np.where(array.is_null().to_numpy(zero_copy_only=False), _NULL, words)
    return words


def _hash_strings(array: pa.Array) -> Uint64s:
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    content = np.frombuffer(data, dtype=np.uint8) if data is not None else np.zeros(0, dtype=np.uint8)
    return hash_slices(content, ends[:-1], np.diff(ends))
