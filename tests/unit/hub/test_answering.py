"""A question from the hub to its sites and back: once, whatever breaks; by each site's own rules."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from tests.network_kit import Network
from tests.unit.opposing import oppose

from estran.cohort.language.text import parse
from estran.hub.agent.membership import Channel
from estran.hub.agent.rules import Rules, SiteRules, read_rules
from estran.hub.desk import HubDesk
from estran.hub.gathering import Gathered, advance, gather
from estran.hub.office import utc
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.desk import Desk
from estran.projects.network import NetworkClerk
from estran.state import AuditFilter

HEART = "CIM10:I10"


def desk(net: Network, actor: Actor = KEY_HOLDER) -> HubDesk:
    site = net.places["angers"].site
    assert site is not None
    return HubDesk(site.state, net.house.book, actor)  # any state will do for the audit of the hub


def ask(net: Network, text: str = HEART, *sites: str) -> str:
    return desk(net).ask(parse(text), sites=sites)


def stand(net: Network, question: str) -> Gathered:
    return gather(net.house.book, question)


def states(net: Network, question: str) -> dict[str, str]:
    return {site.member: site.state for site in stand(net, question).sites}


class Torn(Channel):
    """A way to the hub that loses the reply to the messages on one path, once."""

    def __init__(self, way: Channel, path: str) -> None:
        self._way, self._path, self.torn = way, path, False

    def carry(self, path: str, data: bytes) -> bytes:
        reply = self._way.carry(path, data)
        if path.startswith(self._path) and not self.torn:
            self.torn = True
            raise ConnectionError("the cable was cut")
        return reply


def test_distinct_patients_of_two_sites_are_not_their_sum(net: Network) -> None:
    question = ask(net, "âge>=0")
    net.run("angers", "brest")
    assert advance(net.house.book, question) and advance(net.house.book, question) is None
    net.run("linkage")
    found = stand(net, question)
    assert found.settled and found.total.method == "linkage" and found.total.shown is not None
    value, margin = found.total.shown.value, found.total.shown.margin
    # 300 in common and 100 of each; the sum is 800.
    assert abs(value - 500) <= 3 * margin and (found.total.low, found.total.high) == (value - margin, value + margin)
    assert all(site.shown is not None and abs(site.shown.value - 400) <= 60 for site in found.sites)


@pytest.mark.usefixtures("in_no_hurry")
def test_answers_come_as_they_come_and_nothing_is_added_up_meanwhile(net: Network) -> None:
    question = ask(net)
    assert (
        states(net, question) == {"angers": "waiting", "brest": "waiting"}
        and stand(net, question).total.method == "none"
    )
    net.run("angers")
    assert (
        states(net, question) == {"angers": "answered", "brest": "waiting"}
        and stand(net, question).total.method == "one"
    )
    net.run("brest")
    total = stand(net, question).total
    assert total.method == "bounds" and total.shown is None and total.low < total.high


def test_late_down_and_expired_are_told_apart(net: Network) -> None:
    question = ask(net, HEART, "brest")
    start = net.house.book.jobs(question)[0].created
    later = [gather(net.house.book, question, lambda s=s: start + s).sites[0].state for s in (1, 10, 600, 8 * 86_400)]
    assert later == ["waiting", "late", "down", "expired"]
    net.run("brest")


def test_the_same_question_gets_the_same_count(net: Network) -> None:
    found = []
    for _ in range(2):
        question = ask(net, HEART, "brest")
        net.run("brest")
        found.append(stand(net, question).sites[0].shown)
    assert found[0] == found[1]


@pytest.mark.parametrize("path", ["/task/nextjob", "/task/result"])
def test_a_cut_in_the_middle_loses_nothing_and_doubles_nothing(net: Network, path: str) -> None:
    question = ask(net, HEART, "brest")
    torn = Torn(net.local(), path)
    agent = net.agent("brest", torn)
    for _ in range(2):
        try:
            agent.once()
        except ConnectionError:
            continue
    agent.close()
    assert torn.torn and states(net, question) == {"brest": "answered"}
    (job,) = net.house.book.jobs(question, "count")
    assert net.house.book.answer("brest", job.id, "ok", "", {"count": 1}, (), 0.0) == "other"
    assert net.house.book.jobs(question)[0].answer["count"] != 1  # the first answer stays


def test_killed_after_taking_a_job_the_agent_does_it_when_it_comes_back(net: Network) -> None:
    question = ask(net, HEART, "brest")
    killed = net.agent("brest")
    assert killed._fetch(0.0)  # on disk, not done
    killed.close()
    net.run("brest")
    assert states(net, question) == {"brest": "answered"}


def test_a_clock_a_day_off_is_put_right_by_the_hub(net: Network) -> None:
    question = ask(net, HEART, "brest")
    agent = net.agent("brest", clock=lambda: utc() - dt.timedelta(days=1))
    agent.once()
    assert states(net, question) == {"brest": "answered"} and agent.ledger.offset == pytest.approx(86_400, abs=5)
    agent.close()
    net.run("brest")  # and back again
    assert net.agent("brest").ledger.offset == pytest.approx(0, abs=5)


def test_a_site_restored_from_a_backup_goes_on_where_the_hub_is(net: Network) -> None:
    net.run("brest")
    agent = net.agent("brest")
    agent.ledger.db.write("UPDATE counter SET value = 1 WHERE name = 'sent'")
    question = ask(net, HEART, "brest")
    agent.once()
    agent.close()
    assert states(net, question) == {"brest": "answered"}


def test_a_kind_from_a_later_release_is_answered_honestly(net: Network) -> None:
    now = utc().timestamp()
    job = net.house.book.add_job(None, "brest", "telepathy", {}, now, now + 60)
    net.run("brest")
    (found,) = (net.house.book.db.one("SELECT state, said FROM job WHERE id = ?", (job,)),)
    assert found["state"] == "unsupported" and "telepathy" in found["said"] and "count" in found["said"]


def test_a_question_that_this_release_cannot_read_is_answered_honestly(net: Network) -> None:
    now = utc().timestamp()
    job = net.house.book.add_job(
        None, "brest", "count", {"cohort": {"version": 1, "query": {"type": "later"}}}, now, now + 60
    )
    net.run("brest")
    found = net.house.book.db.one("SELECT state FROM job WHERE id = ?", (job,))
    assert found is not None and found["state"] == "unsupported"


@pytest.mark.usefixtures("in_no_hurry")
def test_trouble_of_a_site_passes_and_is_no_answer(net: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    question = ask(net, "âge>=40", "brest")
    with monkeypatch.context() as broken:
        broken.setattr(NetworkClerk, "count", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        net.run("brest")
        assert states(net, question) == {"brest": "waiting"}
    net.run("brest")
    assert states(net, question) == {"brest": "answered"}


def with_rules(net: Network, rules: SiteRules, member: str = "brest") -> Network:
    places = net.places | {member: dataclasses.replace(net.places[member], given=rules)}
    return dataclasses.replace(net, places=places)


def test_a_site_refuses_what_its_rules_refuse(net: Network) -> None:
    question = ask(net)
    with_rules(net, SiteRules(Rules(answer=()))).run("brest")
    assert states(net, question)["brest"] == "refused"
    net.run("angers")


def test_a_site_may_want_to_say_yes_each_time(net: Network) -> None:
    strict = with_rules(net, SiteRules(Rules(answer=(), approve=("count",))))
    yes, no = ask(net, HEART, "brest"), ask(net, "CIM10:E11", "brest")
    strict.run("brest")
    assert states(net, yes) == states(net, no) == {"brest": "approval"}
    agent = strict.agent("brest")
    waiting = {held.job.question: held.job.id for held in agent.ledger.held() if held.state == "approval"}
    assert agent.ledger.decide(waiting[yes], yes=True) and agent.ledger.decide(waiting[no], yes=False, said="Not now.")
    assert not agent.ledger.decide(waiting[no], yes=True)
    agent.once()
    agent.close()
    assert states(net, yes) == {"brest": "answered"} and states(net, no) == {"brest": "refused"}
    assert stand(net, no).sites[0].said == "Not now."


def test_an_entity_answers_for_its_own_units_or_not_at_all(net: Network) -> None:
    entities = (("Cardiology", Rules(units=("CARD",))), ("Emergencies", Rules(answer=(), units=("URG",))))
    question = ask(net, "âge>=0", "brest")
    with_rules(net, SiteRules(Rules(), entities)).run("brest")
    (site,) = stand(net, question).sites
    assert [(one["name"], one["status"]) for one in site.entities] == [("Cardiology", "ok"), ("Emergencies", "refused")]
    assert site.shown is not None and 0 < site.shown.value < 380


def test_a_higher_floor_than_the_sites_own_is_kept(net: Network) -> None:
    question = ask(net, HEART, "brest")
    with_rules(net, SiteRules(Rules(floor=10_000))).run("brest")
    (site,) = stand(net, question).sites
    assert site.shown is not None and (site.shown.value, site.shown.below) == (0, 10_000)


def test_few_patients_are_never_told(net: Network) -> None:
    question = ask(net, "CIM10:E85", "brest")
    net.run("brest")
    (site,) = stand(net, question).sites
    assert site.shown is not None and site.shown.below == 10 and site.unknown == ()
    assert net.house.book.jobs(question)[0].answer["count"] == 0


def test_a_code_that_a_site_does_not_know_is_said_with_its_answer(net: Network) -> None:
    question = ask(net, "CIM10:Z99.9")
    net.run("angers", "brest")
    advance(net.house.book, question)
    net.run("linkage")
    found = stand(net, question)
    assert {site.unknown for site in found.sites} == {("CIM10:Z99.9",)}
    assert found.total.shown is not None and (found.total.low, found.total.high) == (0, 9)


def test_each_question_is_in_the_audit_trail_of_the_site_before_it_runs(net: Network) -> None:
    question = ask(net, HEART, "brest")
    net.run("brest")
    site = net.places["brest"].site
    assert site is not None
    lines = site.state.audit.find(AuditFilter(action="hub-count"), 1, 0)
    assert lines[0].login.startswith("hub:essai") and question in lines[0].target and lines[0].allowed


def test_numbers_of_patients_are_never_asked_of_a_network(net: Network) -> None:
    with pytest.raises(UsageError, match="cannot list"):
        ask(net, "PATIENTS(1, 2, 3)")


def test_whoever_may_not_ask_is_refused(net: Network) -> None:
    for role in (Role.VIEWER, Role.INDUSTRIAL_PARTNER, Role.ADMINISTRATOR, Role.HUB):
        with pytest.raises(NotAllowed):
            desk(net, Actor("x", role, 1)).ask(parse(HEART))
    researcher = desk(net, Actor("x", Role.RESEARCHER, 1))
    theirs = ask(net, HEART, "brest")
    with pytest.raises(NotAllowed):
        researcher.look(theirs)
    with pytest.raises(NotAllowed):
        researcher.withdraw("brest")
    net.run("brest")


def test_whoever_opposes_sharing_is_there_for_no_hub(net: Network) -> None:
    place = net.places["angers"]
    assert place.room is not None and place.site is not None
    before = len(place.room.view(frozenset({"hub"})).snapshot.population())
    oppose(place.site.warehouse, 7, "hub", dt.date(2024, 1, 1))
    assert len(place.room.view(frozenset({"hub"})).snapshot.population()) == before - 1
    assert Desk(place.room, KEY_HOLDER).holdings().patients.value == before


def test_the_linkage_unit_answers_for_ever_more_sites_only(net: Network) -> None:
    question = ask(net, "âge>=0")
    net.run("angers", "brest")
    advance(net.house.book, question)
    net.run("linkage")
    (job,) = net.house.book.jobs(question, "link")
    files = net.house.book.files(job.id, "job")
    now = utc().timestamp()
    for chosen in (files[:1], (files[0], files[0])):
        again = net.house.book.add_job(question, "linkage", "link", {"sites": []}, now, now + 60, chosen)
        net.run("linkage")
        found = net.house.book.db.one("SELECT state FROM job WHERE id = ?", (again,))
        assert found is not None and found["state"] == "refused"


def test_the_hub_cannot_read_what_is_sealed_to_the_linkage_unit(net: Network) -> None:
    question = ask(net, "âge>=0", "brest")
    net.run("brest")
    (job,) = net.house.book.jobs(question, "tokens")
    sealed = net.house.book.files(job.id, "answer")[0].data[96:]
    with pytest.raises(UsageError, match="does not open"):
        net.house.identity.unseal(sealed, f"{net.office.network}/{question}/tokens")
    unit = net.places["linkage"].identity
    assert len(unit.unseal(sealed, f"{net.office.network}/{question}/tokens")) == 32 + 8 + 32 * 512
    with pytest.raises(UsageError, match="does not open"):
        unit.unseal(sealed, f"{net.office.network}/another/tokens")


def test_rules_are_read_as_written_and_refused_when_they_make_no_sense(net: Network, tmp_path: object) -> None:
    folder = net.places["brest"].folder
    assert read_rules(folder) == SiteRules()
    path = folder.parent.parent.parent / "rules.toml"
    path.write_text('answer = ["count"]\n[entity."Port"]\nunits = ["P"]\nfloor = 20\n')
    assert read_rules(path.parent).entities == (("Port", Rules(answer=("count",), units=("P",), floor=20)),)
    for wrong in ("floor = 3", "answer = 1", "nosuch = 1", "answer = ["):
        path.write_text(wrong)
        with pytest.raises(UsageError):
            read_rules(path.parent)
