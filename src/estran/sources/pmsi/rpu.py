"""RPU: the summary of one passage through the emergency department, in the XML of the OSCOUR network.

The national format names nobody. What a hospital keeps for itself names the patient (`IPP`) or the stay
(`NDA`) beside it; a passage that names neither cannot be anybody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any

from lxml import etree

from estran.model.codes import DocumentKind
from estran.model.errors import InputRefused
from estran.model.moments import Moment, instant, of_parts
from estran.sources import refusing
from estran.sources.pmsi.sheet import VARIABLES
from estran.sources.records import Batch, BatchBuilder, Code, content_hash, of_stay

PART = "rpu"
_BATCH = 2_000
_MOST_ELEMENTS, _LONGEST_TEXT, _MOST_HELD = 400, 2_000, 100_000  # of one passage
_PATIENT, _STAY = ("IPP", "NIPP", "NIP"), ("NDA", "NUM_SEJOUR", "NUMERO_SEJOUR", "NAS")
_WHEN = re.compile(r"(\d{2})/(\d{2})/(\d{4})(?:[ T](\d{2}):(\d{2})(?::\d{2})?)?")
_CODE = re.compile(r"[A-Z]\d{2}[A-Z0-9+.]{0,5}")
_ACT = re.compile(r"[A-Z]{4}\d{3}")
_CODED = {
    "GRAVITE": ("gravite-ccmu", "Gravité (CCMU modifiée)"), "MODE_ENTREE": ("mode-entree", "Mode d'entrée"),
    "PROVENANCE": ("provenance", "Provenance"), "TRANSPORT": ("transport", "Mode de transport"),
    "TRANSPORT_PEC": ("transport-pec", "Prise en charge pendant le transport"), "MOTIF": ("motif-urgences", "Motif de recours aux urgences"),
    "MODE_SORTIE": ("mode-sortie", "Mode de sortie"), "DESTINATION": ("destination", "Destination"),
    "ORIENT": ("orientation", "Orientation"),
}  # fmt: skip


class _Bad(refusing.Refused):
    """Why a passage through the emergency department cannot be loaded."""


def is_rpu(start: bytes) -> bool:
    """Whether a file that starts so is XML, of which only RPU are read."""
    return start.lstrip(b"\xef\xbb\xbf \t").startswith(b"<")


def read_rpu(
    stream: IO[bytes], zone: str, authority: str, first: int, wanted: frozenset[int] | None
) -> Iterator[tuple[Batch | None, int]]:
    """Batches of passages, with the number that follows the last one read. Raises InputRefused when the
    file is not the XML of OSCOUR, or breaks off."""
    builder, number, head, seen = BatchBuilder(PART), first, _Head(), False
    try:
        for element in _elements(stream):
            seen = seen or element.tag in ("PATIENT", "FINESS")
            head.take(element, zone)
            if element.tag != "PATIENT":
                continue
            if wanted is None or number in wanted:
                _take(builder, element, number, head, zone, authority)
            number += 1
            if len(builder) >= _BATCH:
                yield builder.build(), number
                builder = BatchBuilder(PART)
    except etree.XMLSyntaxError:
        raise InputRefused("The XML of the emergency summaries is not well formed.") from None
    if not seen:
        raise InputRefused("The XML file holds no emergency summaries (RPU).")
    yield (builder.build() if len(builder) else None), number


def _elements(stream: IO[bytes]) -> Iterator[Any]:
    """Elements as they end; no entity is expanded, nothing is fetched, no text is huge."""
    context = etree.iterparse(
        stream, events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False
    )
    inside = 0  # elements of the passage being read, itself included
    for event, element in context:
        if event == "start":
            _refuse_types(element)
            inside += 1 if inside or element.tag == "PATIENT" else 0
            if inside > _MOST_HELD:
                raise InputRefused("A passage of the emergency summaries does not end.")
            continue
        inside = 0 if element.tag == "PATIENT" else inside
        yield element
        if not inside:
            _forget(element)


def _refuse_types(element: Any) -> None:
    tree = element.getroottree()
    if tree.getroot() is element and tree.docinfo.internalDTD is not None:
        raise InputRefused("The XML declares a document type, which emergency summaries never do.")


def _forget(element: Any) -> None:
    """Free what is read, and what came before it: memory does not grow with the file."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]


class _Head:
    """What the file says of itself."""

    finess, sent = "", 0

    def take(self, element: Any, zone: str) -> None:
        if element.tag == "FINESS":
            self.finess = (element.text or "").strip()
        elif element.tag == "EXTRACT":
            try:
                moment = _moment((element.text or "").strip(), "EXTRACT", zone)
            except _Bad:  # the passages are as good without the date of their sending
                moment = None
            self.sent = instant(moment, zone) if moment else 0


def _take(builder: BatchBuilder, element: Any, number: int, head: _Head, zone: str, authority: str) -> None:
    raw = etree.tostring(element, with_tail=False)
    record = builder.record(number, None, head.sent + number, content_hash(raw))
    mark = builder.mark()
    try:
        _passage(builder, record, _words(element), head, zone, authority)
    except _Bad as bad:
        builder.undo(mark)
        builder.refuse(record, bad.field, bad.code, bad.reason)


def _words(element: Any) -> dict[str, list[str]]:
    """Texts of the passage by tag; lists (LISTE_DA, LISTE_ACTES) count as their items."""
    words: dict[str, list[str]] = {}
    for count, item in enumerate(element.iter("*"), 1):
        if count > _MOST_ELEMENTS:
            raise _Bad("PATIENT", "malformed", "The passage has too many elements.")
        text = (item.text or "").strip()
        if len(text) > _LONGEST_TEXT:
            raise _Bad(_tag(item), "malformed", "A text of the passage is too long.")
        if text and item is not element:
            words.setdefault(str(item.tag), []).append(text)
    return words


def _tag(item: Any) -> str:
    return str(item.tag)[:40]


def _passage(builder: BatchBuilder, record: int, words: dict[str, list[str]], head: _Head, zone: str, authority: str) -> None:
    start = _moment(_one(words, "ENTREE"), "ENTREE", zone)
    if start is None:
        raise _Bad("ENTREE", "missing", "The passage has no date of entry.")
    ipp, number = _first(words, _PATIENT), _first(words, _STAY)
    if not ipp and not number:
        raise _Bad("IPP", "no-patient", "The passage names neither its patient (IPP) nor its stay (NDA).")
    patient = builder.patient(authority, ipp) if ipp else builder.patient(*of_stay(authority, number))
    stay = builder.stay(patient, authority, number) if number else None
    key = f"RPU|{head.finess}|{number or ipp}|{start.date}|{start.minute}"
    known = head.sent or None
    document = builder.document(
        record, key, patient, stay, DocumentKind.EMERGENCY, "RPU", start, known_at=known,
        unit=builder.unit(f"URGENCES-{head.finess}", "Urgences", "service") if head.finess else None,
    )  # fmt: skip
    end = _moment(_one(words, "SORTIE"), "SORTIE", zone)
    _codes(builder, document, words, start)
    for tag, (code, label) in _CODED.items():
        for value in words.get(tag, []):
            variable = builder.code(Code(VARIABLES, code, label))
            when = end if tag in ("MODE_SORTIE", "DESTINATION", "ORIENT") and end else start
            builder.fact(document, variable, when, value_code=builder.code(Code(f"{VARIABLES}-{code}", value)))


def _codes(builder: BatchBuilder, document: int, words: dict[str, list[str]], start: Moment) -> None:
    for tag, role in (("DP", "DP"), ("DA", "DAS"), ("LISTE_DA", "DAS")):
        for text in words.get(tag, []):
            for code in _listed(text, _CODE, tag):
                builder.fact(document, builder.code(Code("CIM10", code, kind="diagnosis")), start, role=role)
    for tag in ("ACTE", "LISTE_ACTES"):
        for text in words.get(tag, []):
            for code in _listed(text, _ACT, tag):
                builder.fact(document, builder.code(Code("CCAM", code[:7], kind="procedure")), start)


def _listed(text: str, pattern: re.Pattern[str], tag: str) -> list[str]:
    """Codes of a text, parted by blanks, commas or semicolons; the dot of a CIM-10 code is left out, as in
    every other PMSI file."""
    codes = [word.replace(".", "") if pattern is _CODE else word for word in re.split(r"[\s,;]+", text.upper()) if word]
    if not all(pattern.match(code) for code in codes):
        raise _Bad(tag, "malformed", "The code is not one of its nomenclature.")
    return codes


def _first(words: dict[str, list[str]], tags: tuple[str, ...]) -> str:
    return next((words[tag][0] for tag in tags if tag in words), "")


def _one(words: dict[str, list[str]], tag: str) -> str:
    return words.get(tag, [""])[0]


def _moment(text: str, tag: str, zone: str) -> Moment | None:
    """`JJ/MM/AAAA[ hh:mm[:ss]]`; None when empty."""
    if not text:
        return None
    found = _WHEN.fullmatch(text)
    try:
        if found is None or not 1830 < int(found[3]) < 2200:
            raise ValueError("not a date")
        hour, minute = (int(found[n]) if found[n] else None for n in (4, 5))
        return of_parts(int(found[3]), int(found[2]), int(found[1]), hour, minute, zone)
    except ValueError:
        raise _Bad(tag, "malformed", "The field is not a date: JJ/MM/AAAA hh:mm.") from None
