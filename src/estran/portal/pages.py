"""Drawing: Jinja environments, one per language, and what every page is given."""

from __future__ import annotations

import datetime as dt
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from estran.portal import charts, icons
from estran.portal.language import LANGUAGES, Language, language
from estran.portal.words import word
from estran.projects.gate import FLOOR, Shown

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
STATIC = HERE / "static"


def render(template: str, code: str, **context: Any) -> str:
    """A template in one language, as text."""
    return _environment(code).get_template(template).render(**context)


@cache
def _environment(code: str) -> Environment:
    spoken = language(code)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(default=True), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False, extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(spoken.words, newstyle=True)  # type: ignore[attr-defined]
    environment.filters.update(
        number=spoken.number, date=spoken.date, moment=spoken.moment, percent=spoken.percent, ago=spoken.ago,
        count=lambda shown: shown_text(shown, spoken), word=lambda text, kind: word(spoken, kind, text),
    )
    environment.globals.update(
        lang=spoken.code, languages=LANGUAGES, static=static_url, icon=icons.icon, charts=charts, plural=spoken.plural,
        zip=zip,
    )
    return environment


def shown_text(shown: Shown | int | None, spoken: Language) -> str:
    """A count as the gate lets it be written."""
    if shown is None:
        return "–"
    if isinstance(shown, int):
        return spoken.number(shown)
    return f"<\u00a0{FLOOR}" if shown.below else spoken.number(shown.value)


@cache
def static_url(name: str) -> str:
    """Address of a static file, which changes when the file does."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]
    return f"/static/{name}?v={digest}"


def day_of(days: int | None) -> dt.date | None:
    """The date that is `days` after 1970-01-01."""
    return None if days is None else dt.date(1970, 1, 1) + dt.timedelta(days=days)


def safe(markup: str) -> Markup:
    """Mark text as already escaped; the caller escaped every part that came from elsewhere."""
    return Markup(markup)  # noqa: S704
