"""`estran.toml`: the settings of a site on disk, each with its sentence."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path
from zoneinfo import ZoneInfo

from estran.model import feeds
from estran.model.errors import UsageError
from estran.settings import Settings

FILE_NAME = "estran.toml"


def read_settings(site: Path) -> Settings:
    """Settings of the site directory `site`; raises UsageError with the offending name."""
    path = site / FILE_NAME
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UsageError("This directory is not an Estran site.", where=str(site), hint=f"estran init {site}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The settings are not valid TOML: {error}.", where=str(path)) from None
    values.pop(feeds.TABLE, None)  # read by `read_feeds`
    known = {f.name: f for f in dataclasses.fields(Settings)}
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"No setting is called '{name}'.", where=str(path), hint=f"use one of {', '.join(known)}")
        if type(value) is not type(known[name].default):
            raise UsageError(f"Setting '{name}' must be a {type(known[name].default).__name__}.", where=str(path))
        among = known[name].metadata["among"]
        if among and value not in among:
            raise UsageError(f"Setting '{name}' must be one of: {', '.join(among)}.", where=str(path))
    read = Settings(**values)
    check_zone(read.zone, str(path))
    return read


def check_zone(zone: str, where: str = "") -> None:
    """UsageError unless clocks of this zone are known."""
    try:
        ZoneInfo(zone)
    except (KeyError, OSError, ValueError):
        raise UsageError(f"No time zone is called '{zone}'.", where=where, hint='zone = "Europe/Paris"') from None


def write_settings(site: Path, settings: Settings) -> None:
    """Write every setting with its sentence, so that the file documents itself."""
    lines: list[str] = []
    for item in dataclasses.fields(Settings):
        value = getattr(settings, item.name)
        shown = json.dumps(value, ensure_ascii=False)  # strings, numbers and booleans read the same in TOML
        lines += [f"# {item.metadata['sentence']}", f"{item.name} = {shown}", ""]
    (site / FILE_NAME).write_text("\n".join(lines), "utf-8")
