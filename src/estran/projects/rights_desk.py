"""The desk of rights: requests of persons, from the public form or entered by the officer, until they are answered.

The portal knows no name and no hospital number. A number to be found is sealed, handed to the process that holds the
site's key as a job, and forgotten once looked up; what a person wrote is sealed and forgotten at the closing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from estran.model.errors import UsageError
from estran.projects.actors import KEY_HOLDER, Actor
from estran.projects.audit import permit
from estran.projects.opposition import ASKERS, CHANNELS, check_scope
from estran.projects.policy import Action, Target
from estran.projects.rights import Standing, standing
from estran.state import Act, AuditLine, LetterList, Request, StateDatabase

# What can be asked. Those with a value are carried out in the warehouse: (kind of permission, whether it ends).
KINDS: dict[str, tuple[str, bool] | None] = {
    "opposition": ("opposition", False), "lifting": ("opposition", True), "consent": ("consent", False),
    "withdrawal": ("consent", True), "access": None, "rectification": None, "erasure": None, "question": None,
}  # fmt: skip
PUBLIC_KINDS = ("opposition", "lifting", "access", "rectification", "erasure", "question")
FIELDS = {"name": 200, "birth": 10, "contact": 200, "message": 2000}  # of the public form, with their longest text


class RightsJob(StrEnum):
    """Work for the process that holds the key; its argument is the number of a request."""

    FIND = "find-person"
    CARRY_OUT = "carry-out"


@dataclass(frozen=True)
class Asked:
    """What the officer enters for a person. `system` and `number` name the person at the hospital; they may be empty."""

    kind: str
    scope: str = "warehouse"
    asked_by: str = "person"
    channel: str = "letter"
    proof_date: dt.date | None = None
    proof: str = ""
    system: str = ""
    number: str = ""


@dataclass(frozen=True)
class RequestFile:
    """A request, what the person wrote, and the acts of whoever was found."""

    request: Request
    said: Mapping[str, str]
    acts: tuple[Act, ...]

    @property
    def ready(self) -> bool:
        """Whether it can be carried out: an open wish of somebody who was found."""
        return self.request.closed is None and self.request.found is True and KINDS[self.request.kind] is not None


@dataclass(frozen=True)
class Board:
    """What waits and what was done last."""

    open: tuple[Request, ...]
    closed: tuple[Request, ...]
    standing: Standing
    acts: tuple[Act, ...]
    letters: tuple[LetterList, ...]


def ask_publicly(state: StateDatabase, kind: str, scope: str, said: Mapping[str, str]) -> str:
    """Enter what somebody wrote on the public page; the number to give back, the same whoever asks.

    Nothing is looked up: the answer cannot tell whether the person is known here. UsageError when a field is missing.
    """
    if kind not in PUBLIC_KINDS:
        raise UsageError("There is no such request.")
    check_scope(scope)
    kept = {name: " ".join(said.get(name, "").split())[:longest] for name, longest in FIELDS.items()}
    if not kept["name"] or not kept["contact"]:
        raise UsageError("A name and a way to answer are needed.")
    line = AuditLine("public", "", Action.RIGHTS, True, "Somebody asked on the public page.", f"request:{kind}")
    state.audit.append(line)
    common = {"scope": scope, "asked_by": "person", "channel": "form", "proof_date": None, "proof": ""}
    return state.requests.add("public", "public", kept, None, kind=kind, **common).number


class RightsDesk:
    """One person at the rights of patients. NotAllowed when the policy says no; each step is recorded."""

    def __init__(self, state: StateDatabase, actor: Actor) -> None:
        self._state = state
        self.actor = actor

    def _permit(self, what: str, action: Action = Action.RIGHTS, patients: tuple[int, ...] = ()) -> None:
        permit(self._state, self.actor, action, Target(what, patients=patients))

    def board(self) -> Board:
        """Requests, propagation, the last acts and letters."""
        self._permit("board")
        book = self._state
        return Board(
            tuple(book.requests.open()), tuple(book.requests.recent()), standing(book, self.actor),
            tuple(book.rights.acts(limit=30)), tuple(book.letters.lists(20)),
        )  # fmt: skip

    def enter(self, asked: Asked) -> Request:
        """Enter a request; when it names a person, who that is is looked for where the key is."""
        self._permit(f"enter {asked.kind}:{asked.scope}")
        if asked.kind not in KINDS:
            raise UsageError("There is no such request.")
        check_scope(asked.scope)
        if asked.asked_by not in ASKERS or asked.channel not in CHANNELS:
            raise UsageError("Say who asked and by which channel.")
        made = self._state.requests.add(
            "desk", self.actor.login, {}, None, kind=asked.kind, scope=asked.scope, asked_by=asked.asked_by,
            channel=asked.channel, proof_date=asked.proof_date, proof=" ".join(asked.proof.split())[:120],
        )  # fmt: skip
        if asked.number.strip():
            self.find(made.id, asked.system, asked.number)
        return made

    def find(self, request_id: int, system: str, number: str) -> None:
        """Have the person of a request found by hospital number. Who may is recorded, the number is not."""
        self._permit(f"request:{request_id}", Action.FIND_PERSON)
        if not 1 <= len(number.strip()) <= 60 or len(system) > 120:
            raise UsageError("A hospital number has 1 to 60 characters.")
        self._open(request_id)
        self._state.requests.look_for(request_id, (system.strip(), number.strip()))
        self._state.jobs.ask(RightsJob.FIND, str(request_id), self.actor.login)

    def read(self, request_id: int) -> RequestFile | None:
        """A request with all that belongs to it; None when there is none."""
        self._permit(f"request:{request_id}")
        found = self._state.requests.one(request_id)
        if found is None:
            return None
        acts = self._state.rights.acts([found.patient_id]) if found.patient_id is not None else []
        return RequestFile(found, self._state.requests.said(request_id), tuple(acts))

    def carry_out(self, request_id: int) -> None:
        """Have a wish carried out where the warehouse is written."""
        self._permit(f"carry out request:{request_id}")
        found = self._open(request_id)
        if KINDS[found.kind] is None or found.patient_id is None:
            raise UsageError("Only a wish of somebody who was found can be carried out.")
        self._state.jobs.ask(RightsJob.CARRY_OUT, str(request_id), self.actor.login)

    def close(self, request_id: int, outcome: str) -> None:
        """Say what was answered; what the person wrote is forgotten."""
        self._permit(f"close request:{request_id}")
        if not outcome.strip():
            raise UsageError("Say what was answered.")
        if not self._state.requests.close(request_id, self.actor.login, outcome.strip()[:2000]):
            raise UsageError("No request of this number is open.")

    def _open(self, request_id: int) -> Request:
        found = self._state.requests.one(request_id)
        if found is None or found.closed is not None:
            raise UsageError("No request of this number is open.")
        return found


def actor_of(state: StateDatabase, login: str) -> Actor:
    """Whoever asked for a job, with the rights of today; UsageError when the account is gone or shut."""
    if login == KEY_HOLDER.login:
        return KEY_HOLDER
    account = state.accounts.find(login)
    if account is None or account.disabled:
        raise UsageError("Whoever asked for this has no account any more.")
    return Actor.of(account).bounded(state)
