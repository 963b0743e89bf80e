"""The files of a series, and its address in a PACS, from what was landed of a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from estran.sources.dicom.elements import uid
from estran.sources.dicom.heads import NotRead, cut_head, parse_head
from estran.sources.dicom.images import is_slice
from estran.sources.packed import Entry
from estran.sources.quiet import quiet


def files_of(folder: Path, entry: Entry, pack: Iterable[Entry]) -> list[Path]:
    """Files of `folder` that belong to the document read from `entry`: its series, or the object alone."""
    if not folder.is_dir():
        return [folder]
    series = series_of(entry)
    names = [one.meta["name"] for one in pack if series and series_of(one) == series] if series else [entry.meta["name"]]
    return [folder / name for name in names]


def series_of(entry: Entry) -> str:
    """Series Instance UID of a slice; "" for an object by itself."""
    if entry.meta.get("kind") != "object" or "refused" in entry.meta:
        return ""
    with quiet():
        header = parse_head(entry.body)
        return uid(header, "SeriesInstanceUID") if is_slice(header) else ""


def address_of(entry: Entry, server: str) -> str:
    """Address of the series, or of the object, under a DICOMweb server (PS3.18 10.4.1)."""
    with quiet():
        header = parse_head(entry.body)
    study, series, own = (uid(header, f"{n}InstanceUID") for n in ("Study", "Series", "SOP"))
    place = f"{server.rstrip('/')}/studies/{study}/series/{series}"
    return place if is_slice(header) else f"{place}/instances/{own}"


def scan(folder: Path, wanted: set[str]) -> list[Path]:
    """Files under `folder`, moved since they were loaded, whose series or object is one of `wanted`."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            with quiet():
                header = parse_head(cut_head(path)[0])
                named = {uid(header, "SeriesInstanceUID"), uid(header, "SOPInstanceUID")}
        except (NotRead, OSError):
            continue
        if named & wanted:
            found.append(path)
    return found
