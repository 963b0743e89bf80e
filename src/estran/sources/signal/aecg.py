"""HL7 annotated electrocardiogram (aECG, HL7 V3 PORT_MT020001): XML with the samples inside."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from lxml import etree

from estran.sources.checksums import checksum_of
from estran.sources.signal import heart
from estran.sources.signal.recording import Channel, Mark, Measure, Recording, Subject, Unread

LARGEST = 256 << 20  # bytes
_V3 = "{urn:hl7-org:v3}"
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}
_LEAD = "MDC_ECG_LEAD_"
_STAMP = re.compile(r"^\d{8}(\d{2,6})?")
_SEXES = {"F": "female", "M": "male"}
FloatArray = npt.NDArray[np.float64]


def is_aecg(path: Path) -> bool:
    """Whether the XML file at `path` begins as an aECG."""
    with path.open("rb") as source:
        return b"AnnotatedECG" in source.read(4096)


def _root(path: Path) -> etree._Element:
    """The document, without entity, network or DTD. Raises Unread."""
    if path.stat().st_size > LARGEST:
        raise Unread("malformed", "The aECG file is larger than 256 MB.")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    try:
        tree = etree.parse(str(path), parser)
    except (etree.XMLSyntaxError, OSError):
        raise Unread("malformed", "The aECG file is not well-formed XML.") from None
    if tree.docinfo.internalDTD is not None:
        raise Unread("malformed", "The aECG file declares a document type: refused.")
    root = tree.getroot()
    if root.tag != f"{_V3}AnnotatedECG":
        raise Unread("unknown-type", "The XML file is not an HL7 aECG.")
    return root


def read_recording(path: Path) -> Recording:
    """Raises Unread."""
    root = _root(path)
    try:
        return _read(root, path)
    except (ValueError, KeyError, TypeError, OverflowError):
        raise Unread("malformed", "The aECG file holds values that cannot be read.") from None


def _read(root: etree._Element, path: Path) -> Recording:
    leads = list(_leads(root))
    channels = [Channel(label, "uV", frequency, len(samples)) for label, frequency, samples in leads]
    beats = heart.steadiest(
        heart.find_beats([(0.0, samples)], frequency) for _, frequency, samples in leads[: heart.MOST_LEADS] if frequency
    )
    whole, hours = heart.summed_up(list(heart.minutes_of(beats)))
    seconds = max((c.samples / c.frequency for c in channels if c.frequency), default=0.0)
    identity = root.find(f"{_V3}id")
    key = f"{identity.get('root') or ''}/{identity.get('extension') or ''}" if identity is not None else "/"
    return Recording(
        path.stem if key == "/" else key, "aECG", _start(root), round(seconds, 3), tuple(channels), tuple(_marks(root)),
        (), (), whole, hours, "detected" if whole else "", tuple(_measures(root)), _subject(root), checksum_of(path),
    )  # fmt: skip


def _leads(root: etree._Element) -> Iterator[tuple[str, float, FloatArray]]:
    """(label, samples per second, microvolts) of each lead of the rhythm."""
    for sequences in root.iterfind(f".//{_V3}series/{_V3}component/{_V3}sequenceSet"):
        frequency = 0.0
        for sequence in sequences.iterfind(f"{_V3}component/{_V3}sequence"):
            code = _attribute(sequence, "code", "code")
            increment = sequence.find(f".//{_V3}increment")
            if code.startswith("TIME_") and increment is not None:
                step = float(increment.get("value") or 0) * _SECONDS.get(increment.get("unit") or "s", 1.0)
                frequency = 1 / step if step > 1e-6 else 0.0
            elif code.startswith(_LEAD):
                yield code.removeprefix(_LEAD), frequency, _microvolts(sequence)


def _microvolts(sequence: etree._Element) -> FloatArray:
    digits = sequence.find(f".//{_V3}digits")
    samples = np.array((digits.text or "").split() if digits is not None else [], dtype=np.float64)
    scale, origin = sequence.find(f".//{_V3}scale"), sequence.find(f".//{_V3}origin")
    factor = {"mV": 1e3, "V": 1e6, "nV": 1e-3}.get((scale.get("unit") or "uV") if scale is not None else "uV", 1.0)
    gain = float(scale.get("value") or 1) if scale is not None else 1.0
    zero = float(origin.get("value") or 0) if origin is not None else 0.0
    return np.asarray((samples * gain + zero) * factor, dtype=np.float64)


def _start(root: etree._Element) -> str:
    for place in (f"{_V3}component/{_V3}series/{_V3}effectiveTime/{_V3}low", f"{_V3}effectiveTime/{_V3}low",
                  f"{_V3}effectiveTime/{_V3}center", f"{_V3}effectiveTime"):  # fmt: skip
        found = root.find(place)
        stamp = _STAMP.match(found.get("value") or "") if found is not None else None
        if stamp:
            return _local(stamp.group())
    return ""


def _local(digits: str) -> str:
    padded = digits.ljust(14, "0")
    try:
        return dt.datetime.strptime(padded, "%Y%m%d%H%M%S").isoformat()
    except ValueError:
        return ""


def _subject(root: etree._Element) -> Subject:
    subject = root.find(f".//{_V3}trialSubject")
    if subject is None:
        return Subject()
    number, person = subject.find(f"{_V3}id"), subject.find(f"{_V3}subjectDemographicPerson")
    system, value = (number.get("root") or "", number.get("extension") or "") if number is not None else ("", "")
    if person is None:
        return Subject(value, system)
    birth = _local((_attribute(person, "birthTime", "value") or "x")[:8])[:10]
    families = _texts(person, "family")
    given = _texts(person, "given")
    return Subject(value, system, families, given, birth, _SEXES.get(_attribute(person, "administrativeGenderCode", "code"), ""))


def _texts(person: etree._Element, name: str) -> tuple[str, ...]:
    return tuple(t for e in person.iterfind(f"{_V3}name/{_V3}{name}") if (t := (e.text or "").strip()))


def _attribute(element: etree._Element, child: str, name: str) -> str:
    found = element.find(f"{_V3}{child}")
    return (found.get(name) or "") if found is not None else ""


def _measures(root: etree._Element) -> Iterator[Measure]:
    """Annotations with a quantity, by their MDC code (rate, intervals, axes)."""
    for note in root.iterfind(f".//{_V3}annotation"):
        code, value = note.find(f"{_V3}code"), note.find(f"{_V3}value")
        if code is None or value is None or not value.get("value"):
            continue
        yield Measure("MDC", code.get("code") or "", code.get("displayName") or "", float(value.get("value") or 0), value.get("unit") or "1")


def _marks(root: etree._Element) -> Iterator[Mark]:
    """Annotations in words (interpretation statements)."""
    for note in root.iterfind(f".//{_V3}annotation"):
        value = note.find(f"{_V3}value")
        text = " ".join("".join(value.itertext()).split()) if value is not None and not value.get("value") else ""
        if text:
            yield Mark(0.0, None, text[:500])


def samples_of(path: Path, label: str) -> tuple[float, FloatArray]:
    """(samples per second, microvolts) of the lead `label`. Raises Unread."""
    for name, frequency, samples in _leads(_root(path)):
        if name == label:
            return frequency, samples
    raise Unread("missing", "The recording has no such channel.")
