"""A site as the audit sees it: a database, a folder, settings; no warehouse."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from tests import fresh

from estran.model.feeds import Feed
from estran.projects.sealing import Sealing
from estran.settings import Settings
from estran.state import AuditLine, StateDatabase
from estran.warehouse import Snapshot

SEED = bytes(range(32))


@dataclass
class AuditedSite:
    """What sealing, proving and reviewing ask of a site."""

    folder: Path
    state: StateDatabase
    settings: Settings = Settings()  # noqa: RUF009 (frozen)
    feeds: tuple[Feed, ...] = ()

    @property
    def audit_folder(self) -> Path:
        return self.folder / "audit"

    @property
    def database(self) -> Path:
        return self.folder / "state.sqlite"

    @property
    def sealing(self) -> Sealing:
        return Sealing.with_key(self, SEED)

    def snapshot(self) -> Snapshot:
        raise AssertionError("the audit of this site needs no warehouse")

    def write(self, count: int, **fields: object) -> None:
        for number in range(count):
            line = {"login": "anne", "role": "researcher", "action": "count", "allowed": True, "reason": "ok",
                    "target": f"step:{number}", "query": '{"é":1}', "snapshot": 2} | fields  # fmt: skip
            self.state.audit.append(AuditLine(**line))  # type: ignore[arg-type]


def audited(folder: Path, **settings: object) -> AuditedSite:
    return AuditedSite(folder, fresh.state(folder / "state.sqlite"), Settings(**settings))  # type: ignore[arg-type]


def behind_its_back(site: AuditedSite, *statements: str) -> None:
    """What somebody who owns the database does: no key, no trigger, no program; the triggers are put back."""
    raw = sqlite3.connect(site.database, isolation_level=None)
    raw.execute("PRAGMA foreign_keys=OFF")
    triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type='trigger'").fetchall()
    for name, _ in triggers:
        raw.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        raw.execute(statement)
    for _, sql in triggers:
        raw.execute(sql)
    raw.close()
