"""One commit: settled documents, their masked texts, stays and patients become a snapshot.

The vault is durable before the warehouse: a crash in between leaves numbers that nothing uses yet,
and the rerun finds the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from estran.identity import vault as vaults
from estran.identity.deid import DEID_VERSION, deidentifier
from estran.model.codes import HIDDEN_STATUS
from estran.model.tables import (
    DOCUMENT,
    FACT,
    FACT_ATTRIBUTE,
    MEDIA,
    MOVEMENT,
    PATIENT,
    PERMISSION,
    RELATION,
    STAY_EVENT,
    TEXT,
    VARIANT,
)
from estran.sources.pipeline.columns import fetch, put
from estran.sources.pipeline.mask import NO_BIRTH, Masker, coarsen_instants, month_start
from estran.sources.pipeline.originals import Originals
from estran.sources.pipeline.resolve import Gathered
from estran.sources.pipeline.settle import TimesSaid, new_statements, settle_documents, settle_rows
from estran.sources.pipeline.shield import (
    coarsen_document,
    coarsen_statement,
    keep_statements,
    mask_document,
    mask_facts,
    mask_hanging,
    times_said,
)
from estran.sources.pipeline.stored import stored
from estran.sources.pipeline.tally import Tally
from estran.sources.pipeline.wholes import Parting, part
from estran.warehouse import Changes, Snapshot, Writer, bitmap, fold_stays, members, taken, time_order

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


@dataclass
class People:
    """What the vault says of the patients of one commit, asked once."""

    vault: vaults.Vault

    def __post_init__(self) -> None:
        self._figures: dict[int, frozenset[float]] = {}

    def patients(self, identities: Int32s) -> Int32s:
        return np.asarray(self.vault.patient_of(identities), dtype=np.int32)

    def births(self, patients: Int32s) -> Int32s:
        """Birth date of each patient in days, NO_BIRTH when unknown."""
        if not len(patients):
            return np.zeros(0, dtype=np.int32)
        distinct = np.flatnonzero(np.bincount(patients))  # ids are dense: faster than sorting them
        found = np.full(int(distinct[-1]) + 1, NO_BIRTH, dtype=np.int32)
        found[distinct] = self.vault.birth_dates(distinct)
        return found[patients]

    def canonical(self, stays: pa.ChunkedArray | pa.Array, patients: Int32s) -> pa.Array:
        """Stay ids with the stays that a merge made one brought together."""
        mapping = self.vault.canonical_stays(np.unique(patients))
        if not mapping:
            return stays
        values = [None if s is None else mapping.get(s, s) for s in stays.to_pylist()]
        return pa.array(values, pa.int32())

    def masker(self) -> Masker:
        return Masker(lambda p: deidentifier(self.vault.known([p])[p]), self.vault.stay_numbers)

    def rows(self, patients: Int32s) -> pa.Table:
        """PATIENT rows; who died on the day of birth died in that month, no more is told."""
        rows = self.vault.patient_rows(patients).cast(PATIENT)
        died = pc.fill_null(rows["death_date"].cast(pa.int32()), -1).to_numpy()
        at_birth = (died == self.births(patients)) & rows["death_date"].is_valid().to_numpy()
        if at_birth.any():
            days = np.where(at_birth, month_start(died), died)
            column = pa.array(days, pa.int32(), mask=~rows["death_date"].is_valid().to_numpy()).cast(pa.date32())
            rows = put(rows, "death_date", column)
            said = np.where(at_birth, "month", rows["death_certainty"].to_numpy())
            rows = put(rows, "death_certainty", pa.array(said, pa.string()))
        return rows.cast(PATIENT)

    def figures(self, patient: int, stay: int | None) -> frozenset[float]:
        """Numbers, phones and birth dates of a patient as a number field may hold them."""
        if patient not in self._figures:
            known = self.vault.known([patient])[patient]
            written = [*known.numbers, *known.phones]
            written += [day.strftime(form) for day in known.birth_dates for form in ("%Y%m%d", "%d%m%Y")]
            self._figures[patient] = frozenset(_numeric(written))
        own = self._figures[patient]
        return own | frozenset(_numeric(self.vault.stay_numbers([stay]).values())) if stay is not None else own


@dataclass
class Committer:
    """Turns what was gathered into the changes of one snapshot."""

    writer: Writer
    vault: vaults.Vault
    gathered: Gathered
    tally: Tally

    def __post_init__(self) -> None:
        self.snapshot: Snapshot = self.writer.snapshot
        self.people = People(self.vault)
        self.changes = Changes()
        self.connection = stored(self.snapshot)
        self.zone = self.snapshot.settings.zone

    def prepare(self) -> Changes:
        """All changes but the tally's own rows; the tally knows each record's outcome afterwards."""
        self._dictionaries()
        self._patients()
        self._stay_events()
        self._part()
        self._movements()
        self._small_tables()
        self._documents()
        return self.changes

    # people ---------------------------------------------------------------------------------------

    def _dictionaries(self) -> None:
        for table, parts in self.gathered.concept_rows.items():
            rows = pa.concat_tables(parts)
            if table == "concept":  # a label found in a later batch makes a row anew: the last one says it all
                self.changes.upsert[table] = rows.take(pa.array(_last_of_each(rows["concept_id"].to_numpy())))
            else:
                self.changes.append[table] = rows

    def _patients(self) -> None:
        """Patient rows that differ from the snapshot's, and rows of identities merged away."""
        touched = np.array(sorted(self.gathered.identities), dtype=np.int32)
        if not len(touched):
            return
        patients = self.people.patients(touched)
        rows = self.people.rows(np.unique(patients))
        self.connection.register("touched", rows)
        changed = fetch(self.connection, "select * from touched except select * exclude (bucket) from raw_patient")
        self.connection.unregister("touched")
        if changed.num_rows:
            self.changes.upsert["patient"] = changed.cast(PATIENT)
        gone = touched[patients != touched]
        if len(gone):
            self.changes.remove["patient"] = pa.table({"patient_id": gone})

    # stays ----------------------------------------------------------------------------------------

    def _stay_events(self) -> None:
        if not self.gathered.stay_events:
            return
        events = pa.concat_tables(self.gathered.stay_events)
        new = new_statements(events, self.connection, "raw_stay_event", self._said("kept"))
        self.tally.load(events["record"].to_numpy()[new])
        events = events.filter(pa.array(new))
        if not events.num_rows:
            return
        identities = events["identity_id"].to_numpy()
        patients = self.people.patients(identities)
        events = self._coarsen_stays(events, self.people.births(patients))
        events = events.select(STAY_EVENT.names)
        stays = fold_all(self.connection, events, self.people)
        self.changes.append["stay_event"] = events.append_column("patient_id", pa.array(patients))
        self.changes.upsert["stay"] = stays

    def _coarsen_stays(self, events: pa.Table, births: Int32s) -> pa.Table:
        coarse, hit = coarsen_statement(events, births, self.zone)
        keep_statements(self.vault, events, hit, lambda row: row["content"] ^ row["stay_id"])
        return coarse

    def _movements(self) -> None:
        gone = self._gone_movements()
        kept = self._settle_movements(gone) if self.gathered.movements else gone[:0]
        stale = np.setdiff1d(gone, kept)
        if len(stale):
            self.changes.remove["movement"] = pa.table({"movement_id": stale})

    def _settle_movements(self, gone: Int64s) -> Int64s:
        """The movements that are new or newer are put; returns their ids."""
        rows = pa.concat_tables(self.gathered.movements)
        rows = rows.filter(pa.array(~np.isin(rows["record"].to_numpy(), self._lost_records())))
        patients = self.people.patients(rows["identity_id"].to_numpy())
        coarse, hit = coarsen_statement(rows, self.people.births(patients), self.zone)
        wins = settle_rows(rows, "movement_id", self.connection, "raw_movement", self._said("movement_id"), gone)
        self.tally.load(rows["record"].to_numpy()[wins])
        if not wins.any():
            return gone[:0]
        keep_statements(self.vault, rows, hit & wins, lambda row: row["movement_id"])
        rows, patients = coarse.filter(pa.array(wins)), patients[wins]
        rows = put(rows, "patient_id", pa.array(patients))
        rows = put(rows, "stay_id", self.people.canonical(rows["stay_id"], patients))
        self.changes.upsert["movement"] = rows.select(MOVEMENT.names).cast(MOVEMENT)
        return np.asarray(rows["movement_id"].to_numpy(), dtype=np.int64)

    def _gone_movements(self) -> Int64s:
        """Movements of the documents that went with an earlier sending of their whole."""
        if self.parting is None or not self.parting.gone.num_rows:
            return np.zeros(0, dtype=np.int64)
        gone = self.parting.gone
        self.connection.register("gone", gone)
        found = fetch(self.connection, "select movement_id from raw_movement semi join gone using (identity_id, content)")
        self.connection.unregister("gone")
        return np.asarray(found["movement_id"].to_numpy(), dtype=np.int64)

    def _said(self, key: str) -> TimesSaid:
        return lambda stored: times_said(self.vault, stored, key, self.zone)

    def _small_tables(self) -> None:
        for name, schema, rows in (
            ("relation", RELATION, self.gathered.relations),
            ("permission", PERMISSION, self.gathered.permissions),
        ):
            if not rows:
                continue
            records = np.array([row["record"] for row in rows], dtype=np.int64)
            table = pa.Table.from_pylist([{k: v for k, v in r.items() if k != "record"} for r in rows], schema)
            for column in ("patient_id", "other_id"):
                if column in table.column_names:
                    table = put(table, column, pa.array(self.people.patients(table[column].to_numpy())))
            held = set(map(_row_key, fetch(self.connection, f"select * from raw_{name}").to_pylist()))
            fresh = []
            for place, row in enumerate(table.to_pylist()):
                if _row_key(row) not in held:
                    held.add(_row_key(row))
                    fresh.append(place)
            self.tally.load(records[fresh])
            if fresh:
                self.changes.append[name] = fresh_rows = table.take(pa.array(fresh))
                if name == "permission":  # those whom a merge ever tied to them share it: see Reissuer
                    given = fresh_rows["patient_id"].to_pylist()
                    self.vault.upkeep.mark({i for p in given if len(tied := self.vault.ever_tied(p)) > 1 for i in tied})

    # documents ------------------------------------------------------------------------------------

    def _part(self) -> None:
        """Find the latest sending of each whole that documents are part of."""
        self.parting: Parting | None = None
        if self.gathered.documents:
            self.documents = pa.concat_tables(self.gathered.documents, promote_options="default")
            self.parting = part(self.documents, self.connection, self._said("record_key"), empty=self._empty())

    def _empty(self) -> bool:
        return not self.snapshot.record.tables["document"].rows()

    def _lost_records(self) -> Int64s:
        """Records of documents that a later sending of their whole replaces."""
        if self.parting is None:
            return np.zeros(0, dtype=np.int64)
        return np.asarray(self.documents["record"].to_numpy()[self.parting.lost], dtype=np.int64)

    def _documents(self) -> None:
        if self.parting is None:
            return
        documents, lost, gone = self.documents, self.parting.lost, self.parting.gone
        patients = self.people.patients(documents["identity_id"].to_numpy())
        verdict = settle_documents(
            documents, self.connection, self._said("record_key"), lost, gone["document_id"].to_numpy(), empty=self._empty()
        )
        births, said = self.people.births(patients), documents["event_time"]
        documents, _ = coarsen_instants(documents, births, ("event_time",), self.zone)
        documents = put(documents, "said", said)
        self.tally.load(documents["record"].to_numpy()[verdict.wins])
        losers = pa.concat_tables([verdict.losers, gone.select(["document_id", "patient_id"])])
        if losers.num_rows:
            self.changes.retire = losers
        rows = np.flatnonzero(verdict.wins)
        if not len(rows):
            return
        self._note_rivals(taken(documents, rows), patients[rows])
        patients = patients[rows]
        dates = pc.fill_null(documents["start_date"].cast(pa.int32()), -(1 << 17)).to_numpy()[rows]
        minutes = pc.fill_null(documents["start_minute"], -1).to_numpy()[rows]
        order = time_order(patients, dates, minutes)  # that of the files
        rows, patients = rows[order], patients[order]
        first = self.writer.counter("document")
        self.changes.counters["document"] = first + len(rows)
        numbers = np.full(documents.num_rows, -1, dtype=np.int32)
        numbers[rows] = np.arange(first, first + len(rows), dtype=np.int32)
        Issuer(self, taken(documents, rows), rows, numbers, patients, births[rows]).issue()

    def _note_rivals(self, documents: pa.Table, patients: Int32s) -> None:
        """Versions of one document that came under several numbers of one patient: Reissuer chooses."""
        merged = np.isin(patients, list(self.vault.merged()))
        if not merged.any():
            return
        rows = taken(documents.select(["identity_id", "record_key"]), np.flatnonzero(merged))
        self.connection.register("newcomer", rows.append_column("patient_id", pa.array(patients[merged])))
        rivals = fetch(
            self.connection,
            """
            with every as (
                select patient_id, record_key, identity_id from newcomer
                union all select d.patient_id, d.record_key, d.identity_id
                from stored_document d semi join newcomer using (patient_id, record_key))
            select unnest(list(identity_id)) as identity_id from every
            group by patient_id, record_key having count(distinct identity_id) > 1
            """,
        )
        self.connection.unregister("newcomer")
        self.vault.upkeep.mark(set(rivals["identity_id"].to_pylist()))


@dataclass
class Issuer:
    """Issues the winning documents: ids, masked texts, coarse moments, facts."""

    committer: Committer
    documents: pa.Table  # winners, in id order
    rows: Int64s  # their gathered row numbers
    numbers: Int32s  # document_id of each gathered row, -1 if it lost
    patients: Int32s
    births: Int32s  # of the patients

    def issue(self) -> None:
        self.originals = Originals()
        self.masker = self.committer.people.masker()
        self.first = int(self.numbers[self.rows[0]])
        self._documents()
        self._facts()
        self._hanging()
        self._keep_originals()

    def _documents(self) -> None:
        table = self.documents
        ids = pa.array(self.numbers[self.rows])
        texts = table["text"]
        for row in np.flatnonzero(texts.is_valid().to_numpy()).tolist():
            self.originals.keep(row, "text", texts[row].as_py())
        table = coarsen_document(table, self.births, self.committer.zone, self.originals)
        for row in np.flatnonzero(pc.not_equal(table["said"], table["event_time"]).to_numpy()).tolist():
            self.originals.keep(row, "event_time", table["said"][row].as_py())
        table = mask_document(table, self.patients, self.masker, self.committer.gathered.labels, self.originals)
        table = put(table, "document_id", ids)
        table = put(table, "patient_id", pa.array(self.patients))
        table = put(table, "stay_id", self.committer.people.canonical(table["stay_id"], self.patients))
        self.stays = table["stay_id"]
        self.committer.changes.append["document"] = table.select(DOCUMENT.names)
        self._texts(texts, ids)

    def _texts(self, texts: pa.ChunkedArray, ids: pa.Array) -> None:
        live = ~np.isin(self.documents["status"].to_numpy(), list(map(int, HIDDEN_STATUS)))
        places = np.flatnonzero(texts.is_valid().to_numpy() & live)
        if not len(places):
            return
        chosen = pa.array(places)
        self.committer.changes.append["text"] = pa.table(
            {
                "document_id": ids.take(chosen),
                "patient_id": pa.array(self.patients[places]),
                "text": self.masker.texts(texts.take(chosen), self.patients[places], self.stays.take(chosen)),
                "deid_version": np.full(len(places), DEID_VERSION, dtype=np.int16),
            },
            schema=TEXT,
        )

    def _facts(self) -> None:
        gathered = self.committer.gathered
        if not gathered.facts:
            return
        facts = pa.concat_tables(gathered.facts, promote_options="default")
        facts, local, patients = self._of_winners(facts)
        births = self.births[local]
        stays = self.stays.take(pa.array(local))
        facts = put(facts, "stay_id", stays)
        facts = mask_facts(
            facts, local, patients, births, self.committer.people, self.masker, self.originals, self.committer.zone
        )
        facts = put(facts, "patient_id", pa.array(patients))
        self._count_unknown_stays(stays, local)
        self.committer.changes.append["fact"] = facts.select(FACT.names)

    def _hanging(self) -> None:
        gathered = self.committer.gathered
        for name, schema, column, parts in (
            ("fact_attribute", FACT_ATTRIBUTE, "value_text", gathered.attributes),
            ("media", MEDIA, "uri", gathered.media),
        ):
            if not parts:
                continue
            table, local, patients = self._of_winners(pa.concat_tables(parts, promote_options="default"))
            table = mask_hanging(table, column, local, patients, self.masker, self.originals)
            table = put(table, "patient_id", pa.array(patients))
            self.committer.changes.append[name] = table.select(schema.names).cast(schema)
        if gathered.variants:  # readers let nothing but the words of the format in: there is nothing to mask
            table, _, patients = self._of_winners(pa.concat_tables(gathered.variants, promote_options="default"))
            table = put(table, "patient_id", pa.array(patients))
            self.committer.changes.append["variant"] = table.select(VARIANT.names)

    def _of_winners(self, table: pa.Table) -> tuple[pa.Table, Int64s, Int32s]:
        """Rows of winning documents with document_id, their row in `documents`, their patient."""
        ids = self.numbers[table["document"].to_numpy()]
        kept = ids >= 0
        if not kept.all():
            table, ids = table.filter(pa.array(kept)), ids[kept]
        local = (ids - self.first).astype(np.int64)
        return put(table, "document_id", pa.array(ids)), local, self.patients[local]

    def _count_unknown_stays(self, stays: pa.ChunkedArray, local: Int64s) -> None:
        """Facts whose stay nobody has introduced count, per load row, as facts with no stay."""
        named = stays.is_valid().to_numpy()
        if not named.any():
            return
        known = self.committer.snapshot.known_stays()
        folded = self.committer.changes.upsert.get("stay")
        introduced = members(known | bitmap(folded["stay_id"].to_numpy())) if folded is not None else members(known)
        values = pc.fill_null(stays, -1).to_numpy()
        missing = named & ~np.isin(values, introduced)
        if missing.any():
            places = self.documents["record"].to_numpy()[local[missing]]
            self.committer.tally.count_unknown_stays(places)

    def _keep_originals(self) -> None:
        identities = self.documents["identity_id"].to_numpy()
        keys = self.documents["record_key"].to_numpy()
        contents = self.documents["content"].to_numpy()
        self.committer.vault.keep_originals(
            [(int(identities[row]), int(keys[row]), blob) for row, blob in self.originals.blobs(contents).items()]
        )


def fold_all(connection: duckdb.DuckDBPyConnection, events: pa.Table, people: People) -> pa.Table:
    """STAY rows of every stay that `events` speak of, folded with the statements already stored."""
    patients = people.patients(events["identity_id"].to_numpy())
    mapping = people.vault.canonical_stays(np.unique(patients))
    affected = np.unique(events["stay_id"].to_numpy())
    aliases = {s for s, c in mapping.items()} | set(mapping.values())
    wanted = pa.table({"stay_id": np.union1d(affected, np.array(sorted(aliases), dtype=np.int32)).astype(np.int32)})
    connection.register("wanted", wanted)
    stored = fetch(connection, "select e.* from raw_stay_event e semi join wanted using (stay_id)")
    connection.unregister("wanted")
    return fold_stays_of(pa.concat_tables([events, stored.select(events.column_names).cast(events.schema)]), people)


def fold_stays_of(both: pa.Table, people: People) -> pa.Table:
    """STAY rows of a set of statements that is complete for the stays it speaks of."""
    identities = both["identity_id"].to_numpy()
    both = put(both, "stay_id", people.canonical(both["stay_id"], people.patients(identities)))
    distinct = np.unique(identities)
    owners = pa.table({"identity_id": distinct, "patient_id": people.patients(distinct)})
    return fold_stays(both, owners)


def _numeric(written: Iterable[str]) -> Iterator[float]:
    """What digits become in a number field: separators and leading zeros are lost."""
    for text in written:
        digits = "".join(c for c in text if c.isdigit())
        if len(digits) >= 6 and not any(c.isalpha() for c in text):
            yield float(digits)


def _row_key(row: dict[str, object]) -> tuple[object, ...]:
    return tuple(row.values())


def _last_of_each(values: Int32s) -> Int64s:
    """Places of the last occurrence of each value."""
    _, places = np.unique(values[::-1], return_index=True)
    return np.sort(len(values) - 1 - places)
