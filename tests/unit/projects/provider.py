"""An OpenID Connect provider on the loopback: discovery, keys, authorization code with PKCE, signed id_tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

CLIENT, SECRET = "estran", "the secret of this client"


@dataclass
class Provider:
    """`claims` go over those of each id_token, None takes one out; `key` signs, `published` is shown."""

    claims: dict[str, Any] = field(default_factory=dict)
    algorithm: str = "ES256"
    key: ECKey | RSAKey | OctKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "1"}))
    published: ECKey | None = None
    issuer: str = ""
    given: dict[str, dict[str, str]] = field(default_factory=dict)  # code -> the request it answers
    redirects: bool = False

    def __enter__(self) -> Provider:
        self.published = self.published or self.key  # type: ignore[assignment]
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def described(self) -> dict[str, str]:
        paths = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
        return {"issuer": self.issuer, **{name: self.issuer + path for name, path in paths.items()}}

    def authorize(self, query: dict[str, str]) -> str:
        """The person agreed: where the browser is sent."""
        assert (query["client_id"], query["response_type"], query["code_challenge_method"]) == (CLIENT, "code", "S256")
        code = secrets.token_urlsafe(8)
        self.given[code] = query
        return query["redirect_uri"] + "?" + urlencode({"code": code, "state": query["state"]})

    def exchange(self, form: dict[str, str]) -> dict[str, Any] | None:
        """Tokens for a code, once; None unless client, address and verifier fit."""
        asked = self.given.pop(form.get("code", ""), None)
        digest = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).decode().rstrip("=")
        fits = asked is not None and (form["redirect_uri"], digest) == (asked["redirect_uri"], asked["code_challenge"])
        if not fits or asked is None or (form["client_id"], form.get("client_secret")) != (CLIENT, SECRET):
            return None
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "f:1:899700218896", "SubjectNameID": "899700218896",
                  "nonce": asked["nonce"], "iat": now, "exp": now + 120} | self.claims  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        token = jwt.encode({"alg": self.algorithm, "kid": "1"}, claims, self.key, algorithms=[self.algorithm])
        return {"access_token": "a", "token_type": "Bearer", "id_token": token}


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                self._say(303, {}, provider.authorize({k: v[0] for k, v in parse_qs(parts.query).items()}))
            elif parts.path == "/.well-known/openid-configuration":
                self._say(302 if provider.redirects else 200, provider.described(), "http://127.0.0.1:1/")
            else:
                assert provider.published is not None
                self._say(200, {"keys": [provider.published.as_dict(private=False)]})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            tokens = provider.exchange({k: v[0] for k, v in parse_qs(body).items()})
            self._say(200 if tokens else 400, tokens or {"error": "invalid_grant"})

        def _say(self, status: int, said: dict[str, Any], location: str = "") -> None:
            body = json.dumps(said).encode()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", location)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on the console."""

    return Handler
