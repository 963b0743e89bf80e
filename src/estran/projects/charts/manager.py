"""The desk of whoever makes review lists: from a cohort to a list, its progress, its agreement, what comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from pyroaring import BitMap

from estran.cohort.engines import Outcome
from estran.cohort.language import json as question_json
from estran.cohort.query import IdList, Node
from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.charts.figures import Accuracy, Agreement, accuracy, agreement
from estran.projects.charts.form_file import read_form
from estran.projects.charts.forms import Form
from estran.projects.charts.reading import Room
from estran.projects.charts.results import Chart, Stage, Text, Verdict
from estran.projects.charts.split import share_out
from estran.projects.policy import ALLOWED, Action, Target, decide
from estran.projects.rows import fetch
from estran.state import CohortVersion, FormRecord, ListDraft, ListedPatient, ListedText, ListRecord

if TYPE_CHECKING:
    from estran.projects.desk import ReadingRoom

MOST_PATIENTS = 5000


@dataclass(frozen=True)
class Wanted:
    """A review list as somebody asks for it.

    `shares` are the parts of the reviewers by login; `sample` draws so many patients of the cohort at random (0: all of
    them, in order of number), `negatives` so many outside it. `seed` makes the same draw again.
    """

    name: str
    version_id: int
    shares: Mapping[str, float]
    adjudicators: Sequence[str] = ()
    readings: int = 1
    blind: bool = True
    form_id: int | None = None
    sample: int = 0
    negatives: int = 0
    seed: int = 1


@dataclass(frozen=True)
class Reading:
    """How far one reviewer is."""

    login: str
    given: int
    read: int
    verdicts: Mapping[str, int]
    texts: int
    marked: int


@dataclass(frozen=True)
class Progress:
    """How far a list is: readers, patients and texts by stage, verdicts that hold."""

    record: ListRecord
    readers: tuple[Reading, ...]
    adjudicators: tuple[str, ...]
    patients: Mapping[Stage, int]
    texts: Mapping[Stage, int]
    verdicts: Mapping[str, int] = field(default_factory=dict)


class ReviewManager:
    """One person who makes review lists. `run` answers a question, with the sizes inside and outside as shown."""

    def __init__(self, room: ReadingRoom, actor: Actor, run: Callable[[Node], tuple[Outcome, int, int]]) -> None:
        self._room = Room(room, actor)
        self._snapshot = room.view_of(actor).snapshot
        self._state = room.site.state
        self._book = room.site.state.charts
        self._run = run
        self.actor = actor

    def _permit(self, what: str, owner: int | None) -> None:
        self._room.permit(Action.REVIEW_LISTS, what, owner)

    # Forms

    def add_form(self, body: str) -> FormRecord:
        """A new version of the form that its `name` says; InputRefused with the line of the first mistake."""
        self._permit("form", self.actor.account_id)
        return self._book.add_form(read_form(body).name, body, self.actor.login)

    def forms(self) -> list[FormRecord]:
        """Every version of every form."""
        self._permit("forms", self.actor.account_id)
        return self._book.forms()

    # Lists

    def lists(self) -> list[ListRecord]:
        """The lists that I may manage, the newest first."""
        self._permit("lists", self.actor.account_id)
        return [one for one in self._book.lists() if self._may(one)]

    def _may(self, record: ListRecord) -> bool:
        return decide(self.actor, Action.REVIEW_LISTS, Target("", record.owner_id)).allowed

    def reviewers(self) -> list[str]:
        """Logins of those to whom a review may be given."""
        able = [a for a in self._state.accounts.all() if not a.disabled and Action.REVIEW in _rights(a.role)]
        return sorted(one.login for one in able)

    def make(self, wanted: Wanted) -> ListRecord:
        """A list of the patients of a saved cohort, given out; UsageError when something of it does not fit."""
        version = self._state.cohorts.version(wanted.version_id)
        cohort = self._state.cohorts.cohort(version.cohort_id) if version else None
        if version is None or cohort is None:
            raise UsageError("There is no such saved cohort.")
        owner = self.actor.account_id if self.actor.account_id is not None else cohort.owner_id
        self._permit(f"make:{wanted.name[:80]} version:{version.id}", self.actor.account_id)
        self._room.permit(Action.OPEN, f"cohort:{cohort.name} version:{version.number}", cohort.owner_id)
        _check(wanted)
        shares = {self._account(login): share for login, share in wanted.shares.items()}
        adjudicators = [self._account(login) for login in wanted.adjudicators]
        form = self._form(wanted.form_id)
        outcome, selected, others = self._run(question_json.loads(version.query))
        patients = self._draw(wanted, outcome)
        shared = share_out([one.patient_id for one in patients], shares, wanted.readings)
        draft = ListDraft(
            " ".join(wanted.name.split()), owner, version.id, self._snapshot.version, wanted.form_id, wanted.blind,
            wanted.readings, wanted.seed, wanted.sample > 0, selected, others,
        )  # fmt: skip
        return self._book.make(draft, patients, shared, adjudicators, self._texts(form, patients))

    def _account(self, login: str) -> int:
        found = self._state.accounts.find(login)
        if found is None or found.disabled or Action.REVIEW not in _rights(found.role):
            raise UsageError("A review is given to people whose role includes it.", where=login)
        return found.id

    def _form(self, form_id: int | None) -> Form | None:
        kept = None if form_id is None else self._book.form(form_id)
        if form_id is not None and kept is None:
            raise UsageError("There is no such form.")
        return None if kept is None else read_form(kept.body)

    def _draw(self, wanted: Wanted, outcome: Outcome) -> list[ListedPatient]:
        """The patients of the cohort and those outside it, shuffled together so that a reviewer cannot tell them apart."""
        rng = np.random.default_rng(wanted.seed)
        inside = _some(outcome.patients, wanted.sample, rng)
        outside = (
            _some(self._snapshot.population() - outcome.patients, wanted.negatives, rng) if wanted.negatives else []
        )
        if len(inside) + len(outside) > MOST_PATIENTS:
            raise UsageError(f"A review list takes {MOST_PATIENTS} patients at most.", hint="draw a sample")
        if not inside:
            raise UsageError("This cohort has no patient.")
        numbers = inside + outside
        if outside:
            rng.shuffle(numbers)
        chosen, dates = set(inside), outcome.index_dates
        return [ListedPatient(n, place, n in chosen, dates.get(n)) for place, n in enumerate(numbers)]

    def _texts(self, form: Form | None, patients: Sequence[ListedPatient]) -> list[ListedText]:
        """The texts that a form with labels has marked, as they are now."""
        if form is None or not form.labels:
            return []
        kinds = f"AND d.kind IN ({', '.join('?' for _ in form.documents)})" if form.documents else ""
        rows = fetch(
            self._snapshot,
            "SELECT d.document_id, d.patient_id, sha256(t.text) AS text_hash FROM document d "
            "JOIN text t ON t.document_id = d.document_id AND t.patient_id = d.patient_id "
            f"WHERE list_contains(?, d.patient_id) {kinds} ORDER BY d.document_id",
            [[one.patient_id for one in patients], *form.documents],
        )
        return [ListedText(**row) for row in rows]

    def _managed(self, list_id: int, what: str) -> ListRecord:
        record = self._room.record(list_id)
        self._permit(f"list:{list_id} {what}", record.owner_id)
        return record

    def close(self, list_id: int) -> None:
        """Nothing more is decided in this list."""
        self._managed(list_id, "close")
        self._book.close(list_id)

    def progress(self, list_id: int) -> Progress:
        """How far a list is; of no patient in particular."""
        record = self._managed(list_id, "progress")
        charts, texts = self._room.charts(list_id), self._room.texts(list_id)
        logins = {one.id: one.login for one in self._state.accounts.all()}
        people = sorted({one for chart in charts for one in chart.readers}, key=lambda one: logins[one])
        return Progress(
            record, tuple(_reading(logins[one], one, charts, texts) for one in people),
            tuple(logins[one] for one in self._book.adjudicators(list_id)), dict(Counter(one.stage for one in charts)),
            dict(Counter(one.stage for one in texts)), dict(Counter(one.holds.verdict for one in charts if one.holds)),
        )  # fmt: skip

    def form_of(self, list_id: int) -> Form:
        """The form of a list; it says nothing of any patient."""
        return self._room.form(self._room.record(list_id))

    def agreement(self, list_id: int) -> Agreement:
        """How far the reviewers agree, before anything was settled."""
        record = self._managed(list_id, "agreement")
        return agreement(self._room.form(record), self._room.charts(list_id), self._room.texts(list_id))

    def accuracy(self, list_id: int) -> Accuracy:
        """How right the cohort is, as a phenotype: of whom it selects, and of whom it leaves out."""
        record = self._managed(list_id, "accuracy")
        return accuracy(record, self._room.charts(list_id))

    def keep(self, list_id: int, name: str, verdict: str = Verdict.INCLUDE) -> CohortVersion:
        """The patients of whom a verdict holds as a saved cohort of the list's owner, to be named in a question.

        The cohort lists patients by number: only those who may read patients can ask about it.
        """
        record = self._managed(list_id, f"keep:{verdict}")
        name = " ".join(name.split())
        if not 1 <= len(name) <= 200 or verdict not in set(Verdict):
            raise UsageError("A cohort needs a name of 1 to 200 characters.")
        held = [
            one.patient.patient_id for one in self._room.charts(list_id) if one.holds and one.holds.verdict == verdict
        ]
        if not held:
            raise UsageError("No patient of this list has this verdict yet.")
        text = question_json.dumps(IdList(tuple(held)))
        owner = self.actor.account_id if self.actor.account_id is not None else record.owner_id
        note = f"{record.name}: {verdict}, {self._snapshot.today():%Y-%m-%d}"
        self._room.permit(Action.SAVE, f"cohort:{name}", owner)
        return self._state.cohorts.save(owner, name, text, note, self._snapshot.version, len(held))


def _check(wanted: Wanted) -> None:
    if not 1 <= len(" ".join(wanted.name.split())) <= 200:
        raise UsageError("A review list needs a name of 1 to 200 characters.")
    if wanted.readings not in (1, 2, 3):
        raise UsageError("Each patient is read once, twice or three times.")
    if wanted.sample < 0 or wanted.negatives < 0 or not 0 <= wanted.seed < 2**31:
        raise UsageError("Samples are counted from 0.")
    if wanted.negatives and not wanted.sample:
        raise UsageError("Those outside the cohort go with a sample of it.", hint="say how many of each")
    if not wanted.shares:
        raise UsageError("A review needs at least one reviewer.")


def _rights(role: str) -> frozenset[Action]:
    return next((rights for known, rights in ALLOWED.items() if known == role), frozenset())


def _some(patients: BitMap, many: int, rng: np.random.Generator) -> list[int]:
    """So many at random, all of them when 0 or too many are asked for; in order of number."""
    numbers = np.array(patients.to_array(), np.int64)
    if 0 < many < len(numbers):
        numbers = np.sort(rng.choice(numbers, many, replace=False))
    return [int(one) for one in numbers]


def _reading(login: str, account: int, charts: Sequence[Chart], texts: Sequence[Text]) -> Reading:
    own = [one for one in charts if account in one.readers]
    said = [one for chart in own for one in chart.readings if one.account_id == account]
    given = [one for one in texts if account in one.readers]
    marked = [one for text in given for one in text.markings if one.account_id == account]
    return Reading(login, len(own), len(said), dict(Counter(one.verdict for one in said)), len(given), len(marked))
