"""A window of a recording, read back from where it lies: some seconds of one channel, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from estran.model.errors import InputRefused, UsageError
from estran.sources.quiet import quiet
from estran.sources.signal import aecg, wfdb_record
from estran.sources.signal.recording import Channel, Unread

MOST_SAMPLES = 10_000_000  # of one window


@dataclass(frozen=True)
class Window:
    """`samples` of `channel` in its own unit from `start` seconds on, NaN where there is no signal."""

    channel: Channel
    start: float
    samples: npt.NDArray[np.float64]


def channels_of(path: Path) -> tuple[Channel, ...]:
    """The channels of the recording at `path`. Raises InputRefused."""
    try:
        if path.suffix.lower() == ".hea":
            header = wfdb_record.header_of(path)
            return header.channels or wfdb_record.channels_of_segments(header, path.parent)
        if path.suffix.lower() == ".xml":
            return aecg.read_recording(path).channels
        from estran.sources.signal.edf import channels_of as of_edf

        return of_edf(path)
    except (Unread, OSError) as error:
        raise InputRefused("The recording cannot be read where it lies.", hint="check that its files are still there") from error


def window(path: Path, channel: str, start: float, seconds: float) -> Window:
    """`seconds` of the channel called `channel` from `start` on, of the recording at `path`.

    Only the stretch asked for is read (of an aECG, whose samples are text, the file). Raises UsageError for
    an unknown channel or more than ten million samples, InputRefused when the files are not there.
    """
    found = next((c for c in channels_of(path) if c.label == channel), None)
    if found is None:
        raise UsageError("The recording has no such channel.", hint="ask for one of its channels")
    if start < 0 or seconds <= 0 or seconds * max(found.frequency, 1) > MOST_SAMPLES:
        raise UsageError("A window has a start, a length, and at most ten million samples.")
    try:
        with quiet():
            return Window(found, start, _samples(path, channel, start, seconds))
    except (Unread, OSError) as error:
        raise InputRefused("The recording cannot be read where it lies.", hint="check that its files are still there") from error


def _samples(path: Path, channel: str, start: float, seconds: float) -> npt.NDArray[np.float64]:
    suffix = path.suffix.lower()
    if suffix == ".hea":
        return wfdb_record.read_samples(path, channel, start, seconds)
    if suffix == ".xml":
        frequency, samples = aecg.samples_of(path, channel)
        return samples[round(start * frequency) : round((start + seconds) * frequency)]
    from estran.sources.signal.edf import read_samples as of_edf

    return of_edf(path, channel, start, seconds)
