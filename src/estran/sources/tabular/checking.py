"""What a mapping would load: counts per file and table, and the first refusals, without loading anything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from estran.model.errors import InputRefused
from estran.sources.records import Batch
from estran.sources.tabular.inputs import is_tabular
from estran.sources.tabular.language import Mapping
from estran.sources.tabular.reader import TabularReader
from estran.sources.tabular.shelf import Draft, matches

_FIRST = 10  # refusals shown of each table


@dataclass
class Preview:
    """What one table of one file would give. `refusals` are the first ones: line or record, field, sentence."""

    file: str
    table: str
    records: int = 0
    persons: int = 0
    stays: int = 0
    movements: int = 0
    documents: int = 0
    facts: int = 0
    codes: int = 0
    refused: int = 0
    refusals: list[tuple[str, str, str]] = field(default_factory=list)
    problem: str = ""  # why nothing of the file can be read
    unnamed: bool = False  # the folder holds this file, the mapping does not speak of it


def preview(mapping: Mapping, paths: list[Path], zone: str = "Europe/Paris") -> Iterator[Preview]:
    """A preview per file and table, in the order of loading; a file that no table names comes last, with its
    problem. Raises InputRefused when a path does not exist."""
    inside = [f for p in paths for f in (sorted(p.rglob("*")) if p.is_dir() else [p, *sorted(p.parent.iterdir())])]
    tabular = [f for f in dict.fromkeys(inside) if f.is_file() and is_tabular(f.name)]
    reader = TabularReader(Draft(mapping, tabular), "csv/check", zone)
    files = reader.files(paths)
    for file in files:
        yield from _of_file(reader, file)
    lookups = [spec.files for spec in mapping.lookups.values()]
    for file in tabular:
        given = any(p.is_dir() for p in paths) and file not in files
        if given and not any(matches(file.name, patterns) for patterns in lookups):
            yield Preview(file.name, "", problem="No table of the mapping has a pattern for this name.", unnamed=True)


def _of_file(reader: TabularReader, file: Path) -> Iterator[Preview]:
    found: dict[str, Preview] = {}
    try:
        for batch in reader.read(file, file.name):
            _count(found.setdefault(batch.part, Preview(file.name, batch.part)), batch)
    except InputRefused as refusal:
        found[""] = Preview(file.name, "", problem=refusal.what)
    yield from found.values() or [Preview(file.name, "")]


def _count(into: Preview, batch: Batch) -> None:
    into.records += len(batch.records)
    into.persons += sum(item.introduces for item in batch.identities)
    into.stays += len(batch.stay_events)
    into.movements += len(batch.movements)
    into.documents += len(batch.documents)
    into.facts += len(batch.facts)
    into.codes += len(batch.vocabulary.concepts) if batch.vocabulary and batch.vocabulary.concepts is not None else 0
    into.refused += len(batch.refused)
    lines, numbers = batch.records["line"], batch.records["record_no"]
    for row in batch.refused.slice(0, max(0, _FIRST - len(into.refusals))).to_pylist():
        line = lines[row["record"]].as_py()
        place = f"line {line}" if line is not None else f"record {numbers[row['record']].as_py()}"
        into.refusals.append((place, row["field"], row["reason"]))
