"""One message: its separators, its characters, its segments. Nothing is split before it is asked for."""

from __future__ import annotations

import re
from codecs import lookup
from collections.abc import Iterator
from functools import lru_cache

from estran.sources.hl7v2.refused import Refused

Segment = list[str]  # fields by their HL7 number; 0 is the name

_STANDARD = ("|", "^", "~", "\\", "&")
_LETTERS = ("\\F\\", "\\S\\", "\\R\\", "\\E\\", "\\T\\")  # how each is written as data
_PRIVATE = 0xE000  # characters that no sender uses
_CHARSETS = {
    "ASCII": "ascii", "8859/1": "cp1252", "8859/2": "iso8859-2", "8859/3": "iso8859-3", "8859/4": "iso8859-4",
    "8859/5": "iso8859-5", "8859/6": "iso8859-6", "8859/7": "iso8859-7", "8859/8": "iso8859-8",
    "8859/9": "iso8859-9", "8859/15": "iso8859-15", "UNICODE": "utf-8", "UNICODE UTF-8": "utf-8", "UTF-8": "utf-8",
    "UTF8": "utf-8", "GB 18030-2000": "gb18030", "KS X 1001": "euc-kr", "BIG-5": "big5",
}  # fmt: skip
_FORMATTING = re.compile(r"\.(?:in|ti|fi|nf|ce|sk)[+-]?\d*|C[0-9A-F]{4}|M[0-9A-F]{4,6}", re.IGNORECASE)
_ISO_NAME = re.compile(r"(?:ISO[ -]?)?8859[/-](\d+)")
_ESCAPE = re.compile(r"\\([^\\]*)\\")
_ESCAPED = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", "H": "", "N": "", ".br": "\n", ".BR": "\n"}
_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_LOST_BREAK = re.compile(r"\n(?=[A-Z][A-Z0-9]{2}(?:\||\n|$))")
_KNOWN = frozenset(
    f"{name}|" for name in ("MSH", "EVN", "PID", "PD1", "NK1", "PV1", "PV2", "ORC", "OBR", "OBX", "NTE", "SPM", "ZBE", "DG1")
)
_RESULT = "OBX|"
_BATCH = frozenset(("FHS", "BHS", "BTS", "FTS"))


class Message:
    """Decoded segments with the standard separators, whatever the sender's were.

    From `results_from` on every line is an OBX; most messages of results end so.
    """

    __slots__ = ("charset", "lines", "msh", "results_from")

    def __init__(self, data: bytes, *, utf8: bool = False) -> None:
        """Raises Refused when the bytes are not a message."""
        self.charset = "utf-8"
        text = data.decode("utf-8") if utf8 else self._decode(data)
        self.lines, self.results_from = _lines(_standard(text))
        if not self.lines or not self.lines[0].startswith("MSH|"):
            raise Refused("MSH", "malformed", "There is no MSH segment where a message should begin.")
        msh = self.lines[0].split("|")
        msh.insert(1, "|")  # MSH-1 is the separator itself
        self.msh = msh

    def _decode(self, data: bytes) -> str:
        end = data.find(b"\r")
        head = data[:end] if end >= 0 else data
        if b"\n" in head:
            head = head[: head.find(b"\n")]
        fields = head.split(head[3:4], 18) if len(head) > 3 else []
        declared = fields[17] if len(fields) > 17 else b""
        if declared:
            self.charset = _charset(declared)
            return _declared(data, self.charset)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            self.charset = "cp1252"
            return _latin(data)

    def first(self, name: str) -> Segment | None:
        """The first segment called `name`, split into fields."""
        for line in self.lines:
            if line.startswith(name):
                return line.split("|")
        return None

    def all(self, name: str) -> list[Segment]:
        """Every segment called `name`."""
        return [line.split("|") for line in self.lines if line.startswith(name)]

    def header(self, number: int) -> str:
        """MSH-`number`, its first component unescaped."""
        return first(get(self.msh, number))


@lru_cache(maxsize=256)
def _charset(field: bytes) -> str:
    name = field.decode("ascii", "replace").partition("~")[0].partition("^")[0].strip().upper()
    if name in _CHARSETS:
        return _CHARSETS[name]
    numbered = _ISO_NAME.fullmatch(name)
    try:
        return lookup(f"iso8859-{numbered.group(1)}" if numbered else "").name
    except LookupError:
        raise Refused("MSH-18", "encoding", "MSH-18 names a character set that is not known.") from None


def _declared(data: bytes, charset: str) -> str:
    try:
        text = _latin(data) if charset == "cp1252" else data.decode(charset)
    except UnicodeDecodeError:
        raise Refused("MSH-18", "encoding", "The bytes are not in the character set that MSH-18 declares.") from None
    if charset not in ("utf-8", "ascii") and not data.isascii() and _is_utf8(data):
        raise Refused("MSH-18", "encoding", "MSH-18 declares another character set, but the bytes are UTF-8.")
    return text


def _latin(data: bytes) -> str:
    """ISO 8859-1, with Windows' characters where it has none: what senders mean by it."""
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _standard(text: str) -> str:
    """`text` with the standard separators; Refused when the declared ones make no sense."""
    if text.startswith("MSH|^~\\&|"):
        return text
    if len(text) < 8:
        raise Refused("MSH-2", "truncated", "The message stops inside its MSH segment.")
    separator = text[3]
    declared = re.split(r"[\r\n]", text[4:64], maxsplit=1)[0].partition(separator)[0]
    if declared == "^~\\\\&":  # the escape character doubled by a copy through a program's source
        return text
    used = (separator, *declared[:4])
    odd = any(c.isalnum() or c.isspace() or not c.isprintable() for c in used)
    if len(declared) not in (4, 5) or len(set(used)) != 5 or odd:
        raise Refused("MSH-2", "malformed", "MSH-1 and MSH-2 do not give five different separators.")
    if used == _STANDARD:
        return text
    return _translated(text, used)


def _translated(text: str, used: tuple[str, ...]) -> str:
    """`text` with the standard separators, those of the sender's own kept as data where it escaped them."""
    escapes = dict(zip(_STANDARD, _LETTERS, strict=True))
    marks = [chr(_PRIVATE + place) for place in range(len(used))]
    for mark, escape in zip(marks, _LETTERS, strict=True):
        text = text.replace(f"{used[3]}{escape[1]}{used[3]}", mark)
    table: dict[int, str] = {ord(c): escapes[c] for c in _STANDARD}
    table |= {ord(mine): standard for mine, standard in zip(used, _STANDARD, strict=True)}
    table |= {ord(mark): escapes.get(mine, mine) for mark, mine in zip(marks, used, strict=True)}
    return text.translate(table)


def _lines(text: str) -> tuple[list[str], int]:
    """Segments in order, batch lines left out, and `results_from`; Refused when a line is not a segment."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    if "\n" in text:
        text = text.replace("\r\n", "\r")
        text = _LOST_BREAK.sub("\r", text) if "\r" in text else text.replace("\n", "\r")
    lines = text.split("\r")
    names = [line[:4] for line in lines]
    if not _KNOWN.issuperset(names):
        lines = list(_checked(lines))
        return lines, len(lines)
    results = names.count(_RESULT)
    is_last = results and names.index(_RESULT) + results == len(names)
    return lines, len(names) - results if is_last else len(names)


def _checked(lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if line[3:4] != "|" or not _NAME.match(line):
            line = line.strip()
            if not line:
                continue
            _check(line, number)
        if line[:3] not in _BATCH:
            yield line


def _check(line: str, number: int) -> None:
    if line[3:4] == "|" and _NAME.match(line):
        return
    if len(line) == 3 and _NAME.match(line):
        return
    if len(line) < 3:
        raise Refused(f"segment {number}", "truncated", "The message stops inside the name of a segment.")
    raise Refused(f"segment {number}", "malformed", "A line does not begin with the name of a segment.")


def get(segment: Segment, number: int) -> str:
    """Field `number` as written, '' when it is absent or HL7's null."""
    value = segment[number] if number < len(segment) else ""
    return "" if value == '""' else value


def first(field: str) -> str:
    """First component of the first repetition, unescaped."""
    if "~" in field:
        field = field[: field.index("~")]
    if "^" in field:
        field = field[: field.index("^")]
    if "&" in field:
        field = field[: field.index("&")]
    return plain(field).strip()


def parts(field: str) -> list[str]:
    """Components of one repetition, as written."""
    return field.split("^")


def part(components: list[str], number: int) -> str:
    """Component `number` (from 1), its first subcomponent, unescaped."""
    value = components[number - 1] if number <= len(components) else ""
    if "&" in value:
        value = value[: value.index("&")]
    return "" if value == '""' else plain(value).strip()


def texts(repetition: str, size: int) -> list[str]:
    """Components of one repetition, unescaped, the first subcomponent of each; at least `size` of them."""
    if "&" in repetition or "\\" in repetition or '""' in repetition:
        components = repetition.split("^")
        found = [part(components, number) for number in range(1, len(components) + 1)]
    else:
        found = [component.strip() for component in repetition.split("^")]
    if len(found) < size:
        found += [""] * (size - len(found))
    return found


def plain(text: str) -> str:
    """`text` with HL7's escape sequences resolved; unknown ones are kept as written."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(_resolve, text)


def _resolve(found: re.Match[str]) -> str:
    inner, whole = found.group(1), found.group(0)
    if inner in _ESCAPED:
        return _ESCAPED[inner]
    if inner[:1] == "X":
        try:
            data = bytes.fromhex(inner[1:])
        except ValueError:
            return whole
        text = data.decode("utf-8") if _is_utf8(data) else _latin(data)
        return "".join(c for c in text.replace("\r\n", "\n").replace("\r", "\n") if c.isprintable() or c in "\n\t")
    if inner.startswith((".sp", ".SP")):
        return "\n"
    if _FORMATTING.fullmatch(inner):
        return ""
    return whole
