"""The vocabulary tables → concepts, hierarchy, synonyms and maps.

An OMOP concept is `OMOP:<concept_id>`, which facts carry. Its own vocabulary's code is a second
concept (SNOMED:74474003) above it at distance 0, so that a question in SNOMED finds OMOP data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from estran.sources.omop.blocks import Block
from estran.sources.omop.expressions import Query, Rows, one, refusals
from estran.sources.omop.interning import encode, mapped
from estran.sources.records import Batch, Vocabulary
from estran.sources.schemas import REFUSED
from estran.terminology.hierarchy import close
from estran.terminology.systems import is_standard, omop_vocabulary

META = "OMOP-META"
_KINDS = {
    "Condition": "diagnosis", "Procedure": "procedure", "Drug": "drug", "Measurement": "laboratory",
    "Observation": "observation", "Gender": "demographic", "Race": "demographic", "Ethnicity": "demographic",
}  # fmt: skip
_LANGUAGES = {4180190: "fr", 4182347: "en", 4180186: "en"}
# Relationships that have a place: (is a map, the first concept is the target or the ancestor).
_RELATIONS = {"Maps to": (True, False), "Mapped from": (True, True), "Is a": (False, False), "Subsumes": (False, True)}
_NO_PLACE = ("relationship_id", "unknown-type", "This relationship between concepts has no place in the warehouse.")
_WITHDRAWN = ("invalid_reason", "unknown-type", "This relationship was withdrawn from the vocabulary.")
# Tables that describe the vocabularies: name of the code, columns of the label.
_META = {
    "cdm_source": ("cdm_source_abbreviation", ("cdm_source_name", "cdm_version", "vocabulary_version")),
    "vocabulary": ("vocabulary_id", ("vocabulary_name", "vocabulary_version")),
    "domain": ("domain_id", ("domain_name",)),
    "concept_class": ("concept_class_id", ("concept_class_name",)),
    "relationship": ("relationship_id", ("relationship_name",)),
}
Runner = Callable[[duckdb.DuckDBPyConnection, Block], Batch]


def meta_runner(name: str) -> Runner:
    """Reads a table that describes the vocabularies: its rows are concepts of OMOP-META."""
    code, labels = _META[name]

    def run(con: duckdb.DuckDBPyConnection, block: Block) -> Batch:
        query = Query(block.table.schema)
        query.text("code", code, *labels[:1])
        query.check("code IS NULL", code, "missing", f"The row has no {code}.")
        for place, label in enumerate(labels):
            query.text(f"label_{place}", label)
        result = query.run(con, block)
        rows, _ = result.good()
        parts = [one(rows[f"label_{place}"]) for place in range(len(labels))]
        label = pc.binary_join_element_wise(*parts, " — ", null_handling="skip")
        codes = pc.binary_join_element_wise(name, one(rows["code"]), ":")
        concepts = _concepts(pa.repeat(META, len(rows)), codes, label, pa.repeat("other", len(rows)))
        return _batch(name, result, Vocabulary(concepts=concepts))

    return run


def concept_batch(
    con: duckdb.DuckDBPyConnection, block: Block, names: Mapping[str, str] = MappingProxyType({})
) -> Batch:
    """CONCEPT: two concepts per row when its vocabulary is one that other sources use, or one of `names`."""
    query = Query(block.table.schema)
    query.integer("id", "concept_id", required=True)
    for alias, column in (("label", "concept_name"), ("own", "concept_code"), ("standing", "standard_concept")):
        query.text(alias, column)
    query.text("domain", "domain_id")
    query.text("vocabulary", "vocabulary_id")
    query.date("valid_from", "valid_start_date")
    query.date("valid_to", "valid_end_date")
    result = query.run(con, block)
    rows, _ = result.good()
    omop = pa.repeat("OMOP", len(rows))
    codes, label = one(rows["id"]).cast(pa.string()), one(rows["label"])
    kind = mapped(rows["domain"], _KINDS, "other", pa.string())
    standard = pc.fill_null(pc.equal(one(rows["standing"]), "S"), False)
    ours = _concepts(omop, codes, label, kind, _from(rows), _to(rows), standard)
    native = _native(rows, names)
    own = native.is_valid()
    twins = ours.filter(own)
    for name, column in (("vocabulary", native), ("code", one(rows["own"]))):
        twins = twins.set_column(twins.column_names.index(name), name, column.filter(own))
    edges = _edges(twins["vocabulary"], twins["code"], codes.filter(own), np.zeros(len(twins), np.int16))
    return _batch("concept", result, Vocabulary(concepts=pa.concat_tables([ours, twins]), ancestors=edges))


def unit_concepts(con: duckdb.DuckDBPyConnection, block: Block) -> dict[int, str]:
    """concept_id → UCUM code of the unit concepts of a block of CONCEPT."""
    query = Query(block.table.schema)
    query.integer("id", "concept_id")
    query.text("own", "concept_code")
    query.text("vocabulary", "vocabulary_id")
    rows = query.run(con, block).table
    rows = rows.filter(pc.and_(pc.fill_null(pc.equal(rows["vocabulary"], "UCUM"), False), rows["own"].is_valid()))
    return dict(zip(rows["id"].to_pylist(), rows["own"].to_pylist(), strict=True))


def ancestor_batch(con: duckdb.DuckDBPyConnection, block: Block) -> Batch:
    """CONCEPT_ANCESTOR."""
    query = Query(block.table.schema)
    query.integer("above", "ancestor_concept_id", required=True)
    query.integer("below", "descendant_concept_id", required=True)
    query.integer("distance", "min_levels_of_separation")
    result = query.run(con, block)
    rows, _ = result.good()
    distance = one(rows["distance"]).fill_null(1).to_numpy().clip(0, 32_000)
    # Distance 0 between two concepts would say that they are one.
    apart = one(rows["above"]).to_numpy() != one(rows["below"]).to_numpy()
    distance = np.where(apart & (distance == 0), 1, distance).astype(np.int16)
    above, below = one(rows["above"]).cast(pa.string()), one(rows["below"]).cast(pa.string())
    return _batch("concept_ancestor", result, Vocabulary(ancestors=_edges(_omop(above), above, below, distance)))


def synonym_batch(con: duckdb.DuckDBPyConnection, block: Block) -> Batch:
    """CONCEPT_SYNONYM."""
    query = Query(block.table.schema)
    query.integer("id", "concept_id", required=True)
    query.text("synonym", "concept_synonym_name")
    query.check("synonym IS NULL", "concept_synonym_name", "missing", "The row has no concept_synonym_name.")
    query.integer("lang", "language_concept_id")
    result = query.run(con, block)
    rows, _ = result.good()
    codes = one(rows["id"]).cast(pa.string())
    lang = mapped(rows["lang"], _LANGUAGES, "en", pa.string())
    table = pa.table({"vocabulary": _omop(codes), "code": codes, "synonym": one(rows["synonym"]), "lang": lang})
    return _batch("concept_synonym", result, Vocabulary(synonyms=table))


def source_map_batch(con: duckdb.DuckDBPyConnection, block: Block) -> Batch:
    """SOURCE_TO_CONCEPT_MAP: the site's own map from local codes."""
    query = Query(block.table.schema)
    query.text("code", "source_code")
    query.text("vocabulary", "source_vocabulary_id")
    for alias in ("code", "vocabulary"):
        query.check(f"{alias} IS NULL", f"source_{alias}", "missing", f"The row has no source {alias}.")
    query.integer("target", "target_concept_id", required=True)
    query.check("target = 0", "target_concept_id", "missing", "The code is mapped to no concept.")
    result = query.run(con, block)
    rows, _ = result.good()
    house = {name: omop_vocabulary(name) for name in encode(rows["vocabulary"])[1]}
    names = mapped(rows["vocabulary"], house, None, pa.string())
    target = one(rows["target"]).cast(pa.string())
    return _batch("source_to_concept_map", result, Vocabulary(maps=_maps(names, one(rows["code"]), target, "table")))


class Relationships:
    """CONCEPT_RELATIONSHIP: maps at once; 'is a' edges are gathered, and closed at the end.

    The closure is only wanted when CONCEPT_ANCESTOR does not already give it.
    """

    def __init__(self, hierarchy: bool) -> None:
        self._hierarchy = hierarchy
        self._children: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        self._parents: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []

    def __call__(self, con: duckdb.DuckDBPyConnection, block: Block) -> Batch:
        query = Query(block.table.schema)
        query.integer("first", "concept_id_1", required=True)
        query.integer("second", "concept_id_2", required=True)
        query.text("relation", "relationship_id")
        query.text("withdrawn", "invalid_reason")
        result = query.run(con, block)
        rows, records = result.good()
        map_, swapped, kinds = _relations(rows)
        first, second = one(rows["first"]).to_numpy(), one(rows["second"]).to_numpy()
        source, target = np.where(swapped, second, first), np.where(swapped, first, second)
        isa = (kinds < 0) & ~map_
        self._children.append(source[isa])
        self._parents.append(target[isa])
        mapping = map_ & (kinds < 0) & (source != target)
        codes = pa.array(source[mapping]).cast(pa.string()), pa.array(target[mapping]).cast(pa.string())
        batch = _batch("concept_relationship", result, Vocabulary(maps=_maps(_omop(codes[0]), *codes, "vocabulary")))
        useless = np.flatnonzero(kinds >= 0)
        more = refusals(records.to_numpy()[useless].astype(np.int64), kinds[useless], [_NO_PLACE, _WITHDRAWN])
        batch.refused = pa.concat_tables([batch.refused, more]).cast(REFUSED)
        return batch

    def closure(self) -> Vocabulary | None:
        """Every ancestor of every concept, from the edges gathered; None when not wanted."""
        if not self._hierarchy or not sum(map(len, self._children)):
            return None
        children, parents = np.concatenate(self._children), np.concatenate(self._parents)
        ids = np.unique(np.concatenate([children, parents]))
        above, below, distance = close(
            np.searchsorted(ids, children).astype(np.int32), np.searchsorted(ids, parents).astype(np.int32)
        )
        codes = pa.array(ids).cast(pa.string())
        top, bottom = codes.take(pa.array(above)), codes.take(pa.array(below))
        return Vocabulary(ancestors=_edges(_omop(top), top, bottom, distance))


def _relations(rows: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per row: whether a map, whether the concepts are swapped, and why useless (-1: it is not)."""
    indices, names = encode(rows["relation"])
    known = [_RELATIONS.get(name) for name in names]
    useful = np.array([k is not None for k in known] + [False])[indices]
    is_map = np.array([bool(k and k[0]) for k in known] + [False])[indices]
    swapped = np.array([bool(k and k[1]) for k in known] + [False])[indices]
    withdrawn = rows["withdrawn"].is_valid().to_numpy()
    return is_map, swapped, np.where(~useful, 0, np.where(withdrawn, 1, -1))


def _batch(name: str, result: Rows, vocabulary: Vocabulary) -> Batch:
    return Batch(name, result.records(), refused=result.refused(), vocabulary=vocabulary)


def _concepts(
    vocabulary: pa.Array, code: pa.Array, label: pa.Array, kind: pa.Array,
    valid_from: pa.Array | None = None, valid_to: pa.Array | None = None, standard: pa.Array | None = None,
) -> pa.Table:  # fmt: skip
    count, dates = len(code), pa.nulls(len(code), pa.date32())
    return pa.table({
        "vocabulary": vocabulary, "code": code, "label": pc.coalesce(label, ""), "lang": pa.repeat("en", count),
        "kind": kind, "valid_from": valid_from if valid_from is not None else dates,
        "valid_to": valid_to if valid_to is not None else dates,
        "standard": standard if standard is not None else pa.repeat(pa.scalar(False), count),
    })  # fmt: skip


def _edges(vocabulary: pa.Array, above: pa.Array, below: pa.Array, distance: np.ndarray) -> pa.Table:
    """Edges from codes of `vocabulary` down to OMOP concepts."""
    return pa.table({
        "ancestor_vocabulary": vocabulary, "ancestor_code": above, "descendant_vocabulary": _omop(below),
        "descendant_code": below, "distance": pa.array(distance, pa.int16()),
    })  # fmt: skip


def _maps(vocabulary: pa.Array, source: pa.Array, target: pa.Array, method: str) -> pa.Table:
    count = len(source)
    return pa.table({
        "source_vocabulary": vocabulary, "source_code": source, "target_vocabulary": _omop(target),
        "target_code": target, "relation": pa.repeat("equivalent", count), "method": pa.repeat(method, count),
    })  # fmt: skip


def _omop(like: pa.Array) -> pa.Array:
    return pa.repeat("OMOP", len(like))


def _native(rows: pa.Table, given: Mapping[str, str]) -> pa.Array:
    """House name of each concept's own vocabulary; null when no other source would use it."""
    _, names = encode(rows["vocabulary"])
    house = {name: given.get(name) or omop_vocabulary(name) for name in names}
    usable = {
        name: ours for name, ours in house.items()
        if (is_standard(ours) or ours == name or name in given) and ours != "OMOP"
    }  # fmt: skip
    native = mapped(rows["vocabulary"], usable, None, pa.string())
    return pc.if_else(one(rows["own"]).is_valid(), native, pa.scalar(None, pa.string()))


def _from(rows: pa.Table) -> pa.Array:
    """Start of validity; 1970-01-01 says nothing."""
    date = one(rows["valid_from"])
    return pc.if_else(pc.equal(date.cast(pa.int32()), 0), pa.scalar(None, pa.date32()), date)


def _to(rows: pa.Table) -> pa.Array:
    """End of validity; 2099-12-31 says that there is none."""
    date = one(rows["valid_to"])
    return pc.if_else(pc.greater_equal(date.cast(pa.int32()), 47_481), pa.scalar(None, pa.date32()), date)
