"""The reader of variants: one record per sample of a file, landed as what it says (docs/reference/sources/vcf.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson
import pyarrow as pa

from estran.model.moments import Moment, instant, parse_iso
from estran.sources import ties
from estran.sources.checksums import checksum_or_nothing
from estran.sources.packed import Entry, PackWriter, numbered
from estran.sources.records import Batch, BatchBuilder, IdentityStatement, Person, content_hash
from estran.sources.schemas import VARIANTS
from estran.sources.searching import files_under
from estran.sources.vcf import facts, samples
from estran.sources.vcf.asking import Broken, ask
from estran.sources.writing import put

_ENDINGS = (".vcf", ".vcf.gz", ".vcf.bgz", ".bcf", ".bcf.gz")
_BATCH_RECORDS, _BATCH_VARIANTS = 500, 500_000
_COLUMNS = [name for name in VARIANTS.names if name != "document"]


@dataclass
class VcfReader:
    """Reads VCF and BCF; `zone` is the site's, `author_system` names the hospital's numbers."""

    zone: str = "Europe/Paris"
    author_system: str = ""
    format: str = field(default="vcf", init=False)

    def files(self, paths: list[Path]) -> list[Path]:
        """Lists of samples first, then files of variants; a file given by itself is read whatever its name."""
        return sorted(files_under(paths, _is_ours), key=lambda path: not samples.is_samples(path))

    def size(self, path: Path) -> int:
        """Bytes of the file."""
        return path.stat().st_size

    def condense(self, path: Path, out: IO[bytes]) -> None:
        """The pack of one file: an entry per sample, or per line of a list of samples."""
        start = out.tell()
        pack = PackWriter(out)
        if samples.is_samples(path):
            samples.pack_samples(pack, path)
            return
        base = {"name": path.name, "kind": "variants"}
        beside = samples.described(path)
        try:
            for words, body in ask(path):
                pack.add(base | words | _described(beside.get(words.get("sample", ""))), body)
        except (Broken, OSError):
            out.seek(start)
            out.truncate()
            refused = ("malformed", "The file is damaged, or takes too long to be read.")
            PackWriter(out).add({**base, "refused": refused, "checksum": checksum_or_nothing(path)})

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        """Batches of the pack (or file) at `path`: one record per sample."""
        builder, variants = BatchBuilder(), 0
        for number, entry in numbered(path, self.condense, wanted):
            variants += self._take(builder, number, entry)
            if len(builder) >= _BATCH_RECORDS or variants >= _BATCH_VARIANTS:
                yield builder.build()
                builder, variants = BatchBuilder(), 0
        if len(builder):
            yield builder.build()

    def _take(self, builder: BatchBuilder, number: int, entry: Entry) -> int:
        """The record of an entry; returns how many variants it has."""
        meta = entry.meta
        if "refused" in meta:
            record = builder.record(number, meta.get("line"), 0, content_hash(orjson.dumps(meta)))
            builder.refuse(record, "file" if "sample" not in meta else "sample", *meta["refused"])
            return 0
        if meta["kind"] == ties.KIND:
            ties.take_tie(builder, number, meta, self.author_system)
            return 0
        return self._put(builder, number, entry)

    def _put(self, builder: BatchBuilder, number: int, entry: Entry) -> int:
        meta = entry.meta
        rows = pa.ipc.open_stream(entry.body).read_all()
        written = self._moment(meta.get("date", ""))
        # A version says when its file was written; of two that say the same, the one whose sample is described wins.
        event_time = (instant(written, self.zone) if written else 0) + ("panel" in meta)
        key = f"variants/{meta['sample']}/{_stem(meta['name'])}"
        said = orjson.dumps([key, *(meta.get(n) for n in ("date", "sampled", "panel", "assembly"))])
        record = builder.record(number, None, event_time, content_hash(said + entry.body))
        patient = builder.patient(samples.NUMBER, meta["sample"])
        builder.batch.identities.append(IdentityStatement(record, patient, (), Person(), introduces=False))
        start = self._moment(meta.get("sampled", "")) or written
        put(builder, record, patient, None, facts.write(key, rows, start, meta["assembly"], meta.get("panel", ""), event_time))
        builder.variants(builder.documents - 1, rows.select(_COLUMNS))
        return int(rows.num_rows)

    def _moment(self, date: str) -> Moment | None:
        try:
            return parse_iso(date, self.zone) if date else None
        except (ValueError, OverflowError):
            return None


def _is_ours(path: Path) -> bool:
    return not path.name.startswith(".") and (path.name.lower().endswith(_ENDINGS) or samples.is_samples(path))


def _described(sample: samples.Sample | None) -> dict[str, Any]:
    """What the list of samples adds to an entry."""
    return {"sampled": sample.date, "panel": sample.panel} if sample else {}


def _stem(name: str) -> str:
    """The file's name without what says how it is written."""
    ending = next((e for e in sorted(_ENDINGS, key=len, reverse=True) if name.lower().endswith(e)), "")
    return name[: len(name) - len(ending)]
