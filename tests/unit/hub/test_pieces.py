"""A package that is larger than a message: in pieces, cut, killed, restored, damaged; one site on a small network."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.pool_kit import Pooling, pooling

from estran.hub import file_table
from estran.hub.agent import pooling as agent
from estran.hub.agent.membership import Local
from estran.hub.book import OPEN, JobRecord
from estran.hub.gathering import tidy
from estran.hub.pooling import delivery, pieces
from estran.hub.pooling.keeper import Gathered


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pooling:
    return pooling(tmp_path_factory.mktemp("pieces"), "angers")


@pytest.mark.parametrize("long", [file_table.LONG, 100])
def test_a_large_package_comes_in_pieces_and_goes_on_where_it_was_cut(
    made: Pooling, monkeypatch: pytest.MonkeyPatch, long: int
) -> None:
    monkeypatch.setattr(file_table, "LONG", long)  # pieces lie beside the database, as those of real packages do
    for module in (delivery, agent, pieces):
        monkeypatch.setattr(module, "PIECE", 4_000)
    hub, place = made.net.house.book, made.net.places["angers"]
    pool = made.ask("umol/L", "angers")
    made.net.run("angers")
    (first,) = [job for job in hub.of_kind("pool") if job.body["pool"] == pool]
    kept, count = place.folder / "pools" / f"{pool}.parcel", len(first.answer["pieces"])
    assert count > 2 and [len(one.data) for one in hub.files(first.id, "answer")] == [4_000]
    assert kept.stat().st_size > 4_000 * (count - 1) and kept.stat().st_mode & 0o77 == 0
    assert made.keeper.gather(pool).taken == [], "the others are asked for"

    class Cut(Local):
        left = 3

        def carry(self, path: str, data: bytes) -> bytes:
            Cut.left -= path.startswith("/task/result")
            if Cut.left < 0:
                raise ConnectionError("cut off")
            return made.net.local().carry(path, data)

    broken = made.net.agent("angers", Cut(lambda data: data))
    with pytest.raises(ConnectionError):
        broken.once()
    broken.close()
    came = [job for job in hub.of_kind("pool-life") if job.body.get("of") == first.id and job.state == "ok"]
    assert len(came) == 3 or count < 5
    assert made.keeper.gather(pool).taken == []
    made.net.run("angers")
    answered = {job.id: job.answered for job in hub.of_kind("pool-life") if job.body.get("of") == first.id}
    assert len(answered) == count - 1 and all(answered[job.id] == job.answered for job in came), "nothing is sent twice"
    done = made.settle(pool, "angers")
    assert done.taken == ["angers"] and done.datamart is not None
    assert not any(hub.files(job, "answer") for job in (first.id, *answered))
    made.net.run("angers")
    assert not kept.exists(), "the site drops it once it is taken"
    made.keeper.close(pool, "end")


def in_pieces(made: Pooling, monkeypatch: pytest.MonkeyPatch, size: int = 40_000) -> tuple[str, JobRecord]:
    """A pool to which a site sent a package in pieces, and the job that brought the first."""
    for module in (delivery, agent, pieces):
        monkeypatch.setattr(module, "PIECE", size)
    pool = made.ask("umol/L", "angers")
    made.net.run("angers")
    (first,) = [job for job in made.net.house.book.of_kind("pool") if job.body["pool"] == pool]
    assert len(first.answer["pieces"]) > 1
    return pool, first


def test_a_restored_hub_takes_the_package_that_was_packed_anew(made: Pooling, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, (pool, first) = made.net.house.book, in_pieces(made, monkeypatch)
    assert made.keeper.gather(pool).taken == []
    made.net.run("angers")
    old = [job.id for job in hub.of_kind("pool-life") if job.body.get("of") == first.id]
    with hub.db.writing():  # back from a backup: rows, and no files beside them
        for job in (first.id, *old):
            hub.drop_files(job, "answer")
            hub._lost(job, "answer")
    made.net.run("angers")
    again = hub.job(first.id)
    assert again is not None and again.state == "ok" and again.answer["pieces"] != first.answer["pieces"]
    assert made.keeper.gather(pool) == Gathered(), "the new pieces are asked for"
    made.net.run("angers")
    assert made.settle(pool, "angers").taken == ["angers"]
    left = [job for job in hub.of_kind("pool-life") if job.body.get("of") == first.id]
    assert len(left) > len(old) and not any(job.state in OPEN or hub.files(job.id, "answer") for job in left)
    made.keeper.close(pool, "end")


@pytest.mark.parametrize("wrong", [False, True])
def test_a_pass_that_is_killed_once_it_took_a_package_leaves_no_copy(
    made: Pooling, monkeypatch: pytest.MonkeyPatch, wrong: bool
) -> None:
    hub, (pool, first) = made.net.house.book, in_pieces(made, monkeypatch)
    kept = made.net.places["angers"].folder / "pools" / f"{pool}.parcel"
    made.keeper.gather(pool)
    made.net.run("angers")
    made.keeper.gather(pool)
    made.net.run("angers")
    if wrong:
        hub.db.write("UPDATE job SET answer = json_set(answer, '$.signature', 'AAAA') WHERE id = ?", (first.id,))
    for name in ("add_job", "give_up"):
        with monkeypatch.context() as broken:
            broken.setattr(type(hub), name, cut)
            with pytest.raises(KeyboardInterrupt):
                made.keeper.gather(pool)
        assert made.rows(pool) == {"angers": "quarantined" if wrong else "accepted"} and hub.holds(first.id)
    made.keeper.gather(pool)
    own = [job.id for job in hub.of_kind("pool-life") if job.body.get("of") == first.id]
    assert own and not any(hub.holds(job) for job in (first.id, *own)) and kept.exists()
    made.net.run("angers")
    assert not kept.exists()
    count = len(hub.of_kind("pool-life"))
    made.keeper.gather(pool)
    assert len(hub.of_kind("pool-life")) == count, "the site is told once"
    made.keeper.close(pool, "end")


def cut(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("how", ["gone", "changed", "unlisted", "no hub that takes pieces"])
def test_a_package_of_which_a_piece_is_wrong_is_set_aside(
    made: Pooling, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    for module in (delivery, agent, pieces):
        monkeypatch.setattr(module, "PIECE", 40_000)
    monkeypatch.setattr(agent, "MOST", 30_000)
    hub, pool = made.net.house.book, made.ask("umol/L", "angers")
    if how.startswith("no hub"):
        hub.db.write(
            "UPDATE job SET body = json_remove(body, '$.pieces') WHERE json_extract(body, '$.pool') = ?", (pool,)
        )
    made.net.run("angers")
    (first,) = [job for job in hub.of_kind("pool") if job.body["pool"] == pool]
    if how.startswith("no hub"):
        assert first.state == "refused" and "larger than may be sent" in first.said
    else:
        if how == "unlisted":
            hub.db.write("UPDATE job SET answer = json_set(answer, '$.pieces', 'all') WHERE id = ?", (first.id,))
        else:
            assert made.keeper.gather(pool).taken == []
            kept = made.net.places["angers"].folder / "pools" / f"{pool}.parcel"
            if how == "gone":
                kept.unlink()
            made.net.run("angers")
            if how == "changed":
                hub.db.write(
                    "UPDATE file SET data = zeroblob(9) WHERE job IN (SELECT id FROM job WHERE json_extract(body, '$.of') = ?)",
                    (first.id,),
                )
        said = {"gone": "cannot be had", "changed": "not the one that was listed", "unlisted": "lists no pieces"}[how]
        done = made.settle(pool, "angers") if how == "changed" else made.keeper.gather(pool)
        assert said in done.quarantined["angers"]
    made.keeper.close(pool, "end")


def test_pieces_wait_for_all_else_and_for_their_keeper(made: Pooling, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, (pool, first) = made.net.house.book, in_pieces(made, monkeypatch)
    tidy(hub, lambda: first.expires + 1)
    assert hub.holds(first.id), "nobody has looked at it yet"
    made.keeper.gather(pool)
    made.keeper.ask_who_left(pool, "angers")
    given = hub.next_job("angers", (), time.time())
    assert given is not None and given[0].body["what"] == "withdrawals"
    piece = hub.next_job("angers", (given[0].id,), time.time())
    assert piece is not None and piece[0].body["what"] == "piece"
    made.keeper.close(pool, "end")
    assert not hub.holds(first.id)
