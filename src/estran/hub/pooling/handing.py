"""The pool as a datamart of its project at the hub: handed to its team, compared by site, replaced when it changes."""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
from pathlib import Path
from typing import Any

import orjson

from estran.exchange.tables import files_as_views
from estran.exchange.whole import passing_folder
from estran.hub.pooling import differences
from estran.hub.pooling.agreement import schema_of
from estran.hub.pooling.assembling import Manifest, assemble
from estran.hub.pooling.book import Part, Pool, PoolBook
from estran.hub.pooling.copies import certificate_of
from estran.model.errors import EstranError
from estran.projects.datamarts.alone import busy
from estran.projects.datamarts.manifest import sha256
from estran.projects.datamarts.shelf import Datamarts
from estran.projects.gate import ProtectedGate, rules_of
from estran.state.datamarts import DatamartRow, MartState

LINKS = "links.parquet"


class Handing:
    """The datamarts of the pools in `folder`."""

    def __init__(self, folder: Path, shelf: Datamarts, book: PoolBook) -> None:
        self.folder, self.book, self._shelf, self._site = folder, book, shelf, shelf.site

    def hand_over(self, pool: Pool) -> int | None:
        """The pool as a datamart of its project, in the place of the last one; None when nothing changed."""
        parts = sorted(self.book.parts(pool.id, "accepted"), key=lambda part: part.member)
        built = self._digest(pool, parts)
        self.only(pool, pool.datamart)
        if not parts and pool.datamart is not None:
            self._none(pool, "no site is in the pool any more")
        if built == pool.built or not parts:
            return None
        folders = {part.member: self.folder / pool.id / part.folder for part in parts}
        links = self.folder / pool.id / LINKS
        links_or_none = links if links.is_file() else None

        def fill(target: Path) -> Manifest:
            told = {"id": pool.id, "linked": links_or_none is not None, "sites": [_about(part) for part in parts]}
            told["dropped"] = [{"site": one.member, "at": one.moment.isoformat(timespec="seconds")} for one in self.book.drops(pool.id)]
            return assemble(folders, links_or_none, pool.agreed.frozen(), target) | {"pool": told}

        until = dt.datetime.fromtimestamp(pool.expires, dt.UTC)
        try:
            made = self._shelf.adopt(pool.agreed, pool.recipient, pool.reason, until, fill).row
        except EstranError:  # the duty is to take patients out, not to have a datamart
            self._none(pool, "what it was to be replaced by cannot be handed over")
            raise
        self.book.copy(pool.id, "datamart", str(made.id))
        compared = self._compared(pool, parts)
        self.book.change(pool.id, built=built, datamart=made.id, differences=orjson.dumps(compared).decode())
        self.only(pool, made.id)
        return made.id

    def _digest(self, pool: Pool, parts: list[Part]) -> str:
        links = self.folder / pool.id / LINKS
        stands = [*(part.folder for part in parts), sha256(links) if links.is_file() else ""]
        return hashlib.sha256("\n".join(stands).encode()).hexdigest()

    def _none(self, pool: Pool, why: str) -> None:
        """The pool has no datamart, and no comparison of what was in it."""
        self.only(pool, None, why)
        self.book.change(pool.id, built="", datamart=None, differences="")

    def without(self, pool: Pool, member: str, why: str) -> None:
        """No datamart of the pool has this site in it."""
        now = self.book.find(pool.id) or pool
        if now.datamart is None or self.held(now.datamart, member):
            self._none(now, why)
        else:
            self.only(now, now.datamart)

    def held(self, number: int, member: str) -> bool:
        """Whether a site was in a datamart; also when it is not known any more."""
        row = self._site.state.datamarts.find(number)
        told = orjson.loads(row.manifest).get("pool", {}) if row is not None and row.manifest else {}
        return "sites" not in told or any(one["site"] == member for one in told["sites"])

    def only(self, pool: Pool, number: int | None, why: str = "replaced by a newer build of the pool") -> None:
        """The datamarts of the pool but one are destroyed, and the workspace moves on to that one."""
        root, state = self._site.audit_folder.parent / "datamarts", self._site.state
        newest = None if number is None else state.datamarts.find(number)
        for row in state.datamarts.of(pool.project):
            if row.id == number or not (_is_of(pool, row) or _cut_short(pool, row, root)):
                continue
            if row.state == MartState.DELETED and (root / row.folder).exists():  # back from a backup
                shutil.rmtree(root / row.folder)
                self.book.destroyed(self.book.copy(pool.id, "datamart", f"{row.id}, back from a backup"), certificate_of(why, []))
            if row.state != MartState.DELETED:
                if newest is not None:
                    state.spaces.move(str((root / row.folder).resolve()), str((root / newest.folder).resolve()))
                row = self._shelf.destroy(row.id, why).row
            self.book.destroyed(self.book.copy(pool.id, "datamart", str(row.id)), orjson.loads(row.certificate))

    def _compared(self, pool: Pool, parts: list[Part]) -> dict[str, Any]:
        gate = ProtectedGate(self._site.state, rules_of(self._site.settings), None)
        wanted = {column.name for column in schema_of(pool.agreed.frozen())["patients"]}
        held = [
            differences.Held(
                part.member, self.folder / pool.id / part.folder, frozenset(wanted - set(part.manifest["columns"])),
                part.manifest["converted"],
            ) for part in parts
        ]  # fmt: skip
        cells = differences.compare(
            held, pool.agreed.frozen(), lambda count, site: gate.show(count, f"pool/{pool.id}/{site}")
        )
        return {"cells": differences.to_object(cells), "codes": self._codes(pool, parts)}

    def _codes(self, pool: Pool, parts: list[Part]) -> list[dict[str, Any]]:
        """Codes that sites label differently: their vocabularies are of different releases, or are not the same."""
        tables = {f"site_{n}": self.folder / pool.id / part.folder / "codes.parquet" for n, part in enumerate(parts)}
        with (
            passing_folder(self.folder / pool.id / "scratch") as scratch,
            files_as_views(tables, scratch) as connection,
        ):
            union = " UNION ALL ".join(
                f"SELECT '{part.member}' AS site, code, coalesce(label_fr, label_en, '') AS label, kind FROM site_{n}"
                for n, part in enumerate(parts)
            )
            rows = connection.execute(
                f"SELECT code, list({{'site': site, 'label': label}} ORDER BY site) FROM ({union}) GROUP BY code "
                "HAVING count(DISTINCT lower(strip_accents(label))) > 1 OR count(DISTINCT kind) > 1 ORDER BY code LIMIT 200"
            ).fetchall()
        return [{"code": row[0], "labels": row[1]} for row in rows]


def _is_of(pool: Pool, row: DatamartRow) -> bool:
    manifest = orjson.loads(row.manifest) if row.manifest else {}
    return bool(manifest.get("pool", {}).get("id") == pool.id)


def _cut_short(pool: Pool, row: DatamartRow, root: Path) -> bool:
    """Whether a row is what is left of a pass that was killed while it handed over."""
    same = (row.name, row.recipient, row.state) == (pool.name, pool.recipient, MartState.BUILDING)
    return same and not busy(root, row.id)


def _about(part: Part) -> dict[str, Any]:
    """Of one site, what the manifest of the pool says."""
    names = ("made", "snapshot", "rows", "vocabularies", "oppositions", "converted", "fingerprint", "datamart_built")
    return {"site": part.member} | {name: part.manifest.get(name) for name in names}
