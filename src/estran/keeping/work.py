"""Doing what was asked for on a page, by the process that holds the key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from estran.catalog import measuring
from estran.catalog.quality import failures
from estran.keeping.datamarts import build_asked, end_project, refresh_asked
from estran.keeping.rights import carry_wish_out, find_person
from estran.model.errors import EstranError, UsageError, told
from estran.projects.actors import Actor
from estran.projects.datamarts.shelf import DatamartJob, Datamarts
from estran.projects.life.desk import END_DATA
from estran.projects.operations import JobKind
from estran.projects.rights_desk import RightsJob
from estran.sources.pipeline.run import Parts, retry
from estran.sources.pipeline.unload import reload, unload
from estran.state import Job, StateDatabase

_OF_DATAMARTS = {DatamartJob.BUILD: build_asked, DatamartJob.REFRESH: refresh_asked, END_DATA: end_project}


def work(
    state: StateDatabase, loading: Callable[[], AbstractContextManager[Parts]], datamarts: Callable[[Actor], Datamarts]
) -> list[Job]:
    """Do all that waits, oldest first; returns what was done. An error ends its own job only."""
    done: list[Job] = []
    while (job := state.jobs.take()) is not None:
        try:
            if job.kind in _OF_DATAMARTS:
                outcome = _OF_DATAMARTS[job.kind](state, datamarts, job)
            else:
                with loading() as parts:
                    outcome = _do(state, parts, job)
            state.jobs.end(job.id, outcome, failed=False)
        except EstranError as error:
            state.jobs.end(job.id, error.what, failed=True)
        except Exception as error:  # noqa: BLE001 (or it would be taken again at each start; its text may hold values)
            state.jobs.end(job.id, told(error), failed=True)
        done.append(job)
    return done


class WorkKeeper:
    """Does what waits at each look, and has each job told that was done."""

    def __init__(
        self, state: StateDatabase, loading: Callable[[], AbstractContextManager[Parts]],
        datamarts: Callable[[Actor], Datamarts], tell: Callable[[Job], None],
    ) -> None:  # fmt: skip
        self._given, self._tell = (state, loading, datamarts), tell

    def look(self) -> list[str]:
        """Nothing else to tell; an error is one of the database of jobs, not of a job."""
        for job in work(*self._given):
            self._tell(job)
        return []


def _do(state: StateDatabase, parts: Parts, job: Job) -> str:
    """What came of it, in counts."""
    if job.kind == RightsJob.FIND:
        return find_person(state, parts.vault, parts.settings.author_system, job)
    if job.kind == RightsJob.CARRY_OUT:
        return carry_wish_out(state, parts.warehouse, parts.vault, job)
    if job.kind == JobKind.RETRY:
        freed, left = retry(parts, job.argument)
        return f"replayed {freed}, quarantined {left}"
    if job.kind == JobKind.MEASURE:
        snapshot = parts.warehouse.snapshot()
        entries, (_, results, _) = measuring.measure(snapshot, state).entries, measuring.check(snapshot, state)
        return f"entries {entries}, checks {len(results)}, failed {len(failures(results))}"
    if job.kind == JobKind.RELOAD:
        taken = reload(parts, job.argument)
    elif job.kind == JobKind.UNLOAD:
        taken = unload(parts, int(job.argument))
    else:
        raise UsageError("This kind of work is not known to this version.")
    names = ("read", "loaded", "superseded", "quarantined")
    return ", ".join([f"documents -{taken.documents}", *(f"{name} {taken.report.total(name)}" for name in names)])
