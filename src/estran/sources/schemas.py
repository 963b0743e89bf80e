"""The columns of a batch's tables (see `estran.sources.records`); indices are those of the batch's own lists."""

from __future__ import annotations

import pyarrow as pa

I8, I16, I32, I64 = pa.int8(), pa.int16(), pa.int32(), pa.int64()
STR, DATE, F64, BOOL = pa.string(), pa.date32(), pa.float64(), pa.bool_()

# One row per record read, refused ones included.
RECORDS = pa.schema(
    [
        ("record_no", I64),  # place in the file, from 0, stable from one reading to the next
        ("line", I64),  # line in the file, from 1; null when lines mean nothing
        ("event_time", I64),  # microseconds UTC at which the source says it happened; 0 unknown
        ("content", I64),  # content_hash of the record's bytes
    ]
)
STAY_EVENTS = pa.schema(
    [
        ("record", I32),
        ("stay", I32),
        ("kind", STR),
        ("start_date", DATE),
        ("start_minute", I16),
        ("end_date", DATE),
        ("end_minute", I16),
        ("precision", I8),
        ("entry_mode", STR),
        ("exit_mode", STR),
        ("unit", I32),
        ("parent", I32),  # index in Batch.stays
        ("confidential", BOOL),
        ("status", STR),
        ("clears_end", BOOL),
    ]
)
MOVEMENTS = pa.schema(
    [
        ("record", I32),
        ("key", STR),  # the source's movement number, authority included
        ("stay", I32),
        ("unit", I32),
        ("responsibility", STR),
        ("start_date", DATE),
        ("start_minute", I16),
        ("end_date", DATE),
        ("end_minute", I16),
        ("precision", I8),
        ("status", STR),
    ]
)
DOCUMENTS = pa.schema(
    [
        ("record", I32),
        ("key", STR),  # business id, kept across versions (null when key_int is given)
        ("key_int", I64),  # the same when it is a number, for columnar sources
        ("patient", I32),
        ("stay", I32),
        ("kind", STR),
        ("title", STR),
        ("start_date", DATE),
        ("start_minute", I16),
        ("precision", I8),
        ("known_at", I64),
        ("unit", I32),
        ("author_role", STR),
        ("status", I8),
        ("confidential", BOOL),
        ("lang", STR),
        ("text", STR),  # original, before de-identification; null when there is none
        # Business id of what the document is always sent as a part of: of its sendings (files) the latest is current
        # as a whole, so a part that it leaves out is gone. The content of a part must tell of its whole.
        ("whole", STR),
    ]
)
FACTS = pa.schema(
    [
        ("document", I32),  # row in Batch.documents
        ("fact_no", I32),
        ("parent_fact_no", I32),
        ("code", I32),  # index in Batch.codes
        ("start_date", DATE),
        ("start_minute", I16),
        ("end_date", DATE),
        ("end_minute", I16),
        ("precision", I8),
        ("known_at", I64),
        ("value", F64),
        ("value_code", I32),  # index in Batch.codes
        ("value_text", STR),  # de-identified by the pipeline like any text
        ("comparator", I8),
        ("unit", STR),
        ("low", F64),
        ("high", F64),
        ("status", I8),
        ("role", STR),
        ("context", I8),
        ("origin", I8),
    ]
)
ATTRIBUTES = pa.schema(
    [
        ("document", I32),
        ("fact_no", I32),
        ("attribute", I32),  # index in Batch.codes
        ("value", F64),
        ("value_code", I32),
        ("value_text", STR),
    ]
)
MEDIA = pa.schema(
    [
        ("document", I32),
        ("modality", STR),
        ("uri", STR),
        ("shape", STR),
        ("sampling", F64),
        ("checksum", STR),
    ]
)
VARIANTS = pa.schema(
    [
        ("document", I32),
        ("chrom", STR),
        ("pos", I32),
        ("ref", STR),
        ("alt", STR),
        ("gene", STR),
        ("effect", STR),
        ("impact", STR),
        ("hgvs_c", STR),
        ("hgvs_p", STR),
        ("zygosity", STR),
        ("allele_fraction", pa.float32()),
        ("depth", I32),
        ("filter", STR),
    ]
)
# Refusals by the thousand, for columnar sources; the columns are those of Refusal.
REFUSED = pa.schema([("record", I32), ("field", STR), ("code", STR), ("reason", STR)])
