"""Who is told of a step, and of a date that comes near. The words are those of the person's language.

A notice names the project by its number and says what happened: no title, no name of a patient, no count.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from estran.projects.actors import Actor
from estran.projects.life.deadlines import Due, deadline_of
from estran.projects.life.machine import Step
from estran.projects.life.needs import circuit_of
from estran.projects.life.project import Project, fold
from estran.projects.policy import Action, decide
from estran.settings import Settings
from estran.state import Account, StateDatabase

AHEAD = dt.timedelta(days=7)

_SAID: dict[str, tuple[str, str]] = {  # what happened: French, English
    Step.PROPOSE: ("un projet est proposé", "a project was proposed"),
    Step.SAY: ("un message attend dans le fil d’échanges", "a message waits in the thread"),
    Step.INTEND: ("une lettre d’intention est arrivée", "a letter of intent came in"),
    Step.PRESELECT: (
        "le projet est présélectionné, la demande peut être rédigée",
        "the project was pre-selected, its request may be written",
    ),
    Step.DECLINE: ("la lettre d’intention n’est pas retenue", "the letter of intent was not kept"),
    Step.SUBMIT: ("la demande est déposée", "the request was submitted"),
    Step.RETURN: ("la demande est à compléter", "the request is to be completed"),
    Step.ADVISE: ("un avis méthodologique est rendu", "an adviser gave an opinion"),
    Step.TIGHTEN: ("une autorisation de la CNIL est demandée", "an authorisation by the CNIL is asked for"),
    Step.ASK: ("votre avis d’expert est demandé", "your opinion as an expert is asked for"),
    Step.OPINE: ("un avis d’expert est rendu", "an expert gave an opinion"),
    Step.RECUSE: ("un expert s’est récusé", "an expert stood down"),
    Step.CALL: ("le comité est convoqué", "the committee is called"),
    Step.ADJOURN: ("la séance du comité est ajournée", "the session of the committee is adjourned"),
    Step.ACCEPT: ("le projet est accepté", "the project is accepted"),
    Step.CONDITION: ("le projet est accepté sous conditions", "the project is accepted under conditions"),
    Step.REFUSE: ("le projet n’est pas accepté", "the project is not accepted"),
    Step.CONFIRM: ("les conditions sont levées", "the conditions are lifted"),
    Step.OPEN: ("le projet est ouvert", "the project is open"),
    Step.AMEND: ("un avenant est demandé", "an amendment is asked for"),
    Step.GRANT: ("l’avenant est accordé", "the amendment is granted"),
    Step.APPROVE: ("l’avenant est accordé", "the amendment is granted"),
    Step.DENY: ("l’avenant est refusé", "the amendment is denied"),
    Step.STAFF: ("l’équipe du projet a changé", "the team of the project has changed"),
    Step.SUSPEND: ("le projet est suspendu", "the project is suspended"),
    Step.RESUME: ("le projet reprend", "the project goes on"),
    Step.CLOSE: ("la clôture du projet commence", "the project is being closed"),
    Step.END: ("le projet est clos", "the project is closed"),
    Step.WITHDRAW: ("le projet est retiré", "the project is withdrawn"),
    Due.LETTER: ("la lettre d’intention est attendue le {day}", "the letter of intent is due on {day}"),
    Due.OPINION: ("votre avis d’expert est attendu le {day}", "your opinion as an expert is due on {day}"),
    Due.SESSION: ("le comité se réunit le {day}", "the committee meets on {day}"),
    Due.EXPIRY: ("le projet arrive à son terme le {day}", "the project comes to its end on {day}"),
}
_TO_HANDLERS = {Step.PROPOSE, Step.INTEND, Step.SUBMIT, Step.OPINE, Step.RECUSE, Step.AMEND, Step.WITHDRAW}
_TO_TEAM = {
    Step.PRESELECT, Step.DECLINE, Step.RETURN, Step.ADVISE, Step.TIGHTEN, Step.ACCEPT, Step.CONDITION, Step.REFUSE,
    Step.CONFIRM, Step.OPEN, Step.GRANT, Step.APPROVE, Step.DENY, Step.STAFF, Step.SUSPEND, Step.RESUME, Step.CLOSE,
    Step.END,
}  # fmt: skip
_TO_BOTH = {Step.ACCEPT, Step.CONDITION, Step.REFUSE}


def announce(state: StateDatabase, settings: Settings, project: Project, people: Mapping[int, Account]) -> None:
    """Queue the notices of the last step, to everybody but the one who took it."""
    event = project.history[-1]
    step = Step(event.step)
    if step not in _SAID:
        return
    for account_id in sorted(_audience(step, project, people) - {event.account_id}):
        key = f"{project.number}/{event.place}/{account_id}"
        _queue(state, settings, project, people, account_id, key, _SAID[step])


def remind(state: StateDatabase, settings: Settings, today: dt.date) -> int:
    """Queue a notice of each date that comes within a week, once; returns how many were queued."""
    people = {account.id: account for account in state.accounts.all()}
    calls = {call.id: call for call in state.projects.calls()}
    queued = 0
    for number, events in state.projects.all().items():
        project = fold(number, events)
        deadline = deadline_of(project, circuit_of(project.kind, calls.get(project.call or 0)), settings)
        if deadline is None or not today <= deadline.day <= today + AHEAD:
            continue
        for account_id in sorted(_awaited(deadline.due, project)):
            key = f"{number}/{deadline.due}/{deadline.day}/{account_id}"
            said = _SAID[deadline.due]
            words = (said[0].format(day=f"{deadline.day:%d/%m/%Y}"), said[1].format(day=deadline.day))
            queued += _queue(state, settings, project, people, account_id, key, words)
    return queued


def _awaited(due: Due, project: Project) -> set[int]:
    if due is Due.OPINION:
        return {expert.account_id for expert in project.experts if not expert.opinion}
    if due is Due.SESSION and project.session:
        return set(project.session.sitting)
    return set(project.members)


def _audience(step: Step, project: Project, people: Mapping[int, Account]) -> set[int]:
    if step is Step.ASK:
        return {project.history[-1].body["expert"]}
    if step is Step.SAY:
        return {*project.members, *_handlers(project, people)}
    found = set(project.members) if step in _TO_TEAM else set()
    if step in _TO_HANDLERS | _TO_BOTH:
        found |= _handlers(project, people)
    if step in (Step.CALL, Step.ADJOURN) and project.session:
        found |= set(project.session.members)
    if step is Step.AMEND and project.session:
        found.add(project.session.chair)
    return found


def _handlers(project: Project, people: Mapping[int, Account]) -> set[int]:
    return {
        account.id for account in people.values()
        if not account.disabled and account.id not in project.members
        and account.role != "owner" and decide(Actor.of(account), Action.RUN_PROJECTS).allowed
    }  # fmt: skip


def _queue(
    state: StateDatabase, settings: Settings, project: Project, people: Mapping[int, Account], account_id: int, key: str,
    words: tuple[str, str],
) -> bool:  # fmt: skip
    account = people.get(account_id)
    if account is None or account.disabled:
        return False
    french = (account.language or settings.language) == "fr"
    subject = f"[{settings.name}] {'Projet' if french else 'Project'} {project.number}"
    address = f"{settings.public_url.rstrip('/')}/projects/{project.number}" if settings.public_url else ""
    return state.notices.queue(key, account_id, subject[:200], _letter(french, project.number, words, address))


def _letter(french: bool, number: str, words: Iterable[str], address: str) -> str:
    fr, en = words
    lines = (
        ("Bonjour,", f"Projet {number} : {fr}.", "Ce message est envoyé par l’entrepôt de données ; ne pas y répondre.")
        if french
        else ("Hello,", f"Project {number}: {en}.", "This message is sent by the data warehouse; do not answer it.")
    )
    return "\n\n".join([*lines[:2], *([address] if address else []), lines[2]]) + "\n"
