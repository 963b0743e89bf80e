"""Live numerics of monitors (IHE PCD-01): what one message says, brought down to one value per parameter and minute."""

from __future__ import annotations

from estran.model.codes import FactStatus, Origin, Precision
from estran.model.moments import Moment, civil_of, instant
from estran.sources.hl7v2.gathering import Gathering
from estran.sources.hl7v2.message import Message, Segment, get, part, parts
from estran.sources.hl7v2.observations import Draft, observe
from estran.sources.hl7v2.values import STATUSES
from estran.sources.signal.numerics import COUNT, HIGH, LOW, Minute, Reading, by_minute

_PROFILES = ("IHE_PCD_001", "IHE PCD ORU", "1.3.6.1.4.1.19376.1.6.1.1.1")  # MSH-21, of the framework's editions
_SAID = (FactStatus.FINAL, FactStatus.PRELIMINARY)
# OBX-6: dimensions of ISO/IEEE 11073-10101 by their reference name, in UCUM.
_UNITS = {
    "MDC_DIM_BEAT_PER_MIN": "/min", "MDC_DIM_RESP_PER_MIN": "/min", "MDC_DIM_PULS_PER_MIN": "/min",
    "MDC_DIM_MMHG": "mm[Hg]", "MDC_DIM_CM_H2O": "cm[H2O]", "MDC_DIM_KILO_PASCAL": "kPa", "MDC_DIM_PERCENT": "%",
    "MDC_DIM_DEGC": "Cel", "MDC_DIM_FAHR": "[degF]", "MDC_DIM_MILLI_L": "mL", "MDC_DIM_L_PER_MIN": "L/min",
    "MDC_DIM_MILLI_L_PER_HR": "mL/h", "MDC_DIM_SEC": "s", "MDC_DIM_MILLI_SEC": "ms", "MDC_DIM_MILLI_VOLT": "mV",
    "MDC_DIM_KILO_G": "kg", "MDC_DIM_DIMLESS": "1",
}  # fmt: skip

Series = tuple[int, str, int]  # profile, OBX-4, status


def is_live(message: Message) -> bool:
    """Whether MSH-21 names the profile of what monitors say."""
    named = get(message.msh, 21)
    return bool(named) and any(profile in named for profile in _PROFILES)


def observe_live(gathering: Gathering, draft: Draft, lines: list[str]) -> None:
    """Add the OBX of a monitor: numbers as minutes, the rest as of any order. The devices that the numbers
    belong to (OBX without a value) are left out."""
    rest: list[str] = []
    readings: list[Reading[Series]] = []
    for line in lines:
        obx = line.split("|")
        obx += [""] * (15 - len(obx))
        if obx[0] == "OBX" and not obx[5]:
            continue
        reading = _reading(gathering, draft, obx)
        if reading is None:
            rest.append(line)
        else:
            draft.letters.add(obx[11])
            readings.append(reading)
    draft.alive += len(readings)
    observe(gathering, draft, rest)
    for minute in by_minute(readings):
        _add(gathering, draft, minute)


def _reading(gathering: Gathering, draft: Draft, obx: Segment) -> Reading[Series] | None:
    """The number of an OBX; None when it is none, is not exact, or was taken back."""
    status = STATUSES.get(obx[11], FactStatus.FINAL)
    number = gathering.held.number(obx[5]) if obx[0] == "OBX" and obx[2] == "NM" else None
    if number is None or number.comparator is not None or status not in _SAID:
        return None
    obx[6] = _unit(obx[6])
    profile = gathering.profile(draft.codes, obx)
    at = gathering.clock.micros(obx[14], "OBX-14")
    if not at and draft.start is not None:
        at = instant(draft.start, gathering.clock.zone)
    return None if profile is None or not at else Reading((profile, obx[4], int(status)), at, number.value)


def _unit(field: str) -> str:
    """An OBX-6 in UCUM when it is a dimension that is known here, else as it is."""
    name = part(parts(field), 2)
    unit = _UNITS.get(name, name if name.startswith("MDC_DIM_") else "")
    return unit or field


def _add(gathering: Gathering, draft: Draft, minute: Minute[Series]) -> None:
    """The median as the fact; lowest, highest and how many below it, when there was more than one value."""
    profile, _, status = minute.series
    start = Moment(*civil_of(minute.at, gathering.clock.zone), Precision.MINUTE)
    place = draft.facts.add(profile, start, minute.median, {"status": status or None})
    if minute.count == 1:
        return
    builder = gathering.builder
    below = {"parent_fact_no": place, "origin": int(Origin.DERIVED), "status": status or None}
    for code, value in ((LOW, minute.low), (HIGH, minute.high), (COUNT, float(minute.count))):
        draft.facts.add(builder.profile(builder.code(code)), start, value, below)
