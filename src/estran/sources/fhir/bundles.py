"""Bundles: their entries, and how the entries find each other."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from lxml import etree

from estran.model.errors import InputRefused
from estran.sources.fhir import markup
from estran.sources.fhir.elements import Node, Unreadable
from estran.sources.fhir.references import Shelf
from estran.sources.fhir.stays import movement_number

_SPACE = "{http://hl7.org/fhir}"
_SHAPES = (TypeError, AttributeError, KeyError, ValueError, IndexError)
_JSON_KIND = re.compile(rb'"resourceType"\s*:\s*"([A-Za-z]+)"')
_XML_KIND = re.compile(rb"<\s*(?:[a-z]+:)?([A-Z][A-Za-z]+)[\s>]")


class Entry(NamedTuple):
    """One entry of a Bundle."""

    url: Any
    node: Node
    line: int | None
    fault: Unreadable | None
    modified: Any


_EMPTY = Unreadable("Bundle.entry.resource", "missing", "The entry holds no resource.")
_DELETED = Unreadable(
    "Bundle.entry.request", "missing", "The entry deletes a resource, and does not say which patient it was about."
)
_ODD = Unreadable("Bundle.entry.resource", "malformed", "The entry is no FHIR resource.")


def kind_of(start: bytes) -> str:
    """Resource type that the first bytes of a file tell, '' when they do not."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    found = (_XML_KIND if text[:1] == b"<" else _JSON_KIND).search(text)
    return found.group(1).decode() if found else ""


def from_json(bundle: Node) -> list[Entry]:
    """Entries of a Bundle read from JSON."""
    listed = bundle.get("entry") or []
    if not isinstance(listed, list):
        raise InputRefused("The Bundle's entries are not a list.", hint="export the file again")
    return [_entry(one) for one in listed]


def _entry(one: Any) -> Entry:
    if not isinstance(one, dict):
        return Entry(None, {}, None, _ODD, None)
    node, url = one.get("resource"), one.get("fullUrl")
    response, request = one.get("response"), one.get("request")
    modified = response.get("lastModified") if isinstance(response, dict) else None
    if node is None:
        deleted = isinstance(request, dict) and request.get("method") == "DELETE"
        return Entry(url, {}, None, _DELETED if deleted else _EMPTY, modified)
    if not isinstance(node, dict):
        return Entry(url, {}, None, _ODD, modified)
    return Entry(url, _named(node, url), None, None, modified)


def _named(node: Node, url: Any) -> Node:
    """The resource, with the id that its fullUrl gives it when it has none of its own."""
    if node.get("id") is None and isinstance(url, str) and url:
        return {**node, "id": re.split(r"[/:]", url)[-1]}
    return node


def from_xml(root: etree._Element) -> list[Entry]:
    """Entries of a Bundle read from XML; an entry that cannot be read leaves the others alone."""
    return [_xml_entry(one) for one in root.iterchildren(_SPACE + "entry")]


def _xml_entry(one: etree._Element) -> Entry:
    url = _value(one, "fullUrl")
    modified = _value(one, "response", "lastModified")
    holder = one.find(_SPACE + "resource")
    inner = next((e for e in holder if isinstance(e.tag, str)), None) if holder is not None else None
    if inner is None:
        deleted = _value(one, "request", "method") == "DELETE"
        return Entry(url, {}, one.sourceline, _DELETED if deleted else _EMPTY, modified)
    try:
        return Entry(url, _named(markup.resource(inner), url), inner.sourceline, None, modified)
    except Unreadable as error:
        kind = etree.QName(inner).localname
        return Entry(url, {"resourceType": kind}, inner.sourceline, error, modified)


def _value(element: etree._Element, *names: str) -> str | None:
    found = element.find("/".join(_SPACE + name for name in names))
    return None if found is None else found.get("value")


def shelve(entries: list[Entry]) -> Shelf:
    """Where the entries of a Bundle are, for references among them."""
    shelf = Shelf()
    for entry in entries:
        kind, number = entry.node.get("resourceType"), entry.node.get("id")
        if entry.fault is None and isinstance(kind, str) and isinstance(number, str):
            shelf.put(entry.url, entry.node, f"{kind}/{number}")
    for entry in entries:
        try:
            _relate(shelf, entry.node)
        except (*_SHAPES, Unreadable):
            continue  # the mapping of the resource itself tells what is wrong with it
    return shelf


def _relate(shelf: Shelf, node: Node) -> None:
    kind = node.get("resourceType")
    if kind == "Encounter" and movement_number(node) is not None:
        parent = shelf.stay(node.get("partOf"), "Encounter.partOf")
        if parent is not None:
            shelf.movement(f"Encounter/{node['id']}", parent)
    elif kind == "DocumentReference":
        for one in node.get("content") or ():
            shelf.use(one["attachment"].get("url"))
    elif kind == "DiagnosticReport":
        for one in node.get("presentedForm") or ():
            shelf.use(one.get("url"))
