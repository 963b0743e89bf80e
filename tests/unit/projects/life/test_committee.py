"""The committee: who is called, conflicts of interest, quorum, votes, and what each may see."""

from __future__ import annotations

import pytest
from tests.unit.projects.life.play import REASON, Play, lacking, steps

from estran.model.errors import NotAllowed, UsageError
from estran.projects.life.machine import Stage, Step
from estran.projects.life.project import Session, Vote


@pytest.fixture
def number(play: Play) -> str:
    return play.to(Stage.COMMITTEE)


def test_a_member_in_conflict_neither_votes_nor_sees_nor_counts(play: Play, number: str) -> None:
    play.vote(number, m1="accept", m2="accept")
    play.take(number, "m5", Step.DECLARE, conflict="1", reason="We publish together.")
    with pytest.raises(NotAllowed, match="neither sees the vote nor takes part in it"):
        play.take(number, "m5", Step.VOTE, vote="accept", reason=REASON)
    with pytest.raises(NotAllowed):
        play.take(number, "m5", Step.DECLARE)
    seen = play.desk("m5").sheet(number)
    assert seen is not None and not seen.sight.votes
    assert {(vote.vote, vote.reason, vote.account_id) for vote in seen.project.sessions[0].votes} == {("", "", 0)}
    assert seen.project.experts == () and steps(play, "m5", number) == set()
    assert seen.project.sessions[0].sitting == tuple(play.id[f"m{n}"] for n in range(1, 5))
    assert lacking(play, "m1", number, Step.ACCEPT)[0] == "The quorum is not reached: 2 of 3 votes."


def test_the_votes_are_seen_by_those_who_vote_alone(play: Play, number: str) -> None:
    play.vote(number, m1="accept", m2="refuse")
    for name, sees in {"m1": True, "m3": False, "lea": False, "dan": False, "eve": False}.items():
        sheet = play.desk(name).sheet(number)
        assert sheet is not None
        assert sheet.sight.votes is sees, name
        assert ("accept" in [vote.vote for vote in sheet.project.sessions[0].votes]) is sees, name
        told = [event.login for event in sheet.history if event.step == "vote"]
        assert told == (["m1", "m2"] if sees else ["", ""]), name
        assert all(event.body == {} for event in sheet.history)


def test_interests_are_declared_before_voting_and_one_votes_once(play: Play, number: str) -> None:
    with pytest.raises(UsageError, match="Declare your interests first"):
        play.take(number, "m2", Step.VOTE, vote="accept", reason=REASON)
    with pytest.raises(UsageError, match="ticked and explained"):
        play.take(number, "m2", Step.DECLARE, conflict="1")
    play.vote(number, m2="accept")
    with pytest.raises(UsageError, match="You have voted"):
        play.take(number, "m2", Step.VOTE, vote="refuse", reason=REASON)


def test_a_conflict_that_comes_to_light_takes_the_vote_back(play: Play, number: str) -> None:
    play.vote(number, m2="accept")
    play.take(number, "m2", Step.DECLARE, conflict="1", reason="I forgot: my former student.")
    session = play.project(number).sessions[0]
    assert session.votes == () and session.conflicted == (play.id["m2"],)


def test_only_the_chair_concludes_and_as_the_votes_say(play: Play, number: str) -> None:
    play.vote(number, m1="accept", m2="conditions", m3="conditions", m4="refuse")
    with pytest.raises(NotAllowed, match="Only those who were called"):
        play.take(number, "m2", Step.CONDITION, reason=REASON, conditions="Say who funds it")
    for step in (Step.ACCEPT, Step.REFUSE):
        with pytest.raises(UsageError, match="The votes say otherwise"):
            play.take(number, "m1", step, reason=REASON)
    play.take(number, "m1", Step.CONDITION, reason=REASON, conditions="Say who funds it\nAdd a statistician")
    with pytest.raises(UsageError, match="A condition is not lifted"):
        play.take(number, "max", Step.CONFIRM)
    for place in (1, 2):
        play.take(number, "max", Step.LIFT, condition=place, proof="Letter of 3 March")
    assert play.take(number, "max", Step.CONFIRM).stage is Stage.ACCEPTED


def test_a_chair_in_conflict_does_not_conclude_another_session_does(play: Play, number: str) -> None:
    play.vote(number, m2="accept", m3="accept", m4="accept")
    play.take(number, "m1", Step.DECLARE, conflict="1", reason="My sister's project.")
    with pytest.raises(NotAllowed, match="conflict of interest"):
        play.take(number, "m1", Step.ACCEPT, reason=REASON)
    play.take(number, "max", Step.ADJOURN, reason="The chair stood down.")
    five = [f"m{n}" for n in range(1, 6)]
    again = play.take(number, "max", Step.CALL, day="2099-03-01", members=five, chair="m2", quorum=3)
    assert again.session is not None and again.session.votes == ()


def test_a_session_is_called_with_enough_people_none_of_the_team(play: Play) -> None:
    number = play.to(Stage.EXPERTISE)
    wrong = {
        "The chair is one": {"members": ["m1", "m2"], "chair": "m3", "quorum": 2},
        "The quorum is at least two": {"members": ["m1", "m2"], "chair": "m1", "quorum": 3},
        "Somebody chosen has no account": {"members": ["m1", "eve"], "chair": "m1", "quorum": 2},
    }
    for said, given in wrong.items():
        with pytest.raises(UsageError, match=said):
            play.take(number, "max", Step.CALL, day="2099-02-01", **given)


def test_an_expert_answers_once_or_stands_down(play: Play) -> None:
    number = play.to(Stage.SUBMITTED)
    play.take(number, "max", Step.ASK, expert=["eve"], due="2099-01-01")
    assert steps(play, "eve", number) == {Step.OPINE, Step.RECUSE}
    play.take(number, "eve", Step.RECUSE, text="I worked with them.")
    with pytest.raises(NotAllowed, match="conflict of interest"):
        play.take(number, "eve", Step.OPINE, opinion="favourable", text="Still.")
    with pytest.raises(UsageError, match="This expert has answered"):
        play.take(number, "max", Step.ASK, expert=["eve"], due="2099-01-01")
    play.take(number, "max", Step.ADVISE, opinion="favourable", text="Sound.")
    assert lacking(play, "max", number, Step.CALL) == ("Outside opinions: 0 of 1.",)


def test_the_team_reads_opinions_once_decided_and_never_whose(play: Play, number: str) -> None:
    before = play.desk("lea").sheet(number)
    assert before is not None and before.project.experts == ()
    play.accept(number)
    after = play.desk("lea").sheet(number)
    assert after is not None
    assert [(one.account_id, one.text) for one in after.project.experts] == [(0, "Useful.")]
    assert "eve" not in [event.login for event in after.history]
    assert after.project.decision is not None and after.project.decision.reason == REASON


@pytest.mark.parametrize(
    ("votes", "result"),
    [
        ("", Stage.REFUSED),
        ("accept refuse", Stage.REFUSED),
        ("accept accept refuse", Stage.ACCEPTED),
        ("accept conditions refuse", Stage.CONDITIONS),
        ("accept accept conditions refuse", Stage.ACCEPTED),
        ("conditions conditions accept refuse refuse", Stage.CONDITIONS),
        ("accept abstain abstain abstain abstain", Stage.ACCEPTED),
        ("refuse refuse accept abstain", Stage.REFUSED),
    ],
)
def test_what_the_votes_say(votes: str, result: Stage, play: Play) -> None:
    day = play.desk("lea").today
    session = Session(day, (1, 2, 3, 4, 5), 1, 3, votes=tuple(Vote(n, v, "") for n, v in enumerate(votes.split())))
    assert session.result is result
