"""Sealing every value of the vault anew, with the sealing key in use."""

from __future__ import annotations

from collections.abc import Iterator

from estran.identity.store import Store

# Each table with what its sealed values are bound to, in the order of binding; its primary key.
_SEALED = {
    "identity": (("identity_id",), ("identity_id",)),
    "number": (("hash", "identity_id"), ("hash",)),
    "stay": (("hash", "stay_id", "identity_id"), ("hash",)),
    "link": (("a", "b", "kind"), ("a", "b", "kind")),
    "original": (("identity_id", "record_key", "size"), ("identity_id", "record_key")),
    "file": (("file_no", "hash"), ("file_no",)),
    "trace": (("trace_no",), ("trace_no",)),
    "death_review": (("review_no", "hash"), ("review_no",)),
    "own_review": (("review_no", "data_no", "subject"), ("review_no",)),
}
_ROWS = 10_000


def reseal(store: Store) -> Iterator[int]:
    """Open and seal every value again, in one transaction; tells how many are done. What was sealed
    before is gone from the file at the end."""
    done = 0
    with store.transaction():
        for table, (bound, primary) in _SEALED.items():
            rows = store.rows(f"SELECT {', '.join(bound)}, sealed FROM {table}")
            for start in range(0, len(rows), _ROWS):
                _replace(store, table, bound, primary, rows[start : start + _ROWS])
                done += len(rows[start : start + _ROWS])
                yield done
        store.forget()
    store.write("VACUUM")


def _replace(
    store: Store, table: str, bound: tuple[str, ...], primary: tuple[str, ...], rows: list[tuple[int | bytes, ...]]
) -> None:
    fresh = []
    for *key, sealed in rows:
        numbers = [int(part) for part in key]
        plain = store.unseal(bytes(sealed), table, *numbers)
        named = dict(zip(bound, numbers, strict=True))
        fresh.append((store.seal(plain, table, *numbers), *(named[column] for column in primary)))
    where = " AND ".join(f"{column} = ?" for column in primary)
    store.write_many(f"UPDATE {table} SET sealed = ? WHERE {where}", fresh)
