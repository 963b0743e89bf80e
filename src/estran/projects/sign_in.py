"""Signing in: a password, then a code where one is set up; counted failures; server-side sessions."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from estran.model.errors import UsageError
from estran.projects import second_factor
from estran.projects.actors import Actor, Role
from estran.projects.audit import permit, record
from estran.projects.passwords import fits, hash_of, hash_of_password, is_old
from estran.projects.policy import Action, Decision, Target
from estran.settings import Settings
from estran.state import Account, AuditLine, Place, StateDatabase
from estran.state.pending import Kind

LOGIN_FAILURES = 5
ADDRESS_FAILURES = 30
FRESH = dt.timedelta(minutes=15)


class WrongPassword(UsageError):
    """Not the current password."""


@dataclass(frozen=True)
class SignIn:
    """The outcome: a session token; or a `step` to go on with, when a code is asked for; or why not
    (`wrong`, `locked` until when, or `late`)."""

    token: str = ""
    refusal: str = ""
    locked_until: dt.datetime | None = None
    step: str = ""


def create_account(
    state: StateDatabase, actor: Actor, login: str, password: str, role: Role, language: str = ""
) -> Account:
    """A new account; NotAllowed or UsageError when the actor, the login or the password does not fit."""
    permit(state, actor, Action.ACCOUNTS, Target(f"account:{login.lower()} role:{role}", role=role))
    if not login.strip() or len(login) > 120:
        raise UsageError("The login must have 1 to 120 characters.")
    return state.accounts.add(login.strip(), hash_of_password(password), str(role), language)


def change_password(state: StateDatabase, actor: Actor, account: Account, password: str) -> None:
    """A new password for an account; its open sessions end."""
    permit(state, actor, Action.ACCOUNTS, Target(f"password of account:{account.login}", account.id, role=Role(account.role)))
    state.accounts.change(account.id, password_hash=hash_of_password(password))
    state.sessions.revoke_all(account.id)


def change_own_password(state: StateDatabase, actor: Actor, account: Account, current: str, password: str) -> None:
    """A new password for oneself; WrongPassword when the current one is not it, which counts as a failure."""
    permit(state, actor, Action.ACCOUNT, Target("password", account.id))
    subject = f"login:{account.login}"
    if state.lockouts.locked_until([subject]) is not None or not fits(account.password_hash, current):
        state.lockouts.fail(subject, LOGIN_FAILURES)
        raise WrongPassword("The current password is wrong.")
    state.accounts.change(account.id, password_hash=hash_of_password(password))


def lifetime(settings: Settings) -> dt.timedelta:
    """How long a session lasts at most."""
    return dt.timedelta(hours=settings.session_hours)


def idle(settings: Settings) -> dt.timedelta:
    """How long a session lasts without a request."""
    return dt.timedelta(minutes=settings.session_idle_minutes)


def sign_in(
    state: StateDatabase, login: str, password: str, address: str, agent: str = "", settings: Settings | None = None
) -> SignIn:
    """Check a password. Failures are counted per login and per address, and recorded."""
    login = login.strip().lower()[:120]
    settings = settings or Settings()
    locked = _locked(state, login, address)
    if locked is not None:
        return locked
    account = state.accounts.find(login)
    right = fits(account.password_hash if account else None, password)
    if account is None or account.disabled or not right:
        return refused(state, login, address, "Wrong login or password.")
    if is_old(account.password_hash):
        state.accounts.change(account.id, password_hash=hash_of(password))
    if settings.second_factor != "off" and state.second_factors.has(account.id):
        # The failures are kept until the code fits: a known password must not buy more guesses of codes.
        return SignIn(step=state.pending.begin(Kind.SECOND_FACTOR, account.id))
    return opened(state, account, Place(address, agent), settings, "password")


def second_step(
    state: StateDatabase, step: str, code: str, address: str, agent: str = "", settings: Settings | None = None
) -> SignIn:
    """Check the code that follows a password; failures count with those of passwords."""
    begun = state.pending.find(Kind.SECOND_FACTOR, step)
    account = state.accounts.by_id(begun.account_id) if begun and begun.account_id else None
    if account is None or account.disabled:
        return SignIn(refusal="late")
    locked = _locked(state, account.login, address)
    if locked is not None:
        return locked
    method = second_factor.check(state, account.id, code)
    if not method:
        failed = refused(state, account.login, address, "Wrong one-time code.")
        return SignIn(refusal=failed.refusal, step=step)
    if state.pending.end(Kind.SECOND_FACTOR, step) is None:
        return SignIn(refusal="late")
    return opened(state, account, Place(address, agent), settings or Settings(), method)


def opened(state: StateDatabase, account: Account, place: Place, settings: Settings, method: str) -> SignIn:
    """A new session, once everything was checked."""
    state.lockouts.clear(f"login:{account.login}")
    _record(state, account.login, account.role, Decision(True, f"Signed in by {method}."))
    return SignIn(token=state.sessions.start(account.id, place, method, lifetime(settings)))


def refused(state: StateDatabase, login: str, address: str, why: str) -> SignIn:
    """Count and record a failure; `login` is "" when nobody said who they are."""
    if login:
        state.lockouts.fail(f"login:{login}", LOGIN_FAILURES)
    state.lockouts.fail(f"address:{address}", ADDRESS_FAILURES)
    _record(state, login, "", Decision(False, why))
    return SignIn(refusal="wrong")


def must_enrol(state: StateDatabase, settings: Settings, account: Account, method: str) -> bool:
    """Whether the site asks for a second factor that this person has not set up yet."""
    if settings.second_factor != "required" or method in ("oidc", "passkey"):
        return False
    return not state.second_factors.has(account.id)


def sign_out(state: StateDatabase, actor: Actor, session_id: int) -> None:
    """End a session at once, on the server."""
    record(state, actor, "sign-out", Decision(True, "Asked for."))
    state.sessions.revoke(session_id)


def _locked(state: StateDatabase, login: str, address: str) -> SignIn | None:
    until = state.lockouts.locked_until([f"login:{login}", f"address:{address}"])
    if until is None:
        return None
    _record(state, login, "", Decision(False, "Too many failures: locked."))
    return SignIn(refusal="locked", locked_until=until)


def _record(state: StateDatabase, login: str, role: str, decision: Decision) -> None:
    state.audit.append(AuditLine(login, role, "sign-in", decision.allowed, decision.reason))
