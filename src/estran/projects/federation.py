"""Signing in at an identity provider: OpenID Connect, authorization code with PKCE, as Pro Santé Connect does it.

The provider says who somebody is; it never makes an account: an administrator links the person's number there
(RPPS, `SubjectNameID`) to an account here first. Checked: state, once and within minutes, by the browser that
began; PKCE; the signature of the id_token by the provider's published keys, asymmetric algorithms only; issuer,
audience, times, nonce.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from estran.model.errors import StoreError
from estran.projects.sign_in import SignIn, opened, refused
from estran.settings import Settings
from estran.state import Place, StateDatabase
from estran.state.pending import Kind

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
_SECONDS = 10
_LARGEST = 1_000_000
_LEEWAY = 60  # seconds that the provider's clock may differ


@dataclass(frozen=True)
class Provider:
    """Where an identity provider answers, as its discovery document says."""

    issuer: str
    authorize: str
    token: str
    keys: str


def discover(issuer: str) -> Provider:
    """Ask the provider where it answers; StoreError when it does not, or says that it is another one."""
    said = _fetch(issuer.rstrip("/") + "/.well-known/openid-configuration")
    found = Provider(*(str(said.get(k, "")) for k in ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")))
    if found.issuer.rstrip("/") != issuer.rstrip("/") or not all((found.authorize, found.token, found.keys)):
        raise _unreachable("The identity provider does not describe itself as expected.")
    return found


def begin(state: StateDatabase, settings: Settings, provider: Provider, callback: str, back: str) -> tuple[str, str]:
    """The token that ends the exchange, which is also its `state`, and the address to send the browser to."""
    nonce, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
    kept = json.dumps({"nonce": nonce, "verifier": verifier, "back": back, "callback": callback})
    token = state.pending.begin(Kind.OIDC, None, kept)
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    query = {
        "response_type": "code", "client_id": settings.oidc_client_id, "redirect_uri": callback,
        "scope": settings.oidc_scopes, "state": token, "nonce": nonce, "code_challenge": digest,
        "code_challenge_method": "S256", "acr_values": "eidas1",
    }
    return token, provider.authorize + ("&" if "?" in provider.authorize else "?") + urlencode(query)


def finish(
    state: StateDatabase, settings: Settings, provider: Provider, secret: str, token: str, code: str, place: Place
) -> tuple[SignIn, str]:
    """Exchange the code, check who came, and open a session; with it, the page to go back to."""
    begun = state.pending.end(Kind.OIDC, token)
    if begun is None:
        return SignIn(refusal="late"), "/"
    kept = json.loads(begun.value)
    claims = _claims(settings, provider, secret, code, kept)
    subject = str(claims.get(settings.oidc_claim, "") or "") if claims else ""
    number = state.federated.account(provider.issuer, subject) if subject else None
    account = state.accounts.by_id(number) if number is not None else None
    if claims is None or account is None or account.disabled:
        why = "The identity provider's answer was not accepted." if claims is None else "No account is linked to this identity."
        refusal = refused(state, "", place.address, why)
        return SignIn(refusal="unlinked" if claims is not None else refusal.refusal), kept["back"]
    return opened(state, account, place, settings, "oidc"), kept["back"]


def _claims(
    settings: Settings, provider: Provider, secret: str, code: str, kept: dict[str, str]
) -> dict[str, Any] | None:
    """The claims of an id_token that holds; None when it does not."""
    form = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": kept["callback"],
        "client_id": settings.oidc_client_id, "code_verifier": kept["verifier"],
    } | ({"client_secret": secret} if secret else {})
    try:
        answer = _fetch(provider.token, urlencode(form).encode())
        keys = KeySet.import_key_set(_fetch(provider.keys))  # type: ignore[arg-type]
        claims = jwt.decode(str(answer["id_token"]), keys, algorithms=ALGORITHMS).claims
        jwt.JWTClaimsRegistry(
            leeway=_LEEWAY, iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "value": settings.oidc_client_id}, exp={"essential": True}, iat={"essential": True},
            nonce={"essential": True, "value": kept["nonce"]},
        ).validate(claims)
    except (StoreError, JoseError, KeyError, ValueError, TypeError):
        return None
    party = claims.get("azp")
    return claims if party in (None, settings.oidc_client_id) else None


def _fetch(address: str, body: bytes | None = None) -> dict[str, Any]:
    """JSON of the provider, over TLS; plain HTTP on the loopback only. StoreError when it does not come."""
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")):
        raise _unreachable("The identity provider must be reached over https.")
    request = urllib.request.Request(address, body, {"Accept": "application/json"})  # noqa: S310
    try:
        with _opener.open(request, timeout=_SECONDS) as answer:
            said = json.loads(answer.read(_LARGEST))
    except (urllib.error.URLError, OSError, ValueError):
        raise _unreachable("The identity provider does not answer.") from None
    if not isinstance(said, dict):
        raise _unreachable("The identity provider's answer cannot be read.")
    return said


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The provider's addresses are those it published: none may lead elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def _unreachable(what: str) -> StoreError:
    return StoreError(what, hint="check oidc_issuer in estran.toml, or sign in with a password")
