"""From the text form to nodes: recursive descent, or < and < not < then/during < one criterion."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from estran.cohort.language import options, words
from estran.cohort.language.cursor import Cursor
from estran.cohort.query import (
    And,
    AtLeast,
    Code,
    CodeCriterion,
    CohortRef,
    Demographic,
    DocumentCriterion,
    During,
    Everyone,
    Family,
    FollowUp,
    IdList,
    IntRange,
    Kin,
    MediaCriterion,
    MovementCriterion,
    Node,
    Not,
    Occurrence,
    Or,
    PermissionCriterion,
    Rank,
    Same,
    Sequence,
    StayCriterion,
    TextCriterion,
    TimeUnit,
    Unit,
    VariantCriterion,
    Washout,
    Window,
)
from estran.model.errors import UsageError

MAX_DEPTH = 100
WORD = re.compile(r"[^\W_][\w*'’.\-/+%°]*")
MINUS_WORD = re.compile(r"-[^\W_][\w*'’.\-/+%°]*")
TITLE = re.compile(r'(titre|title):\s*("[^"]*"|[^\s()\[\],"]+)')
PHRASE = re.compile(r'"[^"]*"(~\d+)?')
_CODE_AHEAD = re.compile(r"[A-Za-z][\w/.\-]*:[^\s]|'|\{")
_HEAD_CHARS = re.compile(r"[^\W\d_]")


def parse(text: str) -> Node:
    """The question that a text asks; UsageError with the character where reading stopped, and a hint."""
    cursor = Cursor(text)
    if cursor.done():
        raise cursor.error("The question is empty.", "write a word, a code like CIM10:I50, or age>=65")
    node = _Reader(cursor).question()
    if not cursor.done():
        raise cursor.error("The question ends before this.", "remove it, or join it with ET, OU or SAUF")
    return node


class _Reader:
    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.depth = 0

    def question(self) -> Node:
        """Criteria joined by or."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.cursor.error("The question is nested too deeply.", "use fewer parentheses")
        found = [self.conjunction()]
        while self.operator(words.OR):
            found.append(self.conjunction())
        self.depth -= 1
        return found[0] if len(found) == 1 else Or(tuple(found))

    def conjunction(self) -> Node:
        """Criteria joined by and, by except, or merely following each other."""
        found = [self.negation()]
        while not self.ends():
            if self.operator(words.EXCEPT):
                found.append(Not(self.negation()))
            else:
                self.operator(words.AND)
                found.append(self.negation())
        return found[0] if len(found) == 1 else And(tuple(found))

    def ends(self) -> bool:
        """Whether a conjunction is over here."""
        return self.cursor.done() or self.cursor.peek() in "),]}" or self.sees(words.OR)

    def sees(self, pattern: re.Pattern[str]) -> bool:
        """Whether an operator comes next; some are operators in capitals only."""
        self.cursor.skip()
        found = self.cursor.look(pattern)
        if not found:
            return False
        return pattern in words.ANY_CASE or self.cursor.text[found.start() : found.end()].isupper()

    def operator(self, pattern: re.Pattern[str]) -> bool:
        """Move behind an operator when it comes next."""
        if not self.sees(pattern):
            return False
        self.cursor.take(pattern)
        return True

    def negation(self) -> Node:
        """`NON x`."""
        negations = 0
        while self.operator(words.NOT):
            negations += 1
        if negations + self.depth > MAX_DEPTH:
            raise self.cursor.error("The question is nested too deeply.", "remove NON NON")
        node = self.relation()
        for _ in range(negations):
            node = Not(node)
        return node

    def relation(self) -> Node:
        """`A PUIS B [1..30 jours]`, `A PENDANT B`; several are read from the right."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.cursor.error("The question is nested too deeply.", "use fewer PUIS")
        first = self.criterion()
        if self.operator(words.THEN):
            delay, unit = self.delay() or (None, TimeUnit.DAY)
            then = self.relation()
            if delay is None:
                delay, unit = self.delay() or (IntRange(0), TimeUnit.DAY)
            first = self.made(partial(Sequence, first, then, delay, unit))
        elif self.operator(words.DURING):
            within = self.relation()
            first = self.made(partial(During, first, within))
        self.depth -= 1
        return first

    def delay(self) -> tuple[IntRange, TimeUnit] | None:
        """`[1..30 jours]`, `[..6 heures]`; `[30 jours]` is within 30 days."""
        self.cursor.skip()
        found = self.cursor.look(words.DELAY)
        if not found or (found["low"] is None and found["high"] is None):
            return None
        self.cursor.take(words.DELAY)
        low, high = (None if found[n] is None else int(found[n]) for n in ("low", "high"))
        if found["dots"] is None:
            low, high = 0, high if low is None else low
        unit = TimeUnit.HOUR if found["unit"].startswith("h") else TimeUnit.DAY
        return self.made(lambda: IntRange(low, high)), unit

    def made(self, make: Callable[[], Any]) -> Any:
        """What `make` builds; a refusal says where the reading was."""
        return self.made_at(self.cursor.at, make)

    def made_at(self, start: int, make: Callable[[], Any]) -> Any:
        """What `make` builds; a refusal points at `start`."""
        try:
            return make()
        except UsageError as error:
            if error.where.startswith("character") and "near" in error.where:
                raise
            self.cursor.at = start
            raise self.cursor.error(error.what, error.hint) from None

    # One criterion

    def criterion(self) -> Node:
        """A criterion with its options, or a question between parentheses."""
        cursor = self.cursor
        cursor.skip()
        start = cursor.at
        if cursor.accept("("):
            inner = self.question()
            cursor.expect(")")
            return inner
        node: Node | None = self.made_at(start, lambda: self.head() or self.prefixed() or self.phrase() or self.coded() or self.bare())
        if node is None:
            raise cursor.error("A criterion is expected here.", 'write a word, "a phrase", CIM10:I50, age>=65, sexe:F')
        return node

    def head(self) -> Node | None:
        """Something with a name and parentheses."""
        cursor = self.cursor
        if not _HEAD_CHARS.match(cursor.peek()):
            return None
        for name, pattern in words.HEADS.items():
            if found := cursor.take(pattern):
                return self.named(name, int(found.groupdict().get("n") or 0))
        return None

    def named(self, name: str, number: int) -> Node:
        """The node of a head whose opening parenthesis was just read."""
        if name in _LEAVES:
            fields = options.read_options(self.cursor, name, ")")
            missing = [f for f in ("kind", "scope") if name == "permission" and f not in fields]
            if missing:
                raise self.cursor.error(f"'{missing[0]}' is missing.", "write permission(kind=consent, scope=research)")
            return _LEAVES[name](**fields)
        if name == "everyone":
            self.cursor.expect(")")
            return Everyone()
        return self.ids() if name == "patients" else _combined(name, number, self.arguments())

    def arguments(self) -> list[Node]:
        """Questions separated by commas, and the closing parenthesis."""
        found = [self.question()]
        while self.cursor.accept(","):
            found.append(self.question())
        self.cursor.expect(")")
        return found

    def ids(self) -> Node:
        """`1, 2, 3)`."""
        found: list[int] = []
        while not self.cursor.accept(")"):
            if found:
                self.cursor.expect(",")
            self.cursor.skip()
            number = self.cursor.raw(options.INTEGER)
            if number is None:
                raise self.cursor.error("A patient number is expected here.", "write patients(1, 2, 3)")
            found.append(int(number))
        return IdList(tuple(found))

    def prefixed(self) -> Node | None:
        """`age>=65`, `sexe:F`, `texte:(…)`, `type:discharge`, `cohorte:name`."""
        cursor = self.cursor
        if cursor.take(words.PREFIXES["age"]):
            return Demographic(age=options.integers(cursor))
        if cursor.take(words.PREFIXES["sex"]):
            return Demographic(sexes=options.listed(options.sex)(cursor))
        if cursor.take(words.PREFIXES["kind"]):
            return DocumentCriterion(kinds=options.listed(options.document_kind)(cursor))
        if cursor.take(words.PREFIXES["cohort"]):
            return CohortRef(options.string(cursor))
        if cursor.take(words.PREFIXES["text"]):
            return self.with_options(cursor.quoted() if cursor.peek() == "'" else self.until_closed())
        return self.variant()

    def variant(self) -> Node | None:
        """`gène:BRCA1` or `variant:13:1-5`, with what brackets say; `impact:HIGH` may also follow."""
        cursor = self.cursor
        if cursor.take(words.PREFIXES["gene"]):
            fields: dict[str, Any] = {"genes": options.listed(options.string)(cursor)}
        elif cursor.take(words.PREFIXES["variant"]):
            fields = options.place(cursor)
        else:
            return None
        given = self.brackets("variant")
        if fields.keys() & given.keys():
            raise cursor.error("The gene is given twice.", "write gène:BRCA1|BRCA2 for either of two genes")
        fields |= given
        cursor.skip()
        if "impacts" not in fields and cursor.take(options.IMPACT):
            fields["impacts"] = options.listed(options.impact)(cursor)
        return VariantCriterion(**fields)

    def until_closed(self) -> str:
        """The raw text up to the parenthesis that closes this one, quotes respected."""
        cursor, start, depth, quoted = self.cursor, self.cursor.at + 1, 0, False
        while char := cursor.peek():
            quoted ^= char == '"'
            depth += 0 if quoted else (char == "(") - (char == ")")
            cursor.at += 1
            if depth == 0:
                return cursor.text[start : cursor.at - 1].strip()
        cursor.at = start - 1
        raise cursor.error("This parenthesis is never closed.", "end it with )")

    def phrase(self) -> Node | None:
        """`"words that follow each other"`, or `"words"~5`."""
        if self.cursor.peek() != '"':
            return None
        found = self.cursor.raw(PHRASE)
        if found is None:
            raise self.cursor.error("This quote is never closed.", 'end it with "')
        return self.with_options(found)

    def with_options(self, query: str) -> Node:
        """A text criterion with what its brackets say."""
        return TextCriterion(query, **self.brackets("text"))

    def brackets(self, criterion: str) -> dict[str, Any]:
        """Options between brackets, unless the brackets are those of a delay."""
        self.cursor.skip()
        if self.cursor.peek() != "[" or self.cursor.look(words.DELAY):
            return {}
        self.cursor.at += 1
        return options.read_options(self.cursor, criterion, "]")

    def coded(self) -> Node | None:
        """A code or `{a set of codes}`, a value, options."""
        cursor = self.cursor
        if not _CODE_AHEAD.match(cursor.text, cursor.at) or TITLE.match(cursor.folded, cursor.at):
            return None
        codes = options.code_set(cursor)
        cursor.skip()
        value = options.value_range(cursor) if options.COMPARATOR.match(cursor.peek()) else None
        fields = self.brackets("code")
        if fields.pop("no descendants", False):
            codes = tuple(Code(c.vocabulary, c.code, c.excluded, c.excluded) for c in codes)
        return CodeCriterion(codes, value, **fields)

    def bare(self) -> Node | None:
        """Words without quotes: one text criterion for all that follow each other."""
        found: list[str] = []
        while not self.cursor.done() and not self.stops(bool(found)):
            word = self.cursor.raw(TITLE) or self.cursor.raw(WORD) or (self.cursor.raw(MINUS_WORD) if found else None)
            if word is None:
                break
            found.append(word)
        return self.with_options(" ".join(found)) if found else None

    def stops(self, started: bool) -> bool:
        """Whether the next word is not one of a text."""
        if any(self.sees(pattern) for pattern in words.ANY_CASE + words.CAPITALS):
            return True
        if not started:
            return False
        cursor = self.cursor
        heads = [*words.HEADS.values(), *words.PREFIXES.values()]
        coded = _CODE_AHEAD.match(cursor.text, cursor.at) and not TITLE.match(cursor.folded, cursor.at)
        return bool(coded) or any(cursor.look(pattern) for pattern in heads)


_LEAVES: dict[str, Callable[..., Node]] = {
    "patient": Demographic,
    "stay": StayCriterion,
    "movement": MovementCriterion,
    "document": DocumentCriterion,
    "media": MediaCriterion,
    "permission": PermissionCriterion,
}
_ONE: dict[str, Callable[[int, Node], Node]] = {
    **{f"same {unit}": lambda n, child, unit=unit: Same(unit, child) for unit in Unit},  # type: ignore[misc]
    **{kin.value: lambda n, child, kin=kin: Family(kin, child) for kin in Kin},  # type: ignore[misc]
    "first": lambda n, child: Occurrence(child, Rank.FIRST),
    "last": lambda n, child: Occurrence(child, Rank.LAST),
    "nth": lambda n, child: Occurrence(child, Rank.NTH, n),
    "follow-up": lambda n, child: FollowUp(child, n),
}


def _combined(name: str, number: int, arguments: list[Node]) -> Node:
    if name == "at least":
        return AtLeast(number, tuple(arguments))
    if name == "window":
        return Window(number, tuple(arguments))
    wanted = 2 if name == "wash-out" else 1
    if len(arguments) != wanted:
        raise UsageError(f"Exactly {wanted} criteria go between these parentheses.", hint="check the commas")
    return Washout(arguments[0], arguments[1], number) if wanted == 2 else _ONE[name](number, arguments[0])
