"""What became of the rows of a file: read = linked + superseded + set aside, each row set aside with its line and reason."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from estran.sources.study.sheet import Wrong

MOST_LINES = 20_000  # lines that are kept by name; all are counted

WHY: Mapping[str, str] = {
    "truncated": "The row has fewer columns than the header.",
    "malformed": "The row has more columns than the header, or a quotation mark that is never closed.",
    "encoding": "The row holds a null byte.",
    "no-subject": "The row names no subject.",
    "no-identity": "Nothing in the file finds this subject.",
    "contradictory": "The file gives two identities to this subject.",
    "no-patient": "The warehouse holds nobody of this identity for the project.",
    "ambiguous": "Several patients answer to this identity.",
    "doubtful": "Somebody resembles this subject: the holder of the key decides.",
    "rejected": "The holder of the key decided that it is not the same person.",
    "not-a-number": "The value is not a number.",
    "out-of-range": "The value is beyond the limits of the dictionary.",
    "not-a-date": "The value is not a day.",
    "not-yes-no": "The value is neither yes nor no.",
    "not-in-list": "The value is not in the list of the dictionary.",
    "too-long": "The text is too long.",
    "partial": "A transaction that changes part of a row is not carried out: send a snapshot.",
    "whole-removal": "A subject, visit or form cannot be taken back as a whole: take back each item group.",
}


@dataclass
class Outcome:
    """Counts of rows, and the lines that were set aside with their table.

    `told` is what the result gate answers about the set of patients who were linked (value, below, margin): all that
    is told to who may not read patients one by one.
    """

    read: int = 0
    linked: int = 0
    superseded: int = 0
    aside: dict[str, int] = field(default_factory=dict)
    lines: list[tuple[int, str, str, str]] = field(default_factory=list)  # line, table, field, why
    told: list[int] = field(default_factory=list)

    @property
    def set_aside(self) -> int:
        return sum(self.aside.values())

    @property
    def counts(self) -> dict[str, int]:
        """The four numbers."""
        return {"read": self.read, "linked": self.linked, "superseded": self.superseded, "aside": self.set_aside}

    def put_aside(self, table: str, wrong: Iterable[Wrong]) -> None:
        """Rows that were not taken."""
        for one in wrong:
            self.aside[one.why] = self.aside.get(one.why, 0) + 1
            if len(self.lines) < MOST_LINES:
                self.lines.append((one.line, table, one.field, one.why))

    def decided(self, lines: Iterable[int], *, accepted: bool) -> Outcome:
        """The same once somebody decided about doubtful rows on these lines."""
        left, now = Counter(lines), Outcome(self.read, self.linked, self.superseded, dict(self.aside), told=self.told)
        moved = left.total()
        for line, table, column, why in self.lines:
            if why == "doubtful" and left[line]:
                left[line] -= 1
                if not accepted:
                    now.lines.append((line, table, column, "rejected"))
            else:
                now.lines.append((line, table, column, why))
        now.aside["doubtful"] = now.aside.get("doubtful", 0) - moved
        if accepted:
            now.linked += moved
        else:
            now.aside["rejected"] = now.aside.get("rejected", 0) + moved
        now.aside = {why: count for why, count in now.aside.items() if count > 0}
        return now

    def dumps(self) -> str:
        """As JSON."""
        return orjson.dumps(vars(self)).decode()

    @classmethod
    def loads(cls, text: str) -> Outcome:
        """From JSON."""
        found = orjson.loads(text)
        return cls(**found | {"lines": [tuple(line) for line in found["lines"]]})


def csv_of(outcome: Outcome) -> str:
    """The lines set aside as CSV: no value of any row."""
    out = io.StringIO()
    table = csv.writer(out, delimiter=";", lineterminator="\r\n")
    table.writerow(("line", "table", "field", "reason", "meaning"))
    table.writerows(
        (line, name, _plain(column), why, WHY.get(why, "")) for line, name, column, why in sorted(outcome.lines)
    )
    return out.getvalue()


def _plain(name: str) -> str:
    """A column's name that no spreadsheet takes for a formula."""
    return f"'{name}" if name[:1] in tuple("=+-@\t\r") else name
