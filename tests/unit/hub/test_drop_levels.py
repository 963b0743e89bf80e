"""One site behind a courier is taken out of a pool, joins the hub between anew with new keys, and sends again."""

from __future__ import annotations

import dataclasses
import shutil

from tests.pool_kit import number_of, patients, states
from tests.unit.hub.test_pool_levels import FAR, WILLING, Nation, last, nation

from estran.hub.agent import pooling as agent
from estran.hub.agent.membership import join, read
from estran.hub.agent.rules import write_rules
from estran.hub.keys import Identity
from estran.projects import rights

__all__ = ["nation"]  # a fixture
SITE = "west.angers"


def joined_anew(nation: Nation, *, knows: bool) -> None:
    """angers has lost its keys, or all that it had of the network, and joins the hub between again under its name."""
    net, place = nation.west, nation.west.places["angers"]
    net.house.book.withdraw("angers")
    shutil.rmtree(place.folder / "keys" if knows else place.folder)
    join(net.invite("angers"), place.folder, b"site", lambda _: net.local())
    write_rules(place.folder, WILLING)
    identity = Identity.open(place.folder / "keys", b"site")
    net.places["angers"] = dataclasses.replace(place, membership=read(place.folder), identity=identity)


def ask(nation: Nation, pool: str) -> None:
    """The site is asked by name, and both say yes."""
    assert nation.top.keeper.ask_again(pool, (SITE,)) == [SITE]
    for name in ("west", "angers"):
        nation.carry()
        nation.say_yes(name)
    nation.carry()


def test_one_site_behind_a_courier_goes_and_its_neighbour_stays(nation: Nation) -> None:
    pool, west = nation.sent(*FAR), nation.west.house.book
    assert nation.taken(pool) == list(FAR)
    name, site = agent.recipient_of(nation.west.places["angers"], pool, "Essai"), nation.top.sites[SITE]
    assert name in {one.name for one in site.state.rights.recipients()}
    other = patients(nation.top.mart(number_of(nation.top, pool)), "west.brest")
    nation.top.keeper.drop(pool, SITE, "its committee withdrew its word")
    mart = nation.top.mart(number_of(nation.top, pool))
    assert patients(mart, "west.brest") == other and not list(mart.rglob(f"site={SITE}"))
    assert states(nation.top, pool)[SITE] == ("dropped", "its committee withdrew its word")
    nation.carry()
    nation.top.keeper.gather(pool)
    assert nation.top.keeper.book.drops(pool)[0].own["member"] == "angers"
    assert name not in {one.name for one in site.state.rights.recipients()}
    assert states(nation.top, pool)["west.brest"][0] == "accepted" and west.member("angers").state == "active"  # type: ignore[union-attr]
    nation.top.keeper.close(pool, "end")


def test_what_waits_for_a_yes_is_refused_after_the_drop(nation: Nation) -> None:
    """And what lies at the hub between is taken by nobody."""
    pool = nation.at_the_courier()
    package = last(nation.west, pool, "pool")
    assert nation.west.house.book.holds(package.id)
    nation.top.keeper.drop(pool, "west.brest", "a test")
    nation.top.net.run("west")
    nation.carry()
    assert not nation.west.house.book.holds(package.id) and nation.taken(pool) == []
    nation.top.keeper.close(pool, "end")
    pool = nation.top.ask("umol/L", SITE)
    nation.carry()
    nation.say_yes("west")
    nation.carry()
    assert states(nation.top, pool)[SITE][0] == "approval"
    nation.top.keeper.drop(pool, SITE, "a test")
    nation.carry()
    nation.say_yes("angers")
    nation.carry()
    refused = last(nation.west, pool, "pool")
    assert refused.state == "refused" and "took this site out of the pool" in refused.said
    assert nation.taken(pool) == [] and states(nation.top, pool)[SITE] == ("dropped", "a test")
    nation.top.keeper.close(pool, "end")


def test_a_site_with_new_keys_is_taken_once_its_old_part_is_dropped(nation: Nation) -> None:
    pool, hub = nation.sent(*FAR), nation.top.net.house.book
    assert nation.taken(pool) == list(FAR)
    first = nation.top.keeper.book.parts(pool, "accepted")[0].manifest["signer"]
    for knows in (True, False):
        joined_anew(nation, knows=knows)
        ask(nation, pool)
        assert "another key" in nation.top.keeper.gather(pool).quarantined[SITE], "the old part is still there"
        certificate = nation.top.keeper.drop(pool, SITE, "it joined west anew, with new keys")
        assert {one["what"] for one in certificate["copies"]} == {"partition", "quarantine", "datamart"}
        nation.carry()
        ask(nation, pool)
        assert nation.taken(pool) == [SITE] and states(nation.top, pool)[SITE] == ("accepted", "")
        part = next(one for one in nation.top.keeper.book.parts(pool, "accepted") if one.member == SITE)
        assert part.manifest["signer"] != first
        assert patients(nation.top.mart(number_of(nation.top, pool)), SITE)
        first = part.manifest["signer"]
    name, site = agent.recipient_of(nation.west.places["angers"], pool, "Essai"), nation.top.sites[SITE]
    assert name in {one.name for one in site.state.rights.recipients()} and rights.due(site.state, name) == ()
    assert not any(hub.holds(one.id) for kind in ("pool", "pool-life") for one in hub.of_kind(kind) if one.body["pool"] == pool)
    nation.top.keeper.close(pool, "end")
