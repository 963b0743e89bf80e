"""The body as people read it: titles and texts of the sections, or the document that the body is."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from lxml import etree

from estran.sources.cda.elements import Element, Refused, every, find, said, words
from estran.sources.extraction import Unreadable, extract, media_type_of
from estran.sources.extraction.lines import Lines
from estran.sources.extraction.markup import name_of

_BLOCKS = frozenset(("paragraph", "item", "list", "table", "caption", "thead", "tbody", "tfoot"))
_CELLS = frozenset(("td", "th"))
_DEEPEST = 20


class Medium(NamedTuple):
    """A document inside the document; `text` is None when nothing of it can be read."""

    media_type: str
    data: bytes
    text: str | None


class Body(NamedTuple):
    """The text of a document and what is embedded in it."""

    text: str | None
    media: tuple[Medium, ...]


def read_body(root: Element) -> Body:
    """Raises Refused when an embedded document is not valid Base64, or is damaged and all that there is."""
    file = find(root, "component/nonXMLBody/text")
    if file is not None:
        medium = _medium(file, "component/nonXMLBody/text", alone=True)
        return Body(medium.text, () if medium.media_type == "text/plain" else (medium,))
    body = find(root, "component/structuredBody")
    lines = Lines()
    for section in every(body, "component/section"):
        _section(section, lines, 0)
    told = lines.text()
    # beside a narrative, an embedded PDF is a copy of it
    media = [_medium(e, "observationMedia/value", alone=False, read=not told) for e in _embedded(body)]
    return Body("\n\n".join(filter(None, [told, *(m.text for m in media)])) or None, tuple(media))


def _embedded(body: Element | None) -> list[Element]:
    return [] if body is None else [
        value for medium in body.iter("{urn:hl7-org:v3}observationMedia")
        if (value := find(medium, "value")) is not None and words_of(value)
    ]  # fmt: skip


def words_of(element: Element) -> str:
    """All characters inside."""
    return "".join(element.itertext())


def _medium(element: Element, path: str, *, alone: bool, read: bool = True) -> Medium:
    """A document of type ED, its text if it is to be read. A copy beside the narrative may be damaged; one that stands alone may not."""
    told = said(element, "mediaType").lower() or "text/plain"
    if said(element, "representation").upper() != "B64":
        return Medium("text/plain", b"", words_of(element).strip() or None)
    try:
        data = base64.b64decode("".join(words_of(element).split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(path, "malformed", "The embedded document is not valid Base64.") from None
    try:
        return Medium(media_type_of(data, told), data, extract(data, told).text if read else None)
    except Unreadable as why:
        if alone and why.code == "malformed":
            raise Refused(path, why.code, why.reason) from None
        return Medium(told, data, None)


def _section(section: Element, lines: Lines, depth: int) -> None:
    if depth > _DEEPEST:
        raise Refused("section", "malformed", "The sections are nested too deep.")
    title = words(find(section, "title"))
    if title:
        lines.fresh_line()
        lines.add("\n" + title + "\n")
    text = find(section, "text")
    if text is not None:
        _narrative(text, lines)
    for inner in every(section, "component/section"):
        _section(inner, lines, depth + 1)


def _narrative(text: Element, lines: Lines) -> None:
    """A narrative block: paragraphs, lists and tables (CDA R2, 4.3.5)."""
    rows = 0
    for event, item in etree.iterwalk(text, events=("start", "end")):
        name = name_of(item)
        if event == "start":
            rows += name == "tr"
            _open(name, lines)
            lines.add(_inline(item.text))
            continue
        if name == "tr":
            lines.close_row()
            rows -= 1
        elif name in _CELLS and rows:
            lines.close_cell()
        elif name in _BLOCKS:
            lines.fresh_line()
        if item is not text:
            lines.add(_inline(item.tail))
    lines.fresh_line()


def _open(name: str, lines: Lines) -> None:
    if name == "tr":
        lines.open_row()
    elif name == "br":
        lines.end_line()
    elif name in _BLOCKS:
        lines.fresh_line()
        lines.add("- " if name == "item" else "")


def _inline(text: str | None) -> str:
    if not text:
        return ""
    joined = " ".join(text.split())
    if not joined:
        return " "
    return (" " if text[0].isspace() else "") + joined + (" " if text[-1].isspace() else "")
