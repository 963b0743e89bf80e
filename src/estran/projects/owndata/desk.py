"""What people do about the data that a project brings. Each step is decided, recorded, then done."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from estran.identity import boxes
from estran.model.errors import InputRefused, NotAllowed, UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.gate import Shown
from estran.projects.life.hands import concerned
from estran.projects.life.machine import Stage
from estran.projects.life.opening import open_project, project_of
from estran.projects.life.project import Project
from estran.projects.owndata import ending
from estran.projects.owndata.handing import MOST_BYTES, columns_of, handed, packed, written
from estran.projects.owndata.outcome import Outcome, csv_of
from estran.projects.owndata.recipe import Form, Plan, Recipe
from estran.projects.owndata.store import Content
from estran.projects.policy import Action, Target, decide
from estran.projects.site import SiteServices
from estran.sources.study.sheet import Item, Kind
from estran.state import OwnDataRow, OwnDeclaration, OwnFileRow, OwnState
from estran.state.transactions import now

LONGEST = dt.timedelta(days=20 * 366)  # that a data set may be declared for
MOST_SHOWN = 800  # columns that the page can map
_OVER = {Stage.CLOSED, Stage.REFUSED, Stage.WITHDRAWN}


class Ground(StrEnum):
    """On what legal ground a project holds data of its own."""

    CONSENT = "consent"
    NO_OPPOSITION = "no-opposition"
    MR001 = "MR-001"
    MR003 = "MR-003"
    MR004 = "MR-004"
    AUTHORISATION = "authorisation"  # of the CNIL, by its number


@dataclass(frozen=True)
class FileLine:
    """A file and what became of its rows, as the person may see it; `counts` is None until it was read.

    Who reads patients one by one sees rows (read = linked + superseded + set aside) and `reasons`. Others see the rows
    read and, as `linked`, what the result gate answers about the patients found: rows of one person may be many, and
    counts of them would tell whether that person is known here.
    """

    file: OwnFileRow
    counts: Mapping[str, Shown | None] | None
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class Listed:
    """A data set on a page."""

    row: OwnDataRow
    content: Content
    files: tuple[FileLine, ...]
    takes: bool  # whether the person may accept it and read its files
    rows: Shown | None  # None when it is not told: a difference between two days would tell that somebody objected
    certificate: Mapping[str, Any] | None


class OwnData:
    """One person before the data that projects bring. NotAllowed, with the reason, when the policy says no."""

    def __init__(self, site: SiteServices, actor: Actor) -> None:
        self._site, self._state, self.actor = site, site.state, actor
        self._book = site.state.own_data

    # Seeing

    def of(self, number: str) -> tuple[Project, list[Listed]]:
        """A project and what it brings, the newest first; UsageError when there is no such project."""
        project = self._project(number)
        permit(self._state, self.actor, Action.PROJECTS, self._seen(project, "own data"))
        return project, [self._listed(project, row) for row in self._book.of(number)]

    def file(self, number: int) -> tuple[Project, OwnDataRow, OwnFileRow]:
        """A file, to be mapped by whoever takes the data."""
        found = self._file(number)
        row, project = self._find(found.data_id)
        self._take(project, f"file:{number}")
        return project, row, found

    def lines(self, number: int) -> str:
        """The lines of a file that were set aside: line, table, field and reason, as CSV; no value."""
        _, _, found = self.file(number)
        if not found.outcome:
            raise UsageError("This file was not read yet.")
        return csv_of(Outcome.loads(found.outcome))

    def may_declare(self, project: Project) -> bool:
        """Whether this person is the responsible of the project, and it goes on."""
        return project.stage not in _OVER and decide(self.actor, Action.OWN_DATA, self._lead(project, "")).allowed

    def _listed(self, project: Project, row: OwnDataRow) -> Listed:
        takes = decide(self.actor, Action.TAKE_DATA, Target(parties=project.members)).allowed
        content = Content.loads(row.content)
        exact = takes and decide(self.actor, Action.PATIENTS).allowed
        files = tuple(self._line(one, exact) for one in self._book.files(row.id))
        rows = Shown(content.rows) if exact else None
        return Listed(row, content, files, takes, rows, orjson.loads(row.certificate) if row.certificate else None)

    def _line(self, one: OwnFileRow, exact: bool) -> FileLine:
        if not one.outcome:
            return FileLine(one, None, {})
        found = Outcome.loads(one.outcome)
        if exact:
            return FileLine(one, {name: Shown(count) for name, count in found.counts.items()}, found.aside)
        told = Shown(*found.told) if found.told else None
        return FileLine(one, {"read": Shown(found.read), "linked": told, "superseded": None, "aside": None}, {})

    # The responsible

    def declare(self, number: str, said: OwnDeclaration) -> int:
        """Declare data that the project brings; its number. UsageError when something is missing."""
        project = self._project(number)
        permit(self._state, self.actor, Action.OWN_DATA, self._lead(project, "declare own data"))
        if project.stage in _OVER:
            raise UsageError("This project is over.")
        return self._book.declare(number, _checked(said, self._site.settings.day(now())), self.actor.login)

    # The clinical data centre

    def answer(self, number: int, said: str, *, accepted: bool) -> None:
        """Accept or refuse a data set; UsageError when it does not wait for that."""
        row, project = self._find(number)
        self._take(project, f"{'accept' if accepted else 'refuse'} own data:{number}")
        if not accepted and len(said.strip()) < 10:
            raise UsageError("A refusal is explained.", hint="in a sentence that the team understands")
        state = OwnState.ACCEPTED if accepted else OwnState.REFUSED
        if not self._book.answer(row.id, state, self.actor.login, said.strip()[:2000]):
            raise UsageError("This data set does not wait for an answer.")

    def hand_in(self, number: int, form: str, content: bytes, dictionary: bytes = b"", links: bytes = b"") -> int:
        """Leave a file for the process that holds the key; its number. UsageError when it cannot be read."""
        self.ready(number, "hand in a file")
        if form not in set(Form):
            raise UsageError("Files are CSV, eCRF exports or CDISC ODM.")
        if not content or len(content) + len(dictionary) + len(links) > MOST_BYTES:
            raise UsageError("The files are empty or too large for this page.", hint="estran project data import SITE")
        door = self._book.door.public
        if door is None:
            raise UsageError("The process that holds the key never ran here.", hint="estran run SITE")
        try:
            with written(content) as path:
                look = handed(Form(form), path, dictionary, links).look
        except InputRefused as error:
            raise UsageError(error.what, where=error.where, hint=error.hint) from None
        if len(columns_of(look)) > MOST_SHOWN:
            raise UsageError("The file has too many columns for this page.", hint="estran project data import SITE")
        sealed = boxes.close(door, packed(content, dictionary, links))
        file = self._book.hand_in(number, form, self.actor.login, self.actor.account_id, sealed, look)
        if not file:
            raise UsageError("This data set is ended already.")
        return file

    def map(self, number: int, recipe: Recipe) -> None:
        """Say what the columns of a file are: it is read next; UsageError when that does not fit."""
        _, _, found = self.file(number)
        self.ready(found.data_id, f"map file:{number}")
        if not found.look:
            raise UsageError("This file was mapped already.")
        look = orjson.loads(found.look)
        items = {
            one["column"]: Item(one["column"], Kind(one["kind"]), one["label"], identifies=one["identifies"])
            for one in look["columns"]
        }  # fmt: skip
        known = {} if found.form == Form.CSV else items
        if strange := next((name for name in recipe.uses if name not in items), None):
            raise UsageError("The file has no such column.", where=strange)
        Plan(Form(found.form), recipe, known, table_of_links=look["links"])
        if not self._book.map(number, recipe.model_dump_json()):
            raise UsageError("This file was mapped already.")

    def ready(self, number: int, what: str) -> OwnDataRow:
        """A data set whose files may be read: accepted, within its time, of an open project; NotAllowed when it is not."""
        row, project = self._find(number)
        self._take(project, f"{what} own data:{number}")
        open_project(self._state, row.project)
        if row.state != OwnState.ACCEPTED:
            raise NotAllowed("This data set was not accepted.", hint="the clinical data centre accepts it first")
        if row.until < self._site.settings.day(now()):
            raise NotAllowed("The time of this data set is over.")
        return row

    def end(self, number: int, why: str) -> None:
        """Destroy a data set: its responsible or the clinical data centre asks."""
        row, project = self._find(number)
        mine = decide(self.actor, Action.OWN_DATA, self._lead(project, ""))
        action, target = (
            (Action.OWN_DATA, self._lead(project, ""))
            if mine.allowed
            else (Action.TAKE_DATA, Target(parties=project.members))
        )
        what = f"project:{project.number} end own data:{number} {why[:200]}"
        permit(self._state, self.actor, action, Target(what, parties=target.parties))
        if row.state == OwnState.ENDED:
            raise UsageError("This data set is ended already.")
        ending.destroy(self._site, row, self.actor, why.strip()[:300] or "asked for")

    # Who

    def _take(self, project: Project, what: str) -> None:
        permit(
            self._state,
            self.actor,
            Action.TAKE_DATA,
            Target(f"project:{project.number} {what}", parties=project.members),
        )

    def _seen(self, project: Project, what: str) -> Target:
        return Target(f"project:{project.number} {what}", parties=concerned(project))

    def _lead(self, project: Project, what: str) -> Target:
        return Target(f"project:{project.number} {what}".strip(), parties=(project.lead,))

    def _project(self, number: str) -> Project:
        found = project_of(self._state, number)
        if found is None:
            raise UsageError("There is no project of this number.")
        return found

    def _find(self, number: int) -> tuple[OwnDataRow, Project]:
        row = self._book.find(number)
        if row is None:
            raise UsageError("There is no data set of this number.")
        return row, self._project(row.project)

    def _file(self, number: int) -> OwnFileRow:
        found = self._book.file(number)
        if found is None:
            raise UsageError("There is no file of this number.")
        return found


def _checked(said: OwnDeclaration, today: dt.date) -> OwnDeclaration:
    """Tidy; UsageError with what is missing."""
    lines = {name: " ".join(getattr(said, name).split()) for name in ("title", "origin", "reference")}
    if not 1 <= len(lines["title"]) <= 200 or not 1 <= len(lines["origin"]) <= 300 or len(lines["reference"]) > 200:
        raise UsageError("A data set has a title and an origin.", hint="at most 200 and 300 characters")
    if said.formality not in set(Ground):
        raise UsageError("Say on what legal ground the project holds these data.")
    if said.formality == Ground.AUTHORISATION and not lines["reference"]:
        raise UsageError("An authorisation has a number.")
    if not 10 <= len(said.information.strip()) <= 5_000:
        raise UsageError("Say how the patients were told.", hint="which letter or notice, and when")
    if not today < said.until <= today + LONGEST:
        raise UsageError("Say until when the data are kept.", hint="a day to come, within twenty years")
    return OwnDeclaration(**lines, formality=said.formality, information=said.information.strip(), until=said.until)
