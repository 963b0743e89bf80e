"""The settings of a site: one frozen list, each with its default and a sentence."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from estran.model.errors import UsageError


def _setting(default: Any, sentence: str) -> Any:
    return field(default=default, metadata={"sentence": sentence})


@dataclass(frozen=True)
class Settings:
    """What `estran.toml` may say. Unknown names are refused."""

    name: str = _setting("Estran", "Name of the site, shown on every page.")
    zone: str = _setting("Europe/Paris", "Time zone in which the site's clocks tell the time.")
    language: str = _setting("fr", "Language of pages and explanations when nobody chose: fr or en.")
    bucket_patients: int = _setting(400_000, "Patients per bucket; fixed once the site holds data.")
    row_group_rows: int = _setting(131_072, "Rows per Parquet row group.")
    commit_records: int = _setting(400_000, "Input records gathered before a load commits a snapshot.")
    author_system: str = _setting("", "Assigning authority of patient numbers that come without one.")


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
    known = {f.name: f for f in dataclasses.fields(Settings)}
    for name, value in values.items():
        if name not in known:
            raise UsageError(f"No setting is called '{name}'.", where=str(path), hint=f"use one of {', '.join(known)}")
        if type(value) is not type(known[name].default):
            raise UsageError(f"Setting '{name}' must be a {type(known[name].default).__name__}.", where=str(path))
    return Settings(**values)


def write_settings(site: Path, settings: Settings) -> None:
    """Write every setting with its sentence, so that the file documents itself."""
    lines: list[str] = []
    for item in dataclasses.fields(Settings):
        value = getattr(settings, item.name)
        shown = (
            f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
        )
        lines += [f"# {item.metadata['sentence']}", f"{item.name} = {shown}", ""]
    (site / FILE_NAME).write_text("\n".join(lines), "utf-8")
