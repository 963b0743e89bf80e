"""From what a source says to the warehouse's own numbers, one batch at a time.

Patients, stays, units and codes are resolved once per batch from their interned lists, then taken
by index: no loop over facts. A record whose patient nobody has introduced goes to quarantine and
names, by keyed hash, the number it waits for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyroaring import BitMap

from estran.identity import vault as vaults
from estran.identity.keys import SiteKey
from estran.identity.traits import Statement
from estran.model.tables import MOVEMENT, STAY_EVENT
from estran.sources.pipeline.authorities import name_authorities
from estran.sources.pipeline.columns import coded
from estran.sources.pipeline.tally import LoadRow, Reason, Tally
from estran.sources.pipeline.units import UnitBook
from estran.sources.pipeline.wholes import part_keys
from estran.sources.records import OF_STAY, Batch, IdentityStatement, MergeStatement
from estran.terminology.book import ConceptBook
from estran.warehouse import bitmap

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

_UNKNOWN_STAY = "The patient is not known yet: no record has said whose stay this is."
_UNKNOWN_PATIENT = "The patient is not known yet: no record has introduced this patient number."


@dataclass
class Gathered:
    """Resolved rows waiting for the next commit. `record` columns number the tally's records."""

    documents: list[pa.Table] = field(default_factory=list)
    facts: list[pa.Table] = field(default_factory=list)
    attributes: list[pa.Table] = field(default_factory=list)
    media: list[pa.Table] = field(default_factory=list)
    variants: list[pa.Table] = field(default_factory=list)
    stay_events: list[pa.Table] = field(default_factory=list)
    movements: list[pa.Table] = field(default_factory=list)
    relations: list[dict[str, object]] = field(default_factory=list)
    permissions: list[dict[str, object]] = field(default_factory=list)
    concept_rows: dict[str, list[pa.Table]] = field(default_factory=dict)
    identities: set[int] = field(default_factory=set)  # whose patient row may have changed
    labels: set[str] = field(default_factory=set)  # of codes: stored in clear, so no title need hide them
    document_rows: int = 0
    fact_rows: int = 0

    def concepts(self, table: str, rows: pa.Table | None) -> None:
        if rows is not None and rows.num_rows:
            self.concept_rows.setdefault(table, []).append(rows)


@dataclass
class Resolver:
    """Resolves batches of one load against the vault and the dictionaries."""

    vault: vaults.Vault
    keys: SiteKey
    book: ConceptBook
    units: UnitBook
    next_concept: int
    authorities: Mapping[str, str] = field(default_factory=dict)  # other name → the one the site uses
    tally: Tally = field(default_factory=Tally)
    gathered: Gathered = field(default_factory=Gathered)
    _mentioned: dict[int, BitMap] = field(default_factory=dict, init=False, repr=False)

    def fresh(self) -> None:
        """Forget what was gathered, once it is committed."""
        self.tally, self.gathered = Tally(), Gathered()

    def add(self, batch: Batch, row: LoadRow, *, replayed: bool = False) -> None:
        """Resolve `batch` and gather its rows."""
        base = self.tally.open(row, batch.records, replayed=replayed)
        name_authorities(batch, row.source, self.authorities)
        for refusal in batch.refusals:
            self.tally.quarantine(base + refusal.record, Reason(refusal.field, refusal.code, refusal.reason))
        _refuse_table(self.tally, batch, base)
        patients = self._patients(batch, base, row.file_no)
        self._hold_back(batch, base, patients)
        stays = self._stays(batch, base, patients)
        units = self.units.resolve(batch.units)
        self._vocabulary(batch, base)
        self._units_stated(batch, base)
        self._small(batch, base, row, patients)
        self._stay_events(batch, base, row, patients, stays, units)
        self._movements(batch, base, row, patients, stays, units)
        self._documents(batch, base, row, patients, stays, units)

    # patients -----------------------------------------------------------------------------------

    def _patients(self, batch: Batch, base: int, file_no: int) -> Int32s:
        """identity_id of each patient of the batch, -1 where unknown, after its introductions."""
        known = self.vault.resolve(batch.patients)
        times = batch.records["event_time"].to_numpy()
        contents = batch.records["content"].to_numpy()
        bare = [(m.record, p) for m in batch.merges for p in (m.kept, m.gone) if known[p] < 0]
        told = [_statement(batch, i, int(times[i.record]), int(contents[i.record])) for i in batch.identities if i.introduces]
        told += [_bare(batch, p, int(times[record]), int(contents[record])) for record, p in bare]
        self._introduce(told, [base + i.record for i in batch.identities if i.introduces] + [base + r for r, _ in bare])
        waiting = [item for item in batch.identities if not item.introduces]
        while told or waiting:  # a mere reference counts once its patient is known, wherever in the batch that is said
            known = self.vault.resolve(batch.patients)
            ready = [item for item in waiting if known[item.patient] >= 0]
            if not ready:
                break
            told = [_statement(batch, i, int(times[i.record]), int(contents[i.record])) for i in ready]
            self._introduce(told, [base + item.record for item in ready])
            waiting = [item for item in waiting if known[item.patient] < 0]
        self._mention(known, file_no)
        for merge in batch.merges:
            self._merge(merge, base, known, int(times[merge.record]), int(contents[merge.record]))
        return known

    def _introduce(self, statements: list[Statement], records: list[int]) -> None:
        introduced = self.vault.introduce(statements)
        self.tally.load(np.array(records, dtype=np.int64)[introduced.stored])
        self.gathered.identities.update(introduced.identity_ids.tolist())

    def _mention(self, known: Int32s, file_no: int) -> None:
        """Note who the file speaks of, each once."""
        mentioned = self._mentioned.setdefault(file_no, BitMap())
        fresh = bitmap(known[known >= 0]) - mentioned
        if fresh:
            self.vault.upkeep.mention(fresh, file_no)
            mentioned |= fresh

    def _merge(self, merge: MergeStatement, base: int, known: Int32s, event_time: int, content: int) -> None:
        kept, gone = int(known[merge.kept]), int(known[merge.gone])
        if kept != gone and not self.vault.holds_merge(kept, gone, event_time, content, merge.undo):
            self.vault.merge(kept, gone, event_time, content, merge.undo)
            self.tally.load([base + merge.record])
        self.gathered.identities.update((kept, gone))

    def _hold_back(self, batch: Batch, base: int, patients: Int32s) -> None:
        """Quarantine every record that needs a patient whom nobody has introduced."""
        unknown = np.flatnonzero(patients < 0)
        if not len(unknown):
            return
        waits = {int(p): self.vault.key_hash(*batch.patients[int(p)]) for p in unknown}
        for record, patient in _needs(batch):
            if patient in waits:
                by_stay = batch.patients[patient].system.startswith(OF_STAY)
                reason = Reason("patient", "no-patient", _UNKNOWN_STAY if by_stay else _UNKNOWN_PATIENT, waits[patient])
                self.tally.quarantine(base + record, reason)

    def _stays(self, batch: Batch, base: int, patients: Int32s) -> Int32s:
        """stay_id of each stay of the batch, -1 where its patient is unknown. A record that only ties a stay
        number to a patient is loaded when that says something new."""
        out = np.full(len(batch.stays) + 1, -1, dtype=np.int32)
        places = [i for i, stay in enumerate(batch.stays) if patients[stay.patient] >= 0]
        keys = [(int(patients[batch.stays[i].patient]), batch.stays[i].system, batch.stays[i].value) for i in places]
        if batch.ties:
            known = self.vault.knows_stays(keys)
            fresh = {place for place, is_known in zip(places, known, strict=True) if not is_known}
            self.tally.load([base + record for record, stay in batch.ties if stay in fresh])
        out[places] = self.vault.stays(keys) if keys else []
        return out

    # dictionaries -------------------------------------------------------------------------------

    def _vocabulary(self, batch: Batch, base: int) -> None:
        if batch.vocabulary is None:
            return
        added = self.book.add_vocabulary(batch.vocabulary, self.next_concept)
        self.next_concept = added.next_id
        rows_of = {
            "concept": added.concepts,
            "concept_ancestor": added.ancestors,
            "concept_synonym": added.synonyms,
            "concept_map": added.maps,
        }
        for table, rows in rows_of.items():
            self.gathered.concepts(table, rows)
        if any(rows.num_rows for rows in rows_of.values()):
            self.tally.load(np.arange(base, base + batch.records.num_rows, dtype=np.int64))

    def _units_stated(self, batch: Batch, base: int) -> None:
        """A record that only states a unit is loaded when that unit is new."""
        if batch.units and not batch.documents.num_rows and not batch.stay_events.num_rows and self.units.grew():
            self.tally.load(np.arange(base, base + batch.records.num_rows, dtype=np.int64))

    def _codes(self, batch: Batch) -> tuple[Int32s, Int32s]:
        resolved = self.book.resolve(batch.codes, self.next_concept)
        self.next_concept = resolved.next_id
        self.gathered.labels.update(code.label for code in batch.codes)
        self.gathered.concepts("concept", resolved.new_concepts)
        self.gathered.concepts("concept_map", resolved.new_maps)
        # a last place of -1 so that a missing index (-1) takes nothing
        last = np.array([-1], dtype=np.int32)
        return np.concatenate([resolved.concept_ids, last]), np.concatenate([resolved.local_ids, last])

    # statements without documents ---------------------------------------------------------------

    def _small(self, batch: Batch, base: int, row: LoadRow, patients: Int32s) -> None:
        for item in batch.relations:
            ids = int(patients[item.patient]), int(patients[item.other])
            if min(ids) >= 0:
                self.gathered.relations.append(
                    {
                        "record": base + item.record,
                        "patient_id": ids[0],
                        "other_id": ids[1],
                        "kind": item.kind,
                        "rank": item.rank,
                        "source": row.source,
                    }
                )
        for entry in batch.permissions:
            patient = int(patients[entry.patient])
            if patient >= 0:
                self.gathered.permissions.append(
                    {
                        "record": base + entry.record,
                        "patient_id": patient,
                        "scope": entry.scope,
                        "kind": entry.kind,
                        "from_date": entry.from_date,
                        "to_date": entry.to_date,
                        "given_by": entry.given_by,
                        "proof": entry.proof,
                    }
                )

    def _stay_events(
        self, batch: Batch, base: int, row: LoadRow, patients: Int32s, stays: Int32s, units: Int32s
    ) -> None:
        table = batch.stay_events
        if not table.num_rows:
            return
        of_patient = np.array([s.patient for s in batch.stays], dtype=np.int32)
        stay = _index(table["stay"])
        columns = _with_record(table, batch, base)
        columns["stay_id"] = stays[stay]
        columns["identity_id"] = patients[of_patient[stay]]
        columns["unit_id"] = _nullable(units, _index(table["unit"]))
        columns["parent_stay"] = _nullable(stays, _index(table["parent"]))
        columns["source"] = pa.repeat(row.source, table.num_rows)
        columns["load_id"] = np.full(table.num_rows, row.load_id, dtype=np.int32)
        kept = self._kept(columns, stay_ids=columns["stay_id"])
        self.gathered.stay_events.append(_table(columns, STAY_EVENT, ("record",)).filter(pa.array(kept)))

    def _movements(self, batch: Batch, base: int, row: LoadRow, patients: Int32s, stays: Int32s, units: Int32s) -> None:
        table = batch.movements
        if not table.num_rows:
            return
        of_patient = np.array([s.patient for s in batch.stays], dtype=np.int32)
        stay = _index(table["stay"])
        columns = _with_record(table, batch, base)
        columns["movement_id"] = self.keys.record_keys(f"{row.source}/movement", table["key"].to_pylist())
        columns["stay_id"] = stays[stay]
        columns["identity_id"] = patients[of_patient[stay]]
        columns["patient_id"] = columns["identity_id"]
        columns["unit_id"] = _nullable(units, _index(table["unit"]))
        columns["source"] = pa.repeat(row.source, table.num_rows)
        columns["load_id"] = np.full(table.num_rows, row.load_id, dtype=np.int32)
        kept = self._kept(columns, stay_ids=columns["stay_id"])
        self.gathered.movements.append(_table(columns, MOVEMENT, ("record",)).filter(pa.array(kept)))

    def _kept(self, columns: dict[str, object], stay_ids: object) -> npt.NDArray[np.bool_]:
        refused = self.tally.quarantined(np.asarray(columns["record"]))
        return np.asarray((np.asarray(stay_ids) >= 0) & ~refused)

    # documents and facts ------------------------------------------------------------------------

    def _documents(self, batch: Batch, base: int, row: LoadRow, patients: Int32s, stays: Int32s, units: Int32s) -> None:
        table = batch.documents
        if not table.num_rows:
            return
        columns = _with_record(table, batch, base)
        columns["identity_id"] = patients[_index(table["patient"])]
        columns["stay_id"] = _nullable(stays, _index(table["stay"]))
        columns["unit_id"] = _nullable(units, _index(table["unit"]))
        columns["record_key"] = self._record_keys(table, batch.part, row.source)
        columns["whole"] = table["whole"].is_valid()
        columns["source"] = pa.DictionaryArray.from_arrays(np.zeros(table.num_rows, np.int32), [row.source])
        columns["load_id"] = np.full(table.num_rows, row.load_id, dtype=np.int32)
        columns["file_no"] = np.full(table.num_rows, row.file_no, dtype=np.int32)
        for resolved in ("key", "key_int", "patient", "stay", "unit"):
            del columns[resolved]
        refused = self.tally.quarantined(np.asarray(columns["record"]))
        kept = (np.asarray(columns["identity_id"]) >= 0) & ~refused
        place = np.where(kept, np.cumsum(kept) - 1 + self.gathered.document_rows, -1)
        self.gathered.documents.append(coded(_where(_plain(columns), kept), but=("text",)))
        self.gathered.document_rows += int(kept.sum())
        self._facts(batch, place)

    def _record_keys(self, table: pa.Table, part: str, source: str) -> Int64s:
        """Keyed hashes of business ids, salted by source and part."""
        if table["key_int"].null_count == 0:
            return self.keys.record_key_ints(f"{source}/{part}", table["key_int"].to_numpy())
        keys = self.keys.record_keys(source, table["key"].to_pylist())
        if table["whole"].null_count == table.num_rows:
            return keys
        wholes = self.keys.record_keys(f"{source}/whole", [whole or "" for whole in table["whole"].to_pylist()])
        return np.where(table["whole"].is_valid().to_numpy(), part_keys(keys, wholes), keys)

    def _facts(self, batch: Batch, place: Int64s) -> None:
        concept, local = self._codes(batch)
        facts = coded(_point(batch.facts, place))
        if facts.num_rows:
            code = _index(facts["code"])
            facts = facts.append_column("concept_id", pa.array(concept[code]))
            facts = facts.append_column("local_concept_id", _nullable(local, code))
            facts = facts.append_column("value_concept", _nullable(concept, _index(facts["value_code"])))
            self.gathered.facts.append(facts.drop_columns(["code", "value_code"]))
            self.gathered.fact_rows += facts.num_rows
        attributes = _point(batch.attributes, place)
        if attributes.num_rows:
            attribute = pa.array(concept[_index(attributes["attribute"])])
            value = _nullable(concept, _index(attributes["value_code"]))
            attributes = attributes.append_column("attribute_id", attribute).append_column("value_concept", value)
            self.gathered.attributes.append(attributes.drop_columns(["attribute", "value_code"]))
        media = _point(batch.media, place)
        if media.num_rows:
            self.gathered.media.append(media)
        variants = _point(batch.variants, place)
        if variants.num_rows:
            self.gathered.variants.append(coded(variants))
            self.gathered.fact_rows += variants.num_rows


def _statement(batch: Batch, item: IdentityStatement, event_time: int, content: int) -> Statement:
    return Statement((batch.patients[item.patient], *item.aliases), item.person, item.ins, event_time, content)


def _bare(batch: Batch, patient: int, event_time: int, content: int) -> Statement:
    return Statement((batch.patients[patient],), event_time=event_time, content=content)


def _needs(batch: Batch) -> list[tuple[int, int]]:
    """(record, patient) pairs: every patient that each record needs to know."""
    pairs = list(batch.needs)
    pairs += [(item.record, item.patient) for item in batch.identities if not item.introduces]
    pairs += [(record, batch.stays[stay].patient) for record, stay in batch.ties]
    pairs += [(item.record, p) for item in batch.relations for p in (item.patient, item.other)]
    pairs += [(item.record, item.patient) for item in batch.permissions]
    if batch.documents.num_rows:
        pairs += _distinct(batch.documents["record"], _index(batch.documents["patient"]))
    if batch.stays:
        of_patient = np.array([s.patient for s in batch.stays], dtype=np.int32)
        for table in (batch.stay_events, batch.movements):
            if table.num_rows:
                pairs += _distinct(table["record"], of_patient[_index(table["stay"])])
    return pairs


def _distinct(record: pa.ChunkedArray, patient: Int32s) -> list[tuple[int, int]]:
    both = np.stack([record.to_numpy(), patient], axis=1)
    return [(int(r), int(p)) for r, p in np.unique(both, axis=0)]


def _refuse_table(tally: Tally, batch: Batch, base: int) -> None:
    """Refusals that a columnar reader gives as a table."""
    refused = getattr(batch, "refused", None)
    if refused is None or not refused.num_rows:
        return
    columns = (refused[name].to_pylist() for name in ("record", "field", "code", "reason"))
    for record, name, code, reason in zip(*columns, strict=True):
        tally.quarantine(base + record, Reason(name, code, reason))


def _with_record(table: pa.Table, batch: Batch, base: int) -> dict[str, object]:
    """The table's columns, with record numbers of the tally and the record's own facts beside."""
    record = _index(table["record"])
    columns: dict[str, object] = {name: table[name] for name in table.column_names}
    columns["record"] = record.astype(np.int64) + base
    columns["event_time"] = batch.records["event_time"].to_numpy()[record]
    columns["content"] = batch.records["content"].to_numpy()[record]
    columns["record_no"] = batch.records["record_no"].to_numpy()[record]
    return columns


def _index(column: pa.ChunkedArray) -> Int32s:
    """Indices as numpy, -1 for null."""
    return np.asarray(pc.fill_null(column, -1).to_numpy(), dtype=np.int32)


def _nullable(ids: Int32s, index: Int32s) -> pa.Array:
    """ids[index], null where either says -1. `ids` ends with a -1 of its own."""
    taken = ids[index]
    return pa.array(taken, pa.int32(), mask=taken < 0)


def _point(table: pa.Table, place: Int64s) -> pa.Table:
    """Rows of kept documents, `document` pointing at the gathered document row."""
    if not table.num_rows:
        return table
    target = place[_index(table["document"])]
    at = table.schema.get_field_index("document")
    return _where(table.set_column(at, "document", pa.array(target)), target >= 0)


def _where(table: pa.Table, kept: npt.NDArray[np.bool_]) -> pa.Table:
    """The rows that are kept, without a copy when that is all of them."""
    return table if kept.all() else table.filter(pa.array(kept))


def _table(columns: dict[str, object], schema: pa.Schema, extra: tuple[str, ...]) -> pa.Table:
    fields = [*(schema.field(n) for n in schema.names), *(pa.field(n, pa.int64()) for n in extra)]
    arrays = [_array(columns[f.name], f.type) for f in fields]
    return pa.table(arrays, schema=pa.schema([f.with_nullable(True) for f in fields]))


def _plain(columns: dict[str, object]) -> pa.Table:
    return pa.table({name: _array(value, None) for name, value in columns.items()})


def _array(value: object, kind: pa.DataType | None) -> pa.Array | pa.ChunkedArray:
    if isinstance(value, np.ndarray):
        return pa.array(value, kind)
    return value.cast(kind) if kind is not None and value.type != kind else value  # type: ignore[attr-defined]
