"""A question in plain French or English, for the person who has to agree with it.

Boolean parts become an outline; everything else is one line. Every noun used is masculine in
French and begins with a consonant in English, so that articles stay right.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from estran.cohort.language.json import context_name
from estran.cohort.language.phrases import KINSHIP, MONTHS, SEXES, UNIT_NOUNS, choice, phrase
from estran.cohort.language.printer import number
from estran.cohort.language.words import Lang
from estran.cohort.query import (
    And,
    AtLeast,
    Code,
    CodeCriterion,
    CohortRef,
    DateRange,
    Demographic,
    DocumentCriterion,
    During,
    Everyone,
    Family,
    FollowUp,
    IdList,
    IntRange,
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
    ValueRange,
    VariantCriterion,
    Washout,
    Window,
)
from estran.cohort.query.leaves import AFFIRMED, LIVE, MAX_POSITION, RECORDED

Label = Callable[[Code], str | None]
_OUTLINED = (And, Or, AtLeast)


def explain(query: Node, label: Label, lang: Lang = "fr") -> str:
    """The question in words; `label` gives the name of a code in the same language, or None."""
    teller = _Teller(label, lang)
    told = teller.outline(query, 0)
    return f"{teller.say('patients')} {told[0].lower()}{told[1:]}" + ("" if "\n" in told else ".")


class _Teller:
    def __init__(self, label: Label, lang: Lang) -> None:
        self.label = label
        self.lang = lang

    def say(self, name: str, **values: object) -> str:
        """A phrase of the language with its values."""
        return phrase(name, self.lang).format(**values)

    # Conditions

    def outline(self, node: Node, depth: int) -> str:
        """Boolean parts as a list, one condition a line."""
        inner = node.child if isinstance(node, Not) else node
        if not isinstance(inner, _OUTLINED):
            return self.condition(node)
        title = self.say(f"{inner.TAG} title", n=getattr(inner, "number", 0))
        title = self.say("not title", title=title) if isinstance(node, Not) else title
        bullets = [f"{'  ' * (depth + 1)}- {self.outline(child, depth + 1)}" for child in inner.children()]
        return "\n".join([title, *bullets])

    def condition(self, node: Node) -> str:
        """One condition in a line: what the patients have, or are."""
        if isinstance(node, Not):
            return self.denied(node.child)
        if isinstance(node, Or) and not node.dated:
            return self.joined(node.of, "or")
        if node.dated:
            several = isinstance(node, CodeCriterion) and node.times > 1
            return self.say("with several" if several else "with", noun=self.noun(node), n=getattr(node, "times", 1))
        return _CONDITIONS[type(node)](self, node)

    def denied(self, node: Node) -> str:
        if node.dated:
            several = isinstance(node, CodeCriterion) and node.times > 1
            return self.say("with fewer" if several else "without", noun=self.noun(node), n=getattr(node, "times", 1))
        return self.say("not", condition=self.condition(node))

    def joined(self, nodes: tuple[Node, ...], word: str) -> str:
        """Conditions between parentheses."""
        return "(" + f" {self.say(word)} ".join(self.condition(node) for node in nodes) + ")"

    def at_least(self, node: AtLeast) -> str:
        return f"{self.say('at_least title', n=node.number)} ({' ; '.join(self.condition(child) for child in node.of)})"

    def demographic(self, node: Demographic) -> str:
        told = [self.listed([phrase(SEXES[sex], self.lang) for sex in node.sexes])] if node.sexes else []
        told += [self.range("aged", node.age)] if node.age else []
        told += [self.say("alive" if node.alive else "dead")] if node.alive is not None else []
        told += [self.say("living in", areas=self.listed(list(node.areas)))] if node.areas else []
        told += [self.range("born", node.born)] if node.born else []
        return ", ".join(told)

    # Events, as nouns without an article

    def noun(self, node: Node) -> str:
        """What is found, without its article."""
        if isinstance(node, Or):
            return f" {self.say('or')} ".join(self.noun(child) for child in node.of)
        return _NOUNS[type(node)](self, node)

    def coded(self, node: CodeCriterion) -> str:
        told = [self.say("facts" if node.times > 1 else "fact", codes=self.codes(node.codes))]
        told += [self.value(node.value)] if node.value else []
        told += [self.say("result", codes=self.codes(node.values))] if node.values else []
        told += self.circumstances(node)
        told += [self.say("role", roles=self.listed(list(node.roles)))] if node.roles else []
        told += [self.say("hanging", codes=self.codes(node.parent))] if node.parent else []
        told += [self.say("apart", n=node.apart)] if node.apart else []
        return ", ".join(told + self.unusual(node))

    def unusual(self, node: CodeCriterion) -> list[str]:
        """Status, context, origin and precision when they are not the ordinary ones."""
        told = []
        if node.statuses != LIVE:
            told.append(self.say("status", values=self.chosen([s.name.lower() for s in node.statuses])))
        if node.contexts is None:
            told.append(self.say("any context"))
        elif node.contexts != AFFIRMED:
            told.append(self.say("context", values=self.chosen([context_name(c) for c in node.contexts])))
        if node.origins != RECORDED:
            told.append(self.say("origin", values=self.chosen([o.name.lower() for o in node.origins])))
        if node.precision is not None:
            told.append(self.say("precision", value=self.chosen([node.precision.name.lower()])))
        return told

    def circumstances(self, node: Any) -> list[str]:
        """Unit, dates, and age at that time."""
        units = getattr(node, "units", ())
        told = [self.say("in units", units=self.listed(list(units)))] if units else []
        told += [self.dates(node.dates)] if node.dates else []
        age = getattr(node, "age", None)
        return told + ([self.range("age then", age)] if age else [])

    def text(self, node: TextCriterion) -> str:
        return ", ".join([self.say("text", query=node.query), *self.kinds(node), *self.circumstances(node)])

    def kinds(self, node: Any) -> list[str]:
        return [self.say("of kind", kinds=self.chosen([k.value for k in node.kinds]))] if node.kinds else []

    def stay(self, node: StayCriterion) -> str:
        told = [self.say("stay"), *self.kinds(node)]
        told += [self.range("lasting", node.days)] if node.days else []
        told += [self.say("entry", values=self.listed(list(node.entries)))] if node.entries else []
        told += [self.say("exit", values=self.listed(list(node.exits)))] if node.exits else []
        return ", ".join(told + self.circumstances(node))

    def movement(self, node: MovementCriterion) -> str:
        told = [self.say("movement")]
        values = list(node.responsibilities)
        told += [self.say("responsibility", values=self.listed(values))] if values else []
        return ", ".join(told + self.circumstances(node))

    def document(self, node: DocumentCriterion) -> str:
        return ", ".join([self.say("document"), *self.kinds(node), *self.circumstances(node)])

    def media(self, node: MediaCriterion) -> str:
        told = [self.say("media")]
        told += [self.listed(list(node.modalities))] if node.modalities else []
        return ", ".join(told + self.circumstances(node))

    def variant(self, node: VariantCriterion) -> str:
        told = [self.say("variant of", genes=self.listed(list(node.genes))) if node.genes else self.say("variant")]
        if node.chrom is not None:
            told.append(self.place(node))
        told += [self.say("impact", values=self.chosen([i.value for i in node.impacts]))] if node.impacts else []
        return ", ".join(told + self.circumstances(node))

    def place(self, node: VariantCriterion) -> str:
        """Where on the genome."""
        if node.low is None:
            return self.say("chromosome", chrom=node.chrom)
        if node.low == node.high:
            return self.say("position", chrom=node.chrom, low=node.low)
        if node.high == MAX_POSITION:
            return self.say("region on", chrom=node.chrom, low=node.low)
        return self.say("region", chrom=node.chrom, low=node.low, high=node.high)

    def sequence(self, node: Sequence) -> str:
        low, high, unit = node.delay.low, node.delay.high, self.say(node.unit.value)
        name = "delay from" if high is None else "delay up to" if low is None else "delay"
        if low == 0 and high is not None:
            name = "delay within"
        delay = self.say(name, low=low, high=high, unit=unit)
        return self.say("then", first=self.noun(node.first), then=self.noun(node.then), delay=delay)

    def occurrence(self, node: Occurrence) -> str:
        name = "nth" if node.rank is Rank.NTH else node.rank.value
        return self.say(name, noun=self.noun(node.child), n=node.number)

    def same(self, node: Same) -> str:
        return self.say("meeting", unit=phrase(UNIT_NOUNS[node.unit], self.lang), condition=self.condition(node.child))

    def window(self, node: Window) -> str:
        return self.say("window", n=node.days, nouns=" ; ".join(self.noun(child) for child in node.of))

    def during(self, node: During) -> str:
        own = isinstance(node.within, StayCriterion | MovementCriterion)
        return self.say("during" if own else "during stay", noun=self.noun(node.event), within=self.noun(node.within))

    # Small things

    def codes(self, codes: tuple[Code, ...]) -> str:
        kept = self.listed([self.code(one) for one in codes if not one.excluded])
        gone = [self.code(one) for one in codes if one.excluded]
        return self.say("but not", kept=kept, gone=self.listed(gone)) if gone else kept

    def code(self, code: Code) -> str:
        label = self.label(code)
        shown = self.say("quoted", label=label, code=code) if label else str(code)
        return shown if code.descendants or code.excluded else self.say("alone", code=shown)

    def chosen(self, words: list[str]) -> str:
        """Words of closed lists in the language."""
        return self.listed([choice(one, self.lang) for one in words])

    def listed(self, words: list[str]) -> str:
        """`a, b or c`."""
        if len(words) == 1:
            return words[0]
        return f"{', '.join(words[:-1])} {self.say('or')} {words[-1]}"

    def range(self, name: str, value: IntRange) -> str:
        side = "least" if value.high is None else "most" if value.low is None else "between"
        if value.low is not None and value.low == value.high:
            side = "exactly"
        return self.say(f"{name} {side}", low=value.low, high=value.high)

    def value(self, value: ValueRange) -> str:
        unit = f" {value.unit}" if value.unit else ""
        if value.low is not None and value.low == value.high:
            return self.say("value exactly", value=number(value.low) + unit)
        told = []
        if value.low is not None:
            told.append(self.say("above" if value.low_open else "at least", value=number(value.low) + unit))
        if value.high is not None:
            told.append(self.say("below" if value.high_open else "at most", value=number(value.high) + unit))
        return self.say("value", told=f" {self.say('and')} ".join(told))

    def dates(self, value: DateRange) -> str:
        if value.start is None or value.end is None:
            bound = value.start or value.end
            return self.say("since" if value.end is None else "until", date=self.date(bound or dt.date.min))
        if value.start == value.end:
            return self.say("on", date=self.date(value.start))
        return self.say("from to", start=self.date(value.start), end=self.date(value.end))

    def date(self, date: dt.date) -> str:
        month = MONTHS[self.lang][date.month - 1]
        day = "1er" if self.lang == "fr" and date.day == 1 else str(date.day)
        return f"{day} {month} {date.year}"


_CONDITIONS: dict[type[Node], Callable[[_Teller, Any], str]] = {
    And: lambda t, n: t.joined(n.of, "and"),
    AtLeast: _Teller.at_least,
    Demographic: _Teller.demographic,
    Family: lambda t, n: t.say("relative", kin=phrase(KINSHIP[n.kin], t.lang), condition=t.condition(n.child)),
    Same: lambda t, n: t.say("same patient", condition=t.condition(n.child)),
    PermissionCriterion: lambda t, n: t.say("permission", kind=n.kind, scope=n.scope),
    CohortRef: lambda t, n: t.say("cohort", called=n.name),
    IdList: lambda t, n: t.say("list", n=len(n.ids)),
    Everyone: lambda t, n: t.say("everyone"),
}
_NOUNS: dict[type[Node], Callable[[_Teller, Any], str]] = {
    CodeCriterion: _Teller.coded,
    TextCriterion: _Teller.text,
    StayCriterion: _Teller.stay,
    MovementCriterion: _Teller.movement,
    DocumentCriterion: _Teller.document,
    MediaCriterion: _Teller.media,
    VariantCriterion: _Teller.variant,
    Sequence: _Teller.sequence,
    Occurrence: _Teller.occurrence,
    Same: _Teller.same,
    Window: _Teller.window,
    During: _Teller.during,
    FollowUp: lambda t, n: t.say("follow-up", noun=t.noun(n.child), n=n.days),
    Washout: lambda t, n: t.say("wash-out", noun=t.noun(n.child), without=t.noun(n.without), n=n.days),
}
