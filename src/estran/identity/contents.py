"""What a vault tells of itself: its files, what happened to identities, names that do not depend on ids."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class KeptFile:
    """One file of the landing; `sha256` is of its bytes before encryption, `size` in bytes."""

    file_no: int
    name: str
    size: int
    format: str
    sha256: str


@dataclass(frozen=True)
class Trace:
    """Something that happened to identities: alias, merge, unmerge, split or erase."""

    at: dt.datetime
    kind: str
    identities: tuple[int, ...]


@dataclass(frozen=True)
class NaturalKeys:
    """What patients and stays are called outside the site's own numbering; in memory only."""

    patients: Mapping[int, str]  # patient_id → its numbers 'system|value', sorted, one a line
    stays: Mapping[int, str]  # stay_id → 'patient key|system|value'
