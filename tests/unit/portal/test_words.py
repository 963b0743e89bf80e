"""Catalogue, numbers, dates, units."""

from __future__ import annotations

import datetime as dt

from babel.messages.pofile import read_po

from estran.portal import catalogue
from estran.portal.language import language, preferred
from estran.portal.pages import replace_word, tags
from estran.portal.words import WORDS, unit, word


def test_every_message_is_translated() -> None:
    asked = {message.id for message in catalogue.messages() if message.id}
    french = catalogue.french()
    assert asked == {message.id for message in french if message.id}
    assert catalogue.untranslated(french) == []


def test_placeholders_are_the_same_in_both_languages() -> None:
    for message in catalogue.french():
        assert [str(e) for e in message.check()] == []


def test_the_compiled_catalogue_is_the_written_one() -> None:
    with (catalogue.FRENCH / "estran.po").open("rb") as stream:
        assert (catalogue.FRENCH / "estran.mo").read_bytes() == catalogue.compiled(read_po(stream, locale="fr"))


def test_numbers_and_dates_follow_the_language() -> None:
    fr, en = language("fr"), language("en")
    assert fr.number(1234567.5) == "1\u202f234\u202f567,5"
    assert en.number(1234567.5) == "1,234,567.5"
    assert fr.date(dt.date(2024, 2, 3)) == "3 févr. 2024"
    assert fr.plural("%(count)s event", "%(count)s events", 1) == "1 événement"
    assert fr.number(None) == "–"


def test_moments_are_told_by_the_clocks_of_the_site() -> None:
    here, night = language("fr", "Europe/Paris"), dt.datetime(2024, 6, 30, 22, 30, tzinfo=dt.UTC)
    assert here.moment(night) == "1 juil. 2024 00:30"
    assert here.date(night) == "1 juil. 2024"
    assert here.moment(dt.datetime(2024, 1, 3, 22, 30, tzinfo=dt.UTC)) == "3 janv. 2024 23:30"
    assert language("en", "America/Cayenne").date(dt.datetime(2024, 6, 30, 2, tzinfo=dt.UTC)) == "29 Jun 2024"
    assert here.moment(dt.datetime(2024, 6, 30, 22, 30)) == "30 juin 2024 22:30", "a time of the patient's is one of the wall"
    assert here.date(dt.date(2024, 6, 30)) == "30 juin 2024"
    assert language("fr", "America/Cayenne") != here
    assert here.moment(dt.datetime(9999, 12, 31, 23, 59, tzinfo=dt.UTC)) == "31 déc. 9999 23:59", "which has no next day"


def test_an_unknown_language_is_french() -> None:
    assert language("xx").code == "fr"
    assert preferred("de-DE, en;q=0.8, fr;q=0.5") == "en"
    assert preferred("de") == ""


def test_closed_lists_have_words_in_both_languages() -> None:
    for kind, words in WORDS.items():
        for key in words:
            assert word(language("fr"), kind, key)
    assert word(language("fr"), "sex", "surprise") == "surprise"


def test_units_are_written_as_people_write_them() -> None:
    assert [unit(u) for u in ("umol/L", "10*9/L", "mm[Hg]", "g/L", "{ratio}")] == ["µmol/L", "10⁹/L", "mmHg", "g/L", ""]


def test_text_is_escaped_around_its_tags() -> None:
    assert tags("<b> [NOM]") == '&lt;b&gt; <span class="tag">[NOM]</span>'


def test_a_misspelt_word_is_replaced_where_it_stands() -> None:
    assert replace_word('"Insufisance cardiaque"', "insufisance", "insuffisance") == '"insuffisance cardiaque"'
