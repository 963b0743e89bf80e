"""What makes a line unusable: too short or too long, a date that is none, a letter where a number stands."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from estran.sources.pmsi.cutting import Bools, Ints, Lines, blank, days, distinct, numbers, zones
from estran.sources.pmsi.layout import Kind, Layout
from estran.sources.pmsi.members import LONGEST_LINE
from estran.sources.pmsi.sheet import Cut

_LETTERS = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-./*_")


@dataclass
class Faults:
    """The first fault of each line that has one: (field, code, sentence)."""

    count: int
    first: dict[int, tuple[str, str, str]] = field(default_factory=dict)

    def note(self, rows: Bools | Ints, name: str, code: str, sentence: str) -> None:
        places = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        for row in places.tolist():
            self.first.setdefault(int(row), (name, code, sentence))

    def good(self) -> Bools:
        """Lines without a fault."""
        kept = np.ones(self.count, np.bool_)
        kept[list(self.first)] = False
        return kept


def checked(kind: Kind, layout: Layout, lines: Lines) -> tuple[Cut, Faults]:
    """Lines of one layout cut open, and their faults; a faulty line keeps no repeated zone."""
    faults = Faults(len(lines))
    lengths = lines.lengths()
    faults.note(lengths > LONGEST_LINE, "line", "malformed", "The line is longer than any PMSI line.")
    faults.note(lengths < layout.need, "line", "truncated", "The line ends before the fixed part of its layout does.")
    found, short, long, wrong = zones(lines, layout)
    faults.note(wrong, "counters", "malformed", "A counter of diagnoses or acts is not a number.")
    faults.note(short, "line", "truncated", "The line is shorter than its counters of diagnoses and acts say.")
    faults.note(long, "line", "malformed", "The line is longer than its counters of diagnoses and acts say.")
    cut = Cut(kind, layout, lines, found)
    _null_bytes(cut, faults)
    for path in _used(kind):
        if cut.has(path):
            _check(cut, path, faults)
    _codes(cut, faults)
    _named(cut, faults)
    return cut, faults


def _named(cut: Cut, faults: Faults) -> None:
    """A line must say whose it is: by its stay, by its patient where it may."""
    kind = cut.kind
    if kind.patient and not kind.documents:
        return
    stays, patients = (blank(cut.values(n)) if cut.has(n) else None for n in (kind.stay, kind.patient))
    if patients is not None:
        nobody = patients if stays is None else patients & stays
        faults.note(nobody, kind.patient, "no-patient", "The line names no patient.")
    elif stays is not None:
        faults.note(stays, kind.stay, "no-patient", "The line names no stay.")


def _null_bytes(cut: Cut, faults: Faults) -> None:
    data = cut.lines.data
    if (data == 0).any():
        zeros = np.concatenate([[0], np.cumsum(data == 0)])
        faults.note(zeros[cut.lines.ends] > zeros[cut.lines.starts], "line", "encoding", "The line holds a null byte.")


def _used(kind: Kind) -> list[str]:
    """The fields that mean something, each once."""
    paths = [kind.start, kind.end, kind.sent, kind.birth]
    for document in kind.documents:
        paths.append(document.start)
        for spec in document.facts:
            paths += [spec.number, spec.day, spec.date, spec.count]
    return list(dict.fromkeys(p for p in paths if p))


def _check(cut: Cut, path: str, faults: Faults) -> None:
    item = cut.field(path)
    if item.type == "t":
        return
    if item.type.startswith("n"):
        _, wrong = numbers(cut.values(path), item.decimals)
        sentence = "The field is not a number."
    else:
        _, wrong = days(cut.values(path), item.type)
        sentence = "The field is not a date."
    faults.note(np.unique(cut.owner(path)[wrong]), path, "malformed", sentence)


def _codes(cut: Cut, faults: Faults) -> None:
    """A code that holds a blank or a sign is no code: the line is not aligned with its layout."""
    for path in dict.fromkeys(spec.field for document in cut.kind.documents for spec in document.facts):
        if path and cut.has(path):
            words, index = distinct(cut.values(path))
            bad = np.array([not _LETTERS.issuperset(word) for word in words] + [False])[index]
            faults.note(np.unique(cut.owner(path)[bad]), path, "malformed", "The code holds a character that no code has.")
