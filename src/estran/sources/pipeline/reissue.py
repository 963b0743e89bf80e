"""Issuing a patient's documents anew, when what is known of the identity changed.

A name learnt later is masked in texts that came earlier; a corrected birth date gives moments back
and hides others; a merge or split moves documents, stays and movements to their patient. What to
do is noted in the vault in the same transaction as the change, so a crash in between loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from estran.identity import vault as vaults
from estran.identity.deid import DEID_VERSION
from estran.model.codes import DocumentStatus
from estran.model.tables import DOCUMENT, FACT, FACT_ATTRIBUTE, MEDIA, MOVEMENT, PERMISSION, STAY_EVENT, TEXT, VARIANT
from estran.sources.pipeline.columns import fetch, put
from estran.sources.pipeline.commit import People, fold_stays_of
from estran.sources.pipeline.mask import coarsen_instants
from estran.sources.pipeline.originals import Originals
from estran.sources.pipeline.settle import latest
from estran.sources.pipeline.shield import (
    as_date,
    coarsen_document,
    coarsen_statement,
    keep_statements,
    mask_document,
    mask_facts,
    mask_hanging,
    restore_hanging,
    restore_statements,
)
from estran.sources.pipeline.stored import stored
from estran.warehouse import Changes, Writer

Int32s = npt.NDArray[np.int32]
_MOMENTS = ("start_date", "start_minute", "end_date", "end_minute", "precision")
_PLACES = frozenset(("patient_id", "stay_id", "status"))
_OF_FACT = {"words": "value_text", "known": "known_at", "values": "value"}  # kind of original → column


class Reissuer:
    """Brings the stored rows of pending patients up to date with the vault."""

    def __init__(self, writer: Writer, vault: vaults.Vault) -> None:
        self._writer, self._vault = writer, vault
        self._people = People(vault)
        self._changes = Changes()
        self._zone = writer.snapshot.settings.zone
        self._exposed = False  # whether rows to be replaced say more than they may

    def run(self) -> int:
        """Commit one snapshot if anything differs; returns how many documents were issued anew."""
        pending = self._vault.upkeep.pending()
        if not len(pending):
            return 0
        identities = self._family(pending)
        self._connection = stored(self._writer.snapshot)
        self._connection.register("family", pa.table({"identity_id": identities}))
        with self._vault.transaction():
            self._patients(identities)
            self._stays()
            self._movements()
            self._ties(identities)
            count = self._documents()
        self._connection.unregister("family")
        if any((self._changes.append, self._changes.upsert, self._changes.remove)) or count:
            self._writer.commit(self._changes, "mask" if self._exposed else "load")
        self._writer.afterwards(lambda: self._vault.upkeep.settle(pending))
        return count

    def _family(self, pending: Int32s) -> Int32s:
        """The pending identities and all that share a patient with them."""
        members = {int(i) for i in pending}
        for patient in np.unique(self._people.patients(pending)).tolist():
            members.update(self._vault.identities_of(patient))
        return np.array(sorted(members), dtype=np.int32)

    def _patients(self, identities: Int32s) -> None:
        patients = self._people.patients(identities)
        rows = self._people.rows(np.unique(patients))
        self._changes.upsert["patient"] = rows
        gone = identities[patients != identities]
        if len(gone):
            self._changes.remove["patient"] = pa.table({"patient_id": gone})

    # stays and movements --------------------------------------------------------------------------

    def _stays(self) -> None:
        """Statements with their own moments back, coarse where they must be, folded again."""
        events = fetch(self._connection, "select e.* from raw_stay_event e semi join family using (identity_id)")
        if not events.num_rows:
            return
        events = events.select(STAY_EVENT.names).cast(STAY_EVENT)
        identities = events["identity_id"].to_numpy()
        patients = self._people.patients(identities)
        restored = restore_statements(self._vault, events, _stay_key)
        coarse, hit = coarsen_statement(restored, self._people.births(patients), self._zone)
        keep_statements(self._vault, restored, hit, _stay_key)
        self._exposed |= not coarse.equals(events)
        keys = coarse.select(["stay_id", "content"])
        self._changes.remove["stay_event"] = keys
        self._changes.append["stay_event"] = coarse.append_column("patient_id", pa.array(patients))
        folded = fold_stays_of(coarse, self._people)
        self._changes.upsert["stay"] = folded
        stale = np.setdiff1d(events["stay_id"].to_numpy(), folded["stay_id"].to_numpy())
        if len(stale):
            self._changes.remove["stay"] = pa.table({"stay_id": stale.astype(np.int32)})

    def _movements(self) -> None:
        rows = fetch(self._connection, "select m.* from raw_movement m semi join family using (identity_id)")
        if not rows.num_rows:
            return
        identities = rows["identity_id"].to_numpy()
        patients = self._people.patients(identities)
        before = rows.select(MOVEMENT.names)
        rows = restore_statements(self._vault, before, _movement_key)
        coarse, hit = coarsen_statement(rows, self._people.births(patients), self._zone)
        self._exposed |= not coarse.equals(before)
        keep_statements(self._vault, rows, hit, _movement_key)
        rows = put(coarse, "patient_id", pa.array(patients))
        rows = put(rows, "stay_id", self._people.canonical(self._own_stays(rows, identities), patients))
        self._changes.upsert["movement"] = rows.select(MOVEMENT.names).cast(MOVEMENT)

    def _own_stays(self, rows: pa.Table, identities: Int32s) -> pa.Array:
        """Stay ids as each row's own identity knows them: undoes what an earlier merge united."""
        stays = pc.fill_null(rows["stay_id"], -1).to_numpy()
        own = self._vault.own_stays(list(zip(stays.tolist(), identities.tolist(), strict=True)))
        return pa.array(own, pa.int32(), mask=np.asarray(stays) < 0)

    def _ties(self, identities: Int32s) -> None:
        """Relations, and erasures asked for, follow merges. Permissions are shared by all who ever were
        one patient: a merge hides all of it, and after a split every part keeps them, for nobody can
        tell which one the person meant."""
        permissions = fetch(self._connection, "select * from raw_permission")
        for name, table in (("relation", fetch(self._connection, "select * from raw_relation")),
                            ("permission", permissions.filter(pc.equal(permissions["kind"], "erasure")))):  # fmt: skip
            moved = table
            for column in {"patient_id", "other_id"} & set(table.column_names):
                moved = put(moved, column, pa.array(self._people.patients(moved[column].to_numpy())))
            if not moved.equals(table):
                self._changes.remove[name] = table
                self._changes.append[name] = moved.cast(table.schema)
        self._share({int(i) for i in identities}, permissions)

    def _share(self, identities: set[int], permissions: pa.Table) -> None:
        """Copy each permission to those tied to its patient who do not have it, or had it and ended it."""
        rows = [row for row in permissions.select(PERMISSION.names).to_pylist() if row["kind"] != "erasure"]
        held = {_permission_key(row) for row in rows}
        copies = []
        for row in rows:
            tied = self._vault.ever_tied(row["patient_id"])
            for other in tied if identities.intersection(tied) else ():
                copy = row | {"patient_id": other}
                if _permission_key(copy) not in held:
                    held.add(_permission_key(copy))
                    copies.append(copy)
        if copies:
            added = pa.Table.from_pylist(copies, PERMISSION)
            moved = self._changes.append.get("permission")
            self._changes.append["permission"] = pa.concat_tables([moved, added]) if moved is not None else added

    # documents ------------------------------------------------------------------------------------

    def _documents(self) -> int:
        stored = fetch(
            self._connection,
            "select d.* from stored_document d semi join family using (identity_id) order by document_id",
        )
        if not stored.num_rows:
            return 0
        stored = stored.select(DOCUMENT.names).cast(DOCUMENT)
        before = Content.read(self._connection, stored)
        after, originals = Renewal(self._people, self._vault, self._own_stays, self._labels(), self._zone).renew(before)
        changed = before.differs(after)
        if not changed.any():
            return 0
        self._exposed |= bool(before.differs(after, but=_PLACES).any())
        self._issue(before, after, changed, originals)
        return int(changed.sum())

    def _labels(self) -> frozenset[str]:
        rows = fetch(self._connection, "select label_fr, label_en from raw_concept")
        return frozenset(rows["label_fr"].to_pylist() + rows["label_en"].to_pylist()) - {None}

    def _issue(self, before: Content, after: Content, changed: npt.NDArray[np.bool_], originals: Originals) -> None:
        first = self._writer.counter("document")
        places = np.flatnonzero(changed)
        old = before.documents["document_id"].to_numpy()[places]
        new = np.arange(first, first + len(places), dtype=np.int32)
        self._changes.counters["document"] = first + len(places)
        self._changes.retire = before.documents.select(["document_id", "patient_id"]).take(pa.array(places))
        for name, table in after.tables().items():
            kept = after.renumber(table, old, new)
            if kept.num_rows:
                self._changes.append[name] = kept
        identities = after.documents["identity_id"].to_numpy()
        keys = after.documents["record_key"].to_numpy()
        blobs = originals.blobs(after.documents["content"].to_numpy())
        self._vault.keep_originals(
            [(int(identities[p]), int(keys[p]), blobs[p]) for p in places.tolist() if p in blobs]
        )


@dataclass(frozen=True)
class Content:
    """Documents with all that hangs off them, in document_id order."""

    documents: pa.Table
    texts: pa.Table
    facts: pa.Table
    attributes: pa.Table
    media: pa.Table
    variants: pa.Table

    @classmethod
    def read(cls, connection: Any, documents: pa.Table) -> Content:
        connection.register("wanted", documents.select(["document_id"]))
        parts = []
        for name, schema, order in (
            ("text", TEXT, ""),
            ("fact", FACT, ", fact_no"),
            ("fact_attribute", FACT_ATTRIBUTE, ", fact_no, attribute_id"),
            ("media", MEDIA, ", uri"),
            ("variant", VARIANT, ", chrom, pos, ref, alt"),
        ):
            sql = f"select t.* from raw_{name} t semi join wanted using (document_id) order by document_id{order}"
            parts.append(fetch(connection, sql).select(schema.names).cast(schema))
        connection.unregister("wanted")
        return cls(documents, *parts)

    def tables(self) -> dict[str, pa.Table]:
        return {
            "document": self.documents,
            "text": self.texts,
            "fact": self.facts,
            "fact_attribute": self.attributes,
            "media": self.media,
            "variant": self.variants,
        }

    def row_of(self, table: pa.Table) -> npt.NDArray[np.int64]:
        """Row in `documents` of each row of `table`."""
        ids = self.documents["document_id"].to_numpy()
        rows: npt.NDArray[np.int64] = np.searchsorted(ids, table["document_id"].to_numpy())
        return rows

    def differs(self, other: Content, but: frozenset[str] = frozenset()) -> npt.NDArray[np.bool_]:
        """Which documents have a row of any table that is not the same in `other`, columns of `but` aside."""
        changed = np.zeros(self.documents.num_rows, dtype=bool)
        for name, mine in self.tables().items():
            theirs = other.tables()[name]
            rows = self.row_of(mine)
            for column in mine.column_names:
                if column == "deid_version" or column in but:
                    continue
                a, b = mine[column], theirs[column]
                same = pc.or_kleene(pc.equal(a, b), pc.and_(pc.is_null(a), pc.is_null(b)))
                changed[rows[~pc.fill_null(same, False).to_numpy()]] = True
        return changed

    def renumber(self, table: pa.Table, old: Int32s, new: Int32s) -> pa.Table:
        """Rows of the documents `old`, under the ids `new`."""
        ids = table["document_id"].to_numpy()
        place = np.clip(np.searchsorted(old, ids), 0, len(old) - 1)
        kept = old[place] == ids
        chosen = table.filter(pa.array(kept))
        return put(chosen, "document_id", pa.array(new[place[kept]])).cast(table.schema)


@dataclass
class Renewal:
    """Computes documents as they should be from what is stored and the originals in the vault."""

    people: People
    vault: vaults.Vault
    own_stays: Any
    labels: frozenset[str]  # of the site's codes
    zone: str

    def renew(self, content: Content) -> tuple[Content, Originals]:
        documents = content.documents
        identities = documents["identity_id"].to_numpy()
        keys = documents["record_key"].to_numpy()
        contents = documents["content"].to_numpy()
        kept = [self._original(int(i), int(k), int(c)) for i, k, c in zip(identities, keys, contents, strict=True)]
        self.originals = Originals({row: dict(blob) for row, blob in enumerate(kept) if blob})
        self.kept = kept
        self.patients = self.people.patients(identities)
        self.births = self.people.births(self.patients)
        self.masker = self.people.masker()
        documents = self._documents(documents, identities)
        facts = self._facts(content, documents)
        return Content(
            documents,
            self._texts(content, documents),
            facts,
            self._hanging(content, content.attributes, "value_text"),
            self._hanging(content, content.media, "uri"),
            self._variants(content),
        ), self.originals

    def _original(self, identity: int, key: int, content: int) -> dict[str, Any]:
        """What was altered in this very version; an older one may have left its own."""
        blob = self.vault.original(identity, key)
        kept = orjson.loads(blob) if blob else {}
        return kept if kept.get("content") == content else {}

    def _documents(self, table: pa.Table, identities: Int32s) -> pa.Table:
        names = ("title", "author_role", "known_at", "event_time", "start_date", "start_minute", "precision", "status")
        rows = table.select(names).to_pylist()
        for row, kept in zip(rows, self.kept, strict=True):
            row |= {name: kept[name] for name in names if name in kept}
            if "start" in kept:
                day, row["start_minute"], row["precision"] = kept["start"]
                row["start_date"] = as_date(day)
        fresh = pa.Table.from_pylist(rows, pa.schema([table.schema.field(n) for n in names]))
        for name in names:
            table = put(table, name, fresh[name])
        table = self._supersede(table)
        coarse = coarsen_document(table, self.births, self.zone, self.originals)
        coarse, hit = coarsen_instants(coarse, self.births, ("event_time",), self.zone)
        for row_no in np.flatnonzero(hit).tolist():
            self.originals.keep(row_no, "event_time", table["event_time"][row_no].as_py())
        coarse = mask_document(coarse, self.patients, self.masker, self.labels, self.originals)
        coarse = put(coarse, "patient_id", pa.array(self.patients))
        stays = self.people.canonical(self.own_stays(coarse, identities), self.patients)
        return put(coarse, "stay_id", stays).cast(DOCUMENT)

    def _supersede(self, table: pa.Table) -> pa.Table:
        """Of the versions of a document that came under several numbers of one patient the latest stays."""
        said = [table[name].to_numpy() for name in ("event_time", "content")]
        wins = latest([self.patients.astype(np.int64), table["record_key"].to_numpy()], said[0], said[1])
        statuses = table["status"].to_numpy().copy()
        for row in np.flatnonzero(~wins).tolist():
            self.originals.keep(row, "status", int(statuses[row]))
            statuses[row] = DocumentStatus.SUPERSEDED
        return put(table, "status", pa.array(statuses, table.schema.field("status").type))

    def _texts(self, content: Content, documents: pa.Table) -> pa.Table:
        table = content.texts
        if not table.num_rows:
            return table
        rows = content.row_of(table)
        texts = [self.kept[r].get("text", t) for r, t in zip(rows.tolist(), table["text"].to_pylist(), strict=True)]
        stays = documents["stay_id"].take(pa.array(rows))
        masked = self.masker.texts(pa.array(texts, pa.string()), self.patients[rows], stays)
        table = put(table, "text", masked)
        table = put(table, "deid_version", pa.array(np.full(table.num_rows, DEID_VERSION, dtype=np.int16)))
        return put(table, "patient_id", pa.array(self.patients[rows])).cast(TEXT)

    def _facts(self, content: Content, documents: pa.Table) -> pa.Table:
        table = content.facts
        if not table.num_rows:
            return table
        local = content.row_of(table)
        table = put(self._restore_facts(table, local), "stay_id", documents["stay_id"].take(pa.array(local)))
        patients, births = self.patients[local], self.births[local]
        table = mask_facts(table, local, patients, births, self.people, self.masker, self.originals, self.zone)
        return put(table, "patient_id", pa.array(patients)).cast(FACT)

    def _restore_facts(self, table: pa.Table, local: npt.NDArray[np.int64]) -> pa.Table:
        altered = np.array([any(kind in k for kind in ("moments", *_OF_FACT)) for k in self.kept], dtype=bool)
        places = np.flatnonzero(altered[local])
        if not len(places):
            return table
        names = (*_MOMENTS, *_OF_FACT.values())
        columns = {n: table[n].to_pylist() for n in names}
        numbers = table["fact_no"].to_pylist()
        for place in places.tolist():
            kept, number = self.kept[int(local[place])], str(numbers[place])
            if number in kept.get("moments", {}):
                values = kept["moments"][number]
                for name, value in zip(_MOMENTS, values, strict=True):
                    columns[name][place] = as_date(value) if name.endswith("_date") else value
            for kind, name in _OF_FACT.items():
                columns[name][place] = kept.get(kind, {}).get(number, columns[name][place])
        for name in names:
            table = put(table, name, pa.array(columns[name], table.schema.field(name).type))
        return table

    def _variants(self, content: Content) -> pa.Table:
        patients = self.patients[content.row_of(content.variants)]
        return put(content.variants, "patient_id", pa.array(patients, pa.int32())).cast(VARIANT)

    def _hanging(self, content: Content, table: pa.Table, name: str) -> pa.Table:
        if not table.num_rows:
            return table
        local = content.row_of(table)
        patients = self.patients[local]
        table = restore_hanging(table, name, local, self.kept)
        table = mask_hanging(table, name, local, patients, self.masker, self.originals)
        return put(table, "patient_id", pa.array(patients)).cast(table.schema)


def _permission_key(row: dict[str, Any]) -> tuple[Any, ...]:
    """What makes two permissions the same, but for their end."""
    return tuple(value for name, value in row.items() if name != "to_date")


def _stay_key(row: dict[str, Any]) -> int:
    key: int = row["content"] ^ row["stay_id"]
    return key


def _movement_key(row: dict[str, Any]) -> int:
    key: int = row["movement_id"]
    return key
