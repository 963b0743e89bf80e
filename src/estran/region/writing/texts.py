"""The words of reports, a shard at a time: what each should say is asked for, then all are written together."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from estran.region.calendar import DAY, age, french_day, long_day
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
_RENDEZVOUS = 5
_WHOLE_PANELS = 3
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
            Spans(grown.owners[kept], grown.starts[kept], grown.ends[kept], words.filter(pa.array(kept)), labels.take(drawn), contexts.take(drawn))
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

    def _words(self, say: Callable[[Asked], str], label: str = "") -> Numbers:
        return self.extras.words([say(one) for one in self._asked], label)

    def _people(self) -> dict[str, Numbers]:
        """Who is named: the patient, a relative, doctors."""
        asked, plain, empty = self._asked, self._book.plain, self._book.plain["empty"]
        women = np.array([one.identity.traits.sex == "F" for one in asked])
        given = toml("names.toml")
        parents = [given["female"]["1965"], given["male"]["1965"]]
        drawn = self._noise.many(1 << 20, len(asked)).tolist()
        return {
            "nom": self._words(lambda a: a.identity.traits.used_name, "NOM"), "prenom": self._words(lambda a: a.identity.traits.given, "PRENOM"),
            "nom_naissance": self._words(lambda a: a.identity.person.birth_name, "NOM"), "ipp": self._words(lambda a: a.identity.ipp, "IPP"),
            "adresse": self._words(lambda a: a.identity.person.street, "ADRESSE"), "tel": self._words(lambda a: a.identity.person.phone, "TEL"),
            "ville": self._words(lambda a: a.identity.person.commune.name, "VILLE"), "nda": self._words(lambda a: a.stay.number, "NDA"),
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
        asked, noise, count = self._asked, self._noise, len(self._asked)
        births = np.array([one.identity.traits.birth for one in asked])
        first = np.array([one.stay.start // DAY for one in asked])
        last = np.array([one.stay.end // DAY for one in asked])
        spelt = noise.many(10, count) < 3
        days = {"entree": first, "sortie": last, "milieu": (first + last) // 2, "ancien": first - 40 - noise.many(860, count)}
        after = last
        for number in range(_RENDEZVOUS):
            after = after + 2 + noise.many(64, count)
            days[f"rdv{number}"] = after
        ages = self.extras.words([_age(birth, day) for birth, day in zip(births.tolist(), first.tolist(), strict=True)])
        found = {name: self._day(column, spelt, "DATE") for name, column in days.items()}
        return {**found, "naissance": self._day(births, spelt, "DATE_NAISSANCE"), "age": ages}

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
        keys = [one.stay.reason.key for one in asked]
        drawn = self._noise.many(1 << 20, len(asked)).tolist()
        motives = np.array([book.motives[key][n % len(book.motives[key])] for key, n in zip(keys, drawn, strict=True)])
        past = [book.past[one.stay.person.chronic & _CHRONIC, one.stay.years >= 15] for one in asked]
        parts = {name: np.array([book.parts[key][name] for key in keys]) for name in next(iter(book.parts.values()))}
        fixed = {name: np.full(len(asked), book.plain[name]) for name in ("conclusion", "germe")}
        stages = np.array([book.plain[one.stage] for one in asked])
        return {"motif": motives[:, 0], "Motif": motives[:, 1], "past": np.array(past), "tnm": stages, **parts, **fixed}

    def _results(self) -> dict[str, Numbers]:
        """The results and the prescription of the stay, as somebody copies them out."""
        book, asked, plain = self._book, self._asked, self._book.plain
        in_full = (self._noise.many(12, len(asked)) == 0).tolist()
        told = [_biology(one, is_full=full) for one, full in zip(asked, in_full, strict=True)]
        empty, has = plain["empty"], np.array(list(map(bool, told)))
        lines = [[book.drugs[t.drug.key, float(t.dose)] for t in one.stay.treatments] if one.kind == "discharge" else () for one in asked]
        charts = [book.chart[min(CHART_DAYS[-1], 3 + int(one.stay.days))] if one.stay.days > 0.9 else empty for one in asked]
        return {
            "results": self.extras.words(told), "biology": np.where(has, plain["biology"], empty), "labs": np.where(has, plain["labs"], empty),
            "prescription": self.extras.sequences(lines), "chart": np.array(charts),
        }  # fmt: skip


def _age(birth: int, day: int) -> str:
    years = age(birth, day)
    return f"{years} ans" if years > 1 else f"{max(1, (day - birth) // 30)} mois"


def _biology(asked: Asked, *, is_full: bool) -> str:
    """The results sample by sample, in short or in full: all of the first panels, then what is out of range."""
    orders = asked.orders[: 1 if asked.kind == "consultation" else 10]
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
