"""The warehouse: tables, snapshots, presence bitmaps, text index, compaction. Alone opens the data."""

from estran.warehouse.changes import Changes
from estran.warehouse.presence import Presence, bitmap, members
from estran.warehouse.snapshot import Snapshot
from estran.warehouse.store import SnapshotInfo, Warehouse
from estran.warehouse.writer import Writer

__all__ = ["Changes", "Presence", "Snapshot", "SnapshotInfo", "Warehouse", "Writer", "bitmap", "members"]
