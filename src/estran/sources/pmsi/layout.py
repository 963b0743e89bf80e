"""Layouts: where the fields of a PMSI record lie, and what they mean, read from tables.

A table (TOML, in `layouts/`, or in a folder of the hospital's) describes one kind of record: the facts
that its fields state, and one layout per version of its format. A layout may say `like` another one and
only what differs, so that the format of the next year is a few lines of table (docs/reference/sources/pmsi.md).
A kind without layouts says what its records mean and waits for a hospital that knows their positions.
Positions count from 1, as in ATIH's manuals.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

from estran.model.errors import UsageError

TYPES = frozenset(("t", "d", "m", "w", "n", "n2", "n3", "n4"))
_KIND_OF = {"CIM10": "diagnosis", "CCAM": "procedure", "CSARR": "procedure"}
_LONGEST_LINE = 200_000


@dataclass(frozen=True)
class Field:
    """`start` counts from 0; `type` is t (text), d (JJMMAAAA), m (MMAAAA), w (week, SSAAAA), n (whole
    number) or n2, n3, n4 (a number with so many decimals, the point left out)."""

    name: str
    start: int
    length: int
    type: str = "t"

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def decimals(self) -> int:
        return int(self.type[1:] or 0) if self.type.startswith("n") else 0


@dataclass(frozen=True)
class Group:
    """A zone that repeats after the fixed part: as often as field `count` of the fixed part says (or of
    each item of group `parent`), or `times` when that is constant."""

    name: str
    width: int
    fields: Mapping[str, Field]
    count: str = ""
    parent: str = ""
    times: int = 0


@dataclass(frozen=True)
class Mark:
    """By which a line is known: `text` at `start`, or so many `digits`."""

    start: int
    text: bytes = b""
    digits: int = 0

    @property
    def length(self) -> int:
        return self.digits or len(self.text)


@dataclass(frozen=True)
class Layout:
    """One version of a format. `width` is that of the fixed part, `need` the end of what must be there,
    `longest` the longest line that can be meant."""

    kind: str
    version: str
    years: tuple[int, int]
    marks: tuple[tuple[Mark, ...], ...]
    width: int
    need: int
    longest: int
    fields: Mapping[str, Field]
    groups: tuple[Group, ...] = ()
    open: bool = False  # what follows the last zone is not read

    def group(self, name: str) -> Group | None:
        return next((g for g in self.groups if g.name == name), None)

    def find(self, path: str) -> tuple[Group | None, Field] | None:
        """The field that `path` names: `field`, or `group.field`; None when this version has none."""
        head, dot, tail = path.partition(".")
        if not dot:
            found = self.fields.get(head)
            return (None, found) if found else None
        group = self.group(head)
        inner = group.fields.get(tail) if group else None
        return (group, inner) if inner else None


@dataclass(frozen=True)
class FactSpec:
    """What a field states. Exactly one of `field` (a code), `number`, `coded` (a code that is the value
    of a variable) and `day` is given; `code` and `label` name the variable, `values` a list of codes that
    several variables share."""

    field: str = ""
    number: str = ""
    coded: str = ""
    day: str = ""
    vocabulary: str = ""
    code: str = ""
    label: str = ""
    kind: str = "other"
    role: str = ""
    unit: str = ""
    date: str = ""
    count: str = ""
    status: str = ""
    values: str = ""
    blank: str = ""
    digits: int = 0  # a code of digits has so many; zeros before them are filling
    attributes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    also_when: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        return self.field or self.number or self.coded or self.day


@dataclass(frozen=True)
class DocumentSpec:
    """A document that a record makes; `when` names the field that must not be blank for it."""

    title: str
    key: tuple[str, ...]
    start: str
    when: str = ""
    facts: tuple[FactSpec, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A kind of record; names of fields, empty when the kind has no such thing."""

    kind: str
    documents: tuple[DocumentSpec, ...]
    key: tuple[str, ...]
    stay: str = ""
    patient: str = ""
    birth: str = ""
    sex: str = ""
    mother: str = ""
    unit: str = ""
    start: str = ""
    end: str = ""
    sent: str = ""
    tie: str = ""
    numbered_by_tra: str = ""
    states_unit: str = ""
    stay_kind: str = ""
    document_kind: str = "pmsi"
    whole: tuple[str, ...] = ()  # what names the whole that a record is always sent as a part of
    movement: bool = False
    numbered: bool = False
    introduces: bool = False
    states_stay: bool = False
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    layouts: tuple[Layout, ...] = ()


_NAMES = (
    "stay", "patient", "birth", "sex", "mother", "unit", "start", "end", "sent", "tie", "numbered_by_tra", "states_unit",
    "stay_kind", "document_kind", "movement", "numbered", "introduces", "states_stay",
)  # fmt: skip
_KIND_KEYS = frozenset((*_NAMES, "kind", "title", "key", "whole", "fact", "document", "values", "layout"))
_ADDED_KEYS = frozenset(("kind", "layout", "fact", "values"))
_LAYOUT_KEYS = frozenset((
    "version", "years", "like", "shift", "shift_from", "drop", "marks", "also_marks", "width", "longest", "need",
    "fields", "group", "open",
))  # fmt: skip


class _Wrong(ValueError):
    """A table that cannot be meant; the sentence says where."""


def load_kinds(folder: Path | None = None) -> tuple[Kind, ...]:
    """The kinds of this package, with the tables of `folder` (*.toml) added: a table of a known kind adds
    layouts, facts and lists of codes to it. Raises UsageError naming the table that is wrong."""
    tables = [(item.name, item.read_text("utf-8")) for item in _own_tables()]
    if folder is not None:
        if not folder.is_dir():
            raise UsageError("There is no such folder of PMSI layouts.", where=str(folder))
        tables += [(path.name, path.read_text("utf-8")) for path in sorted(folder.glob("*.toml"))]
    return _merged(tables)


@lru_cache(maxsize=1)
def own_kinds() -> tuple[Kind, ...]:
    """The kinds of this package."""
    return load_kinds()


def _own_tables() -> list[Any]:
    folder = resources.files("estran.sources.pmsi") / "layouts"
    return sorted((item for item in folder.iterdir() if item.name.endswith(".toml")), key=lambda item: item.name)


def _merged(tables: Iterable[tuple[str, str]]) -> tuple[Kind, ...]:
    raw: dict[str, dict[str, Any]] = {}
    kinds: dict[str, Kind] = {}
    read: list[tuple[str, dict[str, Any]]] = []
    for name, text in tables:
        with _naming(name):
            table = tomllib.loads(text)
            read.append((name, table))
            kind = str(table.get("kind", ""))
            table = _added(raw[kind], table) if kind in raw else table
            kinds[kind], raw[kind] = _kind(table), table
    for name, table in read:  # at the end: a later table may give what an earlier one leaves out
        with _naming(name):
            _check_read(kinds[str(table.get("kind", ""))], table)
    return tuple(kinds.values())


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """What is wrong with table `name` is told by its name."""
    try:
        yield
    except (_Wrong, tomllib.TOMLDecodeError, TypeError, KeyError, ValueError) as error:
        what = str(error) if isinstance(error, _Wrong | tomllib.TOMLDecodeError) else "a value is not of its type"
        raise UsageError(f"The PMSI layout table {name} is wrong: {what}.") from None


def _added(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """A table of a known kind with what a later table says besides."""
    _only(more, _ADDED_KEYS, "a table that adds to a known kind")
    known = base.get("values", {})
    values = {name: known.get(name, {}) | codes for name, codes in more.get("values", {}).items()}
    rows = {name: base.get(name, []) + more.get(name, []) for name in ("layout", "fact")}
    return base | rows | {"values": known | values}


def _kind(table: dict[str, Any]) -> Kind:
    _only(table, _KIND_KEYS, "the table")
    name, key = table.get("kind"), tuple(table.get("key", ()))
    if not name or not key:
        raise _Wrong("kind or key is missing")
    layouts: dict[str, Layout] = {}
    for row in table.get("layout", []):
        layout = _layout(str(name), row, layouts)
        layouts[layout.version] = layout
    facts = _facts(table)
    first = DocumentSpec(table["title"], key, table["start"], "", facts) if "title" in table else None
    more = (
        DocumentSpec(d["title"], tuple(d["key"]), d["start"], d.get("when", ""), _facts(d)) for d in table.get("document", [])
    )
    if facts and not first:
        raise _Wrong("facts need a document, and the kind has no title")
    values = {field: {str(c): str(v) for c, v in codes.items()} for field, codes in table.get("values", {}).items()}
    made = Kind(
        str(name), ((first,) if first else ()) + tuple(more), key, **{n: table[n] for n in _NAMES if n in table},
        whole=tuple(table.get("whole", ())), values=values, layouts=tuple(layouts.values()),
    )  # fmt: skip
    for layout in made.layouts:
        _check_use(made, layout)
    return made


def _facts(table: dict[str, Any]) -> tuple[FactSpec, ...]:
    """What the rows [[fact]] of a table state; a row that is written again (in the table of another year) counts once."""
    specs: dict[tuple[str, str], FactSpec] = {}
    for row in table.get("fact", []):
        lists = {n: tuple(row[n]) for n in ("attributes", "also", "also_when") if n in row}
        kind = {"kind": _KIND_OF.get(row.get("vocabulary", ""), "other")} if "kind" not in row else {}
        spec = FactSpec(**(row | lists | kind))
        if sum(bool(x) for x in (spec.field, spec.number, spec.coded, spec.day)) != 1:
            raise _Wrong("a fact needs exactly one of field, number, coded and day")
        if specs.setdefault((spec.source, spec.code), spec) != spec:
            raise _Wrong(
                f"the [[fact]] {_told(spec)} is stated twice, differently: write it as it stands in the table that states it first, "
                "or leave it out"
            )
    return tuple(specs.values())


def _told(spec: FactSpec) -> str:
    return f"of {spec.source} with the code '{spec.code}'" if spec.code else f"of {spec.source}"


def _layout(kind: str, row: dict[str, Any], known: Mapping[str, Layout]) -> Layout:
    _only(row, _LAYOUT_KEYS, "a layout")
    version = str(row.get("version", ""))
    if "like" in row and row["like"] not in known:
        raise _Wrong(f"layout {version} is like a version that is not written before it")
    base = known.get(row.get("like", ""))
    width = int(row.get("width", base.width + row.get("shift", 0) if base else 0))
    fields = _fields_of(row, base)
    groups = _groups_of(row, base)
    need = fields[row["need"]].end if "need" in row else base.need + int(row.get("shift", 0)) if base else width
    longest = int(row.get("longest", base.longest if base else _LONGEST_LINE))
    years = tuple(row.get("years", base.years if base else (0, 0)))
    layout = Layout(
        kind, version, (int(years[0]), int(years[1])), _marks_of(row, version), width, need, longest, fields, tuple(groups),
        bool(row.get("open")),
    )
    _check(layout)
    return layout


def _fields_of(row: dict[str, Any], base: Layout | None) -> dict[str, Field]:
    shift, first = int(row.get("shift", 0)), int(row.get("shift_from", 1)) - 1
    fields = dict(base.fields) if base else {}
    fields = {n: replace(f, start=f.start + shift) if f.start >= first else f for n, f in fields.items()}
    fields |= _fields(row.get("fields", ""))
    return {name: item for name, item in fields.items() if name not in row.get("drop", ())}


def _groups_of(row: dict[str, Any], base: Layout | None) -> list[Group]:
    """Groups of `base`, those named again changed, new ones where they say."""
    groups = list(base.groups) if base else []
    for item in row.get("group", []):
        name = item["name"]
        old = next((g for g in groups if g.name == name), None)
        parent, dot, count = str(item.get("count", "")).rpartition(".")
        fields = {**(old.fields if old else {}), **_fields(item.get("fields", ""))}
        group = Group(name, int(item["width"]), fields, count, parent if dot else "", int(item.get("times", 0)))
        if old:
            groups[groups.index(old)] = group
        elif item.get("first"):
            groups.insert(0, group)
        else:
            before = [g.name for g in groups].index(item["before"]) if "before" in item else len(groups)
            groups.insert(before, group)
    return groups


def _fields(text: str) -> dict[str, Field]:
    """Lines of `name start length [type]`."""
    fields = {}
    for line in text.strip().splitlines():
        words = line.split()
        if len(words) not in (3, 4) or not (words[1] + words[2]).isdigit() or (words[3:] and words[3] not in TYPES):
            raise _Wrong("a field is not written: name start length [type]")
        fields[words[0]] = Field(words[0], int(words[1]) - 1, int(words[2]), *words[3:])
    return fields


def _marks_of(row: dict[str, Any], version: str) -> tuple[tuple[Mark, ...], ...]:
    if not row.get("marks"):
        raise _Wrong(f"layout {version} has no marks")
    return tuple(tuple(_mark(word) for word in words) for words in (row["marks"], *row.get("also_marks", ())))


def _mark(word: str) -> Mark:
    place, _, text = word.partition(":")
    if not place.isdigit() or not text or (text.startswith("@") and not text[1:].isdigit()):
        raise _Wrong("a mark is not written position:text or position:@digits")
    if text.startswith("@"):
        return Mark(int(place) - 1, digits=int(text[1:]))
    return Mark(int(place) - 1, text.encode("cp1252"))


def _check(layout: Layout) -> None:
    """Every field within its zone, every count a number of the fixed part or of the parent group."""
    where = f"layout {layout.version}"
    before: dict[str, Group] = {}
    for item in layout.fields.values():
        if item.start < 0 or item.length < 1 or (item.end > layout.width and not layout.longest < _LONGEST_LINE):
            raise _Wrong(f"{where}: field {item.name} is outside the fixed part")
    for group in layout.groups:
        if any(f.start < 0 or f.end > group.width for f in group.fields.values()):
            raise _Wrong(f"{where}: a field of group {group.name} is outside it")
        holder = before[group.parent].fields if group.parent in before else layout.fields if not group.parent else {}
        if not group.times and (group.count not in holder or not holder[group.count].type.startswith("n")):
            raise _Wrong(f"{where}: group {group.name} is counted by no number")
        before[group.name] = group


def _check_use(kind: Kind, layout: Layout) -> None:
    """What names a record, dates its documents and says whose it is must have a place, and what is read as a date or a
    number must be said to be one: else records would be lost, or fall upon each other, without a word."""
    where = f"layout {layout.version}"
    needed = {*kind.key, *(name for document in kind.documents for name in (*document.key, document.start))}
    for name in sorted(needed):
        if not name.startswith("@") and name not in layout.fields:
            raise _Wrong(f"{where} gives no place to {name}, without which a record has no name or no date")
    for key in (kind.key, *(document.key for document in kind.documents)):
        _check_key(layout, key)
    people = [name for name in (kind.stay, kind.patient, kind.numbered_by_tra) if name]
    if kind.documents and not any(name in layout.fields for name in people):
        raise _Wrong(f"{where} gives no place to what says whose its records are")
    for path, types, what in _read_as(kind):
        found = layout.find(path)
        if found and found[1].type not in types:
            raise _Wrong(f"{where}: field {path} is read as a {what}, which its type does not say")


def _check_key(layout: Layout, key: Iterable[str]) -> None:
    """What names a record lies side by side: else two records would have one name, and the later one replace the earlier."""
    fields = sorted((layout.fields[name] for name in key if name in layout.fields), key=lambda item: item.start)
    for one, other in pairwise(fields):
        if one.end > other.start:
            raise _Wrong(
                f"layout {layout.version}: fields {one.name} and {other.name}, which name a record, overlap: correct their places"
            )


def _check_read(kind: Kind, table: dict[str, Any]) -> None:
    """What `table` states has a place in some layout, and the groups of its layouts state something: else facts would be
    lost without a word. A kind without layouts waits for those of a hospital, of which none has everything."""
    waits = "key" in table and not table.get("layout")
    stated = () if waits else (*_facts(table), *(spec for row in table.get("document", ()) for spec in _facts(row)))
    for spec in stated:
        if not any(layout.find(spec.source) for layout in kind.layouts):
            raise _Wrong(f"no layout gives a place to {spec.source}, of which a [[fact]] is stated: add the field, or correct its name")
    versions = {str(row.get("version", "")) for row in table.get("layout", ())}
    for layout in kind.layouts:
        if layout.version in versions:
            _check_groups(kind, layout)


def _check_groups(kind: Kind, layout: Layout) -> None:
    """Each group that has fields states a fact by one of them, or counts another group."""
    sources = {spec.source for document in kind.documents for spec in document.facts if "." in spec.source}
    used = sources | {f"{group.parent}.{group.count}" for group in layout.groups}
    for group in layout.groups:
        if group.fields and not any(f"{group.name}.{name}" in used for name in group.fields):
            known = ", ".join(sorted(sources)) or "none"
            raise _Wrong(
                f"layout {layout.version}: nothing is read of group {group.name}; the fields of groups that are known: {known}. "
                "Correct its name or those of its fields, add a [[fact]], or leave its fields out to pass over it"
            )


def _read_as(kind: Kind) -> Iterator[tuple[str, frozenset[str], str]]:
    """The fields that are read as dates or numbers, and the types which say so."""
    dates, numbers = (frozenset("dmw"), "date"), (frozenset(("n", "n2", "n3", "n4")), "number")
    for name in (kind.start, kind.end, kind.sent, kind.birth, *(document.start for document in kind.documents)):
        yield name, *dates
    for spec in (spec for document in kind.documents for spec in document.facts):
        yield from ((name, *dates) for name in (spec.day, spec.date))
        yield from ((name, *numbers) for name in (spec.number, spec.count))


def _only(table: dict[str, Any], known: frozenset[str], what: str) -> None:
    for name in table:
        if name not in known:
            raise _Wrong(f"{what} has an unknown entry '{name}'")
