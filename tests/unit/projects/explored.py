"""The small hospital with what pictures need: where people live, and a family of three generations."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
from tests.browser.small_site import Site, build

from estran.model.tables import PATIENT, RELATION
from estran.warehouse import Changes

# Grandmother 20, mother 21, her three children 22 and 23 (twins) and 24; 30 and 31, twins whose mother nobody states.
FAMILY = [(21, 20, "mother", None), (22, 21, "mother", 1), (23, 21, "mother", 2), (22, 23, "twin", None),
          (21, 24, "child", None), (30, 31, "twin", None)]  # fmt: skip
BORN = {20: 1941, 21: 1966, 22: 1993, 23: 1993, 24: 1997, 30: 2001, 31: 2001}
SEXES = {20: "female", 21: "female", 22: "male", 23: "female", 24: "unknown", 30: "male", 31: "male"}


def area_of(patient: int) -> str | None:
    """Most in two départements, few in a third, one abroad, one unknown."""
    if patient in (2, 3):
        return (None, "99")[patient - 2]
    return "22" if patient % 50 == 7 else "35" if patient % 5 < 3 else "29"


def explored(folder: Path, language: str = "en", patients: int = 60) -> Site:
    """The hospital, written into `folder`."""
    site = build(folder, language, patients)
    with site.warehouse.writer() as writer:
        people = writer.snapshot.connect().sql("SELECT * FROM raw_patient ORDER BY patient_id").to_arrow_table().select(PATIENT.names)
        rows = [
            row | {"residence_area": area_of(row["patient_id"])}
            | ({"birth_month": dt.date(BORN[row["patient_id"]], 3, 1), "sex": SEXES[row["patient_id"]], "death_date": None}
               if row["patient_id"] in BORN else {})
            for row in people.to_pylist()
        ]  # fmt: skip
        rows[20]["death_date"] = dt.date(2023, 5, 2)
        ties = [{"patient_id": a, "other_id": b, "kind": kind, "rank": rank, "source": "test"} for a, b, kind, rank in FAMILY]
        changes = Changes(
            upsert={"patient": pa.Table.from_pylist(rows, PATIENT)}, append={"relation": pa.Table.from_pylist(ties, RELATION)}
        )
        writer.commit(changes)
    return site
