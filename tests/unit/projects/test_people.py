"""API tokens, sessions, and accounts of other people."""

from __future__ import annotations

import datetime as dt

import pytest

from estran.model.errors import NotAllowed, UsageError
from estran.projects import people, tokens
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.audit import permit
from estran.projects.policy import Action
from estran.projects.sign_in import create_account
from estran.settings import Settings
from estran.state import Account, Place, StateDatabase
from estran.state.schema import api_token

PASSWORD = "correct horse battery"
SITE = Settings()


@pytest.fixture
def anne(state: StateDatabase) -> Account:
    return create_account(state, KEY_HOLDER, "anne", PASSWORD, Role.RESEARCHER)


@pytest.fixture
def admin(state: StateDatabase) -> Actor:
    return Actor.of(create_account(state, KEY_HOLDER, "admin", PASSWORD, Role.ADMINISTRATOR))


def test_a_token_has_its_scope_and_no_more(state: StateDatabase, anne: Account) -> None:
    text = tokens.make(state, Actor.of(anne), "script", ["count"], 30)
    found = tokens.bearer(state, text)
    assert found is not None
    actor, token = found
    assert (actor.login, actor.scope, token.name) == ("anne", {"count"}, "script")
    permit(state, actor, Action.COUNT)
    assert state.audit.latest(1)[0].reason == f"The role researcher includes 'count'. By API token {token.id}."
    with pytest.raises(NotAllowed, match="token does not include 'search'"):
        permit(state, actor, Action.SEARCH)


def test_the_text_of_a_token_is_kept_nowhere(state: StateDatabase, anne: Account) -> None:
    text = tokens.make(state, Actor.of(anne), "script", ["count"], 30)
    with state.engine.begin() as connection:
        row = connection.execute(api_token.select()).one()
    assert text not in [str(value) for value in row]
    assert state.tokens.of(anne.id)[0].used is None
    tokens.bearer(state, text)
    assert state.tokens.of(anne.id)[0].used is not None


@pytest.mark.parametrize(
    ("scope", "days"), [([], 30), (["snippets"], 30), (["accounts"], 30), (["account"], 9), (["count"], 0), (["count"], 366)]
)
def test_a_token_beyond_its_owners_rights_or_a_year_is_refused(
    state: StateDatabase, anne: Account, scope: list[str], days: int
) -> None:
    with pytest.raises(UsageError):
        tokens.make(state, Actor.of(anne), "script", scope, days)


def test_tokens_end_by_date_by_hand_and_with_their_account(state: StateDatabase, anne: Account) -> None:
    me = Actor.of(anne)
    late, gone, shut = (tokens.make(state, me, name, ["count"], 30) for name in ("late", "gone", "shut"))
    with state.engine.begin() as connection:
        past = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
        connection.execute(api_token.update().where(api_token.c.name == "late").values(expires=past))
    tokens.revoke(state, me, next(t.id for t in state.tokens.of(anne.id) if t.name == "gone"))
    assert [tokens.bearer(state, t) is None for t in (late, gone, shut, "guess")] == [True, True, False, True]
    state.accounts.change(anne.id, disabled=True)
    assert tokens.bearer(state, shut) is None


def test_nobody_revokes_the_token_or_session_of_another(state: StateDatabase, anne: Account) -> None:
    eve = Actor.of(create_account(state, KEY_HOLDER, "eve", PASSWORD, Role.RESEARCHER))
    text = tokens.make(state, Actor.of(anne), "script", ["count"], 30)
    cookie = state.sessions.start(anne.id)
    session = state.sessions.find(cookie)
    assert session is not None
    tokens.revoke(state, eve, state.tokens.of(anne.id)[0].id)
    people.revoke_mine(state, eve, SITE, session.id, 0)
    assert tokens.bearer(state, text) is not None
    assert state.sessions.find(cookie) is not None


def test_my_sessions_are_listed_with_their_place_and_end_one_by_one_or_together(state: StateDatabase, anne: Account) -> None:
    me = Actor.of(anne)
    cookies = [state.sessions.start(anne.id, Place(f"10.0.0.{n}", "Browser")) for n in range(3)]
    listed = people.my_sessions(state, me, SITE)
    assert {s.address for s in listed} == {"10.0.0.0", "10.0.0.1", "10.0.0.2"}
    mine = state.sessions.find(cookies[0])
    other = state.sessions.find(cookies[1])
    assert mine is not None
    assert other is not None
    people.revoke_mine(state, me, SITE, other.id, mine.id)
    assert [state.sessions.find(c) is not None for c in cookies] == [True, False, True]
    people.revoke_mine(state, me, SITE, None, mine.id)
    assert [state.sessions.find(c) is not None for c in cookies] == [True, False, False]


def test_a_session_rotated_opens_by_its_new_token_only(state: StateDatabase, anne: Account) -> None:
    old = state.sessions.start(anne.id)
    before = state.sessions.find(old)
    assert before is not None
    new = state.sessions.rotate(before.id)
    after = state.sessions.find(new)
    assert state.sessions.find(old) is None
    assert after is not None
    assert (after.id, after.csrf == before.csrf) == (before.id, False)


def test_idle_and_absolute_ends_are_settings(state: StateDatabase, anne: Account) -> None:
    cookie = state.sessions.start(anne.id, lifetime=dt.timedelta(seconds=-1))
    assert state.sessions.find(cookie) is None
    cookie = state.sessions.start(anne.id)
    assert state.sessions.find(cookie, dt.timedelta(0)) is None
    assert state.sessions.find(cookie, dt.timedelta(minutes=1)) is not None


def test_a_change_of_role_ends_what_was_made_under_the_old_one(state: StateDatabase, anne: Account, admin: Actor) -> None:
    cookie, text = state.sessions.start(anne.id), tokens.make(state, Actor.of(anne), "script", ["count"], 30)
    people.change_role(state, admin, anne, Role.VIEWER)
    changed = state.accounts.by_id(anne.id)
    assert changed is not None
    assert (changed.role, state.sessions.find(cookie), tokens.bearer(state, text)) == ("viewer", None, None)


def test_an_administrator_shuts_and_opens_accounts(state: StateDatabase, anne: Account, admin: Actor) -> None:
    state.sessions.start(anne.id)
    people.disable(state, admin, anne)
    person = people.person(state, admin, SITE, "anne")
    assert person is not None
    assert (person.account.disabled, person.sessions) == (True, ())
    people.disable(state, admin, anne, disabled=False)
    assert [p.account.disabled for p in people.listed(state, admin, SITE)] == [False, False]


def test_an_administrator_makes_no_key_holder_and_changes_no_own_rights(state: StateDatabase, anne: Account, admin: Actor) -> None:
    owner = create_account(state, KEY_HOLDER, "owner", PASSWORD, Role.OWNER)
    me = state.accounts.find("admin")
    assert me is not None
    refused = [
        lambda: create_account(state, admin, "mine", PASSWORD, Role.OWNER),
        lambda: people.change_role(state, admin, anne, Role.OWNER),
        lambda: people.change_role(state, admin, me, Role.DATA_ENGINEER),
        lambda: people.disable(state, admin, owner),
        lambda: people.reset_second_factor(state, admin, owner),
        lambda: people.listed(state, Actor.of(anne), SITE),
    ]
    for attempt in refused:
        with pytest.raises(NotAllowed):
            attempt()
    assert [a.role for a in state.accounts.all()] == ["administrator", "researcher", "owner"]


def test_an_identity_belongs_to_one_account(state: StateDatabase, anne: Account, admin: Actor) -> None:
    people.link_identity(state, admin, anne, "https://psc", "899700218896")
    eve = create_account(state, KEY_HOLDER, "eve", PASSWORD, Role.RESEARCHER)
    with pytest.raises(UsageError, match="belongs to an account"):
        people.link_identity(state, admin, eve, "https://psc", "899700218896")
    people.link_identity(state, admin, anne, "https://psc", "")
    assert state.federated.of(anne.id) == []
