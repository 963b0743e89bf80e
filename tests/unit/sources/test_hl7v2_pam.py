"""IHE PAM and its French extension: movements inserted, updated, cancelled; leaves; pending events; moves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.spec import site_kit as kit
from tests.unit.sources.test_hl7v2_support import PID, PV1, message, read

PATIENT = kit.pid("7001", "DUPRATELLE", "Yseult", "19610704", "F")


def zbe(number: str, start: str, action: str = "INSERT", ward: str = "CARDIO", historic: str = "N", original: str = "") -> str:
    return f"ZBE|{number}^SIH|{start}||{action}|{historic}|{original}|^^^^^^UF^^^{ward}||HMS"


def adt(event: str, recorded: str, *segments: str, happened: str = "") -> str:
    head = kit.msh(f"ADT^{event}", recorded, f"{event}{recorded}")
    return kit.message(head, f"EVN|{event}|{recorded}||||{happened}", PATIENT, kit.pv1("SEJ1", "CARDIO"), *segments)


def loaded(folder: Path, *messages: str) -> kit.Site:
    site = kit.make(folder / "site")
    kit.load(site, "hl7v2", kit.write_messages(folder / "m.hl7", *messages))
    assert kit.rows(site, "select field, reason from raw_quarantine") == []
    return site


def in_every_order(folder: Path, *messages: str) -> Iterator[tuple[kit.Site, int]]:
    """One site where the story happens to a patient of its own for each order of its messages: (site, patient)."""
    orders = list(itertools.permutations(messages))
    told = []
    for number, order in enumerate(orders):
        own = ((f"{n}001", f"{n}9{number:02d}") for n in (7, 8))
        changes = [*own, ("7002", f"72{number:02d}"), ("SEJ1", f"SEJ{number}x"), ("^SIH|", f"x{number}^SIH|")]
        for one in order:
            for old, new in changes:
                one = one.replace(old, new)
            told.append(one)
    site = loaded(folder, *told)
    for number in range(len(orders)):
        yield site, kit.patient_of(site, f"79{number:02d}")


def stays(site: kit.Site, patient: int = 0) -> list[tuple[object, ...]]:
    sql = "select status, cast(start_date as varchar), start_minute, cast(end_date as varchar) from raw_stay where patient_id = ? order by stay_id"
    return kit.rows(site, sql, patient)


def movements(site: kit.Site, patient: int = 0) -> list[tuple[object, ...]]:
    sql = (
        "select u.code, cast(m.start_date as varchar), m.start_minute, m.status from raw_movement m left join unit u using (unit_id) "
        "where patient_id = ? order by 2, 3, 1"
    )
    return kit.rows(site, sql, patient)


ADMITTED = adt("A01", "20240301080000", zbe("1", "20240301080000"))
MOVED = adt("A02", "20240302090000", zbe("2", "20240302090000", ward="REA"))
LEFT = adt("A03", "20240305100000", zbe("3", "20240305100000"))


def test_a_correction_of_the_admission_leaves_the_discharge(tmp_path: Path) -> None:
    """Z99 UPDATE of an A01, said after the end: the start changes, the stay stays finished; in any order."""
    fixed = adt("Z99", "20240306090000", zbe("1", "20240229230000", "UPDATE", original="A01"), happened="20240229230000")
    for site, who in in_every_order(tmp_path, ADMITTED, LEFT, fixed):
        assert stays(site, who) == [("finished", "2024-02-29", 1380, "2024-03-05")]
        assert movements(site, who)[0] == ("CARDIO", "2024-02-29", 1380, "active")


def test_a_transfer_is_moved_then_cancelled(tmp_path: Path) -> None:
    later = adt("Z99", "20240302120000", zbe("2", "20240302110000", "UPDATE", "SURV", original="A02"))
    gone = adt("Z99", "20240303120000", zbe("2", "20240302110000", "CANCEL", "SURV", original="A02"))
    site = loaded(tmp_path / "a", ADMITTED, MOVED, later)
    assert movements(site)[1:] == [("SURV", "2024-03-02", 660, "active")]
    for site, who in in_every_order(tmp_path / "b", ADMITTED, MOVED, later, gone):
        assert movements(site, who)[1:] == [("SURV", "2024-03-02", 660, "cancelled")]
        assert stays(site, who) == [("active", "2024-03-01", 480, None)]


def test_a_cancelled_admission_and_discharge_by_z99(tmp_path: Path) -> None:
    site = loaded(tmp_path / "a", ADMITTED, adt("Z99", "20240301090000", zbe("1", "20240301080000", "CANCEL", original="A01")))
    assert stays(site)[0][0] == "cancelled"
    back = adt("Z99", "20240305120000", zbe("3", "20240305100000", "CANCEL", original="A03"))
    site = loaded(tmp_path / "b", ADMITTED, LEFT, back)
    assert stays(site) == [("active", "2024-03-01", 480, None)]


def test_a_historic_movement_does_not_become_the_current_ward(tmp_path: Path) -> None:
    old = adt("A02", "20240304090000", zbe("9", "20240301120000", "INSERT", "URG", historic="Y"), happened="20240301120000")
    site = loaded(tmp_path, ADMITTED, MOVED, old)
    assert kit.rows(site, "select u.code from stay join unit u using (unit_id)") == [("REA",)]
    assert [m[0] for m in movements(site)] == ["CARDIO", "URG", "REA"]


def test_responsibility_changes(tmp_path: Path) -> None:
    """Z80 to Z89: ZBE says which ward; ZBE-4 whether it is taken back."""
    site = loaded(
        tmp_path, ADMITTED, adt("Z80", "20240301150000", zbe("5", "20240301150000", ward="NEPHRO")),
        adt("Z84", "20240301160000", zbe("6", "20240301160000", ward="DIAL")),
        adt("Z81", "20240301170000", zbe("5", "20240301150000", "CANCEL", "NEPHRO")),
    )  # fmt: skip
    assert movements(site) == [
        ("CARDIO", "2024-03-01", 480, "active"), ("NEPHRO", "2024-03-01", 900, "cancelled"), ("DIAL", "2024-03-01", 960, "active"),
    ]  # fmt: skip


def test_on_leave_the_patient_lies_in_no_ward(tmp_path: Path) -> None:
    away, back = zbe("4", "20240302080000"), zbe("5", "20240303180000")
    site = loaded(tmp_path / "a", ADMITTED, adt("A21", "20240302080000", away), adt("A22", "20240303180000", back))
    assert movements(site)[1:] == [(None, "2024-03-02", 480, "active"), ("CARDIO", "2024-03-03", 1080, "active")]
    assert stays(site)[0][0] == "active"
    undone = adt("A52", "20240302100000", away.replace("INSERT", "CANCEL"))
    site = loaded(tmp_path / "b", ADMITTED, adt("A21", "20240302080000", away), undone)
    assert movements(site)[1:] == [(None, "2024-03-02", 480, "cancelled")]


def test_without_a_movement_number_the_moment_names_it(tmp_path: Path) -> None:
    away, undone = adt("A21", "20240302080000"), adt("A52", "20240302090000", happened="20240302080000")
    site = loaded(tmp_path, ADMITTED, away, undone)
    assert movements(site)[1:] == [(None, "2024-03-02", 480, "cancelled")]


@pytest.mark.parametrize(("planned", "cancelled"), [("A05", "A38"), ("A14", "A27")])
def test_announced_and_called_off(tmp_path: Path, planned: str, cancelled: str) -> None:
    coming = adt(planned, "20240225090000", "PV2||||||||20240301", zbe("1", "20240301080000"))
    off = adt(cancelled, "20240226090000", zbe("1", "20240301080000", "CANCEL"))
    site = loaded(tmp_path / "a", coming)
    assert stays(site)[0][:2] == ("planned", "2024-03-01")
    for site, who in in_every_order(tmp_path / "c", coming, off):
        assert stays(site, who)[0][0] == "cancelled"
    assert stays(loaded(tmp_path / "b", ADMITTED, coming))[0][0] == "active"


def test_pending_transfers_and_discharges(tmp_path: Path) -> None:
    coming = adt("A15", "20240301100000", zbe("7", "20240304090000", ward="SSR"))
    site = loaded(tmp_path / "a", ADMITTED, coming, adt("A16", "20240301110000"))
    assert movements(site)[1:] == [("SSR", "2024-03-04", 540, "planned")]
    assert stays(site) == [("active", "2024-03-01", 480, None)]
    site = loaded(tmp_path / "b", ADMITTED, coming, adt("A26", "20240301120000", zbe("7", "20240304090000", "CANCEL", "SSR")), adt("A25", "20240301130000"))
    assert movements(site)[1:] == [("SSR", "2024-03-04", 540, "cancelled")]


def test_doctors_change_and_nothing_else(tmp_path: Path) -> None:
    site = loaded(tmp_path, ADMITTED, adt("A54", "20240301100000"), adt("A55", "20240301110000"))
    assert (len(movements(site)), stays(site)) == (1, [("active", "2024-03-01", 480, None)])


def test_merges_of_every_kind(tmp_path: Path) -> None:
    events = ("A18", "A30", "A34", "A39", "A40", "A46", "A47")
    told = []
    for number, event in enumerate(events):
        who, other = (PATIENT.replace("7001", f"{n}00{number}") for n in (7, 8))
        told += [kit.adt("A28", "20240301", who), kit.adt("A28", "20240301", other)]
        told.append(kit.message(kit.msh(f"ADT^{event}", "20240310", event), f"EVN|{event}|20240310", who, f"MRG|800{number}^^^CHU^PI"))
    site = loaded(tmp_path, *told)
    for number, event in enumerate(events):
        assert kit.patient_of(site, f"700{number}") == kit.patient_of(site, f"800{number}") != -1, event


def test_links_and_unlinks(tmp_path: Path) -> None:
    other = PATIENT.replace("7001", "7002")
    link, unlink = (
        kit.message(kit.msh(f"ADT^{event}", when, event), f"EVN|{event}|{when}", PATIENT, other)
        for event, when in (("A24", "20240310"), ("A37", "20240311"))
    )
    for number, (site, who) in enumerate(in_every_order(tmp_path / "both", kit.adt("A28", "20240301", other), link, unlink)):
        assert who != kit.patient_of(site, f"72{number:02d}") != -1
    site = loaded(tmp_path / "linked", ADMITTED, link)
    assert kit.patient_of(site, "7001") == kit.patient_of(site, "7002")


def test_a_stay_opened_under_the_wrong_patient(tmp_path: Path) -> None:
    right = kit.pid("8001", "KERMORVAN", "Anne", "19500101", "F")
    moved = kit.message(
        kit.msh("ADT^A44", "20240303090000", "V"), "EVN|A44|20240303090000", right, "MRG|7001^^^CHU^PI||||SEJ1^^^CHU^VN",
        kit.pv1("SEJ1", "CARDIO", start="20240301080000"),
    )  # fmt: skip
    for number, (site, who) in enumerate(in_every_order(tmp_path, ADMITTED, moved)):
        owner = kit.patient_of(site, f"89{number:02d}")
        assert stays(site, who)[0][0] == "cancelled"
        assert [s[1] for s in stays(site, owner)] == ["2024-03-01"]
        assert kit.findings(site) == []


@pytest.mark.parametrize(
    ("event", "segments", "field"),
    [
        ("Z99", (), "ZBE"), ("Z80", (), "ZBE"), ("A44", (), "MRG"), ("A44", ("MRG|42^^^CHU^PI",), "MRG-1"),
        ("A44", ("MRG|",), "MRG-1"), ("A24", (), "PID"), ("A24", (PID,), "PID-3"), ("A47", (), "MRG-1"),
    ],
)  # fmt: skip
def test_what_lacks_its_point_is_refused(tmp_path: Path, event: str, segments: tuple[str, ...], field: str) -> None:
    reading = read(tmp_path, message(f"ADT^{event}", f"EVN|{event}|20240301", PID, PV1, *segments))
    assert [r[1] for r in reading.refusals] == [field]
    assert reading.batch.stay_events.num_rows == reading.batch.movements.num_rows == 0
