"""RTF 1.9, as word processors and hospital information systems write it."""

from __future__ import annotations

import codecs
import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from estran.sources.extraction import Extracted, Unreadable, finished
from estran.sources.extraction.lines import Lines, margin

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?[0-9]{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z'])|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\"
)
_MOST_TOKENS = 10_000_000
_DEEPEST = 1_000
_SILENT = frozenset((
    "fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "objdata", "generator", "fldinst", "sp", "nonshppict",
    "listtable", "listoverridetable", "rsidtbl", "filetbl", "revtbl", "xmlnstbl", "themedata", "colorschememapping",
    "datastore", "latentstyles", "annotation", "atnid", "atnauthor", "xe", "tc", "bkmkstart", "bkmkend", "private",
    "pnseclvl", "template", "ftnsep", "ftnsepc", "ftncn", "aftnsep", "aftnsepc", "aftncn", "background",
))  # fmt: skip
_SPOKEN = frozenset(("shptxt", "shpinst"))  # text boxes, though their group may be skipped
_MARGINS = {
    **dict.fromkeys(("header", "headerl", "headerr", "headerf"), "header"),
    **dict.fromkeys(("footer", "footerl", "footerr", "footerf"), "footer"),
}
_SIGNS = {
    "tab": "\t", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
    "bullet": "•", "emspace": " ", "enspace": " ", "nestcell": " ", "nestrow": " ",
}  # fmt: skip
_SYMBOLS = {b"~": " ", b"_": "-", b"-": "", b"\\": "\\", b"{": "{", b"}": "}", b"\t": "\t"}
_CHARSETS = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 134: "cp936", 136: "cp950", 161: "cp1253", 162: "cp1254", 163: "cp1258",
    177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip
_STAMP = re.compile(rb"\{\\revtim((?:\\(?:yr|mo|dy|hr|min|sec)[0-9]{1,4} ?)+)\}")
_STAMP_PART = re.compile(rb"\\(yr|mo|dy|hr|min|sec)([0-9]{1,4})")


def extract(data: bytes, media_type: str = "") -> Extracted:
    """Body, notes, headers and footers; hidden and deleted text is left out."""
    reading = _Reading()
    reading.run(data)
    margins = {kind: margin(lines.text()) for kind, lines in reading.margins.items()}
    body = reading.body
    return finished(body.text(), body.pages, margins["header"], margins["footer"], modified=_modified(data))


def _modified(data: bytes) -> dt.datetime | None:
    stamp = _STAMP.search(data[:1 << 20])
    parts = {name: int(value) for name, value in _STAMP_PART.findall(stamp.group(1))} if stamp else {}
    try:
        return dt.datetime(
            parts[b"yr"], parts[b"mo"], parts[b"dy"], parts.get(b"hr", 0), parts.get(b"min", 0), parts.get(b"sec", 0)
        )
    except (KeyError, ValueError):
        return None


@dataclass(frozen=True)
class _Group:
    """What a group inherits and gives back at its end."""

    silent: bool = False
    hidden: bool = False
    codepage: str = "cp1252"
    skip: int = 1  # characters that stand in for a \\u, to be left out
    lines: Lines | None = None


class _Reading:
    """One pass over the tokens of a document."""

    def __init__(self) -> None:
        self.body = Lines()
        self.margins = {"header": Lines(), "footer": Lines()}
        self._group = _Group(lines=self.body)
        self._stack: list[_Group] = []
        self._fonts: dict[int, str] = {}
        self._font = 0
        self._default = "cp1252"
        self._in_fonts = 0  # depth of the font table, 0 outside
        self._left_out = 0
        self._starred = False
        self._fresh = False  # the next control word names the destination of the group
        self._bytes = bytearray()
        self._half = 0
        self._in_row = False

    def run(self, data: bytes) -> None:
        at, tokens, end = 0, 0, len(data)
        while at < end:
            token = _TOKEN.match(data, at)
            if token is None:
                raise Unreadable("malformed", "The RTF cannot be read.")
            at = token.end()
            tokens += 1
            if tokens > _MOST_TOKENS:
                raise Unreadable("malformed", "The RTF is too long to be read.")
            if token.group(1) == b"bin":
                at += max(int(token.group(2) or 0), 0)
            self._take(token)
        self._flush()

    def _take(self, token: re.Match[bytes]) -> None:
        word, number, hexa, symbol, brace, text = token.groups()
        if hexa is not None:
            self._byte(bytes.fromhex(hexa.decode()))
        elif text is not None:
            self._byte(text)
        elif word is not None:
            self._word(word.decode(), int(number) if number else None)
        elif brace is not None:
            self._brace(brace)
        elif symbol is not None:
            self._symbol(symbol)

    def _brace(self, brace: bytes) -> None:
        self._flush()
        self._left_out = 0
        if brace == b"{":
            if len(self._stack) >= _DEEPEST:
                raise Unreadable("malformed", "The RTF is nested too deep.")
            self._stack.append(self._group)
            self._fresh, self._starred = True, False
        elif self._stack:
            self._group = self._stack.pop()
            if self._in_fonts > len(self._stack):
                self._in_fonts = 0
            self._fresh = False

    def _symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._starred = True
            return
        self._flush()
        if symbol in (b"\n", b"\r"):
            self._line()
        else:
            self._say(_SYMBOLS.get(symbol, ""))

    def _word(self, word: str, number: int | None) -> None:
        fresh, starred = self._fresh, self._starred
        self._fresh = self._starred = False
        if word == "u" and number is not None:
            self._unicode(number)
            return
        self._flush()
        if fresh and self._destination(word, starred):
            return
        action = _ACTIONS.get(word)
        if action is not None:
            action(self, number)
        elif word in _SIGNS:
            self._say(_SIGNS[word])

    def _destination(self, word: str, starred: bool) -> bool:
        if word == "fonttbl":
            self._in_fonts = len(self._stack)
        if word in _MARGINS:
            self._group = replace(self._group, lines=self.margins[_MARGINS[word]])
            self._group.lines.end_line() if self._group.lines else None
        elif word in _SPOKEN:
            self._group = replace(self._group, silent=False)
        elif word in _SILENT or starred:
            self._group = replace(self._group, silent=True)
        else:
            return False
        return True

    def _byte(self, data: bytes) -> None:
        self._fresh = False
        if self._left_out:
            skipped = min(self._left_out, len(data))
            self._left_out -= skipped
            data = data[skipped:]
        if not self._group.silent and not self._group.hidden:
            self._bytes += data

    def _unicode(self, number: int) -> None:
        self._flush(keep_half=True)
        code = number % 65_536
        if 0xD800 <= code < 0xDC00:
            self._half = code
        else:
            pair = 0xDC00 <= code < 0xE000
            high, self._half = self._half, 0
            if pair and high:
                code = 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)
            if not pair or high:
                self._say(chr(code))
        self._left_out = self._group.skip

    def _flush(self, keep_half: bool = False) -> None:
        if not keep_half:
            self._half = 0
        if self._bytes:
            self._say(bytes(self._bytes).decode(self._group.codepage, "replace"))
            self._bytes.clear()

    def _say(self, text: str) -> None:
        group = self._group
        if text and not group.silent and not group.hidden and group.lines is not None:
            group.lines.add(text)

    # actions ---------------------------------------------------------------------------------------

    def _line(self, number: int | None = None) -> None:
        if not self._group.silent and self._group.lines is not None:
            self._group.lines.end_line()

    def _page(self, number: int | None) -> None:
        if not self._group.silent and self._group.lines is self.body:
            self.body.page()

    def _row(self, number: int | None) -> None:
        if not self._in_row and self._group.lines is self.body and not self._group.silent:
            self._in_row = True
            self.body.open_row()

    def _cell(self, number: int | None) -> None:
        self._row(None)
        if self._in_row and self._group.lines is self.body:
            self.body.close_cell()

    def _end_row(self, number: int | None) -> None:
        if self._in_row and self._group.lines is self.body:
            self.body.close_row()
            self._in_row = False

    def _plain(self, number: int | None) -> None:
        self._group = replace(self._group, hidden=False)

    def _hide(self, number: int | None) -> None:
        self._group = replace(self._group, hidden=number != 0)

    def _skip(self, number: int | None) -> None:
        self._group = replace(self._group, skip=min(max(number or 0, 0), 16))

    def _codepage(self, number: int | None) -> None:
        try:
            self._default = codecs.lookup(f"cp{number}").name
        except LookupError:
            return
        self._group = replace(self._group, codepage=self._default)

    def _mac(self, number: int | None) -> None:
        self._default = "mac_roman"
        self._group = replace(self._group, codepage="mac_roman")

    def _use_font(self, number: int | None) -> None:
        self._font = number or 0
        if not self._in_fonts:
            self._group = replace(self._group, codepage=self._fonts.get(self._font, self._default))

    def _charset(self, number: int | None) -> None:
        if self._in_fonts and number in _CHARSETS and len(self._fonts) < 10_000:
            self._fonts[self._font] = _CHARSETS[number]

    def _note(self, number: int | None) -> None:
        self._say(" ")


_ACTIONS: dict[str, Callable[[_Reading, int | None], None]] = {
    "par": _Reading._line, "line": _Reading._line, "sect": _Reading._page, "page": _Reading._page,
    "trowd": _Reading._row, "intbl": _Reading._row, "cell": _Reading._cell, "row": _Reading._end_row,
    "v": _Reading._hide, "deleted": _Reading._hide, "plain": _Reading._plain, "uc": _Reading._skip,
    "ansicpg": _Reading._codepage, "mac": _Reading._mac, "f": _Reading._use_font, "fcharset": _Reading._charset,
    "footnote": _Reading._note,
}  # fmt: skip
