"""A PDF's pages as words with their boxes, by PDFium; only the child process comes here."""

from __future__ import annotations

import ctypes
import datetime as dt
import re
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from estran.sources.extraction import LONGEST, PAGE_BREAK, Unreadable
from estran.sources.extraction.layout import Page, Word, compose

_MOST_PAGES = 5_000
_SCAN = "The PDF holds images only: recognise its characters with an OCR program, then load the PDF that it makes."
_FONTS = "The fonts of the PDF do not say their letters: recognise its characters with an OCR program, then load it again."
_PDF_DATE = re.compile(r"D:(\d{4})(\d{2})(\d{2})(\d{2})?(\d{2})?(\d{2})?(?:([+\-])(\d{2})'?(\d{2})?|(Z))?")
_NO_PICTURE = 0.02  # a logo is no scanned page: share of the page that pictures cover


def read(data: bytes) -> dict[str, Any]:
    """What a PDF says. Raises Unreadable, PdfiumError."""
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pdfium.FPDF_ERR_PASSWORD or "password" in str(error).lower():
            raise Unreadable("malformed", "The document is locked by a password.") from None
        raise Unreadable("malformed", "The PDF is damaged: it cannot be read.") from None
    with document:
        if len(document) > _MOST_PAGES:
            raise Unreadable("malformed", "The PDF has more than 5,000 pages.")
        pages, scans, budget = [], [], LONGEST
        for number in range(len(document)):
            page, scan = _page(document, number)
            budget -= sum(len(word.text) for word in page.words)
            if budget < 0:
                raise Unreadable("malformed", "The text of the document is longer than 20 million characters.")
            pages.append(page)
            scans += [number + 1] if scan else []
        title = (document.get_metadata_value("Title") or "")[:250]
        modified = _moment(document.get_metadata_value("ModDate") or document.get_metadata_value("CreationDate") or "")
    return _answer(pages, scans, title, modified)


def _answer(pages: list[Page], scans: list[int], title: str, modified: str | None) -> dict[str, Any]:
    if not any(page.words for page in pages):
        raise Unreadable("missing", _SCAN if scans else "The document holds no text.")
    _check_letters(pages)
    found = compose(pages, frozenset(scans))
    warnings = [f"{len(scans)} of {len(pages)} pages hold images only."] if scans else []
    return {
        "text": f"\n{PAGE_BREAK}".join(found.pages), "pages": len(pages), "header": found.header,
        "footer": found.footer, "warnings": warnings, "title": title, "modified": modified,
    }  # fmt: skip


def _page(document: pypdfium2.PdfDocument, number: int) -> tuple[Page, bool]:
    """The words of a page, and whether it shows pictures and no text."""
    try:
        page = document[number]
    except pypdfium2.PdfiumError:  # one page may be damaged; PDF readers show the others
        return Page([], 0.0, 0.0), False
    try:
        width, height = page.get_size()
        text = page.get_textpage()
        try:
            words = _words(text.raw)
        finally:
            text.close()
        return Page(words, width, height), not words and _is_picture(page, width * height)
    finally:
        page.close()


def _is_picture(page: pypdfium2.PdfPage, area: float) -> bool:
    pictures = page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=5)
    covered = 0.0
    for picture in pictures:
        left, bottom, right, top = picture.get_bounds()
        covered += max(right - left, 0) * max(top - bottom, 0)
    return covered > _NO_PICTURE * area


def _words(page: Any) -> list[Word]:
    """Runs of characters without a blank; a hyphen that ends a line is kept as PDFium marks it."""
    codes = _codes(page, min(pdfium.FPDFText_CountChars(page), LONGEST))
    found, start = [], -1
    for at, code in enumerate([*codes, 32]):
        blank = (code <= 32 and code != 2) or code in (0xA0, 0xFEFF, 0x200B)
        if blank and start >= 0:
            found += _boxed(page, codes, start, at)
            start = -1
        elif not blank and start < 0:
            start = at
    return found


def _codes(page: Any, count: int) -> list[int]:
    """The characters by number: at once when each takes one place in the text, else one by one."""
    buffer = (ctypes.c_ushort * (count + 1))()
    if pdfium.FPDFText_GetText(page, 0, count, buffer) == count + 1:
        codes: list[int] = buffer[:count]
        if not any(0xD800 <= code < 0xE000 for code in codes):
            return codes
    return [pdfium.FPDFText_GetUnicode(page, at) for at in range(count)]


_RECT = pdfium.FS_RECTF


def _boxed(page: Any, codes: list[int], start: int, end: int) -> list[Word]:
    first, last = _RECT(), _RECT()
    if not pdfium.FPDFText_GetLooseCharBox(page, start, ctypes.byref(first)):
        return []
    if not pdfium.FPDFText_GetLooseCharBox(page, end - 1, ctypes.byref(last)):
        last = first
    if last.right < first.left or abs(last.bottom - first.bottom) > 2 * (first.top - first.bottom) + 1:
        if end - start > 1:  # a run that goes on elsewhere: one character after the other
            return [w for at in range(start, end) for w in _boxed(page, codes, at, at + 1)]
        return []
    text = "".join(map(_letter, codes[start:end]))
    bottom, top = min(first.bottom, last.bottom), max(first.top, last.top)
    return [Word(first.left, bottom, max(last.right, first.right), top, text)] if text else []


def _letter(code: int) -> str:
    if code in (2, 0xFFFE):
        return "\u00ad"
    return "" if 0xD800 <= code < 0xE000 or code > 0x10FFFF or code < 32 else chr(code)


def _check_letters(pages: list[Page]) -> None:
    """Fonts without a table of letters give private or undefined characters."""
    text = "".join(word.text for page in pages for word in page.words)
    strange = sum(c == "\ufffd" or "\ue000" <= c <= "\uf8ff" for c in text)
    if strange * 3 > len(text):
        raise Unreadable("encoding", _FONTS)


def _moment(text: str) -> str | None:
    """A PDF date (ISO 32000-1, 7.9.4) as ISO 8601."""
    found = _PDF_DATE.match(text)
    if not found:
        return None
    year, month, day, hour, minute, second, sign, hours, minutes, zulu = found.groups()
    try:
        when = dt.datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), min(int(second or 0), 59))
        if zulu or sign:
            shift = dt.timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
            when = when.replace(tzinfo=dt.timezone(shift))
    except ValueError:
        return None
    return when.isoformat()
