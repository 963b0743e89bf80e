"""The checks of a picture: chunks, bytes after its end, metadata, and least bits that look drawn at random."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from estran.release.airlock.bytes_of import MAGIC
from estran.release.airlock.findings import Finding, finding

MOST_PIXELS = 40_000_000
_DRAWN = frozenset(b"IHDR PLTE IDAT IEND tRNS pHYs gAMA sRGB cHRM bKGD sBIT iCCP".split())
_MOST_SOFTWARE = 100  # bytes: plotting libraries sign their figures
_WINDOW = 1_024  # samples
_EQUAL, _FAR = 0.1, 20  # share of equal neighbours, and mean step in levels, of noise
_MOST_NOISE = 2  # stretches
_RANDOM = 0.25  # of the pairs that differ in their least bit at most; 0.5 when drawn at random
_MOST_PROFILE = 4_000  # bytes of a colour profile


def check_picture(data: bytes, name: str, part: str = "") -> Iterator[Finding]:
    """PNG or JPEG. A person still looks at it."""
    if data.startswith(MAGIC["png"]):
        yield from _chunks(data, name, part)
    else:
        yield finding("lossy", name, part=part)
        end = data.rfind(b"\xff\xd9") + 2
        if end < len(data):
            yield finding("trailing", name, part=part, size=len(data) - end)
        if any(mark in data[:200_000] for mark in (b"Exif\x00", b"http://ns.adobe.com", b"\xff\xfe")):
            yield finding("metadata", name, part=part, what="EXIF")
    yield from _pixels(data, name, part)


def _chunks(data: bytes, name: str, part: str) -> Iterator[Finding]:
    at = len(MAGIC["png"])
    while at + 12 <= len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += 12 + size
        signed = kind == b"tEXt" and body.startswith(b"Software\x00") and size <= _MOST_SOFTWARE
        if (kind not in _DRAWN and not signed) or (kind == b"iCCP" and size > _MOST_PROFILE):
            yield finding("metadata", name, part=part, what=kind.decode("latin-1"))
        if kind == b"IEND":
            break
    if at < len(data):
        yield finding("trailing", name, part=part, size=len(data) - at)


def _pixels(data: bytes, name: str, part: str) -> Iterator[Finding]:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > MOST_PIXELS or getattr(picture, "n_frames", 1) > 1:
                yield finding("unreadable", name, part=part)
                return
            palette = picture.mode == "P"
            samples = np.asarray(picture if palette else picture.convert("RGBA"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        yield finding("unreadable", name, part=part)
        return
    if data.startswith(MAGIC["png"]) and (share := randomness(samples)) > _RANDOM:
        yield finding("least-bits", name, part=part, share=f"{100 * share:.0f}")
    if noisy(samples) > _MOST_NOISE:
        yield finding("noise", name, part=part)


def randomness(samples: npt.NDArray[np.uint8]) -> float:
    """Of neighbours equal but for their least bit, the share that differ, in the worst stretch of the picture.

    A drawn figure has flat areas and sharp edges: next to none. Bits put there at random: one half.
    """
    worst = 0.0
    for flat in _stretches(samples):
        close = (flat[:, 1:] >> 1) == (flat[:, :-1] >> 1)
        apart = (close & (flat[:, 1:] != flat[:, :-1])).sum(axis=1)
        near = close.sum(axis=1)
        enough = near > _WINDOW // 2
        if enough.any():
            worst = max(worst, float((apart[enough] / near[enough]).max()))
    return worst


def noisy(samples: npt.NDArray[np.uint8]) -> int:
    """Stretches in which neighbours are hardly ever equal and far apart: raw bytes, not a drawing."""
    found = 0
    for flat in _stretches(samples):
        steps = np.abs(np.diff(flat.astype(np.int16), axis=1))
        found += int((((steps == 0).mean(axis=1) < _EQUAL) & (steps.mean(axis=1) > _FAR)).sum())
    return found


def _stretches(samples: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    """Each channel, line after line, cut into stretches of the same length."""
    planes = samples[..., None] if samples.ndim == 2 else samples
    for plane in np.moveaxis(planes, -1, 0):
        flat = plane.ravel()
        whole = len(flat) // _WINDOW * _WINDOW
        if whole:
            yield flat[:whole].reshape(-1, _WINDOW)
