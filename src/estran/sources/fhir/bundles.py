"""Bundles: their entries, and how the entries find each other."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from lxml import etree

from estran.model.errors import InputRefused
from estran.sources.fhir import markup
from estran.sources.fhir.elements import Node, Unreadable
from estran.sources.fhir.references import SYSTEM, Shelf
from estran.sources.fhir.stays import movement_number
from estran.sources.records import PatientKey

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
    request: Any = None


GONE = "estran:gone"  # marks, in a resource, that its entry deletes it
_PLACE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}$")

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
    return settled([_entry(one) for one in listed])


def _entry(one: Any) -> Entry:
    if not isinstance(one, dict):
        return Entry(None, {}, None, _ODD, None)
    node, url = one.get("resource"), one.get("fullUrl")
    response, request = one.get("response"), one.get("request")
    modified = response.get("lastModified") if isinstance(response, dict) else None
    told = request.get("url") if isinstance(request, dict) else None
    method = request.get("method") if isinstance(request, dict) else None
    if method == "DELETE":
        return Entry(url, {}, None, _DELETED, modified, told)
    if node is None:
        return Entry(url, {}, None, _EMPTY, modified)
    if not isinstance(node, dict):
        return Entry(url, {}, None, _ODD, modified)
    return Entry(url, _named(node, url, told if method == "PUT" else None), None, None, modified)


def _named(node: Node, url: Any, put: Any = None) -> Node:
    """The resource, with the id that the address it is put at, or its fullUrl, gives it when it has none."""
    if node.get("id") is None:
        if isinstance(put, str) and _PLACE.fullmatch(put):
            return {**node, "id": put.partition("/")[2]}
        if isinstance(url, str) and url:
            return {**node, "id": re.split(r"[/:]", url)[-1]}
    return node


def settled(entries: list[Entry]) -> list[Entry]:
    """Entries whose deletions stand for the version that the same Bundle holds, when it holds one.

    A deletion names no patient; in a history the version that it ends stands beside it.
    """
    last: dict[str, Entry] = {}
    for entry in entries:
        kind, number = entry.node.get("resourceType"), entry.node.get("id")
        if isinstance(kind, str) and isinstance(number, str):
            last.setdefault(f"{kind}/{number}", entry)
    return [_taken_back(entry, last) if entry.fault is _DELETED else entry for entry in entries]


def _taken_back(entry: Entry, last: dict[str, Entry]) -> Entry:
    found = _PLACE.search(entry.request if isinstance(entry.request, str) else str(entry.url))
    version = last.get(found.group()) if found else None
    if version is None or version.fault is not None:
        return entry
    node, when = {k: v for k, v in version.node.items() if k != "meta"}, entry.modified
    if when is None:  # a transaction: after the version it takes back
        meta = version.node.get("meta")
        when = meta.get("lastUpdated") if isinstance(meta, dict) else None
    return Entry(entry.url, {**node, GONE: True}, entry.line, None, when)


def from_xml(root: etree._Element) -> list[Entry]:
    """Entries of a Bundle read from XML; an entry that cannot be read leaves the others alone."""
    return settled([_xml_entry(one) for one in root.iterchildren(_SPACE + "entry")])


def _xml_entry(one: etree._Element) -> Entry:
    url = _value(one, "fullUrl")
    modified, told = _value(one, "response", "lastModified"), _value(one, "request", "url")
    holder = one.find(_SPACE + "resource")
    inner = next((e for e in holder if isinstance(e.tag, str)), None) if holder is not None else None
    method = _value(one, "request", "method")
    if method == "DELETE":
        return Entry(url, {}, one.sourceline, _DELETED, modified, told)
    if inner is None:
        return Entry(url, {}, one.sourceline, _EMPTY, modified)
    try:
        node = _named(markup.resource(inner), url, told if method == "PUT" else None)
        return Entry(url, node, inner.sourceline, None, modified)
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
        if entry.fault is None and isinstance(kind, str) and isinstance(number, str) and GONE not in entry.node:
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
    elif kind == "Patient":
        for one in node.get("link") or ():
            shelf.link(one["other"].get("reference"), PatientKey(SYSTEM, f"Patient/{node['id']}"))
    elif kind == "DocumentReference":
        for one in node.get("content") or ():
            shelf.use(one["attachment"].get("url"))
    elif kind == "DiagnosticReport":
        for one in node.get("presentedForm") or ():
            shelf.use(one.get("url"))
