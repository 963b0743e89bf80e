"""Finding a concept by what people type: words of its label, a synonym, or its code."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Int64s = npt.NDArray[np.int64]
_MOST_WORDS = 12
_MOST_ENTRIES = 5_000
_NOT_WORD = r"[^\p{L}\p{N}]+"


@dataclass(frozen=True)
class Hit:
    """A concept that was found, with what it was found by."""

    concept_id: int
    vocabulary: str
    code: str
    label_fr: str | None
    label_en: str | None
    matched: str


class ConceptSearch:
    """An index of the words of labels, synonyms and codes; accents and case do not count.

    Every word typed must begin a word of one same label, synonym or code. `concepts` and
    `synonyms` are the tables of model.tables.
    """

    def __init__(self, concepts: pa.Table, synonyms: pa.Table) -> None:
        self._concepts = concepts.combine_chunks()
        rows = np.arange(len(concepts), dtype=np.int64)
        known = pc.index_in(synonyms["concept_id"], value_set=concepts["concept_id"].combine_chunks())
        kept = known.is_valid()
        texts = [concepts["label_fr"], concepts["label_en"], concepts["code"], synonyms["synonym"].filter(kept)]
        owners = [rows, rows, rows, pc.drop_null(known).to_numpy().astype(np.int64)]
        text = pa.chunked_array([c for t in texts for c in t.cast(pa.string()).chunks], pa.string())
        self._is_code = np.repeat([False, False, True, False], [len(o) for o in owners])
        self._owner = np.concatenate(owners)
        filled = pc.fill_null(text.combine_chunks(), "")
        self._text = _one(filled)
        self._folded = _fold(self._text)
        self._length = pc.utf8_length(self._folded).to_numpy()
        self._index_words()

    def _index_words(self) -> None:
        """Words sorted, and for each the entries that hold it (one flat array, with offsets)."""
        lists = pc.split_pattern_regex(self._folded, " ")
        entries = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
        encoded = pc.dictionary_encode(pc.list_flatten(lists))
        order = pc.sort_indices(encoded.dictionary).to_numpy()
        self._words = np.array(encoded.dictionary.take(pa.array(order)).to_pylist(), dtype=object)
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        word = rank[encoded.indices.to_numpy()]
        by_word = np.argsort(word, kind="stable")
        self._postings = entries[by_word]
        self._offsets = np.searchsorted(word[by_word], np.arange(len(order) + 1))

    def find(
        self,
        text: str,
        limit: int = 20,
        vocabularies: Collection[str] | None = None,
        kinds: Collection[str] | None = None,
    ) -> list[Hit]:
        """Best concepts for `text`: exact code or label, then label prefix, then words.

        Shorter labels come first among equals. `vocabularies` and `kinds` narrow the search.
        """
        folded = _fold(pa.array([text]))[0].as_py()
        words = folded.split()
        if not words:
            return []
        entries = self._entries(words, vocabularies, kinds)
        score = self._score(entries, folded, words)
        best = entries[np.lexsort((self._owner[entries], self._length[entries], score))]
        owners, first = np.unique(self._owner[best], return_index=True)
        return [self._hit(int(best[place])) for place in np.sort(first)[:limit]] if len(owners) else []

    def _entries(
        self, words: list[str], vocabularies: Collection[str] | None, kinds: Collection[str] | None
    ) -> Int64s:
        """Entries in which every word begins some word; the shortest ones when there are very many."""
        counts = np.zeros(len(self._owner), dtype=np.int8)
        for place, word in enumerate(dict.fromkeys(words[:_MOST_WORDS])):
            these = self._postings[slice(*self._span(word))]
            counts[these[counts[these] == place]] = place + 1
        found = np.flatnonzero(counts == len(dict.fromkeys(words[:_MOST_WORDS])))
        found = found[self._allowed(found, vocabularies, kinds)]
        if len(found) > _MOST_ENTRIES:
            found = found[np.argpartition(self._length[found], _MOST_ENTRIES)[:_MOST_ENTRIES]]
        return found

    def _span(self, word: str) -> tuple[int, int]:
        low = int(np.searchsorted(self._words, word))
        high = int(np.searchsorted(self._words, word + "\U0010ffff"))
        return int(self._offsets[low]), int(self._offsets[high])

    def _allowed(
        self, entries: Int64s, vocabularies: Collection[str] | None, kinds: Collection[str] | None
    ) -> npt.NDArray[np.bool_]:
        allowed = np.ones(len(entries), dtype=bool)
        for name, values in (("vocabulary", vocabularies), ("kind", kinds)):
            if values is not None:
                column = self._concepts[name].take(pa.array(self._owner[entries]))
                allowed &= pc.is_in(column, pa.array(list(values), pa.string())).to_numpy()
        return allowed

    def _score(self, entries: Int64s, folded: str, words: list[str]) -> Int64s:
        """0 exact, 1 begins with the text, 2 every word whole, 3 prefixes of words."""
        texts = self._folded.take(pa.array(entries))
        score = np.full(len(entries), 3, dtype=np.int64)
        whole = np.ones(len(entries), dtype=bool)
        for word in set(words[:_MOST_WORDS]):
            low, high = np.searchsorted(self._words, word), np.searchsorted(self._words, word, side="right")
            whole &= np.isin(entries, self._postings[self._offsets[low] : self._offsets[high]])
        score[whole] = 2
        score[pc.starts_with(texts, folded).to_numpy(zero_copy_only=False)] = 1
        score[pc.equal(texts, folded).to_numpy(zero_copy_only=False)] = 0
        return score

    def _hit(self, entry: int) -> Hit:
        row = int(self._owner[entry])
        values = {name: self._concepts[name][row].as_py() for name in _SHOWN}
        return Hit(**values, matched=self._text[entry].as_py())


_SHOWN = ("concept_id", "vocabulary", "code", "label_fr", "label_en")


def _fold(texts: pa.Array) -> pa.Array:
    """Lower case without accents; words apart by one space."""
    plain = pc.replace_substring_regex(pc.utf8_normalize(pc.utf8_lower(texts), form="NFKD"), r"\p{Mn}+", "")
    for ligature, letters in (("œ", "oe"), ("æ", "ae")):
        plain = pc.replace_substring(plain, ligature, letters)
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(plain, _NOT_WORD, " "))


def _one(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values
