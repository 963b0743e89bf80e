"""The way from a site to its hub: outbound HTTPS, TLS 1.3, the hub's certificate pinned, one connection kept open."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

from estran.hub.agent.membership import Channel
from estran.hub.keys import Identity, fingerprint
from estran.hub.tls import client_context
from estran.hub.wire import LONGEST, MEDIA_TYPE

_PATIENCE = 40.0  # seconds, longer than the hub keeps anybody waiting


class Link(Channel):
    """One way to one hub. `proxy` is HOST:PORT of an HTTP proxy that lets connections through (CONNECT)."""

    def __init__(
        self, url: str, certificate: str, identity: Identity, proxy: str = "", patience: float = _PATIENCE
    ) -> None:
        self._url, self._pinned = urlsplit(url), fingerprint(ssl.PEM_cert_to_DER_cert(certificate))
        self._context = client_context(identity, certificate)
        self._proxy, self._patience = proxy, patience
        self._open: http.client.HTTPSConnection | None = None

    def carry(self, path: str, data: bytes) -> bytes:
        """The reply; OSError when there is none."""
        try:
            connection = self._open or self._connect()
            connection.request("POST", f"{self._url.path.rstrip('/')}{path}", data, {"Content-Type": MEDIA_TYPE})
            reply = connection.getresponse()
            body = reply.read(LONGEST)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ConnectionError(f"The hub cannot be reached ({type(error).__name__}).") from None
        if reply.getheader("Content-Type", "").split(";")[0] != MEDIA_TYPE:
            raise ConnectionError(f"The hub did not answer in its own words (HTTP {reply.status}).")
        return body

    def _connect(self) -> http.client.HTTPSConnection:
        host, port = self._url.hostname or "", self._url.port or 443
        through, door = (
            (self._proxy.rsplit(":", 1)[0], int(self._proxy.rsplit(":", 1)[1])) if self._proxy else (host, port)
        )
        connection = http.client.HTTPSConnection(through, door, timeout=self._patience, context=self._context)
        if self._proxy:
            connection.set_tunnel(host, port)
        connection.connect()
        given = connection.sock.getpeercert(binary_form=True)
        if given is None or fingerprint(given) != self._pinned:
            connection.close()
            raise ConnectionError("The hub came with another certificate than the one it is known by.")
        self._open = connection
        return connection

    def close(self) -> None:
        """Let go of the connection; the next message opens another."""
        if self._open is not None:
            self._open.close()
            self._open = None
