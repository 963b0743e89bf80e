"""HTTP as an export needs it: bounded answers, resumed downloads, a secret that stays with its server."""

from __future__ import annotations

import email.utils
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, cast
from urllib.parse import SplitResult, urljoin, urlsplit

from estran.model.errors import InputRefused

_TIMEOUT = 60.0  # seconds without a byte
_TRIES = 5
_CHUNK = 1 << 20
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_BROKEN = (OSError, http.client.HTTPException)
_DELAYS = (0.5, 120.0)  # seconds between two polls, whatever the server asks


def address(url: str) -> SplitResult:
    """The parts of an http or https address; InputRefused for any other."""
    try:
        parts = urlsplit(url)
        fit = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fit = False
    if not fit or parts.username or parts.password:
        raise InputRefused("The address is not a plain http or https one.", hint="https://server/fhir/$export")
    return parts


@dataclass(frozen=True)
class Answer:
    """Status, headers and the beginning of the body."""

    status: int
    headers: Message
    body: bytes = b""

    def retry_after(self) -> float:
        """Seconds to wait: what the server asks for within reason, else five."""
        told = self.headers.get("Retry-After", "")
        asked = 5.0
        if told.isdigit():
            asked = float(told[:9])
        elif told:
            try:
                asked = email.utils.parsedate_to_datetime(told).timestamp() - time.time()
            except (TypeError, ValueError, OverflowError):
                asked = 5.0
        return min(max(asked, _DELAYS[0]), _DELAYS[1])


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only, and leaves the secret behind when the origin changes."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        target = address(newurl)
        made = super().redirect_request(req, fp, code, msg, headers, newurl)
        if made is not None and _origin(target) != _origin(urlsplit(req.full_url)):
            made.remove_header("Authorization")
        return made


class Client:
    """Asks one server; `header` is sent to its own origin and nowhere else."""

    def __init__(self, base: SplitResult, header: str | None, pause: Callable[[float], None]) -> None:
        if header and base.scheme != "https" and base.hostname not in _LOCAL:
            raise InputRefused("A secret is not sent over plain http.", hint="use https")
        if header and not (header.isascii() and header.isprintable()):
            raise InputRefused("The authorization is not one line of plain text.")
        self._base, self._header, self.pause = base, header, pause
        self._opener = urllib.request.OpenerDirector()
        self._opener.addheaders = [("User-Agent", "Estran")]
        for handler in (
            urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(),
            urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler(), _Redirects(),
        ):  # fmt: skip
            self._opener.add_handler(handler)

    def resolve(self, url: str) -> str:
        """An address that the server gave, absolute or relative to its own."""
        found = urljoin(self._base.geturl(), url)
        address(found)
        return found

    def get(self, url: str, headers: Mapping[str, str], most: int = _CHUNK) -> Answer:
        """The answer of whatever status; InputRefused when there is none, or when it is over `most` bytes."""
        for attempt in range(_TRIES):
            try:
                with self._open(url, headers) as response:
                    body = response.read(most + 1)
                    if len(body) > most:
                        raise InputRefused("The server's answer is too long.")
                    return Answer(response.status, response.headers, body)
            except urllib.error.HTTPError as error:
                with error:
                    return Answer(error.code, error.headers)
            except _BROKEN:
                self._rest(attempt)
        raise AssertionError("unreachable")

    def fetch(self, url: str, path: Path) -> None:
        """Download to `path`, taking up a `.part` where it broke off."""
        part = path.with_name(path.name + ".part")
        for attempt in range(_TRIES):
            try:
                if self._more(url, part):
                    part.replace(path)
                    return
            except urllib.error.HTTPError as error:
                with error:
                    if error.code == 416:  # the part is longer than the file: it was another one
                        part.unlink(missing_ok=True)
                    elif error.code not in (429, 500, 502, 503, 504):
                        raise InputRefused(
                            f"The server does not hand out an exported file (HTTP {error.code}).", where=path.name,
                            hint="exports expire: start again in an empty folder",
                        ) from None
            except _BROKEN:
                pass
            self._rest(attempt)

    def _more(self, url: str, part: Path) -> bool:
        """Append what is missing; whether the file is whole by the length that the server tells."""
        held = part.stat().st_size if part.exists() else 0
        headers = {"Accept": "application/fhir+ndjson", "Accept-Encoding": "identity"}
        headers |= {"Range": f"bytes={held}-"} if held else {}
        with self._open(url, headers) as response:
            resumed = response.status == 206 and held > 0
            length = response.headers.get("Content-Length", "")
            whole = (held if resumed else 0) + int(length) if length.isdigit() else None
            with part.open("ab" if resumed else "wb") as out:
                while chunk := response.read(_CHUNK):
                    out.write(chunk)
        return whole is None or part.stat().st_size == whole

    def forget(self, url: str) -> None:
        """Tell the server that the export can go; whether it listens makes no difference."""
        request = self._request(url, {}, "DELETE")
        try:
            self._opener.open(request, timeout=_TIMEOUT).close()
        except (urllib.error.HTTPError, *_BROKEN, InputRefused):
            return

    def _rest(self, attempt: int) -> None:
        if attempt == _TRIES - 1:
            raise InputRefused(
                "The server cannot be reached, or breaks off.", where=self._base.netloc,
                hint="call again: the export goes on from here",
            ) from None
        self.pause(float(2**attempt))

    def _open(self, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        response = self._opener.open(self._request(url, headers, "GET"), timeout=_TIMEOUT)
        return cast(http.client.HTTPResponse, response)

    def _request(self, url: str, headers: Mapping[str, str], method: str) -> urllib.request.Request:
        told = dict(headers)
        if self._header and _origin(address(url)) == _origin(self._base):
            told["Authorization"] = self._header
        return urllib.request.Request(url, headers=told, method=method)  # noqa: S310 - `address` let http(s) only pass


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
