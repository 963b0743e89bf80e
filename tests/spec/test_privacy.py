"""Nothing of a person can be read in any file of a site, key file aside, nor in what it says.

The site holds every set of data and the planted reports. All files are decoded as far as can be:
Parquet and Arrow columns, SQLite rows, the terms of text indexes, JSON; and read as raw bytes.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from tests.spec import identities, planted, scanner
from tests.spec import site_kit as kit
from tests.spec.conftest import Everything
from tests.spec.identities import Identity

from estran.app import Site
from estran.model.codes import Precision

ZONE = "Europe/Paris"
_WORD = re.compile(r"[^\W_]+")
# What testers type, and what bytes hold by chance.
TRIVIAL = {"0123456789"[a:b] for a in range(3) for b in range(a + 6, 11)} | {d * n for d in "0123456789" for n in range(6, 16)}
# Words of sending applications (MSH-3), after which the vocabularies of their local codes are called.
APPLICATIONS = frozenset({"generator"})


# Planted identities: without exception


def planted_wanted() -> scanner.Wanted:
    """Every way in which a planted identity was written."""
    words, digits, phrases = [], [], []
    for p in planted.PEOPLE:
        words += p.names
        digits += [number for number in p.numbers if number.isdigit()]
        digits += [p.ins[:13], f"33{p.mobile[1:]}", f"{p.birth:%d%m%Y}", f"{p.birth:%Y%m%d}"]
        words += [number for number in p.numbers if not number.isdigit()]
        phrases += [p.mail, p.street, p.spelt, f"{p.family} {p.given}", p.town]
    return scanner.Wanted(words, digits, phrases)


@pytest.fixture(scope="module")
def inputs(everything: Everything) -> str:
    """What was loaded of the planted reports, as one text; FHIR attachments decoded."""
    return "\n".join(report.text for report in planted.reports()) + "".join(
        path.read_text("utf-8") for paths in everything.inputs.values() for path in paths
    )


def test_the_scan_finds_what_was_planted(inputs: str) -> None:
    """A scan that finds nothing proves something only if it can find."""
    wanted = planted_wanted()
    written = wanted.in_text(inputs)
    people = planted.PEOPLE
    assert written >= wanted.words | {n for p in people for n in p.numbers if n.isdigit()} | {f"{p.birth:%Y%m%d}" for p in people}
    assert written >= {scanner.fold(t) for p in people for t in (p.mail, p.street, f"{p.family} {p.given}", p.town)}
    assert wanted.in_bytes(inputs.encode()) >= {w for w in wanted.words if len(w) >= 8}
    assert len(planted.reports()) == 40


def test_a_number_is_found_however_it_is_parted() -> None:
    wanted = scanner.Wanted(digits=["000010017"])
    for text in ("n° 000010017", "0000-10 017", '"path":"000010017-70c5f534.parquet"', "x000000010-017c5f53.parquet"):
        assert wanted.in_text(text) == {"000010017"}, text
    assert wanted.in_text('"path":"000000010-017c5f53.parquet"') == set(), "version 10, and a random 017"


def test_the_moment_of_a_commit_is_no_number_and_other_numbers_beside_it_are_found() -> None:
    wanted = scanner.Wanted(digits=["795397025"])
    for text in ('"timestamp":1795397025082,', '"deletionTimestamp":1795397025082', '{\\"createdTime\\":1795397025082,'):
        assert wanted.in_text(text) == set(), text
    for text in ('"timestamp":1795397025082,"n":"795397025"', '"timestamp":795397025', '"value":1795397025082', "timestamp 1795397025082"):
        assert wanted.in_text(text) == {"795397025"}, text


@pytest.fixture(scope="module")
def found(everything: Everything, people: list[Identity]) -> set[scanner.Found]:
    """One look for everybody into every file of the site."""
    return scanner.scan(everything.site.directory, planted_wanted() | wanted_of(people, ordinary_words(everything.site)))


def _said(found: set[scanner.Found], wanted: scanner.Wanted) -> list[str]:
    every = wanted.words | wanted.digits | wanted.phrases
    return sorted(f"{f.what} in {f.where}" for f in found if f.what in every)


_STEMS = ("meta.json:text", "meta.json:title")  # their words stand in the fields beside; années has the stem anne


def test_planted_identities_are_nowhere(found: set[scanner.Found]) -> None:
    assert _said(found, planted_wanted()) == []


def test_planted_identities_are_in_no_number(everything: Everything) -> None:
    """Birth dates, phones and hospital numbers typed in a field for numbers."""
    typed = {float(n) for p in planted.PEOPLE for n in p.numbers if n.isdigit()}
    typed |= {float(f"{p.birth:{form}}") for p in planted.PEOPLE for form in ("%Y%m%d", "%d%m%Y")}
    for table in ("fact", "fact_by_concept", "fact_attribute"):
        values = {row[0] for row in kit.rows(everything.site, f"select distinct value from raw_{table}")}
        assert not values & typed, table


def test_masked_reports_keep_their_medicine(everything: Everything) -> None:
    """Masking takes identities out, not the rest: each report still answers a search by its content."""
    texts = [row[0] for row in kit.rows(everything.site, "select text from text join document using (document_id) where source like '%planted'")]
    for phrase, reports in {
        "insuffisance cardiaque aiguë": 5, "triangle de Calot": 5, "passages infirmiers": 5, "pas d'embolie pulmonaire": 5,
        "hématome du genou gauche": 5, "pas d'idée suicidaire": 5, "Glycémie 1,12 g/L": 5, "fibrillation auriculaire": 5,
    }.items():  # fmt: skip
        assert sum(phrase in text for text in texts) == reports, phrase


# Identities of every set of data


@pytest.fixture(scope="module")
def people(shared: Path) -> list[Identity]:
    return identities.everyone(shared)


@cache
def ordinary_words(site: Site) -> frozenset[str]:
    """French and English words, medical terms: what names are compared with (the house's own list, the
    labels of every vocabulary and of the wards, the published cases)."""
    listed = resources.files("estran.identity").joinpath("words_fr.txt").read_text("utf-8").splitlines()
    labels = kit.rows(site, "select distinct unnest([label_fr, label_en]) from raw_concept")
    cases = kit.rows(site, "select text from raw_text t join raw_document d using (document_id) where d.source like 'report/cases'")
    clinics = kit.rows(site, "select distinct label from raw_unit")
    sources = [*listed, *(row[0] or "" for row in [*labels, *cases, *clinics])]
    return frozenset(word for text in sources for word in _WORD.findall(scanner.fold(text))) | APPLICATIONS


def wanted_of(people: Iterable[Identity], ordinary: frozenset[str]) -> scanner.Wanted:
    words: set[str] = set()
    digits: set[str] = set()
    phrases: set[str] = set()
    for who in people:
        parts = (word for name in who.names for word in _WORD.findall(scanner.fold(name)))
        words |= {w for w in parts if sum(map(str.isalpha, w)) >= 4 and w not in ordinary}
        numbers = {scanner.fold(n) for n in who.numbers | who.others if len(n) >= 6 and any(c.isdigit() for c in n)}
        numbers -= TRIVIAL
        words |= {n for n in numbers if _WORD.fullmatch(n)}
        phrases |= {n for n in numbers if not _WORD.fullmatch(n)}
        tight = {scanner.squeezed(n) for n in numbers}
        digits |= {n for n in tight if n.isdigit() and len(n) >= 9}
        phrases |= {a for a in who.addresses if len(a) >= 8 and any(c.isdigit() for c in a)}
    return scanner.Wanted(words, digits, phrases)


def test_identities_of_the_sets_are_nowhere(everything: Everything, people: list[Identity], found: set[scanner.Found]) -> None:
    wanted = wanted_of(people, ordinary_words(everything.site))
    assert len(wanted.words) > 1000 and len(wanted.phrases) > 1000, "the inputs do hold identities"
    assert [line for line in _said(found, wanted) if not line.endswith(_STEMS)] == []


def test_nothing_is_said_while_loading(everything: Everything, people: list[Identity]) -> None:
    """Streams and logs, at their most talkative."""
    assert planted_wanted().in_text(everything.output) == set()
    assert wanted_of(people, ordinary_words(everything.site)).in_text(everything.output) == set()


# Birth dates


def births_of(site: Site, people: Iterable[Identity]) -> dict[int, set[dt.date]]:
    """patient_id → the birth dates that the inputs give; matched by number, not through the vault's traits."""
    by_number: dict[str, set[dt.date]] = {}
    known = [(n, who.birth) for who in people for n in who.numbers]
    known += [(p.ipp, p.birth) for p in planted.PEOPLE]
    for number, birth in known:
        if birth and number:
            by_number.setdefault(number, set()).add(birth)
    found: dict[int, set[dt.date]] = {}
    with site.vault() as vault:
        for patient, keys in vault.natural_keys().patients.items():
            for key in keys.split("\n"):
                number = key.partition("|")[2].removeprefix("Patient/")
                found.setdefault(patient, set()).update(by_number.get(number, ()))
    return {patient: births for patient, births in found.items() if births}


@pytest.fixture(scope="module")
def births(everything: Everything, people: list[Identity]) -> dict[int, set[dt.date]]:
    found = births_of(everything.site, people)
    assert len(found) > 2800
    return found


def _dates(site: Site) -> Iterator[tuple[str, int, object, int]]:
    """(column, patient, date or instant, precision) of every stored moment of a patient."""
    exact = int(Precision.DAY)
    for table, columns, precision in (
        ("stay", "start_date end_date", "precision"), ("movement", "start_date end_date event_time", "precision"),
        ("document", "start_date known_at event_time", "precision"), ("fact", "start_date end_date known_at", "precision"),
        ("fact_by_concept", "start_date end_date", "precision"), ("patient", "birth_month death_date last_news", exact),
        ("permission", "from_date to_date", exact),
    ):  # fmt: skip
        for column in columns.split():
            told = exact if column in ("known_at", "event_time") else precision
            said = kit.rows(site, f"select patient_id, {column}, {told} from raw_{table} where {column} is not null")
            yield from ((f"{table}.{column}", *row) for row in said)
    events = "select s.patient_id, {0}, {1} from raw_stay_event e join raw_stay s using (stay_id) where {0} is not null"
    for column in ("e.start_date", "e.end_date"):
        yield from ((f"stay_event.{column}", *row) for row in kit.rows(site, events.format(column, "e.precision")))
    yield from (("stay_event.event_time", *row) for row in kit.rows(site, events.format("e.event_time", exact)))


def local_date(when: object) -> dt.date:
    if isinstance(when, dt.date):
        return when
    return dt.datetime.fromtimestamp(int(str(when)) / 1_000_000, ZoneInfo(ZONE)).date()


def test_no_stored_moment_is_a_birth_date(everything: Everything, births: dict[int, set[dt.date]]) -> None:
    """A moment on the first of a month says the day only when its precision says so."""
    found = set()
    for column, patient, when, precision in _dates(everything.site):
        if patient in births and when and column != "patient.birth_month":
            date = local_date(when)
            if precision >= Precision.DAY and date in births[patient] and not (date.day == 1 and isinstance(when, int)):
                found.add((column, patient, date))
    assert found == set()


def test_no_age_beside_a_date_gives_a_birth_date_back(everything: Everything, births: dict[int, set[dt.date]]) -> None:
    """Every numeric value with a unit of time, whatever its concept: date - value is never the birth date."""
    days = {"h": 1 / 24, "d": 1.0, "wk": 7.0, "mo": 30.4375, "a": 365.25}
    sql = f"select patient_id, start_date, value, unit from raw_fact where unit in {tuple(days)} and value > 0 and start_date is not null"
    found = set()
    for patient, date, value, unit in kit.rows(everything.site, sql):
        for birth in births.get(patient, ()):
            exact = unit in ("h", "d", "wk") or value % 1 != 0
            if exact and abs((date - birth).days - value * days[unit]) < 1:
                found.add((patient, date, value, unit))
    assert found == set()


def test_no_two_columns_give_a_birth_date_back(everything: Everything, births: dict[int, set[dt.date]]) -> None:
    """Any value of a document, as days, weeks or years before any of its dates, for those whose birth
    date is planted: no column holds its complement."""
    site = everything.site
    moments = list(_dates(site))
    for patient in [kit.patient_of(site, p.ipp) for p in planted.PEOPLE]:
        (birth,) = births[patient]
        dates = {local_date(w) for where, who, w, fine in moments if who == patient and fine >= Precision.DAY and w and "birth" not in where}
        values = [r[0] for r in kit.rows(site, "select value from raw_fact where patient_id = ? and value is not null", patient)]
        lengths = {round(v * n) for v in values for n in (1, 7, 365.25)} | {0}
        assert not {d for d in dates for n in lengths if abs((d - birth).days - n) < 1 and n}, patient
        assert birth not in dates


def test_birth_months_are_told_to_the_month_only(everything: Everything) -> None:
    assert kit.value(everything.site, "select count(*) from raw_patient where day(birth_month) <> 1") == 0


def test_texts_do_not_write_birth_dates(everything: Everything, births: dict[int, set[dt.date]]) -> None:
    """In each patient's own texts, titles and values, in figures and in letters."""
    site, found = everything.site, set()
    own: dict[int, list[str]] = {}
    for sql in ("select patient_id, text from raw_text", "select patient_id, title from raw_document where title is not null",
                "select patient_id, value_text from raw_fact where value_text is not null",
                "select patient_id, value_text from raw_fact_attribute where value_text is not null"):  # fmt: skip
        for patient, text in kit.rows(site, sql):
            own.setdefault(patient, []).append(text)
    for patient, dates in births.items():
        text = "\n".join(dict.fromkeys(own.get(patient, ())))
        tight, plain = scanner.squeezed(text), scanner.fold(text)
        for date in dates:
            month = scanner.fold(planted.MONTHS[date.month - 1])
            forms = {f"{date:%d%m%Y}", f"{date:%Y%m%d}"}
            if any(form in tight for form in forms) or re.search(rf"\b{date.day}\s+{month}\s+{date.year}\b", plain):
                found.add((patient, date))
    assert found == set()


# What cannot be read is sealed


def test_vault_and_landing_are_sealed(everything: Everything) -> None:
    """No part of them is text: encrypted bytes take all values alike."""
    folder = everything.site.directory
    for path in [*(folder / "landing").rglob("*.land")]:
        data = np.frombuffer(path.read_bytes()[64:], np.uint8)
        if len(data) > 4096:
            shares = np.bincount(data, minlength=256) / len(data)
            assert -(shares[shares > 0] * np.log2(shares[shares > 0])).sum() > 7.9, path.name
    assert not list((folder / "landing").rglob("*.part"))


def test_the_key_is_beside_the_site_never_inside(everything: Everything) -> None:
    site = everything.site
    assert site.key_file.parent == site.directory.parent and site.key_file.is_file()
    assert site.key_file.stat().st_mode & 0o077 == 0
    secret = site.key_file.read_bytes().strip().splitlines()[-1]
    assert all(secret not in path.read_bytes() for path in site.directory.rglob("*") if path.is_file())
