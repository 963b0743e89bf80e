"""The airlock as people meet it: hand in, checks, a second person, release; everything recorded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.projects.opened import YEAR, step
from tests.unit.projects.spaces import PROJECT, Stage, stage

from estran.model.errors import NotAllowed, StoreError, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.airlock import Airlock
from estran.state import StateDatabase

GOOD = "service,n\nCardiologie,40\nDiabétologie,25\n"


@pytest.fixture
def play(tmp_path: Path, state: StateDatabase) -> Stage:
    return stage(tmp_path, state)


def airlock(play: Stage, who: Role | Actor) -> Airlock:
    return Airlock(play.site, play.people[who] if isinstance(who, Role) else who)  # type: ignore[arg-type]


def asked(play: Stage, text: str = GOOD, name: str = "table.csv") -> int:
    return airlock(play, Role.RESEARCHER).hand_in(PROJECT, [play.put(name, text)], "Table 1").id


def test_a_table_is_checked_decided_by_another_and_fetched_by_who_asked(play: Stage, state: StateDatabase) -> None:
    number = asked(play)
    (found,) = airlock(play, Role.METHODOLOGIST).requests()
    assert (found.record.state, found.record.verdict, found.asked_by) == ("waiting", "pass", "researcher")
    with pytest.raises(UsageError, match="not released"):
        airlock(play, Role.RESEARCHER).fetch(number, 1)
    airlock(play, Role.METHODOLOGIST).decide(number, True, "Rounded, no small cell.")
    assert airlock(play, Role.RESEARCHER).fetch(number, 1) == ("table.csv", GOOD.encode())
    (found,) = airlock(play, Role.RESEARCHER).requests(PROJECT)
    assert (found.record.state, found.decided_by, found.record.reason) == (
        "released",
        "methodologist",
        "Rounded, no small cell.",
    )
    actions = [(line.action, line.allowed) for line in reversed(state.audit.latest(20))]
    assert actions == [("provide", True), *[("hand-in", True)] * 3, ("release", True), ("hand-in", True)]


def test_a_cell_of_three_is_refused_at_once_and_the_corrected_table_waits(play: Stage) -> None:
    number = asked(play, GOOD.replace("25", "3"))
    seen = airlock(play, Role.RESEARCHER).look(number)
    assert (seen.record.state, seen.record.verdict) == ("refused", "refuse")
    assert seen.files[0].marks(3, 2) and not seen.files[0].marks(2, 2)
    assert "3" in seen.files[0].findings[0].what("fr")
    with pytest.raises(UsageError, match="waits for a decision"):
        airlock(play, Role.METHODOLOGIST).decide(number, True, "I insist.")
    again = asked(play, GOOD.replace("25", "[REDACTED]"))
    assert airlock(play, Role.RESEARCHER).look(again).record.state == "waiting"


@pytest.mark.parametrize("role", [Role.RESEARCHER, Role.TEACHER])
def test_nobody_of_the_team_decides(play: Stage, role: Role) -> None:
    number = asked(play)
    with pytest.raises(NotAllowed):
        airlock(play, role).decide(number, True, "Mine.")


def test_a_checker_in_the_team_does_not_decide_either(play: Stage, state: StateDatabase) -> None:
    number = asked(play)
    checker = play.people[Role.METHODOLOGIST]
    step(state, f"{YEAR}-001", "staff", members=[checker.account_id])
    step(state, f"{YEAR}-001", "sign", checker.account_id, charter=True)
    with pytest.raises(NotAllowed, match="does not decide"):
        airlock(play, checker).decide(number, True, "Mine now.")
    assert state.audit.latest(1)[0].allowed is False


def test_whoever_asked_does_not_decide_after_leaving_the_team(play: Stage, state: StateDatabase) -> None:
    engineer = play.people[Role.DATA_ENGINEER]
    step(state, f"{YEAR}-001", "staff", members=[engineer.account_id])
    step(state, f"{YEAR}-001", "sign", engineer.account_id, charter=True)
    number = airlock(play, engineer).hand_in(PROJECT, [play.put("t.csv", GOOD)], "Table").id
    step(state, f"{YEAR}-001", "staff", members=[])
    with pytest.raises(NotAllowed, match="does not decide"):
        airlock(play, engineer).decide(number, True, "Mine.")


def test_others_neither_hand_in_nor_see_nor_fetch(play: Stage) -> None:
    number = asked(play)
    with pytest.raises(NotAllowed, match="not in the team"):
        airlock(play, Role.CLINICIAN).hand_in(PROJECT, ["table.csv"], "x")
    assert airlock(play, Role.CLINICIAN).requests() == []
    with pytest.raises(NotAllowed):
        airlock(play, Role.CLINICIAN).look(number)
    airlock(play, KEY_HOLDER).decide(number, True, "Seen.")
    with pytest.raises(NotAllowed):
        airlock(play, Role.TEACHER).fetch(number, 1)
    with pytest.raises(NotAllowed):
        airlock(play, Role.METHODOLOGIST).fetch(number, 1)


def test_a_decision_needs_a_reason_and_is_taken_once(play: Stage) -> None:
    number = asked(play)
    checker = airlock(play, Role.DATA_PROTECTION_OFFICER)
    with pytest.raises(UsageError, match="reason"):
        checker.decide(number, True, "  ")
    checker.decide(number, False, "Not what was asked for.")
    with pytest.raises(UsageError, match="waits"):
        checker.decide(number, True, "After all.")


def test_what_waits_is_what_leaves(play: Stage) -> None:
    """The file is copied when it is handed in; changing it in out/ afterwards changes nothing."""
    number = asked(play)
    play.put("table.csv", "secret")
    airlock(play, Role.METHODOLOGIST).decide(number, True, "Seen.")
    assert airlock(play, Role.RESEARCHER).fetch(number, 1)[1] == GOOD.encode()


def test_files_lie_sealed_and_a_changed_byte_is_noticed(play: Stage) -> None:
    number = asked(play)
    (kept,) = (play.site.folder / "airlock").iterdir()
    sealed = kept.read_bytes()
    assert b"Cardiologie" not in sealed
    kept.write_bytes(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(StoreError):
        airlock(play, Role.METHODOLOGIST).preview(number, 1)


def test_links_pipes_and_folders_of_out_are_not_read(play: Stage, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text(GOOD)
    (play.out / "link.csv").symlink_to(tmp_path / "secret.csv")
    os.link(tmp_path / "secret.csv", play.out / "hard.csv")
    os.mkfifo(play.out / "pipe.csv")
    (play.out / "folder.csv").mkdir()
    person = airlock(play, Role.RESEARCHER)
    assert person.ready(PROJECT) == []
    for name in (
        "link.csv",
        "hard.csv",
        "pipe.csv",
        "folder.csv",
        "../../../state.sqlite",
        "..",
        "absent.csv",
        ".hidden.csv",
        "a\n.csv",
    ):
        with pytest.raises(UsageError):
            person.hand_in(PROJECT, [name], "x")


def test_a_table_is_compared_with_those_that_left_before(play: Stage) -> None:
    play.site.settings = type(play.site.settings)(airlock_profile="acro")
    first = asked(play, "age,Heart,Population\n21-30,18,40\n31-40,20,45\n", "all.csv")
    airlock(play, Role.METHODOLOGIST).decide(first, True, "Fine.")
    second = airlock(play, Role.RESEARCHER).look(
        asked(play, "age,Heart,Population\n21-30,17,39\n31-40,15,35\n", "men.csv")
    )
    assert {one.rule for one in second.files[0].findings} == {"differencing"}


def test_evidence_is_read_and_never_leaves(play: Stage) -> None:
    play.site.settings = type(play.site.settings)(airlock_profile="acro")
    names = [
        play.put("cost.csv", "g,n,mean\na,40,120.5\nb,60,90.1"),
        play.put("cost.evidence.csv", "cell,n,total,largest,second\na,40,4820,300,280\nb,60,5406,200,190"),
    ]
    person = airlock(play, Role.RESEARCHER)
    number = person.hand_in(PROJECT, names, "Costs").id
    assert person.look(number).record.verdict == "pass"
    airlock(play, Role.METHODOLOGIST).decide(number, True, "Fine.")
    assert person.fetch(number, 1)[0] == "cost.csv"
    with pytest.raises(UsageError, match="not released"):
        person.fetch(number, 2)
