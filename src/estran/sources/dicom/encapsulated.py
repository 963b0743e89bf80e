"""Documents carried inside DICOM (PS3.3 A.45): PDF and CDA as text."""

from __future__ import annotations

import base64

from lxml import etree
from pydicom.dataset import Dataset

from estran.model.codes import DocumentKind
from estran.sources.dicom.elements import first_code, moment, raw, uid, word
from estran.sources.dicom.images import event_time, modality_code, uri_of
from estran.sources.dicom.reports import plain_title, replaced
from estran.sources.extraction import Unreadable, extract
from estran.sources.writing import Item, Medium, Writing

_PDF, _CDA = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.104.2"
_V3 = "{urn:hl7-org:v3}"


def is_encapsulated(header: Dataset) -> bool:
    """Whether the object carries a PDF or a CDA."""
    return uid(header, "SOPClassUID") in (_PDF, _CDA)


def read_encapsulated(header: Dataset, zone: str, authority: str, checksum: str) -> Writing:
    """The document; without text when nothing can be read in it."""
    start = moment(header, ("ContentDate", "ContentTime"), ("StudyDate", "StudyTime"), zone=zone)
    name = first_code(header, "ConceptNameCodeSequence", authority)
    exam = Item(modality_code(word(header, "Modality").upper() or "DOC"))
    facts = (exam, Item(name)) if name else (exam,)
    mime = word(header, "MIMETypeOfEncapsulatedDocument")
    return Writing(
        f"object/{uid(header, 'SOPInstanceUID')}", DocumentKind.IMAGING, plain_title(header), start, facts,
        carried_text(header), media=(Medium(uri_of(header, slices=False), mime, "", None, checksum),),
        replaces=replaced(header), event_time=event_time(header, start, zone),
    )  # fmt: skip


def carried_text(header: Dataset) -> str | None:
    """Text of the document inside; None when there is none to read."""
    carried = raw(header, "EncapsulatedDocument")
    if not isinstance(carried, bytes):
        return None
    length = raw(header, "EncapsulatedDocumentLength")  # the element itself is padded to an even length
    body = carried[:length] if isinstance(length, int) and 0 < length <= len(carried) else carried
    try:
        if uid(header, "SOPClassUID") == _PDF:
            return extract(body, "application/pdf").text
        return _cda_text(body)
    except Unreadable:
        return None


def _cda_text(body: bytes) -> str | None:
    """Titles and narrative of a CDA, or the text of the document that it carries itself."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(body.rstrip(b"\0 "), parser)
    except (etree.XMLSyntaxError, ValueError):
        return None
    for inner in root.iterfind(f".//{_V3}nonXMLBody/{_V3}text"):
        carried = base64.b64decode("".join(inner.itertext()), validate=False)
        return extract(carried, inner.get("mediaType") or "").text
    lines = [
        " ".join("".join(part.itertext()).split())
        for section in root.iterfind(f".//{_V3}section")
        for part in (*section.iterfind(f"{_V3}title"), *section.iterfind(f"{_V3}text"))
    ]
    return "\n".join(filter(None, lines)) or None
