"""The warehouse: tables, snapshots, presence bitmaps, text index, compaction. Alone opens the data."""

from estran.warehouse.changes import Changes
from estran.warehouse.check import Finding
from estran.warehouse.confidential import Scope
from estran.warehouse.digest import digest
from estran.warehouse.encoding import taken, time_order
from estran.warehouse.folding import fold_stays
from estran.warehouse.presence import Presence, bitmap, members
from estran.warehouse.presence_update import LIVE
from estran.warehouse.snapshot import Snapshot
from estran.warehouse.store import Compaction, SnapshotInfo, Warehouse
from estran.warehouse.writer import Writer

__all__ = [
    "LIVE", "Changes", "Compaction", "Finding", "Presence", "Scope", "Snapshot", "SnapshotInfo", "Warehouse", "Writer",
    "bitmap", "digest", "fold_stays", "members", "taken", "time_order",
]  # fmt: skip
