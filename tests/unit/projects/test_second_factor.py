"""One-time codes and recovery codes."""

from __future__ import annotations

import base64
import time

import pytest

from estran.model.errors import NotAllowed, StoreError, UsageError
from estran.projects import second_factor
from estran.projects.actors import KEY_HOLDER, Actor, Role
from estran.projects.second_factor import PERIOD, code_at, step_of
from estran.projects.sign_in import (
    LOGIN_FAILURES,
    change_own_password,
    create_account,
    must_enrol,
    second_step,
    sign_in,
)
from estran.settings import Settings
from estran.state import Account, StateDatabase
from estran.state.database import KEY_NAME
from estran.state.schema import totp

PASSWORD = "correct horse battery"


@pytest.fixture
def anne(state: StateDatabase) -> Account:
    return create_account(state, KEY_HOLDER, "anne", PASSWORD, Role.RESEARCHER)


def enrolled(state: StateDatabase, account: Account) -> tuple[bytes, tuple[str, ...]]:
    """The secret, and the recovery codes. What is used up is the code of this step: see `later`."""
    actor = Actor.of(account)
    secret = secret_of(second_factor.begin(state, actor, "Site").secret)
    return secret, second_factor.confirm(state, actor, code_at(secret, here()))


def secret_of(shown: str) -> bytes:
    return base64.b32decode(shown + "=" * (-len(shown) % 8))


def here() -> int:
    return int(time.time() // PERIOD)


def later() -> int:
    """The step after this one, whose code fits already. That of the step before would not any more, when this one ends
    before the code is looked at."""
    return here() + 1


def test_codes_are_those_of_rfc_6238() -> None:
    secret = b"12345678901234567890"  # appendix B, whose eight digits end with our six
    vectors = {59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924",
               2000000000: "69279037", 20000000000: "65353130"}  # fmt: skip
    assert {at: code_at(secret, at // PERIOD) for at in vectors} == {at: code[2:] for at, code in vectors.items()}


def test_clocks_may_drift_by_one_step_and_no_more() -> None:
    secret, moment = b"12345678901234567890", 1_000_000_000.0
    steps = range(int(moment // PERIOD) - 2, int(moment // PERIOD) + 3)
    assert [step_of(secret, code_at(secret, s), moment) == s for s in steps] == [False, True, True, True, False]


def test_a_code_is_asked_after_the_password_and_opens_a_session(state: StateDatabase, anne: Account) -> None:
    secret, _ = enrolled(state, anne)
    first = sign_in(state, "anne", PASSWORD, "a")
    assert (first.token, first.refusal) == ("", "")
    done = second_step(state, first.step, code_at(secret, later()), "a")
    session = state.sessions.find(done.token)
    assert session is not None
    assert session.method == "code"


def test_a_code_never_opens_twice_nor_does_an_older_one(state: StateDatabase, anne: Account) -> None:
    secret, _ = enrolled(state, anne)
    enrolled_at, code = here(), code_at(secret, later())
    assert second_step(state, sign_in(state, "anne", PASSWORD, "a").step, code, "a").token
    for again in (code, code_at(secret, enrolled_at)):
        assert second_step(state, sign_in(state, "anne", PASSWORD, "a").step, again, "a").refusal == "wrong"


def test_the_step_of_a_sign_in_is_ended_once(state: StateDatabase, anne: Account) -> None:
    secret, _ = enrolled(state, anne)
    step = sign_in(state, "anne", PASSWORD, "a").step
    assert second_step(state, step, code_at(secret, later()), "a").token
    assert second_step(state, step, code_at(secret, later()), "a").refusal == "late"
    assert second_step(state, "guess", "000000", "a").refusal == "late"


def test_wrong_codes_lock_the_login_although_the_password_is_right(state: StateDatabase, anne: Account) -> None:
    secret, _ = enrolled(state, anne)
    wrong = "000000" if "000000" not in {code_at(secret, here() + d) for d in range(-1, 10)} else "111111"
    for _ in range(LOGIN_FAILURES):
        assert second_step(state, sign_in(state, "anne", PASSWORD, "a").step, wrong, "a").refusal == "wrong"
    assert sign_in(state, "anne", PASSWORD, "b").refusal == "locked"


def test_a_recovery_code_is_good_once(state: StateDatabase, anne: Account) -> None:
    _, codes = enrolled(state, anne)
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    answers = [second_step(state, sign_in(state, "anne", PASSWORD, "a").step, codes[2].lower(), "a") for _ in range(2)]
    assert [bool(a.token) for a in answers] == [True, False]
    assert state.second_factors.codes_left(anne.id) == len(codes) - 1
    second_factor.new_recovery_codes(state, Actor.of(anne))
    assert second_step(state, sign_in(state, "anne", PASSWORD, "a").step, codes[0], "a").refusal == "wrong"


def test_the_secret_is_sealed_for_its_account(state: StateDatabase, anne: Account) -> None:
    secret, _ = enrolled(state, anne)
    eve = create_account(state, KEY_HOLDER, "eve", PASSWORD, Role.RESEARCHER)
    with state.engine.begin() as connection:
        row = connection.execute(totp.select()).one()
        assert secret not in row.sealed
        connection.execute(totp.insert().values(**{**row._mapping, "account_id": eve.id}))
    with pytest.raises(StoreError, match="does not open"):
        state.second_factors.secret(eve.id)


def test_without_the_key_file_a_secret_stays_shut(state: StateDatabase, anne: Account, tmp_path: object) -> None:
    enrolled(state, anne)
    key = tmp_path / KEY_NAME  # type: ignore[operator]
    assert key.stat().st_mode & 0o077 == 0
    key.unlink()
    with pytest.raises(StoreError, match="missing or damaged"):
        state.second_factors.secret(anne.id)
    assert not key.exists()


def test_a_secret_counts_only_once_confirmed(state: StateDatabase, anne: Account) -> None:
    shown = second_factor.begin(state, Actor.of(anne), "Site")
    assert second_factor.begin(state, Actor.of(anne), "Site") == shown
    assert sign_in(state, "anne", PASSWORD, "a").token
    with pytest.raises(UsageError, match="does not fit"):
        second_factor.confirm(state, Actor.of(anne), "")
    enrolled(state, anne)
    with pytest.raises(UsageError, match="in use already"):
        second_factor.begin(state, Actor.of(anne), "Site")
    second_factor.remove(state, Actor.of(anne))
    assert sign_in(state, "anne", PASSWORD, "a").token


def test_the_setting_decides_whether_codes_are_asked(state: StateDatabase, anne: Account) -> None:
    required = Settings(second_factor="required")
    assert must_enrol(state, required, anne, "password")
    assert not must_enrol(state, Settings(), anne, "password")
    assert not must_enrol(state, required, anne, "passkey")
    enrolled(state, anne)
    assert not must_enrol(state, required, anne, "code")
    assert sign_in(state, "anne", PASSWORD, "a", settings=Settings(second_factor="off")).token


def test_a_new_password_needs_the_current_one_and_guesses_lock(state: StateDatabase, anne: Account) -> None:
    me = Actor.of(anne)
    with pytest.raises(UsageError, match="at least 12"):
        change_own_password(state, me, anne, PASSWORD, "short")
    for _ in range(LOGIN_FAILURES):
        with pytest.raises(UsageError, match="current"):
            change_own_password(state, me, anne, "guess", "another long password")
    with pytest.raises(UsageError, match="current"):
        change_own_password(state, me, anne, PASSWORD, "another long password")
    with pytest.raises(NotAllowed, match="another person"):
        change_own_password(state, Actor("eve", Role.RESEARCHER, 99), anne, PASSWORD, "another long password")
