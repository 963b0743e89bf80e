"""Work asked for on a page, done where the key is."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest
import sqlalchemy as sa
from tests.spec import site_kit as kit

from estran.app import Site
from estran.keeping.guard import Guarded
from estran.keeping.work import WorkKeeper, work
from estran.projects.operations import JobKind
from estran.sources.pipeline.run import Parts
from estran.state import Job


def test_work_is_done_in_the_order_it_was_asked_for(site: Site) -> None:
    jobs = site.state.jobs
    assert jobs.ask(JobKind.RELOAD, "hl7v2", "engineer") == jobs.ask(JobKind.RELOAD, "hl7v2", "other")  # waits already
    jobs.ask(JobKind.UNLOAD, "77", "engineer")
    jobs.ask(JobKind.RETRY, "", "engineer")
    jobs.ask("dance", "", "engineer")
    before = kit.count_facts(site.directory)
    assert [job.kind for job in work(site.state, site.loading, site.datamarts)] == ["reload", "unload", "retry", "dance"]
    assert kit.count_facts(site.directory) == before
    outcomes = {job.kind: (job.failed, job.outcome) for job in jobs.recent()}
    assert outcomes["reload"][0] is False and "loaded" in outcomes["reload"][1]
    assert outcomes["unload"] == (True, "There is no load 77.")
    assert outcomes["retry"][1].startswith("replayed 0")
    assert outcomes["dance"][0] is True
    assert work(site.state, site.loading, site.datamarts) == []


def test_work_that_died_on_the_way_is_taken_up_again(site: Site) -> None:
    site.state.jobs.ask(JobKind.RETRY, "", "engineer")
    assert site.state.jobs.take() is not None  # and the process dies
    assert len(work(site.state, site.loading, site.datamarts)) == 1
    assert site.state.jobs.recent()[0].failed is False


def test_an_error_of_any_kind_ends_its_own_job_and_says_no_value(site: Site) -> None:
    def loading() -> AbstractContextManager[Parts]:
        raise ValueError("a name of a patient")

    site.state.jobs.ask(JobKind.RETRY, "", "engineer")
    assert len(work(site.state, loading, site.datamarts)) == 1
    (job,) = site.state.jobs.recent(1)
    assert (job.failed, job.outcome) == (True, "ValueError") and site.state.jobs.take() is None


def test_a_database_that_does_not_answer_is_told_and_asked_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    done, clock = list[Job](), [100.0]
    monkeypatch.setattr("estran.keeping.guard.time.monotonic", lambda: clock[0])
    keeper = Guarded(WorkKeeper(site.state, site.loading, site.datamarts, done.append))
    site.state.jobs.ask(JobKind.RETRY, "", "engineer")
    for name in ("take", "end"):
        with monkeypatch.context() as held:
            held.setattr(site.state.jobs, name, _locked)
            assert keeper.look() == ["WorkKeeper: OperationalError"] and keeper.failed
        assert keeper.look() == [] and done == [], "a pause first"
        clock[0] += 10
    assert keeper.look() == [] and not keeper.failed
    assert [job.kind for job in done] == [JobKind.RETRY] and site.state.jobs.recent()[0].failed is False


def _locked(*_: object, **__: object) -> None:
    raise sa.exc.OperationalError("select", None, Exception("database is locked"))
