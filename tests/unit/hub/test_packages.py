"""The package of one site in a pool: what is taken of it, what is set aside, what a failing hub makes of it."""

from __future__ import annotations

import base64
import copy
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.pool_kit import Pooling, asked, full, number_of, pooling, states
from tests.unit.hub import spoiled

from estran.hub.agent import pooling as agent
from estran.hub.pooling import delivery, handing, keeper, taking
from estran.model.errors import InputRefused, StoreError
from estran.projects.datamarts.reading import read_spec
from estran.state.datamarts import DatamartBook, MartState


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pooling:
    return pooling(tmp_path_factory.mktemp("packages"), "angers")


@pytest.fixture(scope="module")
def lone(made: Pooling) -> str:
    """A pool to which one site sent, and told who left since; its package waits until a test takes it."""
    pool = made.ask("umol/L", "angers")
    made.net.run("angers")
    made.keeper.gather(pool)
    made.net.run("angers")
    return pool


@pytest.fixture(scope="module")
def package(made: Pooling, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """What a site packs, before it signs it."""
    folder, found = tmp_path_factory.mktemp("package") / "content", dict[str, Any]()

    def packed(content: Path, manifest: dict[str, Any], *rest: Any) -> tuple[Path, str]:
        shutil.copytree(content, folder)
        found.update(manifest)
        return delivery.pack(content, manifest, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent, "pack", packed)
        pool = made.ask("umol/L", "angers")
        made.net.run("angers")
    made.keeper.close(pool, "end")
    return folder, found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (spoiled.column, "a column that was not agreed on: weight"), (spoiled.numbers, "numbers like those of persons"),
        (spoiled.names, "like an identity"), (spoiled.rows, "another number of rows"), (spoiled.ids, "other tables"),
        (spoiled.unit, "mg/dL, cannot be converted into umol/L"), (spoiled.fact_unit, "another unit"),
        (spoiled.raw, "numbers like those of persons"), (spoiled.plain, "not those of a pool"),
        (spoiled.codes("code", "Jean TREGARANTEC"), "not shaped"),
        (spoiled.codes("label_fr", "1 54 03 99 123 456 12"), "like an identity"),
    ],
)  # fmt: skip
def test_what_was_not_agreed_is_not_taken(
    package: tuple[Path, dict[str, Any]], tmp_path: Path, change: spoiled.Change, said: str
) -> None:
    folder, manifest = tmp_path / "content", copy.deepcopy(package[1])
    shutil.copytree(package[0], folder)
    (tmp_path / "out").mkdir()
    change(folder, manifest)
    given = taking.Delivered(folder, manifest, read_spec(asked("p")).frozen())
    with pytest.raises(InputRefused, match=said):
        taking.check(given)
        taking.partition(given, lambda kind, old: list(old), tmp_path / "out")


@pytest.mark.parametrize(("field", "value"), [("rows", [1]), ("units", "g"), ("made", None)])
def test_a_manifest_of_another_shape_stops_no_pass(
    made: Pooling, monkeypatch: pytest.MonkeyPatch, field: str, value: Any
) -> None:
    def packed(folder: Path, manifest: dict[str, Any], *rest: Any) -> tuple[Path, str]:
        return delivery.pack(folder, manifest | ({field: value} if manifest["member"] == "angers" else {}), *rest)

    monkeypatch.setattr(agent, "pack", packed)
    pool = made.ask("umol/L", "angers")
    made.net.run("angers")
    done = made.settle(pool, "angers")
    assert set(done.quarantined) == {"angers"} and done.taken == []
    made.keeper.close(pool, "end")


@pytest.mark.parametrize(
    ("bound", "said"), [("_ROOM", "more than it may"), ("_MOST_MANIFEST", "manifest cannot be read")]
)
def test_what_swells_when_it_is_opened_is_set_aside(
    made: Pooling, monkeypatch: pytest.MonkeyPatch, bound: str, said: str
) -> None:
    pool = made.ask("umol/L", "angers")
    made.net.run("angers")
    monkeypatch.setattr(delivery, bound, 100)
    monkeypatch.setattr(delivery, "_TIMES", 1 if bound == "_ROOM" else 16)
    assert said in made.settle(pool, "angers").quarantined["angers"]
    made.keeper.close(pool, "end")


@pytest.mark.parametrize("how", ["altered", "signature", "signed by another"])
def test_a_damaged_package_is_set_aside(made: Pooling, how: str) -> None:
    pool = made.ask("umol/L", "angers")
    made.net.run("angers")
    book = made.net.house.book
    job = next(job for job in book.of_kind("pool") if job.body["pool"] == pool)
    data = bytearray(book.files(job.id, "answer")[0].data)
    if how == "altered":
        data[len(data) // 2] ^= 1
        book.db.write("UPDATE file SET data = ? WHERE job = ? AND side = 'answer'", (bytes(data), job.id))
    else:
        wrong = "AAAA" if how == "signature" else _resigned(made, pool)
        book.db.write("UPDATE job SET answer = json_set(answer, '$.signature', ?) WHERE id = ?", (wrong, job.id))
    done = made.settle(pool, "angers")
    assert ("altered" if how == "altered" else "not signed") in done.quarantined["angers"]
    made.keeper.close(pool, "end")


def _resigned(made: Pooling, pool: str) -> str:
    return base64.b64encode(made.net.places["linkage"].identity.key.sign(b"estran-pool-1\n" + pool.encode())).decode()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"cohort": "CIM10:E11"}, "another question"), ({"demographics": ["age"]}, "not agreed on: sex"),
        ({"dates": "year"}, "tells dates in another way"), ({"variables": asked("x")["variables"][:2]}, "not agreed on: potassium"),
    ],
)  # fmt: skip
def test_only_what_was_agreed_is_sent(made: Pooling, more: dict[str, Any], said: str) -> None:
    agreed = asked(made.project, **more)
    pool = made.keeper.ask(agreed, "researcher", {"angers": made.projects["angers"]}, "asked by a test of pools")
    made.net.run("angers")
    assert states(made, pool)["angers"][0] == "refused" and said in states(made, pool)["angers"][1]
    made.keeper.close(pool, "end")


def test_a_full_disk_loses_no_package(made: Pooling, lone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for where, name, said in ((tarfile.TarFile, "extract", StoreError), (keeper, "partition", OSError)):
        with monkeypatch.context() as broken:
            broken.setattr(where, name, full)
            with pytest.raises(said):
                made.keeper.gather(lone)
        assert made.rows(lone) == {}, "neither taken nor set aside"


def test_a_pass_that_is_killed_leaves_nothing_half_and_the_next_one_finishes(
    made: Pooling, lone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = lone

    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> Any:
        raise Killed

    places: list[tuple[Any, str]] = [
        (keeper.PoolBook, "accept"), (keeper.PoolBook, "judged"), (handing, "assemble"),
        (handing.PoolBook, "change"),
    ]  # fmt: skip
    for where, name in places:
        with monkeypatch.context() as broken:
            broken.setattr(where, name, killed)
            with pytest.raises(Killed):
                made.keeper.gather(pool)
        whole = {part.folder for part in made.keeper.book.parts(pool) if part.folder}
        assert all((made.folder(pool) / place / "patients.parquet").is_file() for place in whole)
    with monkeypatch.context() as broken:  # the power goes: nothing is cleaned
        broken.setattr(DatamartBook, "finish", killed)
        with pytest.raises(Killed):
            made.keeper.gather(pool)
    (unfinished,) = (row for row in made.hub.state.datamarts.of(made.project) if row.state == MartState.BUILDING)
    assert made.mart(unfinished.id).exists()
    done = made.keeper.gather(pool)
    assert not made.mart(unfinished.id).exists()
    assert done.datamart is not None and made.rows(pool) == {"angers": "accepted"}
    assert len(list((made.folder(pool) / "sites").glob("*/*"))) == 1 and not list(made.folder(pool).glob(".*"))
    live = [row.id for row in made.hub.state.datamarts.of(made.project) if row.state == MartState.LIVE]
    others = [one.datamart for one in made.keeper.book.pools()]
    assert done.datamart in live and set(live) <= set(others), "the datamart that nobody knew of is destroyed"


def test_a_package_that_comes_twice_is_set_aside(made: Pooling, lone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made.keeper.gather(lone)
    (part,) = made.keeper.book.parts(lone, "accepted")
    monkeypatch.setattr(agent, "later", lambda _: part.made)  # nothing newer: what was sent before, once more
    made.keeper.ask_again(lone)
    made.net.run("angers")
    assert made.settle(lone, "angers").quarantined == {"angers": "The site sent something newer before."}
    assert made.keeper.book.parts(lone, "accepted") == [part]


def test_what_was_destroyed_stays_so(made: Pooling, lone: str, tmp_path: Path) -> None:
    made.keeper.gather(lone)
    pool, number = lone, number_of(made, lone)
    saved = {made.folder(pool): tmp_path / "pool", made.mart(number): tmp_path / "mart"}
    for there, kept in saved.items():
        shutil.copytree(there, kept)
    first = made.keeper.close(pool, "end")
    assert made.keeper.close(pool, "once more") == first == made.keeper.find(pool).certificate
    made.net.run("angers")
    for there, kept in saved.items():  # files come back from a backup
        shutil.copytree(kept, there)
    assert made.keeper.gather(pool).closed and not any(one.exists() for one in saved)
    copies = made.keeper.book.copies(pool)
    assert all(one.certificate for one in copies)
    assert [one.what for one in copies if one.certificate.get("why") == "back from a backup"] == ["datamart", "backup"]
    # The hub itself comes back from a backup, with its book: the site knows better.
    shutil.copytree(tmp_path / "pool", made.folder(pool))
    made.keeper.book.change(pool, state="open", certificate="", datamart=number)
    made.keeper.ask_who_left(pool, "angers")
    made.net.run("angers")
    assert made.keeper.gather(pool).taken == [] and not list(made.folder(pool).rglob("*.parquet"))
    assert states(made, pool)["angers"] == ("left", "The site holds the certificate that this pool was destroyed.")
    assert made.keeper.find(pool).datamart is None
    made.keeper.close(pool, "end")
