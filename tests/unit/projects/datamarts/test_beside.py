"""Two processes at once, wishes that come during a pass, one datamart that cannot be built anew."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from pyroaring import BitMap
from tests.unit.opposing import oppose
from tests.unit.projects.datamarts.conftest import REASON, Bench, flat
from tests.unit.projects.datamarts.test_life import YESTERDAY, member

from estran.model.errors import StoreError, UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.datamarts import holding, shelf
from estran.projects.datamarts.alone import alone
from estran.projects.datamarts.build import build
from estran.projects.datamarts.own import open_own
from estran.projects.opposition import declare
from estran.state import Wish
from estran.state.datamarts import MartState

PROJECT = "2026-015"


def during(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have something done by another process while the next build is under way."""
    real, left = build, [act]

    def slow(*given: Any) -> Any:
        if left:
            left.pop()()
        return real(*given)

    monkeypatch.setattr(shelf, "build", slow)


def states(bench: Bench) -> list[str]:
    """The oldest first."""
    return [row.state for row in reversed(bench.site.state.datamarts.all())]


def test_a_project_closed_beside_a_build_gets_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    during(monkeypatch, lambda: bench.of(KEY_HOLDER).close(PROJECT))
    with pytest.raises(UsageError, match="destroyed while it was built"):
        bench.shelf.build(flat(), "anne", REASON)
    assert states(bench) == [MartState.DELETED]
    assert [path for path in bench.folder.rglob("*") if path.is_file()] == []


def test_a_project_closed_when_the_build_is_about_to_be_registered_leaves_no_recipient(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = holding.enrol

    def slow(*given: Any) -> None:
        bench.of(KEY_HOLDER).close(PROJECT)
        real(*given)

    monkeypatch.setattr(holding, "enrol", slow)
    with pytest.raises(UsageError, match="destroyed while it was built"):
        bench.shelf.build(flat(), "anne", REASON)
    assert states(bench) == [MartState.DELETED] and holding.enrolled(bench.site.state) == set()
    assert [path for path in bench.folder.rglob("*") if path.is_file()] == []


def test_an_older_build_destroyed_while_it_is_registered_anew_leaves_no_recipient(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, real = bench.shelf.build(flat(), "anne", REASON), holding.enrol
    holding.end(bench.site.state, made.row)  # as versions left it that knew no register

    def slow(*given: Any) -> None:
        bench.of(KEY_HOLDER).close(PROJECT)
        real(*given)

    monkeypatch.setattr(holding, "enrol", slow)
    bench.shelf.refresh_due(REASON)
    assert states(bench) == [MartState.DELETED] and holding.enrolled(bench.site.state) == set()


def test_what_is_replaced_is_destroyed_beside_the_build_and_so_is_the_new_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = bench.shelf.build(flat(), "anne", REASON)
    during(monkeypatch, lambda: bench.of(KEY_HOLDER).destroy(old.row.id, "asked for"))
    with pytest.raises(UsageError, match="destroyed already"):
        bench.shelf.replace(old.row.id, REASON, "asked for")
    assert states(bench) == [MartState.DELETED, MartState.DELETED]


def test_a_second_request_leaves_no_orphan(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    old = bench.shelf.build(flat(), "anne", REASON)

    def again() -> None:
        with pytest.raises(UsageError, match="Another process"):
            bench.of(KEY_HOLDER).replace(old.row.id, REASON, "asked for")

    during(monkeypatch, again)
    bench.shelf.replace(old.row.id, REASON, "asked for")
    with pytest.raises(UsageError, match="destroyed already"):
        bench.shelf.replace(old.row.id, REASON, "asked for")
    assert states(bench) == [MartState.DELETED, MartState.LIVE]


def test_what_is_over_is_not_given_a_new_period(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    old = bench.shelf.build(flat(days=1), "anne", REASON)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)
    monkeypatch.setattr(shelf, "now", lambda: later)
    for refresh in (lambda: bench.shelf.replace(old.row.id, REASON, "asked for"), lambda: bench.shelf.ask_refresh(old.row.id)):
        with pytest.raises(UsageError, match="time of this datamart is over"):
            refresh()
    assert states(bench) == [MartState.LIVE]


def test_a_build_in_progress_is_not_swept(bench: Bench) -> None:
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=9)
    row = bench.site.state.datamarts.reserve(PROJECT, "flat", "anne", 1, "{}", "key-holder", until)
    with alone(bench.folder, row.id):
        assert bench.shelf.expire() == []
    assert [one.row.id for one in bench.shelf.expire()] == [row.id]


def test_destroyed_once_is_destroyed(bench: Bench) -> None:
    made, book = bench.shelf.build(flat(), "anne", REASON), bench.site.state.datamarts
    certificate = bench.shelf.destroy(made.row.id, "asked for").row.certificate
    assert not book.finish(made.row.id, b"", "") and not book.begin(made.row.id, 1) and not book.delete(made.row.id, "{}")
    row = book.find(made.row.id)
    assert row is not None and (row.state, row.certificate) == (MartState.DELETED, certificate)


def test_a_wish_that_comes_during_the_pass_waits_for_the_next(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    late = bench.shelf.build(flat(), "anne", REASON)
    first = bench.shelf.build(flat(name="other"), "anne", REASON)
    patient, other = (int(BitMap.deserialize(first.row.members)[place]) for place in (3, 5))
    only = Wish(patient, "research", "opposition", bench.site.snapshot().today())
    oppose(bench.site.warehouse, other, f"project:{PROJECT}", YESTERDAY)
    during(monkeypatch, lambda: declare(bench.site.state, bench.site.warehouse, KEY_HOLDER, only))
    bench.shelf.refresh_due(REASON)
    owed = {name: [one.patient_id for one in ones] for name, ones in holding.owed(bench.site.state).items()}
    assert owed and all(patients == [patient] for patients in owed.values()), "nobody has looked at it yet"
    bench.shelf.refresh_due(REASON)
    assert holding.owed(bench.site.state) == {}
    live = [row for row in bench.site.state.datamarts.all() if row.state == MartState.LIVE]
    assert len(live) == 2 and late.row.id not in {row.id for row in live}
    assert not any(patient in BitMap.deserialize(row.members) for row in live)


@pytest.mark.parametrize("error", [UsageError("It has no such column."), OSError(28, "a value")])
def test_one_that_cannot_be_built_anew_leaves_the_others_be(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    good = bench.shelf.build(flat(), "anne", REASON)
    bad = bench.shelf.build(flat(name="bad"), "anne", REASON)
    oppose(bench.site.warehouse, member(bench, good)[0], "research", YESTERDAY)
    real = open_own

    def fails(site: Any, key: Any, spec: Any) -> Any:
        if spec.name == "bad":
            raise error
        return real(site, key, spec)

    monkeypatch.setattr(shelf, "open_own", fails)
    done = bench.shelf.refresh_due(REASON)
    assert [one.row.name for one in done.made] == ["flat"]
    row = bench.shelf.one(bad.row.id).row
    if isinstance(error, UsageError):
        assert done.problems == [f"{bad.row.id} It has no such column."] and row.state == MartState.DELETED
        assert "cannot be built anew: It has no such column." in orjson.loads(row.certificate)["why"]
        assert not (bench.folder / row.folder).exists() and [one.row.id for one in done.gone] == [row.id]
    else:
        assert done.problems == [f"{bad.row.id} OSError"] and row.state == MartState.LIVE, "a full disk: tried again"


def test_a_busy_store_is_tried_again_until_the_hour_of_the_patient_is_nearly_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, patience = bench.shelf.build(flat(), "anne", REASON), dt.timedelta(minutes=45)
    wish = Wish(member(bench, made)[0], "research", "opposition", bench.site.snapshot().today())
    declare(bench.site.state, bench.site.warehouse, KEY_HOLDER, wish)

    def busy(*_: Any) -> Any:
        raise StoreError("The store is busy.")

    with monkeypatch.context() as held:
        held.setattr(shelf, "build", busy)
        done = bench.shelf.refresh_due(REASON)
        assert done.problems == [f"{made.row.id} The store is busy."] and (done.made, done.gone) == ([], [])
    assert [one.row.state for one in bench.shelf.refresh_due(REASON).made] == [MartState.LIVE], "the next pass"
    assert states(bench) == [MartState.DELETED, MartState.LIVE]
    other = Wish(member(bench, bench.shelf.all()[0])[0], "research", "opposition", bench.site.snapshot().today())
    declare(bench.site.state, bench.site.warehouse, KEY_HOLDER, other)
    monkeypatch.setattr(shelf, "build", busy)
    late = dt.datetime.now(dt.UTC) + patience
    monkeypatch.setattr(shelf, "now", lambda: late)
    assert bench.shelf.refresh_due(REASON).gone == []
    monkeypatch.setattr(shelf, "now", lambda: late + dt.timedelta(minutes=10))
    assert [one.row.state for one in bench.shelf.refresh_due(REASON).gone] == [MartState.DELETED], "no time is left to wait"


def test_without_a_reason_nothing_is_touched(bench: Bench) -> None:
    made = bench.shelf.build(flat(), "anne", REASON)
    oppose(bench.site.warehouse, member(bench, made)[0], "research", YESTERDAY)
    with pytest.raises(UsageError, match="needs a reason"):
        bench.shelf.refresh_due("")
    assert states(bench) == [MartState.LIVE]
