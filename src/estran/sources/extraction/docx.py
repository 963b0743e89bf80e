"""DOCX (ECMA-376 WordprocessingML)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from lxml import etree

from estran.sources.extraction import Extracted, Unreadable, finished
from estran.sources.extraction.lines import Lines, margin
from estran.sources.extraction.markup import name_of, parse
from estran.sources.extraction.packages import Package

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_STRICT = "{http://purl.oclc.org/ooxml/wordprocessingml/main}"
# Deleted text, field codes, what an older program would show instead, and what no reader sees.
_SILENT = frozenset(("del", "moveFrom", "instrText", "delText", "Fallback", "sdtPr", "pPr", "rPr", "sectPr", "tblPr", "tblGrid",
                     "trPr", "tcPr", "delInstrText", "fldData"))
_SIGNS = {"tab": "\t", "noBreakHyphen": "-", "cr": "\n", "softHyphen": ""}


def extract(data: bytes, media_type: str = "") -> Extracted:
    """Body, text boxes, notes, headers and footers; deleted and hidden text is left out."""
    package = Package(data)
    if "word/document.xml" not in package:
        raise Unreadable("unknown-type", "The package is neither a DOCX nor an ODT document.")
    body, pages = _part(package, "word/document.xml")
    notes = [_part(package, f"word/{name}.xml")[0] for name in ("footnotes", "endnotes") if f"word/{name}.xml" in package]
    title, modified = _properties(package)
    text = "\n\n".join(part for part in (body, *notes) if part)
    header, footer = (_margins(package, kind) for kind in ("header", "footer"))
    return finished(text, pages, header, footer, title=title, modified=modified)


def _part(package: Package, name: str) -> tuple[str, int]:
    lines = Lines()
    _walk(parse(package.read(name)), lines)
    return lines.text(), lines.pages


def _margins(package: Package, kind: str) -> tuple[str, ...]:
    """Distinct lines of the headers (or footers) of all sections; bare page numbers left out."""
    found: dict[str, None] = {}
    for name in sorted(n for n in package.names() if n.startswith(f"word/{kind}") and n.endswith(".xml"))[:100]:
        text, _ = _part(package, name)
        found |= dict.fromkeys(margin(text))
    return tuple(found)


def _walk(root: etree._Element, lines: Lines) -> None:
    silent = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        name = name_of(element)
        if name in _SILENT or (name == "r" and _is_hidden(element)) or (name in ("footnote", "endnote") and _is_mark(element)):
            silent += 1 if event == "start" else -1
        elif not silent:
            _start(name, element, lines) if event == "start" else _end(name, lines)


def _start(name: str, element: etree._Element, lines: Lines) -> None:
    if name == "t":
        lines.add(element.text or "")
    elif name in _SIGNS:
        lines.add(_SIGNS[name])
    elif name == "br":
        lines.page() if _get(element, "type") == "page" else lines.end_line()
    elif name == "lastRenderedPageBreak":
        lines.page()
    elif name == "tr":
        lines.open_row()
    elif name == "p" and next(_numbered(element), None) is not None:
        lines.add("- ")


def _end(name: str, lines: Lines) -> None:
    if name == "tr":
        lines.close_row()
    elif name == "tc":
        lines.close_cell()
    elif name == "p":
        lines.end_line()


def _numbered(paragraph: etree._Element) -> Iterator[etree._Element]:
    for space in (_W, _STRICT):
        found = paragraph.find(f"{space}pPr/{space}numPr")
        if found is not None:
            yield found


def _is_hidden(run: etree._Element) -> bool:
    for space in (_W, _STRICT):
        vanish = run.find(f"{space}rPr/{space}vanish")
        if vanish is not None:
            return _get(vanish, "val") not in ("0", "false", "off")
    return False


def _is_mark(note: etree._Element) -> bool:
    """Separators are kept among the notes."""
    return _get(note, "type") in ("separator", "continuationSeparator", "continuationNotice")


def _get(element: etree._Element, name: str) -> str | None:
    value: str | None = element.get(_W + name) or element.get(_STRICT + name)
    return value


def _properties(package: Package) -> tuple[str, dt.datetime | None]:
    """Title and date of last change (Dublin Core)."""
    if "docProps/core.xml" not in package:
        return "", None
    root = parse(package.read("docProps/core.xml", 1 << 20))
    title = root.findtext("{http://purl.org/dc/elements/1.1/}title") or ""
    return " ".join(title.split())[:250], moment(root.findtext("{http://purl.org/dc/terms/}modified"))


def moment(text: str | None) -> dt.datetime | None:
    """An ISO 8601 date and time; None when it is none."""
    try:
        return dt.datetime.fromisoformat(text.strip()) if text else None
    except ValueError:
        return None
