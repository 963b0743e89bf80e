"""Masks of what the vault knows of one patient, whatever the way it is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from ahocorasick_rs import AhoCorasick, MatchKind

from estran.identity import patterns as p
from estran.identity.folding import WORD, common_words, fold, words
from estran.identity.names import Mask
from estran.identity.rules import Scene
from estran.identity.traits import Known

_NOT_NAMES = p.STOPS | frozenset(p.RELATIVES) | frozenset(p.WAYS) | frozenset(t.rstrip(".") for t in p.TITLES)
_KIN = frozenset(p.RELATIVES) | frozenset(t.rstrip(".") for t in p.TITLES if len(t) > 2)
_ABBREVIATED = {"saint": "st", "sainte": "ste"}
_FEW_DIGITS = 6  # a shorter number is masked after its label only
_DIGITS = re.compile("[0-9]")
_GROUP = re.compile("[0-9]+")
_LEFT = re.compile(r"([^\W\d_]+)(\.?[ \-'’]{0,2})$")
_RIGHT = re.compile(r"([ \-'’]{1,2})([^\W\d_]+)")
_INITIALS_LEFT = re.compile(r"(?<![\w.'’])((?:[A-ZÀ-Þ](?:\.[ \-]?|[ \-])){1,3})$")
_INITIALS_RIGHT = re.compile(r"[ ]((?:[A-ZÀ-Þ]\.[ \-]?){1,3}|[A-ZÀ-Þ](?=[ ]?[,;:)\n]|[ ]?$))")
_JOIN = re.compile(r"[\s\-'’,.]{0,3}")


class KnownMasks:
    """What is looked for in the texts of one patient. Cheap to build, one automaton."""

    def __init__(self, known: Known) -> None:
        self._tags: dict[str, str] = {}
        self._weak: set[tuple[str, str]] = set()  # tag, part
        self._short: dict[str, str] = {}  # names of two letters count after a title or beside a name
        self._names(known.family_names, p.NOM)
        self._names(known.given_names, p.PRENOM)
        self._names(known.relatives, p.NOM)
        self._names(known.cities, p.TOWN)
        self._given = {w[0] for w in words(known.given_names)}
        self._initials = self._given | {w[0] for w in words(known.family_names)}
        self._streets = _streets(known.addresses)
        for trigger in self._streets:
            self._tags.setdefault(trigger, p.ADDRESS)
        self._exact = dict.fromkeys((fold(m) for m in known.mails if len(m) > 3), p.MAIL)
        self._digits = _digit_forms(known)
        self._exact |= dict.fromkeys(_mixed_numbers(known.numbers), p.NUMBER)
        self._births = frozenset(form for d in known.birth_dates for form in _date_groups(d.day, d.month, d.year))
        self._days = frozenset((d.day, d.month, d.year) for d in known.birth_dates)
        months = {m for m, number in p.MONTHS.items() if any(d[1] == number for d in self._days)}
        self._months = months - self._tags.keys()
        self._patterns = sorted({*self._tags, *self._short, *self._exact, *self._months})
        self._finder = AhoCorasick(self._patterns, matchkind=MatchKind.LeftmostLongest) if self._patterns else None

    def _names(self, names: Iterable[str], tag: str) -> None:
        for name in names:
            parts = words((name,))
            for part in parts:
                if len(part) > 2 and part not in _NOT_NAMES and part not in p.PARTICLES:
                    self._tags.setdefault(part, tag)
                elif part not in _KIN:
                    self._weak |= {(tag, part), (tag, _ABBREVIATED.get(part, part))}
                    if len(part) == 2 and tag == p.NOM and part not in p.PARTICLES:
                        self._short.setdefault(part, tag)
            joined = "".join(parts)
            if 1 < len(parts) < 4 and len(joined) > 4 and tag != p.TOWN and joined not in _NOT_NAMES:
                self._tags.setdefault(joined, tag)

    def find(self, scene: Scene) -> None:
        """Add to the scene what is known, digits apart."""
        if self._finder is None:
            return
        text, folded = scene.text, scene.folded
        names: list[Mask] = []
        for index, start, end in self._finder.find_matches_as_indexes(folded):
            if (start and folded[start - 1].isalpha()) or (end < len(folded) and folded[end].isalpha()):
                continue
            pattern = self._patterns[index]
            if pattern in self._exact:
                if not (folded[start - 1 : start].isdigit() or folded[end : end + 1].isdigit()):
                    scene.add(start, end, self._exact[pattern])
                continue
            if pattern in self._streets:
                self._street(scene, pattern, start, end)
            if pattern in p.MONTHS:
                self._spelt_birth(scene, start, end)
            if pattern in self._short and _after_title(text, start):
                scene.add(start, end, self._short[pattern])
            if pattern in self._tags and self._tags[pattern] != p.ADDRESS:
                names.append(Mask(start, end, self._tags[pattern]))
        self._keep(scene, names, text, folded)

    def _keep(self, scene: Scene, names: list[Mask], text: str, folded: str) -> None:
        """A common word in lower case is kept unless it stands beside a name."""
        sure = [text[m.start].isupper() or folded[m.start : m.end] not in common_words() for m in names]
        for place, mask in enumerate(names):
            if not sure[place]:
                near = (place > 0 and sure[place - 1] and _touch(text, names[place - 1], mask)) or (
                    place + 1 < len(names) and sure[place + 1] and _touch(text, mask, names[place + 1])
                )
                if not near:
                    continue
                sure[place] = True
            scene.masks.append(mask)
            self._extend(scene, mask)

    def _extend(self, scene: Scene, mask: Mask) -> None:
        """Short parts ('Le' Goff) and initials beside a name belong to it."""
        text, folded, at = scene.text, scene.folded, mask.start
        part = _LEFT.search(text, max(0, at - 12), at)
        while part and self._belongs(folded[part.start(1) : part.end(1)], text, part.start(1), mask):
            at = part.start(1)
            part = _LEFT.search(text, max(0, at - 12), at)
        right = _RIGHT.match(text, mask.end)
        end = mask.end
        if right and self._belongs(folded[right.start(2) : right.end(2)], text, right.start(2), mask):
            end = right.end(2)
        if (at, end) != (mask.start, mask.end):
            scene.add(at, end, mask.tag)
        if mask.tag == p.TOWN:
            return
        for near, group in ((part, 1), (right, 2)):
            if near and text[near.start(group)].isupper() and folded[slice(*near.span(group))] in self._short:
                scene.add(*near.span(group), p.NOM)
        left, right_initials = _INITIALS_LEFT.search(text, max(0, at - 10), at), _INITIALS_RIGHT.match(text, end)
        for initials, letters in ((left, self._given), (right_initials, self._initials)):
            if initials and set(WORD.findall(folded[initials.start(1) : initials.end(1)])) <= letters:
                last = initials.start(1) + len(initials[1].rstrip(" -"))
                scene.add(initials.start(1), last, p.PRENOM)

    def _belongs(self, part: str, text: str, at: int, mask: Mask) -> bool:
        """A short part counts with a capital, beside a name in lower case, or when tied by a sign."""
        if (mask.tag, part) not in self._weak:
            return False
        return text[at].isupper() or not text[mask.start].isupper() or text[at - 1] in "-'" or mask.tag == p.TOWN

    def _street(self, scene: Scene, trigger: str, start: int, end: int) -> None:
        for number, shape in self._streets[trigger]:
            low = max(0, start - 60)
            for found in _street_shape(number, shape).finditer(scene.folded, low, min(len(scene.folded), end + 60)):
                if found.start() <= start < found.end():
                    scene.add(found.start(), found.end(), p.ADDRESS)

    def _spelt_birth(self, scene: Scene, start: int, end: int) -> None:
        """'12 mars 1956', 'March 12, 1956', 'douze mars 1956' for a birth date."""
        folded = scene.folded
        month = p.MONTHS[folded[start:end]]
        before = _DAY_BEFORE.search(folded, max(0, start - 24), start)
        after = _YEAR_AFTER.match(folded, end)
        english = _DAY_YEAR_AFTER.match(folded, end)
        for day, _, year in (d for d in self._days if d[1] == month):
            if before and after and _is_day(before[1], day) and int(after[1]) in (year, year % 100):
                scene.add(before.start(1), after.end(), p.BIRTH)
            elif english and int(english[1]) == day and int(english[2]) == year:
                scene.add(start, english.end(), p.BIRTH)

    def find_digits(self, scene: Scene, start: int, run: str) -> None:
        """Known numbers, phones and birth dates in a run of digits, in any grouping."""
        places = [m.start() for m in _DIGITS.finditer(run)]
        digits = "".join(run[i] for i in places)
        for form, tag in self._digits:
            at = digits.find(form)
            while at >= 0:
                scene.add(start + places[at], start + places[at + len(form) - 1] + 1, tag)
                at = digits.find(form, at + len(form))
        if self._births:
            self._birth_groups(scene, start, run)

    def _birth_groups(self, scene: Scene, start: int, run: str) -> None:
        groups = list(_GROUP.finditer(run))
        for a, b, c in zip(groups, groups[1:], groups[2:], strict=False):
            if (len(c[0]) in (2, 4) or len(a[0]) == 4) and (int(a[0]), int(b[0]), int(c[0])) in self._births:
                scene.add(start + a.start(), start + c.end(), p.BIRTH)


_DAY_BEFORE = re.compile(
    r"(?<![a-z0-9])([0-9]{1,2}|premier|[a-z]+(?:[ \-](?:et[ \-])?(?:un|deux|trois|quatre|cinq|six|sept|huit|neuf))?)"
    r"(?:er|st|nd|rd|th)?[ \-.\n]{0,2}$"
)
_YEAR_AFTER = re.compile(r"\.?,?[ \-.\n]{0,2}([0-9]{4}|[0-9]{2})(?![0-9])")
_DAY_YEAR_AFTER = re.compile(r"\.?[ ]{1,2}([0-9]{1,2})(?:st|nd|rd|th)?,?[ ]{1,2}([0-9]{4})(?![0-9])")
_DAYS = """
un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf
vingt vingt-et-un vingt-deux vingt-trois vingt-quatre vingt-cinq vingt-six vingt-sept vingt-huit vingt-neuf
trente trente-et-un
"""
_DAYS_SPELT = {word: day for day, word in enumerate(_DAYS.split(), 1)}


def _is_day(written: str, day: int) -> bool:
    if written.isdigit():
        return int(written) == day
    return (1 if written == "premier" else _DAYS_SPELT.get(written.replace(" ", "-"))) == day


_TITLE_BEFORE = re.compile(
    r"(?:\b(?:m|mm|mr|mme|mlle|dr|pr|ms|mrs)\.?|monsieur|madame|mademoiselle|docteur|professeur)\s$"
)


def _after_title(text: str, start: int) -> bool:
    return text[start].isupper() and _TITLE_BEFORE.search(text[max(0, start - 15) : start].lower()) is not None


def _touch(text: str, left: Mask, right: Mask) -> bool:
    gap = _JOIN.match(text, left.end)
    return gap is not None and gap.end() >= right.start


def _date_groups(day: int, month: int, year: int) -> tuple[tuple[int, int, int], ...]:
    return ((day, month, year), (day, month, year % 100), (year, month, day), (month, day, year))


def _digit_forms(known: Known) -> list[tuple[str, str]]:
    """Digit strings to find in runs of digits, longest first."""
    forms: dict[str, str] = {}
    for date in known.birth_dates:
        forms[f"{date:%d%m%Y}"] = forms[f"{date:%Y%m%d}"] = p.BIRTH
    for number in known.numbers:
        digits = "".join(_GROUP.findall(number))
        if len(digits) >= _FEW_DIGITS and not any(c.isalpha() for c in number):
            forms[digits] = p.NUMBER
            if len(digits) == 15 and digits[0] in "123478":  # a social security number without its key
                forms[digits[:13]] = p.NUMBER
    for phone in known.phones:
        digits = "".join(_GROUP.findall(phone))
        national = re.sub(
            "^(?:0033|33)(?=[1-9][0-9]{8}$)", "0", digits.replace("330", "33", 1) if len(digits) == 12 else digits
        )
        if len(digits) >= _FEW_DIGITS:
            forms[digits] = forms[national] = p.TEL
        if len(national) == 10 and national[0] == "0":
            forms["33" + national[1:]] = forms["0033" + national[1:]] = forms["330" + national[1:]] = p.TEL
    return sorted(forms.items(), key=lambda form: (-len(form[0]), form))


def _mixed_numbers(numbers: Iterable[str]) -> set[str]:
    """Numbers that hold letters, as they are and without separators."""
    mixed = {fold(n.strip()) for n in numbers if any(c.isalpha() for c in n) and len(n.strip()) >= _FEW_DIGITS}
    mixed |= {re.sub(r"[\s.\-/]", "", n) for n in mixed}
    return {n for n in mixed if len(n) >= _FEW_DIGITS and any(c.isdigit() for c in n)}


Street = tuple[str, tuple[str, ...]]


def _streets(addresses: Iterable[str]) -> dict[str, list[Street]]:
    """Longest word of a way's name → its house number and words."""
    streets: dict[str, list[Street]] = {}
    for line in addresses:
        for piece in re.split(r"[,;\n]", line):
            tokens = re.findall(r"[^\W_]+", fold(piece))
            number = tokens.pop(0) if tokens and tokens[0].isdigit() else ""
            if number and tokens and tokens[0] in ("bis", "ter", "quater"):
                tokens.pop(0)
            plain = [t for t in tokens if t.isalpha() and t not in _NOT_NAMES and t not in p.PARTICLES and len(t) > 2]
            if plain and len(tokens) > 1:
                streets.setdefault(max(plain, key=lambda t: (len(t), t)), []).append((number, tuple(tokens)))
    return streets


_SHORT = {
    "avenue": "av(?:e|n)?", "boulevard": "b(?:ou)?l?v?d", "saint": "st", "sainte": "ste", "docteur": "dr",
    "general": "gal", "rue": "r", "place": "pl", "allee": "all", "chemin": "ch(?:em)?", "route": "rte",
    "residence": "res",
}  # fmt: skip


@lru_cache(maxsize=4096)
def _street_shape(number: str, tokens: tuple[str, ...]) -> re.Pattern[str]:
    parts = [f"(?:{re.escape(t)}|{_SHORT[t]})" if t in _SHORT else re.escape(t) for t in tokens]
    ahead = rf"(?:{re.escape(number)}[\W_]{{1,3}}(?:(?:bis|ter|quater|[a-d])[\W_]{{1,3}})?)?" if number else ""
    name = r"[\W_]{1,3}".join(parts)
    return re.compile(rf"(?<![^\W_]){ahead}{name}(?![^\W_])")
