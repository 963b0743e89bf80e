"""A linkage through the network: sites, unit, ids back; nobody learns more than is theirs."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from tests.network_kit import Network
from tests.unit.opposing import oppose

from estran.cohort.language.text import parse
from estran.hub.agent.ledger import Job, Ledger
from estran.hub.agent.matching import RECORDS, forget_run, hub_ids, ledger, send_records
from estran.hub.matching import Linkage, Linkages
from estran.hub.wire import File
from estran.identity.matching import RECORD
from estran.model.errors import NotAllowed, StoreError, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role

SITES = ("angers", "brest")


@pytest.fixture(scope="module")
def runs(net: Network) -> Linkages:
    return Linkages(net.house.book, net.house.folder)


def start(net: Network, runs: Linkages, actor: Actor = KEY_HOLDER, text: str = "âge>=0") -> str:
    site = net.places["angers"].site
    assert site is not None
    return runs.start(site.state, actor, "INSUF", parse(text))


def approve(net: Network) -> None:
    for name in SITES:
        held = Ledger(net.places[name].folder)
        for one in held.held():
            if one.state == "approval":
                held.decide(one.job.id, yes=True)
        held.close()


def whole(net: Network, runs: Linkages) -> Linkage:
    run = start(net, runs)
    net.run(*SITES)
    approve(net)
    for members in (SITES, ("linkage",), SITES):
        net.run(*members)
        runs.advance(run)
    return runs.stand(run)


def test_sites_get_ids_that_are_the_same_for_a_patient_of_both(net: Network, runs: Linkages) -> None:
    found = whole(net, runs)
    assert found.state == "done" and found.sites == dict.fromkeys(SITES, "told") and found.result is not None
    angers, brest = (hub_ids(net.places[name], found.id) for name in SITES)
    assert np.all(np.diff(angers.patients) > 0) and len(angers.patients) == len(brest.patients)
    same = {bytes(one) for one in angers.ids} & {bytes(one) for one in brest.ids}
    common = int((angers.patients < 300).sum())  # of the invented network
    assert len(same) == common and bytes(angers.ids[0]) == bytes(brest.ids[0])
    (pair,) = found.result["shared"]
    assert abs(pair["value"] - common) <= 80 and pair["margin"] == 32  # protected
    # What the hub carried is gone; the unit's ledger says what was done, and its jobs hold nothing.
    held = net.house.book.db.rows("SELECT f.name FROM file f JOIN job j ON j.id = f.job WHERE j.kind = 'link-records'")
    assert not held and not net.house.book.db.rows("SELECT 1 FROM file WHERE name = ?", (RECORDS,))
    (line,) = [one for one in ledger(net.places["linkage"].folder) if one["id"] == found.id]
    assert line["sites"] == "angers,brest" and line["records"] == len(angers.patients) * 2 and line["deleted"]
    unit = Ledger(net.places["linkage"].folder)
    assert not unit.db.rows("SELECT 1 FROM file f JOIN job j ON j.id = f.job WHERE j.kind = 'link-records'")
    unit.close()
    forget_run(net.places["angers"], found.id)
    with pytest.raises(UsageError):
        hub_ids(net.places["angers"], found.id)


def test_a_site_waits_for_a_yes_and_its_no_stops_a_linkage_of_two(net: Network, runs: Linkages) -> None:
    run = start(net, runs)
    net.run(*SITES)
    assert runs.stand(run).state == "asked" and "yes" in runs.stand(run).sites["angers"]
    held = Ledger(net.places["angers"].folder)
    (waiting,) = [one for one in held.held() if one.state == "approval"]
    assert held.decide(waiting.job.id, yes=False, said="Not agreed.")
    held.close()
    net.run("angers")
    assert runs.stand(run).state == "stopped" and runs.stand(run).sites["angers"] == "Not agreed."
    approve(net)


def job(net: Network, text: str = "âge>=0", run: str = "abc") -> Job:
    from estran.cohort.language import json as question_json

    return Job("1" * 32, "linkage", {"run": run, "cohort": question_json.to_object(parse(text))})


def test_what_leaves_a_site_opens_at_the_unit_only_and_tells_no_exact_number(net: Network) -> None:
    place = net.places["angers"]
    (sealed,) = send_records(place, job(net)).files
    with pytest.raises(UsageError):
        place.identity.unseal(sealed.data, f"{place.membership.network}/abc/matching")
    plain = net.places["linkage"].identity.unseal(sealed.data, f"{place.membership.network}/abc/matching")
    assert (len(plain) - 88) % (512 * RECORD.itemsize) == 0
    with pytest.raises(StoreError):
        hub_ids(place, "abc")


def test_opposed_patients_and_small_sets_stay(net: Network) -> None:
    place = net.places["brest"]
    assert place.site is not None
    send_records(place, job(net))
    before = len(_patients(net))
    oppose(place.site.warehouse, 5, "hub", dt.date(2020, 1, 1))
    send_records(place, job(net))
    assert len(_patients(net)) == before - 1
    with pytest.raises(NotAllowed):
        send_records(place, job(net, "âge>=200"))


def _patients(net: Network) -> np.ndarray:
    from estran.hub.agent.matching import _kept

    return _kept(net.places["brest"], "abc").patients


def test_ids_of_another_sending_are_not_taken(net: Network, runs: Linkages) -> None:
    """A job done twice would bring ids in the order of the first sending."""
    from estran.hub.agent.matching import keep_ids, match

    places = [net.places[name] for name in SITES]
    sent = [
        File(f"{RECORDS}/{name}", send_records(place, job(net, run="twice")).files[0].data)
        for name, place in zip(SITES, places, strict=True)
    ]
    answer = match(net.places["linkage"], Job("2" * 32, "link-records", {"run": "twice"}, files=tuple(sent)))
    back = {one.name: File("ids", one.data) for one in answer.files}
    send_records(places[0], job(net, run="twice"))
    with pytest.raises(UsageError, match="not those"):
        keep_ids(places[0], Job("3" * 32, "linkage-ids", {"run": "twice"}, files=(back["ids/angers"],)))
    assert keep_ids(places[1], Job("4" * 32, "linkage-ids", {"run": "twice"}, files=(back["ids/brest"],))).state == "ok"


def test_only_who_runs_the_hub_starts_a_linkage_and_never_of_listed_patients(net: Network, runs: Linkages) -> None:
    with pytest.raises(NotAllowed):
        start(net, runs, Actor("rita", Role.RESEARCHER, 1))
    with pytest.raises(UsageError):
        start(net, runs, text="patients(1, 2)")
