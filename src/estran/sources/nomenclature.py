"""Nomenclatures that a hospital has as files: CIM-10, CCAM, GHM, GHS, UCD, CSARR (format `terminology`).

Labels and hierarchy only: nothing here knows of patients. Nothing of these nomenclatures travels with
Estran; docs/reference/sources/terminology.md says which files are read. A file is known by its columns.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from estran.model.errors import InputRefused
from estran.sources.records import Batch, Vocabulary, content_hash
from estran.sources.schemas import RECORDS, REFUSED
from estran.sources.searching import files_under
from estran.terminology.hierarchy import close

_LARGEST = 256 << 20  # bytes of a file once unpacked
_SUFFIXES = (".csv", ".json")
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS

Row = dict[str, Any]
Named = tuple[str, str, str | None]  # code, label, code above it


@dataclass(frozen=True)
class Shape:
    """A file with these columns holds codes of `vocabulary`; `read` names each row's codes, the row's own
    first, then those above it that the row also names (top last)."""

    columns: frozenset[str]
    vocabulary: str
    kind: str
    read: Callable[[Row], Sequence[Named]]
    by_prefix: bool = False  # what is above a code is the longest other code that begins it


def _text(row: Row, name: str) -> str:
    value = row.get(name)
    return str(value).strip() if value is not None else ""


def _plain(code: str, label: str, above: Sequence[str] = ()) -> Callable[[Row], Sequence[Named]]:
    def read(row: Row) -> Sequence[Named]:
        return [(_text(row, code), _text(row, label), _text(row, above[0]) or None if above else None)]

    return read


def _cim(row: Row) -> Sequence[Named]:
    """A code is under its category, a category under its block, a block under its chapter."""
    code, category, block = (_text(row, f"cim_{n}") for n in ("code", "categorie", "groupe"))
    chapter = f"chapitre {_text(row, 'cim_chapitre')}" if _text(row, "cim_chapitre") else ""
    own = (code, _text(row, "cim_libelle"), (category if code != category else block) or None)
    return [own, (category, "", block or None), (block, "", chapter or None), (chapter, "", None)]


def _ccam(row: Row) -> Sequence[Named]:
    levels = [(_text(row, f"ccam_pmsi_{n}_code"), _text(row, f"ccam_pmsi_{n}_libelle")) for n in _CCAM_LEVELS]
    levels = [level for level in levels if level[0]]
    above = [code for code, _ in levels[1:]] + [None]
    own = (_text(row, "ccam_pmsi_code"), _text(row, "ccam_pmsi_libelle"), levels[0][0] if levels else None)
    return [own, *((code, label, up) for (code, label), up in zip(levels, above, strict=False))]


_CCAM_LEVELS = ("sous_paragraphe", "paragraphe", "sous_chapitre", "chapitre")


def _ghm(row: Row) -> Sequence[Named]:
    """GHM, root, CMD."""
    code = _text(row, "ghm")
    return [(code, _text(row, "ghm_libelle"), code[:5]), (code[:5], "", code[:2]), (code[:2], "", None)]


def _ucd(row: Row) -> Sequence[Named]:
    """The code of 13 digits, and the one of 7 inside it."""
    label, long = _text(row, "ucd_libelle"), _text(row, "ucd_13")
    return [(_text(row, "ucd_7"), label, long or None), (long, label, None)]


def _csarr(row: Row) -> Sequence[Named]:
    return [(_text(row, "csarr_code"), _text(row, "csarr_libelle"), _text(row, "csarr_code_hierarchie") or None)]


def _dotted(code: str, label: str) -> Callable[[Row], Sequence[Named]]:
    """Codes whose dots say what is above them: 01.02 is under 01."""

    def read(row: Row) -> Sequence[Named]:
        value = _text(row, code)
        return [(value, _text(row, label), value.rpartition(".")[0] or None)]

    return read


def _chapter(row: Row) -> Sequence[Named]:
    return [(f"chapitre {_text(row, 'cim_chapitre_no')}", _text(row, "cim_chapitre_libelle"), None)]


def _ghs(row: Row) -> Sequence[Named]:
    return [(_text(row, "ghs").zfill(4), _text(row, "ghm_libelle"), None)]


SHAPES = (
    Shape(frozenset(("code", "type", "short", "long")), "CIM10", "diagnosis", _plain("code", "long"), by_prefix=True),
    Shape(frozenset(("CDE", "LIBC")), "CCAM", "procedure", _plain("CDE", "LIBC")),
    Shape(frozenset(("cim_code", "cim_libelle", "cim_categorie")), "CIM10", "diagnosis", _cim),
    Shape(frozenset(("cim_groupe", "cim_groupe_libelle")), "CIM10", "diagnosis", _plain("cim_groupe", "cim_groupe_libelle")),
    Shape(frozenset(("cim_chapitre_no", "cim_chapitre_libelle")), "CIM10", "diagnosis", _chapter),
    Shape(frozenset(("ccam_pmsi_code", "ccam_pmsi_libelle")), "CCAM", "procedure", _ccam),
    Shape(frozenset(("ghs", "ghs_tarif")), "GHS", "other", _ghs),
    Shape(frozenset(("ghm", "ghm_libelle", "da")), "GHM", "other", _ghm),
    Shape(frozenset(("rghm", "rghm_libelle")), "GHM", "other", _plain("rghm", "rghm_libelle")),
    Shape(frozenset(("cmd", "cmd_libelle")), "GHM", "other", _plain("cmd", "cmd_libelle")),
    Shape(frozenset(("ucd_7", "ucd_13", "ucd_libelle")), "UCD", "drug", _ucd),
    Shape(frozenset(("csarr_code", "csarr_libelle")), "CSARR", "procedure", _csarr),
    Shape(frozenset(("csarr_hierarchie_code", "csarr_hierarchie_libelle")), "CSARR", "procedure",
          _dotted("csarr_hierarchie_code", "csarr_hierarchie_libelle")),
)  # fmt: skip


@dataclass
class NomenclatureReader:
    """Reads nomenclatures; `lang` is that of their labels."""

    lang: str = "fr"
    format: str = field(default="terminology", init=False)

    def files(self, paths: list[Path]) -> list[Path]:
        """CSV and JSON files among `paths`, and in those of them that are folders, by name."""
        return files_under(paths, lambda path: _is_table(path.name))

    def size(self, path: Path) -> int:
        """Bytes of the file as it lies on the disk."""
        return path.stat().st_size

    def read(self, path: Path, name: str, wanted: frozenset[int] | None = None) -> Iterator[Batch]:
        """One batch: the whole file, each row a record. Raises InputRefused when the file cannot be
        unpacked, is too large, or has the columns of no nomenclature that is read."""
        rows = _rows(_bytes(path, name), name)
        shape = next((s for s in SHAPES if rows and s.columns <= rows[0].keys()), None)
        if shape is None:
            raise InputRefused(
                "The columns are of no nomenclature that is read.", where=name,
                hint="docs/reference/sources/terminology.md lists them",
            )  # fmt: skip
        yield _batch(shape, rows, self.lang, wanted)


def _is_table(name: str) -> bool:
    return name.lower().removesuffix(".gz").endswith(_SUFFIXES) and not name.startswith(".")


def _bytes(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as source:
            packed = source.read(2) == b"\x1f\x8b"
            source.seek(0)
            stream = gzip.GzipFile(fileobj=source) if packed else source
            data: bytes = stream.read(_LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputRefused("The file cannot be unpacked to its end.", where=name) from error
    if len(data) > _LARGEST:
        raise InputRefused("The file is larger than any nomenclature.", where=name)
    return data


def _rows(data: bytes, name: str) -> list[Row]:
    if data.lstrip()[:1] in (b"[", b"{"):
        try:
            rows = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise InputRefused("The file is not well-formed JSON.", where=name) from None
        return [row if isinstance(row, dict) else {} for row in rows] if isinstance(rows, list) else []
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    mark = ";" if text.partition("\n")[0].count(";") else ","
    try:
        return list(csv.DictReader(io.StringIO(text), delimiter=mark))
    except csv.Error:
        raise InputRefused("The file is not well-formed CSV.", where=name) from None


def _batch(shape: Shape, rows: list[Row], lang: str, wanted: frozenset[int] | None) -> Batch:
    labels: dict[str, str] = {}
    above: dict[str, str] = {}
    refused = []
    for number, row in enumerate(rows):
        named = shape.read(row)
        if not named[0][0]:
            refused.append(number)
            continue
        for code, label, parent in named:
            if code and not labels.get(code):
                labels[code] = label
            if code and parent and parent != code:
                above.setdefault(code, parent)
    if shape.by_prefix:
        above = _prefixes(labels)
    kept = [n for n in range(len(rows)) if wanted is None or n in wanted]
    vocabulary = Vocabulary(concepts=_concepts(shape, labels, lang), ancestors=_ancestors(shape, above))
    return Batch("", _records(rows, kept), refused=_refused([kept.index(n) for n in refused if n in set(kept)]), vocabulary=vocabulary)


def _prefixes(labels: dict[str, str]) -> dict[str, str]:
    """The longest other code that begins each code: A000 is under A00."""
    found = {}
    for code in labels:
        parent = next((code[:end] for end in range(len(code) - 1, 2, -1) if code[:end] in labels), None)
        if parent:
            found[code] = parent
    return found


def _records(rows: list[Row], kept: list[int]) -> pa.Table:
    content = [content_hash(orjson.dumps(rows[n], option=_SORTED)) for n in kept]
    columns = [pa.array(kept, pa.int64()), pa.nulls(len(kept), pa.int64()), pa.array([0] * len(kept), pa.int64())]
    return pa.table([*columns, pa.array(content, pa.int64())], schema=RECORDS)


def _refused(records: list[int]) -> pa.Table:
    count = len(records)
    columns = [records, ["code"] * count, ["missing"] * count, ["The row has no code."] * count]
    return pa.table([pa.array(c, item.type) for c, item in zip(columns, REFUSED, strict=True)], schema=REFUSED)


def _concepts(shape: Shape, labels: dict[str, str], lang: str) -> pa.Table:
    count = len(labels)
    return pa.table({
        "vocabulary": pa.array([shape.vocabulary] * count), "code": pa.array(list(labels)),
        "label": pa.array(list(labels.values())), "lang": pa.array([lang] * count), "kind": pa.array([shape.kind] * count),
        "valid_from": pa.nulls(count, pa.date32()), "valid_to": pa.nulls(count, pa.date32()),
        "standard": pa.array([True] * count),
    })  # fmt: skip


def _ancestors(shape: Shape, above: dict[str, str]) -> pa.Table | None:
    """Every ancestor of every code."""
    if not above:
        return None
    codes = sorted({*above, *above.values()})
    place = {code: number for number, code in enumerate(codes)}
    child = np.array([place[code] for code in above], np.int32)
    parent = np.array([place[code] for code in above.values()], np.int32)
    top, bottom, distance = close(child, parent)
    names = pa.array(codes)
    vocabulary = pa.array([shape.vocabulary] * len(top))
    return pa.table({
        "ancestor_vocabulary": vocabulary, "ancestor_code": names.take(pa.array(top)),
        "descendant_vocabulary": vocabulary, "descendant_code": names.take(pa.array(bottom)),
        "distance": pa.array(distance, pa.int16()),
    })  # fmt: skip
