"""What the data centre does with a site as a whole: status, compaction."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from estran.warehouse import Snapshot, Warehouse
from estran.warehouse.store import Compaction


class JobKind(StrEnum):
    """What may be asked for on a page and is done where the key is."""

    RETRY = "retry"  # read the quarantine of a source anew
    RELOAD = "reload"  # read all of a source anew
    UNLOAD = "unload"  # take a load back
    MEASURE = "measure"  # describe the newest snapshot for the catalogue and run the quality checks


_COUNTS = ("read", "loaded", "superseded", "quarantined")


def status(snapshot: Snapshot) -> dict[str, Any]:
    """What the snapshot holds: visible patients, known stays, current documents, their facts, and
    for each source read = loaded + superseded + quarantined."""
    with snapshot.connect() as connection:
        facts, documents = connection.execute(
            "select (select count(*) from fact), (select count(*) from document)"
        ).fetchall()[0]
        rows = connection.execute(
            "select source, sum(read)::bigint, sum(loaded)::bigint, sum(superseded)::bigint, sum(quarantined)::bigint, "
            "max(coalesce(finished, started)) from raw_load group by source order by source"
        ).fetchall()
    return {
        "patients": len(snapshot.population()),
        "stays": len(snapshot.known_stays()),
        "documents": documents,
        "facts": facts,
        "snapshot": snapshot.version,
        "created": snapshot.created.isoformat(),
        "sources": {row[0]: dict(zip(_COUNTS, row[1:5], strict=True)) | {"last_load": row[5]} for row in rows},
    }


def compact(warehouse: Warehouse) -> Compaction:
    """Merge small files, drop superseded rows, carry erasures out, remove litter."""
    done = warehouse.compact()
    warehouse.vacuum()
    return done
