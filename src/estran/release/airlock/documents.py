"""The checks of texts, SVG, HTML and PDF."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from lxml import etree, html

from estran.release.airlock import identifiers
from estran.release.airlock.bytes_of import archive_in, check_lines, format_of
from estran.release.airlock.findings import Finding, finding
from estran.release.airlock.pictures import check_picture
from estran.release.airlock.profiles import Profile
from estran.release.airlock.table import table_of
from estran.release.airlock.tables import check_table

_ACTIVE = frozenset(
    [
        "script",
        "iframe",
        "object",
        "embed",
        "applet",
        "form",
        "input",
        "button",
        "link",
        "meta",
        "base",
        "foreignobject",
        "video",
        "audio",
        "frame",
    ]
)
_UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0(?:\.0+)?\s*(?:;|$)|font-size\s*:\s*0")
_DATA = re.compile(r"data:image/(?:png|jpe?g);base64,([A-Za-z0-9+/=\s]+)$")
_REMARK = re.compile(r"<!--.{200,}?-->|<\?(?!xml[ -]).{200,}?\?>", re.DOTALL)
_DOF = re.compile(r"(?:df residuals?|residual degrees of freedom|dof|ddl)\s*[:=]?\s*(\d+)", re.IGNORECASE)
_PDF = ((rb"/JavaScript|/JS\b", "JavaScript"), (rb"/EmbeddedFile", "attachment"), (rb"/Launch", "launch"), (rb"/RichMedia", "media"),
        (rb"/XFA", "form"), (rb"/OpenAction", "action"))  # fmt: skip
MOST_MARKUP_LINE = 200_000  # figures are written on one line, pictures within them in base 64


def check_text(text: str, name: str, profile: Profile, part: str = "") -> Iterator[Finding]:
    """A text or a log: identities, long lines, degrees of freedom that it states."""
    yield from check_lines(text, name, part)
    for row, line in enumerate(text.split("\n"), start=1):
        yield from identifiers.in_text(line, name, row, part=part)
    yield from check_stated(text, name, profile, part)


def check_stated(text: str, name: str, profile: Profile, part: str = "") -> Iterator[Finding]:
    """The degrees of freedom that a printed model states."""
    for found in _DOF.finditer(text):
        if int(found[1]) < profile.dof:
            yield finding(
                "dof", name, text.count("\n", 0, found.start()) + 1, part=part, dof=found[1], least=profile.dof
            )


def check_svg(data: bytes, name: str, profile: Profile, part: str = "") -> Iterator[Finding]:
    """A drawing: nothing active, nothing from elsewhere, nothing that does not show."""
    try:
        root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False))
    except etree.XMLSyntaxError:
        yield finding("unreadable", name, part=part)
        return
    if b"<!ENTITY" in data:
        yield finding("active", name, part=part, what="entity")
    text = data.decode("utf-8", "replace")
    yield from check_lines(_without_pictures(text), name, part, MOST_MARKUP_LINE)
    yield from _remarks(text, name, part)
    yield from _elements(root, name, part)
    yield from identifiers.in_text("\n".join(root.itertext()), name, part=part)


def check_html(text: str, name: str, profile: Profile, part: str = "") -> Iterator[Finding]:
    """A report, or a notebook's table: as a drawing, and each table in it is checked."""
    yield from check_lines(_without_pictures(text), name, part, MOST_MARKUP_LINE)
    yield from _remarks(text, name, part)
    if not text.strip():
        return
    try:
        root = html.document_fromstring(text)
    except (etree.ParserError, ValueError):
        yield finding("unreadable", name, part=part)
        return
    yield from _elements(root, name, part, html_page=True)
    for number, element in enumerate(root.iter("table"), start=1):
        where = f"{part} table {number}".strip()
        for one in check_table(_html_table(element, name), profile):
            yield Finding(one.rule, one.file, one.row, one.column, one.words, where)
    body = "\n".join(piece for piece in root.itertext() if piece.strip())
    yield from identifiers.in_text(body, name, part=part)
    yield from check_stated(body, name, profile, part)


def check_pdf(data: bytes, name: str) -> Iterator[Finding]:
    """What of a PDF is read without drawing it; a person looks at its pages."""
    for pattern, what in _PDF:
        if re.search(pattern, data):
            yield finding("active", name, what=what)
    end = data.rfind(b"%%EOF")
    if end < 0:
        yield finding("unreadable", name)
    elif (left := len(data[end + 5 :].strip())) > 0:
        yield finding("trailing", name, size=left)
    if data.count(b"%%EOF") > 2:  # two in a linearised file; more are earlier states, still readable
        yield finding("hidden", name, what="earlier versions of the pages")
    if archive_in(data):
        yield finding("archive", name)


def _remarks(text: str, name: str, part: str) -> Iterator[Finding]:
    if found := _REMARK.search(text):
        yield finding("hidden", name, text.count("\n", 0, found.start()) + 1, part=part, what="comment")


def _elements(root: Any, name: str, part: str, html_page: bool = False) -> Iterator[Finding]:
    for element in root.iter():
        if not isinstance(element.tag, str):
            continue
        tag = etree.QName(element).localname.lower()
        charset = (
            tag == "meta"
            and set(element.attrib) <= {"charset", "name", "content"}
            and "http-equiv" not in element.attrib
        )
        if tag in _ACTIVE and not charset:
            yield finding("active", name, element.sourceline or 0, part=part, what=tag)
        if not html_page and tag == "metadata" and len("".join(element.itertext())) > 2_000:
            yield finding("metadata", name, element.sourceline or 0, part=part, what="metadata")
        yield from _attributes(element, tag, name, part)


def _attributes(element: Any, tag: str, name: str, part: str) -> Iterator[Finding]:
    row = element.sourceline or 0
    for key, value in element.attrib.items():
        local = key.rsplit("}", 1)[-1].lower()
        if local.startswith("on"):
            yield finding("active", name, row, part=part, what=local)
        elif local in ("href", "src", "action", "data", "poster", "srcset") and not value.startswith("#"):
            yield from _address(value, tag, name, row, part)
        elif (local == "style" and _UNSEEN.search(value)) or (
            local in ("hidden", "display") and value in ("", "none", "hidden")
        ):
            yield finding("hidden", name, row, part=part, what=f"{tag} {local}")
        if "url(" in value and "url(#" not in value:
            yield finding("outside", name, row, part=part)


def _address(value: str, tag: str, name: str, row: int, part: str) -> Iterator[Finding]:
    picture = _DATA.match(value)
    if picture:
        try:
            data = base64.b64decode(picture[1])
        except ValueError:
            data = b""
        if format_of(data) in ("png", "jpeg"):
            yield from check_picture(data, name, part or "picture")
        else:
            yield finding("unreadable", name, row, part=part)
    elif tag != "a":
        yield finding("outside", name, row, part=part)


def _without_pictures(text: str) -> str:
    """The text, pictures in base 64 taken out: they are checked as pictures."""
    return re.sub(r"data:image/(?:png|jpe?g);base64,[A-Za-z0-9+/=\s]+", "", text)


def _html_table(element: Any, name: str) -> Any:
    rows = [[" ".join("".join(cell.itertext()).split()) for cell in row.iter("th", "td")] for row in element.iter("tr")]
    rows = [row for row in rows if row]
    if not rows:
        return table_of(name, (), ())
    if len(rows) > 1 and not any(rows[1][1:]):  # pandas names the index on a line of its own
        rows = [[rows[1][0], *rows[0][1:]], *rows[2:]]
    return table_of(name, rows[0], rows[1:])
