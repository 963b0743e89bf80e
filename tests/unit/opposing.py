"""A patient who objects or is erased."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa

from estran.app import Site
from estran.model.tables import PERMISSION
from estran.projects import opposition
from estran.projects.actors import KEY_HOLDER
from estran.sources.pipeline.run import Parts
from estran.state import Wish
from estran.warehouse import Changes, Warehouse


def oppose(warehouse: Warehouse, patient: int, scope: str, day: dt.date) -> int:
    """The version of the snapshot from which on the patient is left out of this scope."""
    row = {"patient_id": patient, "scope": scope, "kind": "opposition", "from_date": day}
    with warehouse.writer() as writer:
        return int(writer.commit(Changes(append={"permission": pa.Table.from_pylist([row], PERMISSION)})).version)


def erase(site: Site, parts: Parts, patient: int) -> None:
    """The patient erased from warehouse, vault and landing, as the key holder asks it."""
    wish = Wish(patient, "warehouse", "erasure", site.today())
    opposition.erase(site.state, KEY_HOLDER, parts.warehouse, parts.vault, parts.landing.forget, wish)
