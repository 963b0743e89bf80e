"""The feeds of a site, as `[[feed]]` tables of its `estran.toml` name them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from estran.model.errors import UsageError

TABLE = "feed"
_SPAN = re.compile(r"(\d{1,4})\s*(s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Feed:
    """One source of data: its files lie at `path`, relative to the site's directory.

    `every` (as `10min`) says how often `estran run` looks for new files, "" that it does not; after
    `expected` (as `24h`) without anything new the feed counts as silent, "" when silence means nothing.
    `mapping` is the YAML file, beside estran.toml, by which a csv or sql feed is read; sql needs no path.
    """

    name: str
    format: str
    path: str
    mapping: str = ""
    every: str = ""
    expected: str = ""

    @property
    def source(self) -> str:
        """As the loads of this feed are named: after its mapping, when it has one."""
        return f"{self.format}/{Path(self.mapping).name.split('.')[0] if self.mapping else self.name}"

    @property
    def every_seconds(self) -> int | None:
        return seconds(self.every)

    @property
    def expected_seconds(self) -> int | None:
        return seconds(self.expected)


def seconds(span: str) -> int | None:
    """Seconds of `90s`, `10min`, `24h` or `7d`; None when empty. Raises UsageError otherwise."""
    if not span:
        return None
    found = _SPAN.fullmatch(span.strip())
    if not found or not int(found[1]):
        raise UsageError(f"'{span}' is no length of time.", hint="write 90s, 10min, 24h or 7d")
    return int(found[1]) * _SECONDS[found[2]]


def read_feeds(toml: Path) -> tuple[Feed, ...]:
    """The feeds of a site file, in its order: the order in which they are loaded.

    Raises UsageError that names the feed and the field.
    """
    rows = tomllib.loads(toml.read_text("utf-8")).get(TABLE, [])
    if not isinstance(rows, list):
        raise UsageError("Feeds are written as [[feed]] tables.", where=str(toml))
    feeds = tuple(_feed(row, number, toml) for number, row in enumerate(rows, start=1))
    names = [feed.name for feed in feeds]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"Two feeds are called '{name}'.", where=str(toml), hint="give each its own name")
    return feeds


def _feed(row: Any, number: int, toml: Path) -> Feed:
    where = f"{toml}, feed {number}"
    known = [item.name for item in fields(Feed)]
    for name, value in row.items():
        if name not in known:
            raise UsageError(f"A feed has no '{name}'.", where=where, hint=f"use one of {', '.join(known)}")
        if not isinstance(value, str):
            raise UsageError(f"'{name}' of a feed must be a text in quotes.", where=where)
    for name in ("name", "format", "path"):
        if not row.get(name) and (name, row.get("format")) != ("path", "sql"):
            raise UsageError(f"A feed needs its '{name}'.", where=where)
    feed = Feed(**{"path": "", **row})
    for span in (feed.every, feed.expected):
        seconds(span)
    return feed
