"""Structured reports (PS3.3 A.35, C.17.3): content items as facts, and as a text when they hold words.

Each item keeps its place: `parent` is the item that contains it. Radiation dose reports, measurements and
key notes are all content trees, so one walk reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from estran.model.codes import DocumentKind, DocumentStatus
from estran.model.moments import Moment
from estran.sources.dicom.elements import first_code, items, moment, number, stamp, uid, word
from estran.sources.dicom.heads import NotRead
from estran.sources.dicom.images import event_time, modality_code, title_of, uri_of
from estran.sources.records import Code
from estran.sources.writing import Attribute, Item, Medium, Writing
from estran.terminology.units import ucum

_DEEPEST, _MOST = 64, 50_000
_LONGEST_VALUE = 1_000  # characters of a fact; the text holds all
# Content items about who and which order, not about what was found (PS3.16 TID 1001, 1002, 1204): never facts.
_ABOUT_PEOPLE = frozenset(
    ("121008", "121009", "121012", "121013", "121016", "121018", "121019", "121020", "121022", "121023", "121024",
     "121028", "121029", "121030", "121031", "121032", "121033", "121034", "121035", "121036", "121064", "113870",
     "113871", "113874", "121152")
)  # fmt: skip
_TYPES = frozenset(("CONTAINER", "NUM", "CODE", "TEXT", "DATE", "TIME", "DATETIME"))


def is_report(header: Dataset) -> bool:
    """Whether the object is a content tree."""
    return uid(header, "SOPClassUID").startswith("1.2.840.10008.5.1.4.1.1.88.") and word(header, "ValueType") != ""


def read_report(header: Dataset, zone: str, authority: str, checksum: str) -> Writing:
    """The document of a structured report; raises NotRead when its tree has no end."""
    start = moment(header, ("ContentDate", "ContentTime"), ("StudyDate", "StudyTime"), zone=zone)
    tree = _Tree(zone, authority)
    tree.walk(header, None, 0)
    title = first_code(header, "ConceptNameCodeSequence", authority)
    text = "\n".join(tree.lines) if tree.has_words else None
    modality = word(header, "Modality").upper() or "SR"
    facts = tuple(tree.found) or (Item(modality_code(modality)),)
    draft = word(header, "CompletionFlag").upper() == "PARTIAL" or word(header, "PreliminaryFlag").upper() == "PRELIMINARY"
    return Writing(
        f"object/{uid(header, 'SOPInstanceUID')}", DocumentKind.IMAGING, (title.label if title else "") or title_of(header),
        start, facts, text, DocumentStatus.PRELIMINARY if draft else DocumentStatus.CURRENT,
        (Medium(uri_of(header, slices=False), modality, "", None, checksum),), replaced(header),
        event_time(header, start, zone),
    )  # fmt: skip


def replaced(header: Dataset) -> tuple[str, ...]:
    """Keys of the documents that this one takes the place of (Predecessor Documents Sequence)."""
    found: dict[str, None] = {}
    for study in items(header, "PredecessorDocumentsSequence"):
        for series in items(study, "ReferencedSeriesSequence"):
            for one in items(series, "ReferencedSOPSequence"):
                if gone := uid(one, "ReferencedSOPInstanceUID"):
                    found[f"object/{gone}"] = None
    return tuple(found)


@dataclass
class _Tree:
    """One walk through the content."""

    zone: str
    authority: str
    found: list[Item] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    has_words: bool = False

    def walk(self, node: Dataset, parent: int | None, depth: int) -> None:
        """Facts and lines of `node` and of what it contains."""
        if depth > _DEEPEST or len(self.found) > _MOST:
            raise NotRead("malformed", "The structured report is too deep or too long.")
        name = first_code(node, "ConceptNameCodeSequence", self.authority, "observation")
        kind = word(node, "ValueType").upper()
        here = parent
        if kind in _TYPES and name is not None and not _is_about_people(name):
            here = self._add(node, name, kind, parent, depth)
        for child in items(node, "ContentSequence"):
            if word(child, "RelationshipType").upper() != "HAS CONCEPT MOD":  # said with the item itself
                self.walk(child, here, depth + 1)

    def _add(self, node: Dataset, name: Code, kind: str, parent: int | None, depth: int) -> int:
        value, unit, value_code, text = self._value(node, kind)
        when = moment(node, ("ObservationDateTime", ""), zone=self.zone) or self._stated(node, kind)
        modifiers = tuple(self._modifiers(node))
        clipped = text[:_LONGEST_VALUE] if text else None
        self.found.append(Item(name, value, unit, clipped, value_code, parent, when, attributes=modifiers))
        shown = text or (value_code.label if value_code else "")
        if value is not None:
            shown = f"{value:g} {unit}" if unit and unit != "1" else f"{value:g}"
        self.lines.append(f"{'  ' * min(depth, 8)}{name.label or name.code}{' : ' if shown else ''}{shown}")
        self.has_words |= kind == "TEXT"
        return len(self.found) - 1

    def _value(self, node: Dataset, kind: str) -> tuple[float | None, str | None, Code | None, str | None]:
        if kind == "NUM":
            for measured in items(node, "MeasuredValueSequence"):
                unit = first_code(measured, "MeasurementUnitsCodeSequence", self.authority)
                return number(measured, "NumericValue"), ucum(unit.code) if unit else None, None, None
            return None, None, first_code(node, "NumericValueQualifierCodeSequence", self.authority), None
        if kind == "CODE":
            return None, None, first_code(node, "ConceptCodeSequence", self.authority), None
        if kind == "TEXT":
            return None, None, None, _long(node, "TextValue")
        return None, None, None, None

    def _stated(self, node: Dataset, kind: str) -> Moment | None:
        """A date that an item gives as its value is when it happened."""
        if kind == "DATE":
            return stamp(word(node, "Date"), "", "", self.zone)
        return stamp(word(node, "DateTime"), "", "", self.zone) if kind == "DATETIME" else None

    def _modifiers(self, node: Dataset) -> Iterator[Attribute]:
        """Post-coordination: site, laterality, method… (HAS CONCEPT MOD)."""
        for child in items(node, "ContentSequence"):
            name = first_code(child, "ConceptNameCodeSequence", self.authority)
            if word(child, "RelationshipType").upper() != "HAS CONCEPT MOD" or name is None or _is_about_people(name):
                continue
            value, _, value_code, text = self._value(child, word(child, "ValueType").upper())
            if value is not None or value_code or text:
                yield Attribute(name, text[:_LONGEST_VALUE] if text else None, value, value_code)


def _long(node: Dataset, keyword: str) -> str | None:
    value = node.get(keyword)
    return str(value).replace("\r\n", "\n").replace("\0", "").strip() or None if value is not None else None


def _is_about_people(name: Code) -> bool:
    return name.vocabulary == "DCM" and name.code in _ABOUT_PEOPLE


def plain_title(header: Dataset) -> str:
    """Title of an encapsulated document."""
    return word(header, "DocumentTitle") or title_of(header)

