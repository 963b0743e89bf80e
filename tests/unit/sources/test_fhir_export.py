"""Bulk Data `$export`: the real asynchronous protocol, over HTTP, against a server of this file."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from tests.spec import site_kit as kit
from typer.testing import CliRunner

from estran.cli import app
from estran.model.errors import InputRefused
from estran.sources.fhir.export import STATE, VARIABLE, authorization, export

SECRET = "Bearer tide"
TIME = "2026-03-01T10:00:00Z"


@dataclass
class Bulk:
    """A server's exported files and moods."""

    files: dict[str, bytes]
    secret: str | None = SECRET
    polls: int = 2  # answered 202 before the manifest
    breaks: set[str] = field(default_factory=set)  # files of which half is sent, once
    elsewhere: dict[str, str] = field(default_factory=dict)  # file -> address it is redirected to
    counts: dict[str, int] = field(default_factory=dict)
    forgets: bool = False  # the first status address
    manifest: Any = None  # instead of the true one
    seen: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)
    started: int = 0


class _Handler(BaseHTTPRequestHandler):
    bulk: Bulk

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_DELETE(self) -> None:
        self._note()
        self._answer(202)

    def _note(self) -> None:
        self.bulk.seen.append((self.command, self.path, self.headers.get("Authorization"), self.headers.get("Range")))

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._note()
        bulk, path = self.bulk, urlsplit(self.path)
        if bulk.secret is not None and self.headers.get("Authorization") != bulk.secret:
            self._answer(401)
        elif path.path.endswith("$export"):
            self._kick_off(bulk)
        elif path.path.startswith("/status/"):
            self._status(bulk, path.path)
        elif path.path.startswith("/file/"):
            self._file(bulk, path.path.rpartition("/")[2])
        else:
            self._answer(404)

    def _kick_off(self, bulk: Bulk) -> None:
        if self.headers.get("Prefer") != "respond-async":
            self._answer(400)
            return
        bulk.started += 1
        self._answer(202, Content_Location=f"/status/{bulk.started}")

    def _status(self, bulk: Bulk, path: str) -> None:
        if bulk.forgets and path == "/status/1":
            self._answer(404)
        elif bulk.polls:
            bulk.polls -= 1
            self._answer(503 if bulk.polls else 202, Retry_After="1", X_Progress="50 %")
        else:
            output = [{"type": name.partition(".")[0], "url": f"/file/{name}"} for name in bulk.files]
            for row in output:
                name = row["url"].rpartition("/")[2]
                row["count"] = bulk.counts.get(name, bulk.files[name].count(b"\n"))
            told = {"transactionTime": TIME, "request": path, "requiresAccessToken": True, "output": output, "error": []}
            self._answer(200, orjson.dumps(told if bulk.manifest is None else bulk.manifest))

    def _file(self, bulk: Bulk, name: str) -> None:
        if name in bulk.elsewhere:
            self._answer(307, Location=bulk.elsewhere[name])
            return
        data = bulk.files[name]
        wanted = self.headers.get("Range")
        start = int(wanted[6:-1]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if name in bulk.breaks:
            bulk.breaks.discard(name)
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return
        self.wfile.write(data[start:])


@pytest.fixture
def serve() -> Iterator[Any]:
    servers: list[ThreadingHTTPServer] = []

    def serving(bulk: Bulk) -> str:
        handler = type("Handler", (_Handler,), {"bulk": bulk})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serving
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def bulk10(shared: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted((shared / "fhir_bulk_smart" / "10-patients").glob("[A-Z]*.ndjson.gz")):
        with gzip.open(path) as packed:
            found[path.name.removesuffix(".gz")] = packed.read()
    return found


def _quick(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: files[name] for name in ("Patient.000.ndjson", "Organization.000.ndjson", "Encounter.000.ndjson")}


def nap(seconds: float) -> None:
    assert 0 < seconds <= 120


def test_a_whole_export_loads_as_its_files(
    serve: Any, bulk10: dict[str, bytes], shared: Path, tmp_path: Path
) -> None:
    other = Bulk({"Device.000.ndjson": bulk10["Device.000.ndjson"]}, secret=None)
    bulk = Bulk(bulk10, breaks={"Encounter.000.ndjson", "Patient.000.ndjson"})
    bulk.elsewhere["Device.000.ndjson"] = serve(other) + "/file/Device.000.ndjson"
    url = serve(bulk) + "/fhir/Group/1/$export"
    found = export(url, tmp_path / "in", since="2026-01-01T00:00:00Z", types=("Patient",), header=SECRET, pause=nap)
    assert found.transaction_time == TIME and len(found.files) == len(bulk10) == 13
    assert {p.read_bytes() for p in found.files} == set(bulk10.values())
    asked = parse_qs(urlsplit(bulk.seen[0][1]).query)
    assert (asked["_since"], asked["_type"]) == (["2026-01-01T00:00:00Z"], ["Patient"])
    assert [seen[3] is not None for seen in bulk.seen if "Encounter" in seen[1]] == [False, True]  # resumed by bytes
    assert other.seen[0][2] is None  # the secret stays with its server
    assert bulk.seen[-1][0] == "DELETE" and bulk.started == 1
    # the notes and prescriptions, which take longest to load, are compared as bytes only
    light = [p for p in found.files if p.name.partition(".")[0] not in ("DocumentReference", "MedicationRequest", "Procedure")]
    copies = [shared / "fhir_bulk_smart" / "10-patients" / f"{p.name}.gz" for p in light]
    sites = [kit.make(tmp_path / name) for name in ("exported", "copied")]
    reports = [kit.load(sites[0], "fhir", *light), kit.load(sites[1], "fhir", *copies)]
    counts = [[r.total(n) for n in ("read", "loaded", "superseded", "quarantined")] for r in reports]
    assert counts[0] == counts[1] and counts[0][0] == sum(bulk10[p.name].count(b"\n") for p in light)
    assert kit.digest(sites[0]) == kit.digest(sites[1])


def test_it_goes_on_where_it_stood(serve: Any, bulk10: dict[str, bytes], tmp_path: Path) -> None:
    files = _quick(bulk10)
    bulk = Bulk(files, polls=3, secret=None)
    url = serve(bulk) + "/$export"
    with pytest.raises(InputRefused, match="not ready yet"):
        export(url, tmp_path, patience=0, pause=nap)
    bulk.files = {}  # nothing can be handed out: the manifest is kept, the files are not there
    bulk.polls, bulk.manifest = 0, {"transactionTime": TIME, "output": [{"type": "Patient", "url": "/gone/1"}]}
    with pytest.raises(InputRefused, match="does not hand out"):
        export(url, tmp_path, pause=nap)
    assert bulk.started == 1 and orjson.loads((tmp_path / STATE).read_bytes())["manifest"]
    with pytest.raises(InputRefused, match="another export"):
        export(url, tmp_path, types=("Patient",), pause=nap)
    done = Bulk(files, secret=None)
    url = serve(done) + "/$export"
    first = export(url, tmp_path / "b", pause=nap)
    before = len([seen for seen in done.seen if "/file/" in seen[1]])
    (tmp_path / "b" / "Patient.000.ndjson").unlink()
    assert export(url, tmp_path / "b", pause=nap) == first
    assert len([seen for seen in done.seen if "/file/" in seen[1]]) == before + 1


def test_a_forgotten_export_is_started_again(serve: Any, bulk10: dict[str, bytes], tmp_path: Path) -> None:
    bulk = Bulk(_quick(bulk10), forgets=True, polls=0, secret=None)
    found = export(serve(bulk) + "/$export", tmp_path, pause=nap)
    assert bulk.started == 2 and len(found.files) == 3


def test_a_short_file_is_not_taken(serve: Any, bulk10: dict[str, bytes], tmp_path: Path) -> None:
    bulk = Bulk(_quick(bulk10), counts={"Patient.000.ndjson": 99}, secret=None)
    with pytest.raises(InputRefused, match="as many resources"):
        export(serve(bulk) + "/$export", tmp_path, pause=nap)
    assert not (tmp_path / "Patient.000.ndjson").exists()


@pytest.mark.parametrize(
    "output",
    [
        [{"type": "../../evil", "url": "/file/x"}],
        [{"type": "Patient", "url": "file:///etc/passwd"}],
        [{"type": "Patient", "url": "ftp://127.0.0.1/x"}],
        [{"type": "Patient"}],
        "no list",
    ],
)
def test_a_hostile_manifest(serve: Any, tmp_path: Path, output: Any) -> None:
    bulk = Bulk({}, polls=0, manifest={"transactionTime": TIME, "output": output}, secret=None)
    with pytest.raises(InputRefused):
        export(serve(bulk) + "/$export", tmp_path, pause=nap)
    assert {p.name for p in tmp_path.iterdir()} <= {STATE}


def test_a_redirect_to_a_file_is_refused(serve: Any, tmp_path: Path) -> None:
    bulk = Bulk({"Patient.000.ndjson": b"{}\n"}, elsewhere={"Patient.000.ndjson": "file:///etc/passwd"}, secret=None)
    with pytest.raises(InputRefused):
        export(serve(bulk) + "/$export", tmp_path, pause=nap)


def test_refusals_before_any_request(serve: Any, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no such resource type"):
        export("https://h/$export", tmp_path, types=("Patent",))
    for url in ("file:///etc/passwd", "https://", "https://a:b@h/$export", "http://[::1"):
        with pytest.raises(InputRefused, match="plain http"):
            export(url, tmp_path)
    with pytest.raises(InputRefused, match="not sent over plain http"):
        export("http://hospital.example/$export", tmp_path, header=SECRET)
    with pytest.raises(InputRefused, match="one line"):
        export("https://hospital.example/$export", tmp_path, header="Bearer a\nX: b")
    with pytest.raises(InputRefused, match="HTTP 401") as refused:
        export(serve(Bulk({})) + "/$export", tmp_path / "x", pause=nap)
    assert VARIABLE in refused.value.hint and not list((tmp_path / "x").iterdir())
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "mine").touch()
    with pytest.raises(InputRefused, match="something else"):
        export("https://h/$export", tmp_path / "y")


def test_a_silent_server(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="cannot be reached"):
        export("http://127.0.0.1:9/$export", tmp_path, pause=nap)


def test_the_secret_comes_from_the_environment() -> None:
    assert authorization({VARIABLE: " Bearer x "}) == "Bearer x"
    assert authorization({}) is None


def test_the_command(serve: Any, bulk10: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    url = serve(Bulk(_quick(bulk10), polls=0)) + "/$export"
    ran = CliRunner().invoke(app, ["fhir-export", url, str(tmp_path / "in"), "--type", "Patient", "--json"])
    assert (ran.exit_code, orjson.loads(ran.stdout)["since"]) == (0, TIME)
    assert len(list((tmp_path / "in").glob("*.ndjson"))) == 3
