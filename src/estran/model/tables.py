"""The tables of the warehouse as Arrow schemas; the schema is the specification.

No column can hold a name, an address, a hospital number or a birth date. A *moment* is two
columns: `<x>_date`, the local calendar date of the site's zone, and `<x>_minute`, the minutes
elapsed since local midnight (0 to 1499: the repeated autumn hour has minutes of its own), null
when the time of day is not known. `precision` says which parts are true.
"""

from __future__ import annotations

import pyarrow as pa

from estran.model.without_pandas import leave_pandas_out

leave_pandas_out()


def _schema(*columns: tuple[str, pa.DataType] | tuple[str, pa.DataType, bool]) -> pa.Schema:
    """Columns are nullable unless a third item says False."""
    return pa.schema([pa.field(c[0], c[1], nullable=c[2] if len(c) == 3 else True) for c in columns])


I8, I16, I32, I64 = pa.int8(), pa.int16(), pa.int32(), pa.int64()
STR, DATE, F32, F64, BOOL = pa.string(), pa.date32(), pa.float32(), pa.float64(), pa.bool_()

PATIENT = _schema(
    ("patient_id", I32, False),
    ("sex", STR, False),  # codes.Sex
    ("birth_month", DATE),  # first day of the month, never the day
    ("death_date", DATE),
    ("death_source", STR),
    ("death_certainty", STR),
    ("last_news", DATE),
    ("residence_area", STR),  # commune rolled up by policy
    ("staff", BOOL, False),
    ("confidential", BOOL, False),
)

RELATION = _schema(
    ("patient_id", I32, False),
    ("other_id", I32, False),
    ("kind", STR, False),  # mother, child, twin
    ("rank", I8),
    ("source", STR, False),
)

PERMISSION = _schema(
    ("patient_id", I32, False),
    ("scope", STR, False),  # warehouse, research, genetic, hub, recontact, project:<id>
    ("kind", STR, False),  # opposition, consent, erasure
    ("from_date", DATE, False),
    ("to_date", DATE),
    ("given_by", STR),
    ("proof", STR),
)

STAY = _schema(
    ("stay_id", I32, False),
    ("patient_id", I32, False),
    ("kind", STR),
    ("start_date", DATE),
    ("start_minute", I16),
    ("end_date", DATE),
    ("end_minute", I16),
    ("precision", I8, False),  # codes.Precision of start and end
    ("entry_mode", STR),
    ("exit_mode", STR),
    ("unit_id", I32),
    ("parent_stay", I32),
    ("confidential", BOOL, False),
    ("status", STR, False),  # planned, active, finished, cancelled
    ("source", STR, False),
)

# One row per statement that a source made about a stay; STAY is their fold: for each column the
# value of the latest statement (event_time, then content) that gives one. Order of arrival is
# therefore without effect.
STAY_EVENT = _schema(
    ("stay_id", I32, False),
    ("identity_id", I32, False),
    ("event_time", I64, False),  # microseconds UTC
    ("content", I64, False),  # hash of the statement; breaks ties
    ("source", STR, False),
    ("load_id", I32, False),
    ("kind", STR),
    ("start_date", DATE),
    ("start_minute", I16),
    ("end_date", DATE),
    ("end_minute", I16),
    ("precision", I8),
    ("entry_mode", STR),
    ("exit_mode", STR),
    ("unit_id", I32),
    ("parent_stay", I32),
    ("confidential", BOOL),
    ("status", STR),
    ("clears_end", BOOL),  # a cancelled discharge takes the end back
)

STAY_LINK = _schema(("stay_id", I32, False), ("document_id", I32, False), ("kind", STR, False))

MOVEMENT = _schema(
    ("movement_id", I64, False),  # keyed hash of the source's movement number
    ("stay_id", I32, False),
    ("patient_id", I32, False),
    ("identity_id", I32, False),
    ("unit_id", I32),
    ("responsibility", STR),  # lodging, medical, care
    ("start_date", DATE),
    ("start_minute", I16),
    ("end_date", DATE),
    ("end_minute", I16),
    ("precision", I8, False),
    ("status", STR, False),  # active, cancelled
    ("event_time", I64, False),
    ("content", I64, False),
    ("source", STR, False),
    ("load_id", I32, False),
)

UNIT = _schema(
    ("unit_id", I32, False),
    ("code", STR, False),
    ("label", STR),
    ("level", STR, False),  # bed, UF, UM, service, pole, site, entity
    ("discipline", STR),
    ("parent", I32),
    ("valid_from", DATE),
    ("valid_to", DATE),
)

# document_id belongs to one version; a new version is a new document_id and retires the old one.
DOCUMENT = _schema(
    ("document_id", I32, False),
    ("patient_id", I32, False),
    ("identity_id", I32, False),  # the identity it came with: merges and splits move patient_id only
    ("stay_id", I32),
    ("kind", STR, False),  # codes.DocumentKind
    ("title", STR),
    ("start_date", DATE),
    ("start_minute", I16),
    ("precision", I8, False),
    ("known_at", I64),  # microseconds UTC
    ("unit_id", I32),
    ("author_role", STR),
    ("source", STR, False),  # the format, or format/name given by --source
    ("record_key", I64, False),  # keyed hash of the source's business id
    ("event_time", I64, False),  # microseconds UTC; orders the versions of one record_key
    ("content", I64, False),  # hash of the record's bytes; breaks ties, finds resends
    ("load_id", I32, False),
    ("status", I8, False),  # codes.DocumentStatus
    ("confidential", BOOL, False),
    ("file_no", I32),  # landing file
    ("record_no", I64),  # record within the file
    ("lang", STR),
)

TEXT = _schema(
    ("document_id", I32, False),
    ("patient_id", I32, False),
    ("text", STR, False),  # de-identified
    ("deid_version", I16, False),
)

# The patient order: everything, sorted by (patient, start).
FACT = _schema(
    ("patient_id", I32, False),
    ("start_date", DATE),
    ("start_minute", I16),
    ("concept_id", I32, False),
    ("local_concept_id", I32),  # when a local code was mapped onto concept_id
    ("document_id", I32, False),
    ("fact_no", I32, False),
    ("parent_fact_no", I32),
    ("stay_id", I32),
    ("end_date", DATE),
    ("end_minute", I16),
    ("precision", I8, False),
    ("known_at", I64),  # when it differs from the document's
    ("value", F64),
    ("value_concept", I32),
    ("value_text", STR),
    ("comparator", I8),
    ("unit", STR),  # UCUM
    ("low", F64),
    ("high", F64),
    ("status", I8, False),
    ("role", STR),
    ("context", I8, False),
    ("origin", I8, False),
)

# The concept order: what criteria read, sorted by (concept, patient, start).
FACT_BY_CONCEPT = pa.schema(
    [
        FACT.field(n)
        for n in (
            "concept_id",
            "patient_id",
            "start_date",
            "start_minute",
            "precision",
            "local_concept_id",
            "stay_id",
            "document_id",
            "fact_no",
            "parent_fact_no",
            "end_date",
            "end_minute",
            "value",
            "comparator",
            "unit",
            "value_concept",
            "status",
            "role",
            "context",
            "origin",
        )
    ]
)

FACT_ATTRIBUTE = _schema(
    ("document_id", I32, False),
    ("fact_no", I32, False),
    ("patient_id", I32, False),
    ("attribute_id", I32, False),  # concept
    ("value", F64),
    ("value_concept", I32),
    ("value_text", STR),
)

CONCEPT = _schema(
    ("concept_id", I32, False),
    ("vocabulary", STR, False),
    ("code", STR, False),
    ("label_fr", STR),
    ("label_en", STR),
    ("kind", STR),  # diagnosis, procedure, drug, laboratory, observation, demographic, other
    ("unit", STR),
    ("valid_from", DATE),
    ("valid_to", DATE),
    ("standard", BOOL, False),
)

CONCEPT_ANCESTOR = _schema(("ancestor_id", I32, False), ("descendant_id", I32, False), ("distance", I16, False))
CONCEPT_SYNONYM = _schema(("concept_id", I32, False), ("synonym", STR, False), ("lang", STR, False))
CONCEPT_MAP = _schema(
    ("source_id", I32, False),
    ("target_id", I32, False),
    ("relation", STR, False),  # equivalent, broader, narrower
    ("method", STR, False),  # how the mapping was made: source, vocabulary, table, person
)

MEDIA = _schema(
    ("document_id", I32, False),
    ("patient_id", I32, False),
    ("modality", STR),
    ("uri", STR, False),
    ("shape", STR),
    ("sampling", F64),
    ("checksum", STR),
)

# Every variant of a sample: one row per alternate allele that the genotype holds. Never in FACT as a whole:
# an exome has a hundred thousand of them.
VARIANT = _schema(
    ("patient_id", I32, False),
    ("document_id", I32, False),
    ("chrom", STR, False),  # without "chr"; MT for the mitochondrion
    ("pos", I32, False),  # first base of ref, from 1, in the assembly that the document names
    ("ref", STR, False),
    ("alt", STR, False),
    ("gene", STR),  # HGNC symbol of the most severe annotation, as the source writes it
    ("effect", STR),  # Sequence Ontology terms joined by &
    ("impact", STR),  # codes.Impact
    ("hgvs_c", STR),
    ("hgvs_p", STR),
    ("zygosity", STR, False),  # codes.Zygosity
    ("allele_fraction", F32),  # 0 to 1
    ("depth", I32),  # reads
    ("filter", STR),  # PASS, or what the caller held against it; null when nothing was tested
)

# One row per (load, file): read = loaded + superseded + quarantined, always.
LOAD = _schema(
    ("load_id", I32, False),
    ("file_no", I32, False),
    ("part", STR, False),  # table or resource type inside the file, "" when there is one only
    ("source", STR, False),
    ("started", I64, False),
    ("finished", I64),
    ("complete", BOOL, False),
    ("read", I64, False),
    ("loaded", I64, False),
    ("superseded", I64, False),
    ("quarantined", I64, False),
    ("unknown_stays", I64, False),  # facts loaded with no stay because theirs is unknown
)

QUARANTINE = _schema(
    ("file_no", I32, False),
    ("record_no", I64, False),
    ("part", STR, False),
    ("source", STR, False),
    ("load_id", I32, False),
    ("line", I64),
    ("field", STR),
    ("code", STR, False),  # one word per class of reason
    ("reason", STR, False),  # a sentence without any value of the record
    ("content", I64, False),
    ("waits_for", I64),  # keyed hash of the patient number that nobody has introduced yet
)

# Tables kept per bucket of patients, and tables kept whole.
BUCKETED: dict[str, pa.Schema] = {
    "patient": PATIENT,
    "stay": STAY,
    "stay_event": STAY_EVENT,
    "stay_link": STAY_LINK,
    "movement": MOVEMENT,
    "document": DOCUMENT,
    "text": TEXT,
    "fact": FACT,
    "fact_by_concept": FACT_BY_CONCEPT,
    "fact_attribute": FACT_ATTRIBUTE,
    "media": MEDIA,
    "variant": VARIANT,
}
WHOLE: dict[str, pa.Schema] = {
    "relation": RELATION,
    "permission": PERMISSION,
    "unit": UNIT,
    "concept": CONCEPT,
    "concept_ancestor": CONCEPT_ANCESTOR,
    "concept_synonym": CONCEPT_SYNONYM,
    "concept_map": CONCEPT_MAP,
    "load": LOAD,
    "quarantine": QUARANTINE,
}
TABLES: dict[str, pa.Schema] = {**BUCKETED, **WHOLE}
