"""What the desk needs of a site. `app` gives the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from estran.model.feeds import Feed
from estran.settings import Settings
from estran.state import StateDatabase
from estran.warehouse import Snapshot


class SiteServices(Protocol):
    """An open site. `snapshot` gives the newest one, and costs next to nothing when nothing changed."""

    @property
    def audit_folder(self) -> Path: ...

    @property
    def feeds(self) -> tuple[Feed, ...]: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def state(self) -> StateDatabase: ...

    def snapshot(self) -> Snapshot: ...
