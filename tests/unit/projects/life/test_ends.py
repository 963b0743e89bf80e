"""What a project that is over must have given back, and what the public reads of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import orjson
import pytest
from tests.unit.projects.life.play import REASON, Play, lacking, today
from tests.unit.projects.opened import opened, step

from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER
from estran.projects.life.machine import Stage, Step
from estran.projects.transparency import public_projects, put
from estran.settings import Settings
from estran.state import OwnDeclaration, PublicProject, StateDatabase
from estran.state.spaces import space_key


@dataclass
class Told:
    """As much of a site as the public page's projects need."""

    state: StateDatabase
    settings: Settings


def test_the_destruction_is_recorded_once_the_files_are_gone_and_the_certificate_names_them(play: Play) -> None:
    number, state = play.to(Stage.OPEN), play.state
    row = state.datamarts.reserve(number, "heart", "lea", 1, "{}", "dan", dt.datetime.now(dt.UTC) + dt.timedelta(days=9))
    state.datamarts.finish(row.id, b"", "{}")
    state.spaces.give(space_key(number), "Heart", "/datamarts/1", [])
    play.take(number, "lea", Step.CLOSE, reason=REASON)
    assert (job := state.jobs.take()) and (job.kind, job.argument) == ("end-project", number)
    play.take(number, "dan", Step.ARCHIVE, what="Code", how="Archive 7", day="2046-01-01")
    assert lacking(play, "dan", number, Step.DESTROY) == (
        "Datamarts whose files are still there: 1.",
        "The files of the workspace are still there: they are destroyed once the archive is recorded.",
    )
    with pytest.raises(UsageError, match="still there: 1"):
        play.take(number, "dan", Step.DESTROY, what="All", how="Unlinked", day=today())
    state.datamarts.delete(row.id, orjson.dumps({"files": [{}, {}]}).decode())
    state.spaces.end(space_key(number))
    certificate = play.take(number, "dan", Step.DESTROY, what="All", how="Unlinked", day=today()).certificate
    assert certificate is not None
    assert [(one.name, one.files, len(one.sha256)) for one in certificate.destroyed] == [("heart 1", 2, 64), ("", 0, 0)]


def test_data_that_the_project_brought_go_first_and_are_named(play: Play) -> None:
    number, state = play.to(Stage.CLOSING), play.state
    said = OwnDeclaration("Cohorte Ouest", "eCRF", "consent", "2026-01", "lettre", dt.date(2046, 1, 1))
    data = state.own_data.declare(number, said, "lea")
    play.take(number, "dan", Step.ARCHIVE, what="Code", how="Archive 7", day="2046-01-01")
    assert lacking(play, "dan", number, Step.DESTROY) == ("Data sets of its own that are still there: 1.",)
    state.own_data.end(data, orjson.dumps({"tables": [{}]}).decode())
    certificate = play.take(number, "dan", Step.DESTROY, what="All", how="Unlinked", day=today()).certificate
    assert certificate and [(one.name, one.files, one.own) for one in certificate.destroyed] == [("Cohorte Ouest", 1, True)]


def test_a_project_that_gave_nothing_waits_for_nothing(play: Play) -> None:
    number = play.to(Stage.CLOSING)
    assert lacking(play, "dan", number, Step.DESTROY) == ("Nothing says what was archived.",)


def test_a_request_needs_its_summary_for_the_public(play: Play) -> None:
    number = play.propose()
    play.letter(number)
    play.write(number, summary="")
    play.take(number, "lea", Step.SIGN, charter="1")
    assert lacking(play, "lea", number, Step.SUBMIT) == ("The request has no summary for the public.",)


def test_the_public_reads_every_project_that_was_opened_and_no_name(play: Play) -> None:
    play.to(Stage.ACCEPTED)
    site, team = Told(play.state, Settings(name="Hospital", controller="CHU")), [play.id["lea"], play.id["tom"]]
    number = opened(play.state, team, summary="We look at hearts.")
    (told,) = public_projects(site)  # type: ignore[arg-type]
    assert (told.code, told.title, told.purpose, told.status) == (number, "Essai", "We look at hearts.", "open")
    assert (told.legal_basis, told.responsible, told.begun, told.ended) == ("MR-004", "CHU (Rennes)", today(), None)
    step(play.state, number, "close", reason="Done.")
    step(play.state, number, "output", kind="publication", title="Our paper", reference="doi:1", day=None, found="Hearts tire.")
    step(play.state, number, "output", kind="none", title="No patent, for want of one", reference="", day=None)
    (told,) = public_projects(site)  # type: ignore[arg-type]
    assert (told.status, told.ended, told.results, told.outputs) == ("closed", today(), "Hearts tire.", "Our paper (doi:1)")
    assert not {"lea", "tom"} & set(str(told).replace("'", " ").split())
    mine = PublicProject(number, "Hearts", "Better words.", "MR-004", "closed")
    put(play.state, KEY_HOLDER, mine)
    other = PublicProject("H1", "Hub", "Elsewhere.", "MR-004", "open")
    put(play.state, KEY_HOLDER, other)
    assert public_projects(site) == (other, mine)  # type: ignore[arg-type]
