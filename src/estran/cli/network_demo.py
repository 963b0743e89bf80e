"""`estran demo DIR --hub`: six hospitals, a linkage unit and a hub on one machine."""

from __future__ import annotations

import datetime as dt
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from estran import app as house
from estran.catalog import measuring
from estran.cli.hub import LINKAGE_FOLDER, embed, embedded, opened_house, place_of
from estran.cli.region import demo_region
from estran.cli.show import console
from estran.hub import house as hubs
from estran.hub.agent.counting import keep_linkage_key
from estran.hub.agent.membership import Local, folder_of, join, read, write
from estran.hub.agent.rules import Rules, write_rules
from estran.hub.office import answer_to
from estran.model.errors import UsageError
from estran.region.plan import Plan
from estran.settings import Settings

NAME = "Ouest DataHub (démonstration)"
_DECISION = "Synthetic region: nobody in it exists."


def demo_network(folder: Path, patients: int, port: int, *, quiet: bool = False) -> Path:
    """The region's six hospitals, each a member of a hub beside them; the folder of the hub. Again opens it."""
    hub = folder / "hub"
    demo_region(folder, patients, 6, quiet=quiet)
    if hubs.is_hub(hub):
        return hub
    house.create_site(hub, Settings(name=NAME))
    opened = hubs.create(hub, NAME, f"https://127.0.0.1:{port}", house.open_site(hub).secret("hub-keys"), _DECISION)
    _member(opened, folder / LINKAGE_FOLDER, "Unité d’appariement", "linkage", b"")
    shared, hospitals = secrets.token_bytes(32), Plan(patients).hospitals
    for hospital in hospitals:
        _member(opened, folder / hospital.key, hospital.name, "site", shared)
    for place in (*(hospital.key for hospital in hospitals), LINKAGE_FOLDER):
        embed(opened, hub, folder / place)
    opened.close()
    return hub


def _member(opened: hubs.HubHouse, directory: Path, name: str, kind: str, linkage_key: bytes) -> None:
    """Invite and join, as the two commands do."""
    invitation = hubs.invite(opened.book, opened.identity.public.certificate, name, kind, dt.datetime.now(dt.UTC))
    site = house.open_site(directory) if kind == "site" else None
    folder = directory / "networks" / invitation.network
    office = opened.office
    join(
        invitation,
        folder,
        site.secret("network-keys") if site else None,
        lambda _: Local(lambda data: answer_to(office, data, None)[1]),
    )
    if site is not None:
        write_rules(folder, Rules())
        keep_linkage_key(site, folder, linkage_key, invitation.network)
        measuring.measure(site.snapshot(), site.state)
        place_of(directory)  # the account of the network is made where nobody waits


@contextmanager
def network_served(hub: Path, port: int) -> Iterator[None]:
    """The hub's door is open for the block, and the agents of its members run; each is a process of its own. UsageError
    when the door does not open; it has said why."""
    with ExitStack() as ended:
        door = ended.enter_context(_running("hub", "serve", str(hub), "--port", str(port), "--json"))
        if door.stdout is None or b'"door"' not in door.stdout.readline():
            raise UsageError("The hub's door does not open.", where=f"port {port}", hint="take another with --hub-port")
        console.print(f"Door of {hub.name}: process {door.pid}", highlight=False, markup=False)
        opened = opened_house(hub)
        places, network = embedded(opened, hub), opened.book.meta("network")
        opened.close()
        for place in places:
            _lead(place, network, port)
            agent = ended.enter_context(_running("agent", str(place)))
            console.print(f"Agent of {place.name}: process {agent.pid}", highlight=False, markup=False)
        yield


def _lead(place: Path, network: str, port: int) -> None:
    """A member goes to the port at which the door is this time."""
    folder = folder_of(place, network)
    write(folder, replace(read(folder), url=f"https://127.0.0.1:{port}"))


@contextmanager
def _running(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Not of the terminal's group: Ctrl+C ends the portal, which then ends these. Where it is killed and ends nothing any
    more, they see that nobody holds their standard input, and end themselves."""
    command = [sys.executable, "-m", "estran.cli.leash", *words]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)  # noqa: S603 (our own command)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()
