"""The checks of a notebook: what its cells show, what hangs on them, what is folded away."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from estran.release.airlock import identifiers
from estran.release.airlock.bytes_of import check_lines, format_of
from estran.release.airlock.documents import check_html, check_svg, check_text
from estran.release.airlock.findings import Finding, finding
from estran.release.airlock.pictures import check_picture
from estran.release.airlock.profiles import Profile

_KNOWN = frozenset(
    ["text/plain", "text/html", "text/markdown", "text/latex", "image/png", "image/jpeg", "image/svg+xml"]
)
_FOLDED = ("source_hidden", "outputs_hidden", "collapsed", "hide_input", "hide_output")
_MOST_METADATA = 4_000  # characters


def check_notebook(text: str, name: str, profile: Profile) -> Iterator[Finding]:
    """Every output and every source of a notebook (nbformat 4). A person still reads it."""
    try:
        book = json.loads(text)
        cells = list(book["cells"])
    except (ValueError, KeyError, TypeError):
        yield finding("unreadable", name)
        return
    kept = json.dumps([book.get("metadata", {}), *[cell.get("metadata", {}) for cell in cells]])
    if len(kept) > _MOST_METADATA + 200 * len(cells) or set(book) - {"cells", "metadata", "nbformat", "nbformat_minor"}:
        yield finding("metadata", name, what="notebook")
    for number, cell in enumerate(cells, start=1):
        yield from _cell(cell, name, f"cell {number}", profile)


def _cell(cell: dict[str, Any], name: str, part: str, profile: Profile) -> Iterator[Finding]:
    source = _joined(cell.get("source", ""))
    yield from check_lines(source, name, part)
    yield from identifiers.in_text(source, name, part=part)
    if cell.get("attachments"):
        yield finding("attachment", name, part=part)
    if any(
        cell.get("metadata", {}).get("jupyter", {}).get(fold) or cell.get("metadata", {}).get(fold) for fold in _FOLDED
    ):
        yield finding("hidden", name, part=part, what="folded cell")
    for output in cell.get("outputs", []):
        yield from _output(output, name, part, profile)


def _output(output: dict[str, Any], name: str, part: str, profile: Profile) -> Iterator[Finding]:
    kind = output.get("output_type", "")
    if kind == "error":
        yield finding("trace", name, part=part, cell=part)
        yield from check_text(_joined(output.get("traceback", "")), name, profile, part)
    elif kind == "stream":
        yield from check_text(_joined(output.get("text", "")), name, profile, part)
    else:
        data = output.get("data", {})
        for form, content in data.items():
            if form not in _KNOWN:
                yield finding("active", name, part=part, what=form)
            elif not (form == "text/plain" and "text/html" in data):  # the same table twice
                yield from _shown(form, _joined(content), name, part, profile)


def _shown(form: str, content: str, name: str, part: str, profile: Profile) -> Iterator[Finding]:
    if form == "text/html":
        styled = content.replace("<style scoped>", "<style>")
        yield from check_html(styled, name, profile, part)
    elif form == "image/svg+xml":
        yield from check_svg(content.encode(), name, profile, part)
    elif form.startswith("image/"):
        try:
            data = base64.b64decode(content)
        except ValueError:
            data = b""
        if format_of(data) in ("png", "jpeg"):
            yield from check_picture(data, name, part)
        else:
            yield finding("unreadable", name, part=part)
    else:
        yield from check_text(content, name, profile, part)


def _joined(text: Any) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text)
