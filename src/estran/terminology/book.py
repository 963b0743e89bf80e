"""The concept book: code → concept id, over the concept tables of one snapshot.

Concepts are numbered in order of arrival. A code that nobody has seen gets the next number; a
code that the source itself gave with a standard coding is stored under the standard concept and
keeps its own as the local one. Nothing here knows of patients.

Resolving costs one scan of the known keys per list of unseen codes (30 ms per million concepts):
no dictionary of the whole vocabulary is ever built, and codes already met cost one dict lookup.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from estran.model.tables import CONCEPT, CONCEPT_ANCESTOR, CONCEPT_MAP, CONCEPT_SYNONYM
from estran.terminology.hierarchy import Hierarchy
from estran.terminology.maps import Maps
from estran.terminology.systems import DOTTED, LOCAL, RANK, UNDOTTED, canonical, is_standard

Int32s = npt.NDArray[np.int32]
_SEPARATOR = "\x1f"


class CodeLike(Protocol):
    """What a reader hands over (sources.records.Code)."""

    @property
    def vocabulary(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def lang(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def also(self) -> tuple[tuple[str, str, str], ...]: ...


class VocabularyLike(Protocol):
    """What a reader hands over (sources.records.Vocabulary)."""

    @property
    def concepts(self) -> pa.Table | None: ...
    @property
    def ancestors(self) -> pa.Table | None: ...
    @property
    def synonyms(self) -> pa.Table | None: ...
    @property
    def maps(self) -> pa.Table | None: ...


@dataclass(frozen=True)
class Resolved:
    """Ids of a list of codes, aligned with it, and the rows to store.

    `local_ids` is -1 where there is no local concept beside the standard one. `new_concepts` holds
    new concepts and known ones whose empty label was filled: store it by concept_id.
    """

    concept_ids: Int32s
    local_ids: Int32s
    new_concepts: pa.Table
    new_maps: pa.Table
    next_id: int


@dataclass(frozen=True)
class VocabularyRows:
    """Rows to store for a vocabulary; `concepts` by concept_id, the others appended."""

    concepts: pa.Table
    ancestors: pa.Table
    synonyms: pa.Table
    maps: pa.Table
    next_id: int


class ConceptBook:
    """An index over the concept tables, that grows with what it hands out.

    After a failed commit, throw the book away: it holds numbers that were never stored.
    `concepts`, `ancestors`, `synonyms` and `maps` are the tables of `model.tables` of those names.
    """

    def __init__(
        self,
        concepts: pa.Table,
        ancestors: pa.Table | None = None,
        maps: pa.Table | None = None,
        synonyms: pa.Table | None = None,
    ) -> None:
        self._store(concepts)
        self._known: dict[tuple[str, str], int] = {}  # keys looked up or created so far
        self._fresh: dict[int, dict[str, Any]] = {}  # rows created or changed and not yet in the table
        self._labelled: set[tuple[int, str]] = set()  # (concept, lang) known to have a label
        self._memo: dict[CodeLike, tuple[int, int]] = {}
        self._hierarchy: Hierarchy | None = None
        self._edges = ancestors if ancestors is not None else CONCEPT_ANCESTOR.empty_table()
        self._synonyms = synonyms if synonyms is not None else CONCEPT_SYNONYM.empty_table()
        maps = maps if maps is not None else CONCEPT_MAP.empty_table()
        self._maps = Maps(maps)

    def _store(self, concepts: pa.Table) -> None:
        self._concepts = concepts.select(CONCEPT.names).cast(CONCEPT).sort_by("concept_id").combine_chunks()
        self._stored_keys = _keys(self._concepts["vocabulary"], self._concepts["code"])
        self._stored_ids = _int32s(self._concepts["concept_id"])

    # ---- codes -------------------------------------------------------------------------------

    def resolve(self, codes: Sequence[CodeLike], next_id: int) -> Resolved:
        """Ids of `codes`; unseen ones are created from `next_id` on.

        The standard concept is the best coding (systems.STANDARD) among the code and its `also`,
        the local one the code itself, or the first other coding when the code was the best. With
        no standard coding, a map of the site (method table, person or vocabulary) decides, so
        that no result depends on which message of a source came first; else the local concept
        stands for itself.
        """
        unseen = [code for code in dict.fromkeys(codes) if code not in self._memo]
        self._look_up({key for code in unseen for key in _codings(code)})
        changed: dict[int, None] = {}
        pairs: list[tuple[int, int]] = []
        for code in unseen:
            concept, local, next_id = self._resolve_one(code, next_id, changed, pairs)
            self._memo[code] = (concept, local)
        ids = np.array([self._memo[code] for code in codes], dtype=np.int32).reshape(-1, 2)
        return Resolved(
            np.ascontiguousarray(ids[:, 0]), np.ascontiguousarray(ids[:, 1]),
            pa.Table.from_pylist([self._fresh[i] for i in changed], CONCEPT), _source_maps(pairs), next_id,
        )  # fmt: skip

    def _resolve_one(
        self, code: CodeLike, next_id: int, changed: dict[int, None], pairs: list[tuple[int, int]]
    ) -> tuple[int, int, int]:
        codings = list(_codings(code))
        labels = {codings[0]: code.label}
        for vocabulary, value, label in code.also:
            labels.setdefault((vocabulary, canonical(vocabulary, value)), label)
        ids: list[int] = []
        for coding in codings:
            found = self._known.get(coding)
            if found is None:
                found, next_id = next_id, next_id + 1
                self._create(found, coding, code, labels[coding])
                changed[found] = None
            elif labels[coding] and self._fill_label(found, code.lang, labels[coding]):
                changed[found] = None
            ids.append(found)
        best = min(range(len(codings)), key=lambda i: (RANK.get(codings[i][0], len(RANK)), i))
        if not is_standard(codings[best][0]):
            target = next((found for i in ids if (found := self._maps.target(i)) is not None), None)
            return (ids[0], -1, next_id) if target is None else (target, ids[0], next_id)
        local = ids[0] if best else _first_other(codings, ids)
        pairs += [(i, ids[best]) for i in ids if i != ids[best] and self._maps.note(i, ids[best])]
        return ids[best], local, next_id

    def _create(self, concept_id: int, coding: tuple[str, str], code: CodeLike, label: str) -> None:
        row: dict[str, Any] = dict.fromkeys(CONCEPT.names)
        row |= {"concept_id": concept_id, "vocabulary": coding[0], "code": coding[1], "kind": code.kind}
        row |= {_label_column(code.lang): label or None, "standard": is_standard(coding[0])}
        self._known[coding] = concept_id
        self._fresh[concept_id] = row
        if label:
            self._labelled.add((concept_id, code.lang))

    def _fill_label(self, concept_id: int, lang: str, label: str) -> bool:
        """Give a known concept its label in `lang` when it has none; whether anything changed."""
        if (concept_id, lang) in self._labelled:
            return False
        self._labelled.add((concept_id, lang))
        row = self._row(concept_id)
        if row[_label_column(lang)]:
            return False
        self._fresh[concept_id] = {**row, _label_column(lang): label}
        return True

    def _row(self, concept_id: int) -> dict[str, Any]:
        if concept_id in self._fresh:
            return self._fresh[concept_id]
        place = int(np.searchsorted(self._stored_ids, concept_id))
        row: dict[str, Any] = self._concepts.slice(place, 1).to_pylist()[0]
        return row

    def _look_up(self, keys: Iterable[tuple[str, str]]) -> None:
        """Learn the ids of stored keys among `keys`."""
        wanted = [key for key in keys if key not in self._known]
        if not wanted or not len(self._stored_keys):
            return
        needles = pa.array([f"{v}{_SEPARATOR}{c}" for v, c in wanted], pa.string())
        found = pc.index_in(self._stored_keys, value_set=needles)
        rows = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        for row, needle in zip(rows, found.take(pa.array(rows)).to_pylist(), strict=True):
            self._known[wanted[needle]] = int(self._stored_ids[row])

    # ---- vocabularies ------------------------------------------------------------------------

    def add_vocabulary(self, vocabulary: VocabularyLike, next_id: int) -> VocabularyRows:
        """Rows to store for `vocabulary`: what is already there is left out.

        A known concept gets its missing label, kind, dates and standard mark; codes that only
        hierarchy, synonyms or maps name become concepts without a label.
        """
        self._fold()
        first, changed = next_id, CONCEPT.empty_table()
        if vocabulary.concepts is not None:
            changed, next_id = self._add_concepts(_canonical(vocabulary.concepts), next_id)
        edges, next_id = self._add_edges(_canonical(vocabulary.ancestors), next_id)
        synonyms, next_id = self._add_synonyms(_canonical(vocabulary.synonyms), next_id)
        maps, next_id = self._add_maps(_canonical(vocabulary.maps), next_id)
        self._memo.clear()
        self._labelled.clear()
        new = self._concepts.slice(int(np.searchsorted(self._stored_ids, first)))
        return VocabularyRows(pa.concat_tables([changed, new]), edges, synonyms, maps, next_id)

    def _fold(self) -> None:
        """Bring what `resolve` created into the table."""
        if self._fresh:
            rows = pa.Table.from_pylist(list(self._fresh.values()), CONCEPT)
            self._replace(rows)
            self._fresh = {}

    def _replace(self, rows: pa.Table) -> None:
        kept = self._concepts.filter(pc.invert(pc.is_in(self._concepts["concept_id"], _one(rows["concept_id"]))))
        self._store(pa.concat_tables([kept, rows.cast(CONCEPT)]))

    def _places(self, keys: pa.Array) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Which `keys` are stored, and the rows of those."""
        found = pc.index_in(keys, value_set=self._stored_keys)
        valid = found.is_valid().to_numpy(zero_copy_only=False)
        return valid, found.drop_null().to_numpy().astype(np.int64)

    def _add_concepts(self, concepts: pa.Table, next_id: int) -> tuple[pa.Table, int]:
        """Known concepts that changed, and the next free id; new ones are stored at once."""
        keys = _keys(concepts["vocabulary"], concepts["code"])
        once = _first_of_each(keys)
        incoming, keys = _as_rows(concepts.take(once)), keys.take(once)
        valid, places = self._places(keys)
        changed = _completed(self._concepts.take(pa.array(places)), incoming.filter(pa.array(valid)))
        new = incoming.filter(pa.array(~valid))
        ids = np.arange(next_id, next_id + len(new), dtype=np.int32)
        new = new.set_column(0, CONCEPT.field("concept_id"), pa.array(ids)).cast(CONCEPT)
        self._replace(pa.concat_tables([changed, new]))
        return changed, next_id + len(new)

    def _ids(self, vocabularies: pa.ChunkedArray, codes: pa.ChunkedArray, next_id: int) -> tuple[Int32s, int]:
        """Ids of codes; unknown ones become concepts without a label."""
        encoded = pc.dictionary_encode(_keys(vocabularies, codes))
        valid, places = self._places(encoded.dictionary)
        if not valid.all():
            missing = encoded.dictionary.filter(pa.array(~valid))
            next_id = self._store_bare(missing, next_id)
            valid, places = self._places(encoded.dictionary)
        return self._stored_ids[places][encoded.indices.to_numpy()], next_id

    def _store_bare(self, keys: pa.Array, next_id: int) -> int:
        parts = pc.split_pattern(keys, _SEPARATOR, max_splits=1)
        vocabularies, codes = pc.list_element(parts, 0), pc.list_element(parts, 1)
        columns: dict[str, Any] = {name: pa.nulls(len(keys), CONCEPT.field(name).type) for name in CONCEPT.names}
        columns |= {"concept_id": pa.array(np.arange(next_id, next_id + len(keys), dtype=np.int32))}
        standard = pc.is_in(vocabularies, pa.array(list(RANK)))
        columns |= {"vocabulary": vocabularies, "code": codes, "standard": standard}
        self._replace(pa.table(columns, schema=CONCEPT))
        return next_id + len(keys)

    def _add_edges(self, rows: pa.Table | None, next_id: int) -> tuple[pa.Table, int]:
        if rows is None or not len(rows):
            return CONCEPT_ANCESTOR.empty_table(), next_id
        above, next_id = self._ids(rows["ancestor_vocabulary"], rows["ancestor_code"], next_id)
        below, next_id = self._ids(rows["descendant_vocabulary"], rows["descendant_code"], next_id)
        if self._hierarchy is None:
            self._hierarchy, self._edges = Hierarchy(self._edges), CONCEPT_ANCESTOR.empty_table()
        return self._hierarchy.add(above, below, rows["distance"].to_numpy().astype(np.int16)), next_id

    def _add_synonyms(self, rows: pa.Table | None, next_id: int) -> tuple[pa.Table, int]:
        if rows is None or not len(rows):
            return CONCEPT_SYNONYM.empty_table(), next_id
        ids, next_id = self._ids(rows["vocabulary"], rows["code"], next_id)
        table = pa.table([pa.array(ids), _one(rows["synonym"]), _one(rows["lang"])], schema=CONCEPT_SYNONYM)
        keys = _synonym_keys(table)
        once = _first_of_each(keys)
        table, keys = table.take(once), keys.take(once)
        table = table.filter(pc.invert(pc.is_in(keys, _synonym_keys(self._synonyms))))
        self._synonyms = pa.concat_tables([self._synonyms, table])
        return table, next_id

    def _add_maps(self, rows: pa.Table | None, next_id: int) -> tuple[pa.Table, int]:
        if rows is None or not len(rows):
            return CONCEPT_MAP.empty_table(), next_id
        sources, next_id = self._ids(rows["source_vocabulary"], rows["source_code"], next_id)
        targets, next_id = self._ids(rows["target_vocabulary"], rows["target_code"], next_id)
        columns = [pa.array(sources), pa.array(targets), _one(rows["relation"]), _one(rows["method"])]
        return self._maps.add(pa.table(columns, schema=CONCEPT_MAP)), next_id


def _keys(vocabularies: pa.ChunkedArray, codes: pa.ChunkedArray) -> pa.Array:
    return pc.binary_join_element_wise(_one(vocabularies), _one(codes), _SEPARATOR)


def _synonym_keys(table: pa.Table) -> pa.Array:
    return pc.binary_join_element_wise(_one(table["concept_id"]).cast(pa.string()), _one(table["synonym"]), _SEPARATOR)


def _one(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece."""
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _int32s(column: pa.ChunkedArray) -> Int32s:
    return np.asarray(column.to_numpy(), dtype=np.int32)


def _codings(code: CodeLike) -> dict[tuple[str, str], None]:
    """The code and its other codings, in order, each once."""
    written = [(code.vocabulary, code.code), *((v, c) for v, c, _ in code.also)]
    return dict.fromkeys((v, canonical(v, c)) for v, c in written)


def _canonical(table: pa.Table | None) -> pa.Table | None:
    """The rows of a vocabulary with every code as the house writes it."""
    if table is None:
        return None
    for name in table.column_names:
        owner = name.removesuffix("code") + "vocabulary"
        if name.endswith("code") and owner in table.column_names:
            dotted = pc.replace_substring_regex(table[name], pattern=UNDOTTED, replacement=r"\1.\2")
            mine = pc.is_in(table[owner], value_set=pa.array(DOTTED, table[owner].type))
            table = table.set_column(table.column_names.index(name), name, pc.if_else(mine, dotted, table[name]))
    return table


def _first_other(codings: list[tuple[str, str]], ids: list[int]) -> int:
    """The local concept beside a code that was itself the best: a site's own code if there is one."""
    others = [i for (vocabulary, _), i in zip(codings[1:], ids[1:], strict=True) if vocabulary.startswith(LOCAL)]
    return (others or ids[1:] or [-1])[0]


def _label_column(lang: str) -> str:
    return "label_en" if lang.lower().startswith("en") else "label_fr"


def _source_maps(pairs: list[tuple[int, int]]) -> pa.Table:
    sources, targets = [s for s, _ in pairs], [t for _, t in pairs]
    return pa.table([sources, targets, ["equivalent"] * len(pairs), ["source"] * len(pairs)], schema=CONCEPT_MAP)


def _first_of_each(keys: pa.Array) -> pa.Array:
    """Row numbers of the first occurrence of every key, in order."""
    indices = pc.dictionary_encode(keys).indices.to_numpy()
    return pa.array(np.sort(np.unique(indices, return_index=True)[1]))


def _as_rows(concepts: pa.Table) -> pa.Table:
    """Rows of a travelling vocabulary in the shape of CONCEPT, without ids yet."""
    english = pc.starts_with(_one(concepts["lang"]), "en")
    label, nothing = _one(concepts["label"]), pa.nulls(len(concepts), pa.string())
    label = pc.if_else(pc.equal(label, ""), nothing, label)
    columns = {
        "concept_id": pa.nulls(len(concepts), pa.int32()),
        "vocabulary": concepts["vocabulary"],
        "code": concepts["code"],
        "label_fr": pc.if_else(english, nothing, label),
        "label_en": pc.if_else(english, label, nothing),
        "kind": concepts["kind"],
        "unit": nothing,
        "valid_from": concepts["valid_from"],
        "valid_to": concepts["valid_to"],
        "standard": pc.fill_null(concepts["standard"], False),
    }
    return pa.table(columns, schema=pa.schema([f.with_nullable(True) for f in CONCEPT]))


def _completed(stored: pa.Table, incoming: pa.Table) -> pa.Table:
    """Rows of `stored` that `incoming` (aligned) completes, completed."""
    columns = {name: _one(stored[name]) for name in CONCEPT.names}
    changed = pa.array(np.zeros(len(stored), dtype=bool))
    kind = pc.if_else(pc.equal(columns["kind"], "other"), pa.scalar(None, pa.string()), columns["kind"])
    merged = {name: pc.coalesce(columns[name], _one(incoming[name])) for name in _COMPLETED}
    merged["kind"] = pc.coalesce(kind, _one(incoming["kind"]), columns["kind"])
    merged["standard"] = pc.or_(columns["standard"], _one(incoming["standard"]))
    for name, column in merged.items():
        differs = pc.and_not(column.is_valid(), pc.fill_null(pc.equal(column, columns[name]), False))
        changed = pc.or_(changed, differs)
    return pa.table(columns | merged, schema=CONCEPT).filter(changed)


_COMPLETED = ("label_fr", "label_en", "valid_from", "valid_to")
