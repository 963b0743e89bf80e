"""Waveform objects (PS3.3 A.34, C.10.9): electrocardiograms and their kind inside DICOM."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from estran.sources.dicom.elements import coded, first_code, items, moment, number, raw, uid, word
from estran.sources.dicom.images import event_time, modality_code, title_of, uri_of
from estran.sources.signal import facts, heart
from estran.sources.signal.recording import Channel, Mark, Recording
from estran.sources.writing import Item, Writing
from estran.terminology.units import ucum

_CLASSES = "1.2.840.10008.5.1.4.1.1.9."


def is_waveform(header: Dataset) -> bool:
    """Whether the object is a waveform."""
    return uid(header, "SOPClassUID").startswith(_CLASSES) and "WaveformSequence" in header


def read_waveform(header: Dataset, zone: str, authority: str, checksum: str) -> Writing:
    """The document of a waveform: a recording like any other, with the device's own measurements."""
    start = moment(header, ("AcquisitionDateTime", ""), ("ContentDate", "ContentTime"), ("StudyDate", "StudyTime"), zone=zone)
    groups = list(items(header, "WaveformSequence"))
    channels = tuple(channel for group in groups for channel in _channels(group, authority))
    beats = _beats(groups, authority)
    whole, hours = heart.summed_up(list(heart.minutes_of(beats)))
    seconds = max((c.samples / c.frequency for c in channels if c.frequency), default=0.0)
    recording = Recording(
        uid(header, "SOPInstanceUID"), "DICOM", "", round(seconds, 3), channels, tuple(_notes(header)),
        whole=whole, hours=hours, rate_from="detected" if whole else "", checksum=checksum,
    )  # fmt: skip
    exam = Item(modality_code(word(header, "Modality").upper() or "ECG"))
    written = facts.write(recording, zone, uri_of(header, slices=False), (exam, *_measures(header, authority)))
    return Writing(
        f"object/{recording.key}", written.kind, title_of(header) or written.title, start, written.items,
        media=written.media, event_time=event_time(header, start, zone),
    )  # fmt: skip


def _channels(group: Dataset, authority: str) -> list[Channel]:
    frequency = number(group, "SamplingFrequency") or 0.0
    samples = int(number(group, "NumberOfWaveformSamples") or 0)
    found = []
    for one in items(group, "ChannelDefinitionSequence"):
        source = first_code(one, "ChannelSourceSequence", authority)
        unit = first_code(one, "ChannelSensitivityUnitsSequence", authority)
        label = word(one, "ChannelLabel") or (source.label if source else "")
        found.append(Channel(_lead(label), ucum(unit.code) if unit else "", frequency, samples))
    return found


def _lead(label: str) -> str:
    """`Lead I (Einthoven)` is I."""
    return label.removeprefix("Lead ").partition(" (")[0].strip()[:80]


def _beats(groups: list[Dataset], authority: str) -> npt.NDArray[np.float64]:
    """Beats of the longest group whose first channel is a lead in 16-bit samples."""
    for group in sorted(groups, key=lambda g: -(number(g, "NumberOfWaveformSamples") or 0)):
        channels, data = _channels(group, authority), raw(group, "WaveformData")
        width = len(channels)
        if not width or not heart.is_lead(channels[0].label) or word(group, "WaveformSampleInterpretation") != "SS":
            continue
        if isinstance(data, bytes) and len(data) >= 2 * width:
            samples = np.frombuffer(data[: len(data) // (2 * width) * 2 * width], dtype="<i2").reshape(-1, width)
            leads = (samples[:, n].astype(np.float64) for n in range(min(width, heart.MOST_LEADS)))
            return heart.steadiest(heart.find_beats([(0.0, lead)], channels[0].frequency) for lead in leads)
    return np.zeros(0)


def _measures(header: Dataset, authority: str) -> list[Item]:
    """What the device measured and coded (Waveform Annotation Sequence with a numeric value)."""
    found = []
    for note in items(header, "WaveformAnnotationSequence"):
        name, value = first_code(note, "ConceptNameCodeSequence", authority, "observation"), number(note, "NumericValue")
        if name is None:
            continue
        unit = first_code(note, "MeasurementUnitsCodeSequence", authority)
        said = next(filter(None, (coded(c, authority) for c in items(note, "ConceptCodeSequence"))), None)
        if value is not None or said is not None:
            found.append(Item(name, value, ucum(unit.code) if unit else None, value_code=said))
    return found


def _notes(header: Dataset) -> list[Mark]:
    """What the device wrote in words."""
    texts = (word(note, "UnformattedTextValue") for note in items(header, "WaveformAnnotationSequence"))
    return [Mark(0.0, None, text[:500]) for text in texts if text]
