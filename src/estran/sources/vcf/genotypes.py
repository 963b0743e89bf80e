"""Genotypes of many sites at once: which samples hold which allele, in how many copies, read how often."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from estran.model.codes import Zygosity
from estran.sources.vcf.annotate import Annotator

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NAMES = [Zygosity.HETEROZYGOUS, Zygosity.HOMOZYGOUS, Zygosity.HEMIZYGOUS, Zygosity.UNKNOWN]
ROWS = pa.schema(
    [
        ("sample", pa.int32()),
        ("chrom", pa.string()),
        ("pos", pa.int32()),
        ("ref", pa.string()),
        ("alt", pa.string()),
        ("gene", pa.string()),
        ("effect", pa.string()),
        ("impact", pa.string()),
        ("hgvs_c", pa.string()),
        ("hgvs_p", pa.string()),
        ("zygosity", pa.string()),
        ("allele_fraction", pa.float32()),
        ("depth", pa.int32()),
        ("filter", pa.string()),
        ("pathogenic", pa.bool_()),
    ]
)
_CELLS = 400_000  # samples times sites of one piece
_SITES = 20_000


class Malformed(Exception):
    """A sample holds an allele that the format does not allow."""


@dataclass
class Sites:
    """Sites gathered until there are enough of them to be worked on together."""

    samples: int
    genotypes: list[npt.NDArray[np.int16]] = field(default_factory=list)  # samples x (copies + phase)
    depths: list[Any] = field(default_factory=list)  # DP, samples x 1, or None
    reads: list[Any] = field(default_factory=list)  # AD, samples x alleles, or None
    fractions: list[Any] = field(default_factory=list)  # AF or VAF, samples x alternates, or None
    alleles: list[tuple[int, int, str, bool]] = field(default_factory=list)  # site, number, alternate, well formed
    words: list[tuple[str, int, str, str | None]] = field(default_factory=list)  # chromosome, position, reference, filter
    said: list[tuple[Any, ...]] = field(default_factory=list)  # annotations as the site has them

    @property
    def full(self) -> bool:
        return len(self.genotypes) >= _SITES or len(self.genotypes) * self.samples >= _CELLS

    def rows(self, annotator: Annotator) -> pa.Table:
        """One row per sample and allele that the sample holds, by sample, in the order of the sites. Raises Malformed."""
        if not self.alleles:
            return ROWS.empty_table()
        site, number = (np.array([a[k] for a in self.alleles], np.int64) for k in (0, 1))
        copies = _together(self.genotypes, -2, cut=1)
        held = np.zeros((len(site), self.samples), np.int16)
        for copy in range(copies.shape[2]):
            held += copies[:, :, copy][site] == number[:, None]
        sample, allele = np.nonzero(held.T)
        at, which = site[allele], number[allele]
        kind = _zygosity(copies[at, sample], held[allele, sample])
        depth = _depths(self.depths, self.reads, at, sample)
        said = self._described(allele, annotator)
        said["sample"] = pa.array(sample.astype(np.int32))
        said["zygosity"] = pa.DictionaryArray.from_arrays(kind, [str(name) for name in NAMES]).cast(pa.string())
        said["depth"] = pa.array(depth.astype(np.int32), mask=depth < 0)
        fraction = _fractions(self.reads, self.fractions, at, sample, which)
        said["allele_fraction"] = pa.array(fraction, mask=np.isnan(fraction))
        return pa.table([said[name] for name in ROWS.names], schema=ROWS)


    def _described(self, allele: Ints, annotator: Annotator) -> dict[str, pa.Array]:
        """What is said of the allele of each row, and of its site; annotations are read of those only."""
        held, back = np.unique(allele, return_inverse=True)
        chosen = [self.alleles[k] for k in held.tolist()]
        alts = {site: sum(1 for _ in group) for site, group in groupby(a[0] for a in self.alleles)}
        if not all(formed for *_, formed in chosen):
            raise Malformed
        notes = [annotator.of(self.said[s], self.words[s][2], alt, alts[s]) for s, _, alt, _ in chosen]
        place = pa.array(back)
        columns = {n: [getattr(one, n) for one in notes] for n in ("gene", "effect", "impact", "hgvs_c", "hgvs_p", "pathogenic")}
        columns |= {n: [self.words[s][k] for s, *_ in chosen] for k, n in enumerate(("chrom", "pos", "ref", "filter"))}
        columns["alt"] = [alt for _, _, alt, _ in chosen]
        return {name: pa.array(values, ROWS.field(name).type).take(place) for name, values in columns.items()}


def _together(parts: list[Any], filler: float, cut: int = 0, kind: Any = np.int16) -> npt.NDArray[Any]:
    """Arrays of samples x something as one, sites x samples x the most; `cut` last columns are left out."""
    widths = np.array([0 if p is None else p.shape[1] - cut for p in parts])
    samples = next((p.shape[0] for p in parts if p is not None), 0)
    found = np.full((len(parts), samples, int(widths.max(initial=0))), filler, kind)
    for width in np.unique(widths[widths > 0]).tolist():
        mine = np.flatnonzero(widths == width)
        found[mine, :, :width] = np.stack([parts[k][:, :width] for k in mine.tolist()])
    return found


def _zygosity(copies: npt.NDArray[Any], held: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Places in NAMES; `copies` are the alleles of each row's sample at its site, `held` how many are the row's."""
    ploidy = (copies > -2).sum(axis=1)
    missing = (copies == -1).any(axis=1)
    kind = np.select([ploidy == 1, held == ploidy, missing], [2, 1, 3], 0)
    return kind.astype(np.int8)


def _depths(depths: list[Any], reads: list[Any], at: Ints, sample: Ints) -> Ints:
    """Reads at the site, -1 unknown: DP, else the sum of AD."""
    found = np.full(len(at), -1, np.int64)
    if any(d is not None for d in depths):
        found = _together(depths, -1, kind=np.int32)[at, sample, 0].astype(np.int64)
    if any(r is not None for r in reads):
        counts = np.maximum(_together(reads, -1, kind=np.int32)[at, sample].astype(np.int64), -1)
        total = np.where((counts >= 0).any(axis=1), np.maximum(counts, 0).sum(axis=1), -1)
        found = np.where(found < 0, total, found)
    return np.where(found < 0, -1, found)


def _fractions(reads: list[Any], fractions: list[Any], at: Ints, sample: Ints, which: Ints) -> npt.NDArray[np.float32]:
    """Reads of the allele among all (AD), else what the caller says (AF, VAF); NaN unknown."""
    found = np.full(len(at), np.nan)
    if any(f is not None for f in fractions):
        said = _together(fractions, np.nan, kind=np.float64)[at, sample]
        inside = which - 1 < said.shape[1]
        found = np.where(inside, said[np.arange(len(at)), np.minimum(which - 1, said.shape[1] - 1)], np.nan)
    if any(r is not None for r in reads):
        counts = np.maximum(_together(reads, -1, kind=np.int32)[at, sample].astype(np.float64), 0)
        total = counts.sum(axis=1)
        own = counts[np.arange(len(at)), np.minimum(which, counts.shape[1] - 1)]
        known = (total > 0) & (which < counts.shape[1])
        found = np.where(known, own / np.where(known, total, 1), found)
    with np.errstate(invalid="ignore"):
        return np.where((found >= 0) & (found <= 1), found, np.nan).astype(np.float32)
