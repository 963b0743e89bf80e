"""CDISC ODM-XML: 1.3.2 and the versions before it of the same shape, and the clinical data of 2.0.

One row per ItemGroupData, in a table per item group; a row's key is made of its study event, form and item group with
their repeat keys. The file is read as a stream: no document type, no entity, no tree; what is held is one row and some
definitions. Source: CDISC, Specification for the Operational Data Model, 1.3.2 (2013) and 2.0 (2023).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from estran.model.errors import InputRefused
from estran.sources.study.sheet import SEPARATOR, Item, Kind, Rows, Sheet, Wrong, plain_name

_SPACE = "http://www.cdisc.org/ns/odm/v"
_ROWS, _CHUNK = 5_000, 1 << 16
_DEEPEST, _LONGEST_TOKEN, _LONGEST_VALUE = 64, 8 << 20, 4_000
_MOST_ITEMS, _MOST_CODES, _MOST_CELLS = 20_000, 200_000, 5_000
_KINDS = {
    "integer": Kind.NUMBER, "float": Kind.NUMBER, "double": Kind.NUMBER, "decimal": Kind.NUMBER, "date": Kind.DATE,
    "datetime": Kind.DATE, "boolean": Kind.FLAG,
}  # fmt: skip
_LEVELS = {  # each level of the clinical data: what names it and its repeat
    "StudyEventData": ("StudyEventOID", "StudyEventRepeatKey"), "FormData": ("FormOID", "FormRepeatKey"),
    "ItemGroupData": ("ItemGroupOID", "ItemGroupRepeatKey"),
}  # fmt: skip
Attributes = Mapping[str, str]


@dataclass
class _Level:
    """An open level: its part of the key and what is done to it. `cells` is None but for an item group."""

    key: str
    transaction: str
    line: int
    table: str = ""
    cells: dict[str, str | None] | None = None


@dataclass
class _Definition:
    """An ItemDef while it is read."""

    name: str
    kind: Kind
    label: str = ""
    codelist: str = ""
    low: float | None = None
    high: float | None = None


@dataclass
class _Dictionary:
    """ItemDef and CodeList elements."""

    items: dict[str, _Definition] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    held: int = 0

    def found(self) -> dict[str, Item]:
        """The variables by OID in lower case."""
        made = {}
        for oid, one in self.items.items():
            codes = tuple(self.codes.get(one.codelist, {}).items())
            made[oid.lower()] = Item(
                oid.lower(), Kind.CODE if codes else one.kind, one.label or one.name, codes, one.low, one.high
            )
        return made


class OdmReader:
    """The clinical data of an ODM file."""

    def sheets(self, path: Path) -> Iterator[Sheet]:
        handler = _Handler()
        for _ in _fed(path, handler):
            yield from handler.full()
        handler.end()
        yield from handler.full(everything=True)


def read_items(path: Path) -> dict[str, Item]:
    """The definitions of a file, up to its first clinical data; InputRefused when it is not ODM."""
    handler = _Handler(definitions_only=True)
    for _ in _fed(path, handler):
        if handler.begun:
            break
    return handler.dictionary.found()


def _fed(path: Path, handler: _Handler) -> Iterator[None]:
    """Feed the file to the handler piece by piece; InputRefused when it is not well formed or does not end."""
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartDoctypeDeclHandler = _no_types
    parser.StartElementHandler = lambda name, given: handler.start(name, given, parser.CurrentLineNumber)
    parser.EndElementHandler = handler.finish
    parser.CharacterDataHandler = handler.text
    fed = 0
    try:
        with path.open("rb") as stream:
            while piece := stream.read(_CHUNK):
                fed += len(piece)
                parser.Parse(piece, False)
                if fed - max(parser.CurrentByteIndex, 0) > _LONGEST_TOKEN:
                    raise InputRefused("An element of the ODM file is longer than 8 MB.")
                yield
            parser.Parse(b"", True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        where = f"line {error.lineno}" if isinstance(error, expat.ExpatError) else ""
        raise InputRefused("The ODM file is not well-formed XML.", where=where) from None
    yield


def _no_types(*_: object) -> None:
    raise InputRefused("The ODM file declares a document type: it is not read.", hint="export it without a DOCTYPE")


class _Handler:
    """What an element does. Levels are a stack; what is in another name space is left out with all it holds."""

    def __init__(self, *, definitions_only: bool = False) -> None:
        self.dictionary = _Dictionary()
        self.begun = False  # clinical data were met
        self._only = definitions_only
        self._path: list[str] = []
        self._skipping = 0
        self._transactional = False
        self._item: str = ""  # of the definition or value being read
        self._code: tuple[str, str] = ("", "")
        self._check = ""
        self._said: list[str] | None = None
        self._subject = ""
        self._levels: list[_Level] = []
        self._rows: dict[str, Rows] = {}
        self._wrong: dict[str, list[Wrong]] = {}

    # Events

    def start(self, tag: str, given: Attributes, line: int) -> None:
        space, _, name = tag.rpartition("}")
        if self._skipping or not space.startswith(_SPACE):
            if not self._path:
                raise InputRefused("The file is not CDISC ODM.", hint="its first element is ODM, of cdisc.org")
            self._skipping += 1
            return
        if not self._path and name != "ODM":
            raise InputRefused("The file is not CDISC ODM.", hint="its first element is ODM, of cdisc.org")
        if len(self._path) >= _DEEPEST:
            raise InputRefused("The elements of the ODM file are nested too deeply.")
        self._path.append(name)
        self._begin(name, given, line)

    def text(self, said: str) -> None:
        if self._said is not None and not self._skipping and sum(map(len, self._said)) <= _LONGEST_VALUE:
            self._said.append(said)

    def finish(self, _tag: str) -> None:
        if self._skipping:
            self._skipping -= 1
            return
        name = self._path.pop()
        said = "".join(self._said).strip() if self._said is not None else None
        if name in _LEVELS and self._levels:
            self._close()
        elif said is not None:
            self._say(name, said)

    def end(self) -> None:
        """The file has been read."""
        if not self.begun:
            raise InputRefused("The ODM file holds no clinical data.")

    def full(self, *, everything: bool = False) -> Iterator[Sheet]:
        """Sheets that have come together."""
        names = [name for name in dict.fromkeys((*self._rows, *self._wrong)) if everything or self._size(name) >= _ROWS]
        for name in names:
            yield self._rows.pop(name, Rows(name)).sheet(tuple(self._wrong.pop(name, ())))

    def _size(self, name: str) -> int:
        rows = self._rows.get(name)
        return (len(rows.lines) if rows else 0) + len(self._wrong.get(name, ()))

    # Definitions

    def _begin(self, name: str, given: Attributes, line: int) -> None:
        if name == "ODM":
            self._transactional = given.get("FileType") == "Transactional"
        elif name == "ClinicalData":
            self.begun = True
        elif not self.begun:
            self._define(name, given)
        elif not self._only and "ClinicalData" in self._path:
            self._state(name, given, line)

    def _define(self, name: str, given: Attributes) -> None:
        held = self.dictionary
        oid = given.get("OID", "")[:200]
        if name == "ItemDef":
            self._item = oid
            held.items[oid] = _Definition(
                given.get("Name", "")[:200], _KINDS.get(given.get("DataType", "").lower(), Kind.WORDS)
            )
        elif name == "CodeListRef" and self._item in held.items:
            held.items[self._item].codelist = given.get("CodeListOID", "")
        elif name == "CodeList":
            self._code = (oid, "")
        elif name in ("CodeListItem", "EnumeratedItem"):
            self._code = (self._code[0], given.get("CodedValue", "")[:200])
            held.codes.setdefault(self._code[0], {})[self._code[1]] = ""
            held.held += 1
        elif name == "RangeCheck":
            self._check = given.get("Comparator", "") if given.get("SoftHard", "Hard") == "Hard" else ""
        self._said = [] if name in ("TranslatedText", "CheckValue") else self._said
        if len(held.items) > _MOST_ITEMS or held.held > _MOST_CODES:
            raise InputRefused("The ODM file defines too many items or codes.")

    def _say(self, name: str, said: str) -> None:
        """The text of an element that has one."""
        self._said = None
        if self.begun:
            self._value(said)
        elif name == "CheckValue" and self._item in self.dictionary.items:
            self._limit(self.dictionary.items[self._item], said)
        elif name == "TranslatedText" and "CodeList" in self._path:
            held = self.dictionary.codes.get(self._code[0], {})
            if self._code[1] in held:
                held[self._code[1]] = held[self._code[1]] or said[:200]
        elif name == "TranslatedText" and "ItemDef" in self._path and "RangeCheck" not in self._path:
            one = self.dictionary.items[self._item]
            one.label = one.label or said[:200]

    def _limit(self, item: _Definition, said: str) -> None:
        try:
            limit = float(said)
        except ValueError:
            return
        if self._check == "GE":
            item.low = limit
        elif self._check == "LE":
            item.high = limit

    # Clinical data

    def _state(self, name: str, given: Attributes, line: int) -> None:
        if name == "SubjectData":
            self._subject = given.get("SubjectKey", "").strip()[:200]
            self._levels = [_Level("", given.get("TransactionType", ""), line)]
            self._mind_removal(given, line)
        elif name in _LEVELS and self._levels:
            self._open(name, given, line)
        elif name.startswith("ItemData") and self._levels and self._levels[-1].cells is not None:
            self._item = given.get("ItemOID", "").lower()[:200]
            if given.get("IsNull") == "Yes":
                self._cell(self._item, None)
            elif "Value" in given:
                self._cell(self._item, given["Value"])
            else:
                self._said = [] if name != "ItemData" else None
        elif name == "Value" and self._path[-2:-1] == ["ItemData"]:
            self._said = []

    def _open(self, name: str, given: Attributes, line: int) -> None:
        oid, repeat = (given.get(one, "").strip()[:200] for one in _LEVELS[name])
        key = SEPARATOR.join(part for part in (self._levels[-1].key, f"{oid}#{repeat}" if repeat else oid) if part)
        level = _Level(key, given.get("TransactionType", "") or self._levels[-1].transaction, line)
        if name == "ItemGroupData":
            level.table, level.cells = plain_name(oid), {}
        else:
            self._mind_removal(given, line)
        self._levels.append(level)

    def _mind_removal(self, given: Attributes, line: int) -> None:
        """A subject, visit or form that is taken back as a whole says nothing of its rows: it is set aside."""
        if given.get("TransactionType") == "Remove":
            self._wrong.setdefault("", []).append(Wrong(line, "TransactionType", "whole-removal"))

    def _cell(self, oid: str, value: str | None) -> None:
        cells = self._levels[-1].cells if self._levels else None
        if cells is None or not oid:
            return
        before = cells.get(oid)
        cells[oid] = value if before is None or value is None else f"{before};{value}"  # 2.0 states several values so
        if len(cells) > _MOST_CELLS:
            raise InputRefused("A row of the ODM file has too many items.")

    def _value(self, said: str) -> None:
        self._cell(self._item, said)

    def _close(self) -> None:
        level = self._levels.pop()
        removes = level.transaction == "Remove"
        if level.cells is None:
            return
        if not level.cells and not removes:
            return
        if not self._subject:
            self._wrong.setdefault(level.table, []).append(Wrong(level.line, "SubjectKey", "no-subject"))
        elif self._transactional and level.transaction not in ("Insert", "Remove"):
            self._wrong.setdefault(level.table, []).append(Wrong(level.line, "TransactionType", "partial"))
        elif any(value is not None and len(value) > _LONGEST_VALUE for value in level.cells.values()):
            self._wrong.setdefault(level.table, []).append(Wrong(level.line, "", "too-long"))
        else:
            rows = self._rows.setdefault(level.table, Rows(level.table))
            rows.lines.append(level.line)
            rows.subjects.append(self._subject)
            rows.keys.append(level.key)
            rows.cells.append({} if removes else level.cells)
            rows.removed.append(removes)
