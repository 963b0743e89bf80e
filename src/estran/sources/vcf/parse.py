"""A VCF or BCF file read by htslib (cyvcf2): the variants of each of its samples.

Runs in a process of its own (see `child`): htslib is C and its input comes from outside.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cyvcf2 import VCF

from estran.sources import refusing
from estran.sources.vcf.annotate import Annotator
from estran.sources.vcf.genotypes import ROWS, Malformed, Sites

MOST_SAMPLES = 10_000
MOST_VARIANTS = 8_000_000  # of one sample; a genome has five million
_HELD_ROWS = 500_000
# VCF 4.3, 1.4.7: contig names; an allele is bases, a symbol, a breakend or *.
_CONTIG = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]{0,99}")
_BASES = re.compile(r"[ACGTNRYSWKMBDHVacgtnryswkmbdhv]+")
_ALTERNATE = re.compile(r"[ACGTNRYSWKMBDHVacgtnryswkmbdhv]+|<[A-Za-z0-9:_*+.=\-]{1,60}>|[ACGTNacgtn.]*[\[\]][0-9A-Za-z_.:<>\-]{1,120}[\[\]][ACGTNacgtn.]*")
_NO_VARIANT = frozenset({"*", "<*>", "<NON_REF>", "<X>", ".", ""})
_FILTER = re.compile(r"[A-Za-z0-9_.+\-=<>%:]{1,60}")
_DATE = re.compile(r"^##fileDate=\D{0,2}((?:19|20)\d\d)[-/.]?(\d\d)[-/.]?(\d\d)\s*\"?$", re.MULTILINE | re.IGNORECASE)
_ASSEMBLIES = ((re.compile(r"GRCh38|hg38|hs38|GCA_000001405\.(1[5-9]|2\d)", re.IGNORECASE), "GRCh38"),
               (re.compile(r"GRCh37|hg19|b37|hs37|NCBI37|GCA_000001405\.([1-9]|1[0-4])\b", re.IGNORECASE), "GRCh37"),
               (re.compile(r"T2T|chm13", re.IGNORECASE), "T2T-CHM13"),
               (re.compile(r"NCBI36|hg18|b36", re.IGNORECASE), "NCBI36"))  # fmt: skip
_NUMERIC = re.compile(r"^##FORMAT=<ID=(DP|AD|AF|VAF),[^>]*Type=(?:Integer|Float)", re.MULTILINE)


class Unread(refusing.Unread):
    """Why a file gives nothing: a refusal code and a sentence without any value."""


@dataclass
class Parsed:
    """What a file says of its samples; `tables` gives their variants, one sample at a time."""

    samples: list[str]
    date: str  # YYYY-MM-DD, "" unknown
    assembly: str  # GRCh38, GRCh37…, "" unknown
    sites: int = 0
    _held: list[list[tuple[int, int]]] = field(default_factory=list)
    _spill: IO[bytes] | None = None

    def tables(self) -> Iterator[tuple[str, pa.Table | None]]:
        """Each sample with its variants by chromosome and position; None when it has too many."""
        for name, held in zip(self.samples, self._held, strict=True):
            yield name, self._table(held)

    def _table(self, held: list[tuple[int, int]]) -> pa.Table | None:
        assert self._spill is not None  # noqa: S101  (the type checker's)
        parts = []
        for offset, size in held:
            self._spill.seek(offset)
            parts.append(pa.ipc.open_stream(self._spill.read(size)).read_all())
            if sum(part.num_rows for part in parts) > MOST_VARIANTS:
                return None
        rows = pa.concat_tables(parts) if parts else ROWS.empty_table()
        keys = [(name, "ascending") for name in ("chrom", "pos", "ref", "alt")]
        return rows.drop_columns(["sample"]).take(pc.sort_indices(rows, keys)) if rows.num_rows else rows.drop_columns(["sample"])

    def hold(self, rows: pa.Table) -> None:
        """Put rows, sorted by sample within each piece, aside on the disk."""
        if not rows.num_rows:
            return
        assert self._spill is not None  # noqa: S101  (the type checker's)
        rows = rows.take(pc.sort_indices(rows, [("sample", "ascending")])).combine_chunks()
        sample = rows["sample"].to_numpy()
        starts = np.flatnonzero(np.diff(sample, prepend=-1))
        for start, end in zip(starts, np.append(starts[1:], len(sample)), strict=True):
            offset = self._spill.seek(0, 2)
            one = rows.slice(int(start), int(end - start))
            with pa.ipc.new_stream(self._spill, ROWS, options=pa.ipc.IpcWriteOptions(compression="zstd")) as out:
                out.write_table(one)
            self._held[int(sample[start])].append((offset, self._spill.tell() - offset))


def parse(path: Path) -> Parsed:
    """All of the file at `path`. Raises Unread when it is no VCF, is damaged, cut short, or names no sample."""
    _check_end(path)
    try:
        source = VCF(str(path))
    except Exception:  # noqa: BLE001  (cyvcf2 raises bare exceptions)
        raise Unread("malformed", "The file is no VCF or BCF that can be read.") from None
    try:
        return _parsed(source)
    finally:
        source.close()


def _check_end(path: Path) -> None:
    """A file compressed by bgzip ends with an empty block, or something of it is missing."""
    with path.open("rb") as file:
        head = file.read(18)
        if head[:4] != b"\x1f\x8b\x08\x04" or head[12:14] != b"BC":
            return
        file.seek(max(0, path.stat().st_size - 28))
        end = file.read()
    if end[:4] != b"\x1f\x8b\x08\x04" or end[-4:] != b"\0\0\0\0":
        raise Unread("truncated", "The file is cut short.")


def _parsed(source: VCF) -> Parsed:
    samples = list(source.samples)
    if not samples:
        raise Unread("missing", "The file names no sample: its variants are nobody's.")
    if len(samples) > MOST_SAMPLES:
        raise Unread("malformed", f"The file has more than {MOST_SAMPLES} samples.")
    header = source.raw_header
    date = _DATE.search(header)
    parsed = Parsed(samples, "-".join(date.groups()) if date else "", _assembly(header))
    parsed._held = [[] for _ in samples]
    parsed._spill = tempfile.TemporaryFile(prefix="estran-")  # noqa: SIM115  (lives as long as what it holds)
    _read(source, header, parsed)
    return parsed


def _assembly(header: str) -> str:
    """The reference genome, by what the header says of it."""
    said = "\n".join(line for line in header.split("\n") if line.startswith(("##reference=", "##contig=", "##assembly=")))
    return next((name for shape, name in _ASSEMBLIES if shape.search(said)), "")


def _read(source: VCF, header: str, parsed: Parsed) -> None:
    reader = _Reader(Annotator(header), set(_NUMERIC.findall(header)), Sites(len(parsed.samples)))
    held: list[pa.Table] = []
    try:
        for site in source:
            reader.take(site)
            parsed.sites += 1
            if reader.sites.full:
                held.append(reader.finish())
                if sum(part.num_rows for part in held) > _HELD_ROWS:
                    parsed.hold(pa.concat_tables(held))
                    held.clear()
    except (Unread, MemoryError):
        raise
    except Exception:  # noqa: BLE001  (cyvcf2 raises bare exceptions)
        raise Unread("malformed", "A line of the file cannot be read.") from None
    parsed.hold(pa.concat_tables([*held, reader.finish()]))


@dataclass
class _Reader:
    """Takes sites one by one."""

    annotator: Annotator
    numeric: set[str]  # fields of the genotypes that the header declares as numbers
    sites: Sites

    def take(self, site: Any) -> None:
        """A site with its genotypes; a site without any is nobody's."""
        chosen = [(n, alt) for n, alt in enumerate(site.ALT, start=1) if alt not in _NO_VARIANT]
        if not chosen:
            return
        try:
            genotypes = site.genotype.array()
        except Exception:  # noqa: BLE001  (how cyvcf2 says that there are none)
            return
        chrom, ref = chromosome(site.CHROM), site.REF
        formed = bool(chrom and _BASES.fullmatch(ref))
        place, sites = len(self.sites.genotypes), self.sites
        sites.genotypes.append(genotypes)
        sites.depths.append(self._field(site, "DP"))
        sites.reads.append(self._field(site, "AD"))
        fractions = self._field(site, "AF")
        sites.fractions.append(fractions if fractions is not None else self._field(site, "VAF"))
        sites.said.append(self.annotator.said(site.INFO.get))
        sites.words.append((chrom, site.POS, ref, _filter(tuple(site.FILTERS))))
        sites.alleles += [(place, number, alt, formed and bool(_ALTERNATE.fullmatch(alt))) for number, alt in chosen]

    def _field(self, site: Any, name: str) -> Any:
        return site.format(name) if name in self.numeric else None

    def finish(self) -> pa.Table:
        """The rows of what was gathered."""
        try:
            rows, self.sites = self.sites.rows(self.annotator), Sites(self.sites.samples)
        except Malformed:
            raise Unread("malformed", "A site has a chromosome or an allele that the format does not allow.") from None
        return rows


@lru_cache(maxsize=4096)
def chromosome(name: str) -> str:
    """`chr13` and `13` are one chromosome, and so are `chrM`, `M` and `MT`; "" when it is none."""
    if not _CONTIG.fullmatch(name):
        return ""
    short = name[3:] if name[:3].lower() == "chr" and len(name) > 3 else name
    return "MT" if short == "M" else short


@lru_cache(maxsize=4096)
def _filter(names: tuple[str, ...]) -> str | None:
    kept = [name for name in names if _FILTER.fullmatch(name)]
    return ";".join(kept)[:200] or None
