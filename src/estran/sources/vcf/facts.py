"""The document of a sample: what clinicians search becomes facts, a bounded number of them.

Every variant is in the table `variant`. A fact is made of what may matter to a person's care: an effect of impact
HIGH or MODERATE on a named gene, or ClinVar's word that it is pathogenic; the gravest first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from estran.model.codes import DocumentKind, Impact
from estran.model.moments import Moment
from estran.sources.records import Code
from estran.sources.writing import Attribute, Item, Writing
from estran.terminology.systems import LOCAL

VOCABULARY = f"{LOCAL}VCF"
GENES = "HGNC"
MOST_FACTS = 500
_GRAVEST = {Impact.HIGH: 1, Impact.MODERATE: 2}
_OTHER = 9


def local(code: str, label: str) -> Code:
    """A code of our own about variants."""
    return Code(VOCABULARY, code, label, "fr", "observation")


def write(key: str, rows: pa.Table, start: Moment | None, assembly: str, panel: str, event_time: int) -> Writing:
    """The document of one sample; `rows` are its variants."""
    items = list(_about(rows, assembly, panel))
    items += [_item(row) for row in _chosen(rows, MOST_FACTS - len(items))]
    title = f"Variants génétiques {assembly}".strip()
    return Writing(key, DocumentKind.GENOMICS, title, start, tuple(items), event_time=event_time)


def _about(rows: pa.Table, assembly: str, panel: str) -> Iterator[Item]:
    yield Item(local("variants", "Nombre de variants"), float(rows.num_rows), "{count}")
    if assembly:
        yield Item(local("assembly", "Génome de référence"), text=assembly)
    if panel:
        yield Item(local("panel", "Panel de gènes"), text=panel)


def _chosen(rows: pa.Table, most: int) -> list[dict[str, Any]]:
    """The gravest variants of named genes, in their order on the genome within each grade."""
    if not rows.num_rows:
        return []
    grades = np.full(rows.num_rows, _OTHER)
    for impact, grade in _GRAVEST.items():
        grades[pc.fill_null(pc.equal(rows["impact"], impact.value), False).to_numpy()] = grade
    grades[rows["pathogenic"].to_numpy()] = 0
    grades[rows["gene"].is_null().to_numpy()] = _OTHER
    order = np.argsort(grades, kind="stable")[:most]
    found: list[dict[str, Any]] = rows.take(pa.array(order[grades[order] < _OTHER])).to_pylist()
    return found


def _item(row: dict[str, Any]) -> Item:
    """A variant as a fact of its gene."""
    place = f"{row['chrom']}:{row['pos']}{row['ref']}>{row['alt']}"
    words = " ".join(filter(None, (row["hgvs_c"], row["hgvs_p"]))) or place
    said = [("zygosity", "Zygotie", row["zygosity"]), ("effect", "Effet", row["effect"]), ("impact", "Impact", row["impact"]),
            ("place", "Position", place), ("filter", "Filtre", row["filter"])]  # fmt: skip
    attributes = [Attribute(local(code, label), text[:200]) for code, label, text in said if text]
    if row["allele_fraction"] is not None:
        fraction = round(float(row["allele_fraction"]), 4)
        attributes.append(Attribute(local("allele-fraction", "Fraction allélique"), value=fraction))
    if row["pathogenic"]:
        attributes.append(Attribute(local("clinvar", "ClinVar"), "pathogenic"))
    return Item(Code(GENES, row["gene"], row["gene"], "en", "observation"), text=words[:400], attributes=tuple(attributes))
