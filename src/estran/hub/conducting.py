"""Leading a study through its rounds: jobs to all its sites, their sum, the next round, until there is a result.

All that a step needs is on disk before its jobs go out, so that a hub that was killed goes on where it was. What it
does twice then (a job to a site) does no harm: a site answers a round once, and gives the same bytes again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from estran.analysis.federated import masking
from estran.analysis.federated.methods import METHODS
from estran.analysis.federated.rehearsal import stacked
from estran.analysis.federated.rounds import Params, Result, Sums
from estran.hub.agent.statistics import keys_of, study_name
from estran.hub.book import OPEN, HubBook, JobRecord
from estran.hub.studies import ASKING, DONE, FAILED, ROUNDS, SHARING, Gone, Studies, Study, without
from estran.hub.study import AGAIN, END, KIND, MOST_ATTEMPTS, ROUND, SHARE, STEP, WORDS, Announcement, place_of
from estran.model.errors import CheckFailed, UsageError

LIFE = 7 * 86_400.0  # seconds for which sites may answer, an approval included
_FEW = "Fewer than three sites take part: a sum of two would tell each of the other."
_DOING = {"queued": "waiting", "taken": "waiting", "ok": "answered"}
Now = Callable[[], float]
Answers = Mapping[str, JobRecord]


@dataclass(frozen=True)
class Doing:
    """What a site does in a study: answered, waiting, approval; lost, refused, unsupported, failed when it is out."""

    member: str
    name: str
    state: str
    said: str


class Conductor:
    """Leads the studies of one hub. Two processes may, at once: one waits for the other."""

    def __init__(self, book: HubBook, studies: Studies, now: Now = time.time) -> None:
        self.book, self.studies, self._now = book, studies, now
        self._network = book.meta("network")

    def begin(self, study: Study) -> Study:
        """Put a new study to its sites."""
        with self.studies.db.writing():
            self.studies.add(study)
            asked = {"attempt": 1, "sites": list(study.members), **study.body.to_object()}
            self._send(study, KIND, study.members, asked)
        return study

    def answered(self, job: str) -> None:
        """Go on with the study that a job belongs to, if any."""
        study = self.studies.study_of(job)
        if study is not None:
            self.advance(study)

    def advance_all(self) -> None:
        """Go on with every study: after a time without the hub, and for sites that keep everybody waiting."""
        for study in self.studies.going_on():
            self.advance(study)

    def advance(self, study: str, *, at_once: bool = False) -> Study | None:
        """Go as far as the answers allow; `at_once`: without those who have not answered yet."""
        counted = list[str]()
        with self.studies.db.writing():
            found = self.studies.study(study)
            while found is not None and found.open:
                moved = self._moved(found, at_once=at_once)
                if moved is None:
                    break
                counted += self.studies.jobs(found).values()
                found, at_once = self.studies.save(moved), False
        for job in counted:  # once the step after them is on disk: until then they may be counted again
            self.book.drop_files(job, "answer")
        return found

    def _moved(self, study: Study, *, at_once: bool) -> Study | None:
        """The study one step further; None when answers are missing."""
        answers = self._answers(study)
        if any(self._awaited(study, one, at_once=at_once) for one in answers.values()):
            return None
        self.studies.finish(study, self._now())
        try:
            if study.state == ASKING:
                return self._with_keys(study, answers)
            bad = {name: self._why(study, one) for name, one in answers.items() if one.state != "ok"}
            if bad:
                return self._anew(without(study, bad))
            return self._with_secret(study, answers) if study.state == SHARING else self._with_sum(study, answers)
        except (CheckFailed, UsageError) as error:
            return self._over(study, FAILED, said=error.what)

    def _awaited(self, study: Study, job: JobRecord, *, at_once: bool) -> bool:
        member = self.book.member(job.member)
        if job.state not in OPEN or at_once or member is None or member.state != "active":
            return False
        patience = LIFE if job.state == "approval" else study.patience
        return self._now() < min(job.created + patience, job.expires)

    def _why(self, study: Study, job: JobRecord) -> Gone:
        """Why a site is left out, by what came of its job."""
        return Gone(study.attempt, "lost" if job.state in (*OPEN, "expired") else job.state, job.said)

    def doing(self, study: Study) -> tuple[Doing, ...]:
        """What each site does in a study now, by name."""
        now = self._answers(study) if study.open else {}
        names = {one.id: one.name for one in self.book.members()}
        found = []
        for member in study.members:
            gone, job = study.gone.get(member), now.get(member)
            if gone is not None:
                state, said = gone.state, gone.said
            elif job is None:
                state, said = ("answered" if study.state == DONE or member in study.sites else "waiting"), ""
            else:
                state, said = _DOING.get(job.state, job.state), job.said
            found.append(Doing(member, names.get(member, member), state, said))
        return tuple(sorted(found, key=lambda one: one.name))

    # Keys

    def _with_keys(self, study: Study, answers: Answers) -> Study:
        """Those who gave a key that holds make the list of the attempt."""
        roster, bad = [], {}
        for name, job in answers.items():
            given = self._announced(study, job) if job.state == "ok" else None
            if given is not None:
                roster.append(given.to_object())
            elif job.state == "ok":
                bad[name] = Gone(study.attempt, "failed", "Its key does not hold.")
            else:
                bad[name] = self._why(study, job)
        study = replace(without(study, bad), roster=tuple(sorted(roster, key=lambda one: one["member"])))
        self._give_up(study, bad)
        if len(roster) < masking.FEWEST_SITES:
            return self._over(study, FAILED, said=_FEW)
        params = study.body.start(study.sites).to_json()
        if METHODS[study.body.method].sealed:
            return self._next(replace(study, params=params, state=SHARING), SHARE, (min(study.sites),))
        return self._next(replace(study, params=params, state=ROUNDS), STEP)

    def _announced(self, study: Study, job: JobRecord) -> Announcement | None:
        """What a site announced, when it is signed by the certificate that it joined with."""
        member = self.book.member(job.member)
        try:
            found = Announcement.read(job.answer)
        except UsageError:
            return None
        own = member is not None and member.public is not None and found.fingerprint == member.public.fingerprint
        place = place_of(self._network, study.id, study.attempt, study.body)
        return found if own and found.member == job.member and found.signed(place) else None

    def _with_secret(self, study: Study, answers: Answers) -> Study:
        (job,) = answers.values()
        sealed = job.answer.get("sealed")
        kept = {str(name): str(one) for name, one in sealed.items()} if isinstance(sealed, dict) else {}
        return self._next(replace(study, secrets=kept, state=ROUNDS), STEP)

    # Rounds

    def _with_sum(self, study: Study, answers: Answers) -> Study:
        """The next round, or the result."""
        method, params = METHODS[study.body.method], Params.from_json(study.params)
        following = method.step(params, self._sums(study, params, answers))
        if isinstance(following, Result):
            return self._over(study, DONE, result=self._named(following).to_json())
        return self._next(replace(study, params=following.to_json()), STEP)

    def _sums(self, study: Study, params: Params, answers: Answers) -> Sums:
        method = METHODS[study.body.method]
        if not method.masked:
            arrays = {name: _arrays(job.answer.get("arrays")) for name, job in answers.items()}
            return stacked(arrays, params.spec["sites"])
        roster = tuple(map(Announcement.read, study.roster))
        bound = masking.context(study_name(study.id, study.attempt), params)
        return masking.unmask([self._contribution(job) for job in answers.values()], keys_of(roster), bound)

    def _contribution(self, job: JobRecord) -> masking.Contribution:
        words = next((one.data for one in self.book.files(job.id, "answer") if one.name == WORDS), b"")
        try:
            layout = tuple((str(name), tuple(int(n) for n in shape)) for name, shape in job.answer["layout"])
        except (KeyError, TypeError, ValueError):
            raise CheckFailed("A site's contribution cannot be read.") from None
        return masking.Contribution(job.member, layout, words)

    def _named(self, result: Result) -> Result:
        """A result that tells the sites apart names them as people do."""
        if METHODS[result.method].masked:
            return result
        names = {one.id: one.name for one in self.book.members()}
        rows = [{**one, "site": names.get(one["site"], one["site"])} for one in result.shown["sites"]]
        return replace(result, shown={**result.shown, "sites": rows})

    # Steps

    def _next(self, study: Study, phase: str, members: Collection[str] = ()) -> Study:
        """The next step of an attempt, with its jobs."""
        study = replace(study, step=study.step + 1)
        body: dict[str, Any] = {"attempt": study.attempt, "phase": phase, "roster": list(study.roster)}
        if phase == STEP:
            body["params"] = study.params
        self._send(study, ROUND, members or study.sites, body)
        return study

    def _anew(self, study: Study) -> Study:
        """The study without those who are gone, with new keys; at an end when too few are left."""
        rest = [name for name in study.sites if name not in study.gone]
        for job in self.studies.every_job(study):
            self.book.give_up(job)
        if len(rest) < masking.FEWEST_SITES or study.attempt >= MOST_ATTEMPTS:
            said = _FEW if len(rest) < masking.FEWEST_SITES else "Sites were lost too often."
            return self._over(study, FAILED, said=said)
        study = replace(study, attempt=study.attempt + 1, step=0, roster=(), secrets={}, params="", state=ASKING)
        self._send(study, ROUND, rest, {"attempt": study.attempt, "phase": AGAIN})
        return study

    def _over(self, study: Study, state: str, *, said: str = "", result: str = "") -> Study:
        """The end: the sites forget, and so does the hub but for the result."""
        for job in self.studies.every_job(study):
            self.book.give_up(job)
        now = self._now()
        for name in study.sites or [one for one in study.members if one not in study.gone]:
            self.book.add_job(None, name, ROUND, {"study": study.id, "phase": END}, now, study.asked + LIFE)
        return replace(study, state=state, said=said, result=result, secrets={}, params="", ended=now)

    def _send(self, study: Study, kind: str, members: Collection[str], body: dict[str, Any]) -> None:
        now, jobs = self._now(), {}
        for member in members:
            own = {"secret": study.secrets[member]} if member in study.secrets else {}
            said = {"study": study.id, **body, **own}
            jobs[member] = self.book.add_job(None, member, kind, said, now, study.asked + LIFE)
        self.studies.begin(study, str(body.get("phase", KIND)), jobs, now)

    def _give_up(self, study: Study, members: Collection[str]) -> None:
        jobs = self.studies.jobs(study)
        for member in members:
            self.book.give_up(jobs[member])

    def _answers(self, study: Study) -> Answers:
        """The jobs of the present step by member."""
        found = {member: self.book.job(job) for member, job in self.studies.jobs(study).items()}
        return {member: job for member, job in found.items() if job is not None}


def _arrays(said: Any) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """The arrays of a site that is told apart; CheckFailed when they are none."""
    try:
        return {str(name): np.asarray(values, np.float64) for name, values in dict(said).items()}
    except (TypeError, ValueError):
        raise CheckFailed("A site's contribution cannot be read.") from None
