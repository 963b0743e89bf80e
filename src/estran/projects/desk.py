"""The desk: everything a signed-in person can ask of a site. Each question is decided, recorded, then run."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

from estran.cohort.engines import Outcome
from estran.cohort.language import json as question_json
from estran.cohort.query import Node
from estran.model.errors import UsageError
from estran.model.perimeter import WHOLE, Perimeter
from estran.projects import feeds, finding
from estran.projects.actors import Actor, Role
from estran.projects.audit import permit
from estran.projects.care import Care
from estran.projects.charts.adjudicator import Adjudicator
from estran.projects.charts.manager import ReviewManager
from estran.projects.charts.reviewer import Reviewer
from estran.projects.cloud import Prevalence
from estran.projects.concepts import Concept, ConceptShelf
from estran.projects.datamarts.shelf import Datamarts
from estran.projects.documents import Document, patient_of, read_document
from estran.projects.explorer import Explorer
from estran.projects.feeds import FeedState, Refused
from estran.projects.following import EveryDay, open_target
from estran.projects.gate import Shown, gate_of, rules_of
from estran.projects.hierarchy import Branch, branches, vocabularies
from estran.projects.holdings import Holdings, read_holdings
from estran.projects.life import ProjectsDesk
from estran.projects.lists import Lists
from estran.projects.officer import Officer
from estran.projects.operations import JobKind
from estran.projects.originals import Originals
from estran.projects.owndata import OwnData
from estran.projects.patients import Timeline, read_patients, read_timeline
from estran.projects.policy import Action, Target, decide
from estran.projects.questions import Answers, Counted, named_patients, names_patients, open_names, query_of, shown
from estran.projects.rights_desk import RightsDesk
from estran.projects.rows import fetch
from estran.projects.showing import ConceptShown, EvidenceLine, HoldingsShown, PatientPage
from estran.projects.site import SiteServices
from estran.projects.steward import Steward
from estran.release.disclosure import margin
from estran.state import CohortVersion, Job, Opening, SavedCohort, StateDatabase
from estran.warehouse import Snapshot

_VIEWS = 16  # perimeters whose views are kept
# Uses to which a patient may be opposed and that a role stands for.
USES = {Role.TEACHER: frozenset({"teaching"}), Role.INDUSTRIAL_PARTNER: frozenset({"industry"})}


class View:
    """What is kept as long as a snapshot is the newest: open answers, concepts, totals."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.concepts = ConceptShelf(snapshot)
        self.units: dict[frozenset[tuple[str, str]], tuple[str, ...]] = {}
        # A timeline is asked for twice, for its page and for its drawing.
        self.timeline = lru_cache(maxsize=8)(lambda patient: read_timeline(snapshot, self.concepts, patient))

    @cached_property
    def answers(self) -> Answers:
        return Answers(self.snapshot)

    @cached_property
    def prevalence(self) -> Prevalence:
        return Prevalence(self.snapshot)

    @cached_property
    def holdings(self) -> Holdings:
        return read_holdings(self.snapshot)

    @cached_property
    def vocabularies(self) -> tuple[tuple[str, int], ...]:
        return vocabularies(self.snapshot)

    @cached_property
    def wards(self) -> tuple[tuple[str, str], ...]:
        """Code and label of the units."""
        rows = fetch(self.snapshot, "SELECT code, coalesce(label, code) AS label FROM unit ORDER BY label, code")
        return tuple((row["code"], row["label"]) for row in rows)


class ReadingRoom:
    """A site with the views of its newest snapshot; made once per process, shared by all desks."""

    def __init__(self, site: SiteServices) -> None:
        self.site = site
        self._lock = threading.Lock()
        self._views: OrderedDict[tuple[frozenset[str], Perimeter], View] = OrderedDict()

    def view(self, refusals: frozenset[str] = frozenset(), perimeter: Perimeter = WHOLE) -> View:
        """The view of the newest snapshot within a perimeter, without the patients who oppose one of these uses."""
        snapshot = self.site.snapshot()
        with self._lock:
            known = self._views.get((refusals, perimeter))
            if known is None or known.snapshot.version != snapshot.version:
                known = View(snapshot.refusing(refusals).within(perimeter))
                self._views[refusals, perimeter] = known
            self._views.move_to_end((refusals, perimeter))
            while len(self._views) > _VIEWS:
                self._views.popitem(last=False)
            return known

    def view_of(self, actor: Actor) -> View:
        """Where somebody reads everything that they read: within their perimeter, for the use that their role has."""
        return self.view(USES.get(actor.role, frozenset()), actor.perimeter)


class Desk:
    """One person at one site. NotAllowed when the policy says no; the refusal is recorded too."""

    def __init__(self, room: ReadingRoom, actor: Actor) -> None:
        self._room = room
        self.actor = actor.bounded(room.site.state)
        self._view = room.view_of(self.actor)
        self._gate = gate_of(self.actor, room.site.state, room.site.settings)

    @property
    def state(self) -> StateDatabase:
        return self._room.site.state

    @property
    def officer(self) -> Officer:
        """The desk of whoever may read the audit trail."""
        return Officer(self._room.site, self.actor)

    @property
    def care(self) -> Care:
        """The desk of whoever may open a record for care."""
        return Care(self._room.site, self.actor)

    @property
    def perimeter(self) -> Perimeter | None:
        """What bounds this person; None when nothing does."""
        return None if self.actor.perimeter.whole else self.actor.perimeter

    @property
    def projects(self) -> ProjectsDesk:
        """The desk of projects."""
        return ProjectsDesk(self.state, self._room.site.settings, self.actor)

    @property
    def datamarts(self) -> Datamarts:
        """The datamarts that the person may see."""
        return Datamarts(self._room.site, self.actor)

    @property
    def own_data(self) -> OwnData:
        """The data that projects bring."""
        return OwnData(self._room.site, self.actor)

    @property
    def rights(self) -> RightsDesk:
        """The desk of whoever answers patients."""
        return RightsDesk(self.state, self.actor)

    @property
    def steward(self) -> Steward:
        """The desk of whoever asks about the data themselves."""
        return Steward(self._room.site, self.actor, self._view.snapshot)

    @property
    def reviewer(self) -> Reviewer:
        """The desk of whoever was given charts to review."""
        return Reviewer(self._room, self.actor)

    @property
    def adjudicator(self) -> Adjudicator:
        """The desk of whoever settles what reviewers said differently."""
        return Adjudicator(self._room, self.actor)

    @property
    def reviews(self) -> ReviewManager:
        """The desk of whoever makes review lists."""
        return ReviewManager(self._room, self.actor, self._selected)

    @property
    def explorer(self) -> Explorer:
        """The desk of whoever looks at a patient or a cohort as a picture."""
        return Explorer(self._view, self._gate, self._permit, self._asked)

    def _selected(self, query: Node) -> tuple[Outcome, int, int]:
        """The patients of a question, and how many they and the others are as the gate shows it."""
        opened = self._asked(Action.PATIENTS, query, Target("patients for a review list"))
        outcome, everybody = self._view.answers.run(opened), self._view.snapshot.population()
        answers = self._gate.answers({"selected": outcome.patients, "others": everybody - outcome.patients})
        return outcome, answers["selected"].shown.value, answers["others"].shown.value

    @property
    def every_day(self) -> EveryDay:
        """My stars, shares, followed questions and notices."""
        return EveryDay(self.state, self.actor)

    @property
    def originals(self) -> Originals:
        """The documents that I asked for as they came."""
        return Originals(self._room.site, self.actor)

    @property
    def lists(self) -> Lists:
        """My lists of patient numbers."""
        return Lists(self._room.site, self.actor)

    @property
    def site_name(self) -> str:
        return self._room.site.settings.name

    @property
    def _unbounded(self) -> View:
        """The same without the perimeter, for the one record opened for care; never for anything else."""
        return self._room.view_of(replace(self.actor, perimeter=WHOLE))

    def _permit(self, action: Action, target: Target | None = None, query: str = "") -> None:
        permit(self.state, self.actor, action, target, query=query, snapshot=self._view.snapshot.version)

    def _view_of(self, action: Action, what: str, patients: tuple[int, ...], inside: bool, query: str = "") -> View:
        """Where something of one patient is read from, once it is permitted: the perimeter, or the record that the
        person opened for care. Outside of both the refusal is recorded with the patient whom it is about."""
        if self.perimeter is not None and any(map(self.care.opens, patients)):
            self.care.read(what, patients[0])
            return self._unbounded
        self._permit(action, Target(what, patients=patients, outside=not inside), query)
        return self._view

    def opened_for_care(self, patient_id: int) -> Opening | None:
        """The opening under which a record is read whole; None when it is not."""
        opening = None if self.perimeter is None else self.care.current()
        return opening if opening is not None and opening.patient_id == patient_id else None

    def _inside(self, patient_id: int) -> bool:
        """Whether a patient has something within the perimeter; without one, nobody is outside."""
        return self.perimeter is None or self._view.snapshot.sees(patient_id)

    # Totals and codes

    def holdings(self) -> HoldingsShown:
        """What the site holds."""
        self._permit(Action.HOLDINGS)
        held = self._view.holdings

        def show(count: int, *place: object) -> Shown:
            return self._gate.show(count, "/".join(map(str, place)))

        return HoldingsShown(
            version=held.version, created=held.created, patients=show(held.patients, "population"),
            stays=show(held.stays, "stays"), documents=show(held.documents, "documents"), facts=show(held.facts, "facts"),
            texts=show(held.texts, "texts"), concepts=Shown(held.concepts),
            sources=held.sources if self.perimeter is None else (),  # records are counted for the whole site
            kinds=tuple((kind, show(n, "kind", kind)) for kind, n in held.kinds),
            years=tuple((year, show(n, "year", year)) for year, n in held.years),
            women=tuple(show(n, "women", band) for band, n in enumerate(held.pyramid.women)),
            men=tuple(show(n, "men", band) for band, n in enumerate(held.pyramid.men)),
        )

    def concepts(self, words: str, kind: str = "") -> list[ConceptShown]:
        """Codes whose label or code holds the words, those that patients have first."""
        self._permit(Action.CONCEPTS, Target(f"words:{words} kind:{kind}"))
        return [ConceptShown(c, self._gate.show(c.patients, f"concept/{c.concept_id}")) for c in self._view.concepts.look_up(words, kind)]

    def vocabularies(self) -> tuple[tuple[str, int], ...]:
        """The vocabularies, those with a hierarchy first; says nothing of any patient."""
        self._permit(Action.CONCEPTS, Target("vocabularies"))
        return self._view.vocabularies

    def branches(self, vocabulary: str, code: str) -> tuple[list[tuple[Branch, Shown]], int]:
        """What is directly below a code, each node with its patients through the gate; and how many nodes there are."""
        self._permit(Action.CONCEPTS, Target(f"below:{vocabulary}:{code}"))
        found = branches(self._view.snapshot, self._view.concepts, vocabulary, code)
        return [(n, self._gate.show(n.patients, f"concept/{n.concept.concept_id}")) for n in found.nodes], found.total

    def labels(self, codes: list[tuple[str, str]]) -> dict[tuple[str, str], Concept]:
        """What is known of codes; says nothing of any patient."""
        return self._view.concepts.of_codes(codes)

    def wards(self) -> tuple[tuple[str, str], ...]:
        """Code and label of the wards; says nothing of any patient."""
        return self._view.wards

    def value_units(self, codes: list[tuple[str, str]]) -> tuple[str, ...]:
        """Units in which values of these codes are recorded here, most frequent first."""
        key = frozenset(codes)
        if key not in self._view.units:
            self._view.units[key] = _value_units(self._view.snapshot, codes)
        return self._view.units[key]

    # Feeds

    def feeds(self) -> list[FeedState]:
        """How each source is doing."""
        self._permit(Action.FEEDS)
        return feeds.states(self._view.snapshot, self._room.site.feeds)

    def loads(self, source: str = "") -> list[dict[str, Any]]:
        """The last loads, of one source or of all."""
        self._permit(Action.FEEDS, Target(f"source:{source}"))
        return feeds.loads(self._view.snapshot, source)

    def quarantine(self) -> list[Refused]:
        """What is in quarantine, by source and reason."""
        self._permit(Action.FEEDS, Target("quarantine"))
        return feeds.refused(self._view.snapshot)

    def jobs(self) -> list[Job]:
        """The work asked for last."""
        self._permit(Action.FEEDS, Target("jobs"))
        return self.state.jobs.recent()

    def ask_for(self, kind: JobKind, argument: str) -> int:
        """Queue work on the feeds for the process that holds the key; its number."""
        self._permit(Action.OPERATE, Target(f"{kind}:{argument}"))
        if kind is JobKind.UNLOAD and not argument.isdecimal():
            raise UsageError("A load is named by its number.")
        return self.state.jobs.ask(kind, argument[:200], self.actor.login)

    # Searching and reading

    def search(self, text: str, filters: Mapping[str, str], limit: int, offset: int) -> finding.Found:
        """Documents that hold the words; UsageError when they cannot be read as a search."""
        self._permit(Action.SEARCH, Target("filters:" + ",".join(f"{k}={v}" for k, v in filters.items())), text)
        readable = decide(self.actor, Action.SNIPPETS).allowed
        found = finding.find(self._view.snapshot, self._gate, text, filters, limit, offset, readable)
        if readable:
            patients = tuple({hit.document.patient_id for hit in found.hits})
            self._permit(Action.SNIPPETS, Target(f"results:{offset}-{offset + limit}", patients=patients), text)
        return found

    def document(self, document_id: int, words: str = "") -> tuple[Document, tuple[finding.Piece, ...]] | None:
        """A document, and its text cut at the words; None when nothing may be seen under this number."""
        whose = patient_of(self._view.snapshot, document_id)
        inside = self.perimeter is None or bool(whose)
        whose = whose if inside else patient_of(self._unbounded.snapshot, document_id)
        view = self._view_of(Action.DOCUMENT, f"document:{document_id}", whose, inside, words)
        found = read_document(view.snapshot, view.concepts, document_id, whose)
        return None if found is None else (found, finding.pieces(found.text, words))

    def timeline(self, patient_id: int) -> Timeline | None:
        """Everything of a patient; None when nobody may be seen under this number."""
        view = self._view_of(Action.TIMELINE, f"patient:{patient_id}", (patient_id,), self._inside(patient_id))
        return view.timeline(patient_id) if 0 <= patient_id < 2**31 else None

    # Cohorts

    def count(self, query: Node) -> Counted:
        """The question counted, with its steps and breakdowns."""
        opened = self._asked(Action.COUNT, query)
        return shown(opened, self._view.answers.run(opened), len(self._view.snapshot.population()), self._gate)

    def patients(self, query: Node, limit: int, offset: int) -> PatientPage:
        """The patients of a question, by pseudonymous number."""
        opened = self._asked(Action.PATIENTS, query, Target(f"patients:{offset}-{offset + limit}"))
        numbers = self._view.answers.run(opened).patients
        page = [int(number) for number in numbers[offset : offset + limit]]
        self._permit(Action.PATIENTS, Target(f"page of patients:{offset}-{offset + limit}", patients=tuple(page)))
        return PatientPage(tuple(read_patients(self._view.snapshot, page)), len(numbers))

    def evidence(self, query: Node, patient_id: int) -> dict[str, list[EvidenceLine]]:
        """Per path of the question, what was found in this patient; nothing about one who may not be seen."""
        about = Target(f"evidence:patient:{patient_id}", patients=(patient_id,), outside=not self._inside(patient_id))
        opened = self._asked(Action.PATIENTS, query, about)
        found = self._view.answers.run(opened).evidence(patient_id)
        ids = {m.concept_id for matches in found.values() for m in matches if m.concept_id is not None}
        known = self._view.concepts.of_ids(ids)
        return {
            path: [
                EvidenceLine(
                    m.date, m.document_id, *((known[m.concept_id].label("fr"), known[m.concept_id].label("en"))
                                             if m.concept_id in known else ("", "")),
                )
                for m in matches
            ]
            for path, matches in found.items()
        }  # fmt: skip

    def _asked(self, action: Action, query: Node, target: Target | None = None) -> Node:
        opened = open_names(query, query_of(self.state, self.actor.account_id))
        target = target or Target()
        listed = target.patients or named_patients(opened)
        asked = Target(target.what, names_patients=names_patients(opened), patients=listed, outside=target.outside)
        self._permit(action, asked, question_json.dumps(query))
        return opened

    def cohorts(self) -> list[SavedCohort]:
        """My saved cohorts, last changed first."""
        return [] if self.actor.account_id is None else self.state.cohorts.owned_by(self.actor.account_id)

    def save(self, name: str, query: Node, note: str) -> CohortVersion:
        """A new version of my cohort `name`; UsageError when the name is empty or too long."""
        name = " ".join(name.split())
        if not 1 <= len(name) <= 200:
            raise UsageError("A cohort needs a name of 1 to 200 characters.")
        if self.actor.account_id is None:
            raise UsageError("Cohorts are saved under an account.", hint="sign in to the portal")
        opened = self._asked(Action.SAVE, query, Target(f"cohort:{name}"))
        total = self._gate.answers({"total": self._view.answers.run(opened).patients})["total"].shown
        text = question_json.dumps(query)
        return self.state.cohorts.save(
            self.actor.account_id, name, text, note.strip()[:2000], self._view.snapshot.version, total.value
        )

    def version(self, version_id: int) -> tuple[SavedCohort, CohortVersion] | None:
        """A saved version with its cohort; None when there is none."""
        version = self.state.cohorts.version(version_id)
        cohort = self.state.cohorts.cohort(version.cohort_id) if version else None
        if version is None or cohort is None:
            return None
        what = f"cohort:{cohort.name} version:{version.number}"
        self._permit(Action.OPEN, open_target(self.state, self.actor, cohort, what))
        return cohort, version

    def archive(self, cohort_id: int) -> None:
        """Take one of my cohorts off the list."""
        cohort = self.state.cohorts.cohort(cohort_id)
        if cohort is None or cohort.owner_id != self.actor.account_id:
            raise UsageError("You have no such cohort.")
        self._permit(Action.SAVE, Target(f"archive:{cohort.name}", cohort.owner_id))
        self.state.cohorts.archive(cohort_id)

    # The cohort being built: what the person typed, nobody else's business

    def draft(self) -> str | None:
        """The state of the builder, or None."""
        return None if self.actor.account_id is None else self.state.drafts.current(self.actor.account_id)

    def draft_reach(self) -> tuple[int, int]:
        """How many steps can be undone and redone."""
        return (0, 0) if self.actor.account_id is None else self.state.drafts.reach(self.actor.account_id)

    def keep_draft(self, state: str) -> None:
        """A new state of the builder, one step after the current one."""
        if self.actor.account_id is not None:
            self.state.drafts.put(self.actor.account_id, state)

    def step_draft(self, steps: int) -> None:
        """Undo (-1) or redo (+1)."""
        if self.actor.account_id is not None:
            self.state.drafts.move(self.actor.account_id, steps)

    def saved_total(self, version: CohortVersion) -> Shown | None:
        """The count kept with a saved version: it went through the gate when it was saved. None within a perimeter,
        which may have been another one then."""
        if self.perimeter is not None:
            return None
        rules = rules_of(self._room.site.settings)
        return Shown(version.total, margin=margin(rules)) if version.total else Shown(0, below=rules.floor)


def _value_units(snapshot: Snapshot, codes: list[tuple[str, str]]) -> tuple[str, ...]:
    ids = [number for code in codes for number in snapshot.concept_ids(*code)]
    if not ids:
        return ()
    below = ", ".join(str(int(number)) for number in snapshot.descendants(ids)[:5000])
    rows = fetch(
        snapshot,
        f"SELECT unit, count(*) AS n FROM fact_by_concept WHERE concept_id IN ({below}) AND value IS NOT NULL "
        "AND unit IS NOT NULL GROUP BY unit ORDER BY n DESC, unit LIMIT 12",
    )
    return tuple(row["unit"] for row in rows)
