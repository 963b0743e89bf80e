"""A file as it is handed in: put together with its dictionary and its table of links, looked at without its values."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from estran.model.errors import InputRefused, UsageError
from estran.projects.owndata.recipe import MOST_COLUMNS, Form
from estran.sources.packed import PackWriter, entries
from estran.sources.study.delimited import Look, look_at, read_dictionary
from estran.sources.study.odm import OdmReader, read_items
from estran.sources.study.sheet import Item, Kind
from estran.sources.unnamed import unnamed

MOST_BYTES = 20_000_000  # of a file handed in on a page, with what comes with it


@dataclass(frozen=True)
class Handed:
    """A file, what its dictionary defines, and a table of links ("" when there is none)."""

    path: Path
    items: Mapping[str, Item]
    links: bytes = b""

    @property
    def look(self) -> str:
        """Its columns as they may be shown before anything is linked, as JSON; no value is in there."""
        return orjson.dumps({"columns": [asdict(one) for one in _looks(self)], "links": bool(self.links)}).decode()


def handed(form: Form, path: Path, dictionary: bytes = b"", links: bytes = b"") -> Handed:
    """A file of this form; UsageError when its dictionary is missing, InputRefused when it cannot be read."""
    if form is Form.ECRF and not dictionary:
        raise UsageError("An eCRF export comes with its data dictionary.", hint="export it from the eCRF as CSV")
    items = read_items(path) if form is Form.ODM else read_dictionary(dictionary) if form is Form.ECRF else {}
    return Handed(path, items, links)


def packed(content: bytes, dictionary: bytes, links: bytes) -> bytes:
    """The parts of a file as one."""
    out = io.BytesIO()
    pack = PackWriter(out)
    for name, body in (("file", content), ("dictionary", dictionary), ("links", links)):
        pack.add({"part": name}, body)
    return out.getvalue()


@contextmanager
def unpacked(form: Form, pack: bytes) -> Iterator[Handed]:
    """The parts again; the file is in no directory."""
    with written(pack) as whole:
        parts = {str(one.meta["part"]): one.body for one in entries(whole)}
    with written(parts["file"]) as path:
        yield handed(form, path, parts["dictionary"], parts["links"])


@contextmanager
def written(content: bytes) -> Iterator[Path]:
    """Bytes as a file that is in no directory."""
    with unnamed() as (out, path):
        out.write(content)
        out.flush()
        yield path


def _looks(one: Handed) -> list[Look]:
    if one.items and not _is_xml(one.path):
        filled = {look.column: look.filled for look in look_at(one.path)[1]}
        return [Look(n, filled[n], i.kind, i.label, i.identifies) for n, i in one.items.items() if n in filled]
    if one.items:
        return [Look(name, -1, item.kind, item.label, item.identifies) for name, item in one.items.items()]
    found = _undefined(one.path) if _is_xml(one.path) else look_at(one.path)[1]
    if len(found) > MOST_COLUMNS:
        raise InputRefused("The file has too many columns.", hint=f"at most {MOST_COLUMNS}")
    return found


def _undefined(path: Path) -> list[Look]:
    """The items of clinical data that come without their definitions."""
    counts: dict[str, int] = {}
    for sheet in OdmReader().sheets(path):
        for name in sheet.cells.column_names:
            counts[name] = counts.get(name, 0) + len(sheet) - sheet.cells[name].null_count
    return [Look(name, filled, Kind.WORDS) for name, filled in counts.items()]


def _is_xml(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(64)
    return start.lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n").startswith(b"<")


def columns_of(look: str) -> list[dict[str, Any]]:
    """The columns of a kept look."""
    found: list[dict[str, Any]] = orjson.loads(look)["columns"] if look else []
    return found
