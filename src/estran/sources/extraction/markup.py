"""XML from outside, read without opening anything and without being drowned."""

from __future__ import annotations

from lxml import etree

from estran.sources.extraction import Unreadable

DEEPEST = 200


def parse(data: bytes) -> etree._Element:
    """The root of an XML document. Raises Unreadable: not well formed, a DTD, nested too deep.

    Entities, DTDs and the network are off, and libxml2's own limits stay on (huge_tree).
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False,
        remove_comments=True, remove_pis=True,
    )
    if _declares(data):
        raise Unreadable("malformed", "The XML declares a document type or entities, which are refused.")
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError, LookupError, UnicodeError):
        raise Unreadable("malformed", "The XML is not well formed, or not in the encoding that it declares.") from None
    if root.getroottree().docinfo.doctype:
        raise Unreadable("malformed", "The XML declares a document type or entities, which are refused.")
    return root


def _declares(data: bytes) -> bool:
    """Whether a DTD stands in the prolog: seen before the parser reads any entity of it."""
    at = data[:65_536]
    return b"<!DOCTYPE" in at or b"<!ENTITY" in at or "<!DOCTYPE".encode("utf-16-le") in at or "<!DOCTYPE".encode("utf-16-be") in at


def name_of(element: etree._Element) -> str:
    """The local name; empty for what is no element."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
