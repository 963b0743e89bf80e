"""The words of reports, a shard at a time: what each should say is asked for, then all are written together."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from estran.region.calendar import DAY, french_day, long_day
from estran.region.course import Stay
from estran.region.grammar import Flags, Numbers
from estran.region.growth import Extras, Grown, Noise, grow_all
from estran.region.identities import Identity
from estran.region.samples import Order
from estran.region.shelf import toml
from estran.region.writing.phrases import CHART_DAYS, CHRONIC, STYLES, Phrases, phrases

_ACCENTED = tuple((c, unicodedata.normalize("NFD", c)[0]) for c in "éèàêôîûçâïëùöüÿäÉÈÀÊÔÎÛÇÂÏËÙÖÜÄ")
_BETWEEN = "\0"
_LOST_ACCENTS = 16  # one text in so many
_FLAGS = {"": " ", "H": " ↑ ", "L": " ↓ "}
_RENDEZVOUS, _ADULT = 3, 15
_WHOLE_PANELS, _ORDERS = 1, 6
_CHARTED, _HAVE_CHART = 0.9, 3  # days of a stay that may have a chart; one in so many has it
_CHRONIC = frozenset(CHRONIC)


@dataclass(frozen=True, slots=True)
class Asked:
    """A report to write: of which kind, about what, told when (minute)."""

    kind: str
    stay: Stay
    identity: Identity
    minute: int
    orders: Sequence[Order] = ()
    stage: str = "pT2N0"  # pathology only


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans of many texts, in order: which text, [start, end) in characters, what it is.

    Of a concept the label is its code, and the context is told; of what identifies it is null.
    """

    owners: Numbers
    starts: Numbers
    ends: Numbers
    words: pa.StringArray
    labels: pa.StringArray
    contexts: pa.StringArray


@dataclass(frozen=True, slots=True)
class Written:
    """Reports in the order in which they were asked for."""

    texts: list[str]
    identities: Spans
    mentions: Spans


def write(asked: Sequence[Asked], noise: Noise) -> Written:
    """Write every report that was asked for."""
    book = phrases()
    filling = _Filling(book, asked, noise)
    values = filling.values()
    grown = grow_all(filling.extras.added(), np.array([book.layouts[one.kind] for one in asked]), values, noise)
    lost = noise.many(_LOST_ACCENTS, len(asked)) == 0
    texts, places = grown.texts, np.flatnonzero(lost).tolist()
    for number, text in zip(places, _unaccented([texts[n] for n in places]), strict=True):
        texts[number] = text
    mask = lost[grown.owners]
    plain = pa.array(_unaccented(grown.words.filter(pa.array(mask)).to_pylist()), pa.string())
    return _told(book, grown, pc.replace_with_mask(grown.words, pa.array(mask), plain))


def _unaccented(texts: list[str]) -> list[str]:
    """The same texts without accents: as one, since each call costs more than what it does."""
    joined = _BETWEEN.join(texts)
    for accented, letter in _ACCENTED:
        joined = joined.replace(accented, letter)
    return joined.split(_BETWEEN) if texts else []


def _told(book: Phrases, grown: Grown, words: pa.StringArray) -> Written:
    """Spans apart: what identifies, and concepts."""
    cut = [name.rpartition(":") for name in book.tables.labels]
    contexts, labels = (pa.array([one[place] or None for one in cut], pa.string()) for place in (0, 2))
    is_concept = np.array([":" in name for name in book.tables.labels])[grown.labels]
    found = []
    for kept in (~is_concept, is_concept):
        drawn = pa.array(grown.labels[kept])
        found.append(
            Spans(
                grown.owners[kept],
                grown.starts[kept],
                grown.ends[kept],
                words.filter(pa.array(kept)),
                labels.take(drawn),
                contexts.take(drawn),
            )
        )
    return Written(grown.texts, *found)


class _Filling:
    """What fills the slots of a batch: a row of symbols per slot, a column per text."""

    def __init__(self, book: Phrases, asked: Sequence[Asked], noise: Noise) -> None:
        self._book, self._asked, self._noise = book, asked, noise
        self.extras = Extras(book.tables)

    def values(self) -> Numbers:
        """The symbol of every slot in every text."""
        slots = self._book.tables.slots
        found = np.full((len(slots), len(self._asked)), self._book.plain["empty"], np.int64)
        for filled in (self._people(), self._dates(), self._places(), self._reasons(), self._results()):
            for name, column in filled.items():
                if name in slots:
                    found[slots[name]] = column
        return found

    def _words(self, path: str, label: str = "") -> Numbers:
        """What every report finds at a path of attributes, as words."""
        return self.extras.words(list(map(attrgetter(path), self._asked)), label)

    def _people(self) -> dict[str, Numbers]:
        """Who is named: the patient, a relative, doctors."""
        asked, plain, empty = self._asked, self._book.plain, self._book.plain["empty"]
        women = np.array([one.identity.traits.sex == "F" for one in asked])
        given = toml("names.toml")
        parents = [given["female"]["1965"], given["male"]["1965"]]
        drawn = self._noise.many(1 << 20, len(asked)).tolist()
        return {
            "nom": self._words("identity.traits.used_name", "NOM"), "prenom": self._words("identity.traits.given", "PRENOM"),
            "nom_naissance": self._words("identity.person.birth_name", "NOM"), "ipp": self._words("identity.ipp", "IPP"),
            "adresse": self._words("identity.person.street", "ADRESSE"), "tel": self._words("identity.person.phone", "TEL"),
            "ville": self._words("identity.person.commune.name", "VILLE"), "nda": self._words("stay.number", "NDA"),
            "parent": self.extras.words([parents[n & 1][(n >> 1) % len(parents[n & 1])] for n in drawn], "PRENOM"),
            "proche": np.full(len(asked), plain["proche"]), "e": np.where(women, plain["e"], empty), "ne": np.where(women, plain["ne"], empty),
            "son": np.full(len(asked), plain["son"]), "civ": np.where(women, plain["F"], plain["M"]), **self._doctors(),
        }  # fmt: skip

    def _doctors(self) -> dict[str, Numbers]:
        """Those of the report keep their name; `medecin` and `confrere` are somebody new each time."""
        first, draw = (np.array(column)[self._sites()] for column in zip(*self._book.doctors, strict=True))
        fixed = {name: first + self._noise.many(256, len(self._asked)) for name in ("traitant", "senior", "interne")}
        return {**fixed, "medecin": draw, "confrere": draw}

    def _sites(self) -> Numbers:
        return np.array([one.stay.hospital.place for one in self._asked])

    def _dates(self) -> dict[str, Numbers]:
        noise, count = self._noise, len(self._asked)
        births, first, last = (self._numbers(path) for path in ("identity.traits.birth", "stay.start", "stay.end"))
        first, last = first // DAY, last // DAY
        spelt = noise.many(10, count) < 3
        days = {
            "entree": first,
            "sortie": last,
            "milieu": (first + last) // 2,
            "ancien": first - 40 - noise.many(860, count),
        }
        after = last
        for number in range(_RENDEZVOUS):
            after = after + 2 + noise.many(64, count)
            days[f"rdv{number}"] = after
        found = {name: self._day(column, spelt, "DATE") for name, column in days.items()}
        return {**found, "naissance": self._day(births, spelt, "DATE_NAISSANCE"), "age": self._ages(births, first)}

    def _numbers(self, path: str) -> Numbers:
        return np.fromiter(map(attrgetter(path), self._asked), np.int64, len(self._asked))

    def _ages(self, births: Numbers, days: Numbers) -> Numbers:
        """How old people are: each age once, months told as numbers below zero."""
        years = _years(births, days)
        each, places = np.unique(np.where(years > 1, years, -np.maximum(1, (days - births) // 30)), return_inverse=True)
        return self.extras.words([f"{n} ans" if n > 0 else f"{-n} mois" for n in each.tolist()])[places]

    def _day(self, days: Numbers, spelt: Flags, label: str) -> Numbers:
        """Each day once, in figures and in words."""
        each, places = np.unique(days, return_inverse=True)
        told = each.tolist()
        short = self.extras.words([french_day(day) for day in told], label)
        long = self.extras.words([long_day(day) for day in told], label)
        return np.where(spelt, long[places], short[places])

    def _places(self) -> dict[str, Numbers]:
        """Where: hospital, service, its mail; and the manner of the author."""
        book, asked = self._book, self._asked
        units = [one.stay.wards[-1].unit for one in asked]
        styles = np.array(book.headings)[self._noise.many(STYLES, len(asked))]
        bullets = np.array([book.plain[bullet] for bullet in ("- ", "• ", "* ", "")])
        return {
            "hopital": np.array(book.hospitals)[self._sites()], "service": np.array([book.wards[unit] for unit in units]),
            "mail": np.array([book.mails[one.stay.hospital.place, unit] for one, unit in zip(asked, units, strict=True)]),
            "puce": bullets[self._noise.many(4, len(asked))], **{f"h{n}": styles[:, n] for n in range(styles.shape[1])},
        }  # fmt: skip

    def _reasons(self) -> dict[str, Numbers]:
        """What follows from the reason for coming and from chronic diseases."""
        book, asked = self._book, self._asked
        keys = list(map(attrgetter("stay.reason.key"), asked))
        numbers = {key: n for n, key in enumerate(book.parts)}
        places = np.fromiter(map(numbers.__getitem__, keys), np.int64, len(asked))
        drawn = self._noise.many(1 << 20, len(asked)).tolist()
        motives = np.array([book.motives[key][n % len(book.motives[key])] for key, n in zip(keys, drawn, strict=True)])
        adult = _years(self._numbers("stay.person.birth"), self._numbers("stay.start") // DAY) >= _ADULT
        chronic = map(attrgetter("stay.person.chronic"), asked)
        past = [book.past[held & _CHRONIC, is_adult] for held, is_adult in zip(chronic, adult.tolist(), strict=True)]
        parts = {
            name: np.array([part[name] for part in book.parts.values()])[places]
            for name in next(iter(book.parts.values()))
        }
        fixed = {name: np.full(len(asked), book.plain[name]) for name in ("conclusion", "germe")}
        stages = np.array([book.plain[one.stage] for one in asked])
        return {"motif": motives[:, 0], "Motif": motives[:, 1], "past": np.array(past), "tnm": stages, **parts, **fixed}

    def _results(self) -> dict[str, Numbers]:
        """The results and the prescription of the stay, as somebody copies them out."""
        book, asked, plain = self._book, self._asked, self._book.plain
        in_full = (self._noise.many(12, len(asked)) == 0).tolist()
        told = [_biology(one, is_full=full) for one, full in zip(asked, in_full, strict=True)]
        empty, has = plain["empty"], np.array(list(map(bool, told)))
        lines = [
            [book.drugs[t.drug.key, float(t.dose)] for t in one.stay.treatments] if one.kind == "discharge" else ()
            for one in asked
        ]
        days = (self._numbers("stay.end") - self._numbers("stay.start")) / DAY
        known = np.array([book.chart[n] for n in CHART_DAYS])
        charts = np.where(
            (days > _CHARTED) & (self._noise.many(_HAVE_CHART, len(asked)) == 0),
            known[np.minimum(days, len(known) - 1).astype(np.int64)],
            empty,
        )
        return {
            "results": self.extras.words(told), "biology": np.where(has, plain["biology"], empty), "labs": np.where(has, plain["labs"], empty),
            "prescription": self.extras.sequences(lines), "chart": charts,
        }  # fmt: skip


def _years(births: Numbers, days: Numbers) -> Numbers:
    """Whole years between days, as `estran.region.calendar.age` counts them."""
    born, then = births.astype("datetime64[D]"), days.astype("datetime64[D]")
    first, last = born.astype("datetime64[M]"), then.astype("datetime64[M]")
    months: Numbers = (last - first).astype(np.int64) - ((then - last) < (born - first))
    return np.floor_divide(months, 12)


def _biology(asked: Asked, *, is_full: bool) -> str:
    """The results sample by sample, in short or in full: all of the first panels, then what is out of range."""
    orders = asked.orders[: 1 if asked.kind == "consultation" else _ORDERS]
    if not orders:
        return ""
    first = last = orders[0].minute // DAY
    lines: list[str] = []
    for place, order in enumerate(orders):
        day = order.minute // DAY
        if day != last:
            lines.append(f"\nJ{day - first} : ")
            last = day
        told = order.results if place < _WHOLE_PANELS else [r for r in order.results if r.flag]
        if is_full:
            lines += [f"{r.test.analyte.name} {r.written} {r.test.unit}, " for r in told]
        else:
            lines += [f"{r.test.analyte.short} {r.written}{_FLAGS[r.flag]}" for r in told]
    return "".join(lines).rstrip(", ").replace(".", ",")
