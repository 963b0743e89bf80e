"""Writing PMSI lines from their layouts, for tests: the inverse of what the reader does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from estran.sources.pmsi.layout import Field, Kind, Layout, own_kinds

FINESS = "910019447"


def kind_named(name: str, kinds: Sequence[Kind] | None = None) -> Kind:
    return next(kind for kind in kinds or own_kinds() if kind.kind == name)


def layout_of(kind: str, version: str, kinds: Sequence[Kind] | None = None) -> Layout:
    return next(layout for layout in kind_named(kind, kinds).layouts if layout.version == version)


def _put(line: bytearray, at: int, item: Field, value: Any) -> None:
    text = str(value)
    written = text.rjust(item.length, "0") if item.type.startswith("n") and text else text.ljust(item.length)
    assert len(written) == item.length, f"{item.name}: {text!r} is too long"
    line[at + item.start : at + item.start + item.length] = written.encode("cp1252")


def write_line(layout: Layout, values: Mapping[str, Any], **groups: Sequence[Mapping[str, Any]]) -> bytes:
    """A line of `layout`. Counters are set from `groups`; an item of a nested group says its parent's place
    as `_of` (0 when it does not)."""
    zones: dict[str, list[dict[str, Any]]] = {g.name: [dict(i) for i in groups.get(g.name, ())] for g in layout.groups}
    line = bytearray(b" " * max(layout.width, *(f.end for f in layout.fields.values())))
    counters: dict[str, Any] = {}
    for group in layout.groups:
        if group.parent:
            for place, parent in enumerate(zones[group.parent]):
                parent[group.count] = sum(1 for item in zones[group.name] if item.get("_of", 0) == place)
        elif not group.times:
            counters[group.count] = len(zones[group.name])
    for mark in layout.marks[0]:
        text = mark.text or b"0" * mark.digits
        line[mark.start : mark.start + len(text)] = text
    for name, value in {**{n: v for n, v in values.items() if n in layout.fields}, **counters}.items():
        _put(line, 0, layout.fields[name], value)
    for group in layout.groups:
        items = sorted(zones[group.name], key=lambda item: int(item.get("_of", 0))) if group.parent else zones[group.name]
        for item in items:
            zone = bytearray(b" " * group.width)
            for name, field in group.fields.items():
                _put(zone, 0, field, item.get(name, ""))
            line += zone
    return bytes(line)


def write_file(path: Path, *lines: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line + b"\r\n" for line in lines))
    return path


def vidhosp(nda: str, ipp: str, **more: Any) -> bytes:
    """A VID-HOSP line; the numbers of the insured person are filled with what must never be kept."""
    values = {"nda": nda, "ipp": ipp, "naissance": "04031950", "sexe": "2", "finess": FINESS, "entree": "01112016",
              "sortie": "30012017"}  # fmt: skip
    line = bytearray(write_line(layout_of("hosp", "V014"), values | more))
    line[0:15] = b"250037512345678"
    line[61:76] = b"150037512345699"
    return bytes(line)


STAY = {"finess": FINESS, "nda": "9001", "rss": "1", "naissance": "04031950", "um": "6024", "mode_entree": "8", "mode_sortie": "8"}


def rum(version: str = "122", **more: Any) -> bytes:
    zones = {name: more.pop(name, []) for name in ("das", "dad", "actes")}
    values = STAY | {"rum": "1", "entree": "02012023", "sortie": "09012023", "dp": "I500", "ghm": "05M092", "cmd": "05", "severite": "2"}
    return write_line(layout_of("rum", version), values | more, **zones)
