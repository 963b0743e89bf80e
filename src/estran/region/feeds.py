"""The files that a hospital emits: records queued by the moment they are sent, written shard by shard."""

from __future__ import annotations

from pathlib import Path

from estran.region.calendar import DAY
from estran.region.dice import Dice
from estran.region.library import Hospital

_LATE, _DUPLICATE = 0.02, 0.004
# Per feed: folder under feeds/, ending, format of `estran ingest`, in the order in which a hospital connects them.
STREAMS = {
    "adt": ("hl7", "hl7v2"), "labo": ("hl7", "hl7v2"), "documents": ("hl7", "hl7v2"), "comptes-rendus": ("jsonl", "report"),
    "dossier": ("jsonl", "report"), "fhir": ("ndjson", "fhir"), "pmsi": ("txt", "pmsi"),
}  # fmt: skip


class Feeds:
    """What one hospital sends about the people of one shard."""

    def __init__(self, hospital: Hospital, dice: Dice) -> None:
        self.hospital = hospital
        self._dice = dice
        self._queues: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
        self.records = 0
        self.bytes = 0

    def sending(self, minute: int) -> int:
        """When a record of that moment is sent: within minutes, or days late."""
        dice = self._dice
        if dice.chance() < _LATE:
            return minute + dice.between(60, 6 * DAY)
        return minute + dice.below(10)

    def post(self, feed: str, sent: int, data: bytes, part: str = "") -> None:
        """Queue a record; now and then it goes out twice."""
        queue = self._queues.setdefault((feed, part), [])
        queue.append((sent, data))
        if self._dice.chance() < _DUPLICATE:
            queue.append((sent + self._dice.between(1, 300), data))

    def put(self, feed: str, sent: int, data: bytes, part: str = "") -> None:
        """Queue a record of a file that holds each once."""
        self._queues.setdefault((feed, part), []).append((sent, data))

    def write(self, site: Path, shard: int) -> None:
        """Write every queue in the order of sending: one file per feed, part and shard."""
        for (feed, part), queue in self._queues.items():
            folder = site / "feeds" / feed
            folder.mkdir(parents=True, exist_ok=True)
            queue.sort(key=lambda one: one[0])
            data = b"".join([record for _, record in queue])
            (folder / f"{part or feed}-{shard:05d}.{STREAMS[feed][0]}").write_bytes(data)
            self.records += len(queue)
            self.bytes += len(data)
