"""What the data centre does with a site as a whole: status, compaction."""

from __future__ import annotations

from typing import Any

from estran.warehouse import Snapshot, Warehouse

_COUNTS = ("read", "loaded", "superseded", "quarantined")


def status(snapshot: Snapshot) -> dict[str, Any]:
    """What the snapshot holds: visible patients, known stays, current documents, their facts, and
    for each source read = loaded + superseded + quarantined."""
    with snapshot.connect() as connection:
        facts = connection.execute("select count(*) from fact").fetchone()
        documents = connection.execute("select count(*) from document").fetchone()
        rows = connection.execute(
            "select source, sum(read)::bigint, sum(loaded)::bigint, sum(superseded)::bigint, sum(quarantined)::bigint, "
            "max(coalesce(finished, started)) from raw_load group by source order by source"
        ).fetchall()
    return {
        "patients": len(snapshot.population()),
        "stays": len(snapshot.known_stays()),
        "documents": documents[0] if documents else 0,
        "facts": facts[0] if facts else 0,
        "snapshot": snapshot.version,
        "created": snapshot.created.isoformat(),
        "sources": {row[0]: dict(zip(_COUNTS, row[1:5], strict=True)) | {"last_load": row[5]} for row in rows},
    }


def compact(warehouse: Warehouse) -> int:
    """Compact and remove litter; returns the new snapshot's version."""
    warehouse.compact()
    warehouse.vacuum()
    return warehouse.latest()
