"""ODT (OASIS OpenDocument text), packaged or flat."""

from __future__ import annotations

from lxml import etree

from estran.sources.extraction import Extracted, Unreadable, finished
from estran.sources.extraction.docx import moment
from estran.sources.extraction.lines import Lines, margin
from estran.sources.extraction.markup import name_of, parse
from estran.sources.extraction.packages import Package

_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_STYLE = "{urn:oasis:names:tc:opendocument:xmlns:style:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_FO = "{urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_SILENT = frozenset(("tracked-changes", "annotation", "forms", "sequence-decls", "page-number", "page-count", "note-citation",
                     "script", "ruby-text", "title-page", "variable-decls", "user-field-decls", "binary-data"))
_PARAGRAPHS = frozenset(("p", "h"))
_MOST_BLANKS = 100


def extract(data: bytes, media_type: str = "") -> Extracted:
    """Body, notes, headers and footers; deleted text and comments are left out."""
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        root = parse(data)
        return _extracted(root, root, root)
    package = Package(data)
    if "META-INF/manifest.xml" in package and b"encryption-data" in package.read("META-INF/manifest.xml", 4 << 20):
        raise Unreadable("malformed", "The document is locked by a password.")
    content = parse(package.read("content.xml"))
    styles = parse(package.read("styles.xml")) if "styles.xml" in package else content
    meta = parse(package.read("meta.xml", 4 << 20)) if "meta.xml" in package else content
    return _extracted(content, styles, meta)


def _extracted(content: etree._Element, styles: etree._Element, meta: etree._Element) -> Extracted:
    body = content.find(f".//{_OFFICE}body/{_OFFICE}text")
    if body is None:
        raise Unreadable("unknown-type", "The document is not a text document of OpenDocument.")
    lines = Lines()
    _walk(body, lines, _breaking(content))
    title, modified = meta.findtext(f".//{_DC}title") or "", moment(meta.findtext(f".//{_DC}date"))
    header, footer = (_margins(styles, kind) for kind in ("header", "footer"))
    return finished(lines.text(), lines.pages, header, footer, title=" ".join(title.split())[:250], modified=modified)


def _breaking(content: etree._Element) -> frozenset[str]:
    """Names of the styles that begin a page."""
    properties = content.iterfind(f".//{_STYLE}style/{_STYLE}paragraph-properties")
    return frozenset(
        p.getparent().get(_STYLE + "name") or "" for p in properties if p.get(_FO + "break-before") == "page"
    )


def _margins(styles: etree._Element, kind: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name in (kind, f"{kind}-first", f"{kind}-left"):
        for element in styles.iterfind(f".//{_STYLE}master-page/{_STYLE}{name}"):
            lines = Lines()
            _walk(element, lines, frozenset())
            found |= dict.fromkeys(margin(lines.text()))
    return tuple(found)


def _walk(root: etree._Element, lines: Lines, breaking: frozenset[str]) -> None:
    silent, depth = 0, 0  # depth: paragraphs open, outside of which blanks mean nothing
    for event, element in etree.iterwalk(root, events=("start", "end")):
        name = name_of(element)
        if name in _SILENT:
            silent += 1 if event == "start" else -1
        elif not silent and event == "start":
            depth += name in _PARAGRAPHS
            _start(name, element, lines, breaking)
            lines.add(_words(element.text) if depth else "")
        elif not silent:
            depth -= name in _PARAGRAPHS
            _end(name, lines)
        if event == "end" and depth and not silent and element is not root:
            lines.add(_words(element.tail))


def _start(name: str, element: etree._Element, lines: Lines, breaking: frozenset[str]) -> None:
    if name in _PARAGRAPHS and element.get(_TEXT + "style-name") in breaking:
        lines.page()
    if name == "soft-page-break":
        lines.page()
    elif name == "tab":
        lines.add("\t")
    elif name == "s":
        lines.add(" " * _count(element.get(_TEXT + "c")))
    elif name == "line-break":
        lines.end_line()
    elif name == "table-row":
        lines.open_row()
    elif name == "list-item":
        lines.add("- ")
    elif name == "note-body":
        lines.add(" [")


def _end(name: str, lines: Lines) -> None:
    if name in ("table-cell", "covered-table-cell"):
        lines.close_cell()
    elif name == "table-row":
        lines.close_row()
    elif name in _PARAGRAPHS:
        lines.end_line()
    elif name == "note-body":
        lines.add("] ")


def _count(text: str | None) -> int:
    return min(int(text), _MOST_BLANKS) if text and text.isascii() and text.isdigit() and len(text) < 6 else 1


def _words(text: str | None) -> str:
    return " ".join(text.replace("\t", " ").replace("\n", " ").split(" ")) if text else ""
