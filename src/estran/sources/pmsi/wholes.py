"""The wholes of a file: records that are always sent together, such as the RUM of one RSS.

Which whole each line is part of, and what all its lines say, is found before any record is read: a whole may
lie across two stretches of lines, and its lines need not follow each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from estran.sources.pmsi.cutting import Ints, Lines, texts
from estran.sources.pmsi.layout import Kind, Layout
from estran.sources.pmsi.recognise import Recogniser
from estran.sources.records import content_hash


@dataclass(frozen=True)
class Wholes:
    """A digest of each whole of a file, the order of its lines left out."""

    names: Ints  # hashes of names, in order
    digests: Ints

    def of(self, names: list[str]) -> Ints:
        """The digests of these wholes, which are all of the file."""
        hashes = np.array([content_hash(name.encode()) for name in names], np.int64)
        found: Ints = self.digests[np.searchsorted(self.names, hashes)]
        return found


def names_of(kind: Kind, layout: Layout, lines: Lines) -> list[str]:
    """What names the whole of each line."""
    columns = [texts(lines.head(layout.fields[name])) for name in kind.whole if name in layout.fields]
    return ["|".join((kind.kind, *words)) for words in zip(*columns, strict=True)]


def wholes_of(recogniser: Recogniser, chunks: Iterable[Lines]) -> Wholes:
    """The wholes of all lines whose kind has such."""
    names, lines_of = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for lines in chunks:
        found = recogniser.find(lines)
        for number in np.unique(found[found >= 0]).tolist():
            kind, layout = recogniser.layouts[number]
            if kind.whole:
                chosen = lines.take(found == number)
                names.append(np.array([content_hash(n.encode()) for n in names_of(kind, layout, chosen)], np.int64))
                lines_of.append(np.array([content_hash(chosen.bytes_of(row)) for row in range(len(chosen))], np.int64))
    every, place = np.unique(np.concatenate(names), return_inverse=True)
    digests = np.zeros(len(every), np.int64)
    np.add.at(digests, place, np.concatenate(lines_of))  # wraps around: a sum knows no order
    return Wholes(every, digests)
