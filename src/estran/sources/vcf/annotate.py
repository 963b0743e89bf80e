"""What snpEff (ANN, EFF) and VEP (CSQ) say of a variant, and ClinVar (CLNSIG), brought to one form.

Sources: "Variant annotations in VCF format", version 1.0 (2015), for ANN; the Description of CSQ names its own
columns. Every text is held to the shape that its format gives it: what has another shape is left out, so that
no free text, and nobody's name, comes into a table that nothing masks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from estran.model.codes import Impact

_RANK = {impact.value: place for place, impact in enumerate(Impact)}
_GENE = re.compile(r"[A-Za-z][A-Za-z0-9._\-]{0,39}")
_TERMS = re.compile(r"[a-z0-9][a-z0-9_]*(&[a-z0-9][a-z0-9_]*){0,19}", re.IGNORECASE)
_CODING = re.compile(r"[cngmr]\.[A-Za-z0-9_*+\-?>=()\[\];]{1,200}")
_PROTEIN = re.compile(r"p\.[A-Za-z0-9_*+\-?>=()\[\];]{1,200}")
_COLUMNS = re.compile(r"Format:\s*([^\"']+)")
_CLINVAR_CODES = {"4": True, "5": True}  # ClinVar before 2017: likely pathogenic, pathogenic
# Sequence Ontology terms that Ensembl grades HIGH and MODERATE, for CSQ without the column IMPACT.
_HIGH = frozenset(
    ["transcript_ablation", "splice_acceptor_variant", "splice_donor_variant", "stop_gained", "frameshift_variant",
     "stop_lost", "start_lost", "transcript_amplification", "feature_elongation", "feature_truncation"]
)  # fmt: skip
_MODERATE = frozenset(["inframe_insertion", "inframe_deletion", "missense_variant", "protein_altering_variant"])


class Annotation(NamedTuple):
    """One annotation; None or "" where the source says nothing."""

    allele: str = ""
    gene: str | None = None
    effect: str | None = None
    impact: str | None = None
    hgvs_c: str | None = None
    hgvs_p: str | None = None
    pathogenic: bool = False

    def shaped(self, pathogenic: bool) -> Annotation:
        """Nothing but what has the shape that its format gives it."""
        return Annotation(
            self.allele, _shaped(_GENE, self.gene), _shaped(_TERMS, self.effect),
            self.impact if self.impact in _RANK else None, _shaped(_CODING, self.hgvs_c), _shaped(_PROTEIN, self.hgvs_p),
            pathogenic,
        )  # fmt: skip


NOTHING = Annotation()
_Reading = Callable[[str], Annotation | None]


class Annotator:
    """Reads the annotations that a header declares."""

    def __init__(self, header: str) -> None:
        """`header` is the text of the ## lines."""
        self._readings: list[tuple[str, _Reading]] = []
        if _declared(header, "ANN"):
            self._readings.append(("ANN", _ann))
        if described := _declared(header, "CSQ"):
            columns = _COLUMNS.search(described)
            if columns:
                self._readings.append(("CSQ", _csq(columns.group(1).strip().split("|"))))
        if _declared(header, "EFF") and not self._readings:
            self._readings.append(("EFF", _eff))
        self._clinvar = bool(_declared(header, "CLNSIG"))

        self._names = [name for name, _ in self._readings] + ["CLNSIG"] * self._clinvar

    def said(self, info: Callable[[str], Any]) -> tuple[Any, ...]:
        """The values of the fields that are read, to be kept until they are; `info` gives a field's value or None."""
        return tuple(info(name) for name in self._names)

    def of(self, said: tuple[Any, ...], ref: str, alt: str, alts: int) -> Annotation:
        """The most severe annotation of one of the `alts` alternate alleles of a site."""
        read = [one for (_, reading), value in zip(self._readings, said, strict=False) for one in _each(value, reading)]
        pathogenic = self._clinvar and is_pathogenic(said[-1])
        if not read and not pathogenic:
            return NOTHING
        return _best(read, ref, alt, alts, pathogenic)


def is_pathogenic(said: Any) -> bool:
    """Whether a ClinVar significance is pathogenic or likely pathogenic, without conflict."""
    if not said:
        return False
    words = re.split(r"[|,/&:]", str(said).lower())
    if any("conflicting" in word for word in words):
        return False
    return any(
        word.strip("_ ") in ("pathogenic", "likely_pathogenic", "likely pathogenic") or _CLINVAR_CODES.get(word, False)
        for word in words
    )


def _declared(header: str, name: str) -> str:
    """The header line of an INFO field, "" when there is none."""
    found = re.search(rf"^##INFO=<ID={name},.*$", header, re.MULTILINE)
    return found.group() if found else ""


def _each(value: Any, reading: _Reading) -> Iterator[Annotation]:
    for text in str(value).split(",") if value else ():
        found = reading(text)
        if found is not None:
            yield found


def _best(read: list[Annotation], ref: str, alt: str, alts: int, pathogenic: bool) -> Annotation:
    mine = read if alts == 1 else [a for a in read if a.allele in ("", alt, _as_vep(ref, alt))]
    best = mine[0] if len(mine) == 1 else min(mine, key=_severity, default=NOTHING)
    return best.shaped(pathogenic or any(a.pathogenic for a in mine))


def _severity(one: Annotation) -> tuple[int, bool, bool]:
    """Most severe first, then those that name a gene and a change of the coding sequence."""
    return _RANK.get(one.impact or "", len(_RANK)), not one.gene, not one.hgvs_c


def _as_vep(ref: str, alt: str) -> str:
    """The allele as VEP names it: without the base that it shares with the reference."""
    return alt[1:] or "-" if len(ref) != len(alt) and ref[:1] == alt[:1] else alt


def _shaped(shape: re.Pattern[str], text: str | None) -> str | None:
    return text if text and shape.fullmatch(text) else None


def _ann(text: str) -> Annotation | None:
    parts = text.split("|", 11)
    if len(parts) < 4:
        return None
    parts += [""] * (11 - len(parts))
    return Annotation(parts[0].strip(), parts[3], parts[1], parts[2], parts[9], parts[10])


def _csq(columns: list[str]) -> _Reading:
    """A reading of CSQ by the names of its columns."""
    at = {name.strip(): place for place, name in enumerate(columns)}

    def read(text: str) -> Annotation | None:
        parts = text.split("|")

        def column(name: str) -> str:
            place = at.get(name, len(parts))
            return parts[place] if place < len(parts) else ""

        effect = column("Consequence")
        return Annotation(
            column("Allele"), column("SYMBOL"), effect, column("IMPACT") or _by_terms(effect),
            _after_colon(column("HGVSc")), _after_colon(column("HGVSp")).replace("%3D", "="),
            is_pathogenic(column("CLIN_SIG")),
        )  # fmt: skip

    return read


def _by_terms(effect: str) -> str | None:
    """The impact of Sequence Ontology terms, when they are graded HIGH or MODERATE."""
    terms = set(effect.split("&"))
    return Impact.HIGH.value if terms & _HIGH else Impact.MODERATE.value if terms & _MODERATE else None


def _after_colon(text: str) -> str:
    return text.rpartition(":")[2]


def _eff(text: str) -> Annotation | None:
    """snpEff before 4.1: EFFECT(impact|class|codon|amino acids|length|gene|…|allele number)."""
    effect, _, rest = text.partition("(")
    parts = rest.rstrip(")").split("|")
    if len(parts) < 6:
        return None
    protein, _, coding = parts[3].partition("/")
    return Annotation("", parts[5], effect, parts[0], coding, protein)
