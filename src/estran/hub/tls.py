"""TLS 1.3 and nothing older, a certificate on both sides, each known beforehand."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

from estran.hub.keys import Identity


def server_context(identity: Identity, known: Iterable[str]) -> ssl.SSLContext:
    """Of the hub: a handshake ends well only with one of the certificates `known` (PEM); `admit` adds more."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, identity)
    admit(context, known)
    return context


def client_context(identity: Identity, pinned: str) -> ssl.SSLContext:
    """Of a member: only the hub of the certificate `pinned` is spoken to. The name in it is not looked at: its very
    bytes are."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, identity)
    admit(context, [pinned])
    return context


def admit(context: ssl.SSLContext, known: Iterable[str]) -> None:
    """Let further certificates end a handshake from now on."""
    for certificate in known:
        context.load_verify_locations(cadata=certificate)


def _context(side: int, identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    identity.present(context)
    return context
