"""Looks for identities in every file of a site, decoded as far as it can be, whoever wrote it.

Written apart from the product: its own folding, its own reading of Parquet, Arrow, SQLite and tantivy.
Letters are compared without case and accents; numbers also without the separators between digits.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tantivy
from ahocorasick_rs import AhoCorasick, BytesAhoCorasick

_BETWEEN_DIGITS = re.compile(r"(?<=\d)[\s.\-/|()\u00a0\u202f]{1,3}(?=\d)")
# A data file (or folder) is called by its version and eight random hexadecimal digits: what they form together is chance.
_FILE_NAME = re.compile(r"(?<![^\W_])\d{9}-[0-9a-f]{8}(?![^\W_])")
# When a Delta table was written, in milliseconds: now and then nine of these digits are those of a number.
_MOMENT = re.compile(r'((?:timestamp|modificationtime|createdtime)\\*":)1\d{12}(?!\d)')
_TEXT_FIELDS = ("text", "title", "text_word", "title_word")
TEXT_FILES = (".json", ".toml", ".log", ".txt")
# Shorter ones would be found by chance in megabytes of encrypted bytes.
SHORTEST_IN_BYTES = 8


def _plain(character: str) -> str:
    """A letter without its accents; nothing of a combining mark."""
    known = {"œ": "oe", "æ": "ae", "ß": "ss", "ø": "o", "ł": "l", "đ": "d", "’": "'", "\u2010": "-"}
    if character in known:
        return known[character]
    return "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))


_ACCENTS = {c: _plain(chr(c)) for c in [*range(0xA0, 0x370), *range(0x1E00, 0x1F00), 0x2010, 0x2019]}


def fold(text: str) -> str:
    """Lower case, without accents."""
    return text.lower() if text.isascii() else text.lower().translate(_ACCENTS)


def squeezed(text: str) -> str:
    """The text with nothing between its digits, without the names of the warehouse's own files."""
    return _BETWEEN_DIGITS.sub("", _FILE_NAME.sub("", text))


@dataclass(frozen=True)
class Found:
    """An identity found: what, and the file (with table and column) in which."""

    what: str
    where: str


class Wanted:
    """What must not be found. `words` count as whole words, `digits` also when parted, `phrases` anywhere."""

    def __init__(self, words: Iterable[str] = (), digits: Iterable[str] = (), phrases: Iterable[str] = ()) -> None:
        words, phrases = set(words), set(phrases)
        self.words = frozenset(map(fold, words))
        self.digits = frozenset(digits)
        self.phrases = frozenset(map(fold, phrases))
        self._list = sorted(self.words | self.digits | self.phrases)
        self._finder = AhoCorasick(self._list)
        self._forms = [form for what in (*words, *phrases, *self.digits) for form in _byte_forms(what)]
        self._byte_finder = BytesAhoCorasick([form for form, _ in self._forms])

    def __or__(self, other: Wanted) -> Wanted:
        """What either wants; words lose their accents before they are looked for in bytes."""
        return Wanted(self.words | other.words, self.digits | other.digits, self.phrases | other.phrases)

    def in_text(self, text: str) -> set[str]:
        """What a text holds."""
        plain = _MOMENT.sub(r"\1", fold(text))
        found = self._in(plain)
        if any(c.isdigit() for c in plain):
            tight = squeezed(plain)
            found |= {what for what in self._in(tight) if what in self.digits} if tight != plain else set()
        return found

    def _in(self, plain: str) -> set[str]:
        found = set()
        for number, start, end in self._finder.find_matches_as_indexes(plain, overlapping=True):
            what = self._list[number]
            if what in found:
                continue
            elsewhere = what in self.digits or what in self.phrases
            if what in self.words and not elsewhere and (_inside(plain, start - 1) or _inside(plain, end)):
                continue
            found.add(what)
        return found

    def in_bytes(self, data: bytes) -> set[str]:
        """What raw bytes hold, as UTF-8, Latin-1 or UTF-16, among what is long enough to mean something."""
        lowered = data.lower()
        return {self._forms[n][1] for n, _, _ in self._byte_finder.find_matches_as_indexes(lowered)}


def _byte_forms(what: str) -> set[tuple[bytes, str]]:
    """How something may be written in bytes whose ASCII letters are in lower case."""
    plain = fold(what)
    if len(plain) < SHORTEST_IN_BYTES:
        return set()
    texts = {plain, what.lower(), "".join(c.upper() if not c.isascii() else c for c in what.lower())}
    return {(text.encode(code, "replace"), plain) for text in texts for code in ("utf-8", "latin-1", "utf-16-le")}


def _inside(text: str, at: int) -> bool:
    return 0 <= at < len(text) and text[at].isalnum()


# Strings of a site


def strings(site: Path) -> Iterator[tuple[str, str]]:
    """(where, string) for every string that any file of the site holds once decoded."""
    for path in sorted(p for p in site.rglob("*") if p.is_file()):
        name = str(path.relative_to(site))
        if path.suffix == ".parquet":
            yield from _of_table(name, pq.read_table(path, partitioning=None))
        elif path.name == "columns.arrow":
            yield from _of_table(name, pa.ipc.open_file(path.read_bytes()).read_all())
        elif path.suffix in (".sqlite", ".db"):
            yield from _of_database(name, path)
        elif path.name == "meta.json":
            yield from _of_index(name, path.parent)
            yield name, path.read_text("utf-8")
        elif path.suffix in TEXT_FILES:
            yield name, path.read_text("utf-8", "replace")
        yield "file name", name


def _of_table(name: str, table: pa.Table) -> Iterator[tuple[str, str]]:
    for column in table.column_names:
        kind = table.schema.field(column).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            for text in pc.unique(table[column].cast(pa.string())).to_pylist():
                if text:
                    yield f"{name}:{column}", text


def _of_database(name: str, path: Path) -> Iterator[tuple[str, str]]:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in db.execute(f'SELECT * FROM "{table}"'):
                yield from ((f"{name}:{table}", v) for v in row if isinstance(v, str) and v)
    db.close()


def _of_index(name: str, folder: Path) -> Iterator[tuple[str, str]]:
    searcher = tantivy.Index.open(str(folder)).searcher()
    for field in _TEXT_FIELDS:
        for term, _ in searcher.terms_with_prefix(field, ""):
            yield f"{name}:{field}", term


def scan(site: Path, wanted: Wanted) -> set[Found]:
    """Everything wanted that is found in the site, in any file, decoded and as raw bytes."""
    found: set[Found] = set()
    seen: set[str] = set()
    for where, text in strings(site):
        if text not in seen:
            seen.add(text)
            found |= {Found(what, where) for what in wanted.in_text(text)}
    for path in (p for p in site.rglob("*") if p.is_file()):
        found |= {Found(what, f"bytes of {path.relative_to(site)}") for what in wanted.in_bytes(path.read_bytes())}
    return found
