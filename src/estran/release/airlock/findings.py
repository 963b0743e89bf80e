"""What a check says: a finding, where, by which rule; and the verdict that follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from estran.release.airlock.rules import RULES, Rule


class Verdict(StrEnum):
    """What the checks come to. Nothing leaves on `PASS` alone: a person still decides."""

    PASS = "pass"  # noqa: S105
    HUMAN = "human"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Finding:
    """What a rule found in a file. `row` and `column` count from 1, the heading being row 1; 0 for the whole file.

    `words` fill the sentence of the rule; they never hold the content of a cell that is not a count.
    """

    rule: str
    file: str
    row: int = 0
    column: int = 0
    words: tuple[tuple[str, str], ...] = ()
    part: str = ""

    @property
    def about(self) -> Rule:
        return RULES[self.rule]

    @property
    def refuses(self) -> bool:
        return self.about.refuses

    def what(self, language: str) -> str:
        """The sentence in French ("fr") or English."""
        return self.about.what(language).format(**dict(self.words))

    def next(self, language: str) -> str:
        """What to do about it."""
        return self.about.next(language).format(**dict(self.words))


def finding(rule: str, file: str, row: int = 0, column: int = 0, part: str = "", /, **words: object) -> Finding:
    """A finding, its words as text; `part` (of a document) may be given by name."""
    where = str(words.pop("part", part))
    return Finding(rule, file, row, column, tuple((name, str(value)) for name, value in words.items()), where)


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Refused when one finding refuses; to a human when there is any other."""
    refusals = [one.refuses for one in findings]
    return Verdict.REFUSE if any(refusals) else Verdict.HUMAN if refusals else Verdict.PASS
