"""Reading the holdings that a member answered: nothing of a shape, a size or a kind that was not asked for."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import orjson

from estran.model.errors import UsageError
from estran.projects.services import service_of

_MOST_SITES, _MOST_KINDS, _MOST_CODES, _MOST_YEARS, _MOST_SERVICES, _MOST_VIA = 200, 500, 5_000, 200, 100, 10
_LARGEST = 64_000_000
_TEXTS = ("name", "homepage", "controller")
_MONTH = re.compile(r"(\d{4}-\d{2})?")
_YEAR = re.compile(r"\d{4}")


def cleaned(data: bytes) -> list[dict[str, Any]]:
    """The sites of an answer; UsageError when they are not what a site answers."""
    try:
        if len(data) > _LARGEST:
            raise ValueError
        sites = [_site(one) for one in _list(orjson.loads(data)["sites"], _MOST_SITES)]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UsageError("The holdings that came with the catalogue cannot be read.") from None
    if not sites or len({one["name"] for one in sites}) != len(sites):
        raise UsageError("The holdings that came with the catalogue name no site, or one twice.")
    return sites


def _site(one: dict[str, Any]) -> dict[str, Any]:
    homepage = _text(one["homepage"])
    if not homepage.startswith(("https://", "http://")):
        raise ValueError
    return {
        **{name: _text(one[name]) for name in _TEXTS}, "homepage": homepage, "day": _day(one["day"]),
        "snapshot": _whole(one["snapshot"]), "first": _matching(_MONTH, one["first"]), "last": _matching(_MONTH, one["last"]),
        "via": [_text(name) for name in _list(one["via"], _MOST_VIA)],
        "patients": _count(one["patients"]), "records": _count(one["records"]),
        "kinds": [_line(line) | {"years": _years(line["years"])} for line in _list(one["kinds"], _MOST_KINDS)],
        "codes": [_line(line) for line in _list(one["codes"], _MOST_CODES)],
        "services": [_service(line) for line in _list(one.get("services", []), _MOST_SERVICES)],
    }  # fmt: skip


def _service(one: object) -> dict[str, Any]:
    try:
        return vars(service_of(one))
    except UsageError:
        raise ValueError from None


def _line(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": _text(one["key"]), "fr": _text(one["fr"]), "en": _text(one["en"]), "nature": _text(one["nature"]),
        "patients": _count(one["patients"]), "rows": _count(one["rows"]), "first": _matching(_MONTH, one["first"]),
        "last": _matching(_MONTH, one["last"]),
    }  # fmt: skip


def _years(rows: Any) -> list[list[Any]]:
    return [[_matching(_YEAR, year), *_count(count)] for year, *count in _list(rows, _MOST_YEARS)]


def _count(value: Any) -> list[int]:
    shown = [_whole(number) for number in _list(value, 3)]
    if len(shown) != 3:
        raise ValueError
    return shown


def _list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError
    return value


def _text(value: Any, most: int = 300) -> str:
    if not isinstance(value, str):
        raise ValueError
    return "".join(c for c in value if c.isprintable())[:most]


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError
    return value


def _day(value: Any) -> str:
    return dt.date.fromisoformat(value).isoformat()


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError
    return value
