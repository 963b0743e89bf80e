"""Rules that need no knowledge of the patient: a cue, then the shape that must follow it.

All cues are looked for at once; each one found leads to its rule. A rule adds masks to the scene.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ahocorasick_rs import AhoCorasick, MatchKind

from estran.identity import patterns as p
from estran.identity.folding import WORD, common_words
from estran.identity.names import Mask, read_names


@dataclass
class Scene:
    """A text being read, its folded form, and what is to be masked so far."""

    text: str
    folded: str
    masks: list[Mask] = field(default_factory=list)

    def add(self, start: int, end: int, tag: str) -> None:
        self.masks.append(Mask(start, end, tag))


Rule = Callable[[Scene, int, int, str], None]

_COLON = re.compile(r"[ \t]{0,3}(?:\([^()\n]{0,15}\))?[ \t]{0,3}(?:\n[ \t]?)?:[ \t]{0,3}")
_BIND = re.compile(r"[ \t]{0,2}:?(?:[ \t]{1,2}|\n)(?:le |la |par )?")
_KIN = re.compile(r"[ \t]{0,2}[:,(]?[ \t]{0,2}")
_AND = re.compile(r"[ \t]{0,2}(?:,|;|/|&|\bet\b|\band\b)[ \t]{0,2}\n?")
_LOWER_TITLES = frozenset(("mme", "mme.", "mlle", "mlle.", "dr", "dr.", "docteur", "madame", "monsieur", "mr", "mr."))
_ANY_CASE_TITLES = _LOWER_TITLES | frozenset(
    ("mademoiselle", "prof", "prof.", "professeur", "mesdames", "messieurs", "docteurs", "professeurs")
)
_SURE_LABELS = frozenset(label for label in p.LABELS if "nom" in label or "name" in label)
_NUMBER_ALONE = frozenset(("ipp", "nip", "nda", "iep", "nir", "nss", "ins", "ins-c", "mrn", "ssn", "rpps", "adeli"))


def _title(scene: Scene, start: int, end: int, cue: str) -> None:
    written = scene.text[start:end]
    if cue not in _ANY_CASE_TITLES and (not written[0].isupper() or (cue in ("ms", "ms.") and written[1].isupper())):
        return
    if cue == "mm" and written != "MM":
        return
    masks = read_names(scene.text, scene.folded, end, lower=cue in _LOWER_TITLES)
    scene.masks += masks
    if cue in p.PLURAL_TITLES:
        _list_on(scene, masks)


def _list_on(scene: Scene, masks: list[Mask]) -> None:
    """Further names, parted by commas or 'et'."""
    while masks:
        more = _AND.match(scene.text, masks[-1].end)
        masks = read_names(scene.text, scene.folded, more.end(), cautious=True) if more else []
        scene.masks += masks


def _label(scene: Scene, start: int, end: int, cue: str) -> None:
    colon = _COLON.match(scene.text, end)
    if colon:
        sure = cue in _SURE_LABELS
        at = colon.end()
        masks = read_names(scene.text, scene.folded, at, lower=sure, cautious=not sure, given=cue in p.GIVEN_LABELS)
        scene.masks += masks
        _list_on(scene, masks)
    elif cue in p.BINDERS:
        bind = _BIND.match(scene.text, end)
        if bind:
            scene.masks += read_names(scene.text, scene.folded, bind.end(), cautious=True)


def _relative(scene: Scene, start: int, end: int, cue: str) -> None:
    kin = _KIN.match(scene.text, end)
    if kin and kin.end() > end:
        scene.masks += read_names(scene.text, scene.folded, kin.end(), cautious=True)


def _birth(scene: Scene, start: int, end: int, cue: str) -> None:
    gap = p.BIRTH_GAP.match(scene.folded, end)
    at = gap.end() if gap else end
    found = (
        p.DATE_DIGITS.match(scene.text, at)
        or p.DATE_WORDS.match(scene.folded, at)
        or p.DATE_SPELT.match(scene.folded, at)
    )
    if found:
        scene.add(found.start(), found.end(), p.BIRTH)


def _town(scene: Scene, start: int, end: int, cue: str) -> None:
    gap = _KIN.match(scene.text, end)
    masks = read_names(scene.text, scene.folded, gap.end() if gap else end, cautious=True)
    if masks:
        scene.add(masks[0].start, masks[-1].end, p.TOWN)


def _number(scene: Scene, start: int, end: int, cue: str) -> None:
    found = p.AFTER_NUMBER_CUE.match(scene.text, end)
    if not found:
        return
    gap, value = scene.text[end : found.start(1)], found[1]
    enough = 4 if cue in _NUMBER_ALONE else 6
    told = cue in _NUMBER_ALONE or "°" in cue or not gap.strip() or any(sign in gap for sign in ":°º#=")
    if told and sum(c.isdigit() for c in value) >= enough and not _is_date(value):
        scene.add(found.start(1), found.end(1), p.NUMBER)


def _is_date(value: str) -> bool:
    found = p.DATE_DIGITS.match(value)
    if p.LAW.fullmatch(value):
        return True
    return bool(found and found.end() >= len(value) - 1 and not value.isdigit() and len(value) <= 14)


def _phone(scene: Scene, start: int, end: int, cue: str) -> None:
    found = p.AFTER_PHONE_CUE.match(scene.text, end)
    if found and not _is_date(found[1]):
        scene.add(found.start(1), found.end(1), p.TEL)


def _way(scene: Scene, start: int, end: int, cue: str) -> None:
    text = scene.text
    before = p.HOUSE_NUMBER.search(text, max(0, start - 24), start)
    if before is None and cue in p.STRONG_WAYS:
        before = p.HOUSE_NUMBER_SPELT.search(scene.folded, max(0, start - 12), start)
    body = _way_body(scene, end, numbered=before is not None)
    if body == end or (before is None and cue not in p.STRONG_WAYS):
        return
    more = p.AFTER_ADDRESS.match(text, body)
    end = more.end() if more else body
    scene.add(before.start() if before else start, end, p.ADDRESS)
    _after_way(scene, end)


def _after_way(scene: Scene, at: int) -> None:
    """Postcode and town behind a way, however they are parted."""
    found = p.AFTER_WAY.match(scene.text, at)
    if not found:
        return
    if found["code"]:
        scene.add(*found.span("code"), p.ADDRESS)
    name = "town" if found["town"] else "near"
    plain = scene.folded[found.start(name) : found.end(name)]
    if found[name] and plain not in p.STOPS and (name == "town" or plain not in common_words()):
        scene.add(found.start(name), _town_end(scene, found.end(name)), p.TOWN)


def _town_end(scene: Scene, end: int) -> int:
    """Where a town whose first word ends at `end` ends: 'Saint-Germain en Laye', 'LYON CEDEX 03'."""
    text, folded = scene.text, scene.folded
    while found := p.TOWN_MORE.match(text, end):
        if found["next"]:
            last = _LAST_WORD.search(folded, max(0, end - 20), end)
            opens = last is not None and last[0] in _TOWN_OPENERS
            upper = found["next"].isupper() and len(found["next"]) > 1 and text[end - 1].isupper()
            if folded[found.start("next") : found.end("next")] in p.STOPS or not (opens or upper):
                break
        end = found.end()
    return end


_LAST_WORD = re.compile(r"[^\W\d_]+$")
_TOWN_OPENERS = frozenset(
    ("saint", "sainte", "st", "ste", "la", "le", "les", "l", "en", "de", "du", "d", "sur", "sous")
)


_WAY_GAP = re.compile(r"[ \t\u00a0]{1,2}|(?<=['’])|(?<=\.)")
_WAY_WORD = re.compile(r"[^\W_][\w\-]*(?:['’](?=\w)|\.(?=[\w ]))?")


def _way_body(scene: Scene, at: int, numbered: bool) -> int:
    """Where the name of the way that begins at `at` ends; `at` when there is none."""
    text, folded = scene.text, scene.folded
    end, words = at, 0
    gap = _WAY_GAP.match(text, at)
    while gap and words < 7:
        word = _WAY_WORD.match(text, gap.end())
        if word is None:
            break
        plain = folded[word.start() : word.end()].rstrip("'’.")
        gap = _WAY_GAP.match(text, word.end())
        if plain in p.PARTICLES or plain in ("aux", "et", "en", "sur"):
            continue
        capital = text[word.start()].isupper() or text[word.start()].isdigit()
        if not capital and (not numbered or (words > 0 and plain in common_words())):
            break
        if (words > 0 and plain in p.STOPS) or p.POSTCODE_ONLY.match(text, word.start()):
            break
        end, words = word.end(), words + 1
    return end


def _box(scene: Scene, start: int, end: int, cue: str) -> None:
    found = _BOX.match(scene.text, end)
    if found and scene.text[start].isupper():
        scene.add(start, found.end(1), p.ADDRESS)


_BOX = re.compile(r"([ ]?(?:n°)?[ ]?[0-9]{2,5})(?=[ ,\-\n]{1,4}[0-9]{5}[ \n][A-ZÀ-Þ])")


def _towns(scene: Scene) -> None:
    for digits in p.FIVE_DIGITS.finditer(scene.text):
        found = p.POSTCODE_TOWN.match(scene.text, digits.start())
        if found is None or (found.start() and scene.text[found.start() - 1] in "0123456789.,/"):
            continue
        start, end = found.span("town")
        town, plain = scene.text[start:end], scene.folded[start:end]
        near = any(0 <= found.start() - m.end <= 6 and m.tag == p.ADDRESS for m in scene.masks)
        sure = town[0].isupper() and plain not in p.STOPS
        if near or (sure and plain not in common_words() and (not town.isupper() or len(town) > 3)):
            scene.add(found.start(), found.start("gap"), p.ADDRESS)
            scene.add(start, _town_end(scene, end), p.TOWN)


def _mails(scene: Scene) -> None:
    for shape, tag in ((p.URL_SHAPE, p.URL), (p.MAIL_SHAPE, p.MAIL), (p.MAIL_LOOSE, p.MAIL)):
        for found in shape.finditer(scene.text):
            scene.add(found.start(), found.end(), tag)


_BARE_M = re.compile(r"(?<![\w'’.\-])M (?=[A-ZÀ-Þ][^\W\d_])")
_SEPARATORS = str.maketrans("", "", " .-/|()\u00a0\u202f")


def _bare_titles(scene: Scene) -> None:
    """'M DUPONT': too short a cue to be looked for among the others."""
    for found in _BARE_M.finditer(scene.text):
        scene.masks += read_names(scene.text, scene.folded, found.end(), cautious=True)


def digit_rules(scene: Scene, start: int, run: str) -> None:
    """Phones and numbers that their digits alone betray, in a run of digits at `start`."""
    digits = run.translate(_SEPARATORS)
    if len(digits) < 9:
        return
    for shape in p.PHONES:
        for found in shape.finditer(run):
            scene.add(start + found.start(), start + found.end(), p.TEL)
    if start and scene.text[start - 1] in "+(":
        abroad = p.PHONE_ABROAD.search(scene.text, max(0, start - 3), start + len(run))
        if abroad:
            scene.add(abroad.start(), abroad.end(), p.TEL)
    groups = re.findall("[0-9]+", run)
    spaces = not any(sign in run for sign in ".-/|()")
    if spaces and p.NIR.fullmatch(digits) and len(digits) in (13, 15) and len(groups[0]) in (1, 13, 15):
        scene.add(start, start + len(run), p.NUMBER)
    for found in p.NIR_SPACED.finditer(run):
        scene.add(start + found.start(), start + found.end(), p.NUMBER)
    for found in _LONG.finditer(run):
        scene.add(start + found.start(), start + found.end(), p.NUMBER)


def _inside(text: str, at: int) -> bool:
    """The place is not the beginning of a word. Checked afterwards: shapes are found faster by their capital."""
    return at > 0 and (text[at - 1].isalnum() or text[at - 1] in ".'’-_")


def _signed(scene: Scene) -> None:
    """'O. DURIEZ', 'R. Poumonet': an initial before a name; species ('S. aureus') are in lower case."""
    for found in p.SIGNED.finditer(scene.text):
        if _inside(scene.text, found.start()):
            continue
        scene.masks += read_names(scene.text, scene.folded, found.start(), cautious=True)


def _by_case(scene: Scene) -> None:
    """'DUPONT Jean', 'Jean DUPONT': two words that are no common words, told apart by their case."""
    for found in p.BY_CASE.finditer(scene.text):
        if _inside(scene.text, found.start()):
            continue
        parts = [WORD.findall(part) for part in scene.folded[found.start() : found.end()].split()]
        if all(any(w not in common_words() and len(w) > 2 for w in part) for part in parts) and not any(
            w in p.STOPS or w in p.MONTHS or w in p.ACRONYMS for part in parts for w in part
        ):
            scene.masks += read_names(scene.text, scene.folded, found.start())


def _ages(scene: Scene) -> None:
    """'22/01/1965 (27 ans)'"""
    for found in p.AGE_AFTER.finditer(scene.text):
        scene.add(found.start(), found.end(), p.BIRTH)


_LONG = re.compile(r"(?<![0-9.,])[0-9]{9,}")


def _table() -> dict[str, list[Rule]]:
    table: dict[str, list[Rule]] = {}
    kinds: tuple[tuple[Iterable[str], Rule], ...] = (
        (p.TITLES, _title), (p.LABELS, _label), (p.BINDERS, _label), (p.RELATIVES, _relative), (p.BIRTH_CUES, _birth),
        (p.TOWN_CUES, _town), (p.NUMBER_CUES, _number), (p.PHONE_CUES, _phone), (p.WAYS, _way),
        (p.BOXES, _box),
    )  # fmt: skip
    for cues, rule in kinds:
        for cue in cues:
            rules = table.setdefault(cue, [])
            if rule not in rules:
                rules.append(rule)
    return table


_RULES = _table()
_CUES = sorted(_RULES)
_FINDER = AhoCorasick(_CUES, matchkind=MatchKind.LeftmostLongest)


def apply_rules(scene: Scene) -> None:
    """Add the masks of every rule but those on digits, which the caller walks through."""
    folded = scene.folded
    size = len(folded)
    for index, start, end in _FINDER.find_matches_as_indexes(folded):
        if start and folded[start - 1].isalnum():
            continue
        cue = _CUES[index]
        if end < size and folded[end].isalnum() and cue[-1].isalnum():
            continue
        for rule in _RULES[cue]:
            rule(scene, start, end, cue)
    if "M " in scene.text:
        _bare_titles(scene)
    _signed(scene)
    _by_case(scene)
    if "ans)" in scene.text:
        _ages(scene)
    _towns(scene)
    if "@" in scene.text:
        _mails(scene)


def spread(scene: Scene) -> None:
    """Mask, elsewhere in the text, the names that a rule has found."""
    text, folded = scene.text, scene.folded
    found: dict[str, str] = {}
    for mask in scene.masks:
        if mask.tag in (p.NOM, p.PRENOM):
            for word in WORD.findall(folded[mask.start : mask.end]):
                if len(word) > 2 and word not in p.STOPS and word not in p.PARTICLES and word not in common_words():
                    found.setdefault(word, mask.tag)
    for word, tag in found.items():
        at = folded.find(word)
        while at >= 0:
            end = at + len(word)
            alone = not (at and folded[at - 1].isalpha()) and not (end < len(folded) and folded[end].isalpha())
            if alone and text[at].isupper():
                scene.add(at, end, tag)
            at = folded.find(word, end)
