"""Tables of codes → a vocabulary of the site: labels, and maps to other vocabularies."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from estran.sources.omop.blocks import Block
from estran.sources.omop.expressions import one
from estran.sources.records import Batch
from estran.sources.records import Vocabulary as Rows
from estran.sources.tabular.batches import record_table, refused_table
from estran.sources.tabular.language import Vocabulary
from estran.sources.tabular.plan import Plan
from estran.terminology.systems import is_standard


def vocabulary_batch(plan: Plan, given: Vocabulary, block: Block, rows: pa.Table, base: int) -> Batch:
    """The batch of a block of codes; every row is a record."""
    kept = np.flatnonzero(rows[plan.keep].to_numpy() | (block.bad != 0)) if plan.keep else np.arange(len(block))
    rows = rows.take(pa.array(kept))
    why = rows["why"].to_numpy()
    record = np.arange(len(kept), dtype=np.int32)
    wrong = np.where(why != 0, record, -1).astype(np.int64)
    records = record_table(plan, block, rows, kept, record, record.astype(np.int64), wrong, base)
    batch = Batch(plan.table.name, records, refused=refused_table(plan, why, wrong))
    sound = rows.filter(pa.array(why == 0))
    if len(sound):
        batch.vocabulary = Rows(concepts=_concepts(plan, given, sound), maps=_maps(plan, given, sound))
    return batch


def _concepts(plan: Plan, given: Vocabulary, rows: pa.Table) -> pa.Table:
    count = len(rows)
    label = one(rows[plan.named["label"]]) if "label" in plan.named else pa.nulls(count, pa.string())
    return pa.table(
        {
            "vocabulary": pa.repeat(given.name, count), "code": one(rows[plan.named["code"]]),
            "label": label.fill_null(""), "lang": pa.repeat(given.lang, count), "kind": pa.repeat(given.kind, count),
            "valid_from": pa.nulls(count, pa.date32()), "valid_to": pa.nulls(count, pa.date32()),
            "standard": pa.repeat(pa.scalar(is_standard(given.name)), count),
        }
    )  # fmt: skip


def _maps(plan: Plan, given: Vocabulary, rows: pa.Table) -> pa.Table | None:
    tables = []
    for place, target in enumerate(given.maps):
        code = one(rows[plan.named[f"map{place}"]])
        kept = rows.filter(code.is_valid())
        count = len(kept)
        tables.append(
            pa.table(
                {
                    "source_vocabulary": pa.repeat(given.name, count), "source_code": one(kept[plan.named["code"]]),
                    "target_vocabulary": pa.repeat(target.vocabulary, count), "target_code": pc.drop_null(code),
                    "relation": pa.repeat(target.relation, count), "method": pa.repeat("table", count),
                }
            )
        )  # fmt: skip
    return pa.concat_tables(tables) if tables else None
