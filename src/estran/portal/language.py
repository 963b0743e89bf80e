"""French and English: gettext catalogues shipped compiled, and numbers and dates as each language writes them."""

from __future__ import annotations

import datetime as dt
import gettext
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_decimal, format_percent

LANGUAGES = {"fr": "Français", "en": "English"}
DOMAIN = "estran"
FOLDER = Path(__file__).parent / "locale"


@lru_cache(maxsize=1 << 14)
def _decimal(value: float, form: str, locale: Locale) -> str:
    return str(format_decimal(value, format=form, locale=locale))


@dataclass(frozen=True)
class Language:
    """One language: its words and its ways of writing numbers and dates."""

    code: str
    words: gettext.NullTranslations
    locale: Locale
    clocks: ZoneInfo  # of the site: moments are told as they show them

    def text(self, message: str, **values: object) -> str:
        """The message in this language, `%(name)s` filled in."""
        found = self.words.gettext(message)
        return found % values if values else found

    def plural(self, one: str, many: str, count: int, **values: object) -> str:
        """The message that fits the count."""
        return self.words.ngettext(one, many, count) % {"count": self.number(count), **values}

    def number(self, value: float | None, digits: int | None = None) -> str:
        """A number with the language's separators; `digits` decimals when given, else what it has."""
        if value is None:
            return "–"
        form = "#,##0" + ("." + "0" * digits if digits else "" if digits == 0 else ".######")
        return _decimal(value, form, self.locale)

    def percent(self, share: float) -> str:
        """A share of 1 with one decimal."""
        return str(format_percent(share, format="0.0\u202f%" if self.code == "fr" else "0.0%", locale=self.locale))

    def date(self, value: dt.date | None) -> str:
        """A day, written short and unambiguous; of an aware moment that of the site's clocks."""
        if isinstance(value, dt.datetime):
            value = self._local(value)
        return "–" if value is None else str(format_date(value, format="d MMM y", locale=self.locale))

    def moment(self, value: dt.datetime | None) -> str:
        """A day and a time; those of an aware moment by the site's clocks."""
        return "–" if value is None else str(format_datetime(self._local(value), format="d MMM y HH:mm", locale=self.locale))

    def _local(self, value: dt.datetime) -> dt.datetime:
        if value.tzinfo is None:
            return value
        try:
            return value.astimezone(self.clocks).replace(tzinfo=None)
        except OverflowError:  # the last day that there is, as systems write that nothing ends
            return value.replace(tzinfo=None)

    def ago(self, value: dt.datetime) -> str:
        """How long ago, in words."""
        return str(format_timedelta(value - dt.datetime.now(dt.UTC), add_direction=True, locale=self.locale))


@cache
def language(code: str, zone: str = "UTC") -> Language:
    """The language of this code, at a site in this zone; French when it is not spoken here."""
    known = code if code in LANGUAGES else "fr"
    words = gettext.translation(DOMAIN, FOLDER, [known], fallback=known == "en")
    return Language(known, words, Locale.parse(known), ZoneInfo(zone))


def preferred(header: str) -> str:
    """The first language of an Accept-Language header that is spoken here, or ""."""
    for part in header.split(","):
        code = part.partition(";")[0].strip().lower()[:2]
        if code in LANGUAGES:
            return code
    return ""
