"""EDF, EDF+ and BDF (edfplus.info), by edfio; samples are read record by record, never whole."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
from edfio import Bdf, Edf, EdfSignal, read_bdf, read_edf

from estran.sources.checksums import checksum_of
from estran.sources.signal import heart
from estran.sources.signal.recording import Channel, Mark, Recording, Subject, Unread

SUFFIXES = (".edf", ".bdf", ".rec")
_PIECE = 60.0
_LONGEST_READ = 7 * 86_400.0
_MOST_MARKS = 200_000
_LARGEST_BDF = 512 << 20  # bytes
FloatArray = npt.NDArray[np.float64]
UNREADABLE = (
    ValueError, TypeError, KeyError, IndexError, OSError, EOFError, AttributeError, OverflowError, ZeroDivisionError,
    ArithmeticError, StopIteration, UnicodeError, MemoryError,
)  # fmt: skip
# Texts that the EDF+ specification gives a meaning (edfplus.info/specs/edftexts.html): codes; all others are words.
STANDARD_TEXTS = {
    "sleep stage w": "Éveil", "sleep stage n1": "Sommeil N1", "sleep stage n2": "Sommeil N2",
    "sleep stage n3": "Sommeil N3", "sleep stage r": "Sommeil paradoxal", "sleep stage 1": "Sommeil stade 1",
    "sleep stage 2": "Sommeil stade 2", "sleep stage 3": "Sommeil stade 3", "sleep stage 4": "Sommeil stade 4",
    "sleep stage ?": "Stade de sommeil non coté", "movement time": "Mouvement", "lights off": "Extinction",
    "lights on": "Allumage", "apnea": "Apnée", "obstructive apnea": "Apnée obstructive",
    "central apnea": "Apnée centrale", "mixed apnea": "Apnée mixte", "hypopnea": "Hypopnée",
    "obstructive hypopnea": "Hypopnée obstructive", "central hypopnea": "Hypopnée centrale",
    "limb movement": "Mouvement de membre", "periodic limb movement": "Mouvement périodique de membre",
    "eeg arousal": "Micro-éveil", "recording starts": "Début d'enregistrement",
    "recording ends": "Fin d'enregistrement", "snore": "Ronflement", "respiratory event": "Événement respiratoire",
}  # fmt: skip
_ONSET = re.compile(rb"^([+-]\d+(?:\.\d*)?)[\x14\x15]")
_AT_CHANNEL = re.compile(r"@@.*$")


def open_edf(path: Path) -> Edf | Bdf:
    """The file, its samples left on the disk. Raises Unread."""
    try:
        with path.open("rb") as source:
            binary = source.read(1) == b"\xff"
        if not binary:
            return read_edf(path, lazy_load_data=True, header_encoding="latin-1")
        if path.stat().st_size > _LARGEST_BDF:  # edfio reads a BDF whole
            raise Unread("malformed", "The BDF file is larger than 512 MB.")
        return read_bdf(path, header_encoding="latin-1")
    except UNREADABLE:
        raise Unread("malformed", "The EDF header cannot be read.") from None


def read_recording(path: Path) -> Recording:
    """Raises Unread."""
    edf = open_edf(path)
    try:
        return _read(edf, path)
    except UNREADABLE:
        raise Unread("malformed", "The EDF file does not hold what its header says.") from None


def _read(edf: Edf | Bdf, path: Path) -> Recording:
    plus = edf.reserved.startswith(("EDF+", "BDF+"))
    onsets = record_onsets(path) if edf.reserved.startswith(("EDF+D", "BDF+D")) else None
    channels = _channels(edf)
    minutes, source = _minutes(edf, channels, path)
    whole, hours = heart.summed_up(minutes)
    seconds = float(edf.duration) if onsets is None else float(onsets[-1] + edf.data_record_duration)
    return Recording(
        path.stem, "BDF" if isinstance(edf, Bdf) else "EDF", _start(edf), round(seconds, 3), channels,
        tuple(_marks(edf)) if plus else (), (), tuple(_gaps(onsets, edf.data_record_duration)), whole, hours,
        source if whole else "", (), _subject(edf) if plus else Subject(), checksum_of(path),
    )  # fmt: skip


def _channels(edf: Edf | Bdf) -> tuple[Channel, ...]:
    count, signals = int(edf.num_data_records), cast(tuple[EdfSignal, ...], edf.signals)
    return tuple(
        Channel(s.label.strip()[:80], s.physical_dimension.strip(), float(s.sampling_frequency),
                count * int(s.samples_per_data_record))
        for s in signals
    )  # fmt: skip


def _start(edf: Edf | Bdf) -> str:
    try:
        return edf.startdatetime.replace(microsecond=0).isoformat()
    except (*UNREADABLE, RuntimeError):  # an anonymised date
        return ""


def _subject(edf: Edf | Bdf) -> Subject:
    """EDF+ gives the patient's number in the hospital, sex, birth date and name, each X when unknown."""
    fields = [*edf.local_patient_identification.split(" "), "X", "X", "X", "X"]
    code, sex = ("" if f == "X" else f for f in fields[:2])
    name = "" if fields[3] == "X" else fields[3].replace("_", " ").strip()
    try:
        birth = edf.patient.birthdate.isoformat() if fields[2] != "X" else ""
    except UNREADABLE:
        birth = ""
    families = tuple(name.split()[-1:]) if name else ()
    given = tuple(name.split()[:-1]) if name else ()
    return Subject(code.strip(), "", families, given, birth, {"F": "female", "M": "male"}.get(sex.upper(), ""))


def _marks(edf: Edf | Bdf) -> Iterator[Mark]:
    for number, one in enumerate(edf.annotations):
        if number >= _MOST_MARKS:
            raise Unread("malformed", "The EDF file holds more than 200,000 annotations.")
        text = _AT_CHANNEL.sub("", one.text).strip()
        if text:
            plain = text.lower()
            code = plain.replace(" ", "-") if plain in STANDARD_TEXTS else ""
            yield Mark(float(one.onset), float(one.duration) if one.duration else None,
                       STANDARD_TEXTS.get(plain, text[:500]), "EDF-text" if code else "", code)  # fmt: skip


def record_onsets(path: Path) -> FloatArray:
    """Start of each data record in seconds, from the first annotation of each (EDF+ 2.2.4). Raises Unread."""
    with path.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        count, wide = int(mapped[252:256]), 3 if mapped[0] == 0xFF else 2
        head = 256 * (count + 1)
        sizes = [int(mapped[256 + 216 * count + 8 * n : 256 + 216 * count + 8 * n + 8]) * wide for n in range(count)]
        labels = [mapped[256 + 16 * n : 272 + 16 * n].strip() for n in range(count)]
        place = next((n for n, label in enumerate(labels) if label.endswith(b"DF Annotations")), None)
        width = sum(sizes)
        if place is None or not width:
            raise Unread("malformed", "The EDF+ file is cut into pieces but does not say when.")
        offset = head + sum(sizes[:place])
        found = [_ONSET.match(mapped[at : at + 32]) for at in range(offset, len(mapped) - width + sizes[place] + 1, width)]
        if not found or not all(found):
            raise Unread("malformed", "The EDF+ file is cut into pieces but does not say when.")
        times = np.array([float(one[1]) for one in found if one])
        return np.asarray(times - np.floor(times[0]), dtype=np.float64)


def _gaps(onsets: FloatArray | None, duration: float) -> Iterator[tuple[float, float]]:
    if onsets is None:
        return
    for place in np.flatnonzero(np.diff(onsets) > duration * 1.001):
        end = float(onsets[place] + duration)
        yield round(end, 3), round(float(onsets[place + 1]) - end, 3)


def _minutes(edf: Edf | Bdf, channels: tuple[Channel, ...], path: Path) -> tuple[list[tuple[int, float, int]], str]:
    """Heart rate of each minute, from a channel of rates, else from the beats of the steadiest of the first leads."""
    for place, channel in enumerate(channels):
        if heart.is_rate(channel.label, channel.unit):
            return list(heart.sampled_minutes(_pieces(edf, place, path), channel.frequency)), "channel"
    leads = [n for n, c in enumerate(channels) if heart.is_lead(c.label) and c.frequency >= heart.LEAST_FREQUENCY]
    beats = heart.steadiest(
        heart.find_beats(_pieces(edf, n, path), channels[n].frequency) for n in leads[: heart.MOST_LEADS]
    )
    return list(heart.minutes_of(beats)), "detected"


def _pieces(edf: Edf | Bdf, place: int, path: Path) -> Iterator[tuple[float, FloatArray]]:
    onsets = record_onsets(path) if edf.reserved.startswith(("EDF+D", "BDF+D")) else None
    last = float(edf.duration) if onsets is None else float(onsets[-1] + edf.data_record_duration)
    start, last = 0.0, min(last, _LONGEST_READ)
    while start < last:
        yield start, samples_of(edf, place, onsets, start, min(_PIECE + 1, last - start))
        start += _PIECE


def samples_of(edf: Edf | Bdf, place: int, onsets: FloatArray | None, start: float, seconds: float) -> FloatArray:
    """Samples of a channel between two times, NaN in the gaps of a file that is cut into pieces."""
    signal = edf.signals[place]
    if onsets is None:
        last = min(start + seconds, float(edf.duration))
        return np.asarray(signal.get_data_slice(max(start, 0.0), last), dtype=np.float64) if start < last else np.zeros(0)
    frequency, length = float(signal.sampling_frequency), float(edf.data_record_duration)
    out = np.full(round(seconds * frequency), np.nan)
    for record in np.flatnonzero((onsets < start + seconds) & (onsets + length > start)).tolist():
        piece = np.asarray(signal.get_data_slice(record * length, (record + 1) * length), dtype=np.float64)
        at = round((float(onsets[record]) - start) * frequency)
        low, high = max(at, 0), min(at + len(piece), len(out))
        if high > low:
            out[low:high] = piece[low - at : high - at]
    return out


def channels_of(path: Path) -> tuple[Channel, ...]:
    """Channels of the file. Raises Unread."""
    return _channels(open_edf(path))


def read_samples(path: Path, label: str, start: float, seconds: float) -> FloatArray:
    """Samples of one channel between two times. Raises Unread."""
    edf = open_edf(path)
    place = next((n for n, channel in enumerate(_channels(edf)) if channel.label == label), None)
    if place is None:
        raise Unread("missing", "The recording has no such channel.")
    onsets = record_onsets(path) if edf.reserved.startswith(("EDF+D", "BDF+D")) else None
    try:
        return samples_of(edf, place, onsets, start, seconds)
    except UNREADABLE:
        raise Unread("malformed", "The EDF file does not hold what its header says.") from None
