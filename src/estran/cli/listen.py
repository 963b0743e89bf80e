"""Receiving: `estran listen`."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import signal
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from estran import app as house
from estran.cli.show import JsonOpt, KeyOpt, SiteArg, emit, errors
from estran.model.errors import StoreError, UsageError
from estran.sources.hl7v2 import Hl7v2Reader
from estran.sources.mllp import Feeder, Limits, Listener, Spool
from estran.sources.mllp.acknowledge import Problem

if TYPE_CHECKING:
    from estran.sources.pipeline.run import Report
    from estran.sources.pipeline.warm import Warm
    from estran.warehouse import Warehouse

_KEPT = 100  # snapshots; each micro-batch makes one, and a reader may need minutes with the one it opened
_TIDIED_EVERY = 25  # snapshots
_PATIENCE = 50  # snapshots that a compaction is put off while messages go on coming: less than are kept


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: estran listen mysite --port 2575 --source sih")(listen)


def listen(
    site: SiteArg,
    port: Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    source: Annotated[str, typer.Option(help="Name of the feed, as for ingest.")] = "mllp",
    every: Annotated[float, typer.Option(help="Seconds that messages are gathered before they are loaded.", min=0.2)] = 2.0,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain of the server (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key (PEM), unless the certificate file holds it.")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="Authorities of clients, who must then present a certificate.")] = None,
    max_message: Annotated[int, typer.Option(help="Largest message, in MiB.", min=1)] = 64,
    max_connections: Annotated[int, typer.Option(help="Connections open at once.", min=1)] = 200,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Receive HL7 v2 messages over MLLP; acknowledge what is durably kept, load it every few seconds."""
    opened = house.open_site(site, key)
    limits = Limits(message_bytes=max_message << 20, connections=max_connections)
    tls = _tls(tls_cert, tls_key, tls_client_ca)
    if not source.replace("-", "").replace("_", "").isalnum():
        raise UsageError("The name of a feed is made of letters, digits, - and _.", hint="choose another --source")
    spool = Spool(site / "spool" / source, opened.key.subkey("spool"))
    desk = _Desk(opened, source, spool, json=json)
    try:
        asyncio.run(_serve(desk, spool, limits, (host, port), tls, every))
    finally:
        spool.close()


class _Desk:
    """Loads what was received, and says so: counts only, nothing of a message."""

    def __init__(self, opened: house.Site, source: str, spool: Spool, *, json: bool) -> None:
        self.site, self._source, self._spool, self._json = opened, source, spool, json
        self._reader = Hl7v2Reader(opened.settings)
        self._kept: tuple[Warehouse, Warm] | None = None  # what was read for one batch serves the next

    def judge(self, message: bytes) -> Problem | None:
        refused = self._reader.judge(message)
        return Problem(refused.field, refused.code, refused.reason) if refused else None

    def load(self, files: list[Path]) -> Report:
        """One micro-batch. The key is read each time: it may have been changed meanwhile."""
        from estran.sources.pipeline.run import ingest  # here, so that the port is open before it is imported

        opened = house.open_site(self.site.directory, self.site.key_file)
        with opened.loading() as parts:
            if self._kept is None or self._kept[0].settings != opened.settings:
                self._kept = parts.warehouse, parts.warm
            warehouse, warm = self._kept
            before = warehouse.latest()
            parts = dataclasses.replace(parts, warehouse=warehouse, warm=warm)
            report = ingest(parts, "hl7v2", files, name=self._source, patience=_PATIENCE)
        with contextlib.suppress(StoreError):  # another process writes: the messages are loaded, tidying can wait
            if not self._spool.is_receiving() and warehouse.owes_compaction():
                warehouse.compact(keep=_KEPT)
            if before // _TIDIED_EVERY < report.snapshot // _TIDIED_EVERY:
                warehouse.vacuum(keep=_KEPT)
        return report

    def tell(self, report: Report) -> None:
        counts = {name: report.total(name) for name in ("read", "loaded", "superseded", "quarantined")}
        if self._json:
            emit({**counts, "replayed": report.replayed, "snapshot": report.snapshot, "seconds": round(report.seconds, 3)})
            return
        said = ", ".join(f"{value} {name}" for name, value in counts.items())
        self.note(f"Snapshot {report.snapshot}: {said}, {report.seconds:.1f} s.")

    def note(self, line: str) -> None:
        now = dt.datetime.now().astimezone().isoformat(timespec="seconds")
        errors.print(f"{now} {line}", markup=False, highlight=False, soft_wrap=True)


async def _serve(
    desk: _Desk, spool: Spool, limits: Limits, address: tuple[str, int], tls: ssl.SSLContext | None, every: float
) -> None:
    """Until SIGTERM or SIGINT: what was received by then is acknowledged and loaded."""
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    listener = Listener(spool, desk.site.directory, desk.judge, limits, desk.note)
    try:
        server = await listener.start(*address, tls)
    except OSError as error:
        await listener.end()
        raise UsageError("The port cannot be listened on.", where=f"{address[0]}:{address[1]}", hint=error.strerror or "") from None
    host, port = server.sockets[0].getsockname()[:2]
    desk.note(f"Listening on {host}:{port}{' with TLS' if tls else ''}.")
    feeder = asyncio.create_task(Feeder(spool, desk.load, every, desk.note, desk.tell).run(ending))
    await ending.wait()
    server.close()
    await listener.end()
    await feeder
    counts = listener.counts
    desk.note(f"Ended: {counts.kept} messages kept, {counts.refused} refused, {counts.connections} connections.")


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> ssl.SSLContext | None:
    """The TLS context, None without a certificate; UsageError when a file does not serve."""
    if certificate is None:
        if key or client_ca:
            raise UsageError("TLS needs a certificate.", hint="give --tls-cert")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError):
        raise UsageError("The TLS files cannot be used.", where=str(certificate), hint="check the PEM files") from None
    return context
