"""What each step asks for: the fields of its form, read and checked in one place."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from estran.model.errors import UsageError
from estran.projects.life.formality import Kind, Persons, Piece
from estran.projects.life.machine import Step
from estran.projects.life.request import LegalBasis

Given = Mapping[str, Sequence[str]]  # a form: each name with all its values
Read = Callable[["Field", Given], Any]
MOST_TEXT, MOST_LINE, MOST_ROWS = 10_000, 300, 300


class Input(StrEnum):
    """Kinds of fields, by what a page draws for them."""

    LINE = "line"
    TEXT = "text"
    LINES = "lines"  # one per line
    DAY = "day"
    NUMBER = "number"
    FLAG = "flag"
    CHOICE = "choice"
    PEOPLE = "people"
    PERSON = "person"
    COHORT = "cohort"
    CALL = "call"
    CONDITION = "condition"
    VARIABLES = "variables"
    SCORES = "scores"


@dataclass(frozen=True)
class Field:
    """One field. `among` is the closed list of a choice, whose words are those of `words`."""

    name: str
    input: Input
    needed: bool = True
    among: tuple[str, ...] = ()
    words: str = ""


def _choice(name: str, words: str, among: Sequence[str]) -> Field:
    return Field(name, Input.CHOICE, among=tuple(among), words=words)


OPINIONS = ("favourable", "reserved", "unfavourable")
VOTES = ("accept", "conditions", "refuse", "abstain")
OUTPUTS = ("publication", "patent", "software", "other", "none")
_REASON = Field("reason", Input.TEXT)
_TITLE, _SITES = Field("title", Input.LINE), Field("sites", Input.LINES)
_MEMBERS = Field("members", Input.PEOPLE, needed=False)
_OPINION, _TEXT = _choice("opinion", "opinion", OPINIONS), Field("text", Input.TEXT)
_KEPT = (Field("what", Input.LINE), Field("how", Input.LINE), Field("day", Input.DAY))

FIELDS: dict[Step, tuple[Field, ...]] = {
    Step.PROPOSE: (
        _TITLE, _choice("kind", "kind", tuple(Kind)), _SITES, _MEMBERS, Field("call", Input.CALL, needed=False),
    ),
    Step.DESCRIBE: (_TITLE, _SITES, _MEMBERS),
    Step.ATTACH: (Field("cohort", Input.COHORT),),
    Step.WRITE: (
        Field("objectives", Input.TEXT, needed=False), Field("summary", Input.TEXT, needed=False), _choice("legal_basis", "legal_basis", ("", *LegalBasis)),
        Field("months", Input.NUMBER, needed=False), Field("variables", Input.VARIABLES, needed=False),
        Field("texts", Input.FLAG, needed=False), _choice("persons", "persons", tuple(Persons)),
        *(Field(name, Input.FLAG, needed=False) for name in ("public_interest", "informed", "snds", "national_pmsi", "partner")),
    ),
    Step.SIGN: (Field("charter", Input.FLAG),),
    Step.SAY: (_TEXT,),
    Step.INTEND: (Field("letter", Input.TEXT),),
    Step.PRESELECT: (_REASON,),
    Step.DECLINE: (_REASON,),
    Step.SUBMIT: (),
    Step.RETURN: (_REASON,),
    Step.ADVISE: (_OPINION, _TEXT),
    Step.TIGHTEN: (_REASON,),
    Step.ASK: (Field("expert", Input.PERSON), Field("due", Input.DAY)),
    Step.OPINE: (_OPINION, _TEXT, Field("scores", Input.SCORES, needed=False)),
    Step.RECUSE: (_TEXT,),
    Step.CALL: (
        Field("day", Input.DAY), Field("members", Input.PEOPLE), Field("chair", Input.PERSON), Field("quorum", Input.NUMBER),
    ),
    Step.DECLARE: (Field("conflict", Input.FLAG, needed=False), Field("reason", Input.LINE, needed=False)),
    Step.VOTE: (_choice("vote", "vote", VOTES), _REASON),
    Step.ADJOURN: (_REASON,),
    Step.ACCEPT: (_REASON,),
    Step.CONDITION: (_REASON, Field("conditions", Input.LINES)),
    Step.REFUSE: (_REASON,),
    Step.LIFT: (Field("condition", Input.CONDITION), Field("proof", Input.TEXT)),
    Step.CONFIRM: (),
    Step.FILE: (_choice("piece", "piece", tuple(Piece)), Field("reference", Input.LINE), Field("day", Input.DAY)),
    Step.OPEN: (),
    Step.AMEND: (
        _REASON, Field("months", Input.NUMBER, needed=False), Field("variables", Input.VARIABLES, needed=False),
        Field("cohort", Input.COHORT, needed=False),
    ),
    Step.GRANT: (_REASON,),
    Step.APPROVE: (_REASON,),
    Step.DENY: (_REASON,),
    Step.STAFF: (_MEMBERS,),
    Step.SUSPEND: (_REASON,),
    Step.RESUME: (_REASON,),
    Step.CLOSE: (_REASON,),
    Step.OUTPUT: (
        _choice("kind", "output", OUTPUTS), _TITLE, Field("reference", Input.LINE, needed=False),
        Field("day", Input.DAY, needed=False), Field("found", Input.TEXT, needed=False),
    ),
    Step.ARCHIVE: _KEPT,
    Step.DESTROY: _KEPT,
    Step.END: (),
    Step.WITHDRAW: (_REASON,),
}  # fmt: skip


def read(step: Step, given: Given) -> dict[str, Any]:
    """The body of a step from its form; UsageError when a field is missing or does not fit.

    People, cohorts, conditions and scores are numbers here; the desk says whether they exist.
    """
    return {field.name: _READ[field.input](field, given) for field in FIELDS[step]}


def _one(field: Field, given: Given) -> str:
    return next(iter(given.get(field.name, ())), "").strip()


def _needed(field: Field, text: str, most: int) -> str:
    if field.needed and not text:
        raise UsageError(f"The field {field.name} is empty.")
    if len(text) > most:
        raise UsageError(f"The field {field.name} is too long.")
    return text


def _line(field: Field, given: Given) -> str:
    return _needed(field, " ".join(_one(field, given).split()), MOST_LINE)


def _text(field: Field, given: Given) -> str:
    return _needed(field, _one(field, given).replace("\r\n", "\n"), MOST_TEXT)


def _lines(field: Field, given: Given) -> list[str]:
    found = [" ".join(line.split()) for line in _text(field, given).splitlines()]
    return list(dict.fromkeys(line[:MOST_LINE] for line in found if line))


def _day(field: Field, given: Given) -> str | None:
    text = _needed(field, _one(field, given), 10)
    try:
        return dt.date.fromisoformat(text).isoformat() if text else None
    except ValueError:
        raise UsageError("A day is written YYYY-MM-DD.") from None


def _number(field: Field, given: Given) -> int | None:
    text = _needed(field, _one(field, given), 6)
    if text and not (text.isdecimal() and text.isascii() and 1 <= int(text) <= 2**31):
        raise UsageError(f"The field {field.name} is not a whole number above zero.")
    return int(text) if text else None


def _flag(field: Field, given: Given) -> bool:
    ticked = bool(_one(field, given))
    if field.needed and not ticked:
        raise UsageError(f"The field {field.name} is not ticked.")
    return ticked


def _choose(field: Field, given: Given) -> str:
    text = _one(field, given)
    if text not in field.among:
        raise UsageError(f"The field {field.name} has no such choice.")
    return text


def _numbers(field: Field, given: Given) -> list[int]:
    found = given.get(field.name, ())
    if field.needed and not found:
        raise UsageError(f"The field {field.name} is empty.")
    if not all(text.isdecimal() and text.isascii() and len(text) < 10 for text in found):
        raise UsageError(f"The field {field.name} has no such choice.")
    return list(dict.fromkeys(map(int, found)))


def _pick(field: Field, given: Given) -> int | None:
    chosen = [text for text in given.get(field.name, ()) if text]
    found = _numbers(field, {field.name: chosen})
    return found[0] if found else None


def _variables(field: Field, given: Given) -> list[list[str]]:
    """Rows of name, code and justification; rows that are wholly empty are left out."""
    columns = [given.get(f"{field.name}_{part}", ()) for part in ("name", "code", "why")]
    if len({len(column) for column in columns}) != 1 or len(columns[0]) > MOST_ROWS:
        raise UsageError(
            "The list of variables cannot be read.", hint="send at most 300 rows of name, code and justification"
        )
    rows = [[" ".join(cell.split())[: MOST_LINE * 3] for cell in row] for row in zip(*columns, strict=True)]
    if any(not row[0] and any(row) for row in rows):
        raise UsageError("A variable has no name.")
    return [row for row in rows if row[0]]


def _scores(field: Field, given: Given) -> list[int]:
    found = given.get(field.name, ())
    if not all(text.isdecimal() and text.isascii() and len(text) < 4 for text in found):
        raise UsageError("A score is a whole number.")
    return [int(text) for text in found]


_READ: dict[Input, Read] = {
    Input.LINE: _line, Input.TEXT: _text, Input.LINES: _lines, Input.DAY: _day, Input.NUMBER: _number, Input.FLAG: _flag,
    Input.CHOICE: _choose, Input.PEOPLE: _numbers, Input.PERSON: _pick, Input.COHORT: _pick, Input.CALL: _pick,
    Input.CONDITION: _pick, Input.VARIABLES: _variables, Input.SCORES: _scores,
}  # fmt: skip
