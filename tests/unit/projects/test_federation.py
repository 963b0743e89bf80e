"""Signing in at an identity provider: a real server, real signatures."""

from __future__ import annotations

import time
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import ECKey, OctKey
from tests.unit.projects.provider import CLIENT, SECRET, Provider

from estran.model.errors import StoreError
from estran.projects import federation
from estran.projects.actors import KEY_HOLDER, Role
from estran.projects.people import link_identity
from estran.projects.sign_in import SignIn, create_account
from estran.settings import Settings
from estran.state import Account, Place, StateDatabase

BACK = "https://site.example/sign-in/elsewhere/back"


@pytest.fixture
def anne(state: StateDatabase) -> Account:
    return create_account(state, KEY_HOLDER, "anne", "correct horse battery", Role.CLINICIAN)


def settings_for(provider: Provider) -> Settings:
    return Settings(oidc_issuer=provider.issuer, oidc_client_id=CLIENT)


def begun(state: StateDatabase, provider: Provider) -> tuple[federation.Provider, str, str]:
    """The provider found, the token of the exchange, and the code that the provider sends back."""
    found = federation.discover(provider.issuer)
    token, address = federation.begin(state, settings_for(provider), found, BACK, "/cohort")
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert address.startswith(provider.issuer + "/authorize?")
    assert query["redirect_uri"] == BACK
    returned = parse_qs(urlsplit(provider.authorize(query)).query)
    assert returned["state"] == [token]
    return found, token, returned["code"][0]


def enter(state: StateDatabase, provider: Provider) -> tuple[SignIn, str]:
    found, token, code = begun(state, provider)
    return federation.finish(state, settings_for(provider), found, SECRET, token, code, Place("a"))


def test_a_linked_person_enters_and_goes_back_where_they_were(state: StateDatabase, anne: Account) -> None:
    with Provider() as provider:
        link_identity(state, KEY_HOLDER, anne, provider.issuer, "899700218896")
        outcome, back = enter(state, provider)
    session = state.sessions.find(outcome.token)
    assert session is not None
    assert (session.account_id, session.method, back) == (anne.id, "oidc", "/cohort")


def test_nobody_gets_an_account_by_signing_in(state: StateDatabase, anne: Account) -> None:
    with Provider() as provider:
        link_identity(state, KEY_HOLDER, anne, "https://another.example", "899700218896")
        assert enter(state, provider)[0].refusal == "unlinked"
    assert [a.login for a in state.accounts.all()] == ["anne"]


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"}, {"nonce": None}, {"iss": "https://evil.example"}, {"aud": "another"}, {"aud": None},
        {"exp": int(time.time()) - 3600}, {"exp": None}, {"azp": "another"}, {"aud": [CLIENT, "x"], "azp": "x"},
    ],
)  # fmt: skip
def test_a_token_that_was_not_meant_for_us_opens_nothing(
    state: StateDatabase, anne: Account, claims: dict[str, object]
) -> None:
    with Provider(claims=claims) as provider:
        link_identity(state, KEY_HOLDER, anne, provider.issuer, "899700218896")
        assert enter(state, provider)[0].refusal == "wrong"


def test_a_signature_of_another_key_opens_nothing(state: StateDatabase, anne: Account) -> None:
    with Provider(published=ECKey.generate_key("P-256", {"kid": "1"})) as provider:
        link_identity(state, KEY_HOLDER, anne, provider.issuer, "899700218896")
        assert enter(state, provider)[0].refusal == "wrong"


def test_a_signature_by_a_shared_secret_opens_nothing(state: StateDatabase, anne: Account) -> None:
    """Keys that the provider publishes verify signatures; nothing that both sides know may make one (RFC 8725, 2.1)."""
    public = ECKey.generate_key("P-256", {"kid": "1"})
    with Provider(algorithm="HS256", key=OctKey.import_key(SECRET), published=public) as provider:
        link_identity(state, KEY_HOLDER, anne, provider.issuer, "899700218896")
        assert enter(state, provider)[0].refusal == "wrong"


def test_an_exchange_is_ended_once_and_its_code_needs_our_verifier(state: StateDatabase, anne: Account) -> None:
    with Provider() as provider:
        link_identity(state, KEY_HOLDER, anne, provider.issuer, "899700218896")
        found, token, code = begun(state, provider)
        _, other, _ = begun(state, provider)
        settings = settings_for(provider)
        stolen, _ = federation.finish(state, settings, found, SECRET, other, code, Place("a"))
        assert stolen.refusal == "wrong"
        assert federation.finish(state, settings, found, SECRET, other, code, Place("a"))[0].refusal == "late"
        assert federation.finish(state, settings, found, SECRET, token, code, Place("a"))[0].refusal == "wrong"


def test_a_shut_account_stays_shut(state: StateDatabase, anne: Account) -> None:
    state.accounts.change(anne.id, disabled=True)
    with Provider() as provider:
        link_identity(state, KEY_HOLDER, anne, provider.issuer, "899700218896")
        assert enter(state, provider)[0].token == ""


def test_a_provider_is_asked_over_tls_at_the_address_it_was_given_and_no_other() -> None:
    with pytest.raises(StoreError, match="over https"):
        federation.discover("http://psc.example")
    with pytest.raises(StoreError, match="does not answer"):
        federation.discover("http://127.0.0.1:9")
    with Provider(redirects=True) as provider, pytest.raises(StoreError, match="does not answer"):
        federation.discover(provider.issuer)
    with Provider() as provider, pytest.raises(StoreError, match="describe itself"):
        federation.discover(provider.issuer.replace("127.0.0.1", "localhost"))
