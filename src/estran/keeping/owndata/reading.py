"""Reading a file that a project brings: subjects first, then rows; identities are left in the vault, the rest is kept."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap

from estran.identity.deid import redact_all
from estran.identity.keys import SiteKey
from estran.identity.traits import Known
from estran.identity.vault import Vault
from estran.keeping.owndata.subjects import Finder, Found, Gathered, links_of
from estran.keeping.owndata.whose import allowed, digest_of, pseudonyms
from estran.projects.gate import ProtectedGate, rules_of
from estran.projects.owndata.handing import Handed
from estran.projects.owndata.outcome import Outcome
from estran.projects.owndata.recipe import Plan
from estran.projects.owndata.store import OWN, Content, Kept, Merged, OwnStore, described
from estran.projects.site import SiteServices
from estran.sources.study.sheet import Item, Kind, Sheet, Wrong, plain_name
from estran.sources.study.values import TYPES, typed
from estran.sources.unnamed import unnamed
from estran.state import OwnDataRow

_INNER = {"_place": pa.int64(), "_removed": pa.bool_()}
Bools = npt.NDArray[np.bool_]


@dataclass
class _Draft:
    """New rows of one table while they are written."""

    items: dict[str, Item]
    writer: pq.ParquetWriter
    path: Path
    schema: pa.Schema
    rows: int = 0


class FileReading:
    """One file of one data set, read once."""

    def __init__(self, site: SiteServices, key: SiteKey, vault: Vault, row: OwnDataRow, number: int) -> None:
        self._site, self._key, self._vault, self._row, self._number = site, key, vault, row, number
        self._store = OwnStore(site, key, row.id)
        self.outcome = Outcome()
        self._hashes: dict[str, int] = {}
        self._known: dict[str, Known] = {}

    def read(self, handed: Handed, plan: Plan) -> Outcome:
        """Link and keep the rows; the state says what is held only once all of it is on disk."""
        gathered = Gathered()
        for sheet in plan.reader.sheets(handed.path):
            gathered.take(sheet, plan)
        if plan.table_of_links:
            table = links_of(handed.links)
            gathered.given = {name: table.get(name, set()) for name in gathered.given}
        found = Finder(self._site, self._vault, plan, allowed(self._site, self._row.project)).find(gathered.given)
        self._link(found)
        with ExitStack() as stack:
            drafts = self._drafts(stack, gathered, plan)
            place = 0
            for sheet in plan.reader.sheets(handed.path):
                place = self._take(sheet, plan, found, drafts, place)
            for draft in drafts.values():
                draft.writer.close()
            self._keep(drafts)
        return self.outcome

    def _link(self, found: Mapping[str, Found]) -> None:
        """Links and doubts to the vault."""
        own, data = self._vault.own, self._row.id
        self._hashes = {name: own.subject(data, name) for name in found}
        self.outcome.told = self._told(found)
        held = own.of(data)
        with self._vault.transaction():
            own.put(
                data,
                {self._hashes[name]: one.identity for name, one in found.items() if one.identity >= 0 and not one.why},
            )
            for name, one in found.items():
                subject = self._hashes[name]
                same = subject in held and self._same(held[subject], one.identity)
                if one.why == "doubtful" and one.sought is not None and not same:
                    own.doubt(data, subject, one.identity, one.score, one.sought)
        sure = {name: one.identity for name, one in found.items() if one.identity >= 0}
        patients = dict(zip(sure, self._vault.patient_of(list(sure.values())).tolist(), strict=True)) if sure else {}
        known = self._vault.known(set(patients.values()))
        self._known = {name: known[patient] for name, patient in patients.items()}

    def _told(self, found: Mapping[str, Found]) -> list[int]:
        """What the gate answers about the patients of a file, so that a file about one person, and the same file without
        them, tell nothing of that person."""
        sure = [one.identity for one in found.values() if one.identity >= 0 and not one.why]
        patients = BitMap(self._vault.patient_of(np.array(sure, np.int32)).tolist()) if sure else BitMap()
        shown = ProtectedGate(self._site.state, rules_of(self._site.settings), None).answers({"": patients})[""].shown
        return [shown.value, shown.below, shown.margin]

    def _same(self, held: int, found: int) -> bool:
        """Whether two identities are one patient."""
        a, b = self._vault.patient_of([held, max(found, 0)]).tolist()
        return bool(a == b)

    def _drafts(self, stack: ExitStack, gathered: Gathered, plan: Plan) -> dict[str, _Draft]:
        drafts = {}
        for table, columns in gathered.columns.items():
            items = {name: plan.items[name] for name in columns}
            _, path = stack.enter_context(unnamed())
            fields = OWN | _INNER | {plain_name(name): TYPES[item.kind] for name, item in items.items()}
            schema = pa.schema(list(fields.items()))
            drafts[table] = _Draft(items, pq.ParquetWriter(path, schema), path, schema)
        return drafts

    def _take(
        self, sheet: Sheet, plan: Plan, found: Mapping[str, Found], drafts: Mapping[str, _Draft], place: int
    ) -> int:
        """Rows of a sheet: those that fit are written, the others are set aside; the place of the next row."""
        self.outcome.read += sheet.read
        self.outcome.put_aside(sheet.table, sheet.wrong)
        if not len(sheet):
            return place
        draft = drafts[sheet.table]
        why = np.array([found[name].why for name in sheet.subjects.to_pylist()], object)
        keep = (why == "") | (why == "doubtful")
        column = plan.link_columns[0] if plan.link_columns else ""
        self.outcome.put_aside(sheet.table, (
            Wrong(int(line), column, str(word)) for line, word in zip(sheet.lines[~keep], why[~keep], strict=True)
        ))  # fmt: skip
        values, wrong = self._values(sheet, draft.items, plan.recipe.dates, keep)
        self.outcome.put_aside(sheet.table, wrong.values())
        fits = keep & ~np.isin(np.arange(len(sheet)), list(wrong))
        self._write(sheet, draft, values, fits, place)
        return place + len(sheet)

    def _values(
        self, sheet: Sheet, items: Mapping[str, Item], order: str, keep: Bools
    ) -> tuple[dict[str, pa.Array], dict[int, Wrong]]:  # fmt: skip
        """Typed columns, and the first thing wrong with each row of `keep` that does not fit."""
        values, wrong = {}, dict[int, Wrong]()
        for name, item in items.items():
            if name not in sheet.cells.column_names:
                values[plain_name(name)] = pa.nulls(len(sheet), TYPES[item.kind])
                continue
            read = typed(sheet.cells[name], item, order)
            for why, mask in read.wrong.items():
                for row in np.flatnonzero(mask & keep & ~sheet.removed):
                    wrong.setdefault(int(row), Wrong(int(sheet.lines[row]), name, why))
            values[plain_name(name)] = self._masked(sheet, item, read.values)
        return values, wrong

    def _masked(self, sheet: Sheet, item: Item, values: pa.Array) -> pa.Array:
        """Free text without what the vault knows of the person, and what the rules find."""
        if item.kind not in (Kind.WORDS, Kind.CODE) or item.codes or values.null_count == len(values):
            return values
        knowns = [self._known.get(name) for name in sheet.subjects.to_pylist()]
        return pa.array(redact_all(values.to_pylist(), knowns), pa.string())

    def _write(self, sheet: Sheet, draft: _Draft, values: Mapping[str, pa.Array], fits: Bools, place: int) -> None:
        own, data, count = self._vault.own, self._row.id, len(sheet)
        keys = [own.key(data, key) for key in sheet.keys.to_pylist()]
        columns = {
            "_subject": pa.array([self._hashes[name] for name in sheet.subjects.to_pylist()], pa.int64()),
            "_key": pa.array(keys, pa.int64()), "_line": pa.array(sheet.lines), "_load": pa.array([self._number] * count, pa.int32()),
            "_patient": pa.nulls(count, pa.string()), "_place": pa.array(np.arange(place, place + count)),
            "_removed": pa.array(sheet.removed), **values,
        }  # fmt: skip
        rows = pa.table(columns).select(draft.schema.names).cast(draft.schema).filter(pa.array(fits))
        draft.rows += len(rows)
        if len(rows):
            draft.writer.write_table(rows)

    def _keep(self, drafts: Mapping[str, _Draft]) -> None:
        """The new rows over those held, table by table; then the state, then what is left over goes."""
        content = Content.loads(self._row.content)
        tables: dict[str, Kept] = dict(content.tables)
        snapshot = self._site.snapshot().version
        who = pseudonyms(self._site, self._key, self._vault, self._row)
        moved = digest_of(who) != content.who
        for name in dict.fromkeys((*tables, *drafts)):
            draft = drafts.get(name)
            if draft is not None and draft.rows:
                merged = self._store.write(tables.get(name), draft.path, described(draft.items), who)
                self._count(name, draft.rows, merged)
                tables[name] = merged.kept
            elif moved and name in tables:  # somebody who is not in this file came, or has gone since
                tables[name] = self._store.write(tables[name], None, (), who).kept
        fresh = Content(tables, digest_of(who))
        self._store.commit(self._site.state, self._row.id, fresh, snapshot)

    def _count(self, table: str, rows: int, merged: Merged) -> None:
        self.outcome.linked += merged.linked
        self.outcome.put_aside(table, (Wrong(line, "", "doubtful") for line in merged.waiting))
        self.outcome.superseded += rows - merged.linked - len(merged.waiting)
