"""What rows say of persons: one statement per person and set of traits, not one per row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from estran.model.codes import Precision
from estran.sources.omop.content import hash_columns
from estran.sources.omop.expressions import one
from estran.sources.records import Batch, IdentityStatement, PatientKey, Person
from estran.sources.tabular.language import Patient
from estran.sources.tabular.plan import Plan

Int32s = npt.NDArray[np.int32]
_PLAIN = ("sex", "postcode", "city", "commune", "birth_place")
_LISTS = {"address": "addresses", "phone": "phones", "mail": "mails"}


def statements(
    batch: Batch, given: Patient, heads: pa.Table, record: Int32s, patient: Int32s, plan: Plan,
    moment: Callable[..., dict[str, pa.Array]],
) -> None:  # fmt: skip
    """Add to `batch` the identity statements of the records `record`."""
    slots = {name.removeprefix("patient."): slot for name, slot in plan.named.items() if name.startswith("patient.")}
    if not slots and not given.introduces:
        return
    columns = {name: one(heads[slot]) for name, slot in slots.items() if not name.endswith("_date")}
    for name in ("birth_date", "death_date"):
        if name in slots:
            found = moment(slots[name], heads=True)
            columns |= {name: found["date"], f"{name}_precision": found["precision"]}
    table = pa.table({"patient": pa.array(patient), **columns})
    table = table.append_column("time", batch.records["event_time"].take(pa.array(record)))
    _, first = np.unique(hash_columns(table), return_index=True)
    first.sort()
    for place, row in zip(first.tolist(), table.take(pa.array(first)).to_pylist(), strict=True):
        aliases = tuple(PatientKey(a.system, row[f"alias{n}"]) for n, a in enumerate(given.aliases) if row[f"alias{n}"])
        batch.identities.append(
            IdentityStatement(
                int(record[place]), row["patient"], aliases, _person(row), row.get("ins"), introduces=given.introduces
            )
        )
    if not given.introduces:
        batch.needs += list(zip(record.tolist(), patient.tolist(), strict=True))


def _person(row: dict[str, Any]) -> Person:
    traits: dict[str, Any] = {name: row.get(name) for name in _PLAIN}
    traits |= {ours: (row[name],) for name, ours in _LISTS.items() if row.get(name)}
    for name in ("family_names", "given_names"):
        found = tuple(row[f"{name}{n}"] for n in range(20) if row.get(f"{name}{n}"))
        traits |= {name: found} if found else {}
    birth: dt.date | None = row.get("birth_date")
    if birth is not None:
        precision = Precision(min(row["birth_date_precision"], Precision.DAY))
        traits |= {"birth_date": birth, "birth_precision": precision}
    traits |= {"death_date": row.get("death_date")}
    if row.get("deceased") or row.get("death_date"):
        traits["deceased"] = True
    return Person(**traits)
