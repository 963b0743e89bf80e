"""Delimited files of a study: any CSV, and the export of an eCRF with its data dictionary (the layout that REDCap writes)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from estran.model.errors import InputRefused
from estran.sources.omop.blocks import BAD, Block
from estran.sources.study.sheet import SEPARATOR, Item, Kind, Sheet, Wrong
from estran.sources.tabular.inputs import Input, open_input
from estran.sources.tabular.language import Csv

TABLE = "data"
_CSV = Csv.model_validate({})  # what is not said is found out
_REPEATS = ("redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance")
_MOST_FIELDS, _LARGEST = 20_000, 10 << 20
_FIELD, _TYPE, _LABEL = (
    ("variable / field name", "field_name"),
    ("field type", "field_type"),
    ("field label", "field_label"),
)
_CHOICES = ("choices, calculations, or slider labels", "select_choices_or_calculations")
_CHECK = ("text validation type or show slider number", "text_validation_type_or_show_slider_number")
_IDENTIFIES = ("identifier?", "identifier")
_KINDS = {
    "yesno": Kind.FLAG, "truefalse": Kind.FLAG, "radio": Kind.CODE, "dropdown": Kind.CODE, "slider": Kind.NUMBER,
    "calc": Kind.NUMBER, "text": Kind.WORDS, "notes": Kind.WORDS,
}  # fmt: skip


@dataclass(frozen=True)
class DelimitedReader:
    """`subject` are the columns that name somebody, `key` those that tell the rows of one person apart."""

    subject: tuple[str, ...]
    key: tuple[str, ...] = ()

    def sheets(self, path: Path) -> Iterator[Sheet]:
        with open_input(path, "data.csv", _CSV, ignore_offsets=False) as opened:
            names = opened.schema.names
            key = tuple(
                dict.fromkeys((*self.key, *(one for one in _REPEATS if one in names and one not in self.subject)))
            )
            lacking = [one for one in (*self.subject, *key) if one not in names]
            if lacking:
                raise InputRefused("A column that the mapping names is not in the file.", where=lacking[0])
            for block in opened.blocks(names):
                yield _sheet(block, self.subject, key)


def _sheet(block: Block, subject: Sequence[str], key: Sequence[str]) -> Sheet:
    lines = block.numbers + 2 if block.lines is None else block.lines
    wrong = [Wrong(int(line), "", BAD[int(why)][1]) for line, why in zip(lines, block.bad, strict=True) if why]
    subjects, keys = _joined(block.table, subject), _joined(block.table, key)
    nameless = pc.equal(pc.fill_null(subjects, ""), SEPARATOR * (len(subject) - 1)).to_numpy(zero_copy_only=False)
    wrong += [Wrong(int(line), "", "no-subject") for line in lines[nameless & (block.bad == 0)]]
    keep = ~nameless & (block.bad == 0)
    mask = pa.array(keep)
    return Sheet(
        TABLE, lines[keep], subjects.filter(mask), keys.filter(mask), block.table.filter(mask),
        np.zeros(int(keep.sum()), np.bool_), tuple(wrong),
    )  # fmt: skip


def _joined(table: pa.Table, names: Sequence[str]) -> pa.Array:
    if not names:
        return pa.array([""] * len(table), pa.string())
    parts = [pc.utf8_trim_whitespace(pc.fill_null(table[name].cast(pa.string()), "")) for name in names]
    joined = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, SEPARATOR)
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


# The dictionary of an eCRF


def read_dictionary(content: bytes) -> dict[str, Item]:
    """The variables of a data dictionary, in its order, the record first; InputRefused when it is not one.

    A tick box with several choices is one column per choice, `field___choice`.
    """
    if len(content) > _LARGEST:
        raise InputRefused("The data dictionary is too large.", hint="at most 10 MB")
    rows = csv.reader(io.StringIO(_text(content)))
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        found: dict[str, Item] = {}
        for row in rows:
            for item in _items(dict(zip(names, row, strict=False))):
                found.setdefault(item.column, item)
            if len(found) > _MOST_FIELDS:
                raise InputRefused("The data dictionary names too many variables.")
    except csv.Error:
        raise InputRefused("The data dictionary is not a CSV file.") from None
    if not found:
        raise InputRefused(
            "The file is not a data dictionary: it names no variable.", hint="export it from the eCRF as CSV"
        )
    return found


def _items(row: Mapping[str, str]) -> Iterator[Item]:
    name, kind = _cell(row, _FIELD).lower(), _cell(row, _TYPE).lower()
    label, identifies = _cell(row, _LABEL), _cell(row, _IDENTIFIES).lower() == "y"
    if not name or kind not in {*_KINDS, "checkbox"}:
        return
    codes = _choices(_cell(row, _CHOICES))
    if kind == "checkbox":
        for code, said in codes:
            yield Item(f"{name}___{code.lower()}", Kind.FLAG, f"{label}: {said}", identifies=identifies)
        return
    found = _checked(_cell(row, _CHECK).lower()) if kind == "text" else _KINDS[kind]
    yield Item(name, found, label, codes if found is Kind.CODE else (), identifies=identifies)


def _checked(rule: str) -> Kind:
    if rule.startswith("date"):
        return Kind.DATE
    return Kind.NUMBER if rule.startswith(("number", "integer")) else Kind.WORDS


def _choices(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (part.partition(",") for part in text.split("|"))
    return tuple((code.strip(), said.strip()) for code, _, said in pairs if code.strip())


def _cell(row: Mapping[str, str], names: Sequence[str]) -> str:
    return next((row[name].strip() for name in names if name in row), "")


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


# What a file looks like, without its values


@dataclass(frozen=True)
class Look:
    """A column as somebody may see it before anything is linked: its name, how many rows fill it, what it seems to be."""

    column: str
    filled: int
    kind: Kind
    label: str = ""
    identifies: bool = False


_DATE = r"^\s*(\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[/.-]\d{1,2}[/.-]\d{4})\s*$"
_NUMBER = r"^\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*$"
_DIGITS = r"^\s*[\d .:/_-]*\d[\d .:/_-]*\s*$"  # digits and what stands between them: numbers of persons, telephones
_FLAG = r"^\s*(?i:0|1|y|n|o|yes|no|oui|non|true|false)\s*$"


def look_at(path: Path) -> tuple[int, list[Look]]:
    """Number of rows, and its columns; no value is told. InputRefused when it is not a delimited file."""
    with open_input(path, "data.csv", _CSV, ignore_offsets=False) as opened:
        return _looked(opened)


def _looked(opened: Input) -> tuple[int, list[Look]]:
    names, rows = opened.schema.names, 0
    forms = {name: {Kind.FLAG: _FLAG, Kind.DATE: _DATE, Kind.NUMBER: _NUMBER, Kind.CODE: _shape(name)} for name in names}
    filled, repeated, counted = dict.fromkeys(names, 0), False, False
    for block in opened.blocks(names):
        rows += len(block)
        for name in names:
            column = block.table[name].drop_null()
            filled[name] += len(column)
            repeated = repeated or _holds(column, f"^(?i:{re.escape(name.strip())})$")
            counted = counted or _holds(column, r"\d")
            forms[name] = {
                kind: form for kind, form in forms[name].items()
                if pc.all(pc.match_substring_regex(column, form), min_count=0).as_py()
            }  # fmt: skip
    if repeated or any(_is_value(name, forms[name].values() if filled[name] else ()) for name in names):
        raise InputRefused("The first line must name the columns.")
    if not counted:  # names of people alone: a first line that is one of them would be shown as columns
        raise InputRefused("No value has a digit: nobody can be found by this file, and its first line may be a person.")
    kinds = (Kind.FLAG, Kind.DATE, Kind.NUMBER)
    guess = {n: next((k for k in kinds if filled[n] and k in forms[n]), Kind.WORDS) for n in names}
    return rows, [Look(name, filled[name], guess[name]) for name in names]


def _holds(column: pa.ChunkedArray, form: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(pc.utf8_trim_whitespace(column), form), min_count=0).as_py())


def _shape(name: str) -> str:
    """What looks like a column's own name but for its digits; nothing does when it has none."""
    return "^" + re.sub(r"\d+", r"\\d+", f"(?i:{re.escape(name)})") + "$" if re.search(r"\d", name) else r"[^\s\S]"


def _is_value(name: str, forms: Iterable[str]) -> bool:
    """Whether what should name a column is a value: a day, digits, or what all the values below are (`forms`) too."""
    return any(re.search(form, name) for form in (_DATE, _NUMBER, _DIGITS, *forms))
