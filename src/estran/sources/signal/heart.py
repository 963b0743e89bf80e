"""Heart rate from beats, and beats from an electrocardiogram.

The detector is the usual chain (band-pass, slope, energy over 120 ms, threshold that follows the signal,
250 ms without a second beat) in plain numpy, fed minute by minute. It gives rates, not diagnoses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from estran.sources.signal.recording import Rate

Floats = npt.NDArray[np.float64]
_FASTEST, _SLOWEST = 250.0, 20.0  # beats per minute
_REFRACTORY, _T_WAVE = 0.25, 0.36  # seconds
MOST_LEADS = 3  # in which beats are looked for
LEAST_FREQUENCY = 50.0  # samples per second below which no beat can be told
_LEAD = re.compile(
    r"^(ECG|EKG|ELECTROCARDIO|MDC_ECG_LEAD_|LEAD |MLI+|MCL\d|M?V[1-9R]?\d?$|I{1,3}$|AV[RLF]$|D[123]$)", re.IGNORECASE
)
_RATE = re.compile(r"^(HR|PR|HEART ?RATE|PULSE|FC|BPM)\b", re.IGNORECASE)


def is_lead(label: str) -> bool:
    """Whether a channel's label is that of an electrocardiogram."""
    return bool(_LEAD.match(label.strip()))


def is_rate(label: str, unit: str) -> bool:
    """Whether a channel holds the heart rate itself."""
    return bool(_RATE.match(label.strip())) and unit.strip().lower() in ("bpm", "/min", "1/min", "beats/min")


def find_beats(pieces: Iterable[tuple[float, Floats]], frequency: float) -> Floats:
    """Times of beats, in seconds; `pieces` are (start in seconds, samples) in order of time."""
    found: list[Floats] = []
    for start, samples in pieces:
        found.append(start + _beats_of(samples, frequency))
    times = np.concatenate(found) if found else np.zeros(0)
    if len(times) < 2:
        return times
    kept = np.concatenate(([True], np.diff(times) >= _REFRACTORY))  # a beat seen by two pieces
    return np.asarray(times[kept], dtype=np.float64)


def steadiest(leads: Iterable[Floats]) -> Floats:
    """Of the beats found in several leads, those with the most even intervals: a lead in which T waves are
    taken for beats limps. An irregular heart is irregular in all leads, so that nothing is lost by it."""
    found = [beats for beats in leads if len(beats) > 2]
    return min(found, key=_unevenness, default=np.zeros(0))


def _unevenness(beats: Floats) -> float:
    intervals = np.diff(beats)
    return float(np.median(np.abs(np.diff(intervals))) / np.median(intervals)) if len(intervals) > 1 else np.inf


def _beats_of(samples: Floats, frequency: float) -> Floats:
    """Times of beats in one piece, from its start."""
    if len(samples) < frequency or frequency < LEAST_FREQUENCY:
        return np.zeros(0)
    clean = np.nan_to_num(samples, nan=float(np.nanmedian(samples)) if np.isfinite(samples).any() else 0.0)
    band = _smooth(clean, round(0.03 * frequency)) - _smooth(clean, round(0.2 * frequency))
    slope = np.gradient(band)
    energy = np.sqrt(_smooth(slope * slope, round(0.12 * frequency)))
    level = _threshold(energy, frequency)
    top = (energy[1:-1] >= energy[:-2]) & (energy[1:-1] > energy[2:]) & (energy[1:-1] > level[1:-1])
    return np.asarray(_apart(np.flatnonzero(top) + 1, energy, frequency) / frequency, dtype=np.float64)


def _smooth(samples: Floats, width: int) -> Floats:
    """Moving mean over `width` samples, as long as its input."""
    width = max(width, 1)
    total = np.cumsum(np.concatenate((np.zeros(1), samples)))
    half = width // 2
    low = np.clip(np.arange(len(samples)) - half, 0, len(samples))
    high = np.clip(np.arange(len(samples)) - half + width, 0, len(samples))
    return np.asarray((total[high] - total[low]) / np.maximum(high - low, 1), dtype=np.float64)


def _threshold(energy: Floats, frequency: float) -> Floats:
    """Two fifths of the highest energy of each two seconds around, at the median of ten seconds."""
    width = max(round(2 * frequency), 1)
    blocks = [float(energy[i : i + width].max()) for i in range(0, len(energy), width)]
    around = [float(np.median(blocks[max(i - 2, 0) : i + 3])) for i in range(len(blocks))]
    return np.repeat(np.array(around) * 0.4, width)[: len(energy)]


def _apart(peaks: npt.NDArray[np.int64], energy: Floats, frequency: float) -> npt.NDArray[np.int64]:
    """The highest of the peaks that are closer than one beat can follow another, and no T waves: what follows
    a beat within 360 ms with a gentler slope (Pan and Tompkins, 1985)."""
    kept: list[int] = []
    for peak in peaks.tolist():
        near = peak - kept[-1] if kept else len(energy)
        if near < _REFRACTORY * frequency:
            if energy[peak] > energy[kept[-1]]:
                kept[-1] = peak
        elif near >= _T_WAVE * frequency or energy[peak] > 0.7 * energy[kept[-1]]:
            kept.append(peak)
    return np.array(kept, dtype=np.int64)


def minutes_of(beats: Floats) -> Iterator[tuple[int, float, int]]:
    """(minute, median beats per minute, beats) of each minute in which a rate can be told."""
    intervals = np.diff(beats)
    with np.errstate(divide="ignore"):
        rates = 60.0 / intervals
    sound = (rates >= _SLOWEST) & (rates <= _FASTEST)
    minute = (beats[1:][sound] // 60).astype(np.int64)
    rates = rates[sound]
    bounds = np.flatnonzero(np.diff(minute)) + 1
    for place, values in zip(np.split(minute, bounds), np.split(rates, bounds), strict=True):
        if len(values):
            yield int(place[0]), float(np.median(values)), len(values)


def sampled_minutes(pieces: Iterable[tuple[float, Floats]], frequency: float) -> Iterator[tuple[int, float, int]]:
    """The same from a channel that holds the rate itself; zeros and absurd values are no rate."""
    gathered: dict[int, list[Floats]] = {}
    for start, samples in pieces:
        minute = ((start + np.arange(len(samples)) / frequency) // 60).astype(np.int64)
        for one in np.unique(minute):
            gathered.setdefault(int(one), []).append(samples[minute == one])
    for one, parts in sorted(gathered.items()):
        values = np.concatenate(parts)
        values = values[np.isfinite(values) & (values >= _SLOWEST) & (values <= _FASTEST)]
        if len(values):
            yield one, float(np.median(values)), 0


def summed_up(minutes: list[tuple[int, float, int]]) -> tuple[Rate | None, tuple[Rate, ...]]:
    """The rate of the whole and of each hour: median, lowest and highest of the minutes."""
    if not minutes:
        return None, ()
    hours: dict[int, list[tuple[int, float, int]]] = {}
    for one in minutes:
        hours.setdefault(one[0] // 60, []).append(one)
    parts = tuple(_rate(hour * 3600.0, 3600.0, found) for hour, found in sorted(hours.items()))
    return _rate(0.0, (minutes[-1][0] + 1) * 60.0, minutes), parts


def _rate(start: float, seconds: float, minutes: list[tuple[int, float, int]]) -> Rate:
    medians = [m[1] for m in minutes]
    middle = float(np.median(medians))
    return Rate(start, seconds, round(middle, 1), round(min(medians), 1), round(max(medians), 1), sum(m[2] for m in minutes))
