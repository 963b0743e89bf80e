"""XHTML and HTML as plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree
from lxml import html as lxml_html

_BLOCKS = frozenset({
    "address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "section", "table", "tbody", "tr", "ul",
})  # fmt: skip
_SILENT = frozenset({"script", "style", "head", "title"})


def plain(text: str, *, html: bool) -> str:
    """Text without tags: blocks on lines of their own, cells apart, blanks tidied."""
    if html:
        text = _stripped(text)
    return text.replace("\r\n", "\n").replace("\x00", "").strip()


def _stripped(text: str) -> str:
    try:
        root = lxml_html.document_fromstring(text.encode(), parser=lxml_html.HTMLParser(
            encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=False
        ))
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return re.sub(r"<[^>]*>", " ", text)
    lines = [re.sub(r"[ \t\u00a0]+", " ", line).strip() for line in "".join(_spoken(root)).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def _spoken(root: etree._Element) -> Iterator[str]:
    """What a reader sees, in order; without recursion, for pages may be nested very deep."""
    for event, element in etree.iterwalk(root, events=("start", "end")):
        tag = element.tag if isinstance(element.tag, str) else ""
        silent = tag in _SILENT
        if event == "start":
            yield "\n" if tag in _BLOCKS else ""
            yield "" if silent else _inline(element.text)
        else:
            yield "\n" if tag in _BLOCKS and tag != "br" else "\t" if tag in ("td", "th") else ""
            yield _inline(element.tail)


def _inline(text: str | None) -> str:
    return re.sub(r"\s+", " ", text) if text else ""
