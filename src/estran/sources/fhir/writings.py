"""DocumentReference, DiagnosticReport and Composition: documents that people wrote."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from estran.model.codes import DocumentKind, DocumentStatus
from estran.model.moments import Moment
from estran.sources import cda, extraction
from estran.sources.fhir.clinical import document, main_code, period
from estran.sources.fhir.elements import Node, Unreadable, codes_in, each, words
from estran.sources.fhir.pages import plain
from estran.sources.fhir.references import SYSTEM, key
from estran.sources.fhir.setting import Setting, confidential, document_status, spoken
from estran.sources.fhir.statements import Document, Fact

# LOINC document types, by the kind they are in Estran.
_LOINC = {
    DocumentKind.DISCHARGE: ("18842-5", "11490-0", "34133-9", "28655-9", "34105-7", "74207-2", "28574-2"),
    DocumentKind.CONSULTATION: ("11488-4", "34117-2", "51847-2", "11506-3", "34140-4", "34099-2", "34764-1", "85208-7"),
    DocumentKind.OPERATIVE: ("11504-8", "28570-0", "34874-8", "57834-4", "52040-3"),
    DocumentKind.LETTER: ("57133-1", "18761-7", "51852-2", "68609-7", "83901-9"),
    DocumentKind.CASE: ("51853-0", "53576-5", "72134-0", "84273-2", "96173-0"),
    DocumentKind.LABORATORY: ("11502-2", "26436-6", "18725-2", "18719-5", "18723-7", "18717-9"),
    DocumentKind.PATHOLOGY: ("11526-1", "60567-5", "60568-3", "22634-0", "33717-0", "27898-6"),
    DocumentKind.IMAGING: ("18748-4", "18726-0", "11525-3", "18747-6", "42148-7", "39027-8", "24627-2", "55113-5"),
    DocumentKind.EMERGENCY: ("34111-5", "34878-9", "54094-8", "59258-4", "34112-3"),
    DocumentKind.NURSING: ("34746-8", "34119-8", "28651-8", "34815-1", "68629-5"),
    DocumentKind.PRESCRIPTION: ("57833-6", "57828-6", "56445-0", "57832-8"),
    DocumentKind.IMMUNIZATION: ("11369-6", "87273-9", "82593-5"),
    DocumentKind.GENOMICS: ("51969-4", "81247-9"),
    DocumentKind.ADMINISTRATION: ("18610-6",),
}
_BY_TYPE = {code: kind for kind, codes in _LOINC.items() for code in codes}
# HL7 v2 table 0074, the usual categories of DiagnosticReport.
_LABORATORY_SECTIONS = (
    "LAB", "CH", "HM", "MB", "SR", "BLB", "IMM", "MCB", "VR", "TX", "BG", "LP11185-6", "laboratory",
)  # fmt: skip
_IMAGING_SECTIONS = (
    "RAD", "IMG", "CT", "NMR", "NMS", "RUS", "RX", "OUS", "VUS", "CUS", "MR", "LP29684-5", "imaging",
)  # fmt: skip
_BY_SECTION = {
    **dict.fromkeys(_LABORATORY_SECTIONS, DocumentKind.LABORATORY),
    **dict.fromkeys(_IMAGING_SECTIONS, DocumentKind.IMAGING),
    **dict.fromkeys(("PAT", "SP", "CP", "CY", "PTH", "LP7839-6"), DocumentKind.PATHOLOGY),
    **dict.fromkeys(("GE", "CG"), DocumentKind.GENOMICS),
    **dict.fromkeys(("NUR",), DocumentKind.NURSING),
}  # fmt: skip
_TEXTS = ("text/plain", "text/html", "application/xhtml+xml", "text/markdown")


def reference(node: Node, setting: Setting) -> list[Document]:
    """A DocumentReference, and a cancelled version of each document that it says it replaces.

    `superseded` alone hides nothing: it is loaded as current, and hidden by what replaces it.
    """
    texts, media = _contents([one.get("attachment") for one in each(node.get("content"), "DocumentReference.content")],
                             "DocumentReference.content.attachment", setting)
    context = node.get("context") or {}
    stays = each(context.get("encounter"), "DocumentReference.context.encounter")
    clock, path = setting.clock, "DocumentReference.context.period.start"
    known = node.get("date")
    start = clock.moment((context.get("period") or {}).get("start"), path) or clock.moment(
        known, "DocumentReference.date"
    )
    title, described = _title(node, "type", setting)
    parts = (words(node.get("description"), "DocumentReference.description"), described, *texts)
    text = "\n\n".join(part for part in parts if part)
    here = Document(
        key(node), setting.patient(node), setting.stay({**node, "encounter": stays[0]}) if stays else None,
        _kind(node).value, title, start, (), text or None, _standing(node),
        clock.micros(known, "DocumentReference.date"),
        confidential(node) or bool(codes_in(node.get("securityLabel")) & {"R", "V"}), spoken(node), tuple(media),
    )
    return [here, *_replaced(node, here, setting)]


def _standing(node: Node) -> DocumentStatus:
    if "entered-in-error" in (node.get("status"), node.get("docStatus")):
        return DocumentStatus.CANCELLED
    return document_status(node.get("docStatus"))


def _title(node: Node, field: str, setting: Setting) -> tuple[str | None, str | None]:
    """The label of the type's code; words alone go into the text."""
    code, told = setting.lexicon.concept(node.get(field), "other", f"{node['resourceType']}.{field}", spoken(node))
    return (code.label or None if code else None), told


def _kind(node: Node) -> DocumentKind:
    concepts = [node["type"]] if node.get("type") else []
    for code in sorted(codes_in(concepts + (node.get("category") or []))):
        if code in _BY_TYPE:
            return _BY_TYPE[code]
    return DocumentKind.OTHER


def _replaced(node: Node, here: Document, setting: Setting) -> list[Document]:
    """A document that another replaces is cancelled by it, whichever of the two comes first."""
    found, path = [], f"{node['resourceType']}.relatesTo"
    for link in each(node.get("relatesTo"), path):
        if link.get("code") != "replaces" or here.status is DocumentStatus.CANCELLED:
            continue
        number = setting.shelf.number(link.get("target") or link.get("targetReference"), path + ".target")
        if number is not None and number[0] == SYSTEM and not number[1].startswith(("#", "urn:")):
            found.append(here._replace(
                key=number[1], stay=None, title=None, start=None, facts=(), text=None, media=(),
                status=DocumentStatus.CANCELLED, known_at=None,
            ))
    return found


def replaces(node: Node) -> bool:
    """Whether the resource replaces another: it must then come after it."""
    return any(link.get("code") == "replaces" for link in node.get("relatesTo") or ())


def _contents(attachments: list[Any], path: str, setting: Setting) -> tuple[list[str], list[dict[str, Any]]]:
    """Texts of attachments, and where the others can be found."""
    texts: dict[str, None] = {}
    media: list[dict[str, Any]] = []
    for one in attachments:
        if not one:
            continue
        text = _attached(one, path, setting)
        if text:
            texts[text] = None
        url = words(one.get("url"), path + ".url")
        if not text and url:
            kind = words(one.get("contentType"), path + ".contentType")
            media.append({"modality": kind, "uri": url, "checksum": words(one.get("hash"), path + ".hash")})
    return list(texts), media


def _attached(one: Node, path: str, setting: Setting) -> str | None:
    """The text of an attachment or of the Binary of this file that it points to."""
    kind, data = words(one.get("contentType"), path + ".contentType"), words(one.get("data"), path + ".data")
    url = words(one.get("url"), path + ".url")
    if data is None and url:
        binary = setting.shelf.node(url)
        if binary is not None and binary.get("resourceType") == "Binary":
            data = words(binary.get("data"), "Binary.data")
            kind = kind or words(binary.get("contentType"), "Binary.contentType")
    if data is None or kind is None:
        return None
    if not kind.lower().startswith(_TEXTS):
        return _document(_bytes(data, path), kind)
    return plain(_decoded(data, kind, path), html="html" in kind.lower()) or None


def _document(data: bytes, kind: str) -> str | None:
    """The text of a PDF, a word processor's document or a CDA document; None when it cannot be read."""
    try:
        if "xml" in kind.lower() and "officedocument" not in kind.lower():
            return cda.open_content(data, cda.Setting()).text
        return extraction.extract(data, kind).text
    except (cda.Refused, extraction.Unreadable):
        return None


def _bytes(data: str, path: str) -> bytes:
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable(path + ".data", "encoding", "The attachment is not valid base64.") from None


def _decoded(data: str, kind: str, path: str) -> str:
    """Base64 to text: the charset told, else UTF-8, else Windows' Latin."""
    raw = _bytes(data, path)
    told = kind.lower().partition("charset=")[2].split(";")[0].strip(" \"'")
    for charset in (told, "utf-8", "cp1252"):
        try:
            return raw.decode(charset or "utf-8")
        except (UnicodeDecodeError, LookupError):
            continue
    return raw.decode("latin-1")


def _division(value: Any, path: str) -> str | None:
    """The text of a Narrative."""
    div = words(value.get("div"), path + ".div") if value else None
    return plain(div, html=True) or None if div else None


def report(node: Node, setting: Setting) -> Document:
    """A DiagnosticReport: the examination and its conclusions as facts, its forms as text."""
    code, rare = main_code(node, setting, "code", "procedure")
    start, end = period(node, setting, "effective")
    known = node.get("issued")
    if start is None:
        start = setting.clock.moment(known, "DiagnosticReport.issued")
    texts, media = _contents(each(node.get("presentedForm"), "DiagnosticReport.presentedForm"),
                             "DiagnosticReport.presentedForm", setting)
    concluded = words(node.get("conclusion"), "DiagnosticReport.conclusion")
    texts += [concluded] if concluded else []
    text = "\n\n".join(texts) or _division(node.get("text"), "DiagnosticReport.text")
    facts = (Fact(code, start, end=end, rare=rare), *_conclusions(node, setting, start))
    made = document(
        node, setting, _section(node), facts, known="issued", status=document_status(node.get("status")), text=text
    )
    return made._replace(media=tuple(media))


def _section(node: Node) -> DocumentKind:
    for code in sorted(codes_in(node.get("category"))):
        if code in _BY_SECTION:
            return _BY_SECTION[code]
    return next((_BY_TYPE[c] for c in sorted(codes_in([node.get("code") or {}])) if c in _BY_TYPE), DocumentKind.OTHER)


def _conclusions(node: Node, setting: Setting, start: Moment | None) -> list[Fact]:
    path, found = "DiagnosticReport.conclusionCode", []
    for one in each(node.get("conclusionCode"), path):
        code, told = setting.lexicon.concept(one, "diagnosis", path, spoken(node))
        local = setting.lexicon.local(path, "Conclusion", "diagnosis")
        if code or told:
            found.append(Fact(code or local, start, rare={"value_text": told} if told else {}, child=True))
    return found


def composition(node: Node, setting: Setting) -> list[Document]:
    """A Composition: its sections' narratives, one after another under their titles."""
    known = node.get("date")
    start = setting.clock.moment(known, "Composition.date")
    label, described = _title(node, "type", setting)
    parts = [words(node.get("title"), "Composition.title"), described, *_sections(node.get("section"), setting, 0)]
    text = "\n\n".join(p for p in parts if p) or _division(node.get("text"), "Composition.text")
    here = Document(
        key(node), setting.patient(node), setting.stay(node), _kind(node).value, label, start, (), text,
        document_status(node.get("status")), setting.clock.micros(known, "Composition.date"),
        confidential(node) or node.get("confidentiality") in ("R", "V"), spoken(node),
    )
    return [here, *_replaced(node, here, setting)]


def _sections(sections: Any, setting: Setting, depth: int) -> list[str]:
    """Titles and texts, subsections included."""
    if depth > 20:
        raise Unreadable("Composition.section", "malformed", "The sections are nested too deep.")
    found: list[str] = []
    for one in each(sections, "Composition.section"):
        heading = words(one.get("title"), "Composition.section.title")
        body = _division(one.get("text"), "Composition.section.text")
        found.append("\n".join(p for p in (heading, body) if p))
        found += _sections(one.get("section"), setting, depth + 1)
    return [f for f in found if f]

