"""A project's life: who takes which step, what each needs, and what the table forbids."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import sqlite3

import pytest
import sqlalchemy as sa
from tests.unit.projects.life.play import PEOPLE, REASON, Play, lacking, steps, today

from estran.model.errors import NotAllowed, StoreError, UsageError
from estran.projects.actors import KEY_HOLDER, Role
from estran.projects.life import ProjectsDesk, open_project
from estran.projects.life.fields import FIELDS
from estran.projects.life.formality import Kind, Piece
from estran.projects.life.machine import MOVES, TABLE, Need, Stage, Step, moves_from
from estran.projects.life.needs import _NEEDS
from estran.projects.life.project import _later
from estran.state import AuditFilter, StateDatabase

LIVE_ENDS = {Stage.REFUSED, Stage.WITHDRAWN}


def test_the_table_is_whole() -> None:
    assert [move.step for move in TABLE] == list(MOVES)
    assert set(MOVES) == set(Step) == set(FIELDS)
    assert {need for move in TABLE for need in move.needs} == set(Need) == set(_NEEDS)
    assert all(move.hands for move in TABLE)


def test_every_stage_is_reached_and_every_one_but_the_ends_is_left() -> None:
    reached = {Stage.IDEA}
    while more := {m.to for s in reached for m in moves_from(s) if m.to} - reached:
        reached |= more
    assert reached == set(Stage)
    dead = {stage for stage in Stage if not any(move.to for move in moves_from(stage))}
    assert dead == {Stage.CLOSED} | LIVE_ENDS
    assert all(not moves_from(stage) for stage in LIVE_ENDS)


def test_nothing_opens_but_through_the_committee() -> None:
    """Without the steps of the chair, no path of the table leads to an open project."""
    reached = {Stage.IDEA}
    for _ in Stage:
        reached |= {
            m.to for s in reached for m in moves_from(s) if m.to and m.step not in (Step.ACCEPT, Step.CONDITION)
        }
    assert not reached & {Stage.ACCEPTED, Stage.CONDITIONS, Stage.OPEN, Stage.CLOSED}


def test_from_idea_to_closing(play: Play) -> None:
    number = play.to(Stage.CLOSING)
    assert number == f"{today().year}-001"
    assert lacking(play, "dan", number, Step.END) == (
        "Nothing says what was archived.", "There is no certificate of destruction.", "The register of outputs is empty.",
    )  # fmt: skip
    play.take(number, "dan", Step.ARCHIVE, what="Code and protocol", how="Archive 7", day="2046-01-01")
    play.take(number, "dan", Step.DESTROY, what="Datamart and workspace", how="Keys erased", day=today())
    play.take(number, "tom", Step.OUTPUT, kind="publication", title="Our paper", reference="doi:10.1/x", day=today())
    play.take(number, "dan", Step.END)
    project = play.project(number)
    assert project.stage is Stage.CLOSED
    assert [(one.title, out.title) for one, out in play.desk("lea").outputs()] == [
        ("Heart failure and diabetes", "Our paper")
    ]
    assert steps(play, "lea", number) == {Step.OUTPUT}, "outputs come years later"
    assert [event.step for event in play.state.projects.events(number)][-1] == "end"


def test_no_step_is_taken_out_of_its_turn(play: Play) -> None:
    """Everybody tries every step at a stage where the table does not have it: nothing is kept."""
    number = play.propose()
    wrong = [step for step, move in MOVES.items() if Stage.IDEA not in move.sources and step is not Step.PROPOSE]
    before = play.state.projects.events(number)
    for name, step in itertools.product(("lea", "max", "dpo", "m1", "eve"), wrong):
        with pytest.raises((NotAllowed, UsageError)):
            play.take(number, name, step)
    assert play.state.projects.events(number) == before
    assert len(wrong) > 25


def test_a_variable_without_its_reason_keeps_the_request_from_being_submitted(play: Play) -> None:
    number = play.propose()
    play.letter(number)
    play.take(number, "lea", Step.SIGN, charter="1")
    play.write(number, why="useful")
    assert lacking(play, "lea", number, Step.SUBMIT) == ("These variables have no justification: NT-proBNP.",)
    with pytest.raises(UsageError, match="no justification: NT-proBNP"):
        play.take(number, "lea", Step.SUBMIT)
    play.write(number)
    assert play.take(number, "lea", Step.SUBMIT).stage is Stage.SUBMITTED


def test_an_empty_request_says_all_that_it_lacks(play: Play) -> None:
    number = play.propose(Kind.STEERING)
    assert lacking(play, "lea", number, Step.SUBMIT) == (
        "No counted cohort is attached.", "The request has no objectives.", "The request has no summary for the public.",
        "The request has no legal basis.",
        "The request does not say for how many months.", "The request asks for no variable.",
        "The lead has not signed the charter.",
    )  # fmt: skip


def test_research_begins_with_a_letter_and_the_other_types_do_not(play: Play) -> None:
    research, steering = play.propose(), play.propose(Kind.STEERING)
    assert "A letter of intent is asked for first." in lacking(play, "lea", research, Step.SUBMIT)
    assert "A letter of intent is asked for first." not in lacking(play, "lea", steering, Step.SUBMIT)


def test_a_project_is_seen_by_its_team_by_those_who_handle_it_and_by_those_called(play: Play) -> None:
    number = play.to(Stage.SUBMITTED)
    sees = {name for name in PEOPLE if _sees(play, name, number)}
    assert sees == {"lea", "tom", "max", "dan", "dpo"}
    play.judge_ready(number)
    play.call(number)
    assert {name for name in PEOPLE if _sees(play, name, number)} == sees | {"eve", "m1", "m2", "m3", "m4", "m5"}


def _sees(play: Play, name: str, number: str) -> bool:
    if PEOPLE[name] is Role.AUDITOR:
        with pytest.raises(NotAllowed):
            play.desk(name).sheet(number)
        return False
    listed = number in {card.project.number for card in play.desk(name).board()}
    if not listed:
        with pytest.raises(NotAllowed, match="concerns other people"):
            play.desk(name).sheet(number)
    return listed


def test_nobody_handles_or_judges_a_project_of_their_own(play: Play) -> None:
    number = play.propose(Kind.STEERING, members=("max",))
    play.take(number, "lea", Step.ATTACH, cohort=play.cohort())
    play.submit(number)
    with pytest.raises(NotAllowed, match="Nobody handles a project of their own"):
        play.take(number, "max", Step.ADVISE, opinion="favourable", text="Mine is good.")
    with pytest.raises(NotAllowed, match="of their own"):
        play.take(number, "max", Step.RETURN, reason=REASON)
    assert not steps(play, "max", number) & {Step.ADVISE, Step.ASK, Step.CALL, Step.RETURN}


def test_a_cohort_of_somebody_else_is_not_attached(play: Play) -> None:
    number = play.propose()
    with pytest.raises(NotAllowed, match="belongs to another person"):
        play.take(number, "lea", Step.ATTACH, cohort=play.cohort("zoe"))
    assert play.state.audit.latest(1)[0].allowed is False


def test_every_step_is_dated_and_bound_to_the_line_of_the_audit_that_allowed_it(play: Play) -> None:
    number = play.propose()
    play.take(number, "lea", Step.SAY, text="Who can help me?")
    first, second = play.state.projects.events(number)
    (line,) = [e for e in play.state.audit.find(AuditFilter(), 10) if e.id == second.audit_line]
    assert line.target == f"project:{number} step:say after:{first.chain[:32]}"
    assert (second.login, second.role, line.allowed) == ("lea", "researcher", True)
    assert first.at <= second.at <= dt.datetime.now(dt.UTC)


def test_a_refused_step_is_recorded(play: Play) -> None:
    number = play.propose()
    with pytest.raises(NotAllowed, match="belongs to another team"):
        play.take(number, "zoe", Step.WITHDRAW, reason=REASON)
    last = play.state.audit.latest(1)[0]
    assert (last.allowed, last.login, last.action) == (False, "zoe", "propose")


def test_the_database_refuses_to_change_a_step_and_a_change_by_other_ways_is_seen(
    play: Play, tmp_path_factory: pytest.TempPathFactory
) -> None:
    number = play.propose()
    for verb in ("UPDATE project_event SET login = 'zoe'", "DELETE FROM project_event"):
        with pytest.raises(sa.exc.IntegrityError, match="never changed"), play.state.engine.begin() as connection:
            connection.exec_driver_sql(verb)
    file = play.state.engine.url.database
    assert file
    raw = sqlite3.connect(file)
    raw.execute("DROP TRIGGER project_event_no_update")
    raw.execute("UPDATE project_event SET login = 'zoe'")
    raw.commit()
    raw.close()
    with pytest.raises(StoreError, match="not what it was"):
        play.state.projects.events(number)


def test_two_who_act_at_once_both_have_their_step(play: Play) -> None:
    number = play.propose()
    book = play.state.projects
    events = book.events(number)
    play.take(number, "lea", Step.SAY, text="First")
    stale = dataclasses.replace(events[-1])
    assert not book.append(number, len(events), stale), "the place is taken"
    play.take(number, "tom", Step.SAY, text="Second")
    assert [said.text for said in play.project(number).thread] == ["First", "Second"]


def test_an_open_project_is_told_to_those_who_build_for_it(
    play: Play, state: StateDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = play.to(Stage.ACCEPTED)
    for nothing in (number, "1999-001"):
        with pytest.raises(NotAllowed):
            open_project(state, nothing)
    play.open(number)
    made = open_project(state, number)
    assert made.members == (play.id["lea"], play.id["tom"])
    assert [v.code for v in made.variables] == ["LOINC:33762-6"]
    assert state.cohorts.version(made.cohort_version) is not None
    assert 729 <= (made.expires - made.opened).days <= 732
    play.take(number, "dan", Step.SUSPEND, reason=REASON)
    with pytest.raises(NotAllowed, match="suspended"):
        open_project(state, number)
    play.take(number, "dan", Step.RESUME, reason=REASON)
    monkeypatch.setattr("estran.projects.life.opening.now", lambda: made.expires)
    with pytest.raises(NotAllowed, match="is over"):
        open_project(state, number)


def test_whoever_joins_an_open_project_signs_before_getting_anything(play: Play, state: StateDatabase) -> None:
    number = play.to(Stage.OPEN)
    play.take(number, "dan", Step.STAFF, members=["zoe"])
    assert open_project(state, number).members == (play.id["lea"],), "tom left, zoe has not signed"
    play.take(number, "zoe", Step.SIGN, charter="1")
    assert open_project(state, number).members == (play.id["lea"], play.id["zoe"])


def test_a_project_does_not_open_without_its_pieces_and_its_signatures(play: Play) -> None:
    number = play.to(Stage.ACCEPTED)
    said = lacking(play, "dan", number, Step.OPEN)
    assert said[0] == "Pieces still missing: 5."
    assert said[1] == "Not everybody in the team has signed the charter."
    play.file(number, (Piece.REGISTRY,))
    with pytest.raises(UsageError, match="missing: 4"):
        play.take(number, "dan", Step.OPEN)


def test_a_match_to_the_claims_base_forces_authorisation_and_its_pieces(play: Play) -> None:
    number = play.propose()
    play.letter(number)
    play.submit(number, snds="1")
    route = play.project(number).route
    assert (route.formality, route.in_framework) == ("authorisation", False)
    assert {Piece.CESREES, Piece.CNIL, Piece.SNDS_SECURITY, Piece.HOSTING} <= set(route.pieces)


def test_amendments_are_answered_by_the_right_hand(play: Play, state: StateDatabase) -> None:
    number = play.to(Stage.OPEN)
    with pytest.raises(UsageError, match="changes nothing"):
        play.take(number, "lea", Step.AMEND, reason=REASON, variables_name=[], variables_code=[], variables_why=[])
    nothing: dict[str, list[str]] = {"variables_name": [], "variables_code": [], "variables_why": []}
    before = open_project(state, number).expires
    play.take(number, "lea", Step.AMEND, reason=REASON, months="6", **nothing)
    with pytest.raises(UsageError, match="answers for months alone"):
        play.take(number, "m1", Step.APPROVE, reason=REASON)
    with pytest.raises(UsageError, match="waits for its answer"):
        play.take(number, "lea", Step.AMEND, reason=REASON, months="6", **nothing)
    play.take(number, "dan", Step.GRANT, reason=REASON)
    assert 180 <= (open_project(state, number).expires - before).days <= 184
    more = {"variables_name": ["HbA1c"], "variables_code": ["LOINC:4548-4"], "variables_why": ["Tells diabetes apart"]}
    play.take(number, "lea", Step.AMEND, reason=REASON, **more)
    with pytest.raises(UsageError, match="The chair"):
        play.take(number, "dan", Step.GRANT, reason=REASON)
    assert len(open_project(state, number).variables) == 1
    play.take(number, "m1", Step.APPROVE, reason=REASON)
    assert [v.name for v in open_project(state, number).variables] == ["NT-proBNP", "HbA1c"]


def test_months_end_on_the_day_or_on_the_last_of_the_month() -> None:
    start = dt.datetime(2026, 1, 31, 9, tzinfo=dt.UTC)
    assert [_later(start, months).date().isoformat() for months in (1, 12, 13, 25)] == [
        "2026-02-28", "2027-01-31", "2027-02-28", "2028-02-29",
    ]  # fmt: skip


def test_a_call_has_its_own_circuit(play: Play) -> None:
    desk = play.desk("max")
    call = desk.publish("GIRCI 2027", today(), 3, 2, (("Originality", 10), ("Feasibility", 10)))
    few = play.propose(call=call)
    play.take(few, "lea", Step.ATTACH, cohort=play.cohort())
    assert lacking(play, "lea", few, Step.INTEND) == ("At least 3 sites take part.",)
    number = play.propose(sites="Rennes\nAngers\nNantes", call=call)
    play.letter(number)
    play.submit(number)
    play.take(number, "max", Step.ADVISE, opinion="favourable", text="Sound.")
    play.take(number, "max", Step.ASK, expert=["eve"], due="2099-01-01")
    with pytest.raises(UsageError, match="Each criterion of the call has its score"):
        play.take(number, "eve", Step.OPINE, opinion="favourable", text="Useful.", scores=[3, 11])
    play.take(number, "eve", Step.OPINE, opinion="favourable", text="Useful.", scores=[3, 9])
    assert play.project(number).experts[0].scores == (("Originality", 3), ("Feasibility", 9))
    assert lacking(play, "max", number, Step.CALL) == ("Outside opinions: 1 of 2.",)
    assert Piece.AGREEMENT in play.project(number).route.pieces


def test_a_letter_that_comes_after_the_deadline_is_not_taken(play: Play) -> None:
    call = play.desk("max").publish("Last year's", today() - dt.timedelta(days=1), 1, 0, ())
    number = play.propose(call=call)
    play.take(number, "lea", Step.ATTACH, cohort=play.cohort())
    with pytest.raises(UsageError, match="Letters of intent were due on"):
        play.take(number, "lea", Step.INTEND, letter="Late.")


def test_a_call_is_published_by_those_who_handle_projects_and_fits(play: Play) -> None:
    with pytest.raises(NotAllowed):
        play.desk("lea").publish("Mine", today(), 1, 0, ())
    with pytest.raises(UsageError, match="do not fit"):
        play.desk("max").publish("Odd", today(), 0, 0, ())
    play.desk("max").publish("Once", today(), 1, 0, ())
    with pytest.raises(UsageError, match="title of its own"):
        play.desk("max").publish("Once", today(), 1, 0, ())


def test_the_key_holder_sees_and_handles_but_neither_proposes_nor_votes(play: Play) -> None:
    number = play.to(Stage.COMMITTEE)
    owner = ProjectsDesk(play.state, play.settings, KEY_HOLDER)
    assert [card.project.number for card in owner.board()] == [number]
    for step in (Step.VOTE, Step.ACCEPT, Step.SIGN):
        with pytest.raises((NotAllowed, UsageError)):
            owner.take(number, step, {"vote": ["accept"], "reason": ["x"], "charter": ["1"]})
    assert owner.take(number, Step.ADJOURN, {"reason": ["No room."]}).stage is Stage.SUBMITTED


@pytest.mark.parametrize(
    ("step", "given", "said"),
    [
        (Step.SAY, {}, "The field text is empty."),
        (Step.SAY, {"text": ["x" * 10_001]}, "The field text is too long."),
        (Step.SIGN, {}, "The field charter is not ticked."),
        (Step.ATTACH, {"cohort": ["x"]}, "The field cohort has no such choice."),
        (Step.ATTACH, {"cohort": ["999"]}, "You have no such cohort."),
        (Step.WRITE, {"variables_name": ["a"]}, "The list of variables cannot be read."),
        (
            Step.DESCRIBE,
            {"title": ["T"], "sites": ["S"], "members": ["999"]},
            "Somebody chosen has no account for this.",
        ),
    ],
)
def test_a_form_that_does_not_fit_is_refused_in_a_sentence(
    play: Play, step: Step, given: dict[str, list[str]], said: str
) -> None:
    number = play.propose()
    if step is Step.WRITE:
        given = {"legal_basis": [""], "persons": ["none"], **given}
    with pytest.raises(UsageError, match=said):
        play.desk("lea").take(number, step, given)


def test_the_board_says_whose_turn_it_is(play: Play) -> None:
    def waited() -> set[str]:
        names = ("lea", "tom", "max", "dan", "dpo", "eve", "m1", "m2")
        return {name for name in names if any(card.mine for card in play.desk(name).board())}

    number = play.propose()
    assert waited() == set()
    play.take(number, "lea", Step.ATTACH, cohort=play.cohort())
    assert waited() == {"lea"}, "the letter may be sent"
    play.take(number, "lea", Step.INTEND, letter="We would like to know.")
    assert waited() == {"max", "dan"}
    play.take(number, "max", Step.PRESELECT, reason=REASON)
    play.submit(number)
    assert waited() == {"tom", "max", "dpo"}, "an advice, and a signature"
    play.judge_ready(number)
    play.call(number)
    assert {"m1", "m2"} <= waited() and "max" not in waited()
    play.vote(number, m2="accept")
    assert "m2" not in waited()
