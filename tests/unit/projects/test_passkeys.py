"""Passkeys, answered by a device in software; a browser with its own authenticator is in tests/browser."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.projects.device import PRESENT, VERIFIED, Device

from estran.model.errors import UsageError
from estran.projects import passkeys
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.sign_in import ADDRESS_FAILURES, SignIn, create_account
from estran.settings import Settings
from estran.state import Account, Place, StateDatabase

ORIGIN = "https://site.example"
HERE = Place("10.0.0.1", "Browser")


@pytest.fixture
def anne(state: StateDatabase) -> Account:
    return create_account(state, KEY_HOLDER, "anne", "correct horse battery", Role.RESEARCHER)


def register(state: StateDatabase, account: Account, device: Device) -> None:
    asked = passkeys.begin_registration(state, Actor.of(account), account, ORIGIN, "Site")
    passkeys.register(state, Actor.of(account), account, asked.token, device.create(asked.options), ORIGIN, "My key")


def enter(state: StateDatabase, device: Device, settings: Settings | None = None) -> SignIn:
    asked = passkeys.begin_sign_in(state, ORIGIN)
    return passkeys.sign_in(state, asked.token, device.get(asked.options), ORIGIN, HERE, settings or Settings())


def test_a_key_registered_opens_a_session_of_its_account(state: StateDatabase, anne: Account) -> None:
    device = Device()
    register(state, anne, device)
    session = state.sessions.find(enter(state, device).token)
    assert session is not None
    assert (session.account_id, session.method, session.address) == (anne.id, "passkey", "10.0.0.1")
    (key,) = state.passkeys.of(anne.id)
    assert key.name == "My key"
    assert key.used is not None


@pytest.mark.parametrize(
    "bent",
    [
        {"origin": "https://evil.example"}, {"rp": "evil.example"}, {"flags": PRESENT}, {"flags": VERIFIED},
        {"handle": "ZXN0cmFuOjk5"}, {"credential": b"another"}, {"key": Device().key},
    ],
)  # fmt: skip
def test_an_answer_that_does_not_fit_opens_nothing(state: StateDatabase, anne: Account, bent: dict[str, object]) -> None:
    device = Device()
    register(state, anne, device)
    assert enter(state, replace(device, **bent)).refusal == "wrong"  # type: ignore[arg-type]
    assert state.audit.latest(1)[0].allowed is False


@pytest.mark.parametrize("bent", [{"origin": "https://evil.example"}, {"rp": "evil.example"}, {"flags": PRESENT}])
def test_a_registration_that_does_not_fit_is_refused(state: StateDatabase, anne: Account, bent: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="could not be verified"):
        register(state, anne, replace(Device(), **bent))  # type: ignore[arg-type]
    assert state.passkeys.of(anne.id) == []


def test_a_challenge_is_answered_once(state: StateDatabase, anne: Account) -> None:
    device = Device()
    register(state, anne, device)
    asked = passkeys.begin_sign_in(state, ORIGIN)
    answer = device.get(asked.options)
    outcomes = [passkeys.sign_in(state, asked.token, answer, ORIGIN, HERE, Settings()) for _ in range(2)]
    assert [(bool(o.token), o.refusal) for o in outcomes] == [(True, ""), (False, "late")]
    other = passkeys.begin_sign_in(state, ORIGIN)
    assert passkeys.sign_in(state, other.token, answer, ORIGIN, HERE, Settings()).refusal == "wrong"


def test_a_counter_that_goes_back_betrays_a_copy(state: StateDatabase, anne: Account) -> None:
    device = Device(counts=5)
    register(state, anne, device)
    assert enter(state, replace(device, counts=6)).token
    assert enter(state, replace(device, counts=6)).refusal == "wrong"
    assert enter(state, replace(device, counts=7)).token


def test_a_registration_challenge_is_its_owners_only(state: StateDatabase, anne: Account) -> None:
    eve = create_account(state, KEY_HOLDER, "eve", "correct horse battery", Role.RESEARCHER)
    asked = passkeys.begin_registration(state, Actor.of(anne), anne, ORIGIN, "Site")
    with pytest.raises(UsageError, match="past its time"):
        passkeys.register(state, Actor.of(eve), eve, asked.token, Device().create(asked.options), ORIGIN, "")
    sent = passkeys.begin_sign_in(state, ORIGIN)
    with pytest.raises(UsageError, match="past its time"):
        passkeys.register(state, Actor.of(anne), anne, sent.token, "{}", ORIGIN, "")


def test_a_key_removed_or_switched_off_or_of_a_shut_account_opens_nothing(state: StateDatabase, anne: Account) -> None:
    device = Device()
    register(state, anne, device)
    assert enter(state, device, Settings(second_factor="off")).refusal == "wrong"
    state.accounts.change(anne.id, disabled=True)
    assert enter(state, device).refusal == "wrong"
    state.accounts.change(anne.id, disabled=False)
    passkeys.remove(state, Actor.of(anne), anne, state.passkeys.of(anne.id)[0].id)
    assert enter(state, device).refusal == "wrong"


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"rawId": 3}', '{"rawId": "AAAA", "response": null}', '{"rawId":"é"}'])
def test_nonsense_is_refused_and_counted(state: StateDatabase, answer: str) -> None:
    asked = passkeys.begin_sign_in(state, ORIGIN)
    assert passkeys.sign_in(state, asked.token, answer, ORIGIN, HERE, Settings()).refusal == "wrong"
    for _ in range(ADDRESS_FAILURES):
        state.lockouts.fail("address:10.0.0.1", ADDRESS_FAILURES)
    assert passkeys.sign_in(state, "x", answer, ORIGIN, HERE, Settings()).refusal == "locked"
