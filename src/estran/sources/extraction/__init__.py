"""Text of the documents that people write: PDF, DOCX, ODT, RTF, HTML, plain text.

One shape for all formats. Lines and paragraphs are kept, the cells of a table row stand on one line
between tabs, columns are read one after another, pages are parted by a form feed. A running header
is given once, before the text, and a running footer once, after it; page numbers are left out.
Nothing here recognises characters in pictures: a scan is refused with a sentence that says so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module

from estran.sources import refusing

PAGE_BREAK = "\f"
LARGEST = 200 << 20  # bytes of one document
LONGEST = 20_000_000  # characters of its text

PDF, DOCX, ODT, RTF, HTML, TEXT = (
    "application/pdf", "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.oasis.opendocument.text", "application/rtf", "text/html", "text/plain",
)  # fmt: skip
ENDINGS = {
    ".pdf": PDF, ".docx": DOCX, ".docm": DOCX, ".odt": ODT, ".fodt": ODT, ".rtf": RTF, ".html": HTML, ".htm": HTML,
    ".xhtml": HTML, ".txt": TEXT,
}  # fmt: skip
_MODULES = {PDF: "pdf", DOCX: "docx", ODT: "odt", RTF: "rtf", HTML: "html", TEXT: "plain"}
_OTHER_NAMES = {"text/rtf": RTF, "application/xhtml+xml": HTML, "application/x-pdf": PDF, "text/markdown": TEXT}
_watching: ContextVar[dict[bytes, None] | None] = ContextVar("watching", default=None)
_LEGACY = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # OLE2: Word before 2007, or a .docx locked by a password
_PACKAGE = "EncryptedPackage".encode("utf-16-le")


@dataclass(frozen=True)
class Extracted:
    """The text of a document and what its author's program said about it.

    `text` holds header and footer once; `warnings` are sentences without any content of the
    document; `modified` is naive (the site's clock) when the document names no zone.
    """

    text: str
    pages: int = 1
    warnings: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    footer: tuple[str, ...] = ()
    title: str = ""
    modified: dt.datetime | None = None


class Unreadable(refusing.Unread):
    """Why no text can be had: a code of Refusal and one sentence, without any content."""


@contextmanager
def watched() -> Iterator[dict[bytes, None]]:
    """The PDFs that readers come upon in the block, in order, each once: how an original is found again."""
    seen: dict[bytes, None] = {}
    before = _watching.set(seen)
    try:
        yield seen
    finally:
        _watching.reset(before)


def media_type_of(data: bytes, told: str = "") -> str:
    """What `data` is: by its first bytes, else as `told` (a media type). Raises Unreadable."""
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(_LEGACY):
        raise _legacy(data)
    if b"%PDF-" in data[:1024]:
        if (seen := _watching.get()) is not None:
            seen[data] = None
        return PDF
    if head.startswith(b"{\\rtf"):
        return RTF
    if head.startswith(b"PK\x03\x04"):
        return ODT if b"META-INF/manifest.xml" in data and b"word/document.xml" not in data else DOCX
    bare = told.lower().partition(";")[0].strip()
    bare = _OTHER_NAMES.get(bare, bare)
    if head[:14].lower().startswith((b"<!doctype html", b"<html")):
        return HTML
    if bare not in _MODULES or bare in (PDF, DOCX, RTF):
        if bare in _MODULES:
            raise Unreadable("malformed", "The document is not of the format that it is said to be.")
        raise Unreadable("unknown-type", "The document is of no format that can be read: PDF, DOCX, ODT, RTF, HTML, text.")
    return bare


def _legacy(data: bytes) -> Unreadable:
    if _PACKAGE in data:
        return Unreadable("malformed", "The document is locked by a password.")
    return Unreadable(
        "unknown-type", "The document is in the Word format of before 2007: save it as DOCX, ODT or PDF."
    )


def extract(data: bytes, media_type: str = "") -> Extracted:
    """The text of `data`; its first bytes decide over `media_type`. Raises Unreadable, nothing else."""
    if not data.strip(b"\0 \t\r\n"):
        raise Unreadable("missing", "The document is empty.")
    if len(data) > LARGEST:
        raise Unreadable("malformed", "The document is larger than 200 MB.")
    kind = media_type_of(data, media_type)
    module = import_module(f"{__name__}.{_MODULES[kind]}")
    found: Extracted = module.extract(data, media_type)
    return found


def finished(text: str, pages: int = 1, header: tuple[str, ...] = (), footer: tuple[str, ...] = (), **more: object) -> Extracted:
    """Put header, body and footer together. Raises Unreadable when nothing is there to read, or too much."""
    whole = "\n".join(part for part in ("\n".join(header), text.strip("\n"), "\n".join(footer)) if part)
    whole = whole.replace("\0", "").strip("\n ")
    if not whole.strip():
        raise Unreadable("missing", "The document holds no text.")
    if len(whole) > LONGEST:
        raise Unreadable("malformed", "The text of the document is longer than 20 million characters.")
    return Extracted(whole, pages, header=header, footer=footer, **more)  # type: ignore[arg-type]
