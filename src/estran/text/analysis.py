"""How French clinical text is cut into words and compared: one set of rules, for index and query alike.

1. *Folding*, one character at a time: lower case; accents, cedillas and combining marks taken off;
   œ → oe, æ → ae, ß → ss, ø → o, ł → l, µ and μ → u (so `µg` is found by `ug`); superscripts and full-width
   forms become plain; every dash becomes `-`, every apostrophe `'`; soft hyphens and zero-width
   characters vanish; symbols stay (`Doliprane™` is the word doliprane). A text and its unaccented
   twin fold to the same string.
2. *Words* are runs of letters and digits of the folded text. Everything else separates: `l'œdème`
   is l + oedeme, `pseudo-kyste` two words, `1,8` and `1.8` both 1 + 8. A word longer than
   `LONGEST_WORD` letters is cut there.
3. *Tags* that Estran's de-identification writes (`TAGS`: `[NOM]`, `[TEL]` …) count as one word of the text, which no
   query can name: searching `nom` does not find every redacted letter.
4. *Stem*: a few irregular words, then endings that the Snowball stemmer knows with their accents only
   or not at all (-ee → -e, -iere → -ier, -oux → -ou, -yaux → -yau, and an s after a, i, o or u in
   words of five letters and more), then Snowball French. It is a function of the folded word
   alone, so accents typed or not can make no difference; words with a digit are left alone.
   Plural and feminine forms meet (`opérées` = `opere`, `rénaux` = `rénale`, `tissus` = `tissu`).
5. A query word matches the words of the same stem; a prefix matches folded words, before stemming.

`ANALYSIS_VERSION` changes with these rules: an index remembers the one it was built with.
Production stems in Rust (tantivy's Snowball, 1 µs a word); the tests' plain scan uses the
independent `snowballstemmer`.
"""

from __future__ import annotations

import codecs
import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Final, NamedTuple

import tantivy

ANALYSIS_VERSION: Final = 1
LONGEST_WORD: Final = 64
TAGS: Final = ("NOM", "PRENOM", "DATE_NAISSANCE", "TEL", "MAIL", "ADRESSE", "VILLE", "NUMERO", "URL")

_SPECIAL = {"œ": "oe", "æ": "ae", "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ı": "i", "µ": "u", "μ": "u"}
_APOSTROPHES = frozenset("'’‘ʼ′`´‛ʹʻ")
_TAG = rf"\[(?:{'|'.join(TAGS)})\]"
_PIECE = r"[^\s\x00-/:-@\[-`{-\x7f’‘“”«»–—…°•]+"  # coarser than words: all that may hold some
_CHUNK = re.compile(f"{_TAG}|{_PIECE}")
_TAGGED = re.compile(f"({_TAG})")
_TAG_ONLY = re.compile(_TAG)
_WORD = re.compile(r"[^\W_]+")
_ENDINGS = ((re.compile(r"(?<=..)ee(s?)$"), r"e\1"), (re.compile(r"iere(s?)$"), r"ier\1"),
            (re.compile(r"(?<=..)oux$"), "ou"), (re.compile(r"yaux$"), "yau"),
            (re.compile(r"(?<=...[aiou])s$"), ""))  # fmt: skip
_IRREGULAR = {
    "yeux": "oeil", "benigne": "benin", "benignes": "benin", "maligne": "malin", "malignes": "malin",
    "seche": "sec", "seches": "sec", "grosse": "gros", "grosses": "gros", "basse": "bas", "basses": "bas",
    "epaisse": "epais", "epaisses": "epais", "active": "actif", "actives": "actif", "travaux": "travail",
    "cheveux": "cheveu", "maux": "mal",
}  # fmt: skip
_CACHED_WORDS = 400_000


class _FoldTable(dict[int, str]):
    """Code point → its folded string, filled as characters are met."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _fold_character(chr(code))
        return folded


def _fold_character(char: str) -> str:
    if char in _APOSTROPHES:
        return "'"
    category = unicodedata.category(char)
    if category == "Pd" or char == "−":
        return "-"
    if category == "Cf":
        return ""
    if category.startswith("S"):
        return char
    lower = char.lower()
    plain = _SPECIAL.get(lower) or unicodedata.normalize("NFKD", lower)
    kept = (c for c in plain.lower() if not unicodedata.category(c).startswith("M"))
    return "".join("'" if c in _APOSTROPHES else _SPECIAL.get(c, c) for c in kept)


_FOLD = _FoldTable()


def fold(text: str) -> str:
    """`text` in lower case, without accents, ligatures or typographic signs (rule 1)."""
    return text.translate(_FOLD)


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text that still knows where it came from: `origins[i]` is the index, in the original,
    of the character that gave folded character `i`; one more entry holds the original's length."""

    text: str
    origins: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The original span of folded characters `start` to `end` (end excluded, not empty)."""
        return self.origins[start], self.origins[end - 1] + 1


def fold_with_offsets(text: str) -> Folded:
    """`fold` with the way back to the original's offsets."""
    pieces = [_FOLD[ord(char)] for char in text]
    origins = [index for index, piece in enumerate(pieces) for _ in piece]
    return Folded("".join(pieces), (*origins, len(text)))


class Token(NamedTuple):
    """One word of a text: its stem, its folded form, and its span in the original text."""

    stem: str
    word: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """The words of `text` in order; the list index is the position that phrases count with."""
    return [
        Token(stemmed, word, chunk.start() + start, chunk.start() + end)
        for chunk in _CHUNK.finditer(text)
        for stemmed, word, start, end in _tokens_of_chunk(chunk[0])
    ]


@lru_cache(maxsize=1 << 16)
def _tokens_of_chunk(chunk: str) -> tuple[tuple[str, str, int, int], ...]:
    """Stem, word and span within the chunk, of each word of it."""
    if _TAG_ONLY.fullmatch(chunk):
        return ((chunk, "", 0, len(chunk)),)
    folded = fold_with_offsets(chunk)
    found = []
    for match in _WORD.finditer(folded.text):
        start, end = folded.span(match.start(), match.end())
        word = match[0][:LONGEST_WORD]
        found.append((stem(word), word, start, _past_marks(chunk, end)))
    return tuple(found)


def _past_marks(chunk: str, end: int) -> int:
    """Combining accents that follow a letter belong to its span."""
    while end < len(chunk) and not _FOLD[ord(chunk[end])]:
        end += 1
    return end


def words(text: str) -> list[str]:
    """The folded words of `text` in order, tags left out."""
    return [token.word for token in tokens(text) if token.word]


_snowball = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.raw()).filter(tantivy.Filter.stemmer("french")).build()


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """The stem of one folded word (rule 4)."""
    if not word.isalpha():
        return word
    if word in _IRREGULAR:
        word = _IRREGULAR[word]
    for ending, replacement in _ENDINGS:
        word = ending.sub(replacement, word)
    return str(_snowball.analyze(word)[0]) or word


class _Stems(dict[str, str]):
    """Folded word → what the index stores for it; notes the words that no prefix can ask for as they are."""

    def __init__(self) -> None:
        super().__init__()
        self._unasked: set[str] = set()  # single letters, words that begin with a digit, words to cut
        self._long: set[str] = set()

    def __missing__(self, word: str) -> str:
        found = stem(word[:LONGEST_WORD])
        # One string for all equal ones: what is looked up is then mostly in the processor's cache.
        self[word] = found = word if found == word else sys.intern(found)
        if len(word) < 2 or word[0].isdigit():
            self._unasked.add(word)
        elif len(word) > LONGEST_WORD:
            self._unasked.add(word)
            self._long.add(word)
        return found

    def of(self, words: list[str]) -> Sequence[str]:
        """The stem of each word."""
        if len(words) < 2:
            return [self[word] for word in words]
        stems: tuple[str, ...] = itemgetter(*words)(self)
        return stems

    def asked(self, words: list[str]) -> set[str]:
        """The distinct words that a prefix can ask for, of words whose stems were asked."""
        distinct = set(words)
        cut = {word[:LONGEST_WORD] for word in distinct & self._long} if self._long else ()
        return (distinct - self._unasked).union(cut)


class _Kept:
    """The stems of the words met so far, started anew when they are too many: never within a text."""

    def __init__(self) -> None:
        self._stems = _Stems()

    def stems(self) -> _Stems:
        if len(self._stems) >= _CACHED_WORDS:
            self._stems = _Stems()
        return self._stems


_KEPT = _Kept()


def index_terms(text: str) -> tuple[str, str]:
    """What an index stores of `text`: its stems in order, and its distinct folded words.

    Both are joined by spaces. The second leaves out what no prefix can ask for: single letters
    and words that begin with a digit.
    """
    known = _KEPT.stems()
    if "[" not in text:
        found = _folded_words(text)
        return " ".join(known.of(found)), " ".join(known.asked(found))
    stems, found = [], []
    for place, part in enumerate(_TAGGED.split(text)):
        if place % 2:
            stems.append(part)
        else:
            found += (fresh := _folded_words(part))
            stems += known.of(fresh)
    return " ".join(stems), " ".join(known.asked(found))


def _folded_words(text: str) -> list[str]:
    """The folded words of a text without tags, in order and at full length.

    Nearly all French text goes through one table of bytes, some fifteen times faster than character by
    character; what the table cannot say (ligatures, other alphabets) takes the general way.
    """
    try:
        folded = text.encode("latin-1", _HANDLER).translate(_BYTES, _VANISHING)
    except UnicodeEncodeError:
        return _by_halves(text)
    return _by_halves(text) if b"\0" in folded else folded.decode("ascii").split()


def _by_halves(text: str) -> list[str]:
    """The general way, for no more than the words around what the table cannot say."""
    middle = text.find(" ", len(text) // 2)
    if middle <= 0:
        return _WORD.findall(fold(text))
    return _folded_words(text[:middle]) + _folded_words(text[middle:])


def _separated(char: str) -> str:
    """The folded character, spaces standing for what separates words; NUL when more than ASCII is left."""
    plain = "".join(c if _WORD.fullmatch(c) else " " for c in _FOLD[ord(char)])
    return plain if plain.isascii() else "\0"


def _encode_folded(error: UnicodeError) -> tuple[bytes, int]:
    """Characters beyond Latin-1, as the table of bytes leaves them."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    folded = "".join(_SEPARATED[c] for c in error.object[error.start : error.end])
    if "\0" in folded:
        raise error
    return folded.encode(), error.end


class _SeparatedTable(dict[str, str]):
    def __missing__(self, char: str) -> str:
        self[char] = found = _separated(char)
        return found


_SEPARATED = _SeparatedTable()
_HANDLER = "estran-fold"
codecs.register_error(_HANDLER, _encode_folded)
_OF_BYTES = [_separated(chr(code)) for code in range(256)]
_VANISHING = bytes(code for code, folded in enumerate(_OF_BYTES) if not folded)
_BYTES = bytes(ord(folded) if len(folded) == 1 else 0 for folded in _OF_BYTES)
