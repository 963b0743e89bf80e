"""A patient who refuses between the packing at the site and the taking at the hub is never in the pool."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pyarrow.parquet as pq
import pytest
from pyroaring import BitMap
from tests.pool_kit import Pooling, number_of, patients, pooling
from tests.unit.opposing import oppose

from estran.hub.agent import pooling as agent
from estran.hub.pooling import delivery, pieces
from estran.hub.pooling.keys import PoolKeys
from estran.projects import rights
from estran.release.rekey import ProjectKey


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pooling:
    return pooling(tmp_path_factory.mktemp("leaving"), "angers")


@pytest.fixture
def sent(made: Pooling) -> Iterator[str]:
    """A pool for which a site has packed; nobody has looked at the package."""
    pool = made.ask("umol/L", "angers")
    made.net.run("angers")
    yield pool
    made.keeper.close(pool, "end")


def refuse(made: Pooling, pool: str, place: int, name: str = "angers") -> str:
    """One of the patients who were sent has refused since yesterday; their id in the pool."""
    site = made.sites[name]
    patient = int(BitMap.deserialize(made.built[name].row.members)[place])
    oppose(site.warehouse, patient, "hub", dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1))
    rights.catch_up(site.state, site.snapshot())
    own = ProjectKey(made.projects[name], site.secret(f"project:{made.projects[name]}")).pseudonyms(
        BitMap([patient])
    )
    theirs = agent.pool_key(made.net.places[name], site, pool).ids("patient", own)
    return PoolKeys.open(made.folder(pool), b"s" * 32).of_site(name, "patient", theirs)[0]


def asked_for_lists(made: Pooling, pool: str) -> list[str]:
    """The states of the jobs that ask who left."""
    jobs = made.net.house.book.of_kind("pool-life")
    return [job.state for job in jobs if job.body["pool"] == pool and job.body["what"] == "withdrawals"]


def test_who_refuses_before_the_package_is_taken_is_never_in_the_pool(made: Pooling, sent: str) -> None:
    site, name = made.sites["angers"], agent.recipient_of(made.net.places["angers"], sent)
    before = len(rights.due(site.state, name))
    gone = refuse(made, sent, 5)
    assert len(rights.due(site.state, name)) == before + 1
    assert made.keeper.gather(sent).taken == [] and not list(made.folder(sent).rglob("*.parquet"))
    assert made.keeper.find(sent).datamart is None, "nobody reads it before it is known who left"
    made.net.run("angers")
    done = made.keeper.gather(sent)
    assert done.taken == ["angers"] and done.withdrawn == {}, "nobody is taken out who was never in"
    (part,) = made.keeper.book.parts(sent, "accepted")
    held = pq.read_table(made.folder(sent) / part.folder / "patients.parquet").column("patient").to_pylist()
    assert gone not in held and len(held) == part.manifest["rows"]["patients"] - 1, "who was in the package"
    assert sorted(patients(made.mart(number_of(made, sent)), "angers")) == sorted(held)
    assert [one.what for one in made.keeper.book.copies(sent)].count("partition") == 1, "no second writing"
    made.net.run("angers")
    assert rights.due(site.state, name) == (), "the site hears that it is done"


def test_a_site_that_does_not_tell_is_waited_for_and_asked_again(made: Pooling, sent: str) -> None:
    book = made.net.house.book
    assert [made.keeper.gather(sent).taken for _ in range(2)] == [[], []]
    assert asked_for_lists(made, sent) == ["queued"], "not asked twice while it is asked"
    assert book.db.write("UPDATE job SET state = 'failed' WHERE kind = 'pool-life' AND state = 'queued'") == 1
    assert made.keeper.gather(sent).taken == [] and asked_for_lists(made, sent) == ["failed"], "not at once"
    of = "kind IN ('pool', 'pool-life') AND json_extract(body, '$.pool') = ?"
    book.db.write(f"UPDATE job SET created = created - 4000, answered = answered - 4000 WHERE {of}", (sent,))
    assert made.keeper.gather(sent).taken == [] and asked_for_lists(made, sent) == ["failed", "queued"]
    made.net.run("angers")
    assert made.keeper.gather(sent).taken == ["angers"]


def test_a_site_that_sent_and_says_nothing_more_is_silent(made: Pooling, sent: str) -> None:
    book = made.net.house.book
    assert made.keeper.gather(sent).silent == []
    yesterday = "UPDATE job SET created = created - 90000, answered = answered - 172800 WHERE json_extract(body, '$.pool') = ?"
    assert book.db.write(yesterday, (sent,)) == 2
    assert made.keeper.gather(sent).silent == ["angers"] and not list(made.folder(sent).rglob("*.parquet"))
    made.net.run("angers")
    assert made.keeper.gather(sent).silent == []


def test_a_site_that_came_back_without_its_last_package_is_not_believed(made: Pooling, sent: str) -> None:
    """It would tell of those only whom it sent before, and those who came with the last package would stay."""
    kept = made.net.places["angers"].folder / "pools" / f"{sent}.json"
    before = kept.read_bytes()
    assert made.settle(sent, "angers").taken == ["angers"]
    made.keeper.ask_again(sent)
    made.net.run("angers")
    assert made.settle(sent, "angers").taken == ["angers"]
    kept.write_bytes(before)
    made.keeper.ask_who_left(sent, "angers")
    made.net.run("angers")
    assert "back from a backup" in made.keeper.gather(sent).quarantined["angers"]
    made.keeper.ask_again(sent)
    made.net.run("angers")
    assert made.settle(sent, "angers").taken == ["angers"], "sent anew, it knows again"


def test_a_list_asked_for_before_the_package_came_is_not_enough(made: Pooling, sent: str) -> None:
    assert made.settle(sent, "angers").taken == ["angers"]
    made.keeper.ask_again(sent)
    made.keeper.ask_who_left(sent, "angers")
    made.net.run("angers")  # it told after it packed, but was asked before the package had come
    assert made.keeper.gather(sent).taken == []
    made.net.run("angers")
    assert made.keeper.gather(sent).taken == ["angers"]


def test_of_a_package_in_pieces_who_left_is_asked_when_the_last_has_come(
    made: Pooling, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (delivery, agent, pieces):
        monkeypatch.setattr(module, "PIECE", 40_000)
    pool = made.ask("umol/L", "angers")
    made.net.run("angers")
    assert made.keeper.gather(pool).taken == [] and asked_for_lists(made, pool) == []
    made.net.run("angers")
    assert made.keeper.gather(pool).taken == [] and asked_for_lists(made, pool) == ["queued"]
    refuse(made, pool, 7)
    made.net.run("angers")
    assert made.keeper.gather(pool).taken == ["angers"]
    assert [one.what for one in made.keeper.book.copies(pool)].count("partition") == 1
    made.keeper.close(pool, "end")


@pytest.mark.parametrize(("how", "said"), [("forgot", "does not know"), ("clock", "before it made")])
def test_a_package_of_which_the_site_cannot_tell_is_set_aside(
    made: Pooling, sent: str, monkeypatch: pytest.MonkeyPatch, how: str, said: str
) -> None:
    if how == "forgot":
        (made.net.places["angers"].folder / "pools" / f"{sent}.json").unlink()
    else:
        monkeypatch.setattr(agent, "later", lambda _: "2020-01-01T00:00:00+00:00")
    assert said in made.settle(sent, "angers").quarantined["angers"]
    assert made.rows(sent) == {"angers": "quarantined"} and not list(made.folder(sent).rglob("*.parquet"))
