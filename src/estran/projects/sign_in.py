"""Signing in with a local account: argon2id, counted failures, server-side sessions."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from estran.model.errors import UsageError
from estran.projects.actors import Actor, Role
from estran.projects.audit import permit, record
from estran.projects.policy import Action, Decision, Target
from estran.state import Account, AuditLine, StateDatabase

LOGIN_FAILURES = 5
ADDRESS_FAILURES = 30
SHORTEST_PASSWORD = 12

_hasher = PasswordHasher()
# Verified against when the login is unknown, so that the answer takes as long as for a known one.
@lru_cache(maxsize=1)
def _nobody() -> str:
    return _hasher.hash("the password of nobody at all")


@dataclass(frozen=True)
class SignIn:
    """The outcome: a session token, or why not (`wrong` or `locked`, until when)."""

    token: str = ""
    refusal: str = ""
    locked_until: dt.datetime | None = None


def create_account(
    state: StateDatabase, actor: Actor, login: str, password: str, role: Role, language: str = ""
) -> Account:
    """A new account; NotAllowed or UsageError when the actor, the login or the password does not fit."""
    permit(state, actor, Action.ACCOUNTS, Target(f"account:{login.lower()} role:{role}"))
    if not login.strip() or len(login) > 120:
        raise UsageError("The login must have 1 to 120 characters.")
    if len(password) < SHORTEST_PASSWORD:
        raise UsageError(f"The password must have at least {SHORTEST_PASSWORD} characters.")
    return state.accounts.add(login.strip(), _hasher.hash(password), str(role), language)


def change_password(state: StateDatabase, actor: Actor, account: Account, password: str) -> None:
    """A new password for an account; its open sessions end."""
    permit(state, actor, Action.ACCOUNTS, Target(f"password of account:{account.login}"))
    if len(password) < SHORTEST_PASSWORD:
        raise UsageError(f"The password must have at least {SHORTEST_PASSWORD} characters.")
    state.accounts.change(account.id, password_hash=_hasher.hash(password))
    state.sessions.revoke_all(account.id)


def sign_in(state: StateDatabase, login: str, password: str, address: str) -> SignIn:
    """Check a password. Failures are counted per login and per address, and recorded."""
    login = login.strip().lower()[:120]
    subjects = [f"login:{login}", f"address:{address}"]
    until = state.lockouts.locked_until(subjects)
    if until is not None:
        _record(state, login, "", Decision(False, "Too many failures: locked."))
        return SignIn(refusal="locked", locked_until=until)
    account = state.accounts.find(login)
    fits = _verify(account.password_hash if account else _nobody(), password)
    if account is None or account.disabled or not fits:
        state.lockouts.fail(subjects[0], LOGIN_FAILURES)
        state.lockouts.fail(subjects[1], ADDRESS_FAILURES)
        _record(state, login, "", Decision(False, "Wrong login or password."))
        return SignIn(refusal="wrong")
    state.lockouts.clear(subjects[0])
    if _hasher.check_needs_rehash(account.password_hash):
        state.accounts.change(account.id, password_hash=_hasher.hash(password))
    _record(state, account.login, account.role, Decision(True, "The password fits."))
    return SignIn(token=state.sessions.start(account.id))


def sign_out(state: StateDatabase, actor: Actor, session_id: int) -> None:
    """End a session at once, on the server."""
    record(state, actor, "sign-out", Decision(True, "Asked for."))
    state.sessions.revoke(session_id)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _record(state: StateDatabase, login: str, role: str, decision: Decision) -> None:
    state.audit.append(AuditLine(login, role, "sign-in", decision.allowed, decision.reason))
