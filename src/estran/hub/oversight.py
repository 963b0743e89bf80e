"""Every question and every statistic that went over the network, who put it, what each site did with it; checked against
the audit trail."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from estran.cohort.language import json as question_json
from estran.hub.book import HubBook, JobRecord, Question
from estran.hub.conducting import Conductor
from estran.hub.studies import Studies, Study
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target
from estran.state import AuditFilter, StateDatabase

PAGE = 100
_STATES = {"answered": "ok", "waiting": "taken"}  # of a site in a study, in the words of jobs
_TURNS = {"tokens": 1, "link": 2}  # what follows on the counts
_APART = 60.0  # seconds that the line of the trail may be away from the question that it let pass


@dataclass(frozen=True)
class Done:
    """What one member did with a question."""

    name: str
    kind: str
    state: str
    said: str


@dataclass(frozen=True)
class Traced:
    """A question, or a statistic with its `method`. `line` is the line of the audit trail that let it pass; None when
    there is none that fits."""

    question: Question
    done: tuple[Done, ...]
    line: int | None
    method: str = ""

    def count(self, *states: str) -> int:
        """How many members ended so."""
        return sum(one.state in states for one in self.done if one.kind not in ("link", "tokens"))


class Oversight:
    """One person who watches over the network. NotAllowed when the policy says no; each look is recorded."""

    def __init__(self, state: StateDatabase, book: HubBook, studies: Studies, actor: Actor) -> None:
        self._state, self._book, self._studies, self.actor = state, book, studies, actor

    def questions(self, page: int = 0) -> list[Traced]:
        """Some questions of everybody, the newest first."""
        permit(self._state, self.actor, Action.AUDIT, Target(f"network questions:{page * PAGE}-{(page + 1) * PAGE}"))
        most = (page + 1) * PAGE
        studies = {one.id: one for one in self._studies.studies(limit=most)}
        every = [*self._book.questions(limit=most), *map(_as_question, studies.values())]
        found = sorted(every, key=lambda one: one.asked, reverse=True)[page * PAGE : most]
        lines = self._lines(found)
        return [
            Traced(one, self._done(one.id, study), _line_of(one, lines), study.body.method if study else "")
            for one, study in ((one, studies.get(one.id)) for one in found)
        ]

    def _done(self, question: str, study: Study | None) -> tuple[Done, ...]:
        if study is not None:
            doing = Conductor(self._book, self._studies).doing(study)
            return tuple(Done(one.name, "statistics", _STATES.get(one.state, one.state), one.said) for one in doing)
        names = {one.id: one.name for one in self._book.members()}
        done = (_of_job(job, names) for job in self._book.jobs(question))
        return tuple(sorted(done, key=lambda one: (_TURNS.get(one.kind, 0), one.name.casefold())))

    def _lines(self, found: list[Question]) -> dict[tuple[str, str], list[tuple[float, int]]]:
        """When and in which line each (login, question) was let pass."""
        if not found:
            return {}
        moments = [one.asked for one in found]
        since, until = (dt.datetime.fromtimestamp(at, dt.UTC) for at in (min(moments) - _APART, max(moments) + _APART))
        lines: dict[tuple[str, str], list[tuple[float, int]]] = {}
        for action in (Action.ASK_HUB, Action.HUB_COUNT):
            for entry in self._state.audit.each(AuditFilter(action=str(action), since=since, until=until)):
                if entry.allowed and entry.query:
                    lines.setdefault((entry.login, entry.query), []).append((entry.at.timestamp(), entry.id))
        return lines


def _line_of(one: Question, lines: dict[tuple[str, str], list[tuple[float, int]]]) -> int | None:
    near = [(abs(at - one.asked), line) for at, line in lines.get((one.login, one.query), ())]
    return min(near)[1] if near and min(near)[0] <= _APART else None


def _as_question(study: Study) -> Question:
    said = question_json.dumps(question_json.from_object(dict(study.body.cohort)))
    return Question(study.id, study.asked, study.login, study.body.title, said, {})


def _of_job(job: JobRecord, names: dict[str, str]) -> Done:
    return Done(names.get(job.member, job.member), job.kind, job.state, job.said)
