"""HTML pages as people save and send them."""

from __future__ import annotations

import re

from lxml import etree
from lxml import html as lxml_html

from estran.sources.extraction import Extracted, Unreadable, finished
from estran.sources.extraction.lines import Lines
from estran.sources.extraction.plain import decoded

_BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "br", "caption", "dd", "details", "div", "dl", "dt", "fieldset",
    "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav",
    "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul",
))  # fmt: skip
_SILENT = frozenset(("script", "style", "head", "title", "template", "noscript", "svg", "object", "iframe"))
_CELLS = frozenset(("td", "th"))
_META = re.compile(rb"""<meta[^>]{0,200}charset=["']?\s*([\w-]{3,30})""", re.IGNORECASE)
_XML = re.compile(rb"""^\s*<\?xml[^>]{0,200}encoding=["']([\w-]{3,30})""")
_BREAKS = re.compile(r"(page-break-before|break-before)\s*:\s*(always|page)")
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden")


def extract(data: bytes, media_type: str = "") -> Extracted:
    """What a reader of the page sees."""
    declared = _XML.search(data[:300]) or _META.search(data[:4096])
    told = media_type.lower().partition("charset=")[2].split(";")[0].strip(" \"'")
    text = decoded(data, told or (declared.group(1).decode() if declared else ""))
    root = _parse(text)
    lines = Lines()
    _walk(root, lines)
    title = root.findtext(".//title") or ""
    return finished(lines.text(), lines.pages, title=" ".join(title.split())[:250])


def _parse(text: str) -> etree._Element:
    parser = lxml_html.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=False)
    try:
        return lxml_html.document_fromstring(text.replace("\0", "").encode(errors="replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError, AssertionError):
        raise Unreadable("malformed", "The HTML cannot be read.") from None


def _walk(root: etree._Element, lines: Lines) -> None:
    """In order and without recursion: pages may be nested very deep."""
    silent = 0
    rows: list[bool] = []
    for event, element in etree.iterwalk(root, events=("start", "end")):
        tag = element.tag if isinstance(element.tag, str) else ""
        if _is_silent(tag, element):
            silent += 1 if event == "start" else -1
        elif not silent:
            _boundary(event, tag, element, lines, rows)
        if not silent:
            if event == "start":
                lines.add(_inline(element.text, tag))
            elif element is not root:
                lines.add(_inline(element.tail, ""))


def _is_silent(tag: str, element: etree._Element) -> bool:
    return tag in _SILENT or element.get("hidden") is not None or bool(_HIDDEN.search(element.get("style") or ""))


def _boundary(event: str, tag: str, element: etree._Element, lines: Lines, rows: list[bool]) -> None:
    if event == "start":
        if _BREAKS.search(element.get("style") or ""):
            lines.page()
        if tag == "tr":
            rows.append(True)
            lines.open_row()
        elif tag == "br":
            lines.end_line()
        elif tag in _BLOCKS:
            lines.fresh_line()
            lines.add("- " if tag == "li" else "")
    elif tag == "tr" and rows:
        rows.pop()
        lines.close_row()
    elif tag in _CELLS and rows:
        lines.close_cell()
    elif tag in _BLOCKS and tag != "br":
        lines.fresh_line()


def _inline(text: str | None, tag: str) -> str:
    if not text:
        return ""
    return text if tag == "pre" else re.sub(r"[ \t\r\n\f]+", " ", text)
