"""Sessions of oneself, and accounts of other people as an administrator sees them."""

from __future__ import annotations

from dataclasses import dataclass

from estran.model.errors import UsageError
from estran.model.perimeter import Perimeter
from estran.projects.actors import Actor, Role
from estran.projects.audit import permit
from estran.projects.policy import Action, Target
from estran.projects.sign_in import idle
from estran.settings import Settings
from estran.state import Account, ApiToken, Session, StateDatabase


@dataclass(frozen=True)
class Person:
    """An account with its ways in."""

    account: Account
    sessions: tuple[Session, ...]
    tokens: tuple[ApiToken, ...]  # live ones
    codes: bool  # one-time codes are in use
    passkeys: int
    identities: tuple[tuple[str, str], ...]  # issuer, subject
    perimeter: Perimeter


def my_sessions(state: StateDatabase, actor: Actor, settings: Settings) -> list[Session]:
    """The actor's live sessions, last used first."""
    permit(state, actor, Action.ACCOUNT, Target("sessions", actor.account_id))
    return [] if actor.account_id is None else state.sessions.of(actor.account_id, idle(settings))


def revoke_mine(state: StateDatabase, actor: Actor, settings: Settings, number: int | None, but: int) -> None:
    """End one of the actor's sessions, or (None) all save the one numbered `but`."""
    permit(state, actor, Action.ACCOUNT, Target(f"sessions: revoke {number or 'all others'}", actor.account_id))
    if actor.account_id is None:
        return
    if number is None:
        state.sessions.revoke_all(actor.account_id, but)
    elif any(session.id == number for session in state.sessions.of(actor.account_id, idle(settings))):
        state.sessions.revoke(number)


def listed(state: StateDatabase, actor: Actor, settings: Settings) -> list[Person]:
    """Every account with its ways in."""
    permit(state, actor, Action.ACCOUNTS, Target("list"))
    return [_person(state, account, settings) for account in state.accounts.all()]


def person(state: StateDatabase, actor: Actor, settings: Settings, login: str) -> Person | None:
    """One account with its ways in; None when there is none."""
    permit(state, actor, Action.ACCOUNTS, Target(f"account:{login.lower()[:120]}"))
    account = state.accounts.find(login)
    return None if account is None else _person(state, account, settings)


def change_role(state: StateDatabase, actor: Actor, account: Account, role: Role) -> None:
    """Another role; sessions and tokens made under the old one end."""
    _permit(state, actor, account, f"role:{role}")
    if role is Role.OWNER:
        permit(state, actor, Action.ACCOUNTS, Target(f"account:{account.login} role:{role}", account.id, role=role))
    state.accounts.change(account.id, role=str(role))
    _shut(state, account)


def disable(state: StateDatabase, actor: Actor, account: Account, disabled: bool = True) -> None:
    """Shut an account, and end its sessions and tokens; or open it again."""
    _permit(state, actor, account, "disable" if disabled else "enable")
    state.accounts.change(account.id, disabled=disabled)
    if disabled:
        _shut(state, account)


def reset_second_factor(state: StateDatabase, actor: Actor, account: Account) -> None:
    """Forget codes and passkeys of somebody who lost their device; whoever is signed in with them is out."""
    _permit(state, actor, account, "reset second factor")
    state.second_factors.remove(account.id)
    state.passkeys.remove(account.id)
    state.sessions.revoke_all(account.id)


def revoke_sessions(state: StateDatabase, actor: Actor, account: Account) -> None:
    """End every session and token of somebody."""
    _permit(state, actor, account, "revoke sessions and tokens")
    _shut(state, account)


def link_identity(state: StateDatabase, actor: Actor, account: Account, issuer: str, subject: str) -> None:
    """Say who this person is at the identity provider; "" takes what was said back."""
    _permit(state, actor, account, "link identity" if subject else "unlink identity")
    if len(subject) > 200:
        raise UsageError("An identity has at most 200 characters.")
    state.federated.unlink(account.id)
    if subject:
        state.federated.link(account.id, issuer, subject)


def _permit(state: StateDatabase, actor: Actor, account: Account, what: str) -> None:
    permit(state, actor, Action.ACCOUNTS, Target(f"account:{account.login} {what}", account.id, role=Role(account.role)))


def _shut(state: StateDatabase, account: Account) -> None:
    state.sessions.revoke_all(account.id)
    state.tokens.revoke(account.id)


def _person(state: StateDatabase, account: Account, settings: Settings) -> Person:
    number = account.id
    return Person(
        account, tuple(state.sessions.of(number, idle(settings))), tuple(t for t in state.tokens.of(number) if t.live),
        state.second_factors.has(number), len(state.passkeys.of(number)), tuple(state.federated.of(number)),
        state.perimeters.of(number),
    )
