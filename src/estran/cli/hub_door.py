"""The hub's door to its sites: `estran hub serve`."""

from __future__ import annotations

import asyncio
import errno
from typing import Annotated

import typer

from estran.cli.hub import HubArg, group, opened_house
from estran.cli.show import JsonOpt, KeyOpt, console, emit
from estran.hub.conducting import Conductor
from estran.hub.gathering import after_answer
from estran.hub.harvest import harvesting
from estran.hub.matching import Linkages
from estran.hub.office import Taken
from estran.hub.server import Door
from estran.hub.studies import Studies
from estran.model.errors import UsageError


def register() -> None:
    """Into the group of `estran hub`."""
    group.command(epilog="Example: estran hub serve ouest --host 0.0.0.0 --port 8443")(serve)


def serve(
    hub: HubArg,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8443,
    key: KeyOpt = None,
    json: JsonOpt = False,
) -> None:
    """Open the hub's door to its sites (TLS 1.3, certificates on both sides). Its pages: estran serve HUB."""
    opened = opened_house(hub, key)

    def ready(found: int) -> None:
        if json:
            emit({"door": f"https://{host}:{found}"})
        else:
            console.print(f"Door: https://{host}:{found}  (Ctrl+C ends it)", highlight=False)

    studies, linkages = Studies(opened.folder), Linkages(opened.book, opened.folder)
    conductor = Conductor(opened.book, studies)

    def heard(taken: Taken) -> None:
        """After an answer, go on with the study or linkage it is of, or see whether the linkage unit is to count."""
        job = str(taken.message.body.get("uuid"))
        conductor.answered(job)
        linkages.answered(job)
        after_answer(opened.book, job)

    with harvesting(hub):
        try:
            asyncio.run(Door(opened.office, heard, conductor.advance_all).serve(host, port, ready))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
                raise
            hint = "end what listens there, or take another with --host and --port"
            raise UsageError("Nothing more can listen at this address.", where=f"{host}:{port}", hint=hint) from None
