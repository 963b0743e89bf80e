"""A stay is what its latest statements say, whatever the order in which they came."""

from __future__ import annotations

import datetime as dt
import itertools

import pyarrow as pa
from tests.unit.warehouse.warehouse_rows import rows

from estran.model.tables import STAY
from estran.warehouse import fold_stays

D = dt.date
PATIENTS = pa.table({"identity_id": pa.array([5, 6], pa.int32()), "patient_id": pa.array([50, 60], pa.int32())})


def fold(*events: dict[str, object]) -> dict[str, object]:
    base = {"stay_id": 1, "identity_id": 5, "source": "hl7v2"}
    table = rows("stay_event", [{**base, **event} for event in events])
    folded = fold_stays(table, PATIENTS)
    assert folded.schema == STAY
    return folded.to_pylist()[0]


ADMIT = {
    "event_time": 10,
    "content": 1,
    "kind": "dossier",
    "start_date": D(2024, 1, 1),
    "start_minute": 600,
    "precision": 4,
    "status": "active",
}
LEAVE = {
    "event_time": 20,
    "content": 2,
    "end_date": D(2024, 1, 5),
    "end_minute": 700,
    "exit_mode": "8",
    "status": "finished",
    "precision": 4,
}
TAKE_BACK = {"event_time": 30, "content": 3, "clears_end": True, "status": "active"}
LEAVE_AGAIN = {"event_time": 40, "content": 4, "end_date": D(2024, 1, 9), "status": "finished"}


def test_every_order_of_arrival_gives_the_same_stay() -> None:
    found = [fold(*order) for order in itertools.permutations([ADMIT, LEAVE, TAKE_BACK, LEAVE_AGAIN])]
    assert all(stay == found[0] for stay in found)
    stay = found[0]
    assert (stay["patient_id"], stay["kind"], stay["start_date"], stay["start_minute"]) == (
        50,
        "dossier",
        D(2024, 1, 1),
        600,
    )
    assert (stay["end_date"], stay["end_minute"], stay["exit_mode"], stay["status"]) == (
        D(2024, 1, 9),
        None,
        None,
        "finished",
    )


def test_a_cancelled_discharge_takes_the_end_back() -> None:
    stay = fold(ADMIT, LEAVE, TAKE_BACK)
    assert stay["end_date"] is None and stay["end_minute"] is None and stay["status"] == "active"
    assert fold(ADMIT, LEAVE)["end_minute"] == 700


def test_equal_times_are_settled_by_content() -> None:
    one, two = {**ADMIT, "content": 1, "kind": "had"}, {**ADMIT, "content": 2, "kind": "smr"}
    assert fold(one, two)["kind"] == fold(two, one)["kind"] == "smr"


def test_a_day_does_not_borrow_the_minute_of_another_statement() -> None:
    later = {"event_time": 50, "content": 5, "start_date": D(2024, 2, 1), "precision": 2}
    stay = fold(ADMIT, later)
    assert (stay["start_date"], stay["start_minute"], stay["precision"]) == (D(2024, 2, 1), None, 2)


def test_a_bare_mention_has_plain_defaults() -> None:
    stay = fold({"event_time": 1, "content": 1})
    assert (stay["status"], stay["confidential"], stay["precision"], stay["source"]) == ("active", False, 0, "hl7v2")


def test_several_stays_fold_apart() -> None:
    table = rows(
        "stay_event", [{"stay_id": s, "identity_id": 5 + s % 2, "event_time": s, "kind": "had"} for s in range(4)]
    )
    folded = fold_stays(table, PATIENTS).to_pylist()
    assert sorted((r["stay_id"], r["patient_id"]) for r in folded) == [(0, 50), (1, 60), (2, 50), (3, 60)]
    assert len(fold_stays(table.slice(0, 0), PATIENTS)) == 0
