"""What the name of a document's file says: `IPP_NDA_DATE_KIND[_ID].pdf`, or a site's own pattern."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from estran.model.errors import UsageError

DEFAULT = "{ipp}_{nda}_{date}_{kind}[_{id}]"
_FIELDS = frozenset(
    ("ipp", "ipp_system", "nda", "nda_system", "date", "kind", "id", "version", "title", "unit", "status", "lang", "*")
)
_SHAPES = {"ipp": r"\S+?", "nda": r"\S*?", "date": r"[\dT:h-]+?", "version": r"\d+?"}
_PIECE = re.compile(r"\{([a-z_*]+)\}|([\[\]])|([^{}\[\]]+)|(.)")
_DAY = re.compile(r"(\d{4})(\d{2})(\d{2})(?:[T-]?(\d{2})[h:-]?(\d{2})\d{0,2})?")


def named(name: str, pattern: str = DEFAULT) -> dict[str, Any] | None:
    """Fields of a report from the name of its file; None when the name does not follow the pattern.

    `id` is the whole name without its ending unless the pattern gives one.
    """
    stem = stem_of(name)
    found = _compiled(pattern).fullmatch(stem)
    if not found:
        return None
    row: dict[str, Any] = {"id": stem} | {key: value for key, value in found.groupdict().items() if value}
    day = _DAY.fullmatch(str(row.get("date", "")))
    if day:
        year, month, date, hour, minute = day.groups()
        row["date"] = f"{year}-{month}-{date}" + (f"T{hour}:{minute}" if hour else "")
    return row if row.get("ipp") else None


def stem_of(name: str) -> str:
    """The file's name without folder, `.gz` and ending."""
    bare = PurePosixPath(name.replace("\\", "/")).name
    bare = bare[:-3] if bare.lower().endswith(".gz") else bare
    return bare.rpartition(".")[0] or bare


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    """`{field}` between literal characters, `[…]` optional, `{*}` anything. Raises UsageError."""
    seen: list[str] = []
    pieces: list[str] = []
    for field_name, bracket, literal, other in _PIECE.findall(pattern):
        if other or (field_name and field_name not in _FIELDS) or field_name in seen:
            raise _bad_pattern(pattern)
        if field_name == "*":
            pieces.append(".*?")
        elif field_name:
            seen.append(field_name)
            pieces.append(f"(?P<{field_name}>{_SHAPES.get(field_name, '.+?')})")
        else:
            pieces.append({"[": "(?:", "]": ")?"}.get(bracket) or re.escape(literal))
    try:
        compiled = re.compile("".join(pieces))
    except re.error:
        raise _bad_pattern(pattern) from None
    if "ipp" not in seen:
        raise _bad_pattern(pattern)
    return compiled


def _bad_pattern(pattern: str) -> UsageError:
    return UsageError(
        "The pattern of report names is not well formed.", where=f"report_name = {pattern}",
        hint=f"fields in braces, each once, {{ipp}} among them, optional parts in brackets, as in {DEFAULT}",
    )
