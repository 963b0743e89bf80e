"""Drawing: Jinja environments, one per language (and zone), and what every page is given."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from estran.portal import charts, drawing, icons
from estran.portal.language import LANGUAGES, Language
from estran.portal.navigation import menu
from estran.portal.quality_words import called, check_name
from estran.portal.reasons import reason
from estran.portal.words import unit, word
from estran.projects.gate import Shown
from estran.text.analysis import tokens

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
STATIC = HERE / "static"


def render(template: str, spoken: Language, **context: Any) -> str:
    """A template in one language, as text."""
    return _environment(spoken).get_template(template).render(**context)


@cache
def _environment(spoken: Language) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=select_autoescape(default=True), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False, extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_translations(spoken.words, newstyle=True)  # type: ignore[attr-defined]
    environment.filters.update(
        number=spoken.number, date=spoken.date, moment=spoken.moment, percent=spoken.percent, ago=spoken.ago,
        count=lambda shown: shown_text(shown, spoken), word=lambda text, kind: word(spoken, kind, text),
        reason=lambda text: reason(spoken, text), tags=tags, replace_word=replace_word,
        called=lambda text, kind: called(spoken, kind, text), check=lambda one: check_name(spoken, one),
        pair=lambda value: (value, unit(value)), unit=unit,
    )
    environment.globals.update(
        lang=spoken.code, languages=LANGUAGES, static=static_url, icon=icons.icon, charts=charts, drawing=drawing,
        plural=spoken.plural, zip=zip, menu=menu,
    )
    return environment


def shown_text(shown: Shown | int | None, spoken: Language) -> str:
    """A count as the gate lets it be written."""
    if shown is None:
        return "–"
    if isinstance(shown, int):
        return spoken.number(shown)
    if shown.below:
        return f"<\u00a0{spoken.number(shown.below)}"
    return f"≈\u00a0{spoken.number(shown.value)}" if shown.margin else spoken.number(shown.value)


_TAG = re.compile(r"\[[A-Z][A-Z_]{1,30}\]")


def tags(text: str) -> Markup:
    """The text escaped, with the tags that stand for what was removed set apart."""
    return Markup(_TAG.sub(lambda m: f'<span class="tag">{m[0]}</span>', str(escape(text))))  # noqa: S704


def replace_word(text: str, before: str, after: str) -> str:
    """The search with one word spelt otherwise, whatever its case and accents."""
    pieces, at = [], 0
    for token in tokens(text):
        if token.word == before:
            pieces += [text[at : token.start], after]
            at = token.end
    return "".join([*pieces, text[at:]])


@cache
def static_url(name: str) -> str:
    """Address of a static file, which changes when the file does."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]
    return f"/static/{name}?v={digest}"

