"""Plain text."""

from __future__ import annotations

import codecs

from estran.sources.extraction import LONGEST, PAGE_BREAK, Extracted, Unreadable, finished

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def extract(data: bytes, media_type: str = "") -> Extracted:
    """The text as it is; `media_type` may carry `charset=`."""
    text = decoded(data, media_type.lower().partition("charset=")[2].split(";")[0].strip(" \"'"))
    if "\0" in text:
        raise Unreadable("encoding", "The text holds null bytes.")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return finished(text, text.strip(PAGE_BREAK).count(PAGE_BREAK) + 1)


def decoded(data: bytes, told: str = "") -> str:
    """Bytes to text: by the byte order mark, the charset told, UTF-8, else Windows' Latin."""
    if len(data) > 4 * LONGEST:
        raise Unreadable("malformed", "The text of the document is longer than 20 million characters.")
    charsets = [charset for mark, charset in _MARKS if data.startswith(mark)]
    for charset in (*charsets, told, "utf-8"):
        try:
            if charset and codecs.lookup(charset)._is_text_encoding:
                return data.decode(charset)
        except (UnicodeError, LookupError, ValueError):
            continue
    return data.decode("cp1252", "replace")
