"""A recording as a document: what was recorded, what was noted, what its heart rate was.

What counts once per recording (the examination, its duration, heart rate of the whole, beats by type, time
without signal, what the device or a person noted) is coded and is found like any fact. What cuts the same
recording into pieces (heart rate by hour, each gap) is of origin derived: there to be read, out of presence
and of "at least n times" (docs/decisions/0007).
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterator

import numpy as np

from estran.model.codes import DocumentKind, Origin, Precision
from estran.model.moments import MICROS_PER_MINUTE, Moment, civil, instant, parse_iso
from estran.sources.records import Code
from estran.sources.signal.heart import is_lead
from estran.sources.signal.recording import Mark, Rate, Recording
from estran.sources.signal.wfdb_marks import BEAT_LABELS
from estran.sources.writing import Attribute, Item, Medium, Writing, opaque
from estran.terminology.systems import LOCAL
from estran.terminology.units import ucum

VOCABULARY = f"{LOCAL}SIGNAL"
_MOST_MARKS = 5_000  # facts of one recording; beyond, marks are counted by text
_RATE = ("LOINC", "8867-4", "Heart rate")
_KINDS = (
    ("EEG", re.compile(r"^(EEG|FP[12Z]|F[3478Z]|C[34Z]\b|P[34Z]\b|O[12Z]\b|T[3-6]\b)", re.IGNORECASE)),
    ("EMG", re.compile(r"^EMG", re.IGNORECASE)),
    ("EOG", re.compile(r"^(EOG|LOC|ROC)\b", re.IGNORECASE)),
    ("PRESSURE", re.compile(r"^(ABP|ART|PAP|CVP|ICP|NBP|BP)\b", re.IGNORECASE)),
    ("PLETH", re.compile(r"^(PLETH|SPO2|SAO2|SAT)\b", re.IGNORECASE)),
    ("RESP", re.compile(r"^(RESP|FLOW|NASAL|THOR|ABDO|AIRFLOW|CO2)", re.IGNORECASE)),
)
EXAMS = {
    "ECG": Code(VOCABULARY, "ECG", "Enregistrement électrocardiographique", "fr", "procedure", (("LOINC", "11524-6", "EKG study"),)),
    "EEG": Code(VOCABULARY, "EEG", "Enregistrement électroencéphalographique", "fr", "procedure", (("LOINC", "11523-8", "EEG study"),)),
    "EMG": Code(VOCABULARY, "EMG", "Électromyogramme enregistré", "fr", "procedure"),
    "EOG": Code(VOCABULARY, "EOG", "Électro-oculogramme enregistré", "fr", "procedure"),
    "PRESSURE": Code(VOCABULARY, "PRESSURE", "Pression enregistrée en continu", "fr", "procedure"),
    "PLETH": Code(VOCABULARY, "PLETH", "Pléthysmographie enregistrée", "fr", "procedure"),
    "RESP": Code(VOCABULARY, "RESP", "Respiration enregistrée", "fr", "procedure"),
    "OTHER": Code(VOCABULARY, "OTHER", "Signal enregistré", "fr", "procedure"),
}


def local(code: str, label: str, also: tuple[tuple[str, str, str], ...] = ()) -> Code:
    """A code of our own about recordings."""
    return Code(VOCABULARY, code, label, "fr", "observation", also)


def write(recording: Recording, zone: str, uri: str = "", prefix: tuple[Item, ...] = ()) -> Writing:
    """The document of a recording; `prefix` are facts that come first."""
    start = _start(recording, zone)
    clock = _Clock(start, zone)
    items = [*prefix, *_exams(recording), *_sums(recording), *_noted(recording, clock), *_pieces(recording, clock)]
    known = instant(start, zone) if start else 0
    most = max((c.frequency for c in recording.channels), default=0.0)
    samples = max((c.samples for c in recording.channels), default=0)
    medium = Medium(
        uri or opaque("signal", recording.checksum), recording.format, f"{len(recording.channels)}x{samples}",
        most or None, recording.checksum,
    )  # fmt: skip
    title = f"Enregistrement {'/'.join(_kinds(recording)) or recording.format}"
    return Writing(f"recording/{recording.key}", DocumentKind.SIGNAL, title, start, tuple(items), media=(medium,), event_time=known)


def _start(recording: Recording, zone: str) -> Moment | None:
    try:
        return parse_iso(recording.start, zone) if recording.start else None
    except (ValueError, OverflowError):
        return None


class _Clock:
    """Moments of a recording from seconds since its start; None when nobody knows when it started."""

    def __init__(self, start: Moment | None, zone: str) -> None:
        self._start, self._zone = start, zone
        self._base = instant(start, zone) if start else 0

    def at(self, seconds: float) -> Moment | None:
        if self._start is None or not 0 <= seconds < 3.2e9:
            return self._start
        micros = np.array([self._base + int(seconds * 1e6) // MICROS_PER_MINUTE * MICROS_PER_MINUTE], dtype=np.int64)
        dates, minutes = civil(micros, self._zone)
        return Moment(int(dates[0]), int(minutes[0]), Precision.MINUTE)


def _kinds(recording: Recording) -> list[str]:
    """What the channels are, in the order of EXAMS."""
    found = {
        "ECG" if is_lead(c.label) else next((k for k, p in _KINDS if p.match(c.label.strip())), "OTHER")
        for c in recording.channels
    }
    if len(found) > 1:
        found.discard("OTHER")
    return [kind for kind in EXAMS if kind in found]


def _exams(recording: Recording) -> Iterator[Item]:
    labels = ", ".join(c.label for c in recording.channels if c.label)[:500]
    attributes = (Attribute(local("channels", "Voies"), labels, float(len(recording.channels))),)
    for kind in _kinds(recording) or ["OTHER"]:
        yield Item(EXAMS[kind], attributes=attributes)
    if recording.seconds:
        yield Item(local("duration", "Durée de l'enregistrement"), recording.seconds, "s")


def _sums(recording: Recording) -> Iterator[Item]:
    """What is true of the recording as a whole."""
    how = (Attribute(local("rate-from", "Fréquence tirée de"), {
        "beats": "battements annotés", "detected": "battements détectés", "channel": "voie de fréquence",
    }.get(recording.rate_from, "")),)  # fmt: skip
    if recording.whole:
        for code, label, value, also in (
            ("heart-rate", "Fréquence cardiaque médiane", recording.whole.median, (_RATE,)),
            ("heart-rate-low", "Fréquence cardiaque minimale (médiane d'une minute)", recording.whole.low, ()),
            ("heart-rate-high", "Fréquence cardiaque maximale (médiane d'une minute)", recording.whole.high, ()),
        ):
            yield Item(local(code, label, also), value, "/min", attributes=how)
    for kind, count in recording.beats:
        yield Item(local(f"beats-{kind}", BEAT_LABELS.get(kind, "Battements")), float(count), "{beats}")
    if recording.gaps:
        yield Item(local("gaps", "Durée sans signal"), round(sum(g[1] for g in recording.gaps), 3), "s",
                   attributes=(Attribute(local("gap-count", "Interruptions"), value=float(len(recording.gaps))),))  # fmt: skip
    for one in recording.measures:
        yield Item(Code(one.system, one.code, one.label, "en", "observation"), one.value, ucum(one.unit))


def _noted(recording: Recording, clock: _Clock) -> Iterator[Item]:
    """Marks in time; too many of them are counted by code instead."""
    if len(recording.marks) <= _MOST_MARKS:
        for mark in recording.marks:
            yield _mark(mark, clock)
        return
    counts = Counter((m.system, m.code, m.text) for m in recording.marks if m.code)
    for (system, code, text), count in sorted(counts.items()):
        yield Item(_of_list(system, code, text), float(count), "{count}")
    rest = sum(1 for m in recording.marks if not m.code)
    if rest:
        yield Item(local("annotations", "Annotations en clair"), float(rest), "{count}")


def _of_list(system: str, code: str, text: str) -> Code:
    return Code(f"{VOCABULARY}-{system}", code, text, "fr", "observation")


def _mark(mark: Mark, clock: _Clock) -> Item:
    """A code when the words are those of a list; words of a person stay words, which are masked."""
    end = clock.at(mark.start + mark.seconds) if mark.seconds else None
    length = (Attribute(local("seconds", "Durée en secondes"), value=mark.seconds),) if mark.seconds else ()
    if mark.code:
        return Item(_of_list(mark.system, mark.code, mark.text), when=clock.at(mark.start), end=end, attributes=length)
    return Item(local("annotation", "Annotation"), text=mark.text, when=clock.at(mark.start), end=end, attributes=length)


def _pieces(recording: Recording, clock: _Clock) -> Iterator[Item]:
    for hour in recording.hours if len(recording.hours) > 1 else ():
        yield from _hour(hour, clock)
    for start, seconds in recording.gaps[:_MOST_MARKS]:
        yield Item(local("gap", "Interruption du signal"), seconds, "s", when=clock.at(start),
                   end=clock.at(start + seconds), origin=Origin.DERIVED)  # fmt: skip


def _hour(rate: Rate, clock: _Clock) -> Iterator[Item]:
    bounds = tuple(
        Attribute(local(code, label), value=value)
        for code, label, value in (("low", "Minute la plus lente", rate.low), ("high", "Minute la plus rapide", rate.high))
    )
    yield Item(local("heart-rate-hour", "Fréquence cardiaque médiane de l'heure"), rate.median, "/min",
               when=clock.at(rate.start), end=clock.at(rate.start + rate.seconds), attributes=bounds,
               origin=Origin.DERIVED)  # fmt: skip


def birth_of(text: str) -> dt.date | None:
    """A birth date as recordings hold it."""
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        return None
