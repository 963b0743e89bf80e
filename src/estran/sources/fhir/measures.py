"""Observation: the resource there are millions of, hence the most travelled code of this room."""

from __future__ import annotations

from typing import Any

from estran.model.codes import DocumentKind, DocumentStatus, FactStatus
from estran.model.moments import Moment
from estran.sources.fhir.elements import (
    LOCAL,
    Lexicon,
    Node,
    Unreadable,
    codes_in,
    each,
    notes,
    number,
    quantity,
    words,
)
from estran.sources.fhir.references import key
from estran.sources.fhir.setting import Setting, confidential, document_status, spoken
from estran.sources.fhir.statements import NOTHING, Attribute, Document, Fact
from estran.sources.records import Code

_LABORATORY = DocumentKind.LABORATORY.value
_KINDS = {
    "laboratory": _LABORATORY, "vital-signs": DocumentKind.MEASUREMENT.value, "imaging": DocumentKind.IMAGING.value,
}  # fmt: skip
_ANY = DocumentKind.OBSERVATION.value
_NOT_DONE = frozenset({"not-performed", "error", "not-permitted"})
# The choice element, in the order of how often it comes.
_VALUES = (
    "valueCodeableConcept", "valueString", "valueInteger", "valueBoolean", "valueRange", "valueRatio",
    "valueDateTime", "valueTime", "valuePeriod", "valueSampledData",
)
_RARE = ("method", "bodySite", "dataAbsentReason", "interpretation")


def observation(node: Node, setting: Setting) -> Document:
    """One document, its fact, and a fact for each component."""
    shelf, get = setting.shelf, node.get
    patient = shelf.patient(node, "subject")
    start, end = _when(node, setting)
    kind = kind_of(node)
    sort = sort_of(kind)
    status = document_status(get("status"))
    lang = spoken(node)
    known = get("issued")
    first = _fact(node, setting, start, end, sort, "Observation", lang)
    facts = [first]
    if "component" in node:
        facts += _components(node, setting, first, sort, lang)
    if status is DocumentStatus.PRELIMINARY:
        facts = [f._replace(status=FactStatus.PRELIMINARY) if f.status is FactStatus.FINAL else f for f in facts]
    return Document(
        key(node), patient, setting.stay(node), kind, None if first.code.vocabulary == LOCAL else first.code.label,
        start, tuple(facts), notes(get("note"), "Observation.note") if "note" in node else None, status,
        None if known is None else setting.clock.micros(known, "Observation.issued"),
        confidential(node), lang,
    )


def _when(node: Node, setting: Setting) -> tuple[Moment | None, Moment | None]:
    """effective[x], else issued."""
    told, moment = node.get("effectiveDateTime"), setting.clock.moment
    if told is not None:
        return moment(told, "Observation.effectiveDateTime"), None
    period = node.get("effectivePeriod")
    if period:
        return (
            moment(period.get("start"), "Observation.effectivePeriod.start"),
            moment(period.get("end"), "Observation.effectivePeriod.end"),
        )
    told = node.get("effectiveInstant")
    if told is None and node.get("effectiveTiming"):
        told = next(iter(node["effectiveTiming"].get("event") or ()), None)
    if told is not None:
        return moment(told, "Observation.effective"), None
    return moment(node.get("issued"), "Observation.issued"), None


def kind_of(node: Node) -> str:
    """Kind of document, from the categories."""
    for category in node.get("category") or ():
        for coding in category.get("coding") or ():
            code = coding.get("code")
            if code in _KINDS:
                return _KINDS[code]
    return _ANY


def sort_of(kind: str) -> str:
    """Kind of code in a document of this kind."""
    return "laboratory" if kind == _LABORATORY else "observation"


def _fact(
    node: Node, setting: Setting, start: Moment | None, end: Moment | None, sort: str, path: str, lang: str | None
) -> Fact:
    """The fact of an Observation or of one of its components, `path` telling which."""
    lexicon = setting.lexicon
    code, told = lexicon.concept(node.get("code"), sort, path + ".code", lang)
    if code is None:
        if told is None:
            raise Unreadable(path + ".code", "missing", "The observation does not say what was observed.")
        code = lexicon.local(path + ".code", "Observation nommée en toutes lettres", sort)
    value, unit, rare = _value(node, setting, path)
    if told is not None:
        rare = dict(rare, value_text=f"{told}: {rare['value_text']}" if "value_text" in rare else told)
    ranges = node.get("referenceRange")
    if ranges:
        rare = dict(rare, **_range(ranges, path))
    if not any(name in node for name in _RARE):
        return Fact(code, start, value, unit, FactStatus.FINAL, end, rare)
    reasons = codes_in([node["dataAbsentReason"]]) if "dataAbsentReason" in node else set()
    status = FactStatus.NOT_GIVEN if reasons & _NOT_DONE else FactStatus.FINAL
    return Fact(code, start, value, unit, status, end, rare, _attributes(node, lexicon, path))


def _value(node: Node, setting: Setting, path: str) -> tuple[float | None, str | None, Any]:
    measured = node.get("valueQuantity")
    if measured is not None:
        value, unit, bound = quantity(measured, path + ".valueQuantity")
        return value, unit, NOTHING if bound is None else {"comparator": bound}
    for name in _VALUES:
        if name in node:
            return _OTHER_VALUES[name](node[name], setting, f"{path}.{name}")
    return None, None, NOTHING


def _coded(value: Node, setting: Setting, path: str) -> tuple[float | None, str | None, Any]:
    code, text = setting.lexicon.concept(value, "observation", path)
    return None, None, {"value_code": code} if code else {"value_text": text} if text else NOTHING


def _text(value: Any, setting: Setting, path: str) -> tuple[float | None, str | None, Any]:
    text = words(value, path)
    return None, None, {"value_text": text} if text else NOTHING


def _whole(value: Any, setting: Setting, path: str) -> tuple[float | None, str | None, Any]:
    return number(value, path), None, NOTHING


def _truth(value: Any, setting: Setting, path: str) -> tuple[float | None, str | None, Any]:
    if type(value) is not bool:
        raise Unreadable(path, "malformed", "The element should be true or false.")
    return float(value), None, NOTHING


def _extent(value: Node, setting: Setting, path: str) -> tuple[float | None, str | None, Any]:
    """A Range: one bound is a value with a comparator, two are told as text."""
    low = quantity(value.get("low") or {}, path + ".low")
    high = quantity(value.get("high") or {}, path + ".high")
    if low.value is None or high.value is None:
        one, bound = (low, 4) if high.value is None else (high, 2)
        return one.value, one.unit, {"comparator": bound} if one.value is not None else NOTHING
    return None, low.unit or high.unit, {"value_text": f"{low.value:g} - {high.value:g}"}


def _ratio(value: Node, setting: Setting, path: str) -> tuple[float | None, str | None, Any]:
    """A Ratio: the quotient when both parts have units, else a titre told as text."""
    top = quantity(value.get("numerator") or {}, path + ".numerator")
    under = quantity(value.get("denominator") or {}, path + ".denominator")
    if top.value is None or not under.value:
        return None, None, NOTHING
    if top.unit or under.unit:
        unit = f"{top.unit or '1'}/{under.unit}" if under.unit else top.unit
        return top.value / under.value, unit, NOTHING if top.comparator is None else {"comparator": top.comparator}
    return None, None, {"value_text": f"{top.value:g}:{under.value:g}"}


def _interval(value: Node, setting: Setting, path: str) -> tuple[float | None, str | None, Any]:
    ends = [words(value.get(name), f"{path}.{name}") for name in ("start", "end")]
    return None, None, {"value_text": " - ".join(e or "" for e in ends)}


def _sampled(value: Node, setting: Setting, path: str) -> tuple[float | None, str | None, Any]:
    """A curve: what it is made of; its points stay in the source."""
    period, dimensions = number(value.get("period"), path + ".period"), number(value.get("dimensions"), path)
    return None, None, {"value_text": f"courbe, {dimensions or 0:g} voie(s), un point par {period or 0:g} ms"}


_OTHER_VALUES = {
    "valueCodeableConcept": _coded,
    "valueString": _text,
    "valueInteger": _whole,
    "valueBoolean": _truth,
    "valueRange": _extent,
    "valueRatio": _ratio,
    "valueDateTime": _text,
    "valueTime": _text,
    "valuePeriod": _interval,
    "valueSampledData": _sampled,
}


def _range(ranges: Any, path: str) -> dict[str, Any]:
    """Bounds of the normal range: of the first range, or of the one typed normal."""
    found = each(ranges, path + ".referenceRange")
    normal = next((r for r in found if "normal" in codes_in([r["type"]] if r.get("type") else [])), found[0])
    bounds = {}
    for name in ("low", "high"):
        if normal.get(name):
            bounds[name] = quantity(normal[name], f"{path}.referenceRange.{name}").value
    return bounds


_LABELS = {
    "method": "Méthode", "bodySite": "Site", "dataAbsentReason": "Absence de valeur",
    "interpretation": "Interprétation",
}


def _attributes(node: Node, lexicon: Lexicon, path: str) -> tuple[Attribute, ...]:
    found = []
    for name in _RARE:
        values = node.get(name)
        if values is None:
            continue
        told = each(values, f"{path}.{name}") if name == "interpretation" else [values]
        for value in told:
            code, text = lexicon.concept(value, "other", f"{path}.{name}")
            if code or text:
                found.append(Attribute(_name(lexicon, name), code=code, text=text))
    return tuple(found)


def _name(lexicon: Lexicon, element: str) -> Code:
    return lexicon.local(f"Observation.{element}", _LABELS[element])


def _components(node: Node, setting: Setting, first: Fact, sort: str, lang: str | None) -> list[Fact]:
    path, parts = "Observation.component", each(node["component"], "Observation.component")
    return [_fact(one, setting, first.start, first.end, sort, path, lang)._replace(child=True) for one in parts]
