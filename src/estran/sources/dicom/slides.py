"""Whole slides that are not DICOM (SVS, NDPI and other pyramidal TIFF): what tiffslide says of them.

Only properties are read: levels, microns per pixel, magnification, maker. The label and overview images,
which show names and numbers, are never opened.
"""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath
from typing import Any

from estran.model.codes import DocumentKind
from estran.sources.dicom.elements import named
from estran.sources.dicom.heads import UNREADABLE, NotRead
from estran.sources.dicom.images import modality_code
from estran.sources.writing import Attribute, Item, Medium, Writing, opaque

SUFFIXES = (".svs", ".ndpi", ".scn", ".bif", ".tif", ".tiff")
SLIDE = "slide"  # system of the numbers of slides: the name of the file, without its ending
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_slide(path: Path) -> bool:
    """Whether the file is a TIFF with the name of a slide."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    with path.open("rb") as source:
        return source.read(4) in _TIFF


def measure(path: Path) -> dict[str, Any]:
    """Properties of the slide at `path`, without any free text; raises NotRead."""
    import tiffslide

    try:
        with tiffslide.TiffSlide(path) as slide:
            said = slide.properties
            return {
                "levels": [list(size) for size in slide.level_dimensions],
                "mpp": _number(said.get("tiffslide.mpp-x")),
                "power": _number(said.get("tiffslide.objective-power")),
                "vendor": str(said.get("tiffslide.vendor") or "")[:40],
            }
    except (*UNREADABLE, RuntimeError) as error:
        raise NotRead("malformed", "The slide cannot be read.") from error


def number_of(name: str) -> str:
    """The slide's number: its file's name without its ending."""
    return PurePosixPath(name.replace("\\", "/")).stem


def read_slide(name: str, said: dict[str, Any], checksum: str) -> Writing:
    """The document of a slide whose properties are `said`."""
    levels = said["levels"]
    maker = (Attribute(named("Manufacturer", "Fabricant"), said["vendor"]),) if said["vendor"] else ()
    facts = [Item(modality_code("SM"), attributes=maker)]
    quantities = (("ObjectiveLensPower", "Grossissement de l'objectif", said["power"], "1"),
                  ("PixelSpacing", "Taille du pixel", said["mpp"], "um"))  # fmt: skip
    facts += [Item(named(word, label), value, unit) for word, label, value, unit in quantities if value is not None]
    shape = f"{levels[0][1]}x{levels[0][0]}x{len(levels)}" if levels else ""
    medium = Medium(opaque("slide", checksum), "SM", shape, said["mpp"], checksum)
    return Writing(f"slide/{number_of(name)}", DocumentKind.PATHOLOGY, "Lame numérisée", None, tuple(facts), media=(medium,))


def _number(value: object) -> float | None:
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if math.isfinite(found) else None
