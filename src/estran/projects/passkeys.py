"""Passkeys (WebAuthn level 3): a key on the person's device answers a challenge of the portal.

Each challenge is used once and lives minutes; the answer must come from this portal's own address (origin and
RP id), from a person the device recognised (user verification), with a counter that went on. Signing in names
no account beforehand, so the page tells nobody which accounts have passkeys.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from estran.model.errors import UsageError
from estran.projects.actors import Actor
from estran.projects.audit import permit
from estran.projects.policy import Action, Target
from estran.projects.sign_in import SignIn, opened, refused
from estran.settings import Settings
from estran.state import Account, Passkey, Place, StateDatabase
from estran.state.pending import Kind

MOST = 10  # keys per person


@dataclass(frozen=True)
class Challenge:
    """What the browser is asked: `options` is JSON for `navigator.credentials`, `token` ends the exchange."""

    token: str
    options: str


def begin_registration(state: StateDatabase, actor: Actor, account: Account, origin: str, site: str) -> Challenge:
    """Ask for a new key; those that the person has are named, so that no device makes a second one."""
    permit(state, actor, Action.ACCOUNT, Target("passkey: begin", account.id))
    known = state.passkeys.of(account.id)
    if len(known) >= MOST:
        raise UsageError(f"Nobody needs more than {MOST} passkeys.", hint="remove one first")
    options = generate_registration_options(
        rp_id=rp_id(origin), rp_name=site, user_id=_handle(account.id), user_name=account.login,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=key.credential) for key in known],
    )  # fmt: skip
    token = state.pending.begin(Kind.REGISTER, account.id, bytes_to_base64url(options.challenge))
    return Challenge(token, options_to_json(options))


def register(state: StateDatabase, actor: Actor, account: Account, token: str, answer: str, origin: str, name: str) -> None:
    """Keep the key that answered; UsageError when the answer is not to our challenge, or not from here."""
    permit(state, actor, Action.ACCOUNT, Target("passkey: register", account.id))
    begun = state.pending.end(Kind.REGISTER, token)
    if begun is None or begun.account_id != account.id:
        raise UsageError("This registration is past its time.", hint="begin again")
    try:
        verified = verify_registration_response(
            credential=answer, expected_challenge=base64url_to_bytes(begun.value), expected_rp_id=rp_id(origin),
            expected_origin=origin, require_user_verification=True,
        )  # fmt: skip
    except (WebAuthnException, ValueError):
        raise UsageError("This passkey could not be verified.", hint="begin again") from None
    name = " ".join(name.split())[:80] or account.login
    state.passkeys.add(account.id, verified.credential_id, verified.credential_public_key, verified.sign_count, name)


def remove(state: StateDatabase, actor: Actor, account: Account, number: int) -> None:
    """Forget one of the actor's keys."""
    permit(state, actor, Action.ACCOUNT, Target(f"passkey: remove {number}", account.id))
    state.passkeys.remove(account.id, number)


def begin_sign_in(state: StateDatabase, origin: str) -> Challenge:
    """Ask for any key of this portal that the device holds."""
    options = generate_authentication_options(
        rp_id=rp_id(origin), user_verification=UserVerificationRequirement.REQUIRED
    )
    return Challenge(state.pending.begin(Kind.PASSKEY, None, bytes_to_base64url(options.challenge)), options_to_json(options))


def sign_in(state: StateDatabase, token: str, answer: str, origin: str, place: Place, settings: Settings) -> SignIn:
    """Open a session for whose key answered; a passkey is two factors, the device and what unlocks it."""
    address = f"address:{place.address}"
    until = state.lockouts.locked_until([address])
    if until is not None:
        return SignIn(refusal="locked", locked_until=until)
    begun = state.pending.end(Kind.PASSKEY, token)
    if begun is None:
        return SignIn(refusal="late")
    key = _signer(state, answer, base64url_to_bytes(begun.value), origin)
    account = state.accounts.by_id(key.account_id) if key else None
    if account is None or account.disabled or settings.second_factor == "off":
        return refused(state, account.login if account else "", place.address, "The passkey was not accepted.")
    return opened(state, account, place, settings, "passkey")


def rp_id(origin: str) -> str:
    """The name that keys are made for: the host, without scheme and port."""
    return urlsplit(origin).hostname or ""


def _signer(state: StateDatabase, answer: str, challenge: bytes, origin: str) -> Passkey | None:
    """The key that signed the challenge, its counter taken; None when anything does not fit."""
    try:
        given: dict[str, Any] = json.loads(answer)
        key = state.passkeys.find(base64url_to_bytes(given["rawId"]))
        if key is None or given["response"].get("userHandle") != bytes_to_base64url(_handle(key.account_id)):
            return None
        verified = verify_authentication_response(
            credential=given, expected_challenge=challenge, expected_rp_id=rp_id(origin), expected_origin=origin,
            credential_public_key=key.public_key, credential_current_sign_count=key.signs, require_user_verification=True,
        )  # fmt: skip
    except (WebAuthnException, ValueError, KeyError, TypeError, AttributeError):
        return None
    return key if state.passkeys.take(key, verified.new_sign_count) else None


def _handle(account_id: int) -> bytes:
    """What the device keeps as the person: a number that says nothing elsewhere."""
    return f"estran:{account_id}".encode()
