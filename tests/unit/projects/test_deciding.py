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


def test_every_role_and_every_action_has_an_answer_with_a_reason() -> None:
    for role in Role:
        for action in Action:
            decision = decide(actor(role), action, Target(owner_id=1))
            assert decision.allowed == (action in ALLOWED[role])
            assert decision.reason.endswith(".")


def test_an_unlisted_role_may_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ALLOWED, Role.VIEWER)
    assert not any(decide(actor(Role.VIEWER), action).allowed for action in Action)


@pytest.mark.parametrize("role", [Role.RESEARCHER, Role.CLINICIAN, Role.VIEWER])
def test_only_the_data_centre_reads_documents_and_patients(role: Role) -> None:
    for action in (Action.DOCUMENT, Action.PATIENTS, Action.TIMELINE, Action.SNIPPETS):
        assert not decide(actor(role), action).allowed
        assert decide(actor(Role.DATA_ENGINEER), action).allowed


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
