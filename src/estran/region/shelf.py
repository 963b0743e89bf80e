"""The content files as they lie in the package."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import Any


def text_of(name: str) -> str:
    """A content file as text."""
    return files("estran.region.content").joinpath(name).read_text("utf-8")


@lru_cache(maxsize=16)
def toml(name: str) -> dict[str, Any]:
    """A content file of tables."""
    return tomllib.loads(text_of(name))
