"""Checking what is handed in: each file by its kind, then the tables against each other."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from estran.release.airlock.bytes_of import archive_in, check_lines, format_of
from estran.release.airlock.documents import check_html, check_pdf, check_svg, check_text
from estran.release.airlock.findings import Finding, Verdict, finding, verdict_of
from estran.release.airlock.models import check_onnx, check_skops
from estran.release.airlock.notebooks import check_notebook
from estran.release.airlock.pictures import check_picture
from estran.release.airlock.profiles import Profile
from estran.release.airlock.table import Table, read_csv, table_of
from estran.release.airlock.tables import check_difference, check_evidence, check_table

KINDS = {
    "csv": "csv", "tsv": "csv", "png": "png", "jpg": "jpeg", "jpeg": "jpeg", "svg": "svg", "pdf": "pdf", "html": "html", "htm": "html",
    "ipynb": "ipynb", "txt": "text", "md": "text", "log": "text", "json": "text", "tex": "text", "skops": "skops", "onnx": "onnx",
}  # fmt: skip
SIZES = {
    "csv": 2_000_000, "png": 5_000_000, "jpeg": 5_000_000, "svg": 5_000_000, "pdf": 10_000_000, "html": 5_000_000, "ipynb": 10_000_000,
    "text": 500_000, "skops": 5_000_000, "onnx": 5_000_000,
}  # fmt: skip
_PICKLES = frozenset(
    ["pkl", "pickle", "joblib", "pt", "pth", "rds", "rdata", "dill", "cloudpickle", "npy", "npz", "h5"]
)
_EVIDENCE = ".evidence.csv"
_MOST_OF_A_RULE = 200  # findings of one rule in one file
_BINARY = {"png": "png", "jpeg": "jpeg", "pdf": "pdf", "skops": "zip"}


@dataclass(frozen=True)
class HandedIn:
    """A file: its name, without folder, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Checked:
    """What the checks of one file come to. `evidence` is read and never leaves."""

    name: str
    verdict: Verdict
    findings: tuple[Finding, ...]
    evidence: bool = False


def check(files: Sequence[HandedIn], profile: Profile, released: Sequence[Table] = ()) -> list[Checked]:
    """Check files that are to leave together, and against `released`, tables that left before."""
    found = {file.name: list(_file(file, profile)) for file in files}
    tables = {
        file.name: table for file in files if (table := table_in(file)) is not None and not is_evidence(file.name)
    }
    others = [*tables.values(), *released]
    for number, table in enumerate(tables.values()):
        for other in others[number + 1 :]:
            found[table.name] += check_difference(table, other, profile)
    for name in tables:
        if name.rsplit(".", 1)[0] + _EVIDENCE in found:
            found[name] = [one for one in found[name] if one.rule != "unproved"]
    return [_checked(file.name, _few(found[file.name])) for file in files]


def table_in(file: HandedIn) -> Table | None:
    """The table that a CSV file holds; None for another file, or when it cannot be read."""
    if kind_of(file.name) != "csv" or len(file.data) > SIZES["csv"]:
        return None
    try:
        heading, rows = read_csv(file.data.decode("utf-8-sig"), file.name)
    except (ValueError, UnicodeDecodeError, csv.Error):
        return None
    return table_of(file.name, heading, rows)


def is_evidence(name: str) -> bool:
    """Whether the file proves something about another one, and does not leave itself."""
    return name.endswith(_EVIDENCE)


def kind_of(name: str) -> str:
    """The kind that a name says; "" when it says none that is known."""
    return KINDS.get(name.rsplit(".", 1)[-1].lower(), "") if "." in name else ""


def _checked(name: str, findings: list[Finding]) -> Checked:
    return Checked(name, verdict_of(findings), tuple(findings), is_evidence(name))


def _few(findings: list[Finding]) -> list[Finding]:
    seen: dict[str, int] = {}
    kept = []
    for one in findings:
        seen[one.rule] = seen.get(one.rule, 0) + 1
        if seen[one.rule] <= _MOST_OF_A_RULE:
            kept.append(one)
    return sorted(kept, key=lambda one: not one.refuses)


def _file(file: HandedIn, profile: Profile) -> Iterator[Finding]:
    name, data = file.name, file.data
    kind, form = kind_of(name), format_of(data)
    ending = name.rsplit(".", 1)[-1].lower()
    if ending in _PICKLES or data.startswith((b"\x80\x04", b"\x80\x05", b"\x80\x03")):
        yield finding("pickle", name)
    elif ending == "parquet" or form == "parquet":
        yield finding("columnar", name)
    elif not kind or kind not in profile.kinds:
        yield finding("kind", name)
    elif len(data) > SIZES[kind]:
        yield finding("size", name, size=len(data), most=SIZES[kind])
    elif form != _BINARY.get(kind, "") and kind != "onnx":
        yield finding("disguised", name)
    elif kind in ("png", "jpeg", "pdf", "skops", "onnx"):
        yield from _binary(name, kind, data)
    else:
        yield from _written(name, kind, data, profile)


def _binary(name: str, kind: str, data: bytes) -> Iterator[Finding]:
    yield finding("figure" if kind in ("png", "jpeg", "pdf") else "model", name)
    if kind in ("png", "jpeg"):
        if archive_in(data[8:]):
            yield finding("archive", name)
        yield from check_picture(data, name)
    elif kind == "pdf":
        yield from check_pdf(data, name)
    elif kind == "skops":
        yield from check_skops(data, name)
    else:
        yield from check_onnx(data, name)


def _written(name: str, kind: str, data: bytes, profile: Profile) -> Iterator[Finding]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        yield finding("unreadable", name)
        return
    if kind == "csv":
        yield from _csv(name, text, profile)
    elif kind == "svg":
        yield finding("figure", name)
        yield from check_svg(data, name, profile)
    elif kind == "html":
        yield finding("report", name)
        yield from check_html(text, name, profile)
    elif kind == "ipynb":
        yield finding("notebook", name)
        yield from check_notebook(text, name, profile)
    else:
        yield finding("text", name)
        yield from check_text(text, name, profile)


def _csv(name: str, text: str, profile: Profile) -> Iterator[Finding]:
    yield from check_lines(text, name)
    try:
        heading, rows = read_csv(text, name)
    except (ValueError, csv.Error):
        yield finding("unreadable", name)
        return
    if len(rows) > profile.rows:
        yield finding("rows", name, rows=len(rows), most=profile.rows)
        return
    for row, cells in enumerate(rows, start=2):
        if len(cells) != len(heading):
            yield finding("ragged", name, row)
    for place, head in enumerate(heading, start=1):
        if not head.strip() and place > 1:
            yield finding("hidden", name, 1, place, what="column without a name")
    table = table_of(name, heading, rows)
    yield from check_evidence(table, profile) if is_evidence(name) else check_table(table, profile)
