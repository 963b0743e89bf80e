"""What every answer carries, and what every post must carry."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    [
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "font-src 'self'",
        "connect-src 'self'", "object-src 'none'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
TWO_YEARS = 63_072_000  # seconds
LARGEST_BODY = 1_000_000


def headers_of(scheme: str) -> dict[str, str]:
    """What an answer carries; over https also that this host is to be reached over https alone."""
    always = HEADERS | {"Cache-Control": "no-store"}
    return always | ({"Strict-Transport-Security": f"max-age={TWO_YEARS}; includeSubDomains"} if scheme == "https" else {})


class SecureHeaders:
    """Adds the headers above to every answer, and forbids keeping pages in caches."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_secure(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                kept = headers.get("Cache-Control")
                headers.update(headers_of(scope.get("scheme", "http")))
                if frame := scope.get("state", {}).get("frame"):  # the one page that shows a workspace
                    headers["Content-Security-Policy"] = f"{POLICY}; frame-src {frame}"
                if kept:
                    headers["Cache-Control"] = kept
            await send(message)

        await self.app(scope, receive, send_secure)


def new_token() -> str:
    """256 random bits for a form that is shown before anybody signed in."""
    return secrets.token_urlsafe(32)


def same(given: str | None, expected: str) -> bool:
    """Compare secrets without telling how far they agree; an empty one never fits."""
    return bool(given) and bool(expected) and hmac.compare_digest(str(given).encode(), expected.encode())


def from_here(request: Request) -> bool:
    """Whether the browser says that the request comes from one of our own pages."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")
