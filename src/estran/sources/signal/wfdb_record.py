"""A WFDB record: header, annotations and signal files that lie side by side in one folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from estran.sources.checksums import checksum_of_all
from estran.sources.signal import heart
from estran.sources.signal.recording import Channel, Mark, Recording, Unread
from estran.sources.signal.wfdb_header import LARGEST, Header, read_header
from estran.sources.signal.wfdb_marks import Annotations, marks_of, read_annotations

# Suffixes of annotation files, the one whose beats count first (PhysioNet's databases).
ANNOTATORS = (".atr", ".ecg", ".qrs", ".ari", ".man", ".ann", ".st", ".apn", ".arousal", ".marker", ".pu", ".xws")
_PIECE = 60.0  # seconds read at once
_LONGEST_READ = 7 * 86_400.0  # seconds of signal in which beats are looked for
FloatArray = npt.NDArray[np.float64]


def header_of(path: Path) -> Header:
    """The header at `path`, at most LARGEST bytes of it. Raises Unread."""
    with path.open("rb") as source:
        return read_header(source.read(LARGEST + 1))


def segments_of(folder: Path) -> set[str]:
    """Names of the records of a folder that are segments of another: they are read with it."""
    found: set[str] = set()
    for path in sorted(folder.glob("*.hea")):
        try:
            found |= {name for name, _ in header_of(path).segments if name != "~"}
        except (Unread, OSError):
            continue
    return found


def read_record(path: Path) -> Recording:
    """The record whose header is at `path`; missing signal files leave what the headers say. Raises Unread."""
    header = header_of(path)
    channels = header.channels or channels_of_segments(header, path.parent)
    seconds = header.samples / header.frequency
    annotations = _annotations(path)
    beats, source = _beats(annotations, header, channels, path)
    whole, hours = heart.summed_up(list(heart.minutes_of(beats)))
    if whole is None:
        whole, hours = heart.summed_up(_minutes_of_rate_channel(header, channels, path))
        source = "channel" if whole else ""
    marks: list[Mark] = []
    for one in annotations:
        marks += marks_of(one, header.frequency, seconds)
    kinds = annotations[0].kinds if annotations else {}
    return Recording(
        path.stem, "WFDB", header.start, round(seconds, 3), channels, tuple(dict.fromkeys(marks)),
        tuple(sorted(kinds.items())), tuple(_gaps(header)), whole, hours, source if whole else "",
        checksum=_checksum(path, header),
    )  # fmt: skip


def _annotations(path: Path) -> list[Annotations]:
    found = []
    for suffix in ANNOTATORS:
        beside = path.with_suffix(suffix)
        if beside.is_file():
            with beside.open("rb") as source:
                found.append(read_annotations(source.read((256 << 20) + 1)))
    found.sort(key=lambda one: not one.beats)  # the first that knows beats speaks for them
    return found


def channels_of_segments(header: Header, folder: Path) -> tuple[Channel, ...]:
    """Channels of a multi-segment record: those of its segments' headers, by label, in order of meeting."""
    found: dict[str, Channel] = {}
    for name, _ in header.segments:
        if name == "~" or not (folder / f"{name}.hea").is_file():
            continue
        for channel in header_of(folder / f"{name}.hea").channels:
            per_frame = channel.frequency / header.frequency
            samples = round(header.samples * per_frame)
            found.setdefault(channel.label, Channel(channel.label, channel.unit, channel.frequency, samples))
    return tuple(found.values())


def _gaps(header: Header) -> Iterator[tuple[float, float]]:
    """Stretches of a multi-segment record without any signal."""
    at = 0
    for name, samples in header.segments:
        if name == "~":
            yield round(at / header.frequency, 3), round(samples / header.frequency, 3)
        at += samples


def _beats(annotations: list[Annotations], header: Header, channels: tuple[Channel, ...], path: Path) -> tuple[FloatArray, str]:
    """Times of beats in seconds: as annotated, else as found in the steadiest of the first leads."""
    if annotations and annotations[0].beats:
        return np.array(annotations[0].beats) / (annotations[0].frequency or header.frequency), "beats"
    leads = [c for c in channels if heart.is_lead(c.label) and c.frequency >= heart.LEAST_FREQUENCY][: heart.MOST_LEADS]
    return heart.steadiest(heart.find_beats(_pieces(path, c, header), c.frequency) for c in leads), "detected"


def _minutes_of_rate_channel(header: Header, channels: tuple[Channel, ...], path: Path) -> list[tuple[int, float, int]]:
    rate = next((c for c in channels if heart.is_rate(c.label, c.unit)), None)
    return list(heart.sampled_minutes(_pieces(path, rate, header), rate.frequency)) if rate else []


def _pieces(path: Path, channel: Channel, header: Header) -> Iterator[tuple[float, FloatArray]]:
    """The channel minute by minute, with a second of overlap; what cannot be read is left out."""
    for start, last in _stretches(header, path.parent):
        while start < last:
            try:
                yield start, read_samples(path, channel.label, start, min(_PIECE + 1, last - start))
            except Unread:
                if not header.segments:
                    return
            start += _PIECE


def _stretches(header: Header, folder: Path) -> Iterator[tuple[float, float]]:
    """(start, end) in seconds of what there is to read: the record, or those of its segments that are here."""
    if not header.segments:
        yield 0.0, min(header.samples / header.frequency, _LONGEST_READ)
        return
    at = 0
    for name, samples in header.segments:
        start, at = at, at + samples
        if name != "~" and samples and at / header.frequency < _LONGEST_READ and (folder / f"{name}.hea").is_file():
            yield start / header.frequency, at / header.frequency


def read_samples(path: Path, label: str, start: float, seconds: float) -> FloatArray:
    """Samples of one channel in its unit, at its own frequency; NaN where there is no signal. Raises Unread."""
    header = header_of(path)
    first = max(round(start * header.frequency), 0)
    count = max(round(seconds * header.frequency), 0)
    if not header.segments:
        return _of_record(path, header, label, first, min(first + count, header.samples))
    return _of_segments(path, header, label, first, min(first + count, header.samples))


def _of_segments(path: Path, header: Header, label: str, first: int, last: int) -> FloatArray:
    """The segments that a stretch crosses, those that are gaps, elsewhere or without this channel as NaN."""
    parts: list[FloatArray] = []
    at, read = 0, 0
    for name, samples in header.segments:
        low, high = max(first, at), min(last, at + samples)
        at += samples
        if low >= high:
            continue
        segment = path.parent / f"{name}.hea"
        try:
            if name == "~":
                raise Unread("missing", "There is no signal here.")
            parts.append(_of_record(segment, header_of(segment), label, low - (at - samples), high - (at - samples)))
            read += 1
        except (Unread, OSError):
            parts.append(np.full(high - low, np.nan))
    if not read:
        raise Unread("missing", "The signal of the recording is not beside its header.")
    return np.concatenate(parts)


def _of_record(path: Path, header: Header, label: str, first: int, last: int) -> FloatArray:
    import wfdb

    place = next((n for n, c in enumerate(header.channels) if c.label == label), None)
    if place is None or any(not (path.parent / file).is_file() for file in header.files) or first >= last:
        raise Unread("missing", "The signal of the recording is not beside its header.")
    try:
        record = wfdb.rdrecord(
            str(path.with_suffix("")), sampfrom=first, sampto=last, channels=[place], smooth_frames=False
        )
        return np.asarray(record.e_p_signal[0], dtype=np.float64)
    except (ValueError, TypeError, KeyError, IndexError, OSError, EOFError, RuntimeError, AttributeError, OverflowError, ZeroDivisionError):
        raise Unread("malformed", "The signal file does not hold what its header says.") from None


def _checksum(path: Path, header: Header) -> str:
    """Of the header and of every file of the record that is beside it, in their order."""
    files = [*header.files]
    for name, _ in header.segments:
        segment = path.parent / f"{name}.hea"
        if name != "~" and segment.is_file():
            files += [segment.name, *header_of(segment).files]
    beside = (path.parent / name for name in dict.fromkeys(files))
    return checksum_of_all([path, *(file for file in beside if file.is_file())])
