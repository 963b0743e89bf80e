"""For whom a file that was found was made: its values are read for each project's marks and each recipient's code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from estran.model.errors import InputRefused
from estran.projects.datamarts.marking import carriers, read_facts, read_patients
from estran.projects.datamarts.reading import read_spec
from estran.release.fingerprint import BITS, Floats, Marks, Score
from estran.state.datamarts import DatamartRow

_BATCH = 65_536
_SHOWN = 10


@dataclass(frozen=True)
class Suspect:
    """A recipient of a project's datamarts, and how much the file speaks for them."""

    project: str
    recipient: str
    z: float
    named: bool


@dataclass(frozen=True)
class Traced:
    """The likeliest recipients first; `rows` were read, `recipients` compared."""

    rows: int
    recipients: int
    suspects: tuple[Suspect, ...]


def trace(path: Path, rows: Iterable[DatamartRow], marks_of: Callable[[str], Marks]) -> Traced:
    """Compare a Parquet or CSV file of patients or of facts with everybody who was given a marked datamart."""
    projects: dict[str, tuple[set[str], set[str]]] = {}  # recipients and columns of each
    for row in rows:
        spec = read_spec(orjson.loads(row.spec)).frozen()
        if spec.fingerprint:
            recipients, columns = projects.setdefault(row.project, (set(), set()))
            recipients.add(row.recipient)
            columns.update(carriers(spec))
    votes, read = _votes(path, {project: (marks_of(project), sorted(known[1])) for project, known in projects.items()})
    found: list[tuple[str, Score]] = []
    for project, (recipients, _) in projects.items():
        found += [(project, score) for score in marks_of(project).scores(votes[project], sorted(recipients))]
    found.sort(key=lambda one: -abs(one[1].z))
    suspects = tuple(
        Suspect(project, score.recipient, round(score.z, 2), score.named) for project, score in found[:_SHOWN]
    )
    return Traced(read, len(found), suspects)


def _votes(path: Path, projects: dict[str, tuple[Marks, list[str]]]) -> tuple[dict[str, Floats], int]:
    votes, rows = {project: np.zeros(BITS) for project in projects}, 0
    for table in _batches(path):
        rows += len(table)
        facts = {"variable", "value"} <= set(table.column_names)
        for project, (marks, columns) in projects.items():
            said = read_facts(table, marks) if facts else read_patients(table, columns, marks)
            votes[project] += said if len(said) else 0
    return votes, rows


def _batches(path: Path) -> Iterator[pa.Table]:
    """The file in pieces; InputRefused when it is neither Parquet nor CSV."""
    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_BATCH):
                    yield pa.Table.from_batches([batch])
        else:
            for batch in pacsv.open_csv(path):
                yield pa.Table.from_batches([batch])
    except FileNotFoundError:
        raise InputRefused("There is no such file.", where=str(path)) from None
    except pa.ArrowException:
        raise InputRefused("The file cannot be read as Parquet or CSV.", where=str(path)) from None
