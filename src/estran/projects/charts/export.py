"""The records of a review taken out: marked texts as training labels, forms as a table.

They are records of people: no role but the key holder's may take them out, and each export is in the trail with the
patients it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from estran.model.errors import StoreError, UsageError
from estran.projects.actors import Actor
from estran.projects.charts.forms import Form, Item, Kind
from estran.projects.charts.labels import Span, fingerprint
from estran.projects.charts.reading import Room
from estran.projects.charts.results import Chart
from estran.projects.policy import Action
from estran.projects.rows import fetch
from estran.state import Said

if TYPE_CHECKING:
    from estran.projects.desk import ReadingRoom

_BATCH = 200
_TOKEN = re.compile(r"\w+|[^\w\s]")
_NUMBERS = {Kind.INTEGER: pa.int64(), Kind.NUMBER: pa.float64()}


@dataclass(frozen=True)
class Gold:
    """A text with the marks that hold."""

    document_id: int
    patient_id: int
    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Exported:
    """What was written, and how many texts or patients were left out because nothing holds of them yet."""

    written: int
    left_out: int


class Exporter:
    """One person who takes the records of a review out."""

    def __init__(self, room: ReadingRoom, actor: Actor) -> None:
        self._room = Room(room, actor)
        self._snapshot = room.view_of(actor).snapshot
        self._own = actor.account_id

    def _permit(self, list_id: int, what: str, patients: Iterable[int]) -> None:
        numbers = tuple(sorted(set(patients)))
        self._room.permit(Action.REVIEW_EXPORT, f"list:{list_id} {what}", self._own, numbers)

    def labels(self, list_id: int, form: str, out: Path) -> Exported:
        """Marked texts as `jsonl` (a file), `brat` (a folder) or `conll` (a file); UsageError for another form."""
        write = {"jsonl": _jsonl, "brat": _brat, "conll": _conll}.get(form)
        if write is None:
            raise UsageError("Marked texts are written as jsonl, brat or conll.")
        self._room.record(list_id)
        states = self._room.texts(list_id)
        held = {one.text.document_id: one for one in states if one.holds is not None}
        self._permit(list_id, f"labels {form}", (one.text.patient_id for one in held.values()))
        gold = (
            Gold(number, one.text.patient_id, text, one.holds or ())
            for number, text in self._texts(sorted(held))
            if fingerprint(text) == (one := held[number]).text.text_hash
        )
        try:
            written = write(gold, out)
        except OSError:
            raise StoreError("The export cannot be written there.", where=str(out)) from None
        return Exported(written, len(states) - written)

    def _texts(self, documents: Sequence[int]) -> Iterator[tuple[int, str]]:
        """Texts by number, some at a time."""
        for start in range(0, len(documents), _BATCH):
            sql = "SELECT document_id, text FROM text WHERE list_contains(?, document_id) ORDER BY document_id"
            for row in fetch(self._snapshot, sql, [list(documents[start : start + _BATCH])]):
                yield row["document_id"], row["text"]

    def forms(self, list_id: int, out: Path, readings: bool = False) -> Exported:
        """Forms as a table, CSV or Parquet by the name of the file: one row per patient with what holds, or with
        `readings` one per reading. `<item>_fact` names the fact (document/number) of a value kept as a fact gave it."""
        if out.suffix not in (".csv", ".parquet"):
            raise UsageError("Forms are written to a .csv or a .parquet file.", where=str(out))
        charts = self._room.charts(list_id)
        form = self._room.form(self._room.record(list_id))
        rows = [(chart, said) for chart in charts for said in _kept(chart, readings)]
        self._permit(list_id, "forms", (chart.patient.patient_id for chart, _ in rows))
        table = forms_table(form, rows)
        try:
            if out.suffix == ".csv":
                pyarrow.csv.write_csv(_harmless(table), out)
            else:
                pyarrow.parquet.write_table(table, out)
        except OSError:
            raise StoreError("The export cannot be written there.", where=str(out)) from None
        told = {chart.patient.patient_id for chart, _ in rows}
        return Exported(len(rows), len(charts) - len(told))


def _kept(chart: Chart, readings: bool) -> Sequence[Said]:
    if readings:
        return (*chart.readings, *([chart.final] if chart.final else []))
    return (chart.holds,) if chart.holds else ()


def forms_table(form: Form, rows: Sequence[tuple[Chart, Said]]) -> pa.Table:
    """One row per decision; choices that take several answers are parted by ` | `."""
    said = [one for _, one in rows]
    columns: dict[str, Any] = {
        "patient_id": pa.array([chart.patient.patient_id for chart, _ in rows], pa.int32()),
        "selected": pa.array([chart.patient.selected for chart, _ in rows], pa.bool_()),
        "index_date": pa.array([chart.patient.index_date for chart, _ in rows], pa.date32()),
        "reader": pa.array([one.login for one in said], pa.string()),
        "final": pa.array([one.final for one in said], pa.bool_()),
        "at": pa.array([one.at for one in said], pa.timestamp("s", "UTC")),
        "verdict": pa.array([one.verdict for one in said], pa.string()),
        "comment": pa.array([one.comment for one in said], pa.string()),
    }
    for item in form.items:
        columns[item.id] = pa.array([_cell(item, one) for one in said], _NUMBERS.get(item.kind, pa.string()))
        if item.fill:
            columns[f"{item.id}_fact"] = pa.array([_fact(item, one) for one in said], pa.string())
    return pa.table(columns)


def _cell(item: Item, said: Said) -> Any:
    value = said.answers.get(item.id)
    return " | ".join(value) if isinstance(value, list) else value


def _fact(item: Item, said: Said) -> str | None:
    found = said.evidence.get(item.id)
    return f"{found['document_id']}/{found['fact_no']}" if found else None


def _harmless(table: pa.Table) -> pa.Table:
    """Texts that a spreadsheet would run as a formula are made text."""
    for place, column in enumerate(table.schema):
        if column.type == pa.string():
            safe = pc.replace_substring_regex(table[column.name], r"^([=+\-@\t\r])", r"'\1")
            table = table.set_column(place, column.name, safe)
    return table


def _jsonl(gold: Iterable[Gold], out: Path) -> int:
    """One JSON object a line: document, patient, text, spans (offsets in Unicode code points)."""
    count = 0
    with out.open("wb") as stream:
        for one in gold:
            spans = [span.as_row() for span in one.spans]
            row = {"document_id": one.document_id, "patient_id": one.patient_id, "text": one.text, "spans": spans}
            stream.write(orjson.dumps(row) + b"\n")
            count += 1
    return count


def _brat(gold: Iterable[Gold], out: Path) -> int:
    """A `.txt` and an `.ann` per document, as https://brat.nlplab.org/standoff.html says; a span over several lines is
    written in fragments."""
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    for one in gold:
        (out / f"{one.document_id}.txt").write_text(one.text, "utf-8", newline="")
        (out / f"{one.document_id}.ann").write_text(brat_lines(one), "utf-8")
        count += 1
    return count


def brat_lines(gold: Gold) -> str:
    """The stand-off lines of a text."""
    lines, flags = [], 0
    for number, span in enumerate(gold.spans, start=1):
        parts = [
            (span.start + m.start(), span.start + m.end())
            for m in re.finditer(r"[^\n\r]+", gold.text[span.start : span.end])
        ]
        places = ";".join(f"{start} {end}" for start, end in parts)
        said = " ".join(gold.text[start:end] for start, end in parts)
        lines.append(f"T{number}\t{span.label} {places}\t{said}\n")
        for attribute in span.attributes:
            flags += 1
            lines.append(f"A{flags}\t{attribute} T{number}\n")
    return "".join(lines)


def _conll(gold: Iterable[Gold], out: Path) -> int:
    """Two columns, word and tag, an empty line after each sentence."""
    count = 0
    with out.open("w", encoding="utf-8", newline="\n") as stream:
        for one in gold:
            stream.write(f"# document_id = {one.document_id}\n{conll_lines(one)}\n")
            count += 1
    return count


def conll_lines(gold: Gold) -> str:
    """Words with B-, I- and O tags (Ramshaw and Marcus 1995); of spans that overlap the longest is told, and a word is
    inside a span as soon as one of its characters is. A new line of the text ends a sentence."""
    told: list[Span] = []
    for span in sorted(gold.spans, key=lambda one: (one.start - one.end, one.start)):
        if all(span.end <= other.start or other.end <= span.start for other in told):
            told.append(span)
    lines: list[str] = []
    started: set[Span] = set()
    end = 0
    for token in _TOKEN.finditer(gold.text):
        if "\n" in gold.text[end : token.start()] and lines and lines[-1] != "\n":
            lines.append("\n")
        end = token.end()
        found = next((one for one in told if one.start < token.end() and token.start() < one.end), None)
        tag = "O" if found is None else f"{'I' if found in started else 'B'}-{found.label}"
        started |= {found} if found else set()
        lines.append(f"{token[0]}\t{tag}\n")
    return "".join(lines)
