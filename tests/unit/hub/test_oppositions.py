"""A refusal reaches the hub that holds data of the patient, and its word comes back: signed, within a day, or an alarm."""

from __future__ import annotations

import datetime as dt

import pytest
from pyroaring import BitMap
from tests.network_kit import Hospital, Network, add_hospital, network

from estran.hub.agent.opposing import hand_over, recipient, taken_back
from estran.hub.office import utc
from estran.hub.oppositions import NOTHING, Notice, Oppositions, beside
from estran.hub.wire import Refused
from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.opposition import declare
from estran.projects.rights import due, standing
from estran.release.rekey import ProjectKey
from estran.state import Wish

SPEC = '{"project": "2026-014", "name": "heart", "cohort": "CIM10:I50", "demographics": ["sex"]}'


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Network:
    folder = tmp_path_factory.mktemp("oppositions")
    made = network(folder)
    add_hospital(made, folder, "angers")
    return made


def hospital(net: Network) -> Hospital:
    site = net.places["angers"].site
    assert isinstance(site, Hospital)
    return site


def datamart(net: Network, project: str, *patients: int) -> int:
    """One that was built, as its row tells."""
    site = hospital(net)
    row = site.state.datamarts.reserve(
        project, "heart", "hub", site.snapshot().version, SPEC, "key-holder", utc() + dt.timedelta(days=9)
    )
    site.state.datamarts.finish(row.id, BitMap(patients).serialize(), "{}")
    return row.id


def number(net: Network, project: str, patient: int) -> str:
    return ProjectKey(project, hospital(net).secret(f"project:{project}")).pseudonyms([patient])[0]


def refuse(net: Network, patient: int) -> None:
    site = hospital(net)
    declare(site.state, site.warehouse, KEY_HOLDER, Wish(patient, "hub", "opposition", site.snapshot().date))


def desk(net: Network, actor: Actor = KEY_HOLDER) -> Oppositions:
    return Oppositions(hospital(net).state, net.house.book, actor)


def waiting(net: Network) -> list[Notice]:
    return beside(net.house.book).waiting()


def test_a_refusal_is_noted_obeyed_and_acknowledged(net: Network) -> None:
    place, site = net.places["angers"], hospital(net)
    with pytest.raises(UsageError, match="No datamart"):
        hand_over(place, 99)
    assert hand_over(place, datamart(net, "2026-014", 50, 51, 52)) == ("2026-014", 3)
    name = recipient(place, "2026-014")
    net.run("angers")
    assert beside(net.house.book).recent() == []  # nobody refused
    for patient in (50, 60):  # 50 was two numbers before, both sent; of 60 nothing was
        refuse(net, patient)
    net.run("angers")
    (notice,) = waiting(net)
    assert {one.id for one in notice.subjects} == {number(net, "2026-014", patient) for patient in (50, 51)}
    assert {one.project for one in notice.subjects} == {"2026-014"} and notice.what == "hide"
    assert dt.timedelta(hours=23) < notice.due - utc() <= dt.timedelta(hours=24)
    assert not notice.late(utc()) and notice.late(utc() + dt.timedelta(hours=25))
    told = {one.patient_id: one for one in site.state.rights.tombstones(name, owed=False)}
    assert told[60].outcome == NOTHING and told[50].acknowledged is None
    assert beside(net.house.book).waiting("2026-014") == [notice] and beside(net.house.book).waiting("2026-015") == []
    with pytest.raises(UsageError, match="Say which"):
        desk(net).done(notice.member, notice.number, " ")
    desk(net).done(notice.member, notice.number, "2 rows removed")
    assert [one.patient_id for one in due(site.state, name)] == [50]  # the site has not heard yet
    net.run("angers")
    assert due(site.state, name) == () and waiting(net) == []
    told = {one.patient_id: one for one in site.state.rights.tombstones(name, owed=False)}
    assert told[50].outcome == "2 rows removed" and standing(site.state).alarms == 0
    net.run("angers")
    assert len(desk(net).recent()) == 2
    taken_back(place, "2026-014")
    refuse(net, 52)
    assert due(site.state, name) == ()
    with pytest.raises(UsageError, match="Nothing was sent"):
        taken_back(place, "2026-014")


def test_a_notice_said_twice_changes_nothing_and_a_wrong_one_is_refused(net: Network) -> None:
    shelf, now = beside(net.house.book), utc().timestamp()
    one = {"number": 7_000, "what": "erase", "due": now - 1, "subjects": [{"project": "p", "id": "x"}]}
    assert shelf.take("brest", {"notices": [one]}, now) == [{"number": 7_000, "state": "noted", "outcome": ""}]
    assert shelf.take("brest", {"notices": [one | {"what": "restore"}]}, now)[0]["state"] == "noted"
    (kept,) = [notice for notice in waiting(net) if notice.number == 7_000]
    assert kept.what == "erase" and kept.late(utc())
    for wrong in (
        {"what": "forget"},
        {"number": "1"},
        {"subjects": [{"project": "p"}]},
        {"due": "soon"},
        {"due": "inf"},
        {"due": "nan"},
        {"due": 1e300},
        {"due": -1},
        {"number": 2**70},
    ):
        with pytest.raises(Refused):
            shelf.take("brest", {"notices": [one | {"number": 7_001} | wrong]}, now)
    with pytest.raises(Refused):
        shelf.take("brest", {"notices": "all"}, now)
    assert shelf.done([kept], "erased") == 1 and shelf.done([kept], "erased") == 0


def test_only_those_who_answer_for_rights_see_them(net: Network) -> None:
    assert desk(net, Actor("d", Role.DATA_PROTECTION_OFFICER, 1)).recent() is not None
    with pytest.raises(NotAllowed):
        desk(net, Actor("o", Role.HUB_OPERATOR, 2)).recent()


def test_a_hub_of_an_earlier_release_leaves_what_is_owed(net: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    place = net.places["angers"]
    hand_over(place, datamart(net, "2026-015", 70))
    refuse(net, 70)

    def unknown(*_: object) -> bytes:
        raise Refused("kind", "The hub knows no message of this kind.")

    monkeypatch.setattr("estran.hub.office.Office.opposition", unknown)
    net.run("angers")  # the round goes on
    assert len(due(hospital(net).state, recipient(place, "2026-015"))) == 1


def test_whoever_is_opposed_is_not_handed_over(net: Network) -> None:
    refuse(net, 80)
    with pytest.raises(UsageError, match="opposed to sharing"):
        hand_over(net.places["angers"], datamart(net, "2026-016", 80, 81))
    assert not [one for one in hospital(net).state.rights.recipients() if "2026-016" in one.name]
