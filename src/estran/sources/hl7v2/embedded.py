"""What an OBX of type ED carries: plain text, a CDA document, a PDF, RTF or Word document."""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple

from lxml import etree

from estran.sources import cda, extraction
from estran.sources.hl7v2.message import part, parts, plain
from estran.sources.hl7v2.refused import Refused

_BLANKS = re.compile(r"\s+")
_CDA = "{urn:hl7-org:v3}"
_NEW_LINE = frozenset(("paragraph", "tr", "item", "br", "list", "table", "caption", "title", "section"))
_CELLS = frozenset(("td", "th"))


class Embedded(NamedTuple):
    """The text of an embedded document; of one that is not plain text, its media type and bytes too.

    `clinical` is a CDA document whose coded entries can be had.
    """

    text: str | None
    media_type: str = ""
    data: bytes = b""
    clinical: cda.Content | None = None


def read_embedded(field: str, setting: cda.Setting | None = None) -> Embedded:
    """The content of an ED (source, type, subtype, encoding, data); Refused when it cannot be decoded."""
    ed = parts(field)
    declared = f"{part(ed, 2)}/{part(ed, 3)}".lower().strip("/")
    raw = "^".join(ed[4:])
    encoding = part(ed, 4).upper()
    if encoding == "BASE64":
        return _content(_base64(raw), declared, setting or cda.Setting())
    if encoding == "HEX":
        return _content(_hex(raw), declared, setting or cda.Setting())
    return _content(plain(raw.replace("~", "\n")).encode(), declared, setting or cda.Setting())


def _base64(raw: str) -> bytes:
    try:
        return base64.b64decode(_BLANKS.sub("", raw.replace("\\.br\\", "").replace("~", "")), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("OBX-5", "malformed", "The document in OBX-5 is not valid Base64.") from None


def _hex(raw: str) -> bytes:
    try:
        return bytes.fromhex(raw)
    except ValueError:
        raise Refused("OBX-5", "malformed", "The document in OBX-5 is not valid hexadecimal.") from None


def _content(data: bytes, declared: str, setting: cda.Setting) -> Embedded:
    head = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:200]
    if head.startswith((b"%PDF", b"{\\rtf", b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return _document(data, declared)
    if head.startswith(b"<?xml") or b"ClinicalDocument" in head:
        return _xml(data, setting)
    text = _text(data)
    if text is None or "pdf" in declared:
        kind = "application/pdf" if "pdf" in declared else declared if "/" in declared else "application/octet-stream"
        return Embedded(None, kind, data)
    return Embedded(text)


def _document(data: bytes, declared: str) -> Embedded:
    """A document of a word processor or a PDF. One that cannot be read is known all the same."""
    try:
        return Embedded(extraction.extract(data, declared).text, extraction.media_type_of(data, declared), data)
    except extraction.Unreadable:
        heads = ((b"%PDF", extraction.PDF), (b"{\\rtf", extraction.RTF))
        kind = next((kind for mark, kind in heads if data.lstrip().startswith(mark)), "application/octet-stream")
        return Embedded(None, kind, data)


def _text(data: bytes) -> str | None:
    """`data` as text, None when it is not text."""
    if b"\x00" in data:
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
        if sum(not c.isprintable() and c not in "\r\n\t\f" for c in text) > len(text) // 50 or "\ufffd" in text:
            return None
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _xml(data: bytes, setting: cda.Setting) -> Embedded:
    try:
        clinical = cda.open_content(data, setting)
    except cda.Refused:
        return _other_xml(data)
    if len(clinical.body.media) == 1 and clinical.body.media[0].data and clinical.is_level_1:
        medium = clinical.body.media[0]
        return Embedded(medium.text, medium.media_type, medium.data, clinical)
    return Embedded(clinical.text or "", clinical=clinical)


def _other_xml(data: bytes) -> Embedded:
    """XML that is no whole CDA document: its words."""
    # Neither entities, nor DTD, nor network: a message must not make the reader open anything.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Refused("OBX-5", "malformed", "The XML document in OBX-5 is not well formed.") from None
    body = root.find(f".//{_CDA}nonXMLBody/{_CDA}text")
    if body is not None:
        return _non_xml(body)
    lines: list[str] = []
    for section in root.iter(f"{_CDA}section"):
        for name in ("title", "text"):
            node = section.find(f"{_CDA}{name}")
            if node is not None:
                lines += _narrative(node)
    return Embedded("\n".join(lines) if lines else "\n".join(_narrative(root)))


def _non_xml(body: etree._Element) -> Embedded:
    media = (body.get("mediaType") or "text/plain").lower()
    text = "".join(body.itertext())
    if (body.get("representation") or "").upper() == "B64":
        return _content(_base64(text), media, cda.Setting())
    return Embedded(text.strip())


def _narrative(node: etree._Element) -> list[str]:
    """The lines of a narrative block, table cells kept apart."""
    pieces: list[str] = []
    for event, item in etree.iterwalk(node, events=("start", "end")):
        name = etree.QName(item).localname if isinstance(item.tag, str) else ""
        if name in _NEW_LINE:
            pieces.append("\n")
        if event == "start":
            pieces.append(_BLANKS.sub(" ", item.text or "") if name else "")
        else:
            pieces.append(" " if name in _CELLS else "")
            pieces.append(_BLANKS.sub(" ", item.tail or "") if item is not node else "")
    lines = ("".join(pieces)).split("\n")
    return [line for line in (_BLANKS.sub(" ", text).strip() for text in lines) if line]
