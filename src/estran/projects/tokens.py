"""API tokens: a part of one's own rights, for a while, for a program."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import ALLOWED, Action, Target
from estran.state import ApiToken, StateDatabase

# What the API offers. A token never reaches the accounts: it cannot make another token or a session.
OFFERED = (Action.HOLDINGS, Action.COUNT, Action.SEARCH, Action.SNIPPETS)
LONGEST = 365  # days
MOST = 20  # live tokens per person


def scopes_for(actor: Actor) -> list[Action]:
    """The actions that this person may give to a token."""
    return [action for action in OFFERED if action in ALLOWED.get(actor.role, frozenset())]


def make(state: StateDatabase, actor: Actor, name: str, scope: list[str], days: int) -> str:
    """A token of one's own, shown this once; UsageError when the name, the scope or the days do not fit."""
    name = " ".join(name.split())
    permit(state, actor, Action.ACCOUNT, Target(f"token: make '{name[:80]}' scope:{','.join(scope)} days:{days}", actor.account_id))
    if not 1 <= len(name) <= 80:
        raise UsageError("A token needs a name of 1 to 80 characters.")
    if not scope or not set(scope) <= {str(action) for action in scopes_for(actor)}:
        raise UsageError("Choose at least one action that your role includes.")
    if not 1 <= days <= LONGEST:
        raise UsageError(f"A token lasts 1 to {LONGEST} days.")
    if actor.account_id is None:
        raise UsageError("A token belongs to an account.", hint="sign in to the portal")
    if sum(token.live for token in state.tokens.of(actor.account_id)) >= MOST:
        raise UsageError(f"Nobody needs more than {MOST} tokens.", hint="revoke one first")
    return state.tokens.make(actor.account_id, name, frozenset(scope), dt.timedelta(days=days))


def revoke(state: StateDatabase, actor: Actor, number: int) -> None:
    """End one of one's own tokens at once."""
    permit(state, actor, Action.ACCOUNT, Target(f"token: revoke {number}", actor.account_id))
    if actor.account_id is not None:
        state.tokens.revoke(actor.account_id, number)


def bearer(state: StateDatabase, text: str) -> tuple[Actor, ApiToken] | None:
    """Who comes with this token, with no more than its scope; None when it opens nothing."""
    token = state.tokens.find(text)
    account = state.accounts.by_id(token.account_id) if token else None
    if token is None or account is None or account.disabled:
        return None
    return replace(Actor.of(account), scope=token.scope, via=f"By API token {token.id}."), token
