"""A linkage through the network: sites, unit, ids back; nobody learns more than is theirs."""

from __future__ import annotations

import datetime as dt
import hmac
from dataclasses import replace

import numpy as np
import pytest
from ahocorasick_rs import BytesAhoCorasick
from tests.browser.small_site import PATIENTS
from tests.network_kit import KEY, Hospital, Network, invented
from tests.unit.opposing import oppose

from estran.cohort.language import json as question_json
from estran.cohort.language.text import parse
from estran.hub.agent import parcel
from estran.hub.agent.ledger import Job, Ledger
from estran.hub.agent.matching import RECORDS, _kept, forget_run, hub_ids, keep_ids, ledger, match, send_records
from estran.hub.agent.membership import Local
from estran.hub.governance import CharterKind, Sight, beside
from estran.hub.matching import Linkage, Linkages, seen
from estran.hub.office import answer_to
from estran.hub.wire import File
from estran.identity import french
from estran.identity.matching import RECORD, Rows
from estran.identity.traits import birth, winner
from estran.model.errors import NotAllowed, StoreError, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.state import AuditFilter

SITES = ("angers", "brest")


@pytest.fixture(scope="module")
def runs(net: Network) -> Linkages:
    return Linkages(net.house.book, net.house.folder)


def start(net: Network, runs: Linkages, actor: Actor = KEY_HOLDER, text: str = "âge>=0", allowed: str = "") -> str:
    site = net.places["angers"].site
    assert site is not None
    return runs.start(site.state, actor, "INSUF", parse(text), ins_authorisation=allowed)


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
    assert np.all(np.diff(angers.patients) > 0) and len(angers.patients) > 300
    same = {bytes(one) for one in angers.ids} & {bytes(one) for one in brest.ids}
    both = np.intersect1d(angers.patients, brest.patients)
    common = int((both < 300).sum())  # of the invented network
    first = [found.ids[found.patients == both[0]].tobytes() for found in (angers, brest)]
    assert len(same) == common and first[0] == first[1]
    (pair,) = found.result["shared"]
    assert abs(pair["value"] - common) <= 80 and pair["margin"] == 32  # protected
    # What the hub carried is gone; the unit's ledger says what was done, and its jobs hold nothing.
    held = net.house.book.db.rows("SELECT f.name FROM file f JOIN job j ON j.id = f.job WHERE j.kind = 'link-records'")
    assert not held and not net.house.book.db.rows("SELECT 1 FROM file WHERE name = ?", (RECORDS,))
    (line,) = [one for one in ledger(net.places["linkage"].folder) if one["id"] == found.id]
    assert line["sites"] == "angers,brest" and line["records"] == len(angers.patients) + len(brest.patients) and line["deleted"]
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


def job(net: Network, text: str = "âge>=0", run: str = "abc", **more: str) -> Job:
    return Job("1" * 32, "linkage", {"run": run, "cohort": question_json.to_object(parse(text)), **more})


def opened(net: Network, sealed: bytes, run: str = "abc") -> Rows:
    """The records of a parcel of angers, as the linkage unit finds them."""
    place = f"{net.places['angers'].membership.network}/{run}/matching"
    (plain,) = parcel.open_all({"angers": sealed}, net.places["linkage"].identity, place)
    assert (len(plain) - 88) % (512 * RECORD.itemsize) == 0
    return np.frombuffer(plain, RECORD, int.from_bytes(plain[80:88], "little"), 88)


def test_what_leaves_a_site_opens_at_the_unit_only_and_tells_no_exact_number(net: Network) -> None:
    place = net.places["angers"]
    (sealed,) = send_records(place, job(net)).files
    for other in (place.identity, net.places["brest"].identity, net.house.identity):
        with pytest.raises(UsageError):
            other.unseal(sealed.data[96:], f"{place.membership.network}/abc/matching")
    assert len(opened(net, sealed.data)) == len(_kept(place, "abc").patients)
    with pytest.raises(StoreError):
        hub_ids(place, "abc")


def test_no_clear_trait_goes_over_the_wire(net: Network, runs: Linkages) -> None:
    """In two linkages: a word of five letters is found in half a million encrypted bytes once in thousands of runs of this
    test, by chance; what is sent in clear is found in both."""
    run, first = sent_by_angers(net, runs)
    words = sorted(clear_words(net, run))
    finder = BytesAhoCorasick(words)
    once, twice = (
        {words[place] for place, _, _ in finder.find_matches_as_indexes(told, overlapping=True)}
        for told in (first, sent_by_angers(net, runs)[1])
    )
    assert len(words) > 2_000 and once & twice == set() and len(once | twice) < 3


def sent_by_angers(net: Network, runs: Linkages) -> tuple[str, bytes]:
    """A linkage; every byte that the agent of a site sends while its records are linked, and what the unit finds inside."""
    run, wire = start(net, runs, allowed="Authorisation 2026-001"), bytearray()

    def heard(data: bytes) -> bytes:
        wire.extend(data)
        return answer_to(net.office, data, None)[1]

    for _ in range(2):
        agent = net.agent("angers", Local(heard))
        agent.once()
        agent.close()
        approve(net)
    (sent,) = [one for one in net.house.book.jobs_by_id(_jobs(runs, run)) if one.member == "angers"]
    (sealed,) = net.house.book.files(sent.id, "answer")
    rows = opened(net, sealed.data, run)
    assert sealed.data in wire and len(rows) and np.all(rows["ins"] != 0)
    return run, bytes(wire) + rows.tobytes()


def _jobs(runs: Linkages, run: str) -> list[str]:
    return [str(row[0]) for row in runs._db.rows("SELECT id FROM job WHERE run = ?", (run,))]


def clear_words(net: Network, run: str) -> set[bytes]:
    """All that is known of the patients of angers in a linkage, in the forms in which it may be written, and the plain HMAC of it."""
    site = net.places["angers"].site
    assert isinstance(site, Hospital)
    words: set[str] = set()
    for patient in _kept(net.places["angers"], run).patients.tolist():
        known = invented(site.person(patient))
        born, _ = birth(known) or (dt.date(1900, 1, 1), None)
        (family,), (given,) = winner(known, "family_names"), winner(known, "given_names")
        words |= {family, given, f"{born:%Y-%m-%d}", f"{born:%d/%m/%Y}", f"{born:%Y%m%d}", winner(known, "ins"), french.sound(family.lower())}
    forms = {form for word in words for form in (word, word.lower(), word.upper(), word[::-1])}
    hashed = {hmac.digest(KEY, word.encode(), "sha256")[:8] for word in words}
    return hashed | {form.encode() for form in forms if len(form) > 4}


def test_provisional_identities_stay_and_the_ins_goes_only_where_the_project_is_authorised(net: Network) -> None:
    place = net.places["angers"]
    assert isinstance(place.site, Hospital) and place.room is not None
    rows = opened(net, send_records(place, job(net)).files[0].data)
    sent = _kept(place, "abc").patients.tolist()
    provisional = [one for one in range(PATIENTS) if winner(invented(place.site.person(one)), "provisional")]
    assert len(rows) == len(sent) and provisional and not set(provisional) & set(sent)
    assert not rows["ins"].any()  # the network allows it, the project says nothing
    allowed = job(net, ins_authorisation="Authorisation 2026-001")
    assert opened(net, send_records(place, allowed).files[0].data)["ins"].all()
    traits_alone = replace(place, membership=replace(place.membership, identifiers="traits"))
    assert not opened(net, send_records(traits_alone, allowed).files[0].data)["ins"].any()
    lines = place.site.state.audit.find(AuditFilter(action="hub-link"), 20, 0)
    assert any("ins:Authorisation 2026-001" in line.target for line in lines)


def test_a_parcel_under_another_name_is_not_linked(net: Network) -> None:
    files = [File(f"{RECORDS}/{name}", send_records(net.places["angers"], job(net)).files[0].data) for name in SITES]
    with pytest.raises(NotAllowed):
        match(net.places["linkage"], Job("2" * 32, "link-records", {"run": "abc"}, files=tuple(files)))


def test_opposed_patients_and_small_sets_stay(net: Network) -> None:
    place = net.places["brest"]
    assert place.site is not None
    send_records(place, job(net))
    before = len(_kept(place, "abc").patients)
    oppose(place.site.warehouse, 5, "hub", dt.date(2020, 1, 1))
    send_records(place, job(net))
    assert len(_kept(place, "abc").patients) == before - 1
    with pytest.raises(NotAllowed):
        send_records(place, job(net, "âge>=200"))


def test_ids_of_another_sending_are_not_taken(net: Network, runs: Linkages) -> None:
    """A job done twice would bring ids in the order of the first sending."""
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


def test_a_run_is_linked_in_one_way_only(net: Network) -> None:
    """The same noise over another threshold would cancel out."""
    files = tuple(
        File(f"{RECORDS}/{name}", send_records(net.places[name], job(net, run="once")).files[0].data) for name in SITES
    )
    unit = net.places["linkage"]
    for _ in range(2):  # a job done again, after the answer was lost
        match(unit, Job("5" * 32, "link-records", {"run": "once", "sure": 0.9}, files=files))
    with pytest.raises(NotAllowed, match="another way"):
        match(unit, Job("6" * 32, "link-records", {"run": "once", "sure": 0.91}, files=files))


def test_the_rules_of_the_network_bind_who_runs_a_linkage(net: Network, runs: Linkages) -> None:
    site = net.places["angers"].site
    assert site is not None
    told = {"distinct": {"value": 300}, "shared": [{"sites": ["a", "b"], "value": 50}]}
    three = {"distinct": 1, "shared": [{"sites": ["a", "b"]}, {"sites": ["b", "c"]}]}
    assert seen(told, Sight.SITES) == told and seen(told, Sight.OWN) is None and seen(told, Sight.TOTAL) is None
    assert seen(three, Sight.TOTAL) == {"distinct": 1, "shared": []}
    operator = Actor("olga", Role.HUB_OPERATOR, site.state.accounts.add("olga", "hash", "hub-operator").id)
    rules = beside(net.house.book)
    version = rules.publish(CharterKind.USER, "Ask with care.", "key-holder")
    try:
        with pytest.raises(NotAllowed, match="charter"):
            start(net, runs, operator)
        rules.sign(CharterKind.USER, version, "olga", "")
        run = start(net, runs, operator)
    finally:  # the network is shared by the tests of this file
        rules.db.write("DELETE FROM charter WHERE kind = 'user' AND version = ?", (version,))
        rules.db.write("DELETE FROM signature WHERE login = 'olga'")
    assert runs.look(site.state, operator, run).state == "asked"
