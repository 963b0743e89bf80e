"""Policy, audit, gate and sign-in."""

from __future__ import annotations

import pytest

from estran.model.errors import NotAllowed, UsageError
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.audit import permit
from estran.projects.gate import Shown, gate_of
from estran.projects.policy import ALLOWED, Action, Target, decide
from estran.projects.sign_in import LOGIN_FAILURES, create_account, sign_in, sign_out
from estran.settings import Settings
from estran.state import StateDatabase

PASSWORD = "correct horse battery"


def actor(role: Role, account_id: int = 1) -> Actor:
    return Actor("x", role, account_id)


def test_every_refusal_has_a_reason() -> None:
    for role in Role:
        for action in Action:
            assert decide(actor(role), action, Target(owner_id=2, names_patients=True)).reason.endswith(".")


def test_an_unlisted_role_may_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ALLOWED, Role.VIEWER)
    assert not any(decide(actor(Role.VIEWER), action).allowed for action in Action)


READERS = {Role.OWNER, Role.DATA_ENGINEER, Role.METHODOLOGIST, Role.DIM_PHYSICIAN}


@pytest.mark.parametrize("action", [Action.DOCUMENT, Action.PATIENTS, Action.TIMELINE, Action.SNIPPETS])
def test_only_the_data_centre_and_the_dim_read_documents_and_patients(action: Action) -> None:
    assert {role for role in Role if decide(actor(role), action).allowed} == READERS


def test_those_who_watch_over_readers_or_give_rights_read_no_patient() -> None:
    for role in (Role.DATA_PROTECTION_OFFICER, Role.AUDITOR, Role.ADMINISTRATOR, Role.HUB_OPERATOR):
        assert not ALLOWED[role] & {Action.COUNT, Action.SEARCH, Action.DOCUMENT, Action.PATIENTS, Action.TIMELINE}


def test_an_administrator_manages_neither_themselves_nor_key_holders() -> None:
    admin = actor(Role.ADMINISTRATOR)
    assert decide(admin, Action.ACCOUNTS, Target(owner_id=2, role=Role.RESEARCHER)).allowed
    assert not decide(admin, Action.ACCOUNTS, Target(owner_id=1, role=Role.ADMINISTRATOR)).allowed
    assert not decide(admin, Action.ACCOUNTS, Target(owner_id=2, role=Role.OWNER)).allowed


def test_a_token_never_widens_a_role() -> None:
    scope = frozenset({"count", "document"})
    researcher = Actor("x", Role.RESEARCHER, 1, scope=scope)
    assert {a for a in Action if decide(researcher, a).allowed} == {Action.COUNT}
    assert decide(researcher, Action.SEARCH).reason == "The token does not include 'search'."


def test_counting_listed_patients_is_reading() -> None:
    listed = Target(names_patients=True)
    assert not decide(actor(Role.RESEARCHER), Action.COUNT, listed).allowed
    assert decide(actor(Role.DATA_ENGINEER), Action.COUNT, listed).allowed


def test_a_cohort_is_opened_by_its_owner_and_the_data_centre() -> None:
    theirs = Target("cohort:1", owner_id=2)
    assert not decide(actor(Role.RESEARCHER), Action.OPEN, theirs).allowed
    assert decide(actor(Role.RESEARCHER, 2), Action.OPEN, theirs).allowed
    assert decide(actor(Role.DATA_ENGINEER), Action.OPEN, theirs).allowed


def test_a_refusal_is_recorded_then_raised(state: StateDatabase) -> None:
    with pytest.raises(NotAllowed, match="does not include 'document'"):
        permit(state, actor(Role.VIEWER), Action.DOCUMENT, Target("document:7"), snapshot=4)
    (entry,) = state.audit.latest()
    assert (entry.allowed, entry.action, entry.target, entry.snapshot) == (False, "document", "document:7", 4)


def test_counts_are_exact_to_the_key_holder_alone(state: StateDatabase) -> None:
    assert gate_of(KEY_HOLDER, state, Settings()).show(1234, "population") == Shown(1234)
    for role in Role:
        shown = gate_of(actor(role), state, Settings()).show(1234, "population")
        assert shown.margin == 32 and shown.value % 5 == 0
        assert gate_of(actor(role), state, Settings()).show(9, "population") == Shown(0, below=10)


def test_signing_in_opens_a_session_and_signing_out_ends_it(state: StateDatabase) -> None:
    account = create_account(state, KEY_HOLDER, "Anne", PASSWORD, Role.RESEARCHER)
    token = sign_in(state, " anne ", PASSWORD, "127.0.0.1").token
    session = state.sessions.find(token)
    assert session is not None
    sign_out(state, Actor.of(account), session.id)
    assert state.sessions.find(token) is None
    assert [e.action for e in state.audit.latest()] == ["sign-out", "sign-in", "accounts"]


def test_unknown_login_wrong_password_and_disabled_account_say_the_same(state: StateDatabase) -> None:
    anne = create_account(state, KEY_HOLDER, "anne", PASSWORD, Role.RESEARCHER)
    state.accounts.change(create_account(state, KEY_HOLDER, "off", PASSWORD, Role.VIEWER).id, disabled=True)
    outcomes = [sign_in(state, *who, "a") for who in (("nobody", PASSWORD), (anne.login, "no"), ("off", PASSWORD))]
    assert [(o.token, o.refusal) for o in outcomes] == [("", "wrong")] * 3


def test_failures_lock_the_login_even_for_the_right_password(state: StateDatabase) -> None:
    create_account(state, KEY_HOLDER, "anne", PASSWORD, Role.RESEARCHER)
    for _ in range(LOGIN_FAILURES):
        assert sign_in(state, "anne", "wrong", "10.0.0.1").refusal == "wrong"
    locked = sign_in(state, "anne", PASSWORD, "10.0.0.2")
    assert locked.refusal == "locked"
    assert locked.locked_until is not None


def test_accounts_are_made_by_the_key_holder_with_a_long_password(state: StateDatabase) -> None:
    with pytest.raises(NotAllowed):
        create_account(state, actor(Role.DATA_ENGINEER), "eve", PASSWORD, Role.OWNER)
    with pytest.raises(UsageError, match="at least 12"):
        create_account(state, KEY_HOLDER, "anne", "short", Role.VIEWER)
