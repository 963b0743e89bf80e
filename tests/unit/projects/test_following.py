"""Stars, shares and questions that the clock asks again: decided and recorded each time, told through the gate."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyroaring import BitMap
from tests.browser.small_site import Site, build

from estran.cohort.language.text import parse
from estran.cohort.query import IdList
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import Actor, Role
from estran.projects.desk import Desk, ReadingRoom
from estran.projects.following import Every, NewsKind, run_due
from estran.state.transactions import now

HEART = parse("CIM10:I50")
LATER = dt.timedelta(days=8)


@dataclass
class World:
    site: Site
    room: ReadingRoom

    def desk(self, role: Role) -> Desk:
        account = self.site.state.accounts.find(str(role))
        assert account
        return Desk(self.room, Actor.of(account))

    def saved(self, desk: Desk, query: object = HEART, name: str = "heart") -> int:
        return desk.save(name, query, "").cohort_id  # type: ignore[arg-type]

    def forget(self, cohort_id: int, patients: int) -> None:
        """As if so many of those told of had come since."""
        (one,) = self.site.state.following.of([cohort_id]).values()
        kept = BitMap(list(BitMap.deserialize(one.members))[patients:])
        self.site.state.following.ran(
            cohort_id, next_run=now() - dt.timedelta(seconds=1), version_id=one.version_id, members=bytes(kept.serialize())
        )

    def kept(self, cohort_id: int) -> int:
        return len(BitMap.deserialize(self.site.state.following.of([cohort_id])[cohort_id].members))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    site = build(tmp_path, language="en", patients=60)
    yield World(site, ReadingRoom(site))
    site.state.close()


def test_the_first_run_notes_who_is_there_and_tells_nothing(world: World) -> None:
    desk = world.desk(Role.RESEARCHER)
    number = world.saved(desk)
    desk.every_day.follow(number, Every.DAILY)
    assert run_due(world.room) == 1
    assert run_due(world.room) == 0, "not before tomorrow"
    assert desk.every_day.notices() == []
    assert world.kept(number) > 0
    lines = [(line.login, line.action, line.allowed) for line in world.site.state.audit.latest(2)]
    assert lines == [("researcher", "count", True), ("researcher", "follow", True)]


@pytest.mark.parametrize(("role", "new", "told"), [
    (Role.RESEARCHER, 0, False), (Role.RESEARCHER, 3, False), (Role.RESEARCHER, 15, True),
    (Role.METHODOLOGIST, 0, False), (Role.METHODOLOGIST, 3, True), (Role.METHODOLOGIST, 15, True),
])  # fmt: skip
def test_new_patients_are_told_through_the_gate(world: World, role: Role, new: int, told: bool) -> None:
    desk = world.desk(role)
    number = world.saved(desk)
    desk.every_day.follow(number, Every.WEEKLY)
    run_due(world.room)
    everybody = world.kept(number)
    world.forget(number, new)
    run_due(world.room)
    notices = desk.every_day.notices()
    assert [one.kind for one in notices] == [NewsKind.NEW] * told
    assert world.kept(number) == (everybody if told or not new else everybody - new)
    if told:
        assert (notices[0].below == 10) is (new < 10)
        assert notices[0].margin > 0 or notices[0].below
    assert desk.every_day.unread() == told
    desk.every_day.see()
    assert desk.every_day.unread() == 0


def test_few_new_patients_wait_until_they_are_many(world: World) -> None:
    desk = world.desk(Role.RESEARCHER)
    number = world.saved(desk)
    desk.every_day.follow(number, Every.DAILY)
    run_due(world.room)
    for batch, told in ((6, 0), (6, 1)):
        world.forget(number, batch)
        run_due(world.room)
        assert desk.every_day.unread() == told


def test_another_version_is_another_question(world: World) -> None:
    desk = world.desk(Role.METHODOLOGIST)
    number = world.saved(desk, parse("CIM10:E85"))
    desk.every_day.follow(number, Every.DAILY)
    run_due(world.room)
    assert world.saved(desk) == number
    run_due(world.room, now() + LATER)
    assert desk.every_day.notices() == []
    assert world.kept(number) > 0


@pytest.mark.parametrize("how", ["role", "disabled"])
def test_a_run_stops_and_says_so_when_the_owner_lost_the_right(world: World, how: str) -> None:
    desk = world.desk(Role.RESEARCHER)
    number = world.saved(desk)
    desk.every_day.follow(number, Every.DAILY)
    account = desk.actor.account_id
    assert account is not None
    world.site.state.accounts.change(account, **({"role": "viewer"} if how == "role" else {"disabled": True}))
    run_due(world.room)
    assert world.site.state.following.of([number]) == {}
    (told,) = world.site.state.news.recent(account)
    assert told.kind == NewsKind.STOPPED
    assert "does not include 'follow'" in told.said or "disabled" in told.said
    assert not world.site.state.audit.latest(1)[0].allowed


def test_a_used_up_quota_puts_the_run_off_and_keeps_the_baseline(world: World) -> None:
    desk = world.desk(Role.RESEARCHER)
    number = world.saved(desk)
    desk.every_day.follow(number, Every.DAILY)
    run_due(world.room)
    world.forget(number, 15)
    before = world.kept(number)
    object.__setattr__(world.site.settings, "count_quota", 0)
    run_due(world.room)
    one = world.site.state.following.of([number])[number]
    assert "used up" in one.problem
    assert now() < one.next < now() + dt.timedelta(hours=2)
    assert world.kept(number) == before


def test_only_the_owner_follows_and_shares(world: World) -> None:
    number = world.saved(world.desk(Role.RESEARCHER))
    other = world.desk(Role.CLINICIAN).every_day
    with pytest.raises(NotAllowed, match="Only the owner"):
        other.follow(number, "daily")
    with pytest.raises(NotAllowed, match="Only the owner"):
        other.share(number, "viewer", "")
    with pytest.raises(UsageError):
        other.star(number, True)


def test_a_shared_cohort_is_opened_by_those_it_is_shared_with(world: World) -> None:
    owner, reader = world.desk(Role.RESEARCHER), world.desk(Role.CLINICIAN)
    version = owner.save("heart", HEART, "")
    with pytest.raises(NotAllowed, match="another person"):
        reader.version(version.id)
    owner.every_day.share(version.cohort_id, "clinician", "")
    assert reader.version(version.id) is not None
    assert [(n.kind, n.said) for n in reader.every_day.notices()] == [(NewsKind.SHARED, "heart")]
    assert [card.cohort.name for card in reader.every_day.shared_with_me()] == ["heart"]
    with pytest.raises(NotAllowed):
        world.desk(Role.TEACHER).version(version.id)
    (card,) = owner.every_day.mine()
    owner.every_day.unshare(version.cohort_id, card.shares[0].id)
    owner.every_day.share(version.cohort_id, "", "teacher")
    assert world.desk(Role.TEACHER).version(version.id) is not None
    with pytest.raises(NotAllowed):
        reader.version(version.id)
    owner.archive(version.cohort_id)
    assert world.desk(Role.TEACHER).every_day.shared_with_me() == []


def test_a_shared_list_of_patients_opens_to_readers_only(world: World) -> None:
    owner = world.desk(Role.METHODOLOGIST)
    version = owner.save("list", IdList((1, 2, 3)), "")
    owner.every_day.share(version.cohort_id, "researcher", "")
    owner.every_day.share(version.cohort_id, "dim_physician", "")
    with pytest.raises(NotAllowed, match="listed patients"):
        world.desk(Role.RESEARCHER).version(version.id)
    assert world.desk(Role.DIM_PHYSICIAN).version(version.id) is not None


def test_stars_come_first(world: World) -> None:
    desk = world.desk(Role.RESEARCHER)
    first = world.saved(desk)
    world.saved(desk, parse("CIM10:E11"), "diabetes")
    desk.every_day.star(first, True)
    assert [(card.cohort.name, card.starred) for card in desk.every_day.mine()] == [("heart", True), ("diabetes", False)]
    desk.every_day.star(first, False)
    assert not any(card.starred for card in desk.every_day.mine())


@pytest.mark.parametrize(("login", "role"), [("", ""), ("clinician", "teacher"), ("nobody", ""), ("", "king"), ("researcher", "")])
def test_a_share_names_one_colleague_or_one_role(world: World, login: str, role: str) -> None:
    desk = world.desk(Role.RESEARCHER)
    number = world.saved(desk)
    with pytest.raises(UsageError):
        desk.every_day.share(number, login, role)
    assert desk.every_day.mine()[0].shares == ()
