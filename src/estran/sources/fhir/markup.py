"""FHIR XML as the same dictionaries that FHIR JSON gives.

XML says neither what repeats nor what is a number; `r4_elements.json`, drawn from the R4 schema,
does. Elements that R4 does not define make the resource unreadable: nothing is dropped in silence.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources
from typing import Any

from lxml import etree

from estran.model.errors import InputRefused
from estran.sources.fhir.elements import Node, Unreadable

_SPACE = "{http://hl7.org/fhir}"
_XHTML = "{http://www.w3.org/1999/xhtml}div"
_DEEPEST = 60


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    text = resources.files("estran.sources.fhir").joinpath("r4_elements.json").read_text("utf-8")
    return dict(json.loads(text))


@lru_cache(maxsize=1)
def resource_types() -> frozenset[str]:
    """Names of the resource types of R4."""
    return frozenset(_table()["resources"].split())


def elements(kind: str) -> dict[str, str]:
    """Element → type of an R4 type, `*` before the type when the element repeats."""
    return dict(_table()["types"].get(kind, {}))


def parse(data: bytes) -> etree._Element:
    """The root of a FHIR XML file; entities, DTDs and the network are off."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False,
        remove_comments=True, remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise InputRefused(
            "The file is not well-formed XML.", where=f"line {line}" if line else "", hint="export the file again"
        ) from None
    if root.getroottree().docinfo.doctype:
        raise InputRefused("The file has a document type, which FHIR forbids.", hint="export the file again")
    if not isinstance(root.tag, str) or not root.tag.startswith(_SPACE):
        raise InputRefused("The file is XML, but not FHIR.", hint="expected the namespace http://hl7.org/fhir")
    return root


def resource(element: etree._Element, depth: int = 0) -> Node:
    """A resource element as a dictionary; types that Estran does not read keep their name only."""
    kind = _name(element)
    node: Node = {"resourceType": kind}
    if kind in _table()["types"]:
        node |= _complex(element, kind, kind, depth)
    return node


def _name(element: etree._Element) -> str:
    return str(etree.QName(element).localname)


def _complex(element: etree._Element, kind: str, path: str, depth: int) -> Node:
    if depth > _DEEPEST:
        raise Unreadable(path, "malformed", "The elements are nested too deep.")
    table: dict[str, str] = _table()["types"][kind]
    node: Node = {name: value for name in ("id", "url") if (value := element.get(name)) is not None}
    for child in element:
        if not isinstance(child.tag, str):
            raise Unreadable(path, "malformed", "The XML holds an entity reference, which FHIR forbids.")
        name = _name(child)
        told = table.get(name)
        if told is None:
            raise Unreadable(path, "malformed", "The resource has an element that FHIR R4 does not define.")
        _put(node, name, told, child, path, depth)
    return node


def _put(node: Node, name: str, told: str, child: etree._Element, path: str, depth: int) -> None:
    repeats, kind = told.startswith("*"), told.lstrip("*")
    if kind[0].islower():
        _put_primitive(node, name, kind, child, repeats, f"{path}.{name}", depth)
        return
    value = _inner(child, path) if kind == "ResourceList" else None
    made = _complex(child, kind, f"{path}.{name}", depth + 1) if value is None else resource(value, depth + 1)
    if repeats:
        node.setdefault(name, []).append(made)
    elif name in node:
        raise Unreadable(f"{path}.{name}", "malformed", "The element may not repeat.")
    else:
        node[name] = made


def _inner(child: etree._Element, path: str) -> etree._Element:
    """The one resource inside `contained`, `resource` or `outcome`."""
    for inner in child:
        if isinstance(inner.tag, str):
            return inner
    raise Unreadable(path, "malformed", "A resource element is empty.")


def _put_primitive(
    node: Node, name: str, kind: str, child: etree._Element, repeats: bool, path: str, depth: int
) -> None:
    value, extra = _primitive(child, kind, path), _beside(child, path, depth)
    if not repeats:
        if name in node:
            raise Unreadable(path, "malformed", "The element may not repeat.")
        if value is not None:
            node[name] = value
        if extra:
            node["_" + name] = extra
        return
    values = node.setdefault(name, [])
    values.append(value)
    if extra or "_" + name in node:
        beside = node.setdefault("_" + name, [])
        beside.extend([None] * (len(values) - 1 - len(beside)))
        beside.append(extra or None)


def _beside(child: etree._Element, path: str, depth: int) -> Node:
    """Id and extensions of a primitive."""
    if child.tag == _XHTML:
        return {}
    extra: Node = {"id": child.get("id")} if child.get("id") is not None else {}
    inner = [_complex(one, "Extension", path, depth + 1) for one in child if isinstance(one.tag, str)]
    return extra | {"extension": inner} if inner else extra


def _primitive(child: etree._Element, kind: str, path: str) -> Any:
    if kind == "xhtml":
        return etree.tostring(child, encoding="unicode", with_tail=False)
    text = child.get("value")
    if text is None or kind not in ("boolean", "decimal", "integer", "positiveInt", "unsignedInt"):
        return text
    try:
        if kind == "boolean":
            return {"true": True, "false": False}[text]
        return float(text) if kind == "decimal" and not text.lstrip("-").isdigit() else int(text)
    except (KeyError, ValueError):
        raise Unreadable(path, "malformed", "The value does not have the type that FHIR gives it.") from None
