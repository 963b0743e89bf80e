"""The MLLP server on real sockets: what it accepts, what it answers, what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.unit.sources.test_hl7v2_support import PID, PV1, message

from estran.settings import Settings
from estran.sources.hl7v2 import Hl7v2Reader
from estran.sources.mllp import Limits, Listener, Spool
from estran.sources.mllp.acknowledge import Problem, acknowledge, read_header
from estran.sources.mllp.frames import Budget, Frames, Unacceptable

ADT = message("ADT^A01^ADT_A01", "EVN|A01|20240311120000", PID, PV1, control="C1").encode()
READER = Hl7v2Reader(Settings())


def _alone(work: Any) -> Any:
    """Run it in a thread: the browser of another test may have left a loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def judge(data: bytes) -> Problem | None:
    refused = READER.judge(data)
    return Problem(refused.field, refused.code, refused.reason) if refused else None


class Server:
    """A listener on a free port and what it has kept."""

    def __init__(self, folder: Path, port: int, listener: Listener, notes: list[str]) -> None:
        self.folder, self.port, self.listener, self.notes = folder, port, listener, notes

    async def connect(self, tls: ssl.SSLContext | None = None) -> Sender:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=tls, server_hostname="localhost" if tls else None)
        return Sender(reader, writer)

    def kept(self) -> list[bytes]:
        self.listener.spool.turn()
        return [m for path in self.listener.spool.waiting() for m in self.listener.spool.read(path).messages]


class Sender:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, body: bytes) -> bytes:
        self.writer.write(b"\x0b" + body + b"\x1c\r")
        return await self.answer()

    async def answer(self) -> bytes:
        """The next acknowledgement, b"" when the connection was closed."""
        try:
            return await asyncio.wait_for(self.reader.readuntil(b"\x1c\r"), 60)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""


@contextlib.asynccontextmanager
async def serving(folder: Path, tls: ssl.SSLContext | None = None, **limits: float) -> AsyncIterator[Server]:
    notes: list[str] = []
    spool = Spool(folder / "spool", bytes(32))
    listener = Listener(spool, folder, judge, Limits(**limits), notes.append)  # type: ignore[arg-type]
    server = await listener.start("127.0.0.1", 0, tls)
    try:
        yield Server(folder, server.sockets[0].getsockname()[1], listener, notes)
    finally:
        server.close()
        await listener.end()
        spool.close()


def run(story: Callable[[Server], Awaitable[None]], folder: Path, **limits: float) -> None:
    async def whole() -> None:
        async with serving(folder, **limits) as server:
            await story(server)

    _alone(whole())


def test_an_answer_means_kept(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        sender = await server.connect()
        answer = await sender.send(ADT)
        head, msa = answer.strip(b"\x0b\x1c\r").split(b"\r")
        assert msa == b"MSA|AA|C1"
        fields = head.split(b"|")
        assert fields[2:6] == [b"EDS", b"CHU", b"SIL", b"CHU"] and fields[8] == b"ACK^A01^ACK"
        assert fields[17] == b"UNICODE UTF-8"
        assert server.kept() == [ADT]
        broken = ADT.replace(b"PID|1||42^^^CHU^PI", b"PID|1||")
        answer = await sender.send(broken)
        assert b"MSA|AE|C1|The message holds no number of the patient (PID-3).\rERR||PID^1^3|101^" in answer
        unread = message("ORM^Z98", PID, control="C2").encode()
        assert b"MSA|AE|C2|Message type ORM\\S\\Z98 is not read yet." in await sender.send(unread)
        assert server.kept() == [ADT, broken, unread], "what is answered AE is kept too"
        assert b"MSA|AE|" in await sender.send(b"neither head nor tail")
        version3 = ADT.replace(b"|2.5|", b"|3.0|")
        assert b"MSA|AR|C1|Only versions 2.x" in await sender.send(version3)
        assert b"MSA|AE|" in await sender.send(b"")
        assert server.kept() == [ADT, broken, unread, b"neither head nor tail"]

    run(story, tmp_path)


def test_many_at_once_share_one_wait_for_the_disk(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        async def one(number: int) -> None:
            sender = await server.connect()
            for turn in range(10):
                body = ADT.replace(b"|C1|", f"|C{number}.{turn}|".encode())
                assert f"MSA|AA|C{number}.{turn}\r".encode() in await sender.send(body)

        await asyncio.gather(*(one(number) for number in range(20)))
        assert len(server.kept()) == len(set(server.kept())) == 200

    run(story, tmp_path)


def test_a_frame_may_come_in_pieces_and_several_at_once(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        sender = await server.connect()
        stream = b"\r\n" + b"".join(b"\x0b" + ADT.replace(b"|C1|", b"|C%d|" % n) + b"\x1c\r\n" for n in range(3))
        for at in range(0, len(stream), 7):
            sender.writer.write(stream[at : at + 7])
            await sender.writer.drain()
            await asyncio.sleep(0)
        for n in range(3):
            assert b"MSA|AA|C%d\r" % n in await sender.answer()
        assert len(server.kept()) == 3

    run(story, tmp_path)


def test_what_is_too_large_or_no_frame_is_refused(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        large = await server.connect()
        assert b"MSA|AR||The message is too large." in await large.send(b"MSH|" + b"x" * 200_000)
        assert await large.answer() == b""
        web = await server.connect()
        web.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await web.answer() == b""
        half = await server.connect()
        half.writer.write(b"\x0b" + ADT)
        half.writer.close()
        assert server.kept() == []
        assert b"MSA|AA|" in await (await server.connect()).send(ADT)

    run(story, tmp_path, message_bytes=100_000)


def test_who_sends_too_slowly_or_nothing_is_given_up(tmp_path: Path) -> None:
    async def story(server: Server) -> None:
        slow = await server.connect()
        slow.writer.write(b"\x0bMSH|")
        assert await slow.answer() == b"", "a frame that does not end"
        silent = await server.connect()
        assert await silent.answer() == b""
        assert server.kept() == []

    run(story, tmp_path, frame_seconds=0.8, idle_seconds=1.0)


def test_connections_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(server: Server) -> None:
        first, second = await server.connect(), await server.connect()
        assert b"MSA|AA|" in await first.send(ADT) and b"MSA|AA|" in await second.send(ADT)
        assert await (await server.connect()).answer() == b"", "no room"
        await second.send(ADT)
        monkeypatch.setattr("estran.sources.mllp.server._IDLE_ENOUGH", 0.0)
        third = await server.connect()  # the one that has been silent longest makes room
        assert b"MSA|AA|" in await third.send(ADT)
        assert await first.answer() == b""
        assert server.listener.counts.turned_away == 1

    run(story, tmp_path, connections=2)


def test_memory_and_disk_are_bounded(tmp_path: Path) -> None:
    async def memory(server: Server) -> None:
        sender = await server.connect()
        assert b"MSA|AR||Too many messages" in await sender.send(b"MSH|" + b"x" * 300_000)
        assert b"MSA|AA|" in await (await server.connect()).send(ADT)

    async def disk(server: Server) -> None:
        assert b"MSA|AR|C1|Nothing more can be kept" in await (await server.connect()).send(ADT)
        assert server.kept() == []

    run(memory, tmp_path / "a", held_bytes=200_000)
    run(disk, tmp_path / "b", free_bytes=1 << 60)
    run(disk, tmp_path / "c", waiting_bytes=0)


def test_a_spool_that_cannot_be_written_refuses_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(server: Server) -> None:
        sender = await server.connect()
        assert b"MSA|AA|" in await sender.send(ADT)
        with monkeypatch.context() as broken:

            def fails(_: int) -> None:
                raise OSError(28, "No space left on device")

            broken.setattr("estran.sources.mllp.spool.os.fsync", fails)
            assert b"MSA|AR|C1|" in await sender.send(ADT)
        assert b"MSA|AA|" in await sender.send(ADT)
        assert server.kept() == [ADT, ADT]
        assert all("CHU" not in note for note in server.notes)

    run(story, tmp_path)


def test_the_end_acknowledges_what_has_come(tmp_path: Path) -> None:
    async def whole() -> None:
        async with serving(tmp_path) as server:
            idle, busy = await server.connect(), await server.connect()
            assert b"MSA|AA|" in await busy.send(ADT)
            busy.writer.write(b"\x0b" + ADT + b"\x1c\r")
            await asyncio.sleep(0.1)
            await server.listener.end()
            assert b"MSA|AA|" in await busy.answer()
            assert await idle.answer() == b"" == await busy.answer()
            assert len(server.kept()) == 2

    _alone(whole())


def _certificate(folder: Path, name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(1)).not_valid_after(now + dt.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), True)
    )  # fmt: skip
    certificate = built.sign(issuer[1] if issuer else key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (path := folder / f"{name}.pem").write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path, (certificate, key)


def test_tls_with_client_certificates(tmp_path: Path) -> None:
    from estran.cli.listen import _tls

    authority, issuer = _certificate(tmp_path, "authority")
    server_file, _ = _certificate(tmp_path, "server", issuer)
    client_file, _ = _certificate(tmp_path, "client", issuer)
    client = ssl.create_default_context(cafile=str(authority))
    stranger = ssl.create_default_context(cafile=str(authority))
    client.load_cert_chain(client_file)

    async def whole() -> None:
        async with serving(tmp_path, tls=_tls(server_file, None, authority)) as server:
            assert b"MSA|AA|" in await (await server.connect(client)).send(ADT)
            with contextlib.suppress(ssl.SSLError, OSError):
                assert await (await server.connect(stranger)).send(ADT) == b""
            plain = await server.connect()
            with contextlib.suppress(OSError):
                assert await plain.send(ADT) == b""
            assert server.kept() == [ADT]

    _alone(whole())


@pytest.mark.parametrize(
    ("conditions", "problem", "expected"),
    [
        ("|||", False, b"MSA|AA|1"), ("|||AL|NE", False, b"MSA|CA|1"), ("|||NE|NE", False, None), ("|||ER|NE", False, None),
        ("|||ER|NE", True, b"MSA|CE|1"), ("|||SU|", True, None), ("|||SU|", False, b"MSA|CA|1"),
    ],
)  # fmt: skip
def test_accept_acknowledgements(conditions: str, problem: bool, expected: bytes | None) -> None:
    header = read_header(f"MSH|^~\\&|A|B|C|D|20240101||ADT^A01|1|P|2.5{conditions}\r".encode())
    found = Problem("PID-3", "missing", "There is none.") if problem else None
    answer = acknowledge(header, "E" if problem else "A", found)
    assert answer is None if expected is None else answer is not None and expected in answer


def test_an_answer_is_never_answered_and_separators_are_the_senders() -> None:
    assert acknowledge(read_header(b"MSH|^~\\&|A|B|C|D|||ACK^A01|1|P|2.5\rMSA|AA|7\r"), "A") is None
    answer = acknowledge(read_header(b"MSH#*~\\&#A#B#C#D###ADT*A01#7#P#2.5\r"), "E", Problem("PID-3", "missing", "No # and * here."))
    assert answer is not None
    assert answer.startswith(b"\x0bMSH#*~\\&#C#D#A#B#") and b"#ACK*A01*ACK#" in answer
    assert b"MSA#AE#7#No \\F\\ and \\S\\ here." in answer


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.binary(max_size=60).map(lambda tail: b"MSH|^~\\&" + tail), st.binary(max_size=40).map(lambda b: ADT[:60] + b + ADT[60:])))
def test_any_bytes_are_judged_and_answered(data: bytes) -> None:
    header, problem = read_header(data), judge(data)
    answer = acknowledge(header, "E" if problem else "A", problem)
    if answer is not None:
        assert answer.count(b"\x0b") >= 1 and answer.endswith(b"\r\x1c\r") and len(answer) < 4000


@hypothesis_settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=30), st.sampled_from([b"\x0b", b"\x1c", b"\r", b"\x1c\r", b"\x0bMSH|\x1c\r", b" "])), max_size=25))
def test_any_stream_of_bytes_is_cut_into_frames_or_refused(chunks: list[bytes]) -> None:
    async def cut() -> tuple[list[bytes], int]:
        reader, budget, found = asyncio.StreamReader(), Budget(10_000), []
        for chunk in chunks:
            reader.feed_data(chunk)
        reader.feed_eof()
        frames = Frames(reader, Limits(message_bytes=200), budget)
        with contextlib.suppress(Unacceptable):
            while (message := await frames.next()) is not None:
                found.append(message)
                frames.release()
        frames.end()
        return found, budget._left

    found, left = _alone(cut())
    assert left == 10_000
    assert all(b"\x1c\r" not in message and len(message) <= 200 for message in found)
    assert all(b"\x0b" + message + b"\x1c\r" in b"".join(chunks) for message in found)
