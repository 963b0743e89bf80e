"""Bulk Data `$export` from a running FHIR server into a folder that the reader then reads.

Source: HL7 FHIR Bulk Data Access 2.0.0 (asynchronous request pattern). Kick-off, polling, manifest and
download can each be interrupted: `export.state` in the folder says where the export stands, and the same
call goes on from there; half a file is taken up at the byte where it broke off.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson

from estran.model.errors import InputRefused
from estran.sources.fhir.markup import resource_types
from estran.sources.fhir.requests import Answer, Client, address

VARIABLE = "ESTRAN_FHIR_AUTHORIZATION"  # environment variable with the whole header: `Bearer …`, `Basic …`
STATE = "export.state"  # not a name that the reader takes for FHIR
_LISTS = ("output", "error", "deleted")
_MOST_FILES = 100_000
_MANIFEST = 64 << 20  # bytes


@dataclass(frozen=True)
class Exported:
    """What an export brought: its files, and the server's time, which is the next export's `since`."""

    files: tuple[Path, ...]
    transaction_time: str
    errors: int  # files in which the server says what it could not export
    deleted: int  # files of deletions


@dataclass
class _State:
    """Where an export stands; kept as JSON after every step."""

    request: str
    status: str = ""
    manifest: dict[str, Any] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)  # name of a file -> bytes


def authorization(environment: Mapping[str, str] = os.environ) -> str | None:
    """The header to send, from the environment: a secret has no place in a command line or a file."""
    return environment.get(VARIABLE, "").strip() or None


def export(
    url: str, folder: Path, *, since: str | None = None, types: tuple[str, ...] = (), header: str | None = None,
    patience: float = 86_400, pause: Callable[[float], None] = time.sleep,
) -> Exported:  # fmt: skip
    """Export from `url` (`…/$export`, `…/Patient/$export`, `…/Group/<id>/$export`) into `folder`.

    `since` is an instant as FHIR writes it, `types` limits the export to some resource types, `header`
    is the Authorization header, sent to the server's own origin only, and `patience` how many seconds
    to wait for the server to be ready. Raises InputRefused when the server refuses or answers nonsense.
    """
    asked = _request(url, since, types)
    client = Client(address(asked), header, pause)
    folder.mkdir(parents=True, exist_ok=True)
    state = _read(folder, asked)
    if not state.manifest:
        _prepare(client, state, folder, patience)
    files = _download(client, state, folder)
    client.forget(state.status)
    counts = {name: len(state.manifest.get(name) or []) for name in _LISTS}
    return Exported(tuple(files), str(state.manifest["transactionTime"]), counts["error"], counts["deleted"])


def _request(url: str, since: str | None, types: tuple[str, ...]) -> str:
    unknown = [name for name in types if name not in resource_types()]
    if unknown:
        raise InputRefused("There is no such resource type in FHIR R4.", where=", ".join(unknown))
    told = {"_outputFormat": "application/fhir+ndjson"}
    told |= {"_since": since} if since else {}
    told |= {"_type": ",".join(types)} if types else {}
    return f"{url}{'&' if '?' in url else '?'}{urlencode(told)}"


def _prepare(client: Client, state: _State, folder: Path, patience: float) -> None:
    """Kick off, or take up again, and wait for the manifest."""
    for fresh in (not state.status, True):
        if fresh:
            state.status = _kick_off(client, state.request)
            _write(folder, state)
        manifest = _await(client, state.status, patience)
        if manifest is not None:
            state.manifest = manifest
            _write(folder, state)
            return
    raise InputRefused("The server does not know its own export any more.", hint="start it again")


def _kick_off(client: Client, request: str) -> str:
    answer = client.get(request, {"Accept": "application/fhir+json", "Prefer": "respond-async"})
    where = answer.headers.get("Content-Location") or ""
    if answer.status != 202 or not where:
        hint = f"set {VARIABLE}" if answer.status in (401, 403) else "does it offer Bulk Data export?"
        raise InputRefused(f"The server does not start an export (HTTP {answer.status}).", hint=hint)
    return client.resolve(where)


def _await(client: Client, status: str, patience: float) -> dict[str, Any] | None:
    """The manifest once the server has it; None when it has forgotten the export."""
    waited = 0.0
    while True:
        answer = client.get(status, {"Accept": "application/json"}, most=_MANIFEST)
        if answer.status == 200:
            return _manifest(answer)
        if answer.status in (404, 410):
            return None
        if answer.status not in (202, 429, 503):
            raise InputRefused(f"The server gave the export up (HTTP {answer.status}).", hint="start it again")
        if waited >= patience:
            raise InputRefused("The export is not ready yet.", hint="call again later: it goes on from here")
        delay = answer.retry_after()
        client.pause(delay)
        waited += delay


def _manifest(answer: Answer) -> dict[str, Any]:
    try:
        told = orjson.loads(answer.body)
        rows = [row for name in _LISTS for row in told.get(name) or []]
        fit = isinstance(told["transactionTime"], str) and len(rows) <= _MOST_FILES
        fit = fit and all(isinstance(row["url"], str) and row["type"] in resource_types() for row in rows)
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        fit = False
    if not fit:
        raise InputRefused("The server's list of exported files is not one.", hint="see Bulk Data's manifest")
    return dict(told)


def _download(client: Client, state: _State, folder: Path) -> list[Path]:
    """Every file of the manifest under a name of ours: the server's addresses name nothing on this disk."""
    found = []
    numbers: Counter[str] = Counter()
    for name in _LISTS:
        for row in state.manifest.get(name) or []:
            stem = row["type"] if name == "output" else f"{name}.{row['type']}"
            path = folder / f"{stem}.{numbers[stem]:03d}.ndjson"
            numbers[stem] += 1
            if not path.exists() or state.done.get(path.name) != path.stat().st_size:
                client.fetch(client.resolve(row["url"]), path)
                _counted(path, row.get("count"))
                state.done[path.name] = path.stat().st_size
                _write(folder, state)
            found.append(path)
    return found


def _counted(path: Path, count: Any) -> None:
    """A file that holds fewer resources than the manifest says is not whole."""
    if type(count) is not int:
        return
    with path.open("rb") as stream:
        lines = sum(1 for line in stream if not line.isspace())
    if lines != count:
        path.unlink()
        raise InputRefused(
            "A downloaded file does not hold as many resources as the server says.", where=path.name,
            hint="call again: the file is fetched anew",
        )


def _read(folder: Path, request: str) -> _State:
    path = folder / STATE
    if not path.exists():
        if any(folder.iterdir()):
            raise InputRefused("The folder holds something else.", where=str(folder), hint="give an empty one")
        return _State(request)
    try:
        state = _State(**orjson.loads(path.read_bytes()))
    except (orjson.JSONDecodeError, TypeError):
        raise InputRefused("The export's notes cannot be read.", where=STATE, hint="give an empty folder") from None
    if state.request != request:
        raise InputRefused("The folder holds another export.", where=str(folder), hint="give an empty one")
    return state


def _write(folder: Path, state: _State) -> None:
    fresh = folder / (STATE + ".new")
    fresh.write_bytes(orjson.dumps(vars(state), option=orjson.OPT_INDENT_2))
    fresh.replace(folder / STATE)
