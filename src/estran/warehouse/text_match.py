"""From the nodes of `text.query` to tantivy's queries, for one index folder.

Every node is exact: what tantivy returns is what `text.query` promises (a plain scan in the tests
holds it to that). Scores are BM25; since each folder counts its own words, a leaf is boosted so
that its inverse document frequency is that of all folders together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import tantivy
from tantivy import Occur, Query

from estran.text.query import And, Filtered, Near, Not, Or, Phrase, Prefix, TextQuery, Word

Frequencies = Callable[[str, str], tuple[int, int]]  # (field, term) -> documents with it, documents in all


class Matcher:
    """Translates nodes for one index; `here` and `everywhere` count documents per term."""

    def __init__(self, schema: tantivy.Schema, here: Frequencies, everywhere: Frequencies) -> None:
        self._schema = schema
        self._here = here
        self._everywhere = everywhere

    def query(self, node: TextQuery, field: str = "text") -> Query:
        """The tantivy query of `node`; leaves look into `field`."""
        if isinstance(node, Word | Phrase):
            return self._boosted(self._phrase(node.stems, field), node.stems, field)
        if isinstance(node, Prefix):
            return Query.const_score_query(Query.regex_query(self._schema, f"{field}_word", f"{node.folded}.*"), 1.0)
        if isinstance(node, Near):
            return self._boosted(self._near(node, field), node.stems, field)
        if isinstance(node, Filtered):
            return self._filtered(node)
        return self._combined(node, field)

    def _filtered(self, node: Filtered) -> Query:
        if node.field == "kind" and isinstance(node.query, Word):
            return Query.const_score_query(Query.term_query(self._schema, "kind", node.query.text), 0.0)
        return self.query(node.query, "title")

    def _combined(self, node: And | Or | Not, field: str) -> Query:
        if isinstance(node, Not):
            return _all_but([self.query(node.part, field)])
        if isinstance(node, Or):
            return _any([self.query(part, field) for part in node.parts])
        needed = [self.query(part, field) for part in node.parts if not isinstance(part, Not)]
        banned = [self.query(part.part, field) for part in node.parts if isinstance(part, Not)]
        return (
            Query.boolean_query([(Occur.Must, q) for q in needed] + [(Occur.MustNot, q) for q in banned])
            if (needed)
            else _all_but(banned)
        )

    def _phrase(self, stems: Sequence[str], field: str, slop: int = 0) -> Query:
        if len(stems) == 1:
            return Query.term_query(self._schema, field, stems[0], index_option="freq")
        return Query.phrase_query(self._schema, field, list(stems), slop=slop)

    def _near(self, node: Near, field: str) -> Query:
        stems = node.stems
        if len(stems) == 1:
            return self._phrase(stems, field)
        pairs = [self._pair(a, b, node.distance, field) for a, b in itertools.combinations(stems, 2)]
        return pairs[0] if len(pairs) == 1 else Query.boolean_query([(Occur.Must, pair) for pair in pairs])

    def _pair(self, first: str, second: str, distance: int, field: str) -> Query:
        """Two words, in any order. tantivy's slop is exact for two words (for three it is not)."""
        slop = distance - 1
        return _any([self._phrase((first, second), field, slop), self._phrase((second, first), field, slop)])

    def _boosted(self, query: Query, stems: Sequence[str], field: str) -> Query:
        here = sum(_rarity(*self._here(field, stem)) for stem in stems)
        everywhere = sum(_rarity(*self._everywhere(field, stem)) for stem in stems)
        return query if here == everywhere else Query.boost_query(query, everywhere / here)


def _any(queries: Sequence[Query]) -> Query:
    return queries[0] if len(queries) == 1 else Query.boolean_query([(Occur.Should, q) for q in queries])


def _all_but(queries: Sequence[Query]) -> Query:
    everything = Query.const_score_query(Query.all_query(), 0.0)
    return Query.boolean_query([(Occur.Must, everything), *((Occur.MustNot, q) for q in queries)])


def _rarity(frequency: int, documents: int) -> float:
    """BM25's inverse document frequency, as tantivy computes it."""
    return math.log(1 + (documents - frequency + 0.5) / (frequency + 0.5))
