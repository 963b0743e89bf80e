"""A form as its author writes it, TOML or JSON: every mistake is told with its line. See docs/how-to/review-charts.md."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from estran.model.codes import DocumentKind
from estran.model.errors import InputRefused
from estran.projects.charts.forms import Fill, Form, Item, Kind, Shown, Take
from estran.projects.charts.labels import Mark

MOST_ITEMS = 300
Path = tuple[str | int, ...]
_ID = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TOP = {"name", "documents", "item", "label", "attribute"}
_OF_ITEM = {
    "id", "label", "label_en", "type", "unit", "min", "max", "choices", "required", "visible_if", "fill",
}  # fmt: skip
_OF_MARK = {"id", "label", "label_en", "key"}
_MEASURED = (Kind.INTEGER, Kind.NUMBER)
_FILLED = (*_MEASURED, Kind.DATE, Kind.YES_NO, Kind.TEXT)


@dataclass(frozen=True)
class FormFault:
    """What is wrong, and on which line."""

    line: int
    what: str


@dataclass
class _Sheet:
    """The file being read: where its parts are written, and what was found wrong."""

    line_of: Callable[[Path], int]
    faults: list[FormFault] = field(default_factory=list)

    def wrong(self, path: Path, what: str) -> None:
        self.faults.append(FormFault(self.line_of(path), what))


def read_form(text: str) -> Form:
    """The form of a file; InputRefused with the first fault and its line, the others counted."""
    form, faults = check_form(text)
    if form is None:
        first, more = faults[0], len(faults) - 1
        hint = f"{more} other faults: estran review form SITE FILE lists them" if more else ""
        raise InputRefused(first.what, where=f"line {first.line}", hint=hint)
    return form


def check_form(text: str) -> tuple[Form | None, list[FormFault]]:
    """The form of a file, or None and every fault in order of line. JSON begins with a brace, TOML does not."""
    is_json = text.lstrip().startswith("{")
    try:
        raw = json.loads(text) if is_json else tomllib.loads(text)
    except json.JSONDecodeError as error:
        return None, [FormFault(error.lineno, "The file is not JSON.")]
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        return None, [FormFault(int(found[1]) if found else len(text.splitlines()) or 1, "The file is not TOML.")]
    except RecursionError:
        return None, [FormFault(1, "The form is nested too deep.")]
    lines = _json_lines(text) if is_json else _toml_lines(text)
    sheet = _Sheet(lambda path: next((lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in lines), 1))
    form = _form(sheet, raw)
    faults = sorted(sheet.faults, key=lambda fault: fault.line)
    return (None if faults else form), faults


def _form(sheet: _Sheet, raw: Any) -> Form:
    _known(sheet, raw, (), _TOP)
    name = " ".join(str(raw.get("name", "")).split())
    if not 1 <= len(name) <= 120:
        sheet.wrong(("name",), "A form needs a name of 1 to 120 characters.")
    items: list[Item] = []
    for number, one in enumerate(_tables(sheet, raw, "item")):
        items.append(_item(sheet, one, ("item", number), items))
    marks = {
        kind: [_mark(sheet, one, (kind, n)) for n, one in enumerate(_tables(sheet, raw, kind))]
        for kind in ("label", "attribute")
    }
    _distinct(sheet, "item", [item.id for item in items])
    for kind, found in marks.items():
        _distinct(sheet, kind, [mark.id for mark in found])
    _distinct_keys(sheet, marks)
    if not items and not marks["label"]:
        sheet.wrong((), "A form needs at least one item or one label.")
    if len(items) > MOST_ITEMS:
        sheet.wrong(("item", MOST_ITEMS), f"A form may have {MOST_ITEMS} items.")
    documents = _texts(sheet, raw, (), "documents")
    if unknown := set(documents) - set(DocumentKind):
        sheet.wrong(("documents",), f"No kind of document is called '{min(unknown)}'.")
    return Form(name, tuple(items), tuple(marks["label"]), tuple(marks["attribute"]), documents)


def _item(sheet: _Sheet, raw: Mapping[str, Any], path: Path, before: list[Item]) -> Item:
    _known(sheet, raw, path, _OF_ITEM)
    kind = _one_of(sheet, raw, path, "type", Kind, Kind.TEXT)
    low, high = (_number(sheet, raw, path, name) for name in ("min", "max"))
    if (low is not None or high is not None) and kind not in _MEASURED:
        sheet.wrong((*path, "min" if low is not None else "max"), "Only a number has a range.")
    if low is not None and high is not None and low > high:
        sheet.wrong((*path, "max"), "The range ends before it begins.")
    choices = _texts(sheet, raw, path, "choices")
    if (kind in (Kind.CHOICE, Kind.CHOICES)) != bool(choices):
        sheet.wrong(
            (*path, "choices" if choices else "type"),
            "Choices go with the types choice and choices, and only with them.",
        )
    if len(set(choices)) < len(choices):
        sheet.wrong((*path, "choices"), "A choice is there twice.")
    unit = _text(sheet, raw, path, "unit")
    if unit and kind not in _MEASURED:
        sheet.wrong((*path, "unit"), "Only a number has a unit.")
    required = raw.get("required", False)
    if not isinstance(required, bool):
        sheet.wrong((*path, "required"), "This is true or false.")
    return Item(
        _identifier(sheet, raw, path), _label(sheet, raw, path), kind, _text(sheet, raw, path, "label_en"), unit, low, high,
        choices, required is True, _visible(sheet, raw, path, before), _fill(sheet, raw, path, kind),
    )  # fmt: skip


def _visible(sheet: _Sheet, raw: Mapping[str, Any], path: Path, before: list[Item]) -> Shown | None:
    if "visible_if" not in raw:
        return None
    said, path = raw["visible_if"], (*path, "visible_if")
    if not isinstance(said, dict):
        sheet.wrong(path, 'Write it so: { item = "id", is = ["yes"] }.')
        return None
    _known(sheet, said, path, {"item", "is"})
    values = said.get("is")
    wanted = (values,) if isinstance(values, str) else _texts(sheet, said, path, "is")
    other = next((item for item in before if item.id == said.get("item")), None)
    if other is None:
        sheet.wrong((*path, "item"), "An item depends on one that is written before it.")
    elif not wanted:
        sheet.wrong((*path, "is"), "An item depends on at least one answer.")
    elif other.options and not set(wanted) <= set(other.options):
        sheet.wrong((*path, "is"), "The item that it depends on has no such answer.")
    return Shown(str(said.get("item")), wanted)


def _fill(sheet: _Sheet, raw: Mapping[str, Any], path: Path, kind: Kind) -> Fill | None:
    if "fill" not in raw:
        return None
    said, path = raw["fill"], (*path, "fill")
    vocabulary, _, code = str(said.get("concept", "")).partition(":") if isinstance(said, dict) else ("", "", "")
    if not vocabulary or not code:
        sheet.wrong(path, 'Write it so: { concept = "LOINC:2160-0", take = "last", days = [-30, 30] }.')
        return None
    _known(sheet, said, path, {"concept", "take", "days"})
    if kind not in _FILLED:
        sheet.wrong(path, "Facts fill numbers, dates, texts and yes or no, not choices.")
    take = _one_of(sheet, said, path, "take", Take, Take.LAST)
    if take in (Take.MIN, Take.MAX) and kind not in _MEASURED:
        sheet.wrong((*path, "take"), "Only numbers have a least and a greatest.")
    days = said.get("days")
    if days is not None and not (
        isinstance(days, list) and len(days) == 2 and all(type(day) is int for day in days) and days[0] <= days[1]
    ):
        sheet.wrong((*path, "days"), "Days are two whole numbers, from and to, around the index date.")
        days = None
    return Fill(vocabulary, code, take, None if days is None else (days[0], days[1]))


def _mark(sheet: _Sheet, raw: Mapping[str, Any], path: Path) -> Mark:
    _known(sheet, raw, path, _OF_MARK)
    key = _text(sheet, raw, path, "key")
    if key and (len(key) != 1 or not ((key.isalnum() and key.islower()) or key.isdigit())):
        sheet.wrong((*path, "key"), "A key is one small letter or one digit.")
    return Mark(_identifier(sheet, raw, path), _label(sheet, raw, path), _text(sheet, raw, path, "label_en"), key)


def _distinct_keys(sheet: _Sheet, marks: Mapping[str, list[Mark]]) -> None:
    seen: set[str] = set()
    for kind, found in marks.items():
        for number, mark in enumerate(found):
            if mark.key and mark.key in seen:
                sheet.wrong((kind, number, "key"), f"The key '{mark.key}' is there twice.")
            seen.add(mark.key)


def _distinct(sheet: _Sheet, kind: str, names: list[str]) -> None:
    for number, name in enumerate(names):
        if name and name in names[:number]:
            sheet.wrong((kind, number, "id"), f"The id '{name}' is there twice.")


def _known(sheet: _Sheet, raw: Mapping[str, Any], path: Path, names: set[str]) -> None:
    for name in raw:
        if name not in names:
            sheet.wrong((*path, name), f"Nothing is called '{name[:40]}' here.")


def _tables(sheet: _Sheet, raw: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = raw.get(name, [])
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        return found
    sheet.wrong((name,), f"Each of these is a table of its own: [[{name}]].")
    return []


def _text(sheet: _Sheet, raw: Mapping[str, Any], path: Path, name: str) -> str:
    found = raw.get(name, "")
    if isinstance(found, str) and len(found) <= 400:
        return found.strip()
    sheet.wrong((*path, name), "This is a text of 400 characters at most.")
    return ""


def _texts(sheet: _Sheet, raw: Mapping[str, Any], path: Path, name: str) -> tuple[str, ...]:
    found = raw.get(name, [])
    if isinstance(found, list) and all(isinstance(one, str) and 0 < len(one) <= 200 for one in found):
        return tuple(found)
    sheet.wrong((*path, name), "This is a list of texts.")
    return ()


def _number(sheet: _Sheet, raw: Mapping[str, Any], path: Path, name: str) -> float | None:
    found = raw.get(name)
    if found is None or (isinstance(found, int | float) and not isinstance(found, bool)):
        return found
    sheet.wrong((*path, name), "This is a number.")
    return None


def _one_of(sheet: _Sheet, raw: Mapping[str, Any], path: Path, name: str, kinds: Any, default: Any) -> Any:
    found = raw.get(name, default)
    if found in set(kinds):
        return kinds(found)
    sheet.wrong((*path, name), f"This is one of: {', '.join(kinds)}.")
    return default


def _identifier(sheet: _Sheet, raw: Mapping[str, Any], path: Path) -> str:
    found = raw.get("id")
    if isinstance(found, str) and _ID.fullmatch(found):
        return found
    sheet.wrong((*path, "id"), "An id is made of small letters, digits and _, 40 at most.")
    return ""


def _label(sheet: _Sheet, raw: Mapping[str, Any], path: Path) -> str:
    found = _text(sheet, raw, path, "label")
    if not found:
        sheet.wrong((*path, "label"), "A label is missing.")
    return found


_HEADING = re.compile(r"\s*(\[\[?)\s*([\w.\-]+)\s*\]")
_KEY = re.compile(r"\s*([\w\-]+)(?:\.[\w\-]+)*\s*=")


def _toml_lines(text: str) -> dict[Path, int]:
    """Where each table and key is written; what stands inside braces is on the line of its key."""
    found: dict[Path, int] = {}
    counts: Counter[str] = Counter()
    here: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if heading := _HEADING.match(line):
            first, *rest = heading[2].split(".")
            if heading[1] == "[[":
                counts[first] += 1
            here = (first, counts[first] - 1, *rest) if counts[first] else (first, *rest)
            found.setdefault(here, number)
        elif key := _KEY.match(line):
            found.setdefault((*here, key[1]), number)
    return found


def _json_lines(text: str) -> dict[Path, int]:
    """The same of JSON, which the YAML parser reads with the place of each node."""
    found: dict[Path, int] = {}

    def walk(node: yaml.Node, path: Path) -> None:
        found.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                found[(*path, key.value)] = key.start_mark.line + 1
                walk(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                walk(value, (*path, number))

    try:
        root = yaml.compose(text.replace("\t", " "), Loader=yaml.SafeLoader)
        if root is not None:
            walk(root, ())
    except yaml.YAMLError:
        found[()] = 1
    return found
